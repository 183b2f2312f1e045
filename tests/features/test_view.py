"""A view of a part of a ledger is what a ledger with only that part would give."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from features.build import build_frame
from features.frame import FeatureFrame
from features.view import View
from tests.features.ledgers import import_payments

AS_OF = datetime(2024, 3, 1)  # noqa: DTZ001  (times inside are naive UTC)
DAYS = 30


def payments(seed: int) -> list[tuple[str, str, str, str]]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(120):
        payer, payee = draw.choice(10, 2, replace=False)
        time = AS_OF - timedelta(seconds=int(draw.integers(1, 90 * 86_400)))
        made.append((f"{time:%Y-%m-%dT%H:%M:%SZ}", f"acc{payer}", f"acc{payee}", str(draw.integers(1, 500))))
    return sorted(made)


def build(
    folder: Path, name: str, made: list[tuple[str, str, str, str]], view: View | None = None
) -> FeatureFrame:
    ledger = folder / name / "ledger.duckdb"
    ledger.parent.mkdir()
    import_payments(ledger, made)
    return build_frame(ledger, AS_OF, threads=1, view=view or View())


def test_a_late_view_is_a_ledger_that_began_late(tmp_path: Path) -> None:
    made = payments(1)
    since = f"{AS_OF - timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}"
    seen = build(tmp_path, "view", made, View("late", days=DAYS))
    late = build(tmp_path, "late", [payment for payment in made if payment[0] >= since])
    assert seen.accounts == late.accounts
    assert np.array_equal(seen.values, late.values, equal_nan=True)
    assert seen.view == "late"
    assert not np.array_equal(seen.values, build(tmp_path, "whole", made).values, equal_nan=True)


def test_a_view_of_pulled_histories_shows_these_accounts_and_what_they_deal_with(tmp_path: Path) -> None:
    made = payments(2)
    around = ("payments:mybank:acc3", "payments:mybank:acc7")
    seen = build(tmp_path, "view", made, View("pulled", around=around))
    touching = [p for p in made if {p[1], p[2]} & {"acc3", "acc7"}]
    cut = build(tmp_path, "cut", touching)
    assert seen.accounts == cut.accounts
    names = list(seen.names)
    own = ["transfers_in", "payers", "received_usd", "new_payer_share_30d", "kept_share", "new_payers_30d"]
    whole = build(tmp_path, "whole", made)
    for account in around:
        here, there = seen.accounts.index(account), whole.accounts.index(account)
        for name in own:
            assert seen.values[here, names.index(name)] == whole.values[there, names.index(name)]
        for name in ("payer_payees_median", "payee_payers_median", "new_payer_new_payees_30d"):
            assert np.isnan(seen.values[here, names.index(name)]), name
            assert not np.isnan(cut.values[cut.accounts.index(account), names.index(name)]), name
