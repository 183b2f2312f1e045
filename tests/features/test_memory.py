"""A ledger that does not fit into its part of the memory: set aside on disk, with the same bytes."""

import random
from datetime import datetime
from pathlib import Path

import pytest

from chains.errors import LedgerError
from features import seen
from features.build import build_frame
from tests.datasets.batches import Row
from tests.features.ledgers import TETHER, import_rows

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80,000 payments among 40,000 accounts."""
    chance = random.Random(3)  # noqa: S311  (no secret)
    rows = [
        Row(
            ((f"a{chance.randrange(20_000)}", 10_000_000 + n),),
            ((f"b{chance.randrange(20_000)}", 10_000_000 + n),),
            n, n.to_bytes(32), TETHER.reference, "token", height=n, position=0,
        )
        for n in range(80_000)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("large") / "ledger.duckdb"
    import_rows(path, rows)
    return path


LITTLE = "96MB"  # too little without the disk


def test_what_does_not_fit_is_set_aside_and_comes_back(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_frame(ledger, AS_OF, threads=1)
    monkeypatch.setattr(seen, "DUCKDB_MEMORY", LITTLE)
    after = build_frame(ledger, AS_OF, threads=1)
    assert after.accounts == before.accounts
    assert after.values.tobytes() == before.values.tobytes()


def test_where_nothing_can_be_set_aside_the_message_says_so(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "ledger.duckdb"
    copy.write_bytes(ledger.read_bytes())
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    monkeypatch.setattr(seen, "DUCKDB_MEMORY", "64MB")
    with pytest.raises(LedgerError, match="too little memory, or disk under") as caught:
        build_frame(copy, AS_OF, threads=1)
    assert "\n" not in str(caught.value)
