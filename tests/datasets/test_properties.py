"""Whatever the order, the portions and the reorganisations: the ledger of a random chain is the same.

Each property has a short run, and a long one in the slow suite.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datasets.sync
from chains.ledger import LegBatch
from chains.registry import Chain
from datasets.check import check_ledger
from datasets.export import export_rows
from datasets.ingest import ingest_batches
from datasets.store import Ledger, open_ledger
from datasets.sync import SyncOptions, sync_chain
from datasets.writing import Source
from tests.datasets.batches import dump, memory_ledger
from tests.datasets.random_chains import EVM, UTXO, Made, Moved, RandomChain, as_file

Rows = list[tuple[int, Made, Moved]]
chains = st.sampled_from([UTXO, EVM])
seeds = st.integers(0, 10**6)


def often(times: int) -> Callable[[Any], Any]:
    return settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck))


def assert_sound(ledger: Ledger) -> None:
    report = check_ledger(ledger, shown=1)
    assert not report.broken, [(result.check, result.first) for result in report.results if result.found]


@dataclass(frozen=True)
class File:
    """Some transfers of a chain as a file has them."""

    name: str
    rows: Rows = field(repr=False)
    loose: bool


@st.composite
def files_of(draw: st.DrawFn, chain: RandomChain, *, loose: bool | None = None) -> list[File]:
    """Draw files that overlap and together may leave some of the chain out."""
    # A file holds whole transactions, and a whole genesis: that is how they are exported.
    places = sorted({_place(height, moved) for height, _, moved in chain.rows()})
    made = []
    for number in range(draw(st.integers(2, 3))):
        lost = draw(st.lists(st.sampled_from(places), max_size=max(1, len(places) // 2), unique=True))
        kept = set(places) - set(lost)
        rows = [row for row in chain.rows() if _place(row[0], row[2]) in kept]
        made.append(File(f"file {number}", rows, draw(st.booleans()) if loose is None else loose))
    return made


def _place(height: int, moved: Moved) -> tuple[int, int]:
    return height, -1 if moved.kind == "genesis" else moved.position


def load(ledger: Ledger, chain: Chain, file: File, *, cut: int = 1000, legs_at_once: int = 1) -> bool:
    """Import a file, and say whether it was in already."""
    batches: list[LegBatch] = as_file(file.rows, rows_per_batch=cut, loose=file.loose)
    source = Source(chain, "made", file.name, file.name)
    result = ingest_batches(ledger, batches, source=source, code_version="test", legs_at_once=legs_at_once)
    return result.already_imported


def one_thread(ledger: Ledger) -> Ledger:
    ledger.connection.execute("SET threads = 1")
    return ledger


def check_order_and_portions(chain: Chain, height: int, seed: int, data: st.DataObject) -> None:
    node = RandomChain(chain).grow(height, seed)
    files = data.draw(files_of(node))
    turned = data.draw(st.permutations(files))
    with one_thread(memory_ledger()) as straight, one_thread(memory_ledger()) as other:
        for file in files:
            load(straight, chain, file)
        for file in turned:
            cut = data.draw(st.integers(1, 30))
            load(other, chain, file, cut=cut, legs_at_once=data.draw(st.integers(1, 40)))
        assert export_rows(other).equals(export_rows(straight))
        before = dump(other)
        for file in data.draw(st.permutations(files)):
            assert load(other, chain, file)
        assert dump(other) == before
        assert_sound(other)


@often(6)
@given(chain=chains, height=st.integers(1, 8), seed=seeds, data=st.data())
def test_order_and_portions_of_files_never_matter(
    chain: Chain, height: int, seed: int, data: st.DataObject
) -> None:
    check_order_and_portions(chain, height, seed, data)


@pytest.mark.slow
@often(150)
@given(chain=chains, height=st.integers(1, 12), seed=seeds, data=st.data())
def test_order_and_portions_of_files_never_matter_often(
    chain: Chain, height: int, seed: int, data: st.DataObject
) -> None:
    check_order_and_portions(chain, height, seed, data)


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Give a folder with an empty ledger, copied from one that was made before: that is quicker."""
    with tempfile.TemporaryDirectory(prefix="silkscreen-test-") as name:
        shutil.copy(_template(), Path(name, "ledger.duckdb"))
        yield Path(name)


def _template(made: dict[str, Path] = {}) -> Path:  # noqa: B006  (kept between calls on purpose)
    if not made:
        folder = Path(tempfile.mkdtemp(prefix="silkscreen-test-"))
        open_ledger(folder / "empty.duckdb", write=True).close()
        made["empty"] = folder / "empty.duckdb"
    return made["empty"]


@pytest.fixture(autouse=True, scope="module")
def hurried() -> Iterator[None]:
    """Nobody else waits for these ledgers, so that no commit waits for anybody."""
    before = datasets.sync.OTHERS_TURN_SECONDS
    datasets.sync.OTHERS_TURN_SECONDS = 0.0
    yield
    datasets.sync.OTHERS_TURN_SECONDS = before
    shutil.rmtree(_template().parent, ignore_errors=True)


def sync(node: RandomChain, folder: Path, **options: Any) -> None:
    given_options = SyncOptions(poll_seconds=0.0, threads=1, **options)
    sync_chain(
        node, folder / "ledger.duckdb", options=given_options, tell=lambda event: None, code_version="test"
    )


