"""Grow trees on the training fold and calibrate them on the validation fold, the same bytes on every run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.calibrate import Calibration, fit_calibration
from models.folds import Folds, Rows, stable_share
from models.registry import load_trees, predict_raw

ROUNDS = 200
CROSS_FOLDS = 3
PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 10,
    "lambda_l2": 2.0,
    "feature_fraction": 0.6,
    # 63 bins rank as well as 255 on a few thousand rows, in half the time.
    "max_bin": 63,
    # The same bytes on every run: one thread, fixed order of sums, fixed seeds.
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Fit:
    """Trees on some columns of the features, calibrated."""

    trees: str
    columns: NDArray[np.int64]
    rounds: int
    calibration: Calibration

    def log_odds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated log-odds [n] of feature rows [n, all features]."""
        picked = np.ascontiguousarray(values[:, self.columns])
        return self.calibration.apply(predict_raw(load_trees(self.trees), picked))


def fit_columns(folds: Folds, columns: NDArray[np.int64], *, seed: int, prevalence: float) -> Fit:
    """Grow trees on the training fold with these columns only, and calibrate them on the validation fold."""
    train, valid = folds.train, folds.valid
    values = np.ascontiguousarray(train.values[:, columns])
    rounds = _choose_rounds(train, values, seed=seed)
    data = lgb.Dataset(values, train.drug.astype(np.float64), weight=train.weight, params=_parameters(seed))
    # Through its text and back, so that calibration sees the very trees that are saved.
    trees = lgb.train(_parameters(seed), data, num_boost_round=rounds).model_to_string()
    raw = predict_raw(load_trees(trees), np.ascontiguousarray(valid.values[:, columns]))
    calibration = fit_calibration(raw, valid.drug, valid.weight, prevalence=prevalence)
    return Fit(trees=trees, columns=columns, rounds=rounds, calibration=calibration)


def _parameters(seed: int) -> dict[str, Any]:
    return dict(PARAMETERS) | {"seed": seed}


def _choose_rounds(train: Rows, values: NDArray[np.float64], *, seed: int) -> int:
    """Return the number of trees with the least log loss on owners left out of growing them."""
    part = _deal_owners(train)[train.owner]
    total = np.zeros(ROUNDS)
    for left_out in range(CROSS_FOLDS):
        inside, outside = part != left_out, part == left_out
        drug = train.drug.astype(np.float64)
        grown = lgb.Dataset(values[inside], drug[inside], weight=train.weight[inside])
        held = lgb.Dataset(values[outside], drug[outside], weight=train.weight[outside], reference=grown)
        record: dict[str, dict[str, list[float]]] = {}
        lgb.train(
            _parameters(seed) | {"metric": "binary_logloss"},
            grown,
            num_boost_round=ROUNDS,
            valid_sets=[held],
            valid_names=["held"],
            callbacks=[lgb.record_evaluation(record)],
        )
        total += np.asarray(record["held"]["binary_logloss"]) * float(np.sum(train.weight[outside]))
    return int(np.argmin(total)) + 1


def _deal_owners(train: Rows) -> NDArray[np.int64]:
    """Deal the owners to the parts of cross-validation in turn, drug owners and others apart."""
    order = sorted(range(len(train.owners)), key=lambda i: stable_share(f"part:{train.owners[i].name}"))
    part = np.zeros(len(train.owners), dtype=np.int64)
    for drug in (True, False):
        of_kind = [i for i in order if train.owners[i].drug == drug]
        part[of_kind] = np.arange(len(of_kind)) % CROSS_FOLDS
    return part
