from datetime import datetime, timedelta
from pathlib import Path

import pytest

from datasets.cutting import cut_ledger
from datasets.store import open_ledger
from features.build import build_frame
from tests.features.ledgers import BANK, Spend, coin, import_claims, import_payments, import_spends

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return a ledger of payments and coins, with labels, around the first of March."""
    path = tmp_path / "ledger.duckdb"
    import_payments(
        path,
        [
            ("2023-02-01T10:00:00", "a", "b", "10.00"),
            ("2023-02-28T23:59:59", "b", "c", "9.00"),
            ("2023-03-01T00:00:00", "c", "d", "8.00"),
            ("2023-03-05T00:00:00", "d", "a", "7.00"),
        ],
    )
    import_spends(
        path,
        [
            Spend("mint", "2023-02-27T00:00:00", outputs=[("ann", 5_000)], height=1),
            Spend("dust", "2023-02-27T12:00:00", [("mint", 0)], [("bob", 900), ("ann", 4_000)], height=2),
            Spend("late", "2023-03-01T00:10:00", [("dust", 0)], [("cat", 800)], height=3),
            # Its clock is behind: it comes after the block before it all the same.
            Spend("back", "2023-02-28T23:50:00", [("dust", 1)], [("dan", 3_900)], height=4),
        ],
    )
    import_claims(
        path,
        [
            (f"{BANK}:a", "drug_vendor", "0.9", "2023-02-10T00:00:00"),
            (f"{BANK}:b", "exchange", "0.9", "2023-02-10T00:00:00"),
            (f"{BANK}:c", "drug_vendor", "0.9", "2023-03-01T00:00:00"),
            (f"{BANK}:d", "drug_vendor", "0.9", ""),
        ],
    )
    return path


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    with open_ledger(path) as held:
        return held.connection.execute(query).fetchall()


def test_nothing_from_the_moment_on_is_left(ledger: Path, tmp_path: Path) -> None:
    before = ledger.read_bytes()
    cut = cut_ledger(ledger, tmp_path / "cut.duckdb", AS_OF)
    assert read(cut, "SELECT count(*) FROM transfer WHERE time >= TIMESTAMP '2023-03-01'") == [(0,)]
    assert read(cut, "SELECT max(height), count(*) FROM transfer WHERE height IS NOT NULL") == [(2, 2)]
    assert read(cut, "SELECT count(*) FROM transfer WHERE height IS NULL") == [(2,)]
    assert read(cut, "SELECT count(DISTINCT transfer) FROM leg") == [(4,)]
    accounts = "SELECT a.account FROM label JOIN address AS a USING (address) ORDER BY a.account"
    assert read(cut, accounts) == [("a",), ("b",), ("d",)]
    assert ledger.read_bytes() == before


def test_what_was_withdrawn_later_is_as_if_it_had_not_been(ledger: Path, tmp_path: Path) -> None:
    with open_ledger(ledger, write=True) as held:
        held.connection.execute(
            "UPDATE label SET withdrawn_at = CASE WHEN category = 'exchange' THEN TIMESTAMP '2023-02-20' "
            "ELSE TIMESTAMP '2023-04-01' END WHERE published_at < TIMESTAMP '2023-02-11'"
        )
    cut = cut_ledger(ledger, tmp_path / "cut.duckdb", AS_OF)
    assert read(
        cut, "SELECT category, withdrawn_at FROM label WHERE published_at IS NOT NULL ORDER BY 1"
    ) == [
        ("drug_vendor", None),
        ("exchange", datetime.fromisoformat("2023-02-20T00:00:00")),
    ]


def test_labels_of_some_accounts_can_be_left_out(ledger: Path, tmp_path: Path) -> None:
    cut = cut_ledger(ledger, tmp_path / "cut.duckdb", AS_OF, unlabelled=[f"{BANK}:a", f"{BANK}:nobody"])
    assert read(cut, "SELECT a.account FROM label JOIN address AS a USING (address) ORDER BY 1") == [
        ("b",),
        ("d",),
    ]


def test_a_build_of_the_cut_is_the_build_of_the_whole(ledger: Path, tmp_path: Path) -> None:
    cut = cut_ledger(ledger, tmp_path / "cut.duckdb", AS_OF)
    one, other = build_frame(ledger, AS_OF, threads=1), build_frame(cut, AS_OF, threads=1)
    assert one.accounts == other.accounts
    assert f"{BANK}:d" not in one.accounts
    assert one.values.tobytes() == other.values.tobytes()
    assert (one.seeded == other.seeded).all()
    later = build_frame(ledger, AS_OF + timedelta(days=10), threads=1)
    assert later.accounts != one.accounts
    assert coin("bob") in " ".join(later.accounts)
