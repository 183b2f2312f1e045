"""How many of the cases that analysts can open in a period would be drug owners: precision at capacity."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import DRAWS, SEED, Interval, draw_owners, interval_of
from models.metrics import PREVALENCES

PERIOD_DAYS = 30
"""Days after which the owners are ranked afresh."""

CAPACITY = 10
"""Cases that an analyst can open in a day, unless another number is given."""


@dataclass(frozen=True)
class Capacity:
    """What the owners at the top of the ranking would be, if `owners` were ranked once in a period.

    The labelled owners of the test fold stand for all: its drug owners for drug owners, its others for
    everybody else. So the precision rests on the share of drug owners that is assumed.
    """

    per_day: int
    days: int
    cases: int
    """per_day times days."""
    owners: int
    """Owners seen at the test moment, labelled or not."""
    precision: Mapping[str, Interval]
    """By assumed share of drug owners, written as `0.01`."""
    recall: Mapping[str, Interval]
    """Share of the drug owners among the cases, by assumed share."""


def precision_at_capacity(
    drug: NDArray[np.bool_],
    highest: NDArray[np.float64],
    *,
    per_day: int,
    owners: int,
    days: int = PERIOD_DAYS,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Capacity:
    """Return the precision among the top `per_day` * `days` of `owners`, for each of `PREVALENCES`.

    `drug` and `highest` (score) have one entry an owner of the test fold. The score is lowered until so many
    owners are at or above it; within owners of equal score the cases are taken evenly. One more false alarm
    is counted than was seen: that there was none among few owners is no proof that there is none.
    """
    drawn = draw_owners(np.arange(len(drug)), drug, np.ones(len(drug)), draws=draws, seed=seed)
    order = np.argsort(-highest, kind="stable")
    ordered = highest[order]
    last = np.append(ordered[1:] != ordered[:-1], [True])
    times = drawn.counts(0, draws + 1)[:, order].astype(np.float64)
    of_drug = drug[order]
    hits = np.cumsum(times * of_drug, axis=1)[:, last] / np.count_nonzero(drug)
    others = np.count_nonzero(~drug)
    alarms = (np.cumsum(times * ~of_drug, axis=1)[:, last] + 1) / (others + 1)
    cases = min(per_day * days, owners)
    precision, recall = {}, {}
    for share in PREVALENCES:
        found = owners * (share * hits + (1 - share) * alarms)
        caught = (
            owners
            * share
            * np.asarray(
                [
                    np.interp(cases, row, hit, left=0.0)
                    for row, hit in zip(_from_zero(found), _from_zero(hits), strict=True)
                ]
            )
        )
        precision[f"{share:g}"] = interval_of(np.minimum(caught / cases, 1.0))
        recall[f"{share:g}"] = interval_of(np.minimum(caught / (owners * share), 1.0))
    return Capacity(per_day, days, cases, owners, precision, recall)


def _from_zero(rising: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((len(rising), 1)), rising], axis=1)
