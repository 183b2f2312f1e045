"""`silkscreen evaluate` on a real ledger: what it prints, writes and refuses."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.frame import FeatureFrame
from models import assess as assessing
from models import pipeline
from models import prepare as preparing
from models.compare import read_comparison
from models.leak_evidence import Rebuild
from models.prepare import Prepared, prepare
from models.rebuild import build_views, rebuild_from, sweep_copies
from models.registry import current_model
from tests.api.test_cli import run
from tests.models.town import make_town

Built = tuple[Prepared, Rebuild, Mapping[str, FeatureFrame]]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def built(ledger: Path) -> Built:
    """Build for real, once: the rows, what builds them again, and the narrower views."""
    found = prepare(ledger, threads=1)
    return found, rebuild_from(ledger, found, threads=1), build_views(ledger, found, threads=1)


@pytest.fixture(scope="module")
def town(ledger: Path, built: Built) -> tuple[Path, str, str]:
    """Return a data folder with a ledger and two models: the champion's version and a challenger's."""
    folder, versions = ledger.parent, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "prepare", lambda *_, **__: built[0])
        for seed in ("1", "2"):
            assert run("train", "--dir", str(folder), "--seed", seed, "--threads", "1") == 0
            versions += [p.name for p in (folder / "models").glob("m-*") if p.name not in versions]
    return folder, versions[0], versions[1]


@pytest.fixture
def prepared(built: Built, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Let every run of this module read what was built for the first."""
    monkeypatch.setattr(preparing, "prepare", lambda *_, **__: built[0])
    monkeypatch.setattr(assessing, "rebuild_from", lambda *_, **__: built[1])
    monkeypatch.setattr(assessing, "build_views", lambda *_, **__: built[2])
    return built[0]


def evaluate(folder: Path, *words: str) -> int:
    return run("evaluate", "--dir", str(folder), "--threads", "1", *words)


def test_a_challenger_is_compared_and_the_report_written(
    town: tuple[Path, str, str], prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, champion, challenger = town
    report = tmp_path / "report.html"
    words = ["--model", challenger, "--against", champion, "--html", str(report), "--json"]
    assert evaluate(folder, *words) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["model"] == challenger
    assert found["audit"]["passed"]
    assert [check["skipped"] for check in found["audit"]["checks"] if check["skipped"]] == []
    assert [line["name"] for line in found["groups"]["view"]] == ["whole", "last 90 days", "pulled histories"]
    kept = read_comparison(folder / "models", challenger=challenger, champion=champion)
    assert kept is not None
    assert kept.verdict == found["comparison"]["verdict"]
    assert f"{challenger}-against-{champion}.json" in shown.err
    text = report.read_text(encoding="utf-8")
    assert f"Evaluation of {challenger}" in text
    assert not list(folder.glob(".audit-*"))


def test_the_current_model_is_evaluated_in_tables(
    town: tuple[Path, str, str], prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, *_ = town
    current = current_model(folder / "models")
    assert current is not None
    assert evaluate(folder, "--capacity", "3") == 0
    shown = capsys.readouterr().out
    assert "owners that the model never saw" in shown
    assert "logistic regression" in shown
    assert "3 cases a day for 30 days are" in shown
    assert "The leak audit found nothing" in shown
    assert "An interval that holds 0 shows no difference." in shown


def plant_answers(prepared: Prepared) -> Prepared:
    """Return the rows with the answer written into a feature, as a leak would have it."""
    targets = dict(zip(*(prepared.targets[c].to_pylist() for c in ("account", "drug")), strict=True))
    folds = prepared.folds
    parts = {}
    for name in ("train", "valid", "test"):
        rows = getattr(folds, name)
        values = rows.values.copy()
        values[:, 0] = [float(targets[account]) for account in rows.accounts]
        parts[name] = replace(rows, values=values)
    return replace(prepared, folds=replace(folds, **parts))


def test_rows_that_leak_are_refused_and_no_comparison_is_kept(
    town: tuple[Path, str, str],
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, champion, challenger = town
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    shutil.rmtree(data / "models" / "comparisons", ignore_errors=True)
    leaky = plant_answers(prepared)
    monkeypatch.setattr(preparing, "prepare", lambda *_, **__: leaky)
    assert evaluate(data, "--model", challenger, "--against", champion) == 1
    shown = capsys.readouterr()
    assert "leak (single_feature): `transfers_in` alone ranks with ROC-AUC 1.000" in shown.err
    assert "leak (look_ahead)" not in shown.err
    assert "refused: the rows leak" in shown.err
    assert "THE LEAK AUDIT FOUND" in shown.out
    assert read_comparison(data / "models", challenger=challenger, champion=champion) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m-000000000000"], "there is no model 'm-000000000000': `silkscreen models list`"),
        (["--model", "../x"], "there is no model '../x'"),
        (["--html", "report.txt"], "report.txt: name a file that ends in .html"),
        (["--html", "/nowhere/at/all/report.html"], "there is no such folder"),
        (["--truth", "absent.csv"], "absent.csv: there is no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_built(
    town: tuple[Path, str, str],
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def build(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be built")

    monkeypatch.setattr(preparing, "prepare", build)
    assert evaluate(town[0], *words) == 1
    assert message in capsys.readouterr().err


def test_a_model_is_not_compared_with_itself(
    town: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, champion, _ = town
    assert evaluate(folder, "--model", champion, "--against", champion) == 1
    assert f"{champion} cannot be compared with itself" in capsys.readouterr().err


def test_without_a_model_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(tmp_path) == 1
    assert "run `silkscreen train` first" in capsys.readouterr().err


def test_what_a_killed_audit_left_is_removed(tmp_path: Path) -> None:
    for name in (".audit-999999999-x", f".audit-{os.getpid()}-y"):
        (tmp_path / name).mkdir()
    sweep_copies(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".audit-{os.getpid()}-y"]


def test_the_histories_pulled_are_those_asked_about(built: Built) -> None:
    prepared, _, views = built
    pulled, whole = views["pulled histories"], prepared.test
    column = whole.names.index("address_transfers_in")
    rows = {account: row for row, account in enumerate(pulled.accounts)}
    there = {account: row for row, account in enumerate(whole.accounts)}
    assert prepared.folds.test.accounts
    for account in prepared.folds.test.accounts:
        assert pulled.values[rows[account], column] == whole.values[there[account], column]


def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    town: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(town[0], "--html", "/proc/report.html") == 1
    assert "/proc: the report cannot be written there" in capsys.readouterr().err
