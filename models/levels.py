"""Thresholds of the levels, each with a bound on false alarms that holds for a finite number of owners."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ALPHAS: Mapping[str, float] = {"MEDIUM": 0.05, "HIGH": 0.01}
"""Largest share of licit owners that may be flagged at each level, or above it."""


@dataclass(frozen=True)
class Threshold:
    """Where one level begins, and what that was seen to cost in the period after.

    An owner is flagged when the highest log-odds of its addresses is *above* `log_odds`. `log_odds` is
    None where the bound is not attainable, and `why` then says so.
    """

    level: str
    alpha: float
    """Bound on the share of licit owners flagged; holds where the next owners are like those of `owners`."""
    log_odds: float | None
    owners: int
    """Licit owners that the threshold was set on."""
    why: str | None
    later_owners: int
    """Licit owners of the period after, which had no part in setting it."""
    later_flagged: int
    """How many of those it flags. The bound says nothing of a changed world; this does."""

    @property
    def later_rate(self) -> float | None:
        """Share of the later licit owners that are flagged; None where nothing can be said."""
        if self.log_odds is None or self.later_owners == 0:
            return None
        return self.later_flagged / self.later_owners


@dataclass(frozen=True)
class Thresholds:
    """Where MEDIUM and HIGH begin."""

    medium: Threshold
    high: Threshold

    def level(self, log_odds: float) -> Literal["LOW", "MEDIUM", "HIGH"] | None:
        """Return the level of a score; None where not even MEDIUM is attainable."""
        if self.medium.log_odds is None:
            return None
        if self.high.log_odds is not None and log_odds > self.high.log_odds:
            return "HIGH"
        return "MEDIUM" if log_odds > self.medium.log_odds else "LOW"


def conformal_threshold(scores: NDArray[np.float64], alpha: float) -> float | None:
    """Return t such that a further score of the same kind is above t with probability at most `alpha`.

    `scores` are n exchangeable scores, one an owner. t is the smallest order statistic that keeps the
    promise for any distribution; there is one only where alpha >= 1/(n+1), else None.
    Source: split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
    World, 2005; Papadopoulos et al., 2002).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    count = len(scores)
    # In exact fractions: 0.29 * 100 in doubles is 28.999999999999996, one owner too few.
    allowed = int(Fraction(str(alpha)) * (count + 1))
    if allowed < 1:
        return None
    return float(np.sort(scores)[count - allowed])


def set_thresholds(licit: NDArray[np.float64], later: NDArray[np.float64]) -> Thresholds:
    """Set both thresholds on `licit` and look at what they flag among `later`.

    Both hold one number an owner known to be licit: the highest log-odds of its addresses.
    """
    levels = {level: _set_threshold(level, alpha, licit, later) for level, alpha in ALPHAS.items()}
    return Thresholds(medium=levels["MEDIUM"], high=levels["HIGH"])


def _set_threshold(
    level: str, alpha: float, licit: NDArray[np.float64], later: NDArray[np.float64]
) -> Threshold:
    found = conformal_threshold(licit, alpha)
    why = None
    if found is None:
        needed = math.ceil(1 / Fraction(str(alpha))) - 1
        why = (
            f"not attainable: a bound of {alpha:.0%} needs {needed} licit owners, and there are {len(licit)}"
        )
    return Threshold(
        level=level,
        alpha=alpha,
        log_odds=found,
        owners=len(licit),
        why=why,
        later_owners=len(later),
        later_flagged=0 if found is None else int(np.count_nonzero(later > found)),
    )


def owner_maxima(
    scores: NDArray[np.float64], owner: NDArray[np.int64], owners: Sequence[int]
) -> NDArray[np.float64]:
    """Return the highest score of each of `owners`, in their order; `owner` gives the owner of each row."""
    highest = np.full(int(owner.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(highest, owner, scores)
    return highest[np.asarray(owners, dtype=np.int64)]
