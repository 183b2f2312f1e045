"""The real files beside the project, read whole: rows, integer sums and what is set aside."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from chains.address import candidate_accounts, key_form, parse_account
from chains.errors import AddressError, UnknownChain
from chains.files.layouts import PaymentMapping, read_layout
from chains.registry import find_chain
from tests.chains.legs import Read, gather
from tests.shared_data import shared_data

pytestmark = pytest.mark.shared

USDT = "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
TRON = (
    "time=timestamp:ms payer=from_address payee=to_address amount=quant:units currency=token_id "
    "decimals=token_decimal symbol=token_abbr reference=tx_id"
)
LAUNDERING = "time=Timestamp payer=From payee=To amount=Value_in_USD currency=@USD reference=Tx_hash"
GENERATED = "time=time payer=from_account payee=to_account amount=amount currency=currency reference=tx_id"


def read(path: Path, layout: str, chain: str, items: str = "") -> Read:
    mapping = PaymentMapping.parse(items.split()) if items else None
    return gather(read_layout(layout, path, chain=find_chain(chain), mapping=mapping))


def test_addresses_of_ofacs_list_are_read_bare_and_have_one_key_form_on_their_chain() -> None:
    with (shared_data() / "labels" / "ofac" / "addresses_by_program.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 761
    for row in rows:
        if len(row["address"]) == 64:  # one is a hash in hex, which only its listing makes an account
            assert parse_account(row["address"], find_chain("monero")).address == row["address"]
            continue
        bare = candidate_accounts(row["address"])
        assert key_form(bare[0].address) == key_form(row["address"])
        try:
            named = parse_account(row["address"], find_chain(row["currency"]))
        except (AddressError, UnknownChain):
            assert row["currency"] in ("USDT", "USDC", "XBT", "BNB")  # of a token, or of another chain's form
            continue
        assert key_form(named.address) == key_form(bare[0].address)


def paid(found: Read) -> dict[str, int]:
    assets = [row["asset"] for row in found.transfers]
    sums: dict[str, int] = defaultdict(int)
    for leg in found.legs:
        if leg["side"] == "payee":
            sums[assets[leg["transfer"]]] += int(leg["amount"])
    return dict(sums)


def test_the_coinjoins_of_bitcoin() -> None:
    path = shared_data() / "ledgers" / "bitcoin_coinjoin" / "transactions.parquet"
    found = read(path, "aws-btc", "bitcoin")
    sides = [leg["side"] for leg in found.legs]
    assert (len(found.transfers), sides.count("payer"), sides.count("payee")) == (6003, 54875, 61030)
    assert found.rejected == []
    assert not any(row["lossy"] for row in found.transfers)
    assert sum(row["position"] is None for row in found.transfers) == 84
    data = [leg for leg in found.legs if leg["account"].startswith("output-")]
    assert len(data) == 777
    assert sum(int(leg["amount"]) for leg in data) == 0


def test_the_wallets_of_a_seizure_on_tron() -> None:
    found = read(shared_data() / "ledgers" / "tron_usdt" / "transfers.csv", "payments", "tron", TRON)
    assert len(found.transfers) == 5764
    assert found.rejected == []
    assert sum(row["asset"] == USDT for row in found.transfers) == 5724
    assert [asset.reference for asset in found.assets.values() if asset.listed] == [USDT]
    assert len(found.assets) == 25


@pytest.mark.parametrize(("name", "rows"), [("harmony", 3887), ("atomic", 1080), ("xscam", 1307)])
def test_the_laundering_paths_on_ethereum(name: str, rows: int) -> None:
    path = shared_data() / "ledgers" / "ethereum_laundering" / name / "transfers.csv"
    found = read(path, "payments", "ethereum", LAUNDERING)
    assert len(found.transfers) == rows
    assert found.rejected == []
    assert list(found.assets) == ["iso4217:USD"]
    assert all(len(row["hash"]) == 32 for row in found.transfers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "currency"), [("amlsim", 231134, "USD"), ("amlgentex", 233082, "SEK")]
)
def test_the_payments_of_two_generators(name: str, rows: int, currency: str) -> None:
    path = shared_data() / "ledgers" / "generated_payments" / name / "transfers.parquet"
    found = read(path, "payments", f"payments:{name}", GENERATED)
    assert len(found.transfers) == rows
    assert found.rejected == []
    assert not any(row["lossy"] for row in found.transfers)
    assert list(paid(found)) == [f"iso4217:{currency}"]
