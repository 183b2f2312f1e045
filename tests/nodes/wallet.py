"""Keys of every script kind, and signed transactions: the same number always gives the same key and script.

`Wallet.script(kind, number)` returns a script that the wallet can spend; `Wallet.pay` signs for any mixture
of them. Fees are what the outputs leave.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from embit import ec, script  # type: ignore[import-untyped]
from embit.transaction import (  # type: ignore[import-untyped]
    SIGHASH,
    Transaction,
    TransactionInput,
    TransactionOutput,
)

from tests.nodes.kernel import Coin, push

KINDS = (
    "p2pk",
    "p2pk-long",
    "p2pkh",
    "p2sh-multisig",
    "p2sh-p2wpkh",
    "p2wpkh",
    "p2wsh-multisig",
    "p2tr",
    "multisig",
    "p2a",
    "witness-v2",
    "nonstandard",
)
"""Kinds that can be spent. `p2pk-long` has an uncompressed key; the last three need no signature."""

OPEN_SCRIPTS = {
    "p2a": bytes.fromhex("51024e73"),
    "witness-v2": b"\x52\x20" + hashlib.sha256(b"witness version 2").digest(),
    "nonstandard": b"\x51\x75\x51",  # OP_1 OP_DROP OP_1
}
ANNOUNCED = b"\x6a" + push(b"a note that nobody can spend")


class Wallet:
    """Keys made from numbers, and the scripts handed out so far."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, int]] = {}

    def script(self, kind: str, number: int = 0) -> bytes:
        """Return the output script of a kind for the key of a number."""
        made = self._make(kind, number)
        self._known[made] = (kind, number)
        return made

    def owns(self, coin: Coin) -> bool:
        """Whether the wallet handed the coin's script out."""
        return coin.script in self._known

    def pay(self, coins: Sequence[Coin], outputs: Sequence[tuple[bytes, int]]) -> Any:
        """Return a signed transaction (embit's) that spends `coins` in order into (script, satoshi) pairs."""
        transaction = Transaction(
            version=2,
            vin=[TransactionInput(coin.txid, coin.index) for coin in coins],
            vout=[TransactionOutput(sat, script.Script(lock)) for lock, sat in outputs],
        )
        for place, coin in enumerate(coins):
            self._sign(transaction, place, coin, coins)
        return transaction

    def _make(self, kind: str, number: int) -> bytes:
        if kind in OPEN_SCRIPTS:
            return OPEN_SCRIPTS[kind]
        key = _key(number)
        if kind in ("p2pk", "p2pk-long"):
            public = _key(number, compressed=kind == "p2pk").get_public_key().sec()
            return push(public) + b"\xac"
        made = {
            "p2pkh": lambda: script.p2pkh(key),
            "p2sh-multisig": lambda: script.p2sh(_multisig(number)),
            "p2sh-p2wpkh": lambda: script.p2sh(script.p2wpkh(key)),
            "p2wpkh": lambda: script.p2wpkh(key),
            "p2wsh-multisig": lambda: script.p2wsh(_multisig(number)),
            "p2tr": lambda: script.p2tr(key),
            "multisig": lambda: _multisig(number),
        }[kind]()
        return bytes(made.data)

    def _sign(self, transaction: Any, place: int, coin: Coin, coins: Sequence[Coin]) -> None:
        kind, number = self._known[coin.script]
        if kind in OPEN_SCRIPTS:
            return
        spending = transaction.vin[place]
        key = _key(number, compressed=kind != "p2pk-long")
        if kind == "p2tr":
            scripts = [script.Script(each.script) for each in coins]
            values = [each.amount_sat for each in coins]
            digest = transaction.sighash_taproot(place, scripts, values, SIGHASH.DEFAULT)
            signature = key.taproot_tweak().schnorr_sign(digest).serialize()
            spending.witness = script.Witness([signature])
        elif kind in ("p2wpkh", "p2sh-p2wpkh"):
            code = script.p2pkh_from_p2wpkh(script.p2wpkh(key))
            digest = transaction.sighash_segwit(place, code, coin.amount_sat)
            spending.witness = script.Witness([_ecdsa(key, digest), key.sec()])
            if kind == "p2sh-p2wpkh":
                spending.script_sig = script.Script(push(script.p2wpkh(key).data))
        elif kind == "p2wsh-multisig":
            code = _multisig(number)
            digest = transaction.sighash_segwit(place, code, coin.amount_sat)
            spending.witness = script.Witness([b"", *_two_signatures(number, digest), code.data])
        elif kind in ("multisig", "p2sh-multisig"):
            code = _multisig(number)
            digest = transaction.sighash_legacy(place, code)
            pushes = b"\x00" + b"".join(push(signature) for signature in _two_signatures(number, digest))
            spending.script_sig = script.Script(pushes + (push(code.data) if kind != "multisig" else b""))
        else:
            digest = transaction.sighash_legacy(place, script.Script(coin.script))
            public = push(key.sec()) if kind == "p2pkh" else b""
            spending.script_sig = script.Script(push(_ecdsa(key, digest)) + public)
        transaction.clear_cache()


def _key(number: int, *, compressed: bool = True) -> Any:
    return ec.PrivateKey(hashlib.sha256(f"regtest key {number}".encode()).digest(), compressed=compressed)


def _multisig(number: int) -> Any:
    """Two of three keys."""
    return script.multisig(2, [_key(1_000_000 + 3 * number + place).get_public_key() for place in range(3)])


def _two_signatures(number: int, digest: bytes) -> list[bytes]:
    return [_ecdsa(_key(1_000_000 + 3 * number + place), digest) for place in range(2)]


def _ecdsa(key: Any, digest: bytes) -> bytes:
    return bytes(key.sign(digest).serialize()) + bytes([SIGHASH.ALL])
