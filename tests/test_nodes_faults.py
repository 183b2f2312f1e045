"""Nothing that a node, the line or a kill does changes what ends up in the ledger.

Between each node and its reader stands the fault proxy. Syncs are killed with SIGKILL at random moments,
chains are reorganised at random, between the reads and in the middle of them. The export of the ledger is,
byte for byte, that of a control which was synced in one go without faults. Long versions are marked slow.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import datasets.sync
from chains.errors import LedgerError
from chains.nodes import BlockSource
from tests.nodes import ledgers
from tests.nodes.ledgers import Portions, start_sync
from tests.nodes.proxy import NONE, ROUGH, Faults, Proxy, run_proxy
from tests.nodes.worlds import WORLDS, World, check_against_control, check_invariants

SEED = int(os.environ.get("SILKSCREEN_TEST_SEED", "1"))
KILLS = {"bitcoin-regtest": 62, "eip155:31337": 40}
REORGS = {"bitcoin-regtest": 110, "eip155:31337": 95}


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with WORLDS[request.param](SEED) as running:
        yield running


@pytest.fixture(autouse=True)
def no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else waits for these ledgers: commits need not give others their turn."""
    monkeypatch.setattr(datasets.sync, "OTHERS_TURN_SECONDS", 0.0)


def catch_up(world: World, source: BlockSource, folder: Path, pick: random.Random) -> None:
    """Sync until the ledger is where the node is, in commits of random size."""
    for _ in range(20):
        ledgers.sync_here(source, folder, legs=pick.choice((1, 20, 200, 500_000)))
        if world.tip() == ledgers.last_hash(folder):
            return
    raise AssertionError(
        f"the ledger stops at {ledgers.synced_to(folder, world.chain)}, the node at {world.node.height}"
    )


def compare(
    world: World, through: BlockSource, direct: BlockSource, folder: Path, pick: random.Random
) -> int:
    """Bring the ledger to the node's newest block and compare it with a control; return its transfers.

    A node whose newest final block goes back is none: anvil calls final what is 64 below its head, so its
    chain is made as high again as it ever was. The last word on the head comes without faults.
    """
    world.mine(max(0, max(world.heights, default=0) - world.node.height))
    catch_up(world, through, folder, pick)
    ledgers.sync_here(direct, folder)
    return check_against_control(world, direct, folder, folder.parent / "control")


# Kills


def kill_syncs(world: World, folder: Path, kills: int) -> dict[str, int]:
    """Start and kill syncs, reorganising the chain now and then, until `kills` were killed; count."""
    pick = random.Random(SEED)  # noqa: S311
    counts = {"killed": 0, "finished": 0, "reorganised": 0, "with a ledger": 0, "compared": 0}
    with (
        run_proxy(world.url, ROUGH, seed=SEED) as proxy,
        world.open() as direct,
        world.open(proxy.url) as through,
    ):
        target = world.prepare(folder / "ledger-0")
        while counts["killed"] < kills:
            if pick.random() < 0.4:
                world.mine(pick.randint(1, 4))
            if pick.random() < 0.3:
                world.reorg(pick)
                counts["reorganised"] += 1
            ended = kill_at_random(world, proxy, target, pick)
            counts["killed" if ended is None else "finished"] += 1
            counts["with a ledger"] += ended is None and ledgers.synced_to(target, world.chain) >= 0
            assert ended in (None, 0), (target / "sync.log").read_text()
            if ended == 0:
                compare(world, through, direct, target, pick)
                counts["compared"] += 1
                target = world.prepare(folder / f"ledger-{counts['finished']}")
        compare(world, through, direct, target, pick)
        check_invariants(target)
    return counts


def kill_at_random(world: World, proxy: Proxy, folder: Path, pick: random.Random) -> int | None:
    """Start a sync and kill it some requests later, in the middle of what it does then.

    Returns None, or its exit code where it was done before.
    """
    stop_at = proxy.requests + pick.randint(1, 60)
    process = start_sync(world.chain, proxy.url, folder, *world.words, portions=Portions())
    try:
        while process.poll() is None and proxy.requests < stop_at:
            time.sleep(0.002)
        time.sleep(pick.random() * 0.1)
        return process.poll()
    finally:
        process.kill()
        process.wait()


def test_killed_syncs_end_in_the_same_ledger(world: World, tmp_path: Path) -> None:
    counts = kill_syncs(world, tmp_path, kills=2)
    assert counts["killed"] == 2


@pytest.mark.slow
def test_many_killed_syncs_end_in_the_same_ledger(world: World, tmp_path: Path) -> None:
    counts = kill_syncs(world, tmp_path, kills=KILLS[world.chain])
    assert counts["killed"] == KILLS[world.chain]
    assert counts["compared"] > 0
    assert counts["with a ledger"] > KILLS[world.chain] // 2


# Reorganisations


