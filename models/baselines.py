"""What a model must beat on the same rows: exposure or activity alone, rules, logistic regression, chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.catalogue import find_feature
from models.calibrate import Calibration, fit_calibration
from models.folds import Folds, Rows, stable_share
from models.rules import EXPOSURE_RULES, STRENGTH, ExposureRule, Level

STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse strengths of the penalty that are tried; the best on owners left out is taken."""

CROSS_FOLDS = 3

WIDEST = 5.0
"""Standard deviations to which a value is cut: one huge amount must not decide a sum."""

SKEWED = frozenset({"count", "usd", "days", "seconds"})
"""Units whose values spread over powers of ten; their logarithm is taken first."""

NAMES = {
    "model": "model",
    "logistic_regression": "logistic regression",
    "exposure_alone": "exposure alone",
    "activity_alone": "activity alone",
    "rules_alone": "rules alone",
    "prevalence": "prevalence only",
}
"""Every score of an evaluation, as a person calls it, in the order of its tables."""


@dataclass(frozen=True)
class Regression:
    """Logistic regression on standardised features, calibrated as the trees are."""

    skewed: NDArray[np.bool_]
    """[features] whether the logarithm is taken first."""
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    absent: NDArray[np.int64]
    """Features that were unknown somewhere in training: each has an indicator beside it."""
    weights: NDArray[np.float64]
    """[features + marks of what is unknown]"""
    intercept: float
    strength: float
    calibration: Calibration

    def log_odds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated log-odds [n] of feature rows [n, all features]."""
        return self.calibration.apply(self._raw(values))

    def _raw(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = _standardise(values, self.skewed, self.mean, self.spread, self.absent)
        # Not a matrix product: the order of its sums depends on the machine's threads.
        return np.asarray(np.sum(columns * self.weights, axis=1) + self.intercept)


def fit_regression(folds: Folds, names: Sequence[str], *, prevalence: float) -> Regression:
    """Fit on the training fold, calibrate on the validation fold; rows weigh what they weigh for the trees.

    An unknown value is set to the mean, with an indicator beside it. The strength of the penalty is chosen
    by cross-validation over owners of the training fold. One thread, so that every run gives the same bytes.
    """
    train, valid = folds.train, folds.valid
    skewed = np.asarray([_is_skewed(name) for name in names], dtype=np.bool_)
    plain = _spread_out(train.values, skewed)
    known = ~np.isnan(plain)
    weight = np.where(known, train.weight[:, None], 0.0)
    total = np.maximum(np.sum(weight, axis=0), 1e-12)
    filled = np.where(known, plain, 0.0)
    mean = np.sum(weight * filled, axis=0) / total
    variance = np.sum(weight * np.where(known, filled - mean, 0.0) ** 2, axis=0) / total
    spread = np.where(variance > 1e-18, np.sqrt(variance), np.inf)  # what never varies says nothing
    absent = np.flatnonzero(~known.all(axis=0))
    columns = _standardise(train.values, skewed, mean, spread, absent)
    with threadpool_limits(1):
        strength = _choose_strength(train, columns)
        weights, intercept = _fit_weights(columns, train.drug, train.weight, strength)
    raw = np.sum(_standardise(valid.values, skewed, mean, spread, absent) * weights, axis=1) + intercept
    calibration = fit_calibration(raw, valid.drug, valid.weight, prevalence=prevalence)
    return Regression(skewed, mean, spread, absent, weights, intercept, strength, calibration)


def score_rules(names: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the strength [n] of the strongest exposure rule that each row fulfils: 0 none, then by level.

    It reads what the row has of the rules: shares of drug exposure, and their dollars as that share of all
    that was received or sent. Rules about sanctions need labels and are not in a row. Nothing is learnt.
    """
    place = {name: number for number, name in enumerate(names)}
    found = np.zeros(len(values))
    for rule in EXPOSURE_RULES:
        columns = _columns_of(rule)
        if columns is None or any(name not in place for name in columns):
            continue
        share, total = (values[:, place[name]] for name in columns)
        usd = share * total
        # As in `rules.judge_exposures`: without a price the share alone decides over what was received.
        enough = np.where(np.isnan(usd), rule.direction == "source", usd >= rule.min_usd)
        reached = (share >= rule.min_share) & enough
        found = np.maximum(found, np.where(reached, float(STRENGTH[rule.level] - STRENGTH[Level.LOW]), 0.0))
    return found


def _columns_of(rule: ExposureRule) -> tuple[str, str] | None:
    """Return the features (share, total in dollars) that a rule can be read from, or None."""
    if rule.group != "drug" or rule.category is not None:
        return None
    moved = "received_usd" if rule.direction == "source" else "sent_usd"
    return f"exposure_{rule.direction}_drug_{'direct_' if rule.direct else ''}share", moved


def _is_skewed(name: str) -> bool:
    try:
        return find_feature(name).unit in SKEWED
    except KeyError:
        return False


def _spread_out(values: NDArray[np.float64], skewed: NDArray[np.bool_]) -> NDArray[np.float64]:
    logged = np.sign(values) * np.log1p(np.abs(values))
    return np.where(skewed, logged, values)


def _standardise(
    values: NDArray[np.float64],
    skewed: NDArray[np.bool_],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
    absent: NDArray[np.int64],
) -> NDArray[np.float64]:
    scaled = (_spread_out(values, skewed) - mean) / spread
    missing = np.isnan(scaled)
    cut = np.clip(np.where(missing, 0.0, scaled), -WIDEST, WIDEST)
    return np.ascontiguousarray(np.concatenate([cut, missing[:, absent].astype(np.float64)], axis=1))


def _fit_weights(
    columns: NDArray[np.float64], drug: NDArray[np.bool_], weight: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, solver="lbfgs", max_iter=2_000, tol=1e-6)
    fitted.fit(columns, drug.astype(np.int64), sample_weight=weight)
    return np.asarray(fitted.coef_[0], dtype=np.float64), float(fitted.intercept_[0])


def _choose_strength(train: Rows, columns: NDArray[np.float64]) -> float:
    part = _deal_owners(train)[train.owner]
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for left_out in range(CROSS_FOLDS):
            inside, outside = part != left_out, part == left_out
            weights, intercept = _fit_weights(
                columns[inside], train.drug[inside], train.weight[inside], strength
            )
            raw = np.sum(columns[outside] * weights, axis=1) + intercept
            signed = np.where(train.drug[outside], -raw, raw)
            loss += float(np.sum(train.weight[outside] * np.logaddexp(0.0, signed)))
        losses.append(loss)
    return STRENGTHS[int(np.argmin(losses))]


def _deal_owners(train: Rows) -> NDArray[np.int64]:
    """Deal the owners to the parts of cross-validation in turn, drug owners and others apart."""
    order = sorted(range(len(train.owners)), key=lambda i: stable_share(f"part:{train.owners[i].name}"))
    part = np.zeros(len(train.owners), dtype=np.int64)
    for drug in (True, False):
        of_kind = [i for i in order if train.owners[i].drug == drug]
        part[of_kind] = np.arange(len(of_kind)) % CROSS_FOLDS
    return part
