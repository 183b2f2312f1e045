import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from chains.errors import TooFewRows
from features.catalogue import CATALOGUE, find_feature
from models.fit import fit_columns
from models.folds import Folds, Moments, Rows, split_rows
from models.pipeline import train_from_ledger
from models.registry import Model, current_model, load_model, save_model
from models.train import check_labels
from tests.features.ledgers import import_payments
from tests.models.population import CATEGORIES, NAMES, World, make_world, train_on

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path
from models.score import score_frame
from models.train import check_labels
from tests.features.ledgers import import_payments
from tests.models.population import make_world, train_on

world = make_world()
model = train_on(world, Path(sys.argv[1]))
Path(sys.argv[1], "scores").write_bytes(score_frame(model, world.frames[4]).log_odds.tobytes())
Path(sys.argv[1], "parts").write_bytes(model.contributions(world.frames[4].values[:200]).tobytes())
"""


def read_folder(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def split(world: World) -> Folds:
    return split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets)


def read_card(model: Model) -> dict[str, Any]:
    return dict(model.card)


def test_the_same_input_gives_the_same_bytes_with_one_and_two_threads(tmp_path: Path) -> None:
    running = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        # Every library that could start threads of its own is told the same number.
        told = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
        told |= {"PYTHONHASHSEED": threads, "PYTHONPATH": str(ROOT), "TZ": f"Etc/GMT-{threads}"}
        running.append(subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], env=os.environ | told))
    assert [process.wait() for process in running] == [0, 0]
    folders = [read_folder(tmp_path / threads) for threads in ("1", "2")]
    assert folders[0] == folders[1]
    assert len(folders[0]) == 13


def test_the_order_of_targets_and_another_folder_change_nothing(
    model: Model, world: World, tmp_path: Path
) -> None:
    mixed = np.random.default_rng(0).permutation(world.targets.num_rows)
    told: list[tuple[int, int]] = []
    again = train_on(
        replace(world, targets=world.targets.take(mixed)),
        tmp_path / "elsewhere",
        progress=lambda done, of: told.append((done, of)),
    )
    assert again.version == model.version
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_another_seed_grows_other_trees(world: World) -> None:
    columns = np.arange(len(NAMES))
    one, other = (fit_columns(split(world), columns, seed=seed, prevalence=0.01) for seed in (1, 2))
    assert one.log_odds(world.frames[4].values).tobytes() != other.log_odds(world.frames[4].values).tobytes()


def test_more_drug_exposure_never_lowers_the_score(model: Model, world: World) -> None:
    rows = world.frames[4].values[:200]
    assert sum(feature.monotone != 0 for feature in CATALOGUE) == 6
    bound = [feature for feature in CATALOGUE if feature.monotone and feature.name in NAMES]
    assert bound
    for feature in bound:
        column = NAMES.index(feature.name)
        steps = []
        for value in np.linspace(-3, 3, 25):
            changed = rows.copy()
            changed[:, column] = value
            steps.append(feature.monotone * model.log_odds(changed))
        assert np.diff(steps, axis=0).min() >= 0, feature.name


def test_the_behaviour_model_sees_no_exposure(model: Model, world: World) -> None:
    assert model.behaviour is not None
    rows = world.frames[4].values[:50]
    changed = rows.copy()
    for column, name in enumerate(NAMES):
        if find_feature(name).group == "exposure":
            changed[:, column] = 0.5
    assert model.behaviour.log_odds(changed).tobytes() == model.behaviour.log_odds(rows).tobytes()
    parts = model.behaviour.contributions(rows)
    assert parts.shape == (50, len(NAMES) + 1)
    assert parts.sum(axis=1) == pytest.approx(model.behaviour.log_odds(rows), abs=1e-9)
    crime = model.card["metrics"]["laundering_behaviour"]
    assert crime["roc_auc"] > 0.6


def test_a_model_from_before_the_behaviour_model_still_loads(models_folder: Path, tmp_path: Path) -> None:
    current = current_model(models_folder)
    assert current is not None
    files = {
        path.name: path.read_text("utf-8")
        for path in (models_folder / current.version).iterdir()
        if path.name not in ("manifest.json", "behaviour.json")
    }
    older = load_model(save_model(tmp_path, files))
    assert older.behaviour is None
    assert older.version != current.version


def test_the_model_beats_its_baselines(model: Model) -> None:
    scores = model.card["metrics"]["scores"]
    for baseline in ("exposure_alone", "activity_alone", "prevalence"):
        for metric in ("pr_auc", "roc_auc", "recall"):
            assert scores["model"][metric] > scores[baseline][metric]
        assert scores["model"]["log_loss"] < scores[baseline]["log_loss"]
    assert scores["prevalence"]["roc_auc"] == 0.5
    assert scores["prevalence"]["pr_auc"] == pytest.approx(
        model.card["trained_on"]["folds"]["test"]["prevalence"]
    )
    assert model.card["metrics"]["best_single_feature"]["feature"] == "exposure_source_drug_share"


def test_the_validation_and_test_folds_have_no_part_in_the_trees(world: World) -> None:
    folds = split(world)
    columns = np.asarray([NAMES.index("exposure_source_drug_share"), NAMES.index("transfers_in")])

    def spoil(rows: Rows) -> Rows:
        return replace(rows, values=-rows.values, drug=~rows.drug)

    one = fit_columns(folds, columns, seed=1, prevalence=0.01)
    spoilt = fit_columns(replace(folds, valid=spoil(folds.valid)), columns, seed=1, prevalence=0.01)
    assert spoilt.trees == one.trees
    assert spoilt.calibration != one.calibration
    unseen = fit_columns(replace(folds, test=spoil(folds.test)), columns, seed=1, prevalence=0.01)
    assert (unseen.trees, unseen.calibration) == (one.trees, one.calibration)


def test_an_owner_of_many_accounts_weighs_as_much_as_one_of_one(world: World) -> None:
    rows = split(world).train
    frame = np.asarray([at == world.frames[0].as_of for at in rows.as_of])
    counts = np.bincount(rows.owner[frame])
    assert counts.max() > 1
    sums = np.bincount(rows.owner[frame], rows.weight[frame])
    assert np.allclose(sums[counts > 0], 1)


def test_rows_that_must_not_serve_do_not(
    model: Model, models_folder: Path, world: World, tmp_path: Path
) -> None:
    """Fill seeded rows, and rows of drug owners already known, with an answer: the model stays the same."""
    known = dict(
        zip(
            world.targets["account"].to_pylist(),
            zip(world.targets["drug"].to_pylist(), world.targets["published_at"].to_pylist(), strict=True),
            strict=True,
        )
    )
    frames = []
    for frame in world.frames:
        values = frame.values.copy()
        for row, name in enumerate(frame.accounts):
            drug, published_at = known[name]
            if frame.seeded[row] or (drug and published_at <= frame.as_of):
                values[row] = 1e6 if drug else -1e6
        frames.append(replace(frame, values=values))
    assert any((a.values != b.values).any() for a, b in zip(frames, world.frames, strict=True))
    again = train_on(replace(world, frames=tuple(frames)), tmp_path / "models")
    # What drift is measured from is spread over all rows, those that train nothing too.
    kept = [
        read_folder(folder / one.version)
        for folder, one in ((models_folder, model), (tmp_path / "models", again))
    ]
    for files in kept:
        del files["reference.json"], files["manifest.json"]
    assert kept[0] == kept[1]


def test_too_few_owners_end_in_a_clear_message_and_nothing_written(world: World, tmp_path: Path) -> None:
    few = world.targets.filter(pc.invert(world.targets["drug"]))
    with pytest.raises(
        TooFewRows, match=r"at least 10 drug owners in the train fold .*there are 0: import"
    ) as e:
        train_on(replace(world, targets=few), tmp_path / "models")
    assert (e.value.found, e.value.needed) == (0, 10)
    assert not (tmp_path / "models").exists()
    early = world.targets.filter(pc.less(world.targets["published_at"], world.frames[3].as_of))
    with pytest.raises(
        TooFewRows, match=r"at least 5 drug owners in the valid fold .*validation and the test"
    ):
        train_on(replace(world, targets=early), tmp_path / "models")
    with pytest.raises(TooFewRows, match="there are 0"):
        train_on(replace(world, targets=world.targets.slice(0, 0)), tmp_path / "models")


def test_a_failed_training_leaves_the_current_model(models_folder: Path, world: World) -> None:
    before = read_folder(models_folder)
    with pytest.raises(TooFewRows):
        train_on(replace(world, targets=world.targets.slice(0, 5)), models_folder)
    assert read_folder(models_folder) == before


def test_labels_that_cannot_suffice_are_refused_before_the_work(world: World, tmp_path: Path) -> None:
    moments = Moments(
        tuple(frame.as_of for frame in world.frames[:3]), world.frames[3].as_of, world.frames[4].as_of
    )
    check_labels(world.targets, moments)
    early = world.targets.filter(pc.less(world.targets["published_at"], moments.valid))
    with pytest.raises(
        TooFewRows, match=rf"drug owners in the valid fold .*{moments.valid:%Y-%m-%d}.*0: import"
    ):
        check_labels(early, moments)
    ledger = tmp_path / "ledger.duckdb"
    days = [(f"2024-01-{day:02}T00:00:00Z", "alice", "bob", "5") for day in range(1, 29)]
    import_payments(ledger, days)
    told: list[str] = []
    with pytest.raises(TooFewRows, match="at least 10 drug owners in the train fold"):
        train_from_ledger(ledger, tmp_path / "models", progress=lambda step, *_: told.append(step))
    assert told == []


def test_the_card_says_what_the_model_is_and_is_not(model: Model, models_folder: Path) -> None:
    card = read_card(model)
    text = (models_folder / model.version / "card.md").read_text()
    assert card["population"] == {"simulated": True, "chains": ["eip155:78284"]}
    assert "trained on a simulated world" in card["reach"]
    assert "On any real chain its score may rank and explain, but it sets no level" in text
    assert "2023-04-21T00:00:00Z" in text
    assert "as if 1.00% of owners were drug owners" in text
    assert f"{card['calibration']['fold_prevalence']:.1%}" in text
    for baseline in ("exposure alone", "activity alone", "prevalence only"):
        assert f"baseline: {baseline}" in text
    for use in card["not_for"]:
        assert f"- {use}" in text
    assert "To decide alone" in text
    assert "height 12, time 2023-10-28T00:00:00Z" in text
    assert card["trained_on"]["label_hash"] == "d" * 64
    assert "in these views: whole." in text
    assert "never lowers the score: `exposure_source_drug_share`" in text
    assert f"PR-AUC {card['metrics']['laundering_behaviour']['pr_auc']:.3f}" in text
    owners = {fold: found["owners"] for fold, found in card["trained_on"]["folds"].items()}
    assert all(f"| {count} |" in text for count in owners.values())


def test_the_card_reports_false_positives_per_category(model: Model) -> None:
    found = {line["category"]: line for line in read_card(model)["metrics"]["false_positives"]}
    assert set(found) == set(CATEGORIES)
    test = model.card["trained_on"]["folds"]["test"]
    assert sum(line["owners"] for line in found.values()) == test["owners"] - test["drug_owners"]
    licit = sum(line["medium"] for name, line in found.items() if name != "scam")
    assert licit == model.thresholds.medium.later_flagged


def test_thresholds_stand_on_licit_owners_of_the_validation_fold(model: Model, world: World) -> None:
    rows = split(world).valid
    scores = model.log_odds(rows.values)
    highest = [scores[rows.owner == number].max() for number, owner in enumerate(rows.owners) if owner.licit]
    medium = model.thresholds.medium
    assert medium.owners == len(highest) == model.card["trained_on"]["folds"]["valid"]["licit_owners"]
    assert medium.log_odds in highest
    flagged = sum(score > medium.log_odds for score in highest)
    assert flagged / (len(highest) + 1) <= medium.alpha
    # Fewer than 99 licit owners: a bound of 1% is not to be had, and the card says so.
    assert len(highest) < 99
    assert model.thresholds.high.log_odds is None
    assert "a bound of 1% needs 99 licit owners" in str(model.thresholds.high.why)


def test_enough_licit_owners_make_high_attainable(tmp_path: Path) -> None:
    model = train_on(make_world(seed=6, owners=1500), tmp_path)
    high, medium = model.thresholds.high, model.thresholds.medium
    assert high.owners >= 99
    assert high.log_odds is not None
    assert medium.log_odds is not None
    assert high.log_odds > medium.log_odds
    assert high.later_rate is not None
    assert model.card["metrics"]["levels"]["HIGH"]["attainable"]


def test_splits_name_owners_by_hash_only(model: Model, models_folder: Path, world: World) -> None:
    text = (models_folder / model.version / "splits.json").read_text()
    assert "owner-" not in text
    owners = json.loads(text)["owners"]
    expected = sorted(hashlib.sha256(o.name.encode()).hexdigest() for o in split(world).train.owners)
    assert owners["train"] == expected


def test_the_trained_model_is_current(model: Model, models_folder: Path) -> None:
    found = current_model(models_folder)
    assert found is not None
    assert found.version == model.version


def test_every_feature_of_the_baselines_is_of_its_group(model: Model) -> None:
    groups = {find_feature(name).group for name in model.names}
    assert groups == {"activity", "amounts", "exposure"}