def follow_reorgs(world: World, folder: Path, reorgs: int, *, faults: Faults) -> dict[str, int]:
    """Reorganise at random, two times of three while it is read, and compare with a control each time."""
    pick = random.Random(SEED)  # noqa: S311
    counts = {"reorgs": 0, "deepest": 0, "while reading": 0, "transfers": 0}
    target = world.prepare(folder / "ledger")
    with (
        run_proxy(world.url, faults, seed=SEED) as proxy,
        world.open() as direct,
        world.open(proxy.url) as through,
    ):
        catch_up(world, through, target, pick)
        for number in range(reorgs):
            if number % 3 < 2:
                world.mine(pick.randint(1, 3))
                at = 1 + (number - number // 3) % 6
                reorg_while_reading(world, proxy, pick, counts, at=proxy.requests + at)
            else:
                counts["deepest"] = max(counts["deepest"], world.reorg(pick))
                counts["reorgs"] += 1
            catch_up(world, through, target, pick)
            if proxy.before is not None:  # it was read faster than the reorganisation came
                proxy.before(0, [])
            counts["transfers"] = compare(world, through, direct, target, pick)
    check_invariants(target)
    return counts


def reorg_while_reading(
    world: World, proxy: Proxy, pick: random.Random, counts: dict[str, int], *, at: int
) -> None:
    """Reorganise right before the reader's request number `at`."""

    def before(number: int, methods: list[str]) -> None:
        if 0 < number < at:
            return
        proxy.before = None
        counts["while reading"] += number > 0
        counts["deepest"] = max(counts["deepest"], world.reorg(pick))
        counts["reorgs"] += 1

    proxy.before = before


def test_a_reorganisation_right_before_each_request_of_a_sync(world: World, tmp_path: Path) -> None:
    """Between the head, the hash where node and ledger meet, the hashes of blocks and the blocks."""
    pick = random.Random(SEED)  # noqa: S311
    target = world.prepare(tmp_path / "ledger")
    happened: list[int] = []
    with run_proxy(world.url) as proxy, world.open() as direct, world.open(proxy.url) as through:
        ledgers.sync_here(through, target)
        for at in range(1, 7):
            world.mine(2)
            proxy.before = reorg_before(world, proxy.requests + at, happened)
            catch_up(world, through, target, pick)
            check_against_control(world, direct, target, tmp_path / "control")
    assert len(happened) >= 5


def reorg_before(world: World, at: int, happened: list[int]) -> Callable[[int, list[str]], None]:
    """Return what reorganises the chain 5 deep right before request number `at`."""

    def before(number: int, methods: list[str]) -> None:
        if number == at:
            happened.append(number)
            world.node.reorg(5)

    return before


def test_reorganisations_end_in_the_same_ledger(world: World, tmp_path: Path) -> None:
    counts = follow_reorgs(world, tmp_path, 2, faults=replace(ROUGH, delay=0.0))
    assert counts["reorgs"] == 2


@pytest.mark.slow
def test_many_reorganisations_end_in_the_same_ledger(world: World, tmp_path: Path) -> None:
    counts = follow_reorgs(world, tmp_path, REORGS[world.chain], faults=replace(ROUGH, delay=0.0))
    assert counts["reorgs"] == REORGS[world.chain]
    assert counts["deepest"] > 25
    assert counts["while reading"] > 20


def test_a_node_that_lags_behind_the_ledger_takes_nothing_away(world: World, tmp_path: Path) -> None:
    target = world.prepare(tmp_path / "ledger")
    with run_proxy(world.url) as proxy, world.open(proxy.url) as source:
        ledgers.sync_here(source, target)
        before = ledgers.held(target)
        proxy.faults = Faults(lag=7)
        result = ledgers.sync_here(source, target)
        assert (result.blocks, result.removed, result.reorganisations) == (0, 0, 0)
        assert result.head == world.node.height - 7
        assert ledgers.held(target)[1] == before[1]
        proxy.faults = NONE
        world.mine(2)
        assert ledgers.sync_here(source, target).blocks == 2
        check_against_control(world, source, target, tmp_path / "control")


# Following a chain that never stands still


def follow_and_kill(world: World, folder: Path, kills: int) -> dict[str, int]:
    """Follow a chain that grows and is reorganised all the while, killing the follower now and then."""
    pick = random.Random(SEED)  # noqa: S311
    counts = {"killed": 0, "changes": 0}
    target = world.prepare(folder / "ledger")
    words = (*world.words, "--from", "0", "--follow", "--poll", "0.1")
    with run_proxy(world.url, ROUGH, seed=SEED) as proxy, world.open() as direct:
        while True:
            last = counts["killed"] == kills
            process = start_sync(world.chain, proxy.url, target, *words, portions=Portions())
            try:
                for _ in range(pick.randint(2, 5)):
                    await_requests(process, proxy, pick.randint(5, 40))
                    change(world, pick)
                    counts["changes"] += 1
                if last:
                    ledgers.command("status", "--json", folder=target)  # others get their turn
                    world.mine(max(1, max(world.heights) - world.node.height))
                    await_tip(process, world, target)
                    process.send_signal(signal.SIGINT)
                    assert process.wait(60) == 0, (target / "sync.log").read_text()
                    break
                assert process.poll() is None, (target / "sync.log").read_text()
            finally:
                process.kill()
                process.wait()
            counts["killed"] += 1
        assert "stopped" in (target / "sync.log").read_text()
        ledgers.sync_here(direct, target)
        check_against_control(world, direct, target, folder / "control")
        check_invariants(target)
    return counts


def change(world: World, pick: random.Random) -> None:
    """Let the chain grow, or reorganise it."""
    if pick.random() < 0.6:
        world.mine(pick.randint(1, 3))
    else:
        world.reorg(pick)


def await_requests(process: "subprocess.Popen[bytes]", proxy: Proxy, count: int) -> None:
    """Wait until the follower has asked so many more times."""
    stop_at = proxy.requests + count
    while process.poll() is None and proxy.requests < stop_at:
        time.sleep(0.002)


def await_tip(process: "subprocess.Popen[bytes]", world: World, folder: Path) -> None:
    """Wait until the follower has the node's newest block in the ledger."""
    tip = world.tip()
    while process.poll() is None:
        try:
            if ledgers.last_hash(folder) == tip:
                return
        except LedgerError:
            pass
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_follower_of_a_changing_chain_ends_in_the_same_ledger(world: World, tmp_path: Path) -> None:
    counts = follow_and_kill(world, tmp_path, kills=5)
    assert counts["killed"] == 5
    assert counts["changes"] > 10
