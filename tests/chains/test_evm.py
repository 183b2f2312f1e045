"""EVM nodes: anvil under several hard forks, and nodes that lack, lag, change or lie."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]

from chains.bitcoin.node import BitcoinNode
from chains.errors import BadAnswer, BranchChanged, InputError, NodeError, RpcError, WrongChain
from chains.evm.node import EvmNode
from chains.ledger import LegBatch
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.evm_front import NO_STATE, front, instead, without
from tests.chains.evm_world import HARD_FORKS, LATE, MINER, World, build_world, show_legs
from tests.chains.test_evm_blocks import JUNK
from tests.nodes.anvil import run_anvil
from tests.nodes.regtest import run_regtest
from tests.nodes.rpc_server import RpcFault

CHAIN = find_chain("eip155:31337")
QUICK = RpcLimits(attempts=2, first_pause_seconds=0.001, timeout_seconds=20)
HASH = "0x" + "99" * 32
SENT = [value for value in JUNK if value not in ("\ud800", 2**70)]
"""What a server can send of it."""
USUAL = ("byzantium", "shanghai", "prague")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with run_anvil(history=False) as node:
        yield build_world(node, "prague")


def ledger_balances(batch: LegBatch, genesis: Path) -> dict[str, int]:
    """Wei by account of the legs and the genesis allocation."""
    found: dict[str, int] = defaultdict(int)
    for account, entry in json.loads(genesis.read_text())["alloc"].items():
        text = str(entry["balance"])
        found["0x" + account.lower().removeprefix("0x")] += int(text, 16 if text.startswith("0x") else 10)
    native = [row["asset"] == "slip44:60" for row in batch.transfers.to_pylist()]
    for leg in batch.legs.to_pylist():
        if native[leg["transfer"]]:
            found[leg["account"]] += int(leg["amount"]) * (1 if leg["side"] == "payee" else -1)
    return {account: wei for account, wei in sorted(found.items()) if wei}


def read(url: str, first: int, last: int, **more: Any) -> LegBatch:
    with EvmNode(url, CHAIN, limits=QUICK, **more) as node:
        return node.read_blocks(first, last)


@pytest.mark.parametrize(
    "fork",
    [fork if fork in USUAL else pytest.param(fork, marks=pytest.mark.slow) for fork in HARD_FORKS],
)
def test_the_legs_add_up_to_the_nodes_own_balances(fork: str) -> None:
    with run_anvil(history=False, arguments=("--hardfork", fork)) as node:
        if fork == "shanghai":  # a time at which the block alone does not tell whether EIP-6780 is in force
            node.call("evm_setNextBlockTimestamp", LATE)
        build_world(node, fork, tokens=False)
        traces = read(node.url, 0, node.height, internal="trace_block")
        calls = read(node.url, 0, node.height, internal="callTracer")
        assert ledger_balances(traces, node.genesis) == node.balances()
        assert traces.transfers.equals(calls.transfers)
        assert traces.legs.equals(calls.legs)


def test_deposits_and_fee_vaults_of_an_op_stack_chain() -> None:
    arguments = ("--network", "optimism", "--hardfork", "isthmus")
    with run_anvil(history=False, arguments=arguments) as node:
        node.call("anvil_setCoinbase", MINER)
        payer, payee = (bytes.fromhex(node.accounts[number].address[2:]) for number in (1, 2))
        init = bytes.fromhex("60006000fd")
        for source, to, value, data in ((b"\x11", payee, 7, b""), (b"\x22", b"", 9, init)):
            fields = [source.ljust(32), payer, to, 10**20, value, 200_000, b"", data]
            node.call("eth_sendRawTransaction", "0x7e" + rlp.encode(fields).hex())
            if not to:
                node.send(0, "0x" + payee.hex(), value=5)
            node.seal()
        # The second deposit fails: what it mints stays with its sender.
        batch = read(node.url, 0, 2)
        kinds = [(row["height"], row["kind"]) for row in batch.transfers.to_pylist()]
        assert kinds == [(1, "reward"), (1, "native"), (2, "reward"), (2, "native"), (2, "fee")]
        assert ledger_balances(batch, node.genesis) == node.balances()


def test_who_answers_and_what_it_cannot_tell(world: World) -> None:
    url = world.node.url
    with EvmNode(url, CHAIN) as node:
        assert (node.chain, node.facts.url, node.facts.internal) == (CHAIN, url, "trace_block")
        assert node.facts.software.startswith("anvil/")
        assert node.facts.unread == ()
    with front(world.node, without("trace_block")) as other, EvmNode(other, CHAIN) as node:
        assert node.facts.internal == "callTracer"
        assert node.facts.unread == ("block rewards, where the chain pays any",)
    bare = without("trace_block", "debug_traceBlockByHash", "web3_clientVersion")
    with front(world.node, bare) as other, EvmNode(other, CHAIN) as node:
        assert (node.facts.internal, node.facts.software) == ("none", "")
        assert "internal calls" in node.facts.unread
    with front(world.node, bare) as other, pytest.raises(RpcError, match="trace_block"):
        EvmNode(other, CHAIN, internal="trace_block")
    with pytest.raises(InputError, match="one of"):
        EvmNode(url, CHAIN, internal="parity")
    with pytest.raises(InputError, match="EVM"):
        EvmNode(url, find_chain("bitcoin"))


def test_tracing_that_lags_behind_the_head_is_not_taken_for_none(world: World) -> None:
    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "trace_block" and int(params[0], 16) == world.node.height:
            raise RpcFault(-32000, "block not found")
        return ask()

    with front(world.node, change) as url, EvmNode(url, CHAIN) as node:
        assert node.facts.internal == "trace_block"


def test_a_node_of_another_chain_is_refused(world: World) -> None:
    with pytest.raises(WrongChain, match="eip155:31337, not eip155:1"):
        EvmNode(world.node.url, find_chain("ethereum"))


def test_a_node_of_another_kind_is_told_as_such(world: World) -> None:
    with pytest.raises(RpcError, match="does not answer like a Bitcoin Core node") as caught:
        BitcoinNode(world.node.url, find_chain("bitcoin"))
    assert caught.value.code == -32601
    with run_regtest(history=False) as other:
        with pytest.raises(RpcError, match="does not answer like an EVM node") as caught:
            EvmNode(other.url, CHAIN)
        assert (caught.value.code, caught.value.method) == (-32601, "eth_chainId")


@pytest.mark.parametrize("answer", [*SENT, "0x7a6a", 31337.0])
def test_a_chain_id_that_is_none_or_another_is_refused(world: World, answer: Any) -> None:
    change = instead("eth_chainId", lambda _true: answer)
    with front(world.node, change) as url, pytest.raises((WrongChain, BadAnswer)):
        EvmNode(url, CHAIN, limits=QUICK)


def test_head_and_hashes(world: World) -> None:
    node = world.node
    with EvmNode(node.url, CHAIN) as source:
        head = source.head()
        assert head.height == node.height
        assert head.hash == source.block_hash(head.height)
        assert head.final_height == max(0, head.height - 64)
        assert source.block_hash(head.height + 1) is None
        source.close()
        source.close()


def test_without_the_tag_final_is_64_blocks_below() -> None:
    with run_anvil(history=False) as node:

        def no_tag(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
            if params[:1] == ["finalized"]:
                raise RpcFault(-32602, "invalid block tag")
            return ask()

        with front(node, no_tag) as url, EvmNode(url, CHAIN) as source:
            assert source.head().final_height == -1
            node.seal(70)
            assert source.head().final_height == 6
        with (
            front(node, instead("eth_getBlockByNumber", lambda found: found)) as url,
            EvmNode(url, CHAIN) as source,
        ):
            assert source.head().final_height == 6


@pytest.mark.parametrize(
    "change",
    [
        without("eth_getBlockReceipts"),
        instead("eth_getBlockReceipts", lambda _true: None),
    ],
)
def test_receipts_come_one_by_one_where_there_are_none_of_blocks(world: World, change: Any) -> None:
    first, last = world.heights["native"], world.heights["transfers"]
    with front(world.node, change) as url:
        assert read(url, first, last).legs.equals(read(world.node.url, first, last).legs)


def test_receipts_by_number_where_the_hash_is_not_taken(world: World) -> None:
    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_getBlockReceipts" and len(params[0]) == 66:
            raise RpcFault(-32602, "number too large to fit in target type")
        if method == "eth_getTransactionReceipt":
            raise RpcFault(-32000, "not one by one")
        return ask()

    with front(world.node, change) as url:
        assert read(url, 1, 9).legs.equals(read(world.node.url, 1, 9).legs)


def test_ranges_make_no_difference(world: World) -> None:
    last = world.node.height
    with EvmNode(world.node.url, CHAIN) as node:
        whole = node.read_blocks(0, last)
        with ThreadPoolExecutor(3) as pool:
            parts = list(pool.map(lambda at: node.read_blocks(at, min(at + 4, last)), range(0, last + 1, 5)))
    lines = [line for part in parts for line in show_legs(part, {})]
    assert sorted(lines) == sorted(show_legs(whole, {}))
    assert sum(part.blocks.num_rows for part in parts) == whole.blocks.num_rows == last + 1
    rows = whole.blocks.to_pylist()
    assert all(row["parent_hash"] == before["hash"] for before, row in pairwise(rows))


def test_a_block_that_is_not_there_is_a_bad_answer(world: World) -> None:
    top = world.node.height
    with pytest.raises(BadAnswer, match=f"does not have block {top + 1}"):
        read(world.node.url, top, top + 1)


@pytest.mark.parametrize("when", ["eth_getBlockReceipts", "trace_block"])
def test_a_reorganisation_between_two_calls_is_told(when: str) -> None:
    with run_anvil(history=False) as node:
        for _ in range(4):
            node.send(0, MINER, value=1)
            node.seal()
        ready: list[bool] = []

        def change(method: str, _params: Sequence[Any], ask: Callable[[], Any]) -> Any:
            if method == when and ready:
                ready.clear()
                node.call("anvil_rollback", 2)
                node._forget()
                for _ in range(3):
                    node.send(1, MINER, value=2)
                    node.seal()
            return ask()

        with front(node, change) as url, EvmNode(url, CHAIN, limits=QUICK) as source:
            ready.append(True)
            with pytest.raises(BranchChanged) as caught:
                source.read_blocks(3, 4)
            assert caught.value.height in (3, 4)
            assert source.read_blocks(3, 4).blocks.num_rows == 2


LIES: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    ("eth_getBlockReceipts", lambda found: found[:-1], "receipts is"),
    ("eth_getBlockReceipts", lambda found: [{**r, "blockHash": HASH} for r in found], "another block"),
    ("eth_getBlockReceipts", lambda found: found[::-1], "transactionHash"),
    ("eth_getBlockReceipts", lambda found: [{**r, "gasUsed": "0x1"} for r in found], "cumulativeGasUsed"),
    ("eth_getBlockReceipts", lambda _found: None, "no receipts"),
    ("eth_getBlockByNumber", lambda found: {**found, "gasUsed": "0x1"}, "gasUsed"),
    ("eth_getBlockByNumber", lambda found: {**found, "parentHash": HASH}, "does not follow"),
    ("eth_getBlockByNumber", lambda found: {**found, "number": "0x1"}, "number"),
    ("eth_getBlockByNumber", lambda found: {**found, "transactions": []}, "gasUsed"),
    ("trace_block", lambda found: found[1:], "trace"),
    ("trace_block", lambda found: [{**t, "transactionHash": HASH} for t in found], "another block"),
    ("trace_block", lambda _found: None, "trace"),
)


@pytest.mark.parametrize(("method", "lie", "why"), LIES)
def test_a_lie_is_a_bad_answer_that_names_block_and_field(
    world: World, method: str, lie: Callable[[Any], Any], why: str
) -> None:
    height, asked = world.heights["native"], {"now": False}

    def change(name: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        found = ask()
        whole = name != "eth_getBlockByNumber" or (len(params) > 1 and params[1])
        return lie(found) if asked["now"] and name == method and whole and found else found

    with front(world.node, change) as url, EvmNode(url, CHAIN, limits=QUICK) as node:
        asked["now"] = True
        with pytest.raises(BadAnswer, match=why) as caught:
            node.read_blocks(height - 1, height)
        assert f"block {height}" in str(caught.value) or f"block {height - 1}" in str(caught.value)


METHODS = ("eth_getBlockByNumber", "eth_getBlockReceipts", "trace_block", "eth_call", "eth_getBalance")


@pytest.mark.parametrize("method", METHODS)
def test_junk_in_place_of_an_answer_is_an_error_of_the_node_or_does_not_matter(
    world: World, method: str
) -> None:
    given: list[Any] = []
    refused: list[str] = []
    change = instead(method, lambda found: given[0] if given else found)
    with front(world.node, change) as url, EvmNode(url, CHAIN, limits=QUICK) as node:
        for value in SENT:
            given[:] = [value]
            try:
                node.read_blocks(world.heights["destroyed"], world.heights["transfers"])
                node.head()
                node.block_hash(3)
            except NodeError as error:
                refused.append(str(error))
            given.clear()
    assert all(refused)
    assert len(refused) >= (5 if method.startswith(("eth_getBlock", "trace")) else 0)


def test_state_that_the_node_has_pruned_leaves_the_doubtful_aside(world: World) -> None:
    def change(method: str, _params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_getBalance":
            raise NO_STATE
        return ask()

    height = world.heights["destroyed"]
    with front(world.node, change) as url:
        rejected = read(url, height, height).rejected.to_pylist()
    assert [(row["reason"], row["height"], row["row"]) for row in rejected] == [
        ("unclear_trace", height, 2),
        ("unclear_trace", height, 3),
    ]
    assert read(world.node.url, height, height).rejected.num_rows == 0


def text(value: bytes) -> str:
    """ABI of a string."""
    padded = value.hex().ljust((len(value) + 31) // 32 * 64, "0")
    return "0x" + f"{32:064x}{len(value):064x}" + padded


@pytest.mark.parametrize(
    ("symbol", "decimals", "found"),
    [
        (text(b"USDX"), "0x" + f"{6:064x}", ("USDX", 6)),
        ("0x" + b"MKR".hex().ljust(64, "0"), "0x" + f"{18:064x}", ("MKR", 18)),
        (text("Ŧōken\x1b[31m\u202e".encode()), "0x" + f"{255:064x}", ("Ŧōken[31m", 0)),
        (text(b"x" * 5_000), "0x" + "f" * 64, ("", 0)),
        (text(b"x" * 1_000), "0x", ("x" * 32, 0)),
        (text(b"\xff\xfe"), "0x06", ("", 0)),
        ("0x" + "f" * 128, "nothing", ("", 0)),
        (None, None, ("", 0)),
        (7, [], ("", 0)),
        ("revert", "revert", ("", 0)),
    ],
)
def test_a_tokens_own_words_are_taken_as_the_words_of_a_stranger(
    world: World, symbol: Any, decimals: Any, found: tuple[str, int]
) -> None:
    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method != "eth_call":
            return ask()
        said = symbol if params[0]["data"] == "0x95d89b41" else decimals
        if said == "revert":
            raise RpcFault(3, "execution reverted")
        return said

    height = world.heights["transfers"]
    contract = "0x" + world.name("token").hex()
    with front(world.node, change) as url:
        assets = {asset.reference: asset for asset in read(url, height, height).assets}
    asset = assets[f"erc20:{contract}"]
    assert (asset.symbol, asset.decimals, asset.listed) == (found[0] or contract[:32], found[1], False)


def test_named_tokens_are_listed_and_the_coin_is(world: World) -> None:
    height, contract = world.heights["transfers"], "0x" + world.name("token").hex()
    assets = {
        asset.reference: asset for asset in read(world.node.url, height, height, listed=[contract]).assets
    }
    assert assets[f"erc20:{contract}"].listed
    assert (assets["slip44:60"].listed, assets["slip44:60"].decimals) == (True, 18)


def test_tokens_are_asked_for_their_names_once(world: World) -> None:
    asked: list[str] = []

    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_call":
            asked.append(params[0]["to"])
        return ask()

    height = world.heights["transfers"]
    with front(world.node, change) as url, EvmNode(url, CHAIN) as node:
        first, second = (node.read_blocks(height, height).assets for _ in range(2))
    assert first == second
    assert len(asked) == 2


def test_owners_are_those_of_that_block(world: World) -> None:
    heights: list[str] = []

    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_call" and params[0]["data"] == "0x8da5cb5b":
            heights.append(params[1])
        return ask()

    height, contract = world.heights["tether"], "0x" + world.name("tether").hex()
    with front(world.node, change) as url:
        batch = read(url, height, height, profiles={contract: "tether"})
    assert set(heights) == {hex(height)}
    lines = show_legs(batch, world.names)
    assert lines[0] == "0 token 0 tether: owner +70"
    assert [line for line in lines if "frozen" in line] == [
        "4 frozen 4 tether: payer",
        "5 frozen 5 tether: payer",
    ]


def test_ethereums_rewards_where_the_node_does_not_tell_them(world: World) -> None:
    uncle = {"number": "0x1", "miner": "0x" + "ab" * 20}
    mined = {"difficulty": "0x1", "uncles": [HASH]}

    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_getUncleByBlockHashAndIndex":
            return uncle | {"asked": params}
        found = ask()
        if method == "eth_chainId":
            return "0x1"
        if method == "eth_getBlockByNumber" and found and found["number"] == "0x3":
            return found | mined
        return found

    with front(world.node, change) as url:
        for internal in ("trace_block", "callTracer", "none"):
            with EvmNode(url, find_chain("ethereum"), limits=QUICK, internal=internal) as node:
                batch = node.read_blocks(3, 3)
            rewards = [row for row in batch.transfers.to_pylist() if row["kind"] == "reward"]
            assert [(row["part"], row["hash"]) for row in rewards] == [(0, None), (1, None)]
            paid = [line for line in show_legs(batch, {}) if "reward" in line]
            assert paid[0].endswith(f"+{5 * 10**18 + 5 * 10**18 // 32}")
            assert paid[1].endswith(f"0x{'ab' * 20} +{5 * 10**18 * 6 // 8}")


def test_chains_with_rules_of_their_own(world: World) -> None:
    paid = [{"index": "0x0", "validatorIndex": "0x0", "address": MINER, "amount": "0x5"}]

    def found(chain: str, number: int) -> list[str]:
        def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
            if method == "eth_chainId":
                return hex(number)
            answer = ask()
            block = method == "eth_getBlockByNumber" and answer and answer["number"] == "0x1"
            return answer | {"withdrawals": paid} if block else answer

        with front(world.node, change) as url, EvmNode(url, find_chain(chain), limits=QUICK) as node:
            rows = node.read_blocks(1, 1).transfers.to_pylist()
            return [row["asset"] for row in rows if row["kind"] == "withdrawal"]

    assert found("ethereum", 1) == ["slip44:60"]
    assert found("gnosis", 100) == []
