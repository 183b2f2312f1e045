"""Follow a node into the ledger: read ahead, commit whole blocks, walk back where its chain was reorganised.

The ledger is opened for each commit and closed between, so that other commands get their turn. Killed at
any moment, it stands at the end of a block; the next run goes on from there.
"""

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from chains.errors import (
    BadAnswer,
    BranchChanged,
    InputError,
    LedgerBusy,
    LedgerMissing,
    NodeUnavailable,
    WrongChain,
)
from chains.ledger import LegBatch, join_batches
from chains.nodes import BlockSource, Head
from datasets.blocks import (
    Committed,
    NodeRun,
    Stretch,
    commit_blocks,
    note_head,
    read_hash,
    read_parent,
    read_stretches,
    read_whole,
)
from datasets.status import try_write_status
from datasets.store import Ledger, open_ledger

LEGS_A_READ = 20_000
"""Legs asked for at once: enough to keep a node busy, few enough to hold several reads in memory."""

MOST_BLOCKS_A_READ = 512
SAMPLES = 6
LEGS_A_SECOND = 100_000  # of the ledger's own writing, for the estimate
BYTES_A_LEG = (
    110  # on disk with its transfer and its addresses, for the estimate, until the ledger tells itself
)
OTHERS_TURN_SECONDS = 0.3
STATUS_SECONDS = 60.0
TRIES = 5
"""Readings of a node whose answers contradict each other, before it is given up."""


@dataclass(frozen=True)
class SyncOptions:
    """What to read, and in which portions. A negative `first` counts back from the node's newest block."""

    first: int | None = None  # None: from where the ledger stops, or from 0
    last: int | None = None  # None: the node's newest block
    follow: bool = False
    force: bool = False  # begin even where the disk seems too small
    legs_per_commit: int = 500_000
    seconds_per_commit: float = 60.0
    readers: int = 2
    poll_seconds: float = 5.0
    profiles: Mapping[str, str] = field(default_factory=dict)  # to be remembered, by contract
    wait_seconds: float = 30.0  # for other processes that hold the ledger
    threads: int | None = None


@dataclass(frozen=True)
class SyncPlan:
    """What is to be read, and what that is likely to take."""

    chain: str
    stretches: tuple[Stretch, ...]  # heights that are missing
    blocks: int
    seconds: float | None  # None where there is too little to tell
    disk_bytes: int | None
    free_bytes: int
    head: int
    untold: tuple[str, ...] = ()  # what the node cannot tell of these blocks, each in a few words


@dataclass(frozen=True)
class SyncEvent:
    """Something that whoever watches may want to know. `what` is one of the words beside the fields."""

    what: str  # planned, read, committed, reorganised, waiting, warned, following
    height: int
    blocks: int = 0  # read: how many more
    plan: SyncPlan | None = None  # planned
    committed: Committed | None = None  # committed, reorganised (`height` is then the last block shared)
    text: str = ""  # waiting: for what; warned: of what


@dataclass(frozen=True)
class SyncResult:
    """What one run did."""

    chain: str  # CAIP-2
    first: int | None  # lowest height committed
    last: int | None  # highest height committed
    blocks: int
    transfers: int
    legs: int
    rejected: int
    removed: int  # transfers of abandoned branches
    reorganisations: int
    head: int


Tell = Callable[[SyncEvent], None]


@dataclass
class _Sync:
    """One run under way."""

    source: BlockSource
    path: Path
    options: SyncOptions
    tell: Tell
    run: NodeRun
    head: Head
    result: SyncResult
    fork: int | None = None  # last block that node and ledger share, until what is above it is replaced
    done_at: Head | None = None  # the head at which nothing was missing
    planned: bool = False
    tries: int = 0
    blocks_a_read: int = 8
    last_commit: float = field(default_factory=time.monotonic)
    last_status: float = -STATUS_SECONDS


def sync_chain(
    source: BlockSource, ledger: Path, *, options: SyncOptions, tell: Tell, code_version: str
) -> SyncResult:
    """Read the blocks that the ledger lacks from a node; with `follow`, go on as new ones come.

    Raises NodeError (a node that cannot be used; what was read whole is kept), LedgerError, InputError
    (heights beyond the node's, a disk that is too small).
    """
    head = source.head()
    options = _settled(options, head)
    started_at = datetime.now(UTC).replace(tzinfo=None)
    run = NodeRun(source.chain, source.facts, started_at, code_version, options.profiles)
    result = SyncResult(source.chain.caip2, None, None, 0, 0, 0, 0, 0, 0, head.height)
    sync = _Sync(source, ledger, options, tell, run, head, result)
    try:
        while True:
            done = _step(sync)
            if done and not options.follow:
                return sync.result
            if done:
                tell(SyncEvent("following", sync.head.height))
                time.sleep(options.poll_seconds)
    finally:
        _write_status(sync, due=0.0)


