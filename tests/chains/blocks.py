"""Invented blocks in the shape of Bitcoin Core's `getblock` with verbosity 3, with hashes that hold.

Transactions are written and hashed by embit, not by the code under test. Blocks have regtest's target, so
that a nonce is found at once.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from embit.script import Script  # type: ignore[import-untyped]
from embit.transaction import (  # type: ignore[import-untyped]
    Transaction,
    TransactionInput,
    TransactionOutput,
)

from chains.assets import native_asset
from chains.bitcoin.blocks import decode_block
from chains.ledger import Asset, LegBatch
from chains.registry import Chain, find_chain

REGTEST = find_chain("bitcoin-regtest")
COIN = 100_000_000
BITS = "207fffff"
TIME = 1_700_000_000


@dataclass(frozen=True)
class Out:
    """An output: satoshi and script."""

    value_sat: int
    script: str


@dataclass(frozen=True)
class Spend:
    """An input with the output that it spends."""

    txid: str
    vout: int
    out: Out
    script_sig: str = ""
    height: int = 1
    generated: bool = False
    sequence: int = 0xFFFFFFFD


@dataclass(frozen=True)
class Tx:
    """A transaction; without `spends` it is a coinbase with the script `coinbase`."""

    outs: Sequence[Out]
    spends: Sequence[Spend] = ()
    coinbase: str = "0101"
    version: int = 2
    locktime: int = 0
    more: dict[str, Any] = field(default_factory=dict)  # further fields of the answer


def script_of(name: str, kind: str = "0014") -> str:
    """A script of an invented key: P2WPKH, or the form that `kind` starts."""
    digest = sha256(name.encode()).hexdigest()
    tails = {"0014": digest[:40], "76a914": digest[:40] + "88ac", "a914": digest[:40] + "87"}
    return kind + tails.get(kind, digest)


def show_amount(value_sat: int) -> orjson.Fragment:
    """Satoshi as Core writes them."""
    return orjson.Fragment(f"{value_sat // 10**8}.{value_sat % 10**8:08d}")


def show_tx(tx: Tx) -> dict[str, Any]:
    """A transaction of a block as Core writes it."""
    spends = tx.spends or [Spend("00" * 32, 0xFFFFFFFF, Out(0, ""), tx.coinbase, sequence=0xFFFFFFFF)]
    written = Transaction(
        tx.version & 0xFFFFFFFF,
        [
            TransactionInput(bytes.fromhex(s.txid), s.vout, Script(bytes.fromhex(s.script_sig)), s.sequence)
            for s in spends
        ],
        [TransactionOutput(out.value_sat, Script(bytes.fromhex(out.script))) for out in tx.outs],
        tx.locktime,
    )
    vin: list[dict[str, Any]] = [
        {
            "txid": s.txid,
            "vout": s.vout,
            "scriptSig": {"asm": "", "hex": s.script_sig},
            "prevout": {
                "generated": s.generated,
                "height": s.height,
                "value": show_amount(s.out.value_sat),
                "scriptPubKey": {"asm": "", "hex": s.out.script, "type": "nonstandard"},
            },
            "sequence": s.sequence,
        }
        for s in spends
    ]
    if not tx.spends:
        vin = [{"coinbase": tx.coinbase, "txinwitness": ["00" * 32], "sequence": 0xFFFFFFFF}]
    vout = [
        {"value": show_amount(o.value_sat), "n": n, "scriptPubKey": {"asm": "", "hex": o.script}}
        for n, o in enumerate(tx.outs)
    ]
    head = {"txid": written.txid().hex(), "version": tx.version, "locktime": tx.locktime}
    return head | {"vin": vin, "vout": vout} | tx.more


def show_block(txs: Sequence[Tx], *, height: int = 200, parent: str = "11" * 32, bits: str = BITS) -> bytes:
    """A block as Core writes it, in JSON; for other `bits` than regtest's no work is done."""
    shown = [show_tx(tx) for tx in txs]
    level = [bytes.fromhex(tx["txid"])[::-1] for tx in shown]
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        level = [_hash256(one + two) for one, two in zip(level[::2], level[1::2], strict=True)]
    nonce = 0
    while True:
        header = struct.pack("<i32s32sI4sI", 0x20000000, bytes.fromhex(parent)[::-1], level[0], TIME,
                             bytes.fromhex(bits)[::-1], nonce)  # fmt: skip
        digest = _hash256(header)[::-1]
        if digest[0] < 0x7F or bits != BITS:
            break
        nonce += 1
    block = {"hash": digest.hex(), "confirmations": 1, "height": height, "version": 0x20000000,
             "merkleroot": level[0][::-1].hex(), "time": TIME, "nonce": nonce, "bits": bits,
             "difficulty": 4.656542373906925e-10, "nTx": len(shown), "tx": shown}  # fmt: skip
    if height:
        block["previousblockhash"] = parent
    return orjson.dumps(block)


def coin_of(chain: Chain) -> Asset:
    asset = native_asset(chain)
    assert asset is not None
    return asset


def read(block: Any, chain: Chain = REGTEST) -> LegBatch:
    return decode_block(
        block, chain, coin_of(chain), height=block["height"], block_hash=bytes.fromhex(block["hash"])
    )


def read_lines(batch: LegBatch) -> list[list[str]]:
    """Each leg with what its transfer says, as the golden files write it."""
    transfers = {row["transfer"]: row for row in batch.transfers.to_pylist()}
    lines = []
    for leg in batch.legs.to_pylist():
        row = transfers[leg["transfer"]]
        spent = f"{leg['spent_hash'].hex()}:{leg['spent_index']}" if leg["spent_hash"] else ""
        cells = (row["height"], row["position"], row["hash"].hex(), row["kind"], leg["side"], leg["index"],
                 leg["account"], leg["amount"], spent)  # fmt: skip
        lines.append([str(cell) for cell in cells])
    return lines


def spend(name: str, value_sat: int, place: int = 0) -> Spend:
    return Spend(f"{place:02x}" * 32, place, Out(value_sat, script_of(name)))


def small_block() -> bytes:
    """A coinbase with its witness commitment, a payment with a fee, one of two inputs with a note."""
    return show_block(
        [
            Tx([Out(50 * COIN + 300, script_of("miner")), Out(0, "6a24aa21a9ed" + "00" * 32)]),
            Tx([Out(7 * COIN, script_of("b")), Out(3 * COIN - 100, script_of("a"))], [spend("a", 10 * COIN)]),
            Tx(
                [Out(0, "6a0568656c6c6f"), Out(123, script_of("c", "76a914"))],
                [spend("b", 1, 1), Spend("02" * 32, 2, Out(322, script_of("d", "a914")), "0151")],
                version=1,
                locktime=500_000_000,
            ),
        ]
    )


def _hash256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()
