"""Going on from a checkpoint gives what a full run gives, bit for bit; a changed past passes it over."""

import shutil
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.build import build_features
from features.checkpoints import Checkpoints
from features.exposure import Forward, LegColumns, Task, Traced, trace_exposure
from tests.features.ledgers import BANK, Payment, import_claims, import_payments
from tests.features.test_exposure import CATEGORIES

ADDRESSES = 40
AS_OF = datetime.fromisoformat("2023-06-01T00:00:00")


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


def test_a_build_goes_on_from_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real doors: a file later, the state of the first build is taken up; then a label comes."""
    began = []

    class Noted(Checkpoints):
        def begin(self, task: Task) -> Forward | None:
            found = super().begin(task)
            began.append(self.began)
            return found

    monkeypatch.setattr("features.tracing.Checkpoints", partial(Noted, fewest=1))
    first = [(f"2023-01-{day:02}T10:00:00Z", "market", f"u{day % 4}", "10.00") for day in range(1, 9)]
    later = [(f"2023-02-{day:02}T10:00:00Z", f"u{day % 4}", "shop", "5.00") for day in range(1, 9)]
    claims = [(f"{BANK}:market", "darknet_market", "1", "2022-12-01T00:00:00Z")]

    def build(folder: Path, *files: list[Payment]) -> pa.Table:
        folder.mkdir(exist_ok=True)
        for number, file in enumerate(files):
            import_payments(folder / "ledger.duckdb", file, name=f"{file[0][0][:7]}-{number}.csv")
        import_claims(folder / "ledger.duckdb", claims)
        with build_features(folder / "ledger.duckdb", AS_OF) as built:
            return built.exposures

    build(tmp_path / "grown", first)
    grown = build(tmp_path / "grown", later)
    assert began == [0, 8]
    assert grown.equals(build(tmp_path / "whole", first, later))
    import_claims(
        tmp_path / "grown" / "ledger.duckdb",
        [(f"{BANK}:u1", "exchange", "1", "2022-12-01T00:00:00Z")],
        name="more.csv",
    )
    with build_features(tmp_path / "grown" / "ledger.duckdb", AS_OF) as built:
        assert not built.exposures.equals(grown)
    assert began == [0, 8, 0, 0]


def test_columns_in_files_and_in_memory_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger.duckdb"
    import_payments(ledger, [(f"2023-01-{day:02}T10:00:00Z", "market", "u", "10.00") for day in range(1, 9)])
    import_claims(ledger, [(f"{BANK}:market", "darknet_market", "1", "2022-12-01T00:00:00Z")])
    with build_features(ledger, AS_OF) as built:
        whole = built.exposures
    monkeypatch.setattr("features.tracing.LEGS_IN_MEMORY", 0)
    with build_features(ledger, AS_OF) as built:
        assert built.exposures.equals(whole)
    assert list((tmp_path / "cache" / "spill").iterdir()) == []


def test_two_threads_give_what_one_gives() -> None:
    sides = chain(2000)
    both = trace_exposure(*sides, holders=ADDRESSES, owners=ADDRESSES, categories=CATEGORIES, threads=2)
    assert same(both, trace(sides, None))
    assert not same(replace(both, balance=both.balance + 1), both)