def _settled(options: SyncOptions, head: Head) -> SyncOptions:
    """Return the options with a first height that is one; refuse heights that the node does not have."""
    first = options.first
    if first is not None and first < 0:
        first = max(head.height + 1 + first, 0)
    furthest = max(first or 0, options.last or 0)
    if furthest > head.height and not options.follow:
        raise InputError(f"the node's newest block is {head.height}: it does not have block {furthest} yet")
    if first is not None and options.last is not None and first > options.last:
        raise InputError(f"--from {first} is above --to {options.last}")
    return replace(options, first=first)


def plan_sync(
    source: BlockSource, folder: Path, missing: tuple[Stretch, ...], head: Head, *, bytes_a_leg: float | None
) -> SyncPlan:
    """Say how long reading the missing heights will take and how much disk, from a few blocks among them."""
    blocks = sum(stretch.last - stretch.first + 1 for stretch in missing)
    free = shutil.disk_usage(_existing(folder)).free
    seconds = disk = None
    if blocks > 50 * SAMPLES:
        legs, spent = 0, 0.0
        for i in range(SAMPLES):
            height = _nth_height(missing, blocks * (2 * i + 1) // (2 * SAMPLES))
            began = time.monotonic()
            legs += source.read_blocks(height, height).legs.num_rows
            spent += time.monotonic() - began
        total = legs * blocks / SAMPLES
        seconds = spent * blocks / SAMPLES + total / LEGS_A_SECOND
        disk = round(total * (bytes_a_leg or BYTES_A_LEG))
    return SyncPlan(source.chain.name, missing, blocks, seconds, disk, free, head.height)


def missing_heights(held: tuple[Stretch, ...], first: int, last: int) -> tuple[Stretch, ...]:
    """Return the heights from `first` to `last` that no stretch holds, lowest first."""
    missing = []
    for stretch in held:
        if stretch.last < first or stretch.first > last:
            continue
        if stretch.first > first:
            missing.append(Stretch(first, stretch.first - 1))
        first = stretch.last + 1
    if first <= last:
        missing.append(Stretch(first, last))
    return tuple(missing)


def _step(sync: _Sync) -> bool:
    """Read what is missing now; False where it must be looked at again at once."""
    try:
        sync.head = sync.source.head()
        sync.result = replace(sync.result, head=sync.head.height)
        if sync.head != sync.done_at:
            _catch_up(sync)
    except (BranchChanged, BadAnswer, NodeUnavailable) as error:
        sync.tries += 1
        if not sync.options.follow and (sync.tries >= TRIES or isinstance(error, NodeUnavailable)):
            raise
        sync.tell(SyncEvent("waiting", sync.head.height, text=str(error)))
        time.sleep(min(0.2 * 2**sync.tries, sync.options.poll_seconds))
        return False
    sync.tries, sync.done_at = 0, sync.head
    return True


def _catch_up(sync: _Sync) -> None:
    held, whole, bytes_a_leg = _look(sync)
    first, last = _wanted(sync, held)
    if sync.fork is not None:
        whole = tuple(Stretch(s.first, min(s.last, sync.fork)) for s in whole if s.first <= sync.fork)
        first, last = min(first, sync.fork + 1), max(last, sync.fork + 1)
    missing = missing_heights(whole, first, last)
    if not sync.planned:
        _plan(sync, missing, bytes_a_leg)
    if missing:
        _read_missing(sync, missing)
    else:
        _note_head(sync)
    _write_status(sync, due=STATUS_SECONDS)


def _wanted(sync: _Sync, held: tuple[Stretch, ...]) -> tuple[int, int]:
    """Return the heights that the ledger shall hold in the end."""
    first = sync.options.first
    if first is None:
        first = held[-1].first if held else 0
        if sync.options.last is not None and sync.options.last < first:
            raise InputError(
                f"the ledger's last stretch of {sync.run.chain.name} begins at block {first}, above "
                f"--to {sync.options.last}: say with --from where to begin"
            )
    last = sync.head.height if sync.options.last is None else min(sync.options.last, sync.head.height)
    return first, last


def _look(sync: _Sync) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...], float | None]:
    """Return the stretches, those that need not be read, and the bytes on disk a leg; note where both part.

    Heights that were read from a node that told less are read again where the user names them.
    """
    sync.fork = None
    try:
        ledger = _open(sync, write=False)
    except LedgerMissing:
        return (), (), None
    with ledger:
        held = whole = read_stretches(ledger, sync.run.chain)
        if sync.options.first is not None:
            whole = read_whole(ledger, sync.run.chain, sync.run.facts)
        tops = [min(stretch.last, sync.head.height) for stretch in held]
        hashes = [read_hash(ledger, sync.run.chain, top) for top in tops]
        legs = int(ledger.connection.execute("SELECT count(*) FROM leg").fetchall()[0][0])
    for stretch, top, held_hash in zip(held, tops, hashes, strict=True):
        # A node that only lags behind the ledger agrees at its own newest block: that is no fork.
        if stretch.first <= top and sync.source.block_hash(top) != held_hash:
            sync.fork = _find_fork(sync, stretch, top)
            break
    return held, whole, sync.path.stat().st_size / legs if legs > 200_000 else None


