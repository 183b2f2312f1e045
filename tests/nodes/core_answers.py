"""Blocks and transactions in the shape of Bitcoin Core's JSON-RPC answers.

Field for field after Core's documentation of getblock, getblockheader and getrawtransaction (version 29).
Amounts are written with exactly eight decimals, as Core does. The addresses are made with embit, not with the
code under test.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from embit import base58, bech32  # type: ignore[import-untyped]
from embit.descriptor.checksum import add_checksum  # type: ignore[import-untyped]

from tests.nodes.kernel import BITS, Coin, KernelBlock, KernelChain, hash256

_HRP, _KEY_VERSION, _SCRIPT_VERSION = "bcrt", b"\x6f", b"\xc4"
_TARGET = (BITS & 0xFFFFFF) << 8 * ((BITS >> 24) - 3)
_WORK = 2**256 // (_TARGET + 1)
DIFFICULTY = (0xFFFF << 208) / _TARGET
_NAMED_OPS = {
    0x4F: "-1", 0x61: "OP_NOP", 0x6A: "OP_RETURN", 0x75: "OP_DROP", 0x76: "OP_DUP", 0x87: "OP_EQUAL",
    0x88: "OP_EQUALVERIFY", 0xA9: "OP_HASH160", 0xAC: "OP_CHECKSIG", 0xAE: "OP_CHECKMULTISIG",
}  # fmt: skip


def amount(sat: int) -> orjson.Fragment:
    """Return satoshi as Core writes them: whole coins with eight decimals."""
    return orjson.Fragment(f"{sat // 10**8}.{sat % 10**8:08d}".encode())


@cache
def describe_script(script: bytes) -> dict[str, str]:
    """Return `scriptPubKey` of an output: asm, desc, hex, address where it has one, and type."""
    kind, address, descriptor = _classify(script)
    shown = {"asm": disassemble(script), "desc": add_checksum(descriptor), "hex": script.hex()}
    return shown | ({"address": address} if address else {}) | {"type": kind}


def _classify(script: bytes) -> tuple[str, str, str]:
    """Type, address ('' for none) and descriptor without its checksum."""
    kind, address = _destination(script)
    if kind == "witness_v1_taproot":
        return kind, address, f"rawtr({script[2:].hex()})"
    if address:
        return kind, address, f"addr({address})"
    if len(script) in (35, 67) and script[0] == len(script) - 2 and script[-1] == 0xAC:
        return "pubkey", "", f"pk({script[1:-1].hex()})"
    keys = _multisig_keys(script)
    if keys:
        return "multisig", "", f"multi({script[0] - 0x50},{','.join(keys)})"
    return ("nulldata" if script[:1] == b"\x6a" else "nonstandard"), "", f"raw({script.hex()})"


def _destination(script: bytes) -> tuple[str, str]:
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return "pubkeyhash", base58.encode_check(_KEY_VERSION + script[3:23])
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return "scripthash", base58.encode_check(_SCRIPT_VERSION + script[2:22])
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return "", ""
    if script[0] != 0 and not 0x51 <= script[0] <= 0x60:
        return "", ""
    version = script[0] - 0x50 if script[0] else 0
    kinds = {
        (0, 20): "witness_v0_keyhash",
        (0, 32): "witness_v0_scripthash",
        (1, 32): "witness_v1_taproot",
    }
    kind = kinds.get((version, len(script) - 2), "witness_unknown")
    if script == bytes.fromhex("51024e73"):
        kind = "anchor"
    if version == 0 and kind == "witness_unknown":
        return "", ""
    return kind, bech32.encode(_HRP, version, list(script[2:]))


def _multisig_keys(script: bytes) -> list[str]:
    if len(script) < 3 or script[-1] != 0xAE or not 0x51 <= script[-2] <= 0x60:
        return []
    keys, place = [], 1
    while place < len(script) - 2:
        keys.append(script[place + 1 : place + 1 + script[place]].hex())
        place += 1 + script[place]
    return keys if len(keys) == script[-2] - 0x50 else []


def disassemble(script: bytes) -> str:
    """Return a script in words, pushes of up to four bytes as numbers."""
    words: list[str] = []
    place = 0
    while place < len(script):
        code = script[place]
        place += 1
        if 1 <= code <= 0x4C:
            size = code if code < 0x4C else int.from_bytes(script[place : place + 1], "little")
            place += code == 0x4C
            data = script[place : place + size]
            place += size
            if len(data) < size:
                return " ".join([*words, "[error]"])
            words.append(str(_number(data)) if size <= 4 else data.hex())
        elif 0x51 <= code <= 0x60:
            words.append(str(code - 0x50))
        else:
            words.append("0" if code == 0 else _NAMED_OPS.get(code, "OP_UNKNOWN"))
    return " ".join(words)


def _number(data: bytes) -> int:
    value = int.from_bytes(data, "little")
    sign = 1 << (8 * len(data) - 1) if data else 0
    return -(value ^ sign) if value & sign else value


def show_transaction(
    block: KernelBlock, place: int, spent: Sequence[Coin] | None, *, prevouts: bool
) -> dict[str, Any]:
    """Return a transaction of a block as in getblock; `spent` gives its fee and, if wanted, its prevouts."""
    transaction = block.transactions[place]
    raw = transaction.serialize()
    size = len(raw)
    witness = sum(len(inp.witness.serialize()) for inp in transaction.vin) + 2 if transaction.is_segwit else 0
    weight = 4 * (size - witness) + witness
    shown = {
        "txid": block.txids[place].hex(),
        "hash": hash256(raw)[::-1].hex(),
        "version": transaction.version,
        "size": size,
        "vsize": (weight + 3) // 4,
        "weight": weight,
        "locktime": transaction.locktime,
        "vin": [
            _show_input(inp, spent[index] if spent and prevouts else None, generated=place == 0)
            for index, inp in enumerate(transaction.vin)
        ],
        "vout": [
            {"value": amount(out.value), "n": n, "scriptPubKey": describe_script(out.script_pubkey.data)}
            for n, out in enumerate(transaction.vout)
        ],
    }
    if spent:
        paid = sum(out.value for out in transaction.vout)
        shown["fee"] = amount(sum(coin.amount_sat for coin in spent) - paid)
    return shown | {"hex": raw.hex()}


def _show_input(inp: Any, coin: Coin | None, *, generated: bool) -> dict[str, Any]:
    witness = {"txinwitness": [item.hex() for item in inp.witness.items]} if inp.witness.items else {}
    script = inp.script_sig.data
    if generated:
        return {"coinbase": script.hex()} | witness | {"sequence": inp.sequence}
    shown: dict[str, Any] = {
        "txid": inp.txid.hex(),
        "vout": inp.vout,
        "scriptSig": {"asm": disassemble(script), "hex": script.hex()},
    }
    shown |= witness
    if coin is not None:
        shown["prevout"] = {
            "generated": coin.generated,
            "height": coin.height,
            "value": amount(coin.amount_sat),
            "scriptPubKey": describe_script(coin.script),
        }
    return shown | {"sequence": inp.sequence}


def show_header(chain: KernelChain, block: KernelBlock) -> dict[str, Any]:
    """Return a block's header as in getblockheader. Confirmations are -1 off the active branch."""
    raw = block.raw
    active = chain.is_active(block)
    following = chain.hash_at(block.height + 1) if active else None
    version = int.from_bytes(raw[0:4], "little")
    shown: dict[str, Any] = {
        "hash": block.hash.hex(),
        "confirmations": chain.height - block.height + 1 if active else -1,
        "height": block.height,
        "version": version,
        "versionHex": f"{version:08x}",
        "merkleroot": raw[36:68][::-1].hex(),
        "time": block.time,
        "mediantime": _median_time(chain, block),
        "nonce": int.from_bytes(raw[76:80], "little"),
        "bits": f"{int.from_bytes(raw[72:76], 'little'):08x}",
        "target": f"{_TARGET:064x}",
        "difficulty": DIFFICULTY,
        "chainwork": f"{_WORK * (block.height + 1):064x}",
        "nTx": len(block.transactions),
    }
    if block.height:
        shown["previousblockhash"] = block.parent.hex()
    return shown | ({"nextblockhash": following.hex()} if following else {})


