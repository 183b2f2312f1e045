from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chains.errors import ColumnError, FileError
from datasets.prices import import_prices
from datasets.store import Ledger
from tests.datasets.batches import dump, memory_ledger

TOKEN = "0xdAC17F958D2ee523a2206206994597C13D831ec7"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with memory_ledger() as opened:
        yield opened


def write(tmp_path: Path, *lines: str, header: str = "asset,day,usd") -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([header, *lines, ""]), "utf-8")
    return path


def prices(ledger: Ledger) -> list[tuple[Any, ...]]:
    return ledger.connection.execute(
        "SELECT caip2, reference, day, usd_micro FROM price JOIN chain USING (chain) ORDER BY ALL"
    ).fetchall()


def test_prices_arrive_in_millionths_of_a_dollar(ledger: Ledger, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "eip155:1/slip44:60,2023-01-31,1585.2",
        f"eip155:1/erc20:{TOKEN},2023-01-31,0.9999995",
        f"eip155:1/erc20:{TOKEN},2023-02-01,1.0000015",
        "payments:bank/iso4217:EUR,2023-01-31,1.0863",
    )
    result = import_prices(ledger, path)
    assert (result.source, result.rows, result.added, result.replaced) == ("prices.csv", 4, 4, 0)
    token = f"erc20:{TOKEN.lower()}"
    assert prices(ledger) == [
        ("eip155:1", token, date(2023, 1, 31), 1_000_000),  # a tie goes to the even neighbour
        ("eip155:1", token, date(2023, 2, 1), 1_000_002),
        ("eip155:1", "slip44:60", date(2023, 1, 31), 1_585_200_000),
        ("payments:bank", "iso4217:EUR", date(2023, 1, 31), 1_086_300),
    ]


def test_the_same_prices_again_change_nothing_and_a_correction_replaces(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = ("eip155:1/slip44:60,2023-01-31,1585.2", "eip155:1/slip44:60,2023-02-01,1641")
    import_prices(ledger, write(tmp_path, *rows))
    before = dump(ledger)
    again = import_prices(ledger, write(tmp_path, *rows))
    assert (again.added, again.replaced) == (0, 0)
    assert dump(ledger) == before
    result = import_prices(ledger, write(tmp_path, "eip155:1/slip44:60,2023-02-01,1642", rows[0]))
    assert (result.rows, result.added, result.replaced) == (2, 0, 1)
    assert [row[3] for row in prices(ledger)] == [1_585_200_000, 1_642_000_000]


def test_extra_columns_and_a_byte_order_mark_are_fine(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, "2023-01-31,note,eip155:1/slip44:60,1", header="\ufeffday,note,asset,usd")
    assert import_prices(ledger, path).added == 1


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("ethereum/slip44:60,2023-01-31,1", "asset"),
        ("eip155:1,2023-01-31,1", "asset"),
        ("eip155:1/slip44:60/x,2023-01-31,1", "asset"),
        ("eip155:x y/slip44:60,2023-01-31,1", "asset"),
        ("eip155:1/slip44:60,2023-02-30,1", "day"),
        ("eip155:1/slip44:60,20230131,1", "day"),
        ("eip155:1/slip44:60,31/01/2023,1", "day"),
        ("eip155:1/slip44:60,2023-01-31,0", "usd"),
        ("eip155:1/slip44:60,2023-01-31,-1", "usd"),
        ("eip155:1/slip44:60,2023-01-31,1e3", "usd"),
        ("eip155:1/slip44:60,2023-01-31,NaN", "usd"),
        ("eip155:1/slip44:60,2023-01-31,0.0000004", "usd"),
        ("eip155:1/slip44:60,2023-01-31,9999999999999999", "usd"),
        ("eip155:1/slip44:60,2023-01-31,\x1b[31m", "usd"),
        ("eip155:1/slip44:60,2023-01-31", "usd"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    ledger: Ledger, tmp_path: Path, line: str, column: str
) -> None:
    before = dump(ledger)
    path = write(tmp_path, "eip155:1/slip44:60,2023-01-30,1", line)
    with pytest.raises(ColumnError, match="line 3") as caught:
        import_prices(ledger, path)
    assert caught.value.column == column
    assert str(caught.value).isprintable()
    assert dump(ledger) == before


def test_two_prices_for_one_day_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    row = "eip155:1/slip44:60,2023-01-31,"
    assert import_prices(ledger, write(tmp_path, row + "1", row + "1.0")).added == 1
    with pytest.raises(FileError, match="line 3 gives another price"):
        import_prices(ledger, write(tmp_path, row + "1", row + "2"))


def test_a_file_that_is_no_price_file_is_named(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match=r"'usd': is missing; .* asset, day, usd"):
        import_prices(ledger, write(tmp_path, "1,2,3", header="asset,day,price"))
    with pytest.raises(FileError, match="cannot be read"):
        import_prices(ledger, tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"asset,day,usd\n\xff\xfe\x00,1,2\n")
    with pytest.raises(FileError, match="not text in UTF-8"):
        import_prices(ledger, tmp_path / "binary.csv")
    with pytest.raises(FileError, match="not a CSV file"):
        import_prices(ledger, write(tmp_path, '"open quote,2,3'))
