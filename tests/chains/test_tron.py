"""TRON nodes: token events of whole blocks in TRON's form, and no TRX that the interface cannot tell.

The answers have the shape of java-tron's: blocks as of `BlockResult`, receipts as of `TransactionReceipt`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chains.address import tron_hex
from chains.errors import BadAnswer, BranchChanged, InputError, NodeError, WrongChain
from chains.evm.tokens import TRANSFER, event_topic
from chains.evm.tron import TronNode, tron_account
from chains.ledger import LegBatch
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.evm_world import show_legs, word
from tests.chains.test_evm_blocks import JUNK
from tests.nodes.rpc_server import RpcFault, serve_rpc

TRON = find_chain("tron")
QUICK = RpcLimits(attempts=2, first_pause_seconds=0.001)
USDT = "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c"
USDT_TRON = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
OTHER = "0x" + "0c" * 20
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
FIRST = 66_977_952


def block_hash(height: int, branch: int = 0) -> str:
    return f"0x{height:016x}{branch:02x}" + "5c" * 23


def txid(height: int, position: int) -> str:
    return f"0x{height:032x}{position + 1:032x}"


class Chain:
    """Answers of a java-tron node, and how they are spoiled."""

    def __init__(self) -> None:
        self.logs: dict[int, list[list[dict[str, Any]]]] = {}  # of each transaction of a height
        self.top, self.solid = FIRST + 20, FIRST + 1
        self.chain_id, self.branch = "0x2b6653dc", 0
        self.missing: set[str] = set()
        self.per_transaction = False  # logs are counted from 0 in each transaction
        self.spoil: dict[str, Any] = {}

    def __call__(self, method: str, params: Sequence[Any]) -> Any:
        if method in self.missing or any(word in self.missing for word in params if isinstance(word, str)):
            raise RpcFault(-32601 if method in self.missing else -32602, "not available")
        answers: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: self.chain_id,
            "web3_clientVersion": lambda: "TRON/v4.8.1/Linux/Java1.8/GreatVoyage",
            "eth_getBlockByNumber": lambda: self.block(self._height(params[0])),
            "eth_getBlockReceipts": lambda: self.receipts(self._height(params[0])),
            "eth_getTransactionReceipt": lambda: self._receipt(params[0]),
            "eth_call": lambda: _metadata(params[0]["data"]),
        }
        if method not in answers:
            raise RpcFault(-32601, f"the method {method} does not exist")
        return self.spoil[method] if method in self.spoil else answers[method]()

    def _height(self, name: str) -> int:
        if name in ("latest", "finalized"):
            return self.top if name == "latest" else self.solid
        return int(name[2:18], 16) if len(name) == 66 else int(name, 16)

    def block(self, height: int) -> Any:
        if height > self.top:
            return None
        count = len(self.logs.get(height, []))
        return {
            "number": hex(height),
            "hash": block_hash(height, self.branch),
            "parentHash": block_hash(height - 1, self.branch) if height else "0x" + "e9" * 32,
            "timestamp": hex(1_700_000_000 + 3 * (height - FIRST)) if height else "0x0",
            "miner": A,
            "gasUsed": "0x0",
            "transactions": [txid(height, position) for position in range(count)],
        }

    def _receipt(self, name: str) -> Any:
        found = self.receipts(int(name[2:34], 16))
        return found and found[int(name[34:], 16) - 1]

    def receipts(self, height: int) -> Any:
        if not height:
            return None
        receipts, index = [], 0
        for position, logs in enumerate(self.logs.get(height, [])):
            where = {"blockHash": block_hash(height, self.branch), "blockNumber": hex(height)}
            where |= {"transactionIndex": hex(position), "transactionHash": txid(height, position)}
            entries = [
                {
                    **log,
                    **where,
                    "logIndex": hex(order if self.per_transaction else index + order),
                    "removed": False,
                }
                for order, log in enumerate(logs)
            ]
            index += len(logs)
            receipts.append(
                {**where, "from": A, "to": USDT, "gasUsed": "0x1", "status": "0x1", "logs": entries}
            )
        return receipts


def _metadata(data: str) -> str:
    return "0x" + (f"{6:064x}" if data == "0x313ce567" else b"TOK".hex().ljust(64, "0"))


def log(contract: str, *topics: str, data: str) -> dict[str, Any]:
    return {"address": contract, "topics": ["0x" + t.removeprefix("0x") for t in topics], "data": "0x" + data}


def transfer(payer: str, payee: str, amount: int, contract: str = USDT) -> dict[str, Any]:
    return log(contract, TRANSFER, word(payer), word(payee), data=word(amount))


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    zero = "0x" + "0" * 40
    made.logs[FIRST] = [
        [transfer(A, B, 5)],
        [],
        [
            transfer(B, A, 6, OTHER),
            log(OTHER, event_topic("Approval(address,address,uint256)"), word(A), word(B), data=word(1)),
        ],
        [transfer(A, B, 0)],
    ]
    made.logs[FIRST + 1] = [
        [log(USDT, event_topic("AddedBlackList(address)"), word(B), data="")],
        [log(USDT, event_topic("DestroyedBlackFunds(address,uint256)"), word(B), data=word(7))],
        [log(USDT, event_topic("Issue(uint256)"), data=word(8)), transfer(zero, A, 8)],
        [log(USDT, event_topic("Redeem(uint256)"), data=word(9)), transfer(A, zero, 9)],
        [log(OTHER, event_topic("AddedBlackList(address)"), word(B), data="")],
    ]  # fmt: skip
    return made


NAMES = {tron_account(A): "a", tron_account(B): "b"}


def read(chain: Chain, first: int = FIRST, last: int = FIRST + 1, **more: Any) -> LegBatch:
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK, **more) as node:
        return node.read_blocks(first, last)


def test_addresses_are_tron_s_own_both_ways() -> None:
    assert tron_account(USDT) == USDT_TRON
    assert tron_hex(USDT_TRON) == "41" + USDT[2:]


def test_token_events_become_legs(chain: Chain) -> None:
    batch = read(chain)
    other = tron_account(OTHER)
    usdt = f"trc20:{USDT_TRON}"
    assert show_legs(batch, NAMES) == [
        f"0 token 0 {usdt}: a -5, b +5",
        f"2 token 1 trc20:{other}: b -6, a +6",
        f"3 token 3 {usdt}: a -0, b +0",
        f"1 token 1 {usdt}: b -7",
        f"2 token 3 {usdt}: a +8",  # issued once, though two events say so
        f"3 token 5 {usdt}: a -9",
        f"0 frozen 0 {usdt}: b",
    ]
    assert [(r["height"], r["time"].second) for r in batch.blocks.to_pylist()] == [
        (FIRST, 20),
        (FIRST + 1, 23),
    ]
    assets = {asset.reference: asset for asset in batch.assets}
    assert (assets[usdt].symbol, assets[usdt].decimals, assets[usdt].listed) == ("USDT", 6, True)
    assert (assets[f"trc20:{other}"].symbol, assets[f"trc20:{other}"].listed) == ("TOK", False)


def test_no_trx_is_recorded_and_that_is_said(chain: Chain) -> None:
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK) as node:
        assert "TRX payments" in node.facts.unread
        assert "TRX fees" in node.facts.unread
        assert (node.facts.internal, node.facts.software[:10]) == ("none", "TRON/v4.8.")
        kinds = set(node.read_blocks(FIRST, FIRST + 1).transfers["kind"].to_pylist())
    assert kinds == {"token"}


@pytest.mark.parametrize(
    "missing", [{"eth_getBlockReceipts"}, {"eth_getBlockReceipts", "web3_clientVersion"}]
)
def test_an_older_node_gives_receipts_one_by_one(chain: Chain, missing: set[str]) -> None:
    expected = read(chain)
    chain.missing = missing
    assert read(chain).legs.equals(expected.legs)


def test_logs_counted_within_their_transaction_get_the_same_parts(chain: Chain) -> None:
    expected = read(chain)
    chain.per_transaction = True
    assert read(chain).transfers.equals(expected.transfers)


def test_the_first_block_has_no_receipts(chain: Chain) -> None:
    chain.logs[0] = [[]]
    batch = read(chain, 0, 0)
    assert (batch.blocks.num_rows, batch.transfers.num_rows) == (1, 0)


def test_final_is_only_what_the_node_calls_so(chain: Chain) -> None:
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK) as node:
        head = node.head()
        assert (head.height, head.final_height) == (FIRST + 20, FIRST + 1)
        assert head.hash == node.block_hash(FIRST + 20)
        assert node.block_hash(FIRST + 21) is None
        chain.missing = {"finalized"}
        assert node.head().final_height == -1


def test_another_network_is_refused(chain: Chain) -> None:
    chain.chain_id = "0xcd8690dc"  # Nile
    with serve_rpc(chain) as url, pytest.raises(WrongChain, match="tron:3448148188"):
        TronNode(url, TRON, limits=QUICK)
    with serve_rpc(chain) as url, TronNode(url, find_chain("tron:3448148188"), limits=QUICK) as node:
        assert node.head().height == FIRST + 20
    with pytest.raises(InputError, match="not TRON"):
        TronNode("http://127.0.0.1:1", find_chain("ethereum"))


def test_a_hash_carries_its_height(chain: Chain) -> None:
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK) as node:
        chain.spoil["eth_getBlockByNumber"] = chain.block(FIRST) | {"hash": block_hash(FIRST + 1)}
        with pytest.raises(BadAnswer, match="begins with the height"):
            node.read_blocks(FIRST, FIRST)


def test_batches_are_no_larger_than_the_node_takes(chain: Chain) -> None:
    sizes = []
    with serve_rpc(chain) as url:
        with TronNode(url, TRON, limits=RpcLimits(batch_size=500)) as node:
            sizes.append(node._client.limits.batch_size)
        with TronNode(url, TRON, limits=RpcLimits(batch_size=7)) as node:
            sizes.append(node._client.limits.batch_size)
    assert sizes == [100, 7]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: found[:-1], "receipts is"),
        (lambda found: [{**r, "transactionHash": "0x" + "99" * 32} for r in found], "transactionHash"),
        (lambda found: [{**r, "transactionIndex": "0x7"} for r in found], "transactionIndex"),
        (lambda found: [{**r, "logs": None} for r in found], "logs"),
        (lambda found: [{**r, "blockHash": block_hash(FIRST, 9)} for r in found], "another block"),
        (lambda _found: None, "no receipts"),
    ],
)
def test_receipts_that_contradict_the_block_are_refused(chain: Chain, change: Any, why: str) -> None:
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK) as node:
        chain.spoil["eth_getBlockReceipts"] = change(chain.receipts(FIRST))
        with pytest.raises(BadAnswer, match=why) as caught:
            node.read_blocks(FIRST, FIRST)
        assert f"block {FIRST}" in str(caught.value)


def test_another_branch_is_told(chain: Chain) -> None:
    receipts = chain.receipts(FIRST)

    def change(method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getBlockReceipts" and params[0] == block_hash(FIRST):
            chain.branch = 1
            return [{**r, "blockHash": block_hash(FIRST, 1)} for r in receipts]
        return chain(method, params)

    with serve_rpc(change) as url, TronNode(url, TRON, limits=QUICK) as node, pytest.raises(BranchChanged):
        node.read_blocks(FIRST, FIRST)


@pytest.mark.parametrize("method", ["eth_getBlockByNumber", "eth_getBlockReceipts", "eth_call"])
def test_junk_is_an_error_of_the_node_or_does_not_matter(chain: Chain, method: str) -> None:
    refused = 0
    with serve_rpc(chain) as url, TronNode(url, TRON, limits=QUICK) as node:
        for value in JUNK:
            if value in ("\ud800", 2**70):
                continue  # cannot be sent
            chain.spoil = {method: value}
            try:
                node.read_blocks(FIRST, FIRST + 1)
            except NodeError:
                refused += 1
    assert refused >= (25 if method != "eth_call" else 0)
