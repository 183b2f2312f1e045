"""What is wrong with a block of a Bitcoin node: the first fault, named so that a person can look it up.

Blocks are read a column at a time, and there a wrong type or a missing field only says that something is
amiss. This walks one block from its header to its last output and says what.
"""

import re
from binascii import unhexlify
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, DecimalException
from typing import Any

from chains.rpc import brief

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_EXACT = Context(prec=200)
_DECIMALS = 8
MAX_SAT = 2**63 - 1  # what the eight bytes of an amount on the chain hold

_WORD, _SIGNED = (0, 2**32 - 1), (-(2**31), 2**32 - 1)
_NO_PREVOUT = (
    "the node does not say what it spends: it needs Bitcoin Core 23 or newer (getblock with verbosity 3), "
    "and the block's undo data, which a pruned node throws away"
)


class Fault(Exception):
    """Something in the block of a height that cannot be right."""

    def __init__(self, height: int, why: str) -> None:
        super().__init__(f"block {height}: {why}")


def exact_sat(value: object) -> int:
    """Satoshi of an amount in whole coins, exact: digits as text, a Decimal or an integer, never a double.

    Raises ValueError, which says why it is no amount.
    """
    number = Decimal(0)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = Decimal(value)
    elif type(value) is int and abs(value) <= MAX_SAT:
        number += value
    elif isinstance(value, Decimal) and value.is_finite():
        number = value
    elif isinstance(value, float):
        raise ValueError(f"is {brief(value)}, read through a double: it may not be exact")
    else:
        raise ValueError(f"is {brief(value)}, no amount")
    if number < 0:
        raise ValueError(f"is {brief(value)}, below zero")
    if number and number.adjusted() + _DECIMALS > 18:
        raise ValueError(f"is {brief(value)}, more than an output can hold")
    try:
        sat = number.scaleb(_DECIMALS, _EXACT)
        whole = sat == sat.to_integral_value(context=_EXACT)
    except DecimalException:
        whole = False
    if not whole:
        raise ValueError(f"is {brief(value)}, and has a part below a satoshi")
    if sat > MAX_SAT:
        raise ValueError(f"is {brief(value)}, more than an output can hold")
    return int(sat)


def find_fault(block: object, height: int) -> Fault | None:
    """Return the first fault of form in a block; None where there is none (but hashes may still differ)."""
    why = next(_block_faults(block, height), None)
    return Fault(height, why) if why is not None else None


def _block_faults(block: object, height: int) -> Iterator[str]:
    if not isinstance(block, Mapping):
        yield f"the answer is {brief(block)}, no block"
        return
    yield from _number(block, "height", (height, height))
    for name in ("hash", "merkleroot", "previousblockhash")[: 3 if height else 2]:
        yield from _hexadecimal(block, name, 64)
    for name, span in (("version", _SIGNED), ("time", _WORD), ("nonce", _WORD)):
        yield from _number(block, name, span)
    yield from _hexadecimal(block, "bits", 8)
    txs = block.get("tx")
    if not isinstance(txs, list) or not txs:
        yield f"its tx is {brief(txs)}, no list of transactions"
        return
    for position, tx in enumerate(txs):
        if isinstance(tx, str):
            yield "it lists hashes only: the node does not know verbosity 3 of getblock"
            return
        txid = tx.get("txid") if isinstance(tx, Mapping) else None
        for why in _transaction_faults(tx, first=position == 0):
            yield f"transaction {position} ({brief(txid)}): {why}"


def _transaction_faults(tx: object, *, first: bool) -> Iterator[str]:
    if not isinstance(tx, Mapping):
        yield f"it is {brief(tx)}, no transaction"
        return
    yield from _hexadecimal(tx, "txid", 64)
    yield from _number(tx, "version", _SIGNED)
    yield from _number(tx, "locktime", _WORD)
    for side in ("vin", "vout"):
        legs = tx.get(side)
        if not isinstance(legs, list) or not legs:
            yield f"its {side} is {brief(legs)}, no list with anything in it"
            return
        if side == "vin" and first and len(legs) != 1:
            yield f"it is the first of its block and has {len(legs)} inputs, a coinbase has one"
        for index, leg in enumerate(legs):
            for why in _leg_faults(leg, side, index, first=first):
                yield f"{side} {index}: {why}"


def _leg_faults(leg: object, side: str, index: int, *, first: bool) -> Iterator[str]:
    if not isinstance(leg, Mapping):
        yield f"it is {brief(leg)}, not an object"
    elif leg.get("ismweb"):
        yield "it lies in the private part of the chain (MWEB), which cannot be read"
    elif side == "vout":
        yield from _number(leg, "n", (index, index))
        yield from _output_faults(leg)
    elif first:
        if "coinbase" not in leg:
            yield "it is the first of its block and no coinbase"
        yield from _hexadecimal(leg, "coinbase")
        yield from _number(leg, "sequence", _WORD)
    elif "coinbase" in leg:
        yield "it is a coinbase, and not the first of its block"
    else:
        yield from _hexadecimal(leg, "txid", 64)
        yield from _number(leg, "vout", (0, 2**31 - 1))
        yield from _number(leg, "sequence", _WORD)
        yield from _script_faults(leg, "scriptSig")
        if leg.get("prevout") is None:
            yield _NO_PREVOUT
        elif not isinstance(leg["prevout"], Mapping):
            yield f"its prevout is {brief(leg['prevout'])}, not an object"
        else:
            for why in _output_faults(leg["prevout"]):
                yield f"prevout: {why}"


def _output_faults(output: Mapping[str, Any]) -> Iterator[str]:
    try:
        exact_sat(output.get("value"))
    except ValueError as error:
        yield f"its value {error}"
    yield from _script_faults(output, "scriptPubKey")


def _script_faults(leg: Mapping[str, Any], name: str) -> Iterator[str]:
    script = leg.get(name)
    if not isinstance(script, Mapping):
        yield f"its {name} is {brief(script)}, not an object"
    else:
        for why in _hexadecimal(script, "hex"):
            yield f"{name}: {why}"


def _number(record: Mapping[str, Any], name: str, span: tuple[int, int]) -> Iterator[str]:
    value = record.get(name)
    if type(value) is not int or not span[0] <= value <= span[1]:
        wanted = f"must be {span[0]}" if span[0] == span[1] else "is no number that fits"
        yield f"its {name} is {brief(value)}, and {wanted}" if value is not None else f"it has no {name}"


def _hexadecimal(record: Mapping[str, Any], name: str, digits: int | None = None) -> Iterator[str]:
    value = record.get(name)
    if value is None:
        yield f"it has no {name}"
        return
    try:
        fits = isinstance(value, str) and (digits is None or len(value) == digits)
        unhexlify(value if fits else "-")
    except (ValueError, TypeError):
        size = f"{digits} " if digits else ""
        yield f"its {name} is {brief(value)}, not {size}hexadecimal digits"
