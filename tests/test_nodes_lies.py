"""A node that is wrong in one place of one answer: it is caught, or the place means nothing to the ledger.

Where a wrong place can be believed is written down here, place by place: a client that does not verify what a
full node verifies cannot know better; `silkscreen ledger check` and the node's own balances tell later.
"""

import random
import re
from collections.abc import Iterator

import pytest

from chains.bitcoin.node import BitcoinNode
from chains.errors import SilkscreenError
from chains.evm.node import EvmNode
from chains.ledger import LegBatch
from chains.nodes import BlockSource
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.nodes.anvil import run_anvil
from tests.nodes.lies import Liar
from tests.nodes.proxy import NONE, Faults, Proxy, run_proxy
from tests.nodes.regtest import run_regtest

BELIEVED = {
    "bitcoin": re.compile(r"nothing"),
    # What only the hash of the header and the roots of transactions and receipts in it would prove.
    "evm": re.compile(
        r"eth_getBlockByNumber\.(hash|parentHash|timestamp|miner|baseFeePerGas)(\.\(gone\))?"
        r"|eth_getBlockByNumber\.transactions\.\[\]\.(to|value)"
        r"|eth_getBlockReceipts\.\[\]\.(contractAddress|effectiveGasPrice|gasUsed|status)"
        r"|eth_getBlockReceipts\.\[\]\.logs\.\[\]\.(address|data|topics\.\[\])(\.\(gone\))?"
        r"|trace_block\.\[\]\..*"
    ),
}

HASTY = RpcLimits(first_pause_seconds=0.001, longest_pause_seconds=0.001, attempts=2)
Reader = tuple[str, Proxy, BlockSource, list[int]]


@pytest.fixture(scope="module", params=["bitcoin", "evm"])
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A node behind the proxy, and the heights of its blocks that have something in them."""
    if request.param == "bitcoin":
        with run_regtest() as bitcoin, run_proxy(bitcoin.url) as proxy:
            heights = sorted(set(bitcoin.history.heights.values()))
            with BitcoinNode(proxy.url, find_chain("bitcoin-regtest"), limits=HASTY) as source:
                yield "bitcoin", proxy, source, heights
    else:
        with run_anvil() as node, run_proxy(node.url) as proxy:
            profiles = {node.contracts["TetherLike"]: "tether", node.contracts["WrappedLike"]: "weth"}
            with EvmNode(proxy.url, find_chain("eip155:31337"), limits=HASTY, profiles=profiles) as source:
                source.read_blocks(0, node.height)  # names of tokens are asked for once
                yield "evm", proxy, source, list(range(13, 81))


def same(one: LegBatch, other: LegBatch) -> bool:
    return all(
        getattr(one, name).equals(getattr(other, name))
        for name in ("transfers", "legs", "rejected", "blocks", "freezes")
    )


def tell_lies(reader: Reader, lies: int, *, junk: bool) -> dict[str, int]:
    """Read blocks with one lie in each reading; return the places whose lies were believed, counted."""
    _, proxy, source, heights = reader
    believed: dict[str, int] = {}
    for seed in range(lies):
        pick = random.Random(seed)  # noqa: S311
        first = pick.choice(heights)
        proxy.faults = NONE
        truth = source.read_blocks(first, first + 1)
        liar = Liar(pick, junk=junk)
        proxy.faults = Faults(lie=liar)
        try:
            found = source.read_blocks(first, first + 1)
        except SilkscreenError:
            continue
        if not same(found, truth):
            believed[liar.where] = believed.get(liar.where, 0) + 1
    proxy.faults = NONE
    return believed


@pytest.mark.parametrize("junk", [True, False], ids=["junk", "plausible"])
def test_one_wrong_place_is_caught_or_means_nothing(reader: Reader, junk: bool) -> None:
    believed = tell_lies(reader, 40, junk=junk)
    assert [place for place in believed if not BELIEVED[reader[0]].fullmatch(place)] == []


@pytest.mark.slow
@pytest.mark.parametrize("junk", [True, False], ids=["junk", "plausible"])
def test_hundreds_of_wrong_places_are_caught_or_mean_nothing(reader: Reader, junk: bool) -> None:
    believed = tell_lies(reader, 600, junk=junk)
    assert [place for place in believed if not BELIEVED[reader[0]].fullmatch(place)] == []
