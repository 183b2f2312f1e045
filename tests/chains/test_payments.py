"""Payment files: the mapping, each kind of row with a near miss beside it, and what a file cannot do."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chains.encoding import encode_base58check
from chains.errors import ColumnError, FileError
from chains.files.layouts import PaymentMapping, read_layout
from chains.registry import Chain, find_chain
from tests.chains.legs import Read, gather, legs_of, reasons

BANK = find_chain("payments:bank")
TRON = find_chain("tron")
ETHEREUM = find_chain("ethereum")
USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
PLAIN = ("time=when", "payer=from", "payee=to", "amount=sum", "currency=unit")
HEADER = "when,from,to,sum,unit\n"


def tron_address(number: int) -> str:
    return encode_base58check(b"\x41" + bytes([number]) * 20)


def write(folder: Path, text: str, name: str = "payments.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(path: Path, chain: Chain, *items: str, **options: Any) -> Read:
    mapping = PaymentMapping.parse(items or PLAIN)
    return gather(read_layout("payments", path, chain=chain, mapping=mapping, **options))


GOLDEN = HEADER + "".join(
    f"{row}\n"
    for row in (
        "2024-05-01 10:00:00,anna,boris,12.34,USD",
        "2024-05-01T10:00:00+05:00,anna,Магазин 7,1000,kzt",
        "2024-05-01T05:00:00Z,boris,boris,0,JPY",
        "2024-05-01,anna,boris,12.345,USD",
        "yesterday,anna,boris,1,USD",
        ",anna,boris,1,USD",
        "1965-01-01,anna,boris,1,USD",
        "2024-05-01,,boris,1,USD",
        '2024-05-01,anna,"a\tb",1,USD',
        "2024-05-01,anna,boris,-1,USD",
        "2024-05-01,anna,boris,,USD",
        "2024-05-01,anna,boris,1e40,USD",
        "2024-05-01,anna,boris,1,",
        "2024-05-01,anna,boris,1,points",
        '2024-05-01,"anna, of Osh","two\nlines",1,USD',
        '2024-05-01,"anna, of Osh",boris,1,USD',
    )
)


def test_times_beyond_any_calendar_are_set_aside(tmp_path: Path) -> None:
    columns = {"from": ["anna"] * 3, "to": ["boris"] * 3, "sum": ["1"] * 3, "unit": ["USD"] * 3}
    times = pa.array([0, -(2**62), 2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"when": times, **columns}), tmp_path / "p.parquet")
    assert reasons(read(tmp_path / "p.parquet", BANK)) == {1: "bad_time", 2: "bad_time"}


def test_every_row_makes_a_transfer_or_a_rejection(tmp_path: Path) -> None:
    found = read(write(tmp_path, GOLDEN), BANK)
    assert [row["row"] for row in found.transfers] == [0, 1, 2, 3, 15]
    assert [row["time"].isoformat() for row in found.transfers[:4]] == [
        "2024-05-01T10:00:00",
        "2024-05-01T05:00:00",
        "2024-05-01T05:00:00",
        "2024-05-01T00:00:00",
    ]
    assert [row["lossy"] for row in found.transfers] == [False, False, False, True, False]
    assert {row["kind"] for row in found.transfers} == {"native"}
    assert all(
        row["height"] is row["position"] is row["hash"] is row["block_hash"] is None
        for row in found.transfers
    )
    assert legs_of(found, 0) == [("payer", 0, "anna", 1234), ("payee", 0, "boris", 1234)]
    assert legs_of(found, 1) == [("payer", 0, "anna", 100_000), ("payee", 0, "Магазин 7", 100_000)]
    assert legs_of(found, 2) == [("payer", 0, "boris", 0), ("payee", 0, "boris", 0)]
    assert legs_of(found, 4) == [("payer", 0, "anna, of Osh", 100), ("payee", 0, "boris", 100)]
    assert reasons(found) == {
        4: "bad_time",
        5: "bad_time",
        6: "bad_time",
        7: "bad_address",
        8: "bad_address",
        9: "bad_amount",
        10: "bad_amount",
        11: "too_large",
        12: "bad_currency",
        13: "bad_currency",
        14: "bad_address",
    }
    assert all(row["detail"].isprintable() for row in found.rejected)
    assert {name: asset.decimals for name, asset in found.assets.items()} == {
        "iso4217:JPY": 0,
        "iso4217:KZT": 2,
        "iso4217:USD": 2,
    }
    assert [asset.reference for asset in found.assets.values() if asset.usd_pegged] == ["iso4217:USD"]


@pytest.mark.parametrize("rows_per_batch", [1, 3, 7])
def test_the_size_of_batches_changes_nothing(tmp_path: Path, rows_per_batch: int) -> None:
    path = write(tmp_path, GOLDEN)
    assert read(path, BANK, rows_per_batch=rows_per_batch) == read(path, BANK)


@pytest.mark.parametrize("name", ["payments.csv.gz", "payments.tsv", "payments.parquet", "PAYMENTS.CSV"])
def test_each_format_says_the_same(tmp_path: Path, name: str) -> None:
    rows = [line.split(",") for line in GOLDEN.splitlines()[1:5]]
    path = tmp_path / name
    if name.endswith("parquet"):
        columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, names=HEADER.strip().split(",")), path)
    elif name.endswith("tsv"):
        path.write_text("\n".join(line.replace(",", "\t") for line in GOLDEN.splitlines()[:5]))
    else:
        text = ("\ufeff" + "\r\n".join(GOLDEN.splitlines()[:5])).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    plain = read(write(tmp_path, "\n".join(GOLDEN.splitlines()[:5]), "plain.csv"), BANK)
    assert read(path, BANK) == plain


def test_token_transfers_name_the_contract_and_spam_stays_unlisted(tmp_path: Path) -> None:
    spam, fake = tron_address(9), tron_address(8)
    rows = [
        f"{tron_address(1)},{tron_address(2)},1600000000123,9999000000,{USDT},6,USDT,{'ab' * 32}",
        f"{tron_address(1)},{tron_address(2)},1600000000123,{10**23},{spam},18,WIN-100-TRX.com,0x{'cd' * 32}",
        f"{tron_address(1)},{tron_address(2)},1600000000123,5,{fake},6,USDT,not a hash",
        f"{tron_address(1)},{tron_address(2)},1600000000123,5,_,6,TRX,",
        f"{tron_address(1)},{tron_address(2)},1600000000123,5,USDT,6,USDT,",
        f"{tron_address(1)[:-1]}1,{tron_address(2)},1600000000123,5,{USDT},6,USDT,",
        f"{tron_address(1)},{tron_address(2)},1600000000123,1.5,{USDT},6,USDT,",
        f"41{'01' * 20},{tron_address(2)},1600000000123,7,{spam},6,OTHER,",
    ]
    path = write(tmp_path, "a,b,ms,quant,token,decimals,name,tx\n" + "\n".join(rows))
    items = ("time=ms:ms", "payer=a", "payee=b", "amount=quant:units", "currency=token", "decimals=decimals",
             "symbol=name", "reference=tx")  # fmt: skip
    found = read(path, TRON, *items)
    assert [(row["kind"], row["asset"]) for row in found.transfers] == [
        ("token", f"trc20:{USDT}"),
        ("token", f"trc20:{spam}"),
        ("token", f"trc20:{fake}"),
        ("native", "slip44:195"),
        ("token", f"trc20:{spam}"),
    ]
    assert reasons(found) == {4: "bad_currency", 5: "bad_address", 6: "bad_amount"}
    assert [row["hash"] for row in found.transfers] == [b"\xab" * 32, b"\xcd" * 32, b"not a hash", None, None]
    assert found.transfers[0]["time"] == datetime(2020, 9, 13, 12, 26, 40, 123000)  # noqa: DTZ001
    listed = {name: asset.listed for name, asset in found.assets.items()}
    assert listed == {
        f"trc20:{USDT}": True,
        f"trc20:{spam}": False,
        f"trc20:{fake}": False,
        "slip44:195": True,
    }
    # The first row that names an asset describes it, whatever the size of batches.
    assert (found.assets[f"trc20:{spam}"].symbol, found.assets[f"trc20:{spam}"].decimals) == (
        "WIN-100-TRX.com",
        18,
    )
    assert legs_of(found, 4)[0] == ("payer", 0, tron_address(1), 7)
    assert read(path, TRON, *items, rows_per_batch=2) == found
    chosen = read(path, TRON, *items, listed=[f"trc20:{spam}", fake])
    assert all(asset.listed for asset in chosen.assets.values())


def test_a_rejected_row_describes_no_asset(tmp_path: Path) -> None:
    token, address = tron_address(9), tron_address(1)
    rows = f"{address}x,{address},{token},18,FAKE\n{address},{address},{token},6,REAL\n"
    path = write(tmp_path, "a,b,token,digits,name\n" + rows)
    path.write_text(
        path.read_text().replace("\n", ",2024-05-01,1\n").replace("name,2024-05-01,1", "name,t,v")
    )
    found = read(path, TRON, "time=t", "payer=a", "payee=b", "amount=v", "currency=token", "decimals=digits",
                 "symbol=name")  # fmt: skip
    assert [(asset.symbol, asset.decimals) for asset in found.assets.values()] == [("REAL", 6)]
    assert legs_of(found, 0)[0][3] == 1_000_000


def test_evm_payers_and_payees_are_checked(tmp_path: Path) -> None:
    good, shown = "0x" + "ab" * 20, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    rows = [
        f"{good},{shown}",
        f"{good},{shown.replace('Ef1B', 'ef1B')}",
        f"{good[:-1]},{good}",
        f"{good},TRX",
    ]
    path = write(tmp_path, "a,b,t,v\n" + "".join(f"{row},2023-01-13 20:34:11,200000.0\n" for row in rows))
    found = read(path, ETHEREUM, "time=t", "payer=a", "payee=b", "amount=v", "currency=@USD")
    assert legs_of(found, 0) == [("payer", 0, good, 20_000_000), ("payee", 0, shown.lower(), 20_000_000)]
    assert reasons(found) == {1: "bad_address", 2: "bad_address", 3: "bad_address"}
    assert "EIP-55" in found.rejected[0]["detail"]
    assert found.transfers[0]["kind"] == "native"


def test_a_constant_may_name_a_listed_token_by_its_symbol_a_column_may_not(tmp_path: Path) -> None:
    address = "0x" + "ab" * 20
    path = write(tmp_path, HEADER + f"2024-05-01,{address},{address},1.5,USDT\n")
    assert reasons(read(path, ETHEREUM)) == {0: "bad_currency"}
    found = read(path, ETHEREUM, *PLAIN[:4], "currency=@USDT")
    assert found.transfers[0]["asset"] == "erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"
    assert found.transfers[0]["kind"] == "token"
    assert legs_of(found, 0)[0][3] == 1_500_000
    with pytest.raises(ColumnError, match="currency=@NOPE"):
        read(path, ETHEREUM, *PLAIN[:4], "currency=@NOPE")


def test_types_of_parquet_are_kept_exact(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 1, 10, tzinfo=UTC)
    amounts = {
        "double": pa.array([0.1, 123456789.125]),
        "decimal": pa.array([Decimal("0.10"), Decimal("123456789.13")], pa.decimal128(20, 2)),
        "whole": pa.array([1, 10**15], pa.int64()),
    }
    times = {
        "aware": pa.array([moment] * 2, pa.timestamp("ns", tz="Asia/Bishkek")),
        "naive": pa.array([moment.replace(tzinfo=None)] * 2, pa.timestamp("ms")),
        "day": pa.array([date(2024, 5, 1)] * 2),
        "seconds": pa.array([1714557600, 1714557600]),
    }
    expected = {"double": [10, 12345678912], "decimal": [10, 12345678913], "whole": [100, 10**17]}
    columns = {"from": pa.array([17, 18]), "to": pa.array(["a", "b"]), **amounts, **times}
    path = tmp_path / "typed.parquet"
    pq.write_table(pa.table(columns), path)
    base = ("payer=from", "payee=to", "currency=@EUR")
    for name, raw in expected.items():
        found = read(path, BANK, "time=aware", f"amount={name}", *base)
        assert [int(leg["amount"]) for leg in found.legs if leg["side"] == "payee"] == raw
        assert [row["lossy"] for row in found.transfers] == [False, name == "double"]
        assert found.legs[0]["account"] == "17"
    for name in times:
        found = read(
            path, BANK, f"time={name}:s" if name == "seconds" else f"time={name}", "amount=whole", *base
        )
        hour = 0 if name == "day" else 10
        assert found.transfers[0]["time"] == moment.replace(tzinfo=None, hour=hour)
    with pytest.raises(ColumnError, match="time=COLUMN:ms"):
        read(path, BANK, "time=seconds", "amount=whole", *base)
    with pytest.raises(ColumnError, match="doubles"):
        read(path, BANK, "time=aware", "amount=whole", "payer=double", "payee=to", "currency=@EUR")


def test_own_units_of_a_payment_system_need_their_decimals(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "2024-05-01,a,b,1.5,gold coins\n")
    assert reasons(read(path, BANK)) == {0: "bad_currency"}
    found = read(path, BANK, *PLAIN, "decimals=@3")
    assert legs_of(found, 0)[0][3] == 1500
    asset = found.assets["currency:gold%20coins"]
    assert (asset.decimals, asset.listed) == (3, False)
    assert read(path, BANK, *PLAIN, "decimals=@3", listed=["gold coins"]).assets[asset.reference].listed


def test_without_a_mapping_columns_are_called_as_the_fields(tmp_path: Path) -> None:
    path = write(tmp_path, "time,payer,payee,amount,currency,reference,note\n2024-05-01,a,b,1,USD,inv 7,x\n")
    found = gather(read_layout("payments", path, chain=BANK))
    assert found.transfers[0]["hash"] == b"inv 7"
    path = write(tmp_path, "time,payer,payee,amount\n2024-05-01,a,b,1\n")
    with pytest.raises(ColumnError, match="'currency'"):
        read_layout("payments", path, chain=BANK)


def test_a_reference_of_a_payment_is_its_text_even_where_it_looks_like_a_hash(tmp_path: Path) -> None:
    path = write(tmp_path, f"t,a,b,v,r\n2024-05-01,a,b,1,{'ab' * 32}\n2024-05-01,a,b,1,{'x' * 257}\n")
    found = read(path, BANK, "time=t", "payer=a", "payee=b", "amount=v", "currency=@USD", "reference=r")
    assert found.transfers[0]["hash"] == ("ab" * 32).encode()
    assert reasons(found) == {1: "bad_reference"}


def test_the_mapping_is_one_json_text_and_says_what_it_was_given() -> None:
    mapping = PaymentMapping.parse(
        ["payer=from", "payee=to:us", "time=ts:ms", "amount=a:units", "currency=@USD"]
    )
    assert json.loads(mapping.as_json()) == {
        "amount": "a:units", "currency": "@USD", "payee": "to:us", "payer": "from", "time": "ts:ms"
    }  # fmt: skip
    again = PaymentMapping.parse(
        ["currency=@USD", "time=ts:ms", "amount=a:units", "payee=to:us", "payer=from"]
    )
    assert again.as_json() == mapping.as_json()
    assert (mapping.column("time"), mapping.hint("time")) == ("ts", "ms")
    assert (mapping.column("payee"), mapping.hint("payee")) == ("to:us", None)
    assert (mapping.column("currency"), mapping.constant("currency")) == (None, "USD")


@pytest.mark.parametrize(
    ("items", "named"),
    [
        (PLAIN[1:], "time"),
        (PLAIN[:4], "currency"),
        ((*PLAIN, "amount=other"), "amount"),
        ((*PLAIN, "colour=red"), "colour"),
        ((*PLAIN, "reference"), "reference"),
        ((*PLAIN, "reference="), "reference="),
        (("time=@now", *PLAIN[1:]), "time"),
    ],
)
def test_a_wrong_mapping_is_refused_by_the_field(items: tuple[str, ...], named: str) -> None:
    with pytest.raises(ColumnError) as caught:
        PaymentMapping.parse(items)
    assert caught.value.column == named


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = write(tmp_path, GOLDEN)
    with pytest.raises(ColumnError, match=r"'sender'.*when, from, to, sum, unit") as caught:
        read_layout(
            "payments",
            path,
            chain=BANK,
            mapping=PaymentMapping.parse(("payer=sender", *PLAIN[:1], *PLAIN[2:])),
        )
    assert caught.value.column == "sender"
    write(tmp_path, "when,from,to,sum,unit,sum\n")
    with pytest.raises(ColumnError, match="twice"):
        read(path, BANK)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    mapping = PaymentMapping.parse(PLAIN)

    def refused(path: Path, match: str) -> None:
        with pytest.raises(FileError, match=match):
            gather(read_layout("payments", path, chain=BANK, mapping=mapping))

    refused(tmp_path / "absent.csv", "no such file")
    refused(tmp_path, "folder")
    refused(write(tmp_path, GOLDEN, "payments.xlsx"), "must end in")
    refused(write(tmp_path, "", "empty.csv"), "empty")
    refused(write(tmp_path, GOLDEN + "2024-05-01,anna", "cut.csv"), "a row has 2 columns, the header 5")
    refused(write(tmp_path, "{}", "payments.jsonl"), "CSV or Parquet")
    refused(write(tmp_path, GOLDEN, "text.parquet"), "not a Parquet file")
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(GOLDEN.encode() * 50)[:-20])
    refused(path, "truncated or not a gzip file")
    path.write_bytes(GOLDEN.encode())
    refused(path, "truncated or not a gzip file")
    path = tmp_path / "latin.csv"
    path.write_bytes(HEADER.encode() + b"2024-05-01,Andr\xe9,b,1,USD\n")
    refused(path, "UTF-8")


def test_a_table_of_a_header_alone_has_no_batches(tmp_path: Path) -> None:
    assert read(write(tmp_path, HEADER), BANK) == Read([], [], [], {})
