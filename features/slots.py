"""Stores of slots: the state of a pass, in memory or, where it may not fit, in a file nobody else sees."""

import mmap
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.exposure_kernel import COUNTERS, HEAD, list_slots

_NORESERVE = 0x4000  # MAP_NORESERVE of Linux: memory is taken when it is written to, not before


@dataclass
class SlotStore:
    """Blocks of slots by number: `head` says where each one lies in `slots`, `counters` what is in use."""

    head: NDArray[Any]
    slots: NDArray[Any]
    counters: NDArray[np.int64]

    @property
    def parts(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return what the compiled passes take."""
        return self.head, self.slots, self.counters

    @property
    def used(self) -> NDArray[Any]:
        """Return the part of the store that is in use."""
        return self.slots[: int(self.counters[0])]

    def listed(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return (number of each slot's holder, slots), by holder and then key: one order for one content."""
        found: tuple[NDArray[np.int64], NDArray[Any]] = list_slots(self.head, self.slots)
        return found

    def close(self) -> None:
        """Let the memory go."""
        self.head, self.slots = self.head[:0].copy(), self.slots[:0].copy()


def new_store(holders: int, dtype: np.dtype[Any], spill: Path | None = None) -> SlotStore:
    """Return an empty store for `holders` numbers; with `spill` it lies in a file of that folder.

    Room is asked for as much as the machine could ever give and taken as it is used, so that a store never
    moves. A file is removed at once: it lives as long as the store.
    """
    counters = np.full(COUNTERS, -1, np.int64)
    counters[0] = 0
    head = np.frombuffer(_room(max(holders, 1) * HEAD.itemsize, spill), HEAD)[:holders]
    return SlotStore(head, _slots(dtype, spill), counters)


def _slots(dtype: np.dtype[Any], spill: Path | None) -> NDArray[Any]:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    size = 2 * size if spill is None else 16 * size
    size = min(size, (2**31 - 1) * dtype.itemsize)  # a block's place is a 32-bit number
    while True:
        try:
            return np.frombuffer(_room(size, spill), dtype, count=size // dtype.itemsize)
        except (OSError, OverflowError):  # a machine that promises no more than it has
            size //= 2
            if size < 2**20:
                raise


def _room(size: int, spill: Path | None) -> mmap.mmap:
    if spill is None:
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    else:
        with tempfile.TemporaryFile(dir=spill) as file:
            file.truncate(size)
            room = mmap.mmap(file.fileno(), size)
    with suppress(OSError):  # fewer, larger pages are found faster; not every system has them
        room.madvise(mmap.MADV_HUGEPAGE)
    return room
