from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from chains.bitcoin import node as bitcoin
from chains.bitcoin.blocks import read_exact
from chains.bitcoin.node import BitcoinNode
from chains.bitcoin.scripts import script_holder
from chains.errors import BadAnswer, BranchChanged, InputError, NodeRefused, RpcError, WrongChain
from chains.ledger import LEG_SCHEMA, TRANSFER_SCHEMA, LegBatch, join_batches
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.bitcoin_face import GENESIS, LIMITS, ONE, canned, face, opened, rpc_error
from tests.chains.blocks import Out, Tx, show_block
from tests.chains.scripted_server import serve
from tests.nodes.proxy import ROUGH, Faults, run_proxy
from tests.nodes.regtest import RegtestNode, run_regtest

REGTEST = find_chain("bitcoin-regtest")


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as running:
        yield running


def balances(batch: LegBatch) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for leg in batch.legs.select(["side", "account", "amount"]).to_pylist():
        sums[leg["account"]] += int(leg["amount"]) * (1 if leg["side"] == "payee" else -1)
    return {account: sat for account, sat in sums.items() if sat}


def held(*parts: dict[bytes, int]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for part in parts:
        for script, sat in part.items():
            sums[script_holder(script, REGTEST)] += sat
    return dict(sums)


def same(one: LegBatch, other: LegBatch) -> bool:
    return bool(
        one.transfers.equals(other.transfers)
        and one.legs.equals(other.legs)
        and one.blocks.equals(other.blocks)
    )


def test_the_balances_of_a_whole_chain_are_the_nodes_own(node: RegtestNode) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source:
        batch = source.read_blocks(0, node.height)
    assert batch.transfers.schema.equals(TRANSFER_SCHEMA)
    assert batch.legs.schema.equals(LEG_SCHEMA)
    batch.legs.validate(full=True)
    assert batch.blocks["height"].to_pylist() == list(range(node.height + 1))
    assert batch.transfers["transfer"].to_pylist() == list(range(batch.transfers.num_rows))
    assert balances(batch) == held(node.unspent(), node.unspendable())


def test_head_facts_and_hashes_are_what_the_node_says(node: RegtestNode) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source:
        head = source.head()
        assert (head.height, head.hash.hex(), head.final_height) == (node.height, node.tip, node.height - 5)
        assert source.block_hash(node.height) == head.hash
        assert source.block_hash(node.height + 1) is None
        assert source.facts.software.startswith("/Satoshi:")
        assert source.facts.url == node.url
        assert source.facts.unread == ()
        assert source.facts.internal == ""
        assert source.chain is REGTEST


def test_where_a_range_is_cut_and_how_batches_are_made_changes_nothing(node: RegtestNode) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source:
        whole = source.read_blocks(100, 142)
        parts = [source.read_blocks(first, min(first + 6, 142)) for first in range(100, 143, 7)]
    assert same(join_batches(parts), whole)
    for size in (1, 3, 200):
        with BitcoinNode(node.url, REGTEST, limits=RpcLimits(batch_size=size)) as source:
            assert same(source.read_blocks(100, 142), whole)


def test_an_empty_range_is_an_empty_batch(node: RegtestNode) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source:
        batch = source.read_blocks(5, 4)
    assert (batch.transfers.num_rows, batch.legs.num_rows, batch.blocks.num_rows) == (0, 0, 0)


def test_a_large_block_is_read_by_itself(node: RegtestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    with run_proxy(node.url, Faults()) as proxy:
        proxy.before = lambda _, methods: asked.append(methods.count("getblock"))
        monkeypatch.setattr(bitcoin, "LEGS_AT_ONCE", 30)
        with BitcoinNode(proxy.url, REGTEST, limits=LIMITS) as source:
            source.read_blocks(110, 130)
    sizes = [count for count in asked if count]
    assert sum(sizes) == 21
    assert sizes[0] == 1
    assert 1 in sizes[1:]
    assert max(sizes) > 3


def test_several_threads_read_at_once(node: RegtestNode) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source, ThreadPoolExecutor(4) as pool:
        ranges = [(first, first + 19) for first in range(0, 140, 20)]
        parts = list(pool.map(lambda span: source.read_blocks(*span), ranges))
        assert same(join_batches(parts), source.read_blocks(0, 139))


def test_a_node_of_another_chain_is_refused(node: RegtestNode) -> None:
    with pytest.raises(WrongChain, match="serves bitcoin-regtest") as caught:
        BitcoinNode(node.url, find_chain("bitcoin"), limits=LIMITS)
    assert "bip122:000000000019d6689c085ae165831e93" in caught.value.expected


@pytest.mark.parametrize(
    ("name", "why"),
    [("zcash", "shielded"), ("dash", "X11"), ("verge", "another form"), ("bitcoin-gold", "not name a block"),
     ("ethereum", "not a chain of Bitcoin's kind"), ("simulated-utxo", "whose blocks are known"),
     ("payments:bank", "whose blocks are known")],
)  # fmt: skip
def test_a_chain_that_would_be_read_wrongly_is_refused_before_anyone_is_asked(name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        BitcoinNode("http://127.0.0.1:1", find_chain(name))


def test_what_a_chain_keeps_to_itself_is_said() -> None:
    genesis = find_chain("litecoin").caip2.partition(":")[2] + "ab" * 16
    with opened(canned({"getblockhash": lambda *_: genesis}), "litecoin") as source:
        assert "MWEB" in source.facts.unread[0]
        assert source.facts.software == ""


FORK_BLOCKS = {478_559: "000000000000000000651ef99cb9fcbe", 556_767: "000000000000000001d956714215d96f"}


@pytest.mark.parametrize(
    ("name", "forks", "allowed"),
    [("bitcoin", (), True), ("bitcoin", (478_559,), False), ("bitcoin", (478_559, 556_767), False),
     ("bitcoin-cash", (478_559,), True), ("bitcoin-cash", (), False),
     ("bitcoin-cash", (478_559, 556_767), False),
     ("bitcoin-sv", (478_559, 556_767), True), ("bitcoin-sv", (478_559,), False)],
)  # fmt: skip
def test_chains_that_share_their_past_are_told_apart_by_their_forks(
    name: str, forks: tuple[int, ...], allowed: bool
) -> None:
    def hash_at(height: int) -> str:
        own = FORK_BLOCKS[height] if height in forks else "11" * 16
        return ("000000000019d6689c085ae165831e93" if height == 0 else own) + "22" * 16

    with serve(canned({"getblockhash": hash_at})) as server:
        if allowed:
            BitcoinNode(server.url, find_chain(name), limits=LIMITS).close()
        else:
            with pytest.raises(WrongChain):
                BitcoinNode(server.url, find_chain(name), limits=LIMITS)


def test_a_node_below_the_fork_cannot_be_known_as_the_forks_own() -> None:
    def hash_at(height: int) -> Any:
        return (
            "000000000019d6689c085ae165831e93" + "22" * 16 if height == 0 else rpc_error(-8, "out of range")
        )

    with serve(canned({"getblockhash": hash_at})) as server:
        with pytest.raises(BadAnswer, match="no block 478559 yet"):
            BitcoinNode(server.url, find_chain("bitcoin-cash"), limits=LIMITS)
        BitcoinNode(server.url, find_chain("bitcoin"), limits=LIMITS).close()


def test_one_block_of_a_small_face() -> None:
    with serve(face(ONE)) as server, BitcoinNode(server.url, REGTEST, limits=LIMITS) as source:
        assert source.read_blocks(200, 200).legs["amount"].to_pylist() == [5_000_000_000]
        with pytest.raises(BadAnswer, match=r"no block 201 \(yet\)"):
            source.read_blocks(200, 201)
        with pytest.raises(BadAnswer, match="no block -1"):
            source.read_blocks(-1, 200)


@pytest.mark.parametrize(
    "info",
    [None, 5, [], {}, {"blocks": "5", "bestblockhash": "ab" * 32}, {"blocks": -1, "bestblockhash": "ab" * 32},
     {"blocks": True, "bestblockhash": "ab" * 32}, {"blocks": 2**40, "bestblockhash": "ab" * 32},
     {"blocks": 5, "bestblockhash": "ab" * 31}, {"blocks": 5, "bestblockhash": None}, {"blocks": 5},
     {"blocks": 5.5, "bestblockhash": "ab" * 32}, {"blocks": 5, "bestblockhash": "\n" + "ab" * 32}],
)  # fmt: skip
def test_a_head_that_cannot_be_is_refused(info: Any) -> None:
    with pytest.raises(BadAnswer) as caught, opened(face(ONE, getblockchaininfo=lambda: info)) as source:
        source.head()
    assert caught.value.method == "getblockchaininfo"


@pytest.mark.parametrize("value", [None, 5, "", "ab", "g" * 64, "AB" * 32, ["ab" * 32], "ab" * 33])
def test_a_hash_that_is_none_is_refused(value: Any) -> None:
    def hash_at(height: int) -> Any:
        return GENESIS if height in (0, 478_559, 556_767) else value

    with (
        opened(face(ONE, getblockhash=hash_at)) as source,
        pytest.raises(BadAnswer, match="the hash of block 7"),
    ):
        source.block_hash(7)


@pytest.mark.parametrize(
    "network", [None, 5, {}, {"subversion": 7}, {"subversion": "/Core\x1b[31m\n:1/" * 50}]
)
def test_a_node_may_call_itself_anything(network: Any) -> None:
    with opened(face(ONE, getnetworkinfo=lambda: network)) as source:
        assert source.facts.software.isprintable()
        assert len(source.facts.software) <= 100


def test_a_pruned_node_says_what_it_lacks() -> None:
    info = {"blocks": 5, "bestblockhash": "ab" * 32, "pruned": True, "pruneheight": 150}
    gone = rpc_error(-1, "Block not available (pruned data)")
    with opened(face(ONE, getblockchaininfo=lambda: info, getblock=lambda *_: gone)) as source:
        assert source.facts.unread == ("blocks below 150: the node is pruned",)
        with pytest.raises(BadAnswer, match=r"does not give block 200 .*pruned data"):
            source.read_blocks(200, 200)


def test_a_node_without_verbosity_3_is_told_by_name() -> None:
    block = read_exact(ONE)
    block["tx"] = [tx["txid"] for tx in block["tx"]]
    why = "does not know verbosity 3"
    with opened(face(ONE, getblock=lambda *_: block)) as source, pytest.raises(BadAnswer, match=why):
        source.read_blocks(200, 200)


def test_an_error_that_says_nothing_of_a_block_is_the_nodes_own() -> None:
    unknown = rpc_error(-32601, "Method not found")
    with opened(face(ONE, getblock=lambda *_: unknown)) as source, pytest.raises(RpcError):
        source.read_blocks(200, 200)


def test_an_abandoned_block_means_that_the_branch_changed() -> None:
    stale = orjson.loads(ONE) | {"confirmations": -1}
    with opened(face(ONE, getblock=lambda *_: stale)) as source, pytest.raises(BranchChanged) as caught:
        source.read_blocks(200, 200)
    assert caught.value.height == 200


@pytest.mark.parametrize("lost", [None, rpc_error(-5, "Block not found"), {"height": 200}])
def test_a_block_that_cannot_be_right_any_more_means_the_same(lost: Any) -> None:
    hashes = iter([orjson.loads(ONE)["hash"], "cd" * 32])
    known = {"getblockhash": lambda height: next(hashes) if height == 200 else GENESIS}
    with opened(face(ONE, getblock=lambda *_: lost, **known)) as source, pytest.raises(BranchChanged):
        source.read_blocks(200, 200)


def test_blocks_that_do_not_follow_each_other_are_a_lie_where_the_node_keeps_to_them() -> None:
    other = show_block([Tx([Out(1, "51")])], height=201)  # its parent is not block 200
    blocks = {orjson.loads(data)["hash"]: data for data in (ONE, other)}
    hashes = dict(zip((200, 201), blocks, strict=True)) | {0: GENESIS}
    none = rpc_error(-8, "Block height out of range")
    known: dict[str, Callable[..., Any]] = {
        "getblockhash": lambda height: hashes.get(height, none),
        "getblock": lambda block_hash, _: orjson.Fragment(blocks[block_hash]),
    }
    why = "block 201 does not follow block 200"
    with opened(canned(known)) as source, pytest.raises(BadAnswer, match=why):
        source.read_blocks(200, 201)


def test_a_reorganisation_while_blocks_are_read_is_noticed() -> None:
    with (
        run_regtest() as own,
        run_proxy(own.url, Faults()) as proxy,
        BitcoinNode(proxy.url, REGTEST, limits=RpcLimits(batch_size=4)) as source,
    ):
        for after in range(1, 8):
            count = proxy.requests
            proxy.before = _reorganise(own, count + after, depth=12)
            try:
                found = source.read_blocks(own.height - 15, own.height - 1)
            except BranchChanged:
                found = source.read_blocks(own.height - 15, own.height - 1)
            proxy.before = None
            heights = found.blocks["height"].to_pylist()
            links = zip(
                found.blocks["hash"].to_pylist()[:-1],
                found.blocks["parent_hash"].to_pylist()[1:],
                strict=True,
            )
            assert all(one == two for one, two in links)
            assert heights == list(range(heights[0], heights[-1] + 1))
        for after in (4, 5):  # between hashes and blocks of one request, and between two requests
            proxy.before = _reorganise(own, proxy.requests + after, depth=12)
            with pytest.raises(BranchChanged):
                source.read_blocks(own.height - 15, own.height)
        assert same(source.read_blocks(0, own.height), source.read_blocks(0, own.height))


def _reorganise(own: RegtestNode, at: int, *, depth: int) -> Callable[[int, list[str]], None]:
    def before(number: int, _: list[str]) -> None:
        if number == at:
            own.reorg(depth)

    return before


@pytest.mark.parametrize("seed", range(3))
def test_through_a_rough_connection_the_same_arrives(node: RegtestNode, seed: int) -> None:
    with BitcoinNode(node.url, REGTEST, limits=LIMITS) as source:
        truth = source.read_blocks(0, node.height)
    with (
        run_proxy(node.url, ROUGH, seed=seed) as proxy,
        BitcoinNode(proxy.url, REGTEST, limits=LIMITS) as source,
    ):
        assert same(source.read_blocks(0, node.height), truth)
        assert sum(proxy.counts.values()) > 5


def lying(change: Callable[[Any], None]) -> Callable[[str, Any, Any], Any]:
    def lie(method: str, _: Any, result: Any) -> Any:
        if method == "getblock" and isinstance(result, dict) and result["height"] == 117:
            change(result)
            return dict(result)
        return result

    return lie


LIES: dict[str, Callable[[Any], None]] = {
    "amount": lambda b: b["tx"][1]["vout"][3].update(value=orjson.Fragment(b"46.51992530")),
    "script": lambda b: b["tx"][1]["vout"][3]["scriptPubKey"].update(hex="51"),
    "spent output": lambda b: b["tx"][1]["vin"][0].update(vout=3),
    "spent amount": lambda b: b["tx"][1]["vin"][0]["prevout"].update(value=orjson.Fragment(b"46.0")),
    "time": lambda b: b.update(time=b["time"] + 1),
    "parent": lambda b: b.update(previousblockhash="ab" * 32),
    "left out": lambda b: b["tx"].pop(),
    "turned round": lambda b: b["tx"].reverse(),
    "height": lambda b: b.update(height=116),
    "no prevout": lambda b: b["tx"][1]["vin"][0].pop("prevout"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_node_that_lies_about_a_block_is_caught(node: RegtestNode, name: str) -> None:
    with (
        run_proxy(node.url, Faults(lie=lying(LIES[name]))) as proxy,
        BitcoinNode(proxy.url, REGTEST, limits=LIMITS) as source,
        pytest.raises(BadAnswer, match="block 117: "),
    ):
        source.read_blocks(110, 120)


def test_a_login_is_asked_for_and_never_shown(proxy_of_login: tuple[str, str]) -> None:
    url, host = proxy_of_login
    with pytest.raises(NodeRefused):
        BitcoinNode(f"http://{host}", REGTEST, limits=LIMITS)
    with BitcoinNode(url, REGTEST, limits=LIMITS) as source:
        assert "secret-word" not in source.facts.url
        assert source.head().height == 0


@pytest.fixture
def proxy_of_login() -> Iterator[tuple[str, str]]:
    with run_regtest(history=False, user="me:secret-word") as own:
        host = own.url.rpartition("@")[2].removeprefix("http://")
        yield f"http://me:secret-word@{host}", host


def test_closing_twice_is_harmless(node: RegtestNode) -> None:
    source = BitcoinNode(node.url, REGTEST, limits=LIMITS)
    source.close()
    source.close()
