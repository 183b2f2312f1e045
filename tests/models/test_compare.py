import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from chains.errors import FileError, ModelDamaged, ModelMissing, TooFewRows
from models.bootstrap import Interval
from models.calibrate import Calibration
from models.compare import (
    compare,
    comparison_path,
    hash_owner,
    judge,
    pick_rows,
    read_comparison,
    seen_owners,
    without_owners,
    write_comparison,
)
from models.folds import Rows, split_rows
from models.registry import Model
from tests.models.population import NAMES, POPULATION, World


@pytest.fixture(scope="module")
def rows(world: World) -> Rows:
    return split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets).test


@pytest.fixture(scope="module")
def make_model(model: Model, world: World) -> Callable[..., Model]:
    """Return a maker of models that look at some columns only; all of them learnt from training rows."""
    train = split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets).train

    def make(version: str, columns: list[str], *, rounds: int = 60) -> Model:
        values = np.zeros_like(train.values)
        for name in columns:
            values[:, NAMES.index(name)] = train.values[:, NAMES.index(name)]
        trees = lgb.train(
            {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1, "num_leaves": 7},
            lgb.Dataset(values, train.drug.astype(np.float64), weight=train.weight),
            num_boost_round=rounds,
        )
        return Model(
            version=version,
            trees=trees.model_to_string(),
            names=NAMES,
            catalogue_hash="c" * 64,
            calibration=Calibration(slope=1.0, intercept=0.0, fold_prevalence=0.2, prevalence=0.01),
            thresholds=model.thresholds,
            population=POPULATION,
            card={},
        )

    return make


OLD, NEW = "m-0123456789ab", "m-ba9876543210"
BLIND: list[str] = []
SEEING = ["exposure_source_drug_share", "transfers_in"]


def test_a_model_that_sees_is_better_than_a_blind_one_and_the_other_way_round_worse(
    make_model: Callable[..., Model], rows: Rows
) -> None:
    blind, seeing = make_model(OLD, BLIND), make_model(NEW, SEEING)
    found = compare(blind, seeing, rows)
    assert found.verdict == "better"
    assert found.difference is not None
    assert found.champion_pr_auc is not None
    assert found.difference.low > 0
    assert found.difference.value == pytest.approx(
        found.challenger_pr_auc.value - found.champion_pr_auc.value
    )
    assert found.champion_pr_auc.value == pytest.approx(rows.prevalence)
    assert (found.champion, found.challenger) == (OLD, NEW)
    back = compare(seeing, blind, rows)
    assert back.verdict == "worse"
    assert back.difference is not None
    assert back.difference.high < 0


def test_a_model_compared_with_itself_is_no_worse(make_model: Callable[..., Model], rows: Rows) -> None:
    found = compare(make_model(OLD, SEEING), make_model(NEW, SEEING), rows)
    assert found.verdict == "no worse"
    assert found.difference == Interval(0.0, 0.0, 0.0)


def test_worse_only_where_the_whole_interval_lies_below_zero() -> None:
    assert judge(Interval(-0.2, -0.4, 0.001)) == "no worse"
    assert judge(Interval(-0.2, -0.4, 0.0)) == "no worse"
    assert judge(Interval(-0.2, -0.4, -0.001)) == "worse"
    assert judge(Interval(0.2, 0.0, 0.4)) == "no worse"
    assert judge(Interval(0.2, 0.001, 0.4)) == "better"


def test_owners_that_either_model_has_seen_are_left_out(make_model: Callable[..., Model], rows: Rows) -> None:
    gone = [owner.name for owner in rows.owners[::3]]
    seen = frozenset(map(hash_owner, gone))
    found = compare(make_model(OLD, BLIND), make_model(NEW, SEEING), rows, seen=seen)
    assert found.left_out_owners == len(gone)
    assert found.owners == len(rows.owners) - len(gone)
    left = without_owners(rows, seen)
    assert not {owner.name for owner in left.owners} & set(gone)
    kept = np.asarray([rows.owners[i].name not in gone for i in rows.owner])
    assert left.values.tobytes() == np.ascontiguousarray(rows.values[kept]).tobytes()
    assert [left.owners[i].name for i in left.owner] == [
        rows.owners[i].name for i, keep in zip(rows.owner, kept, strict=True) if keep
    ]
    # What was left out has no say: spoil it, and nothing changes.
    spoilt = rows.values.copy()
    spoilt[~kept] = 1e6
    again = compare(make_model(OLD, BLIND), make_model(NEW, SEEING), replace(rows, values=spoilt), seen=seen)
    assert again == found


