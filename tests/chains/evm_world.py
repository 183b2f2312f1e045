"""A chain for the tests of EVM decoding: one block for each kind of movement, by bytecode written here.

The contracts are written in assembler, so that each does one thing that a compiler would not: a log of any
topics and data, a call in a frame that fails, a destruction in favour of itself.
    python -m tests.chains.evm_world      records the nodes' answers into tests/golden/evm
"""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chains.evm.tokens import TRANSFER, event_topic
from chains.ledger import LegBatch
from tests.nodes.anvil import Anvil, run_anvil

GOLDEN = Path(__file__).parents[1] / "golden" / "evm"
BEFORE_LONDON = ("byzantium", "istanbul")
HARD_FORKS = (*BEFORE_LONDON, "london", "shanghai", "cancun", "prague")
MINER = "0x" + "c0" * 20
OWNER = "0x" + "0a11ce".zfill(40)
LATE = 1_750_000_000

_CODES = {
    "STOP": 0x00, "SUB": 0x03, "EQ": 0x14, "BYTE": 0x1A, "ADDRESS": 0x30, "CALLDATALOAD": 0x35,
    "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37, "CODECOPY": 0x39, "POP": 0x50, "MSTORE": 0x52, "JUMP": 0x56,
    "JUMPI": 0x57, "GAS": 0x5A, "JUMPDEST": 0x5B, "DUP1": 0x80, "LOG": 0xA0, "CREATE": 0xF0, "CALL": 0xF1,
    "CALLCODE": 0xF2, "RETURN": 0xF3, "DELEGATECALL": 0xF4, "CREATE2": 0xF5, "STATICCALL": 0xFA,
    "REVERT": 0xFD, "INVALID": 0xFE, "SELFDESTRUCT": 0xFF,
}  # fmt: skip


