"""The two nodes under one face, for tests that do the same to both: change the chain, read it, check it.

`check_against_control` syncs a fresh ledger in one go, straight from the node, and compares byte for byte.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chains.bitcoin.node import BitcoinNode
from chains.evm.node import EvmNode
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
PROFILES = {"TetherLike": "tether", "WrappedLike": "weth"}


@dataclass(frozen=True)
class World:
    """A node, with what the command line and an adapter need to know of it."""

    node: RegtestNode | Anvil
    chain: str
    home: Path  # of an empty ledger, to be copied
    words: tuple[str, ...] = ()
    heights: list[int] = field(default_factory=list)  # that the node has had

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
        profiles = {contracts[name]: profile for name, profile in PROFILES.items()}
        return EvmNode(url or self.url, chain, limits=PATIENT, listed=[contracts["Coin"]], profiles=profiles)

    def tip(self) -> bytes:
        """Hash of the node's newest block, from the node itself."""
        if isinstance(self.node, RegtestNode):
            return bytes.fromhex(self.node.tip)
        return bytes.fromhex(self.node.call("eth_getBlockByNumber", "latest", False)["hash"][2:])

    def prepare(self, folder: Path) -> Path:
        """Make an empty ledger, with the first state of an EVM chain in it; return the folder."""
        folder.mkdir(parents=True)
        made = self.home / "empty.duckdb"
        if not made.exists():
            with open_ledger(made, write=True) as ledger:
                if isinstance(self.node, Anvil):
                    chain = find_chain(self.chain)
                    import_file(ledger, "genesis", self.node.genesis, chain=chain, code_version="test")
        shutil.copy(made, ledgers.ledger_path(folder))
        return folder

    def mine(self, blocks: int) -> None:
        """Add blocks with random payments."""
        self.node.mine(blocks)
        self.heights.append(self.node.height)

    def reorg(self, pick: random.Random) -> int:
        """Reorganise at random, up to 30 deep; return the depth."""
        self.heights.append(self.node.height)
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
def bitcoin_world(seed: int = 1) -> Iterator[World]:
    """Run a Bitcoin node for the length of a `with` block."""
    with run_regtest(seed=seed) as node, tempfile.TemporaryDirectory() as home:
        yield World(node, "bitcoin-regtest", Path(home))


@contextmanager
def evm_world(seed: int = 1) -> Iterator[World]:
    """Run an EVM node with a short history for the length of a `with` block."""
    with run_anvil(seed=seed, short=True) as node, tempfile.TemporaryDirectory() as home:
        words = ["--listed", node.contracts["Coin"]]
        for name, profile in PROFILES.items():
            words += ["--profile", f"{node.contracts[name]}={profile}"]
        yield World(node, "eip155:31337", Path(home), tuple(words))


WORLDS = {"bitcoin": bitcoin_world, "evm": evm_world}


def check_against_control(world: World, source: BlockSource, folder: Path, control: Path) -> int:
    """Compare a ledger with one synced in one go and without faults; return the number of transfers.

    Both have to hold the same transfers to the byte, and the same blocks, stretches, freezes, labels and rows
    set aside. `source` is the node itself.
    """
    shutil.rmtree(control, ignore_errors=True)
    result = ledgers.sync_here(source, world.prepare(control))
    assert result.removed == 0
    (ours, our_bytes), (its, its_bytes) = ledgers.held(folder), ledgers.held(control)
    same = our_bytes == its_bytes
    assert same, ledgers.first_difference(folder, control)
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
