"""The anvil node itself: what its history says it holds is so, and reorganisations do what they say."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.anvil_history import FEE_RECIPIENT, FUNDED_WEI

FAILED = {
    "reverted",
    "out-of-gas",
    "to-code-that-refuses",
    "creation-failed",
    "pay-and-fail",
    "token-failed",
    "frozen-refused",
    "withdraw-too-much",
}
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as running:
        yield running


def test_each_transaction_of_the_history_did_what_its_name_says(node: Anvil) -> None:
    failed = set()
    for name, sent in node.history.hashes.items():
        receipt = node.call("eth_getTransactionReceipt", sent)
        if receipt["status"] != "0x1":
            failed.add(name)
    assert failed == FAILED
    silent = ("issue", "redeem", "destroy-black-funds", "deposit", "withdraw")
    logs = {
        name: node.call("eth_getTransactionReceipt", node.history.hashes[name])["logs"]
        for name in (*silent, "tether-fee", "lookalikes")
    }
    for name in silent:
        assert len(logs[name]) == 1, name
        assert logs[name][0]["topics"][0] != TRANSFER, name
    assert len(logs["tether-fee"]) == 2
    assert len(logs["lookalikes"]) == 8


def test_balances_come_from_genesis_and_every_wei_burned_is_a_base_fee_or_a_destroyed_purse(
    node: Anvil,
) -> None:
    """The node's own state against its blocks: what is missing from the funds is burned gas."""
    burned = 0
    for height in range(1, node.height + 1):
        block = node.call("eth_getBlockByNumber", hex(height), False)
        burned += int(block["gasUsed"], 16) * int(block["baseFeePerGas"], 16)
    destroyed = 10**14 + 1  # create-and-burn
    funded = len(node.accounts) * FUNDED_WEI + 1 + 1000
    balances = node.balances()
    assert sum(balances.values()) == funded - burned - destroyed
    for address in (node.accounts[1].address.lower(), FEE_RECIPIENT, "0x" + "22" * 20):
        assert balances[address] == int(node.call("eth_getBalance", address, "latest"), 16)


def test_the_same_history_gives_the_same_blocks(node: Anvil) -> None:
    with run_anvil() as other:
        for height in (80, other.height):
            mine, its = (each.call("eth_getBlockByNumber", hex(height), False) for each in (node, other))
            assert mine["hash"] == its["hash"]


def test_reorganisations_replace_the_newest_blocks_and_nothing_below() -> None:
    with run_anvil(history=False) as node:

        def hashes() -> list[str]:
            calls = [("eth_getBlockByNumber", [hex(height), False]) for height in range(node.height + 1)]
            return [block["hash"] for block in node.call_many(calls)]

        node.mine(12)
        for how, longer, grows in (("rollback", 1, 1), ("rollback", -2, -2), ("reorg", 1, 0)):
            before = hashes()
            node.reorg(5, longer=longer, how=how)
            after = hashes()
            assert len(after) == len(before) + grows
            assert after[: len(before) - 5] == before[:-5]
            assert not set(before[-5:]) & set(after)
        before = hashes()
        kept = node.snapshot()
        node.mine(4)
        node.revert(kept)
        assert hashes() == before
        node.mine(2)
        assert hashes()[:-2] == before


def test_the_process_ends_with_the_block(tmp_path: Path) -> None:
    with run_anvil(history=False, folder=tmp_path) as node:
        pid = node.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(tmp_path.iterdir())
