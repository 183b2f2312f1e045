"""The regtest node itself: Core's rules hold, its answers agree with each other and with the raw blocks."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any

import httpx
import pytest
from embit.transaction import Transaction  # type: ignore[import-untyped]

from tests.nodes.kernel import Coin, RejectedBlockError, hash256, merkle_root
from tests.nodes.regtest import RegtestNode, run_regtest
from tests.nodes.wallet import KINDS


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[RegtestNode]:
    with run_regtest(history=False) as running:
        yield running


@cache
def _client() -> httpx.Client:
    return httpx.Client(trust_env=False)


@pytest.fixture(scope="module", autouse=True)
def _closed_client() -> Iterator[None]:
    yield
    _client().close()
    _client.cache_clear()


def call(node: RegtestNode, method: str, *params: Any) -> Any:
    """Ask over HTTP; amounts come as Decimal."""
    body = _client().post(node.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = json.loads(body.content, parse_float=Decimal)
    return answer["result"] if "result" in answer else answer["error"]


def sat(value: Decimal) -> int:
    assert -value.as_tuple().exponent == 8  # type: ignore[operator]  # eight decimals, as Core writes
    return int(value * 10**8)


@pytest.fixture(scope="module")
def blocks(node: RegtestNode) -> list[Any]:
    """Every block of the branch, with prevouts."""
    return [
        call(node, "getblock", call(node, "getblockhash", height), 3) for height in range(node.height + 1)
    ]


def test_the_answers_agree_with_the_raw_blocks_and_with_each_other(
    node: RegtestNode, blocks: list[Any]
) -> None:
    parent = None
    for height, block in enumerate(blocks):
        raw = bytes.fromhex(call(node, "getblock", block["hash"], 0))
        assert hash256(raw[:80])[::-1].hex() == block["hash"]
        assert block["height"] == height
        assert block["confirmations"] == node.height - height + 1
        assert block.get("previousblockhash") == parent
        assert raw[36:68] == merkle_root([bytes.fromhex(tx["txid"])[::-1] for tx in block["tx"]])
        assert block["nTx"] == len(block["tx"])
        assert block["size"] == len(raw)
        assert call(node, "getblockheader", block["hash"]).items() <= block.items()
        assert call(node, "getblock", block["hash"], 1)["tx"] == [tx["txid"] for tx in block["tx"]]
        for tx in block["tx"]:
            parsed = Transaction.read_from(BytesIO(bytes.fromhex(tx["hex"])))
            assert parsed.txid().hex() == tx["txid"]
            assert [sat(out["value"]) for out in tx["vout"]] == [out.value for out in parsed.vout]
            assert tx["vsize"] == (tx["weight"] + 3) // 4
            assert tx["size"] == len(tx["hex"]) // 2
        parent = block["hash"]


def test_each_prevout_is_the_output_that_it_names_and_fees_are_what_is_left(blocks: list[Any]) -> None:
    made: dict[tuple[str, int], Any] = {}
    fees_in_all = 0
    for block in blocks:
        fees = 0
        for place, tx in enumerate(block["tx"]):
            entering = 0
            for inp in tx["vin"]:
                if place == 0:
                    assert "coinbase" in inp
                    assert "prevout" not in inp
                    continue
                height, generated, out = made.pop((inp["txid"], inp["vout"]))
                assert inp["prevout"] == {
                    "generated": generated,
                    "height": height,
                    "value": out["value"],
                    "scriptPubKey": out["scriptPubKey"],
                }
                entering += sat(out["value"])
            for out in tx["vout"]:
                made[tx["txid"], out["n"]] = (block["height"], place == 0, out)
            leaving = sum(sat(out["value"]) for out in tx["vout"])
            if place:
                assert sat(tx["fee"]) == entering - leaving >= 0
                fees += entering - leaving
            else:
                assert "fee" not in tx
        if block["height"]:
            paid = sum(sat(out["value"]) for out in block["tx"][0]["vout"])
            assert paid == 50 * 10**8 + fees
        fees_in_all += fees
    assert fees_in_all > 0


def test_the_set_of_unspent_outputs_is_what_the_blocks_leave(node: RegtestNode, blocks: list[Any]) -> None:
    left: dict[str, int] = {}
    for block in blocks:
        for place, tx in enumerate(block["tx"]):
            for inp in tx["vin"] if place else []:
                prevout = inp["prevout"]
                left[prevout["scriptPubKey"]["hex"]] -= sat(prevout["value"])
            for out in tx["vout"]:
                script = out["scriptPubKey"]["hex"]
                left[script] = left.get(script, 0) + sat(out["value"])
    known = {
        script.hex(): amount for script, amount in [*node.unspent().items(), *node.unspendable().items()]
    }
    assert {script: amount for script, amount in left.items() if amount} == known
    info = call(node, "gettxoutsetinfo")
    assert sat(info["total_amount"]) + sat(info["total_unspendable_amount"]) == sum(known.values())


def test_the_history_has_every_kind_of_script_spent_and_unspent(node: RegtestNode, blocks: list[Any]) -> None:
    made, spent = set(), set()
    for block in blocks:
        for tx in block["tx"]:
            made |= {out["scriptPubKey"]["type"] for out in tx["vout"]}
            spent |= {inp["prevout"]["scriptPubKey"]["type"] for inp in tx["vin"] if "prevout" in inp}
    kinds = {
        "pubkey", "pubkeyhash", "scripthash", "witness_v0_keyhash", "witness_v0_scripthash", "multisig",
        "witness_v1_taproot", "anchor", "witness_unknown", "nonstandard",
    }  # fmt: skip
    assert made == kinds | {"nulldata"}
    assert spent == kinds
    assert {f"spend-{kind}" for kind in KINDS} <= set(node.history.txids)


def test_addresses_are_those_of_core(blocks: list[Any]) -> None:
    """The address of P2A on regtest is written in Core's own tests; the others decode to their script."""
    shown = {}
    for block in blocks:
        for tx in block["tx"]:
            for out in tx["vout"]:
                shown[out["scriptPubKey"]["hex"]] = out["scriptPubKey"]
    assert shown["51024e73"]["address"] == "bcrt1pfeesnyr2tx"
    for script in shown.values():
        has_none = script["type"] in ("pubkey", "multisig", "nulldata", "nonstandard")
        assert ("address" in script) != has_none


