"""The blocks of the UTXO chain, which all regions of a world share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.clock import DAY, END, Ints, make_generator

REWARD_A_DAY = 600_000_000
"""Smallest units that a region's coinbases issue in a day."""

GRANTS = 5
"""Blocks in which a region's first coins are issued, one for each exchange."""

_GRANT_SECONDS = 7_200  # between them, on the day before the year


@dataclass(frozen=True)
class Blocks:
    """Blocks by number: `time` in seconds since the first day, the fee rate, the hash.

    The first `grants` issue the coins, on the day before the year. The coinbase of a later one belongs to the
    region `number % regions` and is worth `reward`.
    """

    time: Ints
    rates: Ints
    hashes: NDArray[np.uint8]
    grants: int
    regions: int
    reward: int

    def at(self, time: Ints) -> Ints:
        """Return the number of the block that takes in what is sent at a time: the first one after it."""
        after = self.grants + np.searchsorted(self.time[self.grants :], time)
        return np.minimum(after, len(self.time) - 1)

    def seen(self, time: Ints) -> Ints:
        """Return the time of the block that takes in what is sent at a time."""
        seen: Ints = self.time[self.at(time)]
        return seen


def make_blocks(seed: int, *, regions: int, seconds: int) -> Blocks:
    """Draw the blocks of a world, one about every `seconds`."""
    rng = make_generator(seed, "blocks")
    grants = GRANTS * regions
    count = grants + -(-END // seconds)
    number = np.arange(count)
    time = (number - grants + 1) * seconds - rng.integers(0, seconds // 3, count) - 1
    time[-1] = END - 1
    time[:grants] = (number[:grants] - grants) * min(_GRANT_SECONDS, (DAY - 60) // grants)
    rates = (6 + 10 * rng.random(count) ** 2 + 8 * np.sin(number / 37.0) ** 2).astype(np.int64)
    hashes = np.frombuffer(rng.bytes(32 * count), dtype=np.uint8).reshape(count, 32)
    return Blocks(
        time=time,
        rates=rates,
        hashes=hashes,
        grants=grants,
        regions=regions,
        reward=REWARD_A_DAY * seconds // DAY * regions,
    )
