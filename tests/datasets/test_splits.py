"""Training targets: who decides, whose account it is, and which dates hold."""

from pathlib import Path

import pytest

from datasets.labels import import_labels
from datasets.splits import TARGET_SCHEMA, Targets, resolve_targets, training_targets
from datasets.store import Ledger, open_ledger
from tests.datasets.claimed import RECORDED, Party, bitcoin, day, evm, write_csv, write_sdn

COLUMNS = "account,category,entity,confidence,published_at,may_train"


def resolve(tmp_path: Path, *rows: str, known_before: object = None) -> Targets:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        _import(ledger, tmp_path, *rows)
        return resolve_targets(ledger, known_before=known_before)  # type: ignore[arg-type]


def _import(ledger: Ledger, tmp_path: Path, *rows: str) -> None:
    import_labels(ledger, "csv", write_csv(tmp_path / "labels.csv", COLUMNS, *rows), recorded_at=RECORDED)


def one(targets: Targets) -> dict[str, object]:
    (row,) = targets.table.to_pylist()
    return dict(row)


def test_a_target(tmp_path: Path) -> None:
    targets = resolve(tmp_path, f"{bitcoin(1)},drug_vendor,Owner 1,0.9,2024-05-01,")
    assert one(targets) == {
        "account": f"bip122:000000000019d6689c085ae165831e93:{bitcoin(1)}",
        "owner": "Owner 1",
        "drug": True,
        "category": "drug_vendor",
        "published_at": day(2024, 5, 1),
        "acted_at": day(2024, 5, 1),
    }
    assert targets.table.schema == TARGET_SCHEMA


def test_an_account_without_an_entity_is_its_own_owner(tmp_path: Path) -> None:
    found = one(resolve(tmp_path, f"{bitcoin(1)},scam,,0.9,2024-05-01,"))
    assert found["owner"] == f"key of {bitcoin(1)}"
    assert found["drug"] is False


@pytest.mark.parametrize(
    "row",
    [
        f"{bitcoin(1)},drug_vendor,,0.9,2024-05-01,false",
        f"{bitcoin(1)},drug_vendor,,0.9,,",
        f"{bitcoin(1)},sanctioned,,0.9,2024-05-01,",
        f"{bitcoin(1)},unspecified,,0.9,2024-05-01,",
    ],
)
def test_what_may_not_be_learnt_from_is_no_target(tmp_path: Path, row: str) -> None:
    assert resolve(tmp_path, row).table.num_rows == 0


def test_nothing_later_than_the_moment_is_seen(tmp_path: Path) -> None:
    rows = (f"{bitcoin(1)},scam,,0.6,2024-01-01,", f"{bitcoin(1)},drug_vendor,,0.9,2024-06-01,")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        _import(ledger, tmp_path, *rows)
        in_march = training_targets(ledger, known_before=day(2024, 3, 1)).to_pylist()
        at_last = training_targets(ledger, known_before=None).to_pylist()
    assert [row["drug"] for row in in_march] == [False]
    assert [row["drug"] for row in at_last] == [True]


def test_the_most_confident_label_decides(tmp_path: Path) -> None:
    targets = resolve(
        tmp_path,
        f"{bitcoin(1)},exchange,,0.7,2024-01-01,",
        f"{bitcoin(1)},drug_treasury,,0.9,2024-03-01,",
        f"{bitcoin(1)},drug_vendor,,0.5,2024-02-01,",
    )
    found = one(targets)
    assert (found["drug"], found["category"]) == (True, "drug_treasury")
    assert found["published_at"] == day(2024, 2, 1)
    assert (targets.outvoted, targets.contradictions) == (1, 0)


def test_equally_sure_contradictions_are_left_out(tmp_path: Path) -> None:
    targets = resolve(
        tmp_path,
        f"{bitcoin(1)},exchange,,0.9,2024-01-01,",
        f"{bitcoin(1)},drug_treasury,,0.9,2024-03-01,",
        f"{bitcoin(2)},exchange,,0.9,2024-01-01,",
    )
    assert targets.table.num_rows == 1
    assert targets.contradictions == 1


def test_names_of_one_owner_are_one_owner(tmp_path: Path) -> None:
    targets = resolve(
        tmp_path,
        f"{bitcoin(1)},exchange,Corner-Exchange,0.9,2024-01-01,",
        f"{bitcoin(2)},exchange,CORNER EXCHANGE,0.9,2024-01-01,",
        f"{bitcoin(2)},exchange,Ce Holding,0.8,2024-01-01,",
        f"{bitcoin(3)},exchange,ce holding,0.8,2024-01-01,",
        f"{bitcoin(4)},exchange,Another,0.8,2024-01-01,",
    )
    owners = targets.table["owner"].to_pylist()
    assert sorted(owners) == ["Another"] + ["CORNER EXCHANGE"] * 3
    assert targets.merged_owners == 3


def test_the_first_public_action_counts_for_all_accounts_of_the_owner(tmp_path: Path) -> None:
    targets = resolve(
        tmp_path,
        f"{bitcoin(1)},drug_vendor,A,0.9,2024-01-01,",
        f"{bitcoin(2)},drug_vendor,A,0.9,2024-06-01,",
        f"{bitcoin(3)},exchange,A,0.9,2024-03-01,",
    )
    found = {row["account"][-6:]: row for row in targets.table.to_pylist()}
    second, third = found[bitcoin(2)[-6:]], found[bitcoin(3)[-6:]]
    assert (second["published_at"], second["acted_at"]) == (day(2024, 6, 1), day(2024, 1, 1))
    assert third["acted_at"] == day(2024, 3, 1)
    assert targets.mixed_owners == 1


def test_a_sanction_acts_from_the_day_of_listing(tmp_path: Path) -> None:
    party = Party("DOE", ["SDNTK"], [("ETH", evm(1))], "2019-08-21")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        path = write_sdn(tmp_path / "sdn.xml", [party], issued="2026-01-15")
        import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        found = one(resolve_targets(ledger, known_before=None))
    assert found["published_at"] == day(2026, 1, 15)
    assert found["acted_at"] == day(2019, 8, 21)
