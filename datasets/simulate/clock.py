"""The calendar of the world: seconds since its first day, and when people pay."""

from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

START: Final = datetime(2023, 1, 1)  # noqa: DTZ001  (naive UTC, as everywhere inside)
DAYS: Final = 365
DAY: Final = 86_400
END: Final = DAYS * DAY
FIRST: Final = 300
"""The first second at which anybody but an issuer or an exchange pays."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FRIDAY: Final = 5  # 2023-01-01 was a Sunday: day % 7 == 5 is a Friday
_PAYDAYS: Final = (1, 2, 3, 15, 16)
_CHOICES: Final = 3


def make_generator(seed: int, part: str) -> np.random.Generator:
    """Return the random numbers of one part of the world, which other parts do not disturb."""
    return np.random.default_rng([seed, *part.encode()])


def _month_days() -> Ints:
    """Return the day of the month of every day of the year."""
    first = np.datetime64(START, "D")
    days = first + np.arange(DAYS + 1)
    numbers: Ints = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
    return numbers


_PAID: Final = np.isin(_month_days(), _PAYDAYS)


def draw_times(
    rng: np.random.Generator, start: Floats, end: Floats, *, weekend: Floats, payday: Floats, evening: Floats
) -> Ints:
    """Draw one moment in seconds between the days `start` and `end` per row, after the habits of the row.

    Each row draws three days and takes one of them by weight, which favours weekends and paydays without
    ever making them exclusive. The clock of the world is UTC; people live five hours ahead of it.
    """
    rows = len(start)
    days = start[:, None] + rng.random((rows, _CHOICES)) * (end - start)[:, None]
    whole = np.clip(days.astype(np.int64), 0, DAYS)
    weight = np.where((whole % 7 == _FRIDAY) | (whole % 7 == _FRIDAY + 1), weekend[:, None] ** 2, 1.0)
    weight = weight * np.where(_PAID[whole], 1.0 + 3.0 * payday[:, None], 1.0)
    steps = np.cumsum(weight, axis=1)
    chosen = (rng.random(rows)[:, None] * steps[:, -1:] > steps).sum(axis=1)
    day = whole[np.arange(rows), np.minimum(chosen, _CHOICES - 1)]
    late = rng.random(rows) < evening
    hour = np.where(late, rng.normal(15.8, 2.3, rows), rng.normal(8.0, 3.6, rows)) % 24.0
    times: Ints = np.clip(day * DAY + (hour * 3600).astype(np.int64), FIRST, END - 1)
    return times


def draw_delays(rng: np.random.Generator, median_hours: Floats | float, sigma: float, rows: int) -> Ints:
    """Draw waiting times in seconds around a median in hours."""
    hours = median_hours * np.exp(rng.normal(0.0, sigma, rows))
    return np.maximum((hours * 3600).astype(np.int64), 60)
