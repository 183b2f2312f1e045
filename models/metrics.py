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


@dataclass(frozen=True)
class Bin:
    """Rows of about equal probability: what was said of them, and what they were."""

    lowest: float
    highest: float
    said: float
    """Weighted mean of the probability."""
    seen: float
    """Weighted share of drug rows."""
    low: float
    high: float
    """Interval of `seen` (Wilson, 95%), an owner counting once."""
    weight: float
    """Sum of the weights: about the number of owners."""
    rows: int


def calibration_bins(
    drug: NDArray[np.bool_], probability: NDArray[np.float64], weight: NDArray[np.float64], *, bins: int = 10
) -> tuple[Bin, ...]:
    """Return bins of about equal weight in order of probability; rows of equal probability stay together."""
    order = np.argsort(probability, kind="stable")
    ordered, weights = probability[order], weight[order]
    total = float(np.sum(weights))
    middle = np.cumsum(weights) - weights / 2
    place = np.minimum((middle / total * bins).astype(np.int64), bins - 1)
    _, same = np.unique(ordered, return_inverse=True)
    first = np.full(int(same.max(initial=-1)) + 1, bins, dtype=np.int64)
    np.minimum.at(first, same, place)
    place = first[same]
    found = []
    for number in np.unique(place).tolist():
        rows = order[place == number]
        mass = float(np.sum(weight[rows]))
        seen = float(np.sum(weight[rows] * drug[rows])) / mass
        low, high = wilson(seen, mass)
        found.append(
            Bin(
                lowest=float(probability[rows].min()),
                highest=float(probability[rows].max()),
                said=float(np.sum(weight[rows] * probability[rows])) / mass,
                seen=seen,
                low=low,
                high=high,
                weight=mass,
                rows=len(rows),
            )
        )
    return tuple(found)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: the mean of |said - seen| over the bins, by weight.

    Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian
    binning, 2015.
    """
    total = float(np.sum([b.weight for b in bins]))
    return float(np.sum([b.weight * abs(b.said - b.seen) for b in bins])) / total


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95% interval of a share seen among `count` (Wilson's score interval, 1927)."""
    if count <= 0:
        return 0.0, 1.0
    z = 1.959963984540054
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def precision_at(*, recall: float, flagged: int, owners: int) -> Mapping[float, float]:
    """Return the precision to expect at each of `PREVALENCES`.

    The false positive rate is taken as (flagged + 1) / (owners + 1): no false alarm among few owners is
    no proof that there will be none.
    """
    rate = (flagged + 1) / (owners + 1)
    return {p: recall * p / (recall * p + rate * (1 - p)) for p in PREVALENCES}
