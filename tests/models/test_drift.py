"""Drift: the index by hand, what chance gives, and what a build writes and says of it."""

import json
import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from models.drift import (
    FILE,
    chance_index,
    describe_reference,
    measure_drift,
    moved_features,
    population_stability,
    read_drift,
    summarise_drift,
    write_drift,
)
from models.levels import Threshold, Thresholds
from models.registry import Model, read_reference, write_json
from tests.models.population import CHAIN, MOMENTS, NAMES, World, make_frame

LEVELS = Thresholds(
    Threshold("MEDIUM", 0.05, 1.0, 400, None, 400, 3), Threshold("HIGH", 0.01, None, 40, "too few", 400, 3)
)


def accounts(count: int, chain: str = CHAIN) -> list[str]:
    return [f"{chain}:0x{number:040x}" for number in range(count)]


def reference_of(values: np.ndarray, log_odds: np.ndarray) -> dict:  # type: ignore[type-arg]
    frame = make_frame(MOMENTS[0], accounts(len(values)), values, names=NAMES[: values.shape[1]])
    return json.loads(write_json(describe_reference(frame, log_odds, LEVELS)))  # type: ignore[no-any-return]


def drift_of(reference, values, log_odds, chain: str = CHAIN):  # type: ignore[no-untyped-def]
    frame = make_frame(MOMENTS[1], accounts(len(values), chain), values, names=NAMES[: values.shape[1]])
    return measure_drift(reference, frame, log_odds, LEVELS, model="m-0")


def test_the_index_by_hand() -> None:
    # Shares with the half: 10.5/41, 30.5/41 against 20.5/41, 20.5/41.
    by_hand = (20.5 - 10.5) / 41 * math.log(20.5 / 10.5) + (20.5 - 30.5) / 41 * math.log(20.5 / 30.5)
    assert population_stability([10, 30], [20, 20]) == pytest.approx(by_hand)
    assert population_stability([10, 30], [10, 30]) == 0
    assert population_stability([5, 0], [0, 5]) < 10


def test_the_index_without_drift_rarely_exceeds_what_chance_gives() -> None:
    random = np.random.default_rng(7)
    beyond = 0
    for _ in range(2000):
        one, other = (np.bincount(random.integers(0, 10, size), minlength=10) for size in (300, 900))
        beyond += population_stability(one.tolist(), other.tolist()) > chance_index(
            one.tolist(), other.tolist()
        )
    assert 5 <= beyond <= 40  # 20 expected
    assert chance_index([4, 0], [9, 0]) == 0


def test_bins_are_deciles_and_unknown_values_have_their_own() -> None:
    values = np.column_stack([np.arange(1000.0), np.zeros(1000)])
    values[:100, 1] = np.nan
    reference = reference_of(values, np.arange(1000.0))
    first = reference["features"][NAMES[0]]
    assert first["edges"][1:] == [99, 199, 299, 399, 499, 599, 699, 799, 899]
    assert first["counts"] == [0] + [100] * 10
    constant = reference["features"][NAMES[1]]
    assert (constant["counts"], constant["unknown"]) == ([0, 900, 0], 100)
    assert reference["levels"] == {"MEDIUM": 998, "HIGH": None}


def test_what_moved_is_told_from_what_did_not() -> None:
    random = np.random.default_rng(3)
    then = random.normal(size=(4000, 4))
    now = random.normal(size=(3000, 4))
    now[:, 1] += 0.4
    now[:, 2] += 1.5
    now[:1500, 3] = np.nan
    reference = reference_of(then, then[:, 2])
    drift = drift_of(reference, now, now[:, 2])
    assert [drift["features"][name]["band"] for name in NAMES[:4]] == [
        "stable",
        "moved",
        "moved much",
        "moved much",
    ]
    assert drift["features"][NAMES[3]]["unknown_now"] == 0.5
    assert drift["score"]["band"] == "moved much"
    assert moved_features(drift, "moved much")[0] in NAMES[2:4]
    before, after = drift["levels"]["MEDIUM"]["before"], drift["levels"]["MEDIUM"]["now"]
    assert (before, after) == (np.mean(then[:, 2] > 1), np.mean(now[:, 2] > 1))
    assert drift["levels"]["HIGH"] == {"before": None, "now": None}
    features, score = summarise_drift(drift)
    assert "of 4 features 2 moved much" in features
    assert f"1 moved ({NAMES[1]}" in features
    assert f"at MEDIUM or above {after:.1%} of addresses, then {before:.1%}" in score


def test_a_value_below_all_that_was_seen_is_seen_to_move() -> None:
    reference = reference_of(np.full((500, 1), 3.0), np.zeros(500))
    for value in (2.0, 4.0, np.nan):
        assert drift_of(reference, np.full((500, 1), value), np.zeros(500))["features"][NAMES[0]]["band"] == (
            "moved much"
        )


def test_a_few_addresses_are_no_changed_world() -> None:
    random = np.random.default_rng(3)
    reference = reference_of(random.normal(size=(4000, 1)), np.zeros(4000))
    drift = drift_of(reference, random.normal(size=(12, 1)), np.zeros(12))
    found = drift["features"][NAMES[0]]
    assert found["psi"] > 0.25
    assert found["band"] == "stable"
    assert summarise_drift(drift) == []


def test_chains_that_come_and_go_are_named() -> None:
    reference = reference_of(np.zeros((50, 1)), np.zeros(50))
    drift = drift_of(reference, np.zeros((50, 1)), np.zeros(50), chain="payments:new")
    assert drift["chains"][CHAIN]["rows_now"] == 0
    assert drift["chains"]["payments:new"]["score"] is None
    (line,) = summarise_drift(drift)
    assert f"{CHAIN} is gone" in line
    assert "payments:new is new" in line


def test_a_model_keeps_the_whole_frame_of_its_last_training_moment(
    model: Model, models_folder: Path, world: World, tmp_path: Path
) -> None:
    reference = read_reference(models_folder / model.version)
    assert reference is not None
    frame = world.frames[2]
    assert reference["rows"] == len(frame.accounts)
    assert reference["as_of"] == f"{MOMENTS[2]:%Y-%m-%dT%H:%M:%SZ}"
    log_odds = model.log_odds(frame.values)
    same = measure_drift(reference, frame, log_odds, model.thresholds, model=model.version)
    assert {entry["psi"] for entry in same["features"].values()} == {0.0}
    assert same["score"]["psi"] == 0
    later = world.frames[4]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_drift(
            tmp_path / folder,
            reference,
            later,
            model.log_odds(later.values),
            model.thresholds,
            model=model.version,
        )
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()
    drift = read_drift(tmp_path / "one")
    assert drift is not None
    assert drift["now"]["as_of"] == f"{MOMENTS[4]:%Y-%m-%dT%H:%M:%SZ}"


def test_nothing_to_compare_writes_nothing(model: Model, tmp_path: Path) -> None:
    empty = make_frame(MOMENTS[0] + timedelta(days=1), [])
    write_drift(tmp_path, None, empty, np.empty(0), LEVELS, model="m-0")
    write_drift(tmp_path, {"rows": 5}, empty, np.empty(0), LEVELS, model="m-0")
    assert read_drift(tmp_path) is None
    frame = make_frame(MOMENTS[0], [])
    assert describe_reference(frame, np.empty(0), LEVELS)["rows"] == 0