def _median_time(chain: KernelChain, block: KernelBlock) -> int:
    times: list[int] = []
    current = block
    while len(times) < 11:
        times.append(current.time)
        older = chain.block(current.parent)
        if older is None:
            break
        current = older
    return sorted(times)[len(times) // 2]


def show_block(chain: KernelChain, block: KernelBlock, transactions: Any) -> dict[str, Any]:
    """Return getblock from verbosity 1 on; `transactions` is its `tx` member."""
    size = len(block.raw)
    witness = sum(
        sum(len(inp.witness.serialize()) for inp in transaction.vin) + 2
        for transaction in block.transactions
        if transaction.is_segwit
    )
    sizes = {"strippedsize": size - witness, "size": size, "weight": 4 * (size - witness) + witness}
    return show_header(chain, block) | sizes | {"tx": transactions}


def show_transactions(chain: KernelChain, block: KernelBlock, verbosity: int) -> list[Any]:
    """Return a block's transactions as getblock shows them at a verbosity: ids, or objects."""
    if verbosity == 1:
        return [txid.hex() for txid in block.txids]
    spent = chain.spent_coins(block)
    by_place = [None, *spent] if spent is not None else [None] * len(block.transactions)
    return [
        show_transaction(block, place, coins, prevouts=verbosity > 2) for place, coins in enumerate(by_place)
    ]
