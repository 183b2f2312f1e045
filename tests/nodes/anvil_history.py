"""The history that an anvil node starts with: every kind of native, internal and token movement, once each.

`EvmHistory.hashes` names the transactions; each stands in a block of its own unless it says otherwise.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.nodes.anvil_contracts import creation_code, encode_call

if TYPE_CHECKING:
    from tests.nodes.anvil import Anvil

CHAIN_ID = 31337
ACCOUNTS = 12
FEE_RECIPIENT = "0x00000000000000000000000000000000000000c0"
ZERO = "0x" + "0" * 40
FUNDED_WEI = 1_000 * 10**18 + 7
_FIRST_TIME = 1_704_067_200
_ETHER = 10**18


@dataclass(frozen=True)
class EvmHistory:
    """What was built: transaction hashes by name, and the contracts that are tokens by kind."""

    hashes: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


def write_genesis(path: Path, funded: Sequence[str]) -> None:
    """Write a genesis.json that funds accounts: with a single wei too, without 0x, and in decimal digits."""
    alloc = {address.lower(): {"balance": hex(FUNDED_WEI)} for address in funded}
    alloc["0x" + "11" * 20] = {"balance": "0x1"}
    alloc["22" * 20] = {"balance": "1000"}
    alloc["0x" + "33" * 20] = {"balance": "0x0", "nonce": "0x1", "code": "0x00"}
    starts = (
        "homesteadBlock eip150Block eip155Block eip158Block byzantiumBlock constantinopleBlock "
        "petersburgBlock istanbulBlock berlinBlock londonBlock terminalTotalDifficulty shanghaiTime "
        "cancunTime"
    )
    genesis = {
        "config": {"chainId": CHAIN_ID, **dict.fromkeys(starts.split(), 0)},
        "nonce": "0x0",
        "timestamp": hex(_FIRST_TIME),
        "extraData": "0x",
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "mixHash": "0x" + "0" * 64,
        "coinbase": FEE_RECIPIENT,
        "alloc": alloc,
    }
    path.write_text(json.dumps(genesis), encoding="utf-8")


def build_history(node: "Anvil", *, blob: bool = False) -> None:
    """Deploy the contracts and send one transaction of each kind: 80 blocks, and 66 empty ones after them."""
    for contract in ("Coin", "WrappedLike", "OldToken", "Forger", "Deed", "Failing", "Splitter", "Payments"):
        node.deploy(contract)
    node.deploy("TetherLike", 0)
    node.deploy("Splitter", name="Other")
    node.deploy("Delegating", node.contracts["Splitter"], value=3)
    node.deploy("Purse", False, value=_ETHER)
    for contract in ("Coin", "WrappedLike", "OldToken", "Forger", "TetherLike"):
        node.history.tokens[contract] = node.contracts[contract].lower()
    _native(node)
    _internal(node)
    _tokens(node)
    _tether(node)
    _wrapped(node)
    _fees(node)
    if blob:
        _blob(node)
    _crowded(node)
    node.seal(66)  # what stands above is final then


def build_short_history(node: "Anvil") -> None:
    """Deploy what random payments use, and mine thirty blocks of them."""
    for contract in ("Coin", "WrappedLike", "Forger", "Failing", "Splitter"):
        node.deploy(contract)
    node.deploy("TetherLike", 0)
    for contract in ("Coin", "WrappedLike", "Forger", "TetherLike"):
        node.history.tokens[contract] = node.contracts[contract].lower()
    node.mine(30)


def _step(node: "Anvil", name: str, sent: str) -> None:
    node.history.hashes[name] = sent
    node.seal()


def _native(node: "Anvil") -> None:
    address = [account.address for account in node.accounts]
    _step(node, "legacy", node.send(1, address[2], value=_ETHER, kind=0))
    _step(node, "access-list", node.send(1, address[3], value=2 * _ETHER, kind=1))
    _step(node, "dynamic-fee", node.send(2, address[4], value=123_456_789_012_345_678))
    _step(node, "no-value", node.send(2, address[4]))
    _step(node, "to-itself", node.send(3, address[3], value=5))
    _step(node, "to-zero", node.send(3, ZERO, value=11))
    _step(node, "to-fee-recipient", node.send(3, FEE_RECIPIENT, value=13))
    _step(node, "to-contract", node.send(3, node.contracts["Splitter"], value=17))
    _step(node, "reverted", node.invoke(4, "Failing", "fail", value=19))
    _step(node, "out-of-gas", node.invoke(4, "Failing", "exhaust", value=23, gas=100_000))
    code = node.contracts["Failing"]
    _step(node, "to-code-that-refuses", node.send(4, code, value=29))
    _step(node, "created-with-value", node.send(4, None, value=31, data=creation_code("Purse", False)))
    _step(node, "creation-failed", node.send(4, None, value=37, data=creation_code("Purse", True)))
    _step(node, "created-empty", node.send(4, None, value=41, data=b""))


def _internal(node: "Anvil") -> None:
    address = [account.address for account in node.accounts]
    fresh = ["0x" + f"{0xF00 + place:040x}" for place in range(4)]
    other = node.contracts["Other"]
    _step(node, "split", node.invoke(1, "Splitter", "split", [*fresh[:3], address[5]], value=10**15 + 3))
    _step(node, "split-through", node.invoke(1, "Splitter", "splitThrough", other, fresh, value=8 * 10**15))
    _step(node, "pay-and-fail", node.invoke(1, "Splitter", "payAndFail", fresh[0], value=10**15))
    inner = node.invoke(1, "Splitter", "tryPayAndFail", other, fresh[0], value=10**16)
    _step(node, "inner-failure", inner)
    _step(node, "create-with-value", node.invoke(1, "Splitter", "create", b"\x05" * 32, value=4 * 10**15))
    _step(node, "create-and-destroy", node.invoke(1, "Splitter", "createAndDestroy", fresh[1], value=10**14))
    _step(node, "create-and-burn", node.invoke(1, "Splitter", "createAndBurn", value=10**14 + 1))
    _step(node, "idle", node.invoke(1, "Splitter", "idle"))
    _step(node, "library", node.invoke(2, "Delegating", "payByLibrary", fresh[2], value=10**14))
    call = encode_split(fresh[:2])
    _step(node, "delegate-call", node.invoke(2, "Delegating", "delegate", call, value=2 * 10**14))
    _step(node, "call-code", node.invoke(2, "Delegating", "callCode", call, 10**13, value=2 * 10**14))
    _step(node, "destroy", node.invoke(2, "Purse", "destroy", fresh[3]))
    _step(node, "refill", node.send(2, node.contracts["Purse"], value=43))
    _step(node, "destroy-to-itself", node.invoke(2, "Purse", "destroy", node.contracts["Purse"]))


def encode_split(to: Sequence[str]) -> bytes:
    """Return the input of Splitter.split."""
    return encode_call("Splitter", "split", to)


def _tokens(node: "Anvil") -> None:
    address = [account.address for account in node.accounts]

    def step(name: str, sender: int, contract: str, function: str, *arguments: Any) -> None:
        _step(node, name, node.invoke(sender, contract, function, *arguments))

    step("mint", 0, "Coin", "mint", address[1], 10**12)
    step("transfer", 1, "Coin", "transfer", address[2], 250_000)
    step("transfer-nothing", 1, "Coin", "transfer", address[3], 0)
    step("approve", 1, "Coin", "approve", address[4], 10**6)
    step("transfer-from", 4, "Coin", "transferFrom", address[1], address[5], 10**5)
    step("forged-nothing", 6, "Coin", "transferFrom", address[1], address[6], 0)
    step("spread", 1, "Coin", "spread", address[2:9], 1_001)
    step("burn", 2, "Coin", "burn", 50_000)
    step("token-failed", 1, "Coin", "transferAndFail", address[2], 5)
    step("token-inner-failure", 1, "Coin", "tryTransferAndFail", address[2], 5)
    step("unindexed", 0, "OldToken", "transfer", address[7], 10**29)
    step("forged", 6, "Forger", "forge", address[1], address[6], 10**38 - 1)
    step("forged-too-large", 6, "Forger", "forge", address[1], address[6], 10**38)
    step("forged-largest", 6, "Forger", "forge", address[1], address[6], 2**256 - 1)
    step("lookalikes", 6, "Forger", "lookalikes", address[1], address[6])
    step("nft", 0, "Deed", "mint", address[1], 77)


def _tether(node: "Anvil") -> None:
    address = [account.address for account in node.accounts]

    def step(name: str, sender: int, function: str, *arguments: Any) -> None:
        _step(node, name, node.invoke(sender, "TetherLike", function, *arguments))

    step("issue", 0, "issue", 10**12)
    step("tether-transfer", 0, "transfer", address[1], 4 * 10**9)
    step("tether-params", 0, "setParams", 25)
    step("tether-fee", 1, "transfer", address[2], 10**9)
    step("redeem", 0, "redeem", 10**6)
    step("freeze", 0, "addBlackList", address[2])
    step("frozen-refused", 2, "transfer", address[3], 1)
    step("destroy-black-funds", 0, "destroyBlackFunds", address[2])
    step("release", 0, "removeBlackList", address[2])
    step("new-owner", 0, "transferOwnership", address[8])
    step("issue-to-new-owner", 8, "issue", 3 * 10**6)
    step("redeem-of-new-owner", 8, "redeem", 10**5)


def _wrapped(node: "Anvil") -> None:
    address = [account.address for account in node.accounts]
    _step(node, "deposit", node.invoke(3, "WrappedLike", "deposit", value=10**17))
    _step(node, "deposit-by-sending", node.send(4, node.contracts["WrappedLike"], value=10**16))
    _step(node, "wrapped-transfer", node.invoke(3, "WrappedLike", "transfer", address[5], 10**15))
    _step(node, "withdraw", node.invoke(5, "WrappedLike", "withdraw", 4 * 10**14))
    _step(node, "withdraw-too-much", node.invoke(5, "WrappedLike", "withdraw", 10**18))


def _fees(node: "Anvil") -> None:
    """Fees of every kind: no tip, a tip above the highest fee, code on an account, a paid miner."""
    address = [account.address for account in node.accounts]
    _step(node, "no-tip", node.send(5, address[6], value=1, tip=0))
    _step(node, "capped-tip", node.send(5, address[6], value=1, tip=20_000_000_000))
    splitter = {"chainId": CHAIN_ID, "address": node.contracts["Splitter"], "nonce": 0}
    allowed = node.accounts[10].sign_authorization(splitter)
    sent = node.send(5, address[6], value=3, kind=4, authorizationList=[allowed])
    _step(node, "code-on-account", sent)
    call = encode_split([address[6], address[7]])
    _step(node, "account-that-splits", node.send(5, address[10], value=10**12, data=call))
    node.call("anvil_setCoinbase", address[9])
    _step(node, "miner-pays", node.send(9, address[6], value=7))
    _step(node, "miner-is-paid", node.send(6, address[9], value=9))
    node.call("anvil_setCoinbase", FEE_RECIPIENT)


def _blob(node: "Anvil") -> None:
    """A transaction that also pays for a blob. The node and the signer both load a large table for it."""
    more: dict[str, Any] = {"blobs": [bytes(131_072)], "maxFeePerBlobGas": 10**10}
    _step(node, "blob", node.send(5, node.accounts[6].address, value=2, kind=3, **more))


def _crowded(node: "Anvil") -> None:
    """A block with forty transactions of several kinds, some of them failing."""
    address = [account.address for account in node.accounts]
    for place in range(10):
        node.send(1, address[2 + place], value=1_000 + place, gas=30_000)
        node.invoke(2, "Coin", "mint", address[place], place)
        node.invoke(3, "Splitter", "split", address[:4], value=4_001, gas=200_000)
        node.invoke(4, "Failing", "fail", value=1, gas=50_000)
    node.seal()
