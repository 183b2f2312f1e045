"""Grow trees on the training fold and calibrate them on the validation fold, the same bytes on every run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.calibrate import Calibration, fit_calibration
from models.folds import Folds, Rows, stable_share
from models.trees import load_trees, predict_raw

ROUNDS = 600
PATIENCE = 60
"""Trees without a lower loss on owners left out, after which no more are tried."""

CROSS_FOLDS = 3
PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 10,
    "lambda_l2": 2.0,
    "feature_fraction": 0.5,
    # Thresholds drawn at random: a few hundred owners say little on where exactly to cut.
    "extra_trees": True,
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


def fit_columns(
    folds: Folds,
    columns: NDArray[np.int64],
    *,
    seed: int,
    prevalence: float,
    monotone: Sequence[int] | None = None,
    illicit: bool = False,
) -> Fit:
    """Grow trees on the training fold with these columns only, and calibrate them on the validation fold.

    `monotone` has a number for each of all columns, as the catalogue gives it; None binds nothing. The target
    is the drug trade or, with `illicit`, any crime.
    """
    train, valid = folds.train, folds.valid
    values = np.ascontiguousarray(train.values[:, columns])
    positive = train.illicit if illicit else train.drug
    parameters = dict(PARAMETERS) | {"seed": seed}
    if monotone is not None:
        parameters["monotone_constraints"] = [monotone[column] for column in columns]
    rounds = _choose_rounds(train, values, positive, parameters)
    # A dataset of its own: the one of the search has been cut into parts.
    data = lgb.Dataset(values, positive.astype(np.float64), weight=train.weight, params=parameters)
    # Through its text and back, so that calibration sees the very trees that are saved.
    trees = lgb.train(parameters, data, num_boost_round=rounds).model_to_string()
    raw = predict_raw(load_trees(trees), np.ascontiguousarray(valid.values[:, columns]))
    known = valid.illicit if illicit else valid.drug
    calibration = fit_calibration(raw, known, valid.weight, prevalence=prevalence)
    return Fit(trees=trees, columns=columns, rounds=rounds, calibration=calibration)


def _choose_rounds(
    train: Rows, values: NDArray[np.float64], positive: NDArray[np.bool_], parameters: Mapping[str, Any]
) -> int:
    """Return the number of trees with the least log loss on owners left out of growing them."""
    part = _deal_owners(train)[train.owner]
    parts = [
        (np.flatnonzero(part != left_out), np.flatnonzero(part == left_out))
        for left_out in range(CROSS_FOLDS)
    ]
    found = lgb.cv(
        dict(parameters) | {"metric": "binary_logloss"},
        lgb.Dataset(values, positive.astype(np.float64), weight=train.weight, params=dict(parameters)),
        num_boost_round=ROUNDS,
        folds=parts,
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return len(np.asarray(found["valid binary_logloss-mean"]))


def _deal_owners(train: Rows) -> NDArray[np.int64]:
    """Deal the owners to the parts of cross-validation in turn, drug owners and others apart."""
    order = sorted(range(len(train.owners)), key=lambda i: stable_share(f"part:{train.owners[i].name}"))
    part = np.zeros(len(train.owners), dtype=np.int64)
    for drug in (True, False):
        of_kind = [i for i in order if train.owners[i].drug == drug]
        part[of_kind] = np.arange(len(of_kind)) % CROSS_FOLDS
    return part