def assemble(*words: int | str | bytes) -> bytes:
    """Bytecode of operations by name, numbers and bytes to push, `:label` to stand at, `@label` to push."""
    code, places, labels = b"", {}, {}
    for word in words:
        if isinstance(word, int):
            data = word.to_bytes(max(1, (word.bit_length() + 7) // 8), "big")
            code += bytes([0x5F + len(data)]) + data
        elif isinstance(word, bytes):
            code += bytes([0x5F + len(word)]) + word
        elif word.startswith(":"):
            labels[word[1:]] = len(code)
            code += bytes([_CODES["JUMPDEST"]])
        elif word.startswith("@"):
            places[len(code) + 1] = word[1:]
            code += b"\x61\0\0"
        else:
            code += bytes([_CODES[word.rstrip("01234")] + (int(word[3:]) if word.startswith("LOG") else 0)])
    for place, label in places.items():
        code = code[:place] + labels[label].to_bytes(2, "big") + code[place + 2 :]
    return code


def address(number: int) -> bytes:
    return number.to_bytes(20, "big")


def call(to: bytes, value: int = 0, how: str = "CALL", gas: int = 0xFFFF) -> bytes:
    """Bytecode of a call without data, whose outcome is not looked at."""
    money: tuple[int, ...] = (value,) if how in ("CALL", "CALLCODE") else ()
    return assemble(0, 0, 0, 0, *money, to, gas, how, "POP")


def creation(runtime: bytes) -> bytes:
    """Code that creates a contract of this code."""
    size = len(runtime).to_bytes(2, "big")
    return assemble(size, b"\0\x0f", 0, "CODECOPY", size, 0, "RETURN") + runtime


def create(child: bytes, value: int, salt: int | None = None) -> bytes:
    """Bytecode that runs a creation code of at most 32 bytes with some value."""
    extra: tuple[int, ...] = () if salt is None else (salt,)
    store = assemble(child.ljust(32, b"\0"), 0, "MSTORE")
    return store + assemble(*extra, len(child), 0, value, "CREATE" if salt is None else "CREATE2")


def emitter() -> bytes:
    """A contract that emits what its call data say (a count, topics, data), and names an owner if asked."""
    words: list[int | str | bytes] = [4, "CALLDATASIZE", "EQ", "@owner", "JUMPI"]
    for count in range(5):
        words += [0, "CALLDATALOAD", 0, "BYTE", count, "EQ", f"@log{count}", "JUMPI"]
    words += ["STOP", ":owner", bytes.fromhex(OWNER[2:]), 0, "MSTORE", 32, 0, "RETURN"]
    for count in range(5):
        start = 1 + 32 * count
        size: list[int | str | bytes] = [start, "CALLDATASIZE", "SUB"]
        words += [f":log{count}", *size, start, 0, "CALLDATACOPY"]
        for topic in reversed(range(count)):
            words += [1 + 32 * topic, "CALLDATALOAD"]
        words += [*size, 0, f"LOG{count}", "STOP"]
    return assemble(*words)


def word(value: int | str) -> str:
    """Hexadecimal digits of 32 bytes: of a number, or of an address in text."""
    return value.removeprefix("0x").zfill(64) if isinstance(value, str) else f"{value:064x}"


class World:
    """A node under construction: contracts by name, and the height of each named block."""

    def __init__(self, node: Anvil, fork: str) -> None:
        self.node, self.fork = node, fork
        self.names: dict[str, str] = {MINER: "miner", OWNER: "owner"}
        for number, name in ((0xAA, "payer"), (0xBB, "payee"), (0x5E12ED, "seized")):
            self.names["0x" + address(number).hex()] = name
        self.heights: dict[str, int] = {}
        for number, account in enumerate(node.accounts):
            self.names[account.address.lower()] = f"sender{number}"
        for number in range(1, 10):
            self.names["0x" + address(0xBEEF00 + number).hex()] = f"payee{number}"
        for number in range(1, 5):
            self.names["0x" + address(number).hex()] = f"precompiled{number}"

    def name(self, name: str) -> bytes:
        return bytes.fromhex(next(a for a, found in self.names.items() if found == name)[2:])

    def deploy(self, name: str, runtime: bytes, value: int = 0) -> bytes:
        kind = 0 if self.fork in BEFORE_LONDON else 2
        sent = self.node.send(0, None, data=creation(runtime), value=value, kind=kind)
        self.node.seal()
        created = self.node.call("eth_getTransactionReceipt", sent)["contractAddress"]
        self.names[created] = name
        return bytes.fromhex(created[2:])

    def send(
        self, to: bytes | None, value: int = 0, data: bytes = b"", *, sender: int = 0, **more: Any
    ) -> None:
        if self.fork in BEFORE_LONDON:
            more = {**more, "kind": 0}
        where = "0x" + to.hex() if to is not None else None
        self.node.send(sender, where, value=value, data=data, **more)

    def emit(self, contract: bytes, *topics: str, data: str = "", sender: int = 0) -> None:
        text = f"{len(topics):02x}" + "".join(topic.removeprefix("0x") for topic in topics) + data
        self.send(contract, data=bytes.fromhex(text), sender=sender)

    def seal(self, name: str) -> None:
        self.node.seal()
        self.heights[name] = self.node.height


def build_world(node: Anvil, fork: str, *, tokens: bool = True) -> World:
    """Make one block for each kind of movement; without `tokens` only for those of the chain's coin."""
    world = World(node, fork)
    node.call("anvil_setCoinbase", MINER)
    for build in (_native, _internal, _destroyed, *((_transfers, _profiles) if tokens else ()), _fees):
        build(world)
    node.seal(2)
    return world


def _payee(number: int) -> bytes:
    return address(0xBEEF00 + number)


def _native(world: World) -> None:
    failing = world.deploy("failing", assemble(0, 0, "REVERT"))
    world.send(_payee(1), 1001)
    world.send(_payee(1), 0)  # moves nothing
    world.send(world.name("sender0"), 1002)  # to itself
    world.send(None, 1003, creation(assemble("STOP")))  # a new contract with value
    world.send(None, 1004, assemble(0, 0, "REVERT"))  # a creation that fails
    world.send(failing, 1005)  # fails: only its fee moves
    world.send(failing, 1006, gas=21_000)  # out of gas at once
    world.send(_payee(2), 1007, sender=1, tip=0)
    world.seal("native")


def _internal(world: World) -> None:
    reverting = world.deploy("reverting", call(_payee(1), 5) + assemble(0, 0, "REVERT"), 100)
    halting = world.deploy("halting", call(_payee(1), 5) + assemble("INVALID"), 100)
    inner = world.deploy("inner", call(_payee(2), 21) + call(_payee(3), 22), 100)
    creating = world.deploy(
        "creating",
        create(assemble(_payee(4), "SELFDESTRUCT"), 11)
        + assemble("POP")
        + create(assemble("STOP"), 12, salt=7)
        + assemble("POP")
        + create(assemble(0, 0, "REVERT"), 13)
        + assemble("POP"),
        1000,
    )
    main = world.deploy(
        "main",
        call(reverting, 3)  # comes back, and so does what it paid
        + call(halting, 4)
        + call(inner, 6)
        + call(address(4), 9)  # precompiled contracts keep what they get
        + call(address(1), 0)
        + call(address(2), 0, "STATICCALL")
        + call(_payee(5), 7, "CALLCODE")  # moves nothing
        + call(inner, 0, "DELEGATECALL")  # pays from main
        + call(creating, 0, gas=0xFFFFF)
        + call(_payee(6), 10**30)  # more than it has
        + call(_payee(6), 0)
        + call(_payee(6), 8),
        1000,
    )
    failing = world.deploy("payer_that_fails", call(_payee(7), 1) + assemble(0, 0, "REVERT"), 50)
    deep = world.deploy("deep", assemble(0, 0, 0, 0, 1, "ADDRESS", "GAS", "CALL", "POP"), 50)
    world.send(main, 1)
    world.send(failing, 2)  # nothing inside a failed transaction moves
    world.send(deep, gas=80_000)
    world.seal("internal")


def _destroyed(world: World) -> None:
    to_other = world.deploy("to_other", assemble(_payee(1), "SELFDESTRUCT"), 1000)
    to_itself = world.deploy("to_itself", assemble("ADDRESS", "SELFDESTRUCT"), 1000)
    lent = world.deploy("lent", call(to_other, 0, "DELEGATECALL") + call(_payee(2), 1), 50)
    twice = world.deploy("twice", call(to_other) + call(to_other, 30) + call(to_other, 0), 100)
    repeated = world.deploy("repeated", call(_payee(3), 5) + assemble("ADDRESS", "SELFDESTRUCT"), 100)
    true_pair = world.deploy("true_pair", call(_payee(4), 50) + assemble(_payee(4), "SELFDESTRUCT"), 100)
    in_itself = world.deploy(
        "in_itself",
        assemble(0, 0, 0, 0, 3)
        + create(assemble("ADDRESS", "SELFDESTRUCT"), 11)
        + assemble(0xFFFF, "CALL", "POP"),  # and three more for what was just destroyed
        100,
    )
    undone = world.deploy("undone", call(to_itself) + assemble(0, 0, "REVERT"), 0)
    for contract, value in (
        (lent, 2),
        (twice, 1),
        (repeated, 1),
        (true_pair, 0),
        (in_itself, 0),
        (undone, 0),
    ):
        world.send(contract, value)
    world.send(to_other, 19)
    world.send(to_itself, 21)
    world.send(None, 17, assemble(_payee(5), "SELFDESTRUCT"))
    world.send(None, 18, assemble("ADDRESS", "SELFDESTRUCT"))
    world.seal("destroyed")


def _transfers(world: World) -> None:
    token = world.deploy("token", emitter())
    payer, payee = word("0xaa"), word("0xbb")
    approval = event_topic("Approval(address,address,uint256)")
    world.emit(token, TRANSFER, payer, payee, data=word(7))
    world.emit(token, TRANSFER, data=payer + payee + word(8))  # nothing indexed
    world.emit(token, TRANSFER, word(0), payee, data=word(9))  # mint
    world.emit(token, TRANSFER, payer, word(0), data=word(10))  # burn
    world.emit(token, TRANSFER, word("0x5e12ed"), payee, data=word(0))  # a forged payer, who paid nothing
    world.emit(token, TRANSFER, payer, payee, data=word(10**38 - 1))
    world.emit(token, TRANSFER, payer, payee, data=word(10**38))  # set aside
    for topics, data in (
        ((approval, payer, payee), word(11)),
        ((TRANSFER, payer, payee, word(12)), ""),  # a transfer of an NFT
        ((TRANSFER, payer, payee), word(13)[:62]),  # 31 bytes
        ((TRANSFER, payer, payee), word(13) + "00"),
        ((TRANSFER, payer, payee), ""),
        ((TRANSFER, payer), payee + word(14)),  # one party indexed: of no token's form
        ((TRANSFER,), word(15)),  # an anonymous event may have any first topic
        ((TRANSFER,), payer + payee),
        ((), payer + payee + word(16)),
        ((TRANSFER, "ff" + payer[2:], payee), word(17)),  # a word that is more than an address
        ((TRANSFER, word(0), word(0)), word(18)),
        ((event_topic("Transfer(address,address,uint256,bytes)"), payer, payee), word(19)),
    ):
        world.emit(token, *topics, data=data)
    world.seal("transfers")


def _profiles(world: World) -> None:
    account, amount = word("0xaa"), word(70)
    for name in ("tether", "weth", "circle", "tether_blocks", "undeclared"):
        contract = world.deploy(name, emitter())
        for signature in (
            "Issue(uint256)", "Redeem(uint256)", "DestroyedBlackFunds(address,uint256)",
            "AddedBlackList(address)", "RemovedBlackList(address)", "BlockPlaced(address)",
            "BlockReleased(address)", "Deposit(address,uint256)", "Withdrawal(address,uint256)",
            "Blacklisted(address)", "UnBlacklisted(address)", "Deprecate(address)", "Mint(address,uint256)",
        ):  # fmt: skip
            kinds = signature[signature.index("(") + 1 : -1].split(",")
            words = [account if kind == "address" else amount for kind in kinds]
            world.emit(contract, event_topic(signature), data="".join(words))
            if kinds[0] == "address":
                world.emit(contract, event_topic(signature), words[0], data="".join(words[1:]))
        world.emit(contract, event_topic("Issue(uint256)"), data=amount + amount)
        world.emit(contract, event_topic("Deposit(address,uint256)"), account, data="")
        world.emit(contract, TRANSFER, account, word("0xbb"), data=word(71))
        world.seal(name)


def _fees(world: World) -> None:
    world.send(_payee(1), 1, kind=0)
    world.send(_payee(1), 2, kind=1)
    world.send(_payee(1), 3, tip=0)
    world.send(_payee(1), 4, tip=3)
    world.send(world.name("miner"), 5)
    world.seal("fees")


def show_legs(batch: LegBatch, names: Mapping[str, str]) -> list[str]:
    """A line for each transfer, freeze and rejected row, with accounts and contracts by their names."""

    def known(text: str) -> str:
        return names.get(text.removeprefix("erc20:"), text)

    sides: dict[int, list[str]] = {}
    for leg in batch.legs.to_pylist():
        sign = "-" if leg["side"] == "payer" else "+"
        sides.setdefault(leg["transfer"], []).append(f"{known(leg['account'])} {sign}{leg['amount']}")
    lines = []
    for row in batch.transfers.to_pylist():
        asset = "" if row["asset"].startswith("slip44:") else f" {known(row['asset'])}"
        legs = ", ".join(sides.get(row["transfer"], []))
        lines.append(f"{row['position']} {row['kind']} {row['part']}{asset}: {legs}")
    for row in batch.freezes.to_pylist():
        act = "frozen" if row["frozen"] else "released"
        lines.append(f"{row['position']} {act} {row['part']} {known(row['asset'])}: {known(row['account'])}")
    lines += [f"{row['row']} rejected: {row['reason']}" for row in batch.rejected.to_pylist()]
    return lines


def record(world: World, name: str) -> dict[str, Any]:
    """What the node answers about one named block."""
    call_node: Callable[..., Any] = world.node.call
    block = call_node("eth_getBlockByNumber", hex(world.heights[name]), True)
    answers = {
        "names": world.names,
        "block": block,
        "receipts": call_node("eth_getBlockReceipts", block["hash"]),
        "trace_block": call_node("trace_block", block["number"]),
        "callTracer": call_node("debug_traceBlockByHash", block["hash"], {"tracer": "callTracer"}),
    }
    for part in (answers["block"], *answers["receipts"]):
        part["logsBloom"] = "0x"  # long, and never read
    return answers


def main() -> None:
    """Record the nodes' answers."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for fork, names in (("prague", None), ("shanghai", ("destroyed",))):
        with run_anvil(history=False, arguments=("--hardfork", fork)) as node:
            world = build_world(node, fork)
            for name in names or world.heights:
                text = json.dumps(record(world, name), indent=None, separators=(",", ":"), sort_keys=True)
                path = GOLDEN / f"{name}_{fork}.json.gz"
                path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
