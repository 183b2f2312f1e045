"""How sure a figure is: intervals by drawing owners, not rows, with replacement.

The rows of one owner are no independent observations, so an owner is drawn with all of its rows or not at
all. Drug owners and others are drawn apart, so that every draw has as many of each as there were.
Source: Efron, Bootstrap methods: another look at the jackknife, 1979; Davison and Hinkley, Bootstrap
Methods and their Application, 1997 (strata, percentile intervals).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000
SEED = 784_284
LEVEL = 0.95
"""Share of the draws inside an interval."""

RATES = (0.001, 0.01)
"""False positive rates at which recall is reported."""

_CELLS = 4_000_000
"""Weights (draws x rows) held in memory at once."""

SLACK = 1e-9
"""For sums such as 1/3 + 1/3 + 1/3; far below the weight of any owner."""


@dataclass(frozen=True)
class Interval:
    """A figure and the range in which 95% of the draws lie (percentiles of the owner bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """The ranking figures of one score, each with its interval."""

    pr_auc: Interval
    roc_auc: Interval
    recall: Mapping[str, Interval]
    """By false positive rate, written as `0.001` and `0.01`."""


@dataclass(frozen=True)
class Draws:
    """Rows whose owners are drawn: everyone once, then `draws` times with replacement."""

    owner: NDArray[np.int64]
    """[rows], the owner of each row."""
    weight: NDArray[np.float64]
    """[rows]"""
    drug: NDArray[np.bool_]
    """[rows]"""
    kinds: tuple[NDArray[np.int64], NDArray[np.int64]]
    """The drug owners, and the others."""
    draws: int
    seed: int

    def counts(self, start: int, end: int) -> NDArray[np.int64]:
        """Return how often each owner came in the draws from `start` up to `end`; draw 0 is everyone once."""
        owners = sum(map(len, self.kinds))
        found = np.ones((end - start, owners), dtype=np.int64)
        for number in range(max(start, 1), end):
            # A generator of its own for each draw: the same draws whatever is held in memory at once.
            random = np.random.default_rng([self.seed, number])
            picked = [places[random.integers(0, len(places), size=len(places))] for places in self.kinds]
            found[number - start] = np.bincount(np.concatenate(picked), minlength=owners)
        return found


def draw_owners(
    owner: NDArray[np.int64],
    drug: NDArray[np.bool_],
    weight: NDArray[np.float64],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Draws:
    """Draw the owners of some rows with replacement, drug owners and others apart.

    `owner` [rows] numbers the owners from 0 without gaps. Raises ValueError where rows of one owner are
    both drug and not, or where there are no owners of one of the two kinds.
    """
    kind = np.zeros(int(owner.max(initial=-1)) + 1, dtype=np.bool_)
    kind[owner[drug]] = True
    if (kind[owner] != drug).any():
        raise ValueError("an owner is either a drug owner or not")
    kinds = (np.flatnonzero(kind), np.flatnonzero(~kind))
    if not all(map(len, kinds)):
        raise ValueError("a ranking needs owners of both kinds")
    return Draws(owner, weight, drug, kinds, draws, seed)


Figures = Mapping[str, NDArray[np.float64]]
"""Each figure of one score: of all rows as they are, then of each draw."""


def spread_of(score: NDArray[np.float64], draws: Draws) -> Spread:
    """Return the figures of one score with their intervals."""
    return describe_spread(draw_figures(score, draws))


def describe_spread(figures: Figures) -> Spread:
    """Return the figures with their intervals."""
    return Spread(
        pr_auc=interval_of(figures["pr_auc"]),
        roc_auc=interval_of(figures["roc_auc"]),
        recall={f"{rate:g}": interval_of(figures[f"recall {rate:g}"]) for rate in RATES},
    )


def spread_of_difference(
    score: NDArray[np.float64], other: NDArray[np.float64], draws: Draws
) -> Mapping[str, Interval]:
    """Return how much better `score` is than `other` on the same draws of the same rows, by figure."""
    return describe_difference(draw_figures(score, draws), draw_figures(other, draws))


def describe_difference(ours: Figures, theirs: Figures) -> Mapping[str, Interval]:
    """Return how much better one score is than another, by figure; both were drawn alike."""
    return {name: interval_of(ours[name] - theirs[name]) for name in ours}


def interval_of(found: NDArray[np.float64]) -> Interval:
    """Return the interval of a figure; `found` has the figure itself first, then one value a draw."""
    low, high = np.quantile(found[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(found[0]), float(low), float(high))


def curve_band(
    score: NDArray[np.float64], draws: Draws, recalls: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the precision at given recalls: of all rows, and the ends of its interval at each.

    The precision at a recall is that of the highest threshold which reaches it.
    """

    def precision(hits: NDArray[np.float64], alarms: NDArray[np.float64]) -> NDArray[np.float64]:
        seen = hits + alarms
        at = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        found = np.empty((len(hits), len(recalls)))
        for draw in range(len(hits)):
            place = np.searchsorted(hits[draw], recalls * hits[draw, -1] - SLACK)
            found[draw] = at[draw, np.minimum(place, hits.shape[1] - 1)]
        return found

    curves = np.concatenate([precision(hits, alarms) for hits, alarms in _sums(score, draws)])
    low, high = np.quantile(curves[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return curves[0], low, high


def draw_figures(score: NDArray[np.float64], draws: Draws) -> Figures:
    """Return each figure of each draw, the first of all rows as they are."""
    parts: dict[str, list[NDArray[np.float64]]] = {}
    measures: dict[str, Callable[..., NDArray[np.float64]]] = {"pr_auc": _pr_auc, "roc_auc": _roc_auc}
    for hits, alarms in _sums(score, draws):
        for name, measure in measures.items():
            parts.setdefault(name, []).append(measure(hits, alarms))
        for rate in RATES:
            parts.setdefault(f"recall {rate:g}", []).append(_recall(hits, alarms, rate))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _sums(
    score: NDArray[np.float64], draws: Draws
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield, some draws at a time, the weights of drug and other rows at or above each distinct score."""
    if np.isnan(score).any():
        raise ValueError("a ranking needs scores without NaN")
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(ordered[1:] != ordered[:-1], [True])
    owner = draws.owner[order]
    drug = np.where(draws.drug, draws.weight, 0.0)[order]
    other = np.where(draws.drug, 0.0, draws.weight)[order]
    step = max(1, _CELLS // max(len(score), 1))
    for start in range(0, draws.draws + 1, step):
        times = draws.counts(start, min(start + step, draws.draws + 1)).astype(np.float64)[:, owner]
        yield np.cumsum(times * drug, axis=1)[:, last], np.cumsum(times * other, axis=1)[:, last]


def _pr_auc(hits: NDArray[np.float64], alarms: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = hits + alarms
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    gained = np.diff(hits, prepend=0.0, axis=1)
    return np.asarray(np.sum(gained * precision, axis=1) / hits[:, -1])


def _roc_auc(hits: NDArray[np.float64], alarms: NDArray[np.float64]) -> NDArray[np.float64]:
    before = np.concatenate([np.zeros((len(hits), 1)), hits[:, :-1]], axis=1)
    width = np.diff(alarms, prepend=0.0, axis=1)
    return np.asarray(np.sum(width * (before + hits) / 2, axis=1) / (hits[:, -1] * alarms[:, -1]))


def _recall(hits: NDArray[np.float64], alarms: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    allowed = alarms <= rate * alarms[:, -1:] + SLACK
    return np.asarray(np.where(allowed, hits, 0.0).max(axis=1) / hits[:, -1])
