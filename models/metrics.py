"""How well a score ranks: metrics in which an owner counts once, and the plain baselines beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibrate import probability_of

RECALL_AT = 0.01
"""False positive rate at which recall is reported."""

PREVALENCES = (0.001, 0.005, 0.01, 0.05, 0.10)
"""Shares of drug owners at which precision is reported."""


@dataclass(frozen=True)
class Ranking:
    """How a score ranks drug rows before other rows."""

    pr_auc: float
    """Average precision; its chance level is the weighted share of drug rows."""
    roc_auc: float
    recall: float
    """Largest recall at a false positive rate of at most 1%."""


@dataclass(frozen=True)
class FalsePositives:
    """What the levels flag among the owners of one category that has nothing to do with drugs."""

    category: str
    owners: int
    medium: int | None
    """Owners at MEDIUM or above; None where that level is not attainable."""
    high: int | None


def _curve(
    drug: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights of drug and other rows at or above each distinct score, from the highest down."""
    if len(score) == 0 or drug.all() or not drug.any():
        raise ValueError("a ranking needs rows of both classes")
    if np.isnan(score).any():
        raise ValueError("a ranking needs scores without NaN")
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(ordered[1:] != ordered[:-1], [True])
    hits = np.cumsum(np.where(drug, weight, 0.0)[order])[last]
    alarms = np.cumsum(np.where(drug, 0.0, weight)[order])[last]
    return hits, alarms


def roc_auc(drug: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted area under the ROC curve; rows of equal score count half."""
    hits, alarms = _curve(drug, score, weight)
    before = np.append([0.0], hits[:-1])
    width = np.diff(alarms, prepend=0.0)
    return float(np.sum(width * (before + hits) / 2) / (hits[-1] * alarms[-1]))


def average_precision(
    drug: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the weighted area under the precision-recall steps; rows of equal score come together."""
    hits, alarms = _curve(drug, score, weight)
    gained = np.diff(hits, prepend=0.0)
    seen = hits + alarms
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float(np.sum(gained * precision) / hits[-1])


def recall_at(
    drug: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64], rate: float = RECALL_AT
) -> float:
    """Return the largest recall whose false positive rate is at most `rate`; 0 where none is."""
    hits, alarms = _curve(drug, score, weight)
    # The slack is for sums such as 1/3 + 1/3 + 1/3, far below the weight of any owner.
    allowed = alarms <= rate * alarms[-1] + 1e-9
    return float(hits[allowed].max(initial=0.0) / hits[-1])


def rank(drug: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64]) -> Ranking:
    """Return the three ranking metrics of one score."""
    return Ranking(
        pr_auc=average_precision(drug, score, weight),
        roc_auc=roc_auc(drug, score, weight),
        recall=recall_at(drug, score, weight),
    )


def log_loss(drug: NDArray[np.bool_], log_odds: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted mean of minus the log-likelihood, in nats."""
    loss = np.logaddexp(0.0, np.where(drug, -log_odds, log_odds))
    return float(np.sum(weight * loss) / np.sum(weight))


def brier(drug: NDArray[np.bool_], log_odds: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted mean squared error of the probability."""
    return float(np.sum(weight * (probability_of(log_odds) - drug) ** 2) / np.sum(weight))


def best_single_feature(
    names: Sequence[str],
    values: NDArray[np.float64],
    drug: NDArray[np.bool_],
    weight: NDArray[np.float64],
) -> tuple[str, float]:
    """Return the feature that alone ranks best, and its ROC-AUC, in whichever direction it ranks.

    An unknown value is tried at either end: a feature may say the most by being absent.
    """
    best_name, best = names[0], 0.0
    for column, name in enumerate(names):
        for absent in (-np.inf, np.inf):
            score = values[:, column].copy()
            score[np.isnan(score)] = absent
            area = roc_auc(drug, score, weight)
            if max(area, 1 - area) > best:
                best_name, best = name, max(area, 1 - area)
    return best_name, best


def count_false_positives(
    categories: Sequence[str],
    highest: NDArray[np.float64],
    *,
    medium: float | None,
    high: float | None,
) -> tuple[FalsePositives, ...]:
    """Return what the thresholds flag per category, in order of its name.

    `categories` and `highest` (log-odds) have one entry an owner that is not a drug owner.
    """
    found = []
    for category in sorted(set(categories)):
        scores = highest[np.asarray([c == category for c in categories], dtype=np.bool_)]
        found.append(
            FalsePositives(
                category=category,
                owners=len(scores),
                medium=None if medium is None else int(np.count_nonzero(scores > medium)),
                high=None if high is None else int(np.count_nonzero(scores > high)),
            )
        )
    return tuple(found)


def precision_at(*, recall: float, flagged: int, owners: int) -> Mapping[float, float]:
    """Return the precision to expect at each of `PREVALENCES`.

    The false positive rate is taken as (flagged + 1) / (owners + 1): no false alarm among few owners is
    no proof that there will be none.
    """
    rate = (flagged + 1) / (owners + 1)
    return {p: recall * p / (recall * p + rate * (1 - p)) for p in PREVALENCES}