def _find_fork(sync: _Sync, stretch: Stretch, high: int) -> int:
    """Return the last height below `high`, where node and ledger differ, at which they agree.

    Steps back that double, then halves: few questions whether the fork is 1 or 100,000 blocks deep.
    """
    top, low, step = high, stretch.first - 1, 1
    while high - step > low:
        if _agree(sync, high - step):
            low = high - step
            break
        high, step = high - step, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _agree(sync, middle) else (low, middle)
    if low < 0:
        first_block = sync.source.block_hash(0)
        raise WrongChain(
            sync.run.facts.url,
            expected=f"{sync.run.chain.caip2} of this ledger: it begins with another block",
            found="a chain whose block 0 is " + (first_block.hex() if first_block else "unknown"),
        )
    if low < stretch.first and not _shares_ground(sync, stretch.first):
        why = f"none of the blocks {stretch.first} to {top} that the ledger holds is on its branch"
        raise BadAnswer(sync.run.facts.url, method="its block hashes", why=why)
    return low


def _agree(sync: _Sync, height: int) -> bool:
    with _open(sync, write=False) as ledger:  # not held while the node is asked
        held = read_hash(ledger, sync.run.chain, height)
    return sync.source.block_hash(height) == held


def _shares_ground(sync: _Sync, first: int) -> bool:
    """Whether the node has the parent of the ledger's first block: then the fork is right below it."""
    with _open(sync, write=False) as ledger:
        parent = read_parent(ledger, sync.run.chain, first)
    return parent is not None and sync.source.block_hash(first - 1) == parent


def _plan(sync: _Sync, missing: tuple[Stretch, ...], bytes_a_leg: float | None) -> None:
    plan = plan_sync(sync.source, sync.path.parent, missing, sync.head, bytes_a_leg=bytes_a_leg)
    facts = sync.run.facts
    calls = ("calls inside transactions",) if facts.internal == "none" else ()
    plan = replace(plan, untold=(*calls, *facts.unread))
    sync.planned = True
    sync.tell(SyncEvent("planned", sync.head.height, plan=plan))
    if plan.disk_bytes is not None and plan.disk_bytes > plan.free_bytes * 0.95 and not sync.options.force:
        raise InputError(
            f"this needs about {plan.disk_bytes / 1e9:,.0f} GB, {plan.free_bytes / 1e9:,.0f} GB are free: "
            "choose fewer with --from and --to, name a folder on a larger disk with --dir, or add --force"
        )


def _read_missing(sync: _Sync, missing: tuple[Stretch, ...]) -> None:
    """Read and commit; what was read whole before the node failed is kept."""
    gathered: list[LegBatch] = []
    try:
        for batch in _read_ahead(sync, missing):
            first, last = _span(batch)
            if gathered and _span(gathered[-1])[1] + 1 != first:
                _commit(sync, gathered)
            gathered.append(batch)
            sync.tell(SyncEvent("read", last, blocks=batch.blocks.num_rows))
            legs = sum(part.legs.num_rows for part in gathered)
            late = time.monotonic() - sync.last_commit > sync.options.seconds_per_commit
            if legs >= sync.options.legs_per_commit or late:
                _commit(sync, gathered)
    except (BadAnswer, NodeUnavailable):
        if gathered:
            _commit(sync, gathered)
        raise
    if gathered:
        _commit(sync, gathered)


