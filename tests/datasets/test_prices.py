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
    """(chain, reference, day, micro-USD), and how many units that is for where it is not one."""
    rows = ledger.connection.execute(
        """
        SELECT caip2, reference, day, usd_micro, units FROM price JOIN chain USING (chain)
        UNION ALL SELECT '', reference, day, usd_micro, units FROM rate
        ORDER BY ALL
        """
    ).fetchall()
    return [row if row[4] != 1 else row[:4] for row in rows]


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
        ("eip155:1", token, date(2023, 1, 31), 9_999_995, 10),
        ("eip155:1", token, date(2023, 2, 1), 10_000_015, 10),
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
        ("eip155:1/slip44:60,2023-01-31,0.0000000000000000004", "usd"),
        ("eip155:1/slip44:60,2023-W01-1,1", "day"),
        ("slip44:1,2023-01-31,1", "asset"),
        ("slip44:060,2023-01-31,1", "asset"),
        ("iso4217:XYZ,2023-01-31,1", "asset"),
        ("iso4217:eur,2023-01-31,1", "asset"),
        ("erc20:0xdac17f958d2ee523a2206206994597c13d831ec7,2023-01-31,1", "asset"),
        ("currency:points,2023-01-31,1", "asset"),
        ("/iso4217:EUR,2023-01-31,1", "asset"),
        ("iso4217:USD,2023-01-31,0.99", "usd"),
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


def test_small_prices_keep_their_digits(ledger: Ledger, tmp_path: Path) -> None:
    """Nine significant digits or a millionth, whichever is finer; ties to even."""
    rows = {
        "0.00001234": (1234, 100),
        "0.0000000000000000015": (2, 10**12),  # a tie goes to the even neighbour
        "0.000000000000000002500": (2, 10**12),
        "1645.23000049": (1_645_230_000, 1),
        "0.333333333333": (3_333_333_333, 10_000),
    }
    days = [date(2023, 1, day) for day in range(1, 1 + len(rows))]
    lines = [f"eip155:1/slip44:60,{day},{text}" for day, text in zip(days, rows, strict=True)]
    assert import_prices(ledger, write(tmp_path, *lines)).added == len(rows)
    found = ledger.connection.execute("SELECT day, usd_micro, units FROM price ORDER BY day").fetchall()
    assert found == [(day, *price) for day, price in zip(days, rows.values(), strict=True)]


def test_a_rate_without_a_chain_is_kept_for_every_chain(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, "iso4217:EUR,2023-01-31,1.0863", "slip44:60,2023-01-31,1585.2")
    result = import_prices(ledger, path)
    assert (result.rows, result.added, result.replaced) == (2, 2, 0)
    assert prices(ledger) == [
        ("", "iso4217:EUR", date(2023, 1, 31), 1_086_300),
        ("", "slip44:60", date(2023, 1, 31), 1_585_200_000),
    ]
    assert import_prices(ledger, path).added == 0
    assert import_prices(ledger, write(tmp_path, "iso4217:EUR,2023-01-31,1.09")).replaced == 1
    assert ledger.connection.execute("SELECT count(*) FROM chain").fetchall() == [(0,)]


def test_rates_may_be_given_as_units_to_the_dollar(ledger: Ledger, tmp_path: Path) -> None:
    """A central bank writes 462.65 tenge to the dollar; one sum is 0.0000873743 dollars."""
    path = write(
        tmp_path,
        "iso4217:KZT,2023-01-31,462.65,",
        "iso4217:UZS,2023-01-31,11445,",
        "iso4217:EUR,2023-01-31,,1.0863",
        header="asset,day,per_usd,usd",
    )
    import_prices(ledger, path)
    assert prices(ledger) == [
        ("", "iso4217:EUR", date(2023, 1, 31), 1_086_300),
        ("", "iso4217:KZT", date(2023, 1, 31), 2_161_461_148, 10**6),
        ("", "iso4217:UZS", date(2023, 1, 31), 8_737_439_930, 10**8),
    ]
    only = write(tmp_path, "iso4217:KZT,2023-02-01,460", header="asset,day,per_usd")
    assert import_prices(ledger, only).added == 1


def test_a_price_stands_for_the_days_that_its_row_names_and_no_others(ledger: Ledger, tmp_path: Path) -> None:
    """Friday's rate until Sunday; nothing is carried on by itself."""
    path = write(
        tmp_path,
        "iso4217:EUR,2023-01-27,1.08,2023-01-29",
        "iso4217:EUR,2023-01-30,1.09,",
        header="asset,day,usd,until",
    )
    result = import_prices(ledger, path)
    assert (result.rows, result.added) == (2, 4)
    assert [(row[2].day, row[3]) for row in prices(ledger)] == [
        (27, 1_080_000),
        (28, 1_080_000),
        (29, 1_080_000),
        (30, 1_090_000),
    ]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("iso4217:EUR,2023-01-31,1,,2023-01-30", "until"),
        ("iso4217:EUR,2023-01-31,1,,2043-01-30", "until"),
        ("iso4217:EUR,2023-01-31,1,,tomorrow", "until"),
        ("iso4217:EUR,9999-12-31,1,,10000-01-01", "until"),
        ("iso4217:EUR,2023-01-31,1,2,", "per_usd"),
        ("iso4217:EUR,2023-01-31,,0,", "per_usd"),
        ("iso4217:EUR,2023-01-31,,-2,", "per_usd"),
        ("iso4217:EUR,2023-01-31,,,", "usd"),
    ],
)
def test_hostile_ranges_and_rates_are_refused(ledger: Ledger, tmp_path: Path, line: str, column: str) -> None:
    before = dump(ledger)
    with pytest.raises(ColumnError, match="line 2") as caught:
        import_prices(ledger, write(tmp_path, line, header="asset,day,usd,per_usd,until"))
    assert caught.value.column == column
    assert dump(ledger) == before


def test_a_column_that_is_there_twice_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="twice"):
        import_prices(ledger, write(tmp_path, "slip44:60,2023-01-31,1,2", header="asset,day,usd,usd"))


def test_ranges_that_overlap_with_other_prices_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    rows = ("iso4217:EUR,2023-01-27,1.08,2023-01-30", "iso4217:EUR,2023-01-30,1.09,")
    with pytest.raises(FileError, match="line 3 gives another price"):
        import_prices(ledger, write(tmp_path, *rows, header="asset,day,usd,until"))
