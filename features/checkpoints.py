"""Checkpoints of the forward pass: what was traced once need not be traced again when blocks are added.

A checkpoint is the state after some number of transfers, under the hash of all that it rests on: those
transfers' legs with their entities, labels and values, and the code that traced them. It is taken up only
where that hash is the same, so that going on from it gives what a full run gives, bit for bit. A label or an
entity that changes something earlier makes it useless: then it is passed over. It may be deleted any time.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from datasets.taxonomy import load_taxonomy
from features.exposure import Forward, Task
from features.exposure_kernel import SLOT, TALLY
from features.slots import SlotStore, new_store

FEWEST = 1_000_000
"""Transfers below which a chain is traced in less time than a checkpoint takes to write."""

EVERY = 5_000_000
"""Transfers between two checkpoints of one pass; the last is at its end."""

KEPT = 6
"""Checkpoints of a chain; the one that was not used for longest goes first."""

ABANDONED_SECONDS = 86_400

_META = "checkpoint.json"
_PARTS = ("head", "slots", "counters")


@dataclass
class Checkpoints:
    """The checkpoints of one chain in one folder, during one run."""

    folder: Path
    fewest: int = FEWEST
    every: int = EVERY
    began: int = 0
    """Transfers that the run need not trace."""
    _hashes: dict[int, str] = field(default_factory=dict)

    def begin(self, task: Task) -> Forward | None:
        """Return the forward pass of the latest checkpoint that `task` begins with; None without one."""
        if task.transfers < self.fewest:
            return None
        known = {at for at in self._found() if at <= task.transfers}
        own = {*range(self.every, task.transfers, self.every), task.transfers}
        self._hashes = hash_prefixes(task, known | own)
        for transfers in sorted(known, reverse=True):
            path = self.folder / f"{transfers}-{self._hashes[transfers]}"
            if path.is_dir():
                forward = _read(path, task, transfers)
                if forward is not None:
                    os.utime(path)
                    self.began = transfers
                    return forward
        return None

    def rest(self, forward: Forward, task: Task) -> None:
        """Write the pass where it stands, if this is a place for a checkpoint and there is none."""
        if forward.done not in self._hashes or (forward.done != task.transfers and forward.done % self.every):
            return
        path = self.folder / f"{forward.done}-{self._hashes[forward.done]}"
        if path.is_dir():
            return
        work = self.folder / f".writing-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir(parents=True)
            sums = {}
            for name, store in (("state", forward.state), ("tally", forward.tally)):
                for part, content in zip(_PARTS, (store.head, store.used, store.counters), strict=True):
                    file = work / f"{name}_{part}.npy"
                    np.save(file, content, allow_pickle=False)
                    sums[file.name] = _sum(file)
            (work / _META).write_text(json.dumps(sums), encoding="utf-8")
            work.rename(path)
            self._prune()
        except OSError:  # a full disk, or another build that was quicker: the work goes on without it
            shutil.rmtree(work, ignore_errors=True)

    def _found(self) -> set[int]:
        if not self.folder.is_dir():
            return set()
        heads = (path.name.partition("-")[0] for path in self.folder.iterdir())
        return {int(head) for head in heads if head.isdigit()}

    def _prune(self) -> None:
        for left in self.folder.glob(".writing-*"):  # of a build that was killed
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        paths = [path for path in self.folder.iterdir() if path.name[0].isdigit()]
        paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in paths[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)


def hash_prefixes(task: Task, moments: Iterable[int]) -> dict[int, str]:
    """Return what tracing the first so many transfers rests on, as a hash, for each of `moments`."""
    columns: list[tuple[Any, Any]] = [(task.roles, None), (task.flows, task.payees.start)]
    for side in (task.payers, task.payees):
        columns.append((np.diff(side.start), None))
        columns += [(column, side.start) for column in side[1:]]
    running = [hashlib.blake2b(digest_size=16) for _ in columns]
    hashes: dict[int, str] = {}
    before = 0
    for moment in sorted(set(moments)):
        for digest, (column, start) in zip(running, columns, strict=True):
            begin, end = (before, moment) if start is None else (int(start[before]), int(start[moment]))
            digest.update(np.ascontiguousarray(column[begin:end]).data)
        whole = hashlib.blake2b(_code().encode(), digest_size=16)
        for digest in running:
            whole.update(digest.digest())
        hashes[moment] = whole.hexdigest()
        before = moment
    return hashes


@cache
def _code() -> str:
    """Return what gives the state its meaning: the compiled passes and the categories' numbers."""
    source = (files("features") / "exposure_kernel.py").read_text(encoding="utf-8")
    return source + "\n".join(category.id for category in load_taxonomy().categories)


def _read(path: Path, task: Task, transfers: int) -> Forward | None:
    """Return the pass of a checkpoint; None where a file is damaged."""
    stores = []
    try:
        sums = json.loads((path / _META).read_text(encoding="utf-8"))
        for name, dtype, size in (("state", SLOT, task.holders), ("tally", TALLY, task.owners)):
            parts = []
            for part in _PARTS:
                file = path / f"{name}_{part}.npy"
                if _sum(file) != sums[file.name]:
                    return None
                parts.append(np.load(file, mmap_mode="r"))
            stores.append(_filled(new_store(size, dtype, task.spill), *parts))
    except (OSError, ValueError, KeyError):
        return None
    return Forward(transfers, *stores)


def _filled(store: SlotStore, head: Any, slots: Any, counters: Any) -> SlotStore:
    # Numbers count on from the first appearance: what came later stands behind, and holds nothing yet.
    known = min(head.size, store.head.size)
    store.head[:known] = head[:known]
    store.slots[: slots.size] = slots
    store.counters[:] = counters
    return store


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