def _commit(sync: _Sync, gathered: list[LegBatch]) -> None:
    """Write what was gathered, and forget it."""
    batch = join_batches(gathered)
    first, last = _span(batch)
    turn = sync.last_commit + OTHERS_TURN_SECONDS - time.monotonic()
    if turn > 0 and sync.result.blocks:
        time.sleep(turn)
    with _open(sync, write=True) as ledger:
        done = commit_blocks(ledger, sync.run, batch, head=sync.head, fork=sync.fork)
    gathered.clear()
    sync.last_commit = time.monotonic()
    old = sync.result
    sync.result = replace(
        old,
        first=first if old.first is None else min(first, old.first),
        last=last if old.last is None else max(last, old.last),
        blocks=old.blocks + done.blocks,
        transfers=old.transfers + done.transfers,
        legs=old.legs + done.legs,
        rejected=old.rejected + done.rejected,
        removed=old.removed + done.removed,
        reorganisations=old.reorganisations + (sync.fork is not None),
    )
    if sync.fork is not None:
        sync.tell(SyncEvent("reorganised", sync.fork, committed=done))
        sync.fork = None
    sync.tell(SyncEvent("committed", last, committed=done))


def _span(batch: LegBatch) -> tuple[int, int]:
    heights = batch.blocks["height"]
    return int(heights[0].as_py()), int(heights[-1].as_py())


def _write_status(sync: _Sync, *, due: float) -> None:
    """Write the status beside the ledger if the last was written `due` seconds ago: it reads every leg."""
    if sync.last_commit <= sync.last_status or time.monotonic() - sync.last_status < due:
        return
    try:
        with _open(sync, write=False) as ledger:
            why = try_write_status(ledger)
        if why is not None:
            sync.tell(SyncEvent("warned", sync.head.height, text=why))
    except (LedgerMissing, LedgerBusy):
        return  # whoever holds it writes the status when it is done
    sync.last_status = time.monotonic()


def _note_head(sync: _Sync) -> None:
    """Nothing is new, but more may be final: write that down if it is."""
    try:
        with _open(sync, write=False) as ledger:
            known = ledger.connection.execute(
                "SELECT height, final_height FROM node_head JOIN chain USING (chain) WHERE caip2 = $1",
                [sync.run.chain.caip2],
            ).fetchall()
    except LedgerMissing:
        return
    if known == [(sync.head.height, sync.head.final_height)]:
        return
    with _open(sync, write=True) as ledger:
        note_head(ledger, sync.run, sync.head)
    sync.last_commit = time.monotonic()


def _open(sync: _Sync, *, write: bool) -> Ledger:
    return open_ledger(
        sync.path, write=write, wait_seconds=sync.options.wait_seconds, threads=sync.options.threads
    )


def _read_ahead(sync: _Sync, missing: tuple[Stretch, ...]) -> Iterator[LegBatch]:
    """Give the missing blocks in order, some reads ahead of what is asked for, in portions of like size."""
    waiting: deque[Future[LegBatch]] = deque()
    portions = _portions(sync, missing)
    for portion in portions:
        waiting.append(_start(sync.source, portion))
        if len(waiting) > sync.options.readers:
            yield _take(sync, waiting.popleft())
    while waiting:
        yield _take(sync, waiting.popleft())


def _portions(sync: _Sync, missing: tuple[Stretch, ...]) -> Iterator[Stretch]:
    for stretch in missing:
        first = stretch.first
        while first <= stretch.last:
            last = min(first + sync.blocks_a_read - 1, stretch.last)
            yield Stretch(first, last)
            first = last + 1


def _take(sync: _Sync, reading: Future[LegBatch]) -> LegBatch:
    batch = reading.result()
    fitting = batch.blocks.num_rows * LEGS_A_READ // max(batch.legs.num_rows, 1)
    sync.blocks_a_read = max(1, min(fitting, 2 * sync.blocks_a_read, MOST_BLOCKS_A_READ))
    return batch


def _start(source: BlockSource, portion: Stretch) -> "Future[LegBatch]":
    """Read in a thread that ends with the process: Ctrl-C need not wait for a slow node."""
    reading: Future[LegBatch] = Future()

    def read() -> None:
        try:
            reading.set_result(source.read_blocks(portion.first, portion.last))
        except BaseException as error:  # noqa: BLE001  (handed over to whoever waits for it)
            reading.set_exception(error)

    threading.Thread(target=read, daemon=True, name=f"read {portion.first}").start()
    return reading


def _nth_height(stretches: tuple[Stretch, ...], n: int) -> int:
    """Return the n-th of the heights of stretches, from 0."""
    for stretch in stretches:
        size = stretch.last - stretch.first + 1
        if n < size:
            return stretch.first + n
        n -= size
    raise IndexError(n)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
