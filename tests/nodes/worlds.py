"""The two nodes under one face, for tests that do the same to both: change the chain, read it, check it.

`check_against_control` syncs a fresh ledger in one go, straight from the node, and compares byte for byte.
"""

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chains.bitcoin import BitcoinNode
from chains.evm import EvmNode
from chains.nodes import BlockSource
from chains.registry import find_chain
from chains.rpc import RpcLimits
from datasets.check import check_ledger
from datasets.ingest import import_file
from datasets.store import open_ledger
from tests.nodes import ledgers
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.regtest import RegtestNode, run_regtest

PATIENT = RpcLimits(first_pause_seconds=0.01, longest_pause_seconds=0.2, attempts=12)
"""Limits for a reader behind the fault proxy: many attempts, short pauses."""

DEEPEST = 30


@dataclass(frozen=True)
class World:
    """A node, with what the command line and an adapter need to know of it."""

    node: RegtestNode | Anvil
    chain: str
    words: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the node answers."""
        return self.node.url

    def open(self, url: str | None = None) -> BlockSource:
        """Open the node, or whatever stands before it at a URL, as a reader does."""
        chain = find_chain(self.chain)
        if isinstance(self.node, RegtestNode):
            return BitcoinNode(url or self.url, chain, limits=PATIENT)
        contracts = self.node.contracts
        profiles = {contracts["TetherLike"]: "tether", contracts["WrappedLike"]: "weth"} if contracts else {}
        listed = [contracts["Coin"]] if contracts else []
        return EvmNode(url or self.url, chain, limits=PATIENT, listed=listed, profiles=profiles)

    def prepare(self, folder: Path) -> Path:
        """Make an empty ledger, with the first state of an EVM chain in it; return the folder."""
        folder.mkdir(parents=True)
        if isinstance(self.node, Anvil):
            with open_ledger(ledgers.ledger_path(folder), write=True) as ledger:
                chain = find_chain(self.chain)
                import_file(ledger, "genesis", self.node.genesis, chain=chain, code_version="test")
        return folder

    def mine(self, blocks: int) -> None:
        """Add blocks with random payments."""
        self.node.mine(blocks)

    def reorg(self, pick: random.Random) -> int:
        """Reorganise at random, up to 30 deep; return the depth."""
        depth = pick.randint(1, min(DEEPEST, self.node.height - 1))
        if isinstance(self.node, RegtestNode):
            self.node.reorg(depth, longer=pick.choice((1, 1, 2, 5)), empty=pick.random() < 0.1)
        elif pick.random() < 0.2:
            self.node.reorg(depth, how="reorg")
        else:
            # A node may take up a branch of the same height, or a lower one, and still be right.
            self.node.reorg(depth, longer=pick.choice((2, 1, 0, -1)) if depth > 1 else 1)
        return depth


@contextmanager
def bitcoin_world(seed: int = 1, *, history: bool = True) -> Iterator[World]:
    """Run a Bitcoin node for the length of a `with` block."""
    with run_regtest(seed=seed, history=history) as node:
        yield World(node, "bitcoin-regtest")


@contextmanager
def evm_world(seed: int = 1, *, history: bool = True) -> Iterator[World]:
    """Run an EVM node for the length of a `with` block."""
    with run_anvil(seed=seed, history=history) as node:
        contracts = node.contracts
        words = ["--listed", contracts["Coin"]] if contracts else []
        for name, profile in (("TetherLike", "tether"), ("WrappedLike", "weth")) if contracts else ():
            words += ["--profile", f"{contracts[name]}={profile}"]
        yield World(node, "eip155:31337", tuple(words))


WORLDS = {"bitcoin": bitcoin_world, "evm": evm_world}


def check_against_control(world: World, folder: Path, control: Path) -> int:
    """Compare a ledger with one synced in one go and no faults; return the number of transfers.

    Both have to hold the same transfers to the byte, the same blocks, stretches, freezes and rows set aside,
    and no invariant of either may be broken.
    """
    shutil.rmtree(control, ignore_errors=True)
    with world.open() as source:
        result = ledgers.sync_here(source, world.prepare(control))
    assert result.removed == 0
    same = ledgers.transfers_as_bytes(folder) == ledgers.transfers_as_bytes(control)
    assert same, ledgers.first_difference(folder, control)
    ours, its = ledgers.held(folder), ledgers.held(control)
    for name, rows in its.items():
        if name == "assets":  # tokens that only an abandoned branch had stay known by name
            assert set(rows) <= set(ours[name])
        else:
            assert ours[name] == rows, name
    return result.transfers


def check_invariants(folder: Path) -> None:
    """No invariant that `silkscreen ledger check` knows is broken."""
    with open_ledger(ledgers.ledger_path(folder)) as ledger:
        report = check_ledger(ledger)
    assert not report.broken, [result for result in report.results if result.found]