def held(folder: Path, *, sound: bool = True) -> tuple[Any, ...]:
    """Return what a ledger says: its transfers, blocks and stretches; and check that it holds together."""
    with open_ledger(folder / "ledger.duckdb", threads=1) as ledger:
        if sound:
            assert_sound(ledger)
        execute = ledger.connection.execute
        return (
            export_rows(ledger).combine_chunks(),
            execute("SELECT height, hash, parent_hash, time FROM block ORDER BY ALL").fetchall(),
            execute("SELECT first_height, last_height FROM synced ORDER BY ALL").fetchall(),
            execute("SELECT height, final_height FROM node_head").fetchall(),
        )


def control(node: RandomChain, first: int = 0) -> tuple[Any, ...]:
    """Return what a ledger says that was read once from the chain as it is now."""
    with empty_folder() as folder:
        sync(node, folder, first=first)
        return held(folder, sound=False)


class Restless(RandomChain):
    """A node whose chain is reorganised while it is read, as often as `forks` says."""

    forks: list[tuple[int, int]]
    turn: threading.Lock

    def read_blocks(self, first: int, last: int) -> LegBatch:
        """Read, and take up another branch before the answer every now and then."""
        with self.turn:
            if self.forks and last < len(self.blocks):
                depth, seed = self.forks.pop()
                self.fork(min(depth, len(self.blocks) - 1), depth + 1, seed)
        return super().read_blocks(first, last)


forks = st.tuples(st.integers(1, 12), seeds)


def check_reorganisations(chain: Chain, seed: int, data: st.DataObject) -> None:
    node = Restless(chain, final_depth=data.draw(st.integers(0, 8)))
    node.forks, node.turn = [], threading.Lock()
    node.grow(data.draw(st.integers(1, 12)), seed)
    with empty_folder() as folder:
        for _ in range(data.draw(st.integers(1, 4))):
            node.forks = data.draw(st.lists(forks, max_size=2))
            sync(node, folder, first=0, legs_per_commit=data.draw(st.integers(1, 60)))
            depth, more, new_seed = data.draw(st.tuples(st.integers(0, 14), st.integers(1, 15), seeds))
            node.fork(min(depth, len(node.blocks) - 1), more, new_seed)  # the new branch may be shorter
        node.forks = []
        sync(node, folder, first=0)
        assert held(folder) == control(node)


@often(4)
@given(chain=chains, seed=seeds, data=st.data())
def test_any_reorganisations_end_as_one_reading_of_the_last_chain(
    chain: Chain, seed: int, data: st.DataObject
) -> None:
    check_reorganisations(chain, seed, data)


@pytest.mark.slow
@often(100)
@given(chain=chains, seed=seeds, data=st.data())
def test_any_reorganisations_end_as_one_reading_of_the_last_chain_often(
    chain: Chain, seed: int, data: st.DataObject
) -> None:
    check_reorganisations(chain, seed, data)


def check_stretches(chain: Chain, seed: int, data: st.DataObject) -> None:
    node = RandomChain(chain).grow(data.draw(st.integers(2, 16)), seed)
    top = node.head().height
    with empty_folder() as folder:
        for _ in range(data.draw(st.integers(0, 4))):
            first, last = sorted(data.draw(st.tuples(st.integers(0, top), st.integers(0, top))))
            sync(node, folder, first=first, last=last, legs_per_commit=data.draw(st.integers(1, 60)))
        sync(node, folder, first=0)
        assert held(folder) == control(node)


@often(4)
@given(chain=chains, seed=seeds, data=st.data())
def test_stretches_in_any_order_grow_together_to_the_whole(
    chain: Chain, seed: int, data: st.DataObject
) -> None:
    check_stretches(chain, seed, data)


@pytest.mark.slow
@often(100)
@given(chain=chains, seed=seeds, data=st.data())
def test_stretches_in_any_order_grow_together_to_the_whole_often(
    chain: Chain, seed: int, data: st.DataObject
) -> None:
    check_stretches(chain, seed, data)


def check_files_beside_a_node(chain: Chain, seed: int, data: st.DataObject) -> None:
    """Files of the same chain, before or after the node is read, change nothing of what the node says."""
    node = RandomChain(chain, tells_genesis=False).grow(data.draw(st.integers(2, 10)), seed)
    files: Sequence[File] = data.draw(files_of(node))
    begin = data.draw(st.integers(0, node.head().height))
    before = data.draw(st.lists(st.sampled_from(files), unique_by=lambda file: file.name))
    exports: list[pa.Table] = []
    for early in (before, [], list(files)):
        with empty_folder() as folder:
            steps: list[Any] = [*early, None, *(file for file in files if file not in early)]
            for step in steps:
                if step is None:
                    sync(node, folder, first=begin)
                else:
                    with open_ledger(folder / "ledger.duckdb", write=True, threads=1) as ledger:
                        load(ledger, chain, step)
            exports.append(held(folder, sound=not exports)[0])
    assert exports[0].equals(exports[1])
    assert exports[0].equals(exports[2])


@often(4)
@given(chain=chains, seed=seeds, data=st.data())
def test_files_and_a_node_say_each_transfer_once(chain: Chain, seed: int, data: st.DataObject) -> None:
    check_files_beside_a_node(chain, seed, data)


@pytest.mark.slow
@often(80)
@given(chain=chains, seed=seeds, data=st.data())
def test_files_and_a_node_say_each_transfer_once_often(chain: Chain, seed: int, data: st.DataObject) -> None:
    check_files_beside_a_node(chain, seed, data)
