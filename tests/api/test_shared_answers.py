"""Real files from the command line to the answer: what the lists name is named, and no model oversteps."""

import csv
import json
from pathlib import Path

import pytest

from api.screening import screen
from api.serving import Served, open_served
from api.settings import Settings
from models.registry import Population
from models.rules import Level
from tests.api.test_cli import run
from tests.api.world import save_counting_model
from tests.shared_data import shared_data

pytestmark = pytest.mark.shared

SIMULATED = Population(simulated=True, chains=("eip155:78284",))
TRON = [
    *("time=timestamp:ms", "payer=from_address", "payee=to_address", "amount=quant:units"),
    *("currency=token_id", "reference=tx_id", "decimals=token_decimal", "symbol=token_abbr"),
]
THEFT = [
    *("time=Timestamp", "payer=From", "payee=To", "amount=Value_in_USD", "currency=@USD"),
    "reference=Tx_hash",
]
GENERATED = ["time=time", "payer=from_account", "payee=to_account", "amount=amount", "currency=currency"]

LEDGERS = [
    ("bitcoin_coinjoin/transactions.parquet", "aws-btc", "bitcoin", [], 6003),
    ("tron_usdt/transfers.csv", "payments", "tron", TRON, 5764),
    ("ethereum_laundering/harmony/transfers.csv", "payments", "ethereum", THEFT, 3887),
    ("generated_payments/amlgentex/transfers.parquet", "payments", "payments:amlgentex", GENERATED, 233_082),
]


@pytest.fixture(scope="module")
def sanctioned(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Return a snapshot of an empty ledger that knows OFAC's list."""
    folder = tmp_path_factory.mktemp("ofac")
    path = shared_data() / "labels" / "ofac" / "sdn_advanced_2025-11-19.xml.bz2"
    assert run("labels", "import", "ofac", str(path), "--dir", str(folder)) == 0
    assert run("build", "--dir", str(folder)) == 0
    return open_served(Settings(dir=folder))


def read_list() -> list[dict[str, str]]:
    path = shared_data() / "labels" / "ofac" / "addresses_by_program.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_address_of_ofac_is_named_without_any_transfer(sanctioned: Served) -> None:
    rows = read_list()
    assert len(rows) == 761
    severe = set()
    for row in rows:
        found = screen(row["address"], sanctioned.snapshot, None)
        assert found.decided_by == "sanction", row
        assert found.risk_level in (Level.MEDIUM, Level.SEVERE), row
        listed = {(match.entity, match.programmes) for match in found.sanctions}
        programmes = tuple(sorted(row["programs"].split(";")))
        assert (row["entity"], programmes) in {(name, tuple(sorted(found))) for name, found in listed}, row
        assert any(row["entity"] in finding.text for finding in found.findings), row
        if row["is_drug"] == "1":
            assert found.risk_level is Level.SEVERE, row
            severe.add(row["address"])
    assert len(severe) > 100


def test_hydra_is_severe_and_an_exchange_is_not(sanctioned: Served) -> None:
    by_entity = {row["entity"]: row["address"] for row in read_list()}
    hydra = next(address for entity, address in by_entity.items() if "HYDRA" in entity.upper())
    assert screen(hydra, sanctioned.snapshot, None).risk_level is Level.SEVERE
    suex = next(address for entity, address in by_entity.items() if "SUEX" in entity.upper())
    assert screen(suex, sanctioned.snapshot, None).risk_level is Level.MEDIUM


@pytest.mark.parametrize(
    ("name", "layout", "chain", "mapping", "rows"), LEDGERS, ids=["coinjoin", "tron", "theft", "generated"]
)
def test_a_real_ledger_is_screened_and_no_simulated_model_sets_a_level(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    layout: str,
    chain: str,
    mapping: list[str],
    rows: int,
) -> None:
    folder = ["--dir", str(tmp_path)]
    maps = [f"--map={item}" for item in mapping]
    words = ["import", layout, str(shared_data() / "ledgers" / name), "--chain", chain, *maps, *folder]
    assert run(*words) == 0
    capsys.readouterr()
    assert run("status", "--json", *folder) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["chains"][0]["transfers"] == rows
    assert run(*words) == 0
    assert "already in" in capsys.readouterr().out
    assert run("status", "--json", *folder) == 0
    assert {**json.loads(capsys.readouterr().out), "counted_at": None} == {**before, "counted_at": None}
    save_counting_model(tmp_path / "models", SIMULATED)
    assert run("build", *folder) == 0
    served = open_served(Settings(dir=tmp_path))
    assert len(served.snapshot) > 100
    for row in list(range(0, len(served.snapshot), len(served.snapshot) // 50)) + served.snapshot.riskiest(
        10
    ):
        found = screen(served.snapshot.account(row), served.snapshot, served.model)
        assert (found.risk_level, found.decided_by) == (Level.UNKNOWN, "none")
        assert found.risk_score is not None
        assert found.probability is None
        assert "model_not_valid_for_chain" in {remark.id for remark in found.unknown_reasons}
    capsys.readouterr()
    assert run("screen", served.snapshot.account(0), *folder) == 0
    assert "the model was trained on the simulated world" in " ".join(capsys.readouterr().out.split())
