import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from datasets.taxonomy import load_taxonomy
from models.baselines import fit_regression, score_rules
from models.folds import Folds, split_rows
from models.metrics import roc_auc
from models.rules import EXPOSURE_RULES, STRENGTH, Level, judge_exposures, strongest
from tests.models.population import NAMES, World

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from models.baselines import fit_regression
from models.folds import split_rows
from tests.models.population import NAMES, make_world

world = make_world(owners=400)
folds = split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets)
found = fit_regression(folds, NAMES, prevalence=0.01)
sys.stdout.buffer.write(found.weights.tobytes() + found.log_odds(folds.test.values).tobytes())
"""
RULE_NAMES = (
    "exposure_source_drug_share",
    "exposure_source_drug_direct_share",
    "exposure_destination_drug_share",
    "exposure_destination_drug_direct_share",
    "received_usd",
    "sent_usd",
)


@pytest.fixture(scope="module")
def folds(world: World) -> Folds:
    return split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets)


def test_regression_gives_the_same_bytes_with_one_and_two_threads() -> None:
    found = []
    for threads in ("1", "2"):
        told = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        told |= {"PYTHONHASHSEED": threads, "PYTHONPATH": str(ROOT)}
        found.append(
            subprocess.run(
                [sys.executable, "-c", SCRIPT], env=os.environ | told, capture_output=True, check=True
            ).stdout
        )
    assert found[0] == found[1]
    assert len(found[0]) > 1_000


def test_regression_ranks_better_than_chance_and_its_log_odds_are_at_the_stated_prevalence(
    folds: Folds,
) -> None:
    found = fit_regression(folds, NAMES, prevalence=0.01)
    score = found.log_odds(folds.test.values)
    assert roc_auc(folds.test.drug, score, folds.test.weight) > 0.7
    assert found.calibration.prevalence == 0.01
    at_half = fit_regression(folds, NAMES, prevalence=0.5).log_odds(folds.test.values)
    assert np.allclose(at_half - score, np.log(99))


def test_regression_is_that_of_the_library_on_the_columns_described(folds: Folds) -> None:
    """A plain rewriting: logarithm of skewed units, weighted standard scores, indicators for NaN."""
    found = fit_regression(folds, NAMES, prevalence=0.01)
    train = folds.train
    columns, indicators = [], []
    for k, name in enumerate(NAMES):
        column = train.values[:, k].copy()
        if not name.endswith("_share"):
            column = np.sign(column) * np.log1p(np.abs(column))
        known = ~np.isnan(column)
        mean = np.average(column[known], weights=train.weight[known])
        spread = np.sqrt(np.average((column[known] - mean) ** 2, weights=train.weight[known]))
        scaled = np.where(known, (column - mean) / (spread if spread > 1e-9 else np.inf), 0.0)
        columns.append(np.clip(scaled, -5, 5))
        if not known.all():
            indicators.append((~known).astype(float))
    matrix = np.column_stack([*columns, *indicators])
    fitted = LogisticRegression(C=found.strength, max_iter=2_000, tol=1e-6).fit(
        matrix, train.drug, sample_weight=train.weight
    )
    assert np.allclose(fitted.coef_[0], found.weights, atol=1e-3)


def test_the_test_fold_has_no_part_in_the_regression(folds: Folds) -> None:
    spoilt = replace(folds, test=replace(folds.test, values=-folds.test.values, drug=~folds.test.drug))
    one, other = (fit_regression(each, NAMES, prevalence=0.01) for each in (folds, spoilt))
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.calibration == other.calibration


def test_a_value_never_seen_in_training_is_no_nan(folds: Folds) -> None:
    found = fit_regression(folds, NAMES, prevalence=0.01)
    odd = np.stack([np.full(len(NAMES), np.nan), np.full(len(NAMES), 1e300), np.full(len(NAMES), -1e300)])
    assert np.isfinite(found.log_odds(odd)).all()


@dataclass(frozen=True)
class Line:
    direction: str
    share: float
    value_usd: float | None
    direct: bool
    category: str = "drug_vendor"


def test_rules_read_from_a_row_say_what_the_rules_say_of_its_exposures() -> None:
    """Rows of random direct and indirect shares, judged line by line by the rules themselves."""
    random = np.random.default_rng(4)
    taxonomy = load_taxonomy()
    rows, expected = [], []
    for _ in range(400):
        received, sent = (float(random.choice([np.nan, 50, 900, 5_000, 50_000])) for _ in range(2))
        lines, row = [], []
        for direction, total in (("source", received), ("destination", sent)):
            direct, indirect = (float(random.choice([0.0, 0.03, 0.08, 0.2])) for _ in range(2))
            usd = None if np.isnan(total) else total
            lines += [
                Line(direction, share, None if usd is None else share * usd, is_direct)
                for share, is_direct in ((direct, True), (indirect, False))
            ]
            row += [direct + indirect, direct]
        rows.append([*row, received, sent])
        found = strongest(judge_exposures(lines, taxonomy))
        expected.append(0.0 if found is None else STRENGTH[found.level] - STRENGTH[Level.LOW])
    assert score_rules(RULE_NAMES, np.asarray(rows)).tolist() == expected
    assert set(expected) == {0.0, 1.0, 2.0}


def test_rules_without_their_features_say_nothing() -> None:
    assert score_rules(("transfers_in",), np.ones((3, 1))).tolist() == [0.0, 0.0, 0.0]
    assert score_rules(RULE_NAMES, np.full((1, 6), np.nan)).tolist() == [0.0]
    assert any(rule.group != "drug" for rule in EXPOSURE_RULES)