def test_the_same_seed_gives_the_same_blocks() -> None:
    tips = []
    for seed in (1, 1, 2):
        with run_regtest(seed=seed) as node:
            node.mine(3)
            node.reorg(5)
            tips.append(node.tip)
    assert tips[0] == tips[1] != tips[2]


def _mature(node: RegtestNode) -> Coin:
    script = node.wallet.script("p2wpkh", 1)
    for _ in range(102):
        node.chain.mine(payouts=[(script, None)])
    return next(iter(node.chain.coins.values()))


def test_what_core_forbids_is_refused(fresh: RegtestNode) -> None:
    coin = _mature(fresh)
    to = fresh.wallet.script("p2tr", 2)
    spend = fresh.wallet.pay([coin], [(to, coin.amount_sat)])
    again = fresh.wallet.pay([coin], [(to, coin.amount_sat - 1)])
    payouts: list[tuple[bytes, int | None]] = [(to, None)]

    def refused(*transactions: Any, fees_sat: int = 0) -> bool:
        raw = fresh.chain.assemble(transactions, payouts=payouts, fees_sat=fees_sat)
        height = fresh.height
        with pytest.raises(RejectedBlockError):
            fresh.chain.submit(raw)
        return fresh.height == height

    assert refused(spend, again)  # two payments of one coin in one block
    assert refused(fees_sat=1)  # one satoshi too much for the miner
    assert refused(fresh.wallet.pay([coin], [(to, coin.amount_sat + 1)]))  # more out than in
    young = list(fresh.chain.coins.values())[-1]
    assert refused(fresh.wallet.pay([young], [(to, 1)]))  # a coinbase before its time
    forged = fresh.wallet.pay([coin], [(to, coin.amount_sat)])
    forged.vin[0].witness.items[0] = bytes(71)
    assert refused(forged)  # without a right signature
    fresh.chain.mine([spend], payouts=payouts)
    assert refused(again)  # a coin that was spent a block ago
    broken = bytearray(fresh.chain.assemble(payouts=payouts))
    broken[40] ^= 1
    with pytest.raises(RejectedBlockError):
        fresh.chain.submit(bytes(broken))  # another merkle root


def test_a_reorganisation_changes_the_branch_and_old_blocks_stay_known_by_hash() -> None:
    with run_regtest() as node:
        before = [call(node, "getblockhash", height) for height in range(node.height + 1)]
        coins = dict(node.chain.coins)
        made = node.reorg(4)
        after = [call(node, "getblockhash", height) for height in range(node.height + 1)]
        assert after[: len(before) - 4] == before[:-4]
        assert after[len(before) - 4 :] == made
        assert len(after) == len(before) + 1
        assert not set(before[-4:]) & set(after)
        old = call(node, "getblock", before[-1], 3)
        assert old["confirmations"] == -1
        assert "nextblockhash" not in old
        assert call(node, "getblock", before[-6], 1)["nextblockhash"] == after[len(before) - 5]
        assert call(node, "getblockchaininfo")["bestblockhash"] == after[-1]
        assert call(node, "getblockhash", len(after))["code"] == -8
        assert call(node, "getblock", "00" * 32, 1)["code"] == -5
        # The old branch again, longer: its coins are back, and those of the other branch are gone.
        parent = bytes.fromhex(before[-1])
        for _ in range(2):
            parent = node.chain.mine(payouts=[(node.wallet.script("p2tr", 9), None)], parent=parent)
        assert call(node, "getblockhash", len(before) - 1) == before[-1]
        expected = {point for point, coin in coins.items()}
        assert {point for point, coin in node.chain.coins.items() if coin.height < len(before)} == expected


def test_batches_envelopes_and_errors_are_those_of_core(node: RegtestNode) -> None:
    with httpx.Client(trust_env=False) as client:
        batch = [{"jsonrpc": "2.0", "id": n, "method": "getblockhash", "params": [n]} for n in (3, 1, 10**6)]
        answers = client.post(node.url, json=batch).json()
        assert [answer["id"] for answer in answers] == [3, 1, 10**6]
        assert "error" not in answers[0]
        assert answers[2]["error"]["code"] == -8
        old = client.post(node.url, json={"id": 7, "method": "getblockcount"})
        assert old.json() == {"result": node.height, "error": None, "id": 7}
        wrong = client.post(node.url, json={"id": 7, "method": "nothing"})
        assert wrong.status_code == 404
        assert wrong.json()["error"]["code"] == -32601
        assert client.post(node.url, content=b"{").json()["error"]["code"] == -32700
    with run_regtest(history=False, user="name:word") as guarded, httpx.Client(trust_env=False) as client:
        call_body = {"id": 1, "method": "getblockcount"}
        assert client.post(guarded.url, json=call_body).json()["result"] == 0
        bare = guarded.url.replace("name:word@", "")
        assert client.post(bare, json=call_body).status_code == 401
