"""Chains on real nodes for the benchmarks: full blocks on anvil, and blocks of Bitcoin Core's own engine."""

from pathlib import Path

from tests.nodes.anvil import Anvil
from tests.nodes.anvil_contracts import encode_call
from tests.nodes.regtest import RegtestNode

PER_BLOCK = 100


def fill_blocks(node: Anvil, blocks: int) -> None:
    """Mine blocks of 100 transactions: 60 payments, 30 of a token, 10 that pay three accounts inside."""
    node.deploy("Coin")
    node.deploy("Splitter")
    people = [account.address for account in node.accounts]
    node.call_many([("anvil_impersonateAccount", [person]) for person in people])
    coin, splitter = node.contracts["Coin"], node.contracts["Splitter"]
    for person in people:
        node.invoke(0, "Coin", "mint", person, 10**24)
    node.seal()
    for block in range(blocks):
        calls = []
        for number in range(PER_BLOCK):
            sender, payee = people[number % 8], people[(number + block) % len(people)]
            sent = {"from": sender, "gas": "0x7530", "to": payee, "value": hex(10**12 + number)}
            if number % 10 in (3, 6, 9):
                data = encode_call("Coin", "transfer", payee, 1000 + number)
                sent |= {"gas": "0x186a0", "to": coin, "value": "0x0", "data": "0x" + data.hex()}
            elif number % 10 == 5:
                data = encode_call("Splitter", "split", people[:3])
                sent |= {"gas": "0x30d40", "to": splitter, "value": "0x300", "data": "0x" + data.hex()}
            calls.append(("eth_sendTransaction", [sent]))
        node.call_many(calls)
        node.seal()


def save_blocks(node: RegtestNode, folder: Path, blocks: int) -> dict[str, Path]:
    """Mine blocks of many payments and keep them as Core answers them (getblock 3) and as bytes."""
    node.mine(blocks, payments=400)
    heights = range(node.height - blocks + 1, node.height + 1)
    hashes = [node.answer("getblockhash", [height]) for height in heights]
    import orjson

    paths = {name: folder / name for name in ("core", "bytes")}
    shown = [
        b"%d %s %s" % (height, digest.encode(), orjson.dumps(node.answer("getblock", [digest, 3])))
        for height, digest in zip(heights, hashes, strict=True)
    ]
    raw = [node.answer("getblock", [digest, 0]).encode() for digest in hashes]
    for name, lines in (("core", shown), ("bytes", raw)):
        paths[name].write_bytes(b"\n".join(lines))
    return paths
