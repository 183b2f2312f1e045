"""Going on from a checkpoint gives what a full run gives, bit for bit; a changed past passes it over."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.checkpoints import Checkpoints
from features.exposure import LegColumns, Traced, trace_exposure
from tests.features.test_exposure import CATEGORIES

ADDRESSES = 40


def chain(transfers: int, *, seed: int = 1, holders: int = ADDRESSES) -> tuple[LegColumns, LegColumns]:
    """Random payments between addresses that appear one after another, as numbering by appearance has it."""
    rng = np.random.default_rng(seed)
    labels = np.full(holders, -1, np.int16)
    labels[:5] = [0, 1, 2, 3, 0]
    known = np.minimum(np.arange(transfers) // 8 + 6, holders)
    start = np.arange(transfers + 1)
    sides = []
    amounts = rng.integers(1, 100, transfers).astype(float)
    for _ in range(2):
        who = (rng.random(transfers) * known).astype(np.int32)
        sides.append(LegColumns(start, who, who, labels[who], amounts, amounts, amounts * 2))
    return sides[0], sides[1]


def cut(side: LegColumns, transfers: int) -> LegColumns:
    columns: dict[str, Any] = {name: getattr(side, name)[:transfers] for name in side._fields[1:]}
    return LegColumns(start=side.start[: transfers + 1], **columns)


def trace(
    sides: tuple[LegColumns, LegColumns], resting: Checkpoints | None, *, spill: Path | None = None
) -> Traced:
    holders = max(int(side.holder.max()) for side in sides) + 1
    return trace_exposure(
        *sides, holders=holders, owners=holders, categories=CATEGORIES, resting=resting, spill=spill
    )


def same(one: Traced, other: Traced) -> bool:
    columns = ("owner", "category", "direct", "value", "usd", "hops", "largest", "origin")
    whole = ("received_total", "sent_total", "held_holder", "held_category", "held_value", "balance")
    pairs = [(one.received, other.received, columns), (one.sent, other.sent, columns), (one, other, whole)]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for a, b, names in pairs for name in names)


def checkpoints(folder: Path, every: int = 1_000_000) -> Checkpoints:
    return Checkpoints(folder, fewest=1, every=every)


@pytest.mark.parametrize("first", [1, 7, 100, 299])
def test_going_on_is_the_same_as_a_full_run(tmp_path: Path, first: int) -> None:
    sides = chain(300)
    trace((cut(sides[0], first), cut(sides[1], first)), checkpoints(tmp_path))
    resumed = checkpoints(tmp_path)
    found = trace(sides, resumed)
    assert resumed.began == first
    assert same(found, trace(sides, None))
    again = checkpoints(tmp_path)
    assert same(trace(sides, again), found)
    assert again.began == 300


def test_a_moment_in_the_past_is_replayed_from_the_nearest_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.exposure.STRETCH", 50)
    sides = chain(300)
    trace(sides, checkpoints(tmp_path, every=100))
    past = checkpoints(tmp_path, every=100)
    short = (cut(sides[0], 250), cut(sides[1], 250))
    found = trace(short, past)
    assert past.began == 200
    assert same(found, trace(short, None))


@pytest.mark.parametrize("column", ["seed", "amount", "owner", "usd"])
def test_a_changed_past_is_traced_anew(tmp_path: Path, column: str) -> None:
    sides = chain(300)
    trace((cut(sides[0], 200), cut(sides[1], 200)), checkpoints(tmp_path))
    changed = getattr(sides[1], column).copy()
    changed[150] = changed[150] + 1 if column != "seed" else 3 - changed[150]
    other = (sides[0], sides[1]._replace(**{column: changed}))
    resumed = checkpoints(tmp_path)
    found = trace(other, resumed)
    assert resumed.began == 0
    assert same(found, trace(other, None))


def test_a_damaged_or_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    sides = chain(300)
    trace((cut(sides[0], 200), cut(sides[1], 200)), checkpoints(tmp_path))
    (path,) = tmp_path.iterdir()
    whole = tmp_path.parent / "whole"
    shutil.copytree(path, whole)
    for file in sorted(whole.iterdir()):
        for left in tmp_path.iterdir():
            shutil.rmtree(left)
        shutil.copytree(whole, path)
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        (path / file.name).write_bytes(content)
        resumed = checkpoints(tmp_path)
        assert same(trace(sides, resumed), trace(sides, None)), file.name
        assert resumed.began == 0, file.name
        (path / file.name).unlink()
        assert trace(sides, checkpoints(tmp_path)) is not None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sides = chain(50)
    assert same(trace(sides, checkpoints(tmp_path / "file" / "inside")), trace(sides, None))


def test_few_are_kept(tmp_path: Path) -> None:
    sides = chain(300)
    for first in range(100, 200, 10):
        trace((cut(sides[0], first), cut(sides[1], first)), checkpoints(tmp_path))
    left = sorted(int(path.name.partition("-")[0]) for path in tmp_path.iterdir())
    assert left == list(range(140, 200, 10))


def test_state_in_files_and_in_memory_is_the_same(tmp_path: Path) -> None:
    sides = chain(3000)
    assert same(trace(sides, None, spill=tmp_path), trace(sides, None))
    assert list(tmp_path.iterdir()) == []


def test_two_threads_give_what_one_gives() -> None:
    sides = chain(2000)
    both = trace_exposure(*sides, holders=ADDRESSES, owners=ADDRESSES, categories=CATEGORIES, threads=2)
    assert same(both, trace(sides, None))
    assert not same(replace(both, balance=both.balance + 1), both)
