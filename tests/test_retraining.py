"""Retraining from closed cases, from the first model to the way back, as an office would do it."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from api.settings import Settings
from chains.errors import ModelError
from datasets.casework import SOURCE, copy_cases
from datasets.label_queries import count_labels
from datasets.records.cases import approve_case, decide_case, open_case
from datasets.records.store import open_records
from datasets.store import open_ledger
from models.compare import compare, seen_owners, write_comparison
from models.pipeline import train_from_ledger
from models.prepare import prepare
from models.promotion import promote
from models.registry import Model, current_version
from tests.api.test_cli import run
from tests.retraining import DAYS, START, Holder, make_ledger
from tests.test_main_job import silkscreen

END = START + timedelta(days=DAYS + 1)


@dataclass(frozen=True)
class Office:
    """A data folder, its first model, and the owners whom no label names yet."""

    settings: Settings
    champion: Model
    unlabelled: list[Holder]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    settings = Settings(dir=tmp_path_factory.mktemp("office"))
    _, others = make_ledger(settings.ledger)
    champion = train_from_ledger(settings.ledger, settings.models, threads=2)
    return Office(settings, champion, others)


def close_cases(settings: Settings, holders: list[Holder]) -> None:
    """Open and decide a case on each when it became known; of each tenth nobody is sure."""
    with open_records(settings.records) as records:
        for number, holder in enumerate(holders):
            at = holder.known_at
            case = open_case(records, holder.account, by="Aigul", now=at)
            outcome = "inconclusive" if number % 10 == 9 else "confirmed" if holder.drug else "cleared"
            category = None if outcome == "inconclusive" else holder.category
            decide_case(records, case.id, outcome, by="Aigul", now=at, category_id=category)
            if outcome == "confirmed":
                approve_case(records, case.id, by="Bakyt", now=at + timedelta(hours=1))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_from_closed_cases_to_a_new_model_and_back(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, champion = office.settings, office.champion
    assert current_version(settings.models) == champion.version

    close_cases(settings, office.unlabelled)
    with open_records(settings.records) as records:
        done = copy_cases(records, settings.ledger, now=END)
    assert done.holding == done.added == len(office.unlabelled) - len(office.unlabelled) // 10
    with open_ledger(settings.ledger) as ledger:
        (counted,) = count_labels(ledger, by=["source", "kind"], sources=[SOURCE]).to_pylist()
    assert counted["may_train"] == counted["addresses"] == done.holding

    challenger = train_from_ledger(settings.ledger, settings.models, threads=1)
    assert current_version(settings.models) == champion.version != challenger.version
    before, after = (m.card["trained_on"]["folds"]["train"]["owners"] for m in (champion, challenger))
    assert after > before  # closed cases are among the rows that the trees grew on
    with open_records(settings.records) as records:
        assert copy_cases(records, settings.ledger, now=END).added == 0
    again = train_from_ledger(settings.ledger, tmp_path / "models", threads=2)
    assert digests(tmp_path / "models" / again.version) == digests(settings.models / challenger.version)

    with pytest.raises(ModelError, match="was not compared"):
        promote(settings.models, challenger.version, by="Aigul", approved_by="Bakyt", now=END)
    seen = seen_owners(settings.models, champion.version) | seen_owners(settings.models, challenger.version)
    rows = prepare(settings.ledger, threads=2).folds.test
    found = compare(champion, challenger, rows, seen=seen)
    assert found.verdict != "worse"
    assert found.drug_owners >= 5
    write_comparison(settings.models, found)
    told = ["--dir", str(settings.dir)]
    capsys.readouterr()
    assert run("models", "promote", challenger.version, "--by", "Aigul", "--approved-by", "Bakyt", *told) == 0
    assert found.difference is not None
    shown = capsys.readouterr().out
    assert f"in use now, after {champion.version}\n" in shown
    assert f": {found.difference.value:+.3f} [{found.difference.low:+.3f}, " in shown
    assert current_version(settings.models) == challenger.version
    assert run("models", "rollback", "--by", "Chynara", "--why", "too many alarms", *told) == 0
    assert current_version(settings.models) == champion.version
    capsys.readouterr()
    assert run("models", "history", "--json", *told) == 0
    history = json.loads(capsys.readouterr().out)
    assert [(entry["event"], entry["version"], entry["by"]) for entry in history] == [
        ("promoted", challenger.version, "Aigul"),
        ("rolled back", champion.version, "Chynara"),
    ]
    assert run("models", "list", *told) == 0
    assert found.verdict in capsys.readouterr().out


@pytest.mark.slow
def test_the_same_through_the_program(office: Office, tmp_path: Path) -> None:
    """Each command as docs/models.md gives it, in processes of their own."""
    folder = tmp_path / "var"
    shutil.copytree(office.settings.dir, folder, ignore=shutil.ignore_patterns("records*", "models"))
    first = json.loads(silkscreen("train", "--json", folder=folder))
    assert first["champion"] == first["version"]
    seeded = json.loads(silkscreen("train", "--seed", "2", "--json", folder=folder))
    assert seeded["challenger"]
    words = ["models", "promote", seeded["version"], "--by", "Aigul", "--approved-by", "Bakyt"]
    silkscreen(*words, folder=folder, code=1)
    shown = silkscreen("evaluate", "--model", seeded["version"], "--against", first["version"], folder=folder)
    assert "comparison kept" in shown
    silkscreen(*words, folder=folder)
    built = json.loads(silkscreen("build", "--json", folder=folder))
    assert built["model"] == seeded["version"]
    assert "addresses at" in silkscreen("models", "drift", folder=folder)
    silkscreen("models", "rollback", "--by", "Aigul", folder=folder)
    assert json.loads(silkscreen("build", "--json", folder=folder))["model"] == first["version"]