def test_the_owners_seen_are_those_of_training_and_calibration(
    models_folder: Path, model: Model, world: World, tmp_path: Path
) -> None:
    folds = split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets)
    seen = seen_owners(models_folder, model.version)
    assert seen == {hash_owner(o.name) for o in (*folds.train.owners, *folds.valid.owners)}
    assert without_owners(folds.test, seen).accounts == folds.test.accounts
    assert not without_owners(folds.train, seen).accounts
    with pytest.raises(ModelMissing):
        seen_owners(models_folder, OLD)
    shutil.copytree(models_folder / model.version, tmp_path / OLD)
    (tmp_path / OLD / "splits.json").write_text("{}")
    with pytest.raises(ModelDamaged, match="which owners it was trained on"):
        seen_owners(tmp_path, OLD)


def test_too_few_owners_left_are_refused(make_model: Callable[..., Model], rows: Rows) -> None:
    drug = frozenset(hash_owner(owner.name) for owner in rows.owners if owner.drug)
    with pytest.raises(TooFewRows, match=r"5 drug owners that neither model .* there are 0"):
        compare(make_model(OLD, BLIND), make_model(NEW, SEEING), rows, seen=drug)


def test_a_champion_that_cannot_score_is_replaced_by_what_beats_chance(
    make_model: Callable[..., Model], rows: Rows
) -> None:
    champion = make_model(OLD, SEEING)
    found = compare(champion, make_model(NEW, SEEING), rows, usable=False)
    assert found.verdict == "no worse"
    assert found.champion_pr_auc is None
    assert found.difference is None
    assert "compared with chance" in found.note
    assert compare(champion, make_model(NEW, BLIND), rows, usable=False).verdict == "worse"


def test_a_comparison_comes_back_as_it_was_written(
    make_model: Callable[..., Model], rows: Rows, tmp_path: Path
) -> None:
    found = compare(make_model(OLD, BLIND), make_model(NEW, SEEING), rows)
    assert read_comparison(tmp_path, challenger=NEW, champion=OLD) is None
    path = write_comparison(tmp_path, found)
    assert path == tmp_path / "comparisons" / f"{NEW}-against-{OLD}.json"
    assert read_comparison(tmp_path, challenger=NEW, champion=OLD) == found
    first = path.read_bytes()
    write_comparison(tmp_path, found)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    # A comparison has a direction.
    assert read_comparison(tmp_path, challenger=OLD, champion=NEW) is None


def test_a_comparison_that_was_changed_is_refused(
    make_model: Callable[..., Model], rows: Rows, tmp_path: Path
) -> None:
    found = compare(make_model(NEW, SEEING), make_model(OLD, BLIND), rows)
    path = write_comparison(tmp_path, found)
    kept = json.loads(path.read_text())
    kept["comparison"]["verdict"] = "better"
    path.write_text(json.dumps(kept))
    with pytest.raises(FileError, match=f"recorded hash: compare again .*--model {OLD} --against {NEW}"):
        read_comparison(tmp_path, challenger=OLD, champion=NEW)
    for text in ("", "[]", "{}", '{"comparison": 1, "sha256": ""}', "\x00"):
        path.write_text(text)
        with pytest.raises(FileError):
            read_comparison(tmp_path, challenger=OLD, champion=NEW)
    other = comparison_path(tmp_path, challenger=NEW, champion=OLD)
    write_comparison(tmp_path, found).rename(other)
    with pytest.raises(FileError, match="speaks of"):
        read_comparison(tmp_path, challenger=NEW, champion=OLD)


def test_versions_that_are_no_versions_have_no_comparison(tmp_path: Path) -> None:
    assert read_comparison(tmp_path, challenger="../../etc/passwd", champion=OLD) is None


def test_picked_rows_keep_every_column_in_step(rows: Rows) -> None:
    kept = np.arange(len(rows.accounts)) % 2 == 0
    found = pick_rows(rows, kept)
    assert found.accounts == rows.accounts[::2]
    assert found.as_of == rows.as_of[::2]
    assert (found.drug == rows.drug[::2]).all()
    assert (found.weight == rows.weight[::2]).all()
    assert [asdict(found.owners[i]) for i in found.owner] == [asdict(rows.owners[i]) for i in rows.owner[::2]]
