"""The first state of an EVM chain: a genesis file as Geth reads it, each account that it endows one transfer.

Source: the genesis block's format of go-ethereum (`alloc`, `timestamp`, `config.chainId`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from chains.amounts import MAX_DIGITS
from chains.assets import evm_coin
from chains.deep_json import decode_exact
from chains.errors import AddressError, FileError
from chains.files.evm_values import Integers
from chains.files.moves import Moves, Rows, join_moves
from chains.forms import canonical_address
from chains.ledger import AMOUNT, Asset, Kind, LegBatch
from chains.registry import Chain
from chains.rejections import Rejections, shown

_LARGEST_FILE = 1 << 30
_LAST_SECOND = 7_258_118_400  # the year 2200
_AT_ONCE = 100_000


def read_genesis(path: Path, *, chain: Chain) -> Iterator[LegBatch]:
    """Read a genesis file; errors of the file are raised before the first batch.

    The transfers have height 0, and their position is the ordinal of the account among all that the file
    names, by address. The time is the file's `timestamp`, and 1970 where it states none, as in Geth.
    """
    if chain.family != "evm":
        raise FileError(path, why=f"a genesis file is of an EVM chain; {chain.name} is not one")
    content = _load(path)
    _check_chain(path, content, chain)
    seconds = _number(content.get("timestamp", 0))
    if seconds is None or seconds >= _LAST_SECOND:
        raise FileError(path, why=f"its timestamp {shown(content['timestamp'])} is no time")
    alloc = content["alloc"]
    native = evm_coin(chain)
    return _batches(list(alloc.items()), chain, native, datetime.fromtimestamp(seconds, UTC))


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileError(path, why="there is no such file")
    if path.is_dir():
        raise FileError(path, why="is a folder: name the files in it")
    if path.stat().st_size > _LARGEST_FILE:
        raise FileError(path, why="is larger than any genesis file")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise FileError(path, why="names a field or an account twice")
        return found

    try:
        content = decode_exact(path.read_bytes(), object_pairs_hook=once)
    except PermissionError as error:
        raise FileError(path, why="may not be read by this user") from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(path, why="is truncated, damaged or not JSON") from error
    if not isinstance(content, dict) or not isinstance(content.get("alloc"), dict):
        raise FileError(path, why="is no genesis file: it has no accounts under `alloc`")
    return content


def _check_chain(path: Path, content: dict[str, Any], chain: Chain) -> None:
    config = content.get("config")
    stated = config.get("chainId") if isinstance(config, dict) else None
    if stated is not None and chain.caip2 != f"eip155:{_number(stated)}":
        raise FileError(path, why=f"is of the chain eip155:{shown(stated)}, not of {chain.caip2}")


def _batches(
    entries: list[tuple[str, Any]], chain: Chain, native: Asset, time: datetime
) -> Iterator[LegBatch]:
    accounts = [_account(text, chain) for text, _ in entries]
    known = sorted({account for account in accounts if account is not None})
    ordinal = {account: place for place, account in enumerate(known)}
    given: set[str] = set()
    for first in range(0, len(entries), _AT_ONCE):
        rejected = Rejections(len(entries[first : first + _AT_ONCE]))
        chosen: list[tuple[int, str, int]] = []
        idle = 0
        for row, (text, entry) in enumerate(entries[first : first + _AT_ONCE]):
            account = accounts[first + row]
            balance = _number(entry.get("balance", 0)) if isinstance(entry, dict) else None
            if account is None:
                rejected.add(row, "bad_address", f"{shown(text)} is no address")
            elif account in given:
                rejected.add(row, "repeated_account", f"{shown(text)} is there in another writing")
            elif balance is None:
                rejected.add(row, "bad_amount", "its balance is no amount")
            elif balance >= 10**MAX_DIGITS:
                rejected.add(row, "too_large", f"its balance has more than {MAX_DIGITS} digits")
            elif balance:
                chosen.append((row, account, balance))
            else:
                idle += 1
            if account is not None:
                given.add(account)
        count = len(entries[first : first + _AT_ONCE])
        places = np.array([0 if a is None else ordinal[a] for a in accounts[first : first + count]], np.int32)
        rows = _rows(first + np.arange(count), places, time)
        transfers, legs = join_moves(rows, [_moves(chosen, native)])
        yield LegBatch(
            transfers,
            legs,
            rejected.table(first),
            (native,) if chosen else (),
            unmoved={"no_balance": idle},
            rows_read=first + count,
        )


def _moves(chosen: list[tuple[int, str, int]], native: Asset) -> Moves:
    amounts = pa.array([balance for *_, balance in chosen], AMOUNT)
    return Moves(
        kind=Kind.GENESIS,
        row=np.array([row for row, *_ in chosen], np.int64),
        part=np.zeros(len(chosen), np.int64),
        asset=pa.array([native.reference] * len(chosen), pa.string()),
        payer=pa.nulls(len(chosen), pa.string()),
        payee=pa.array([account for _, account, _ in chosen], pa.string()),
        paid=amounts,
        got=amounts,
        lossy=np.zeros(len(chosen), np.bool_),
    )


def _rows(numbers: Integers, places: "np.ndarray[Any, np.dtype[np.int32]]", time: datetime) -> Rows:
    count = len(numbers)
    moment = pa.scalar(time.replace(tzinfo=None), pa.timestamp("us"))
    nothing = pa.nulls(count, pa.binary())
    return Rows(
        numbers,
        pa.array(np.zeros(count, np.int64)),
        pa.array(places),
        pa.repeat(moment, count),
        nothing,
        nothing,
    )


def _account(text: str, chain: Chain) -> str | None:
    word = text if text[:2] in ("0x", "0X") else "0x" + text
    try:
        return canonical_address(word, chain)
    except AddressError:
        return None


def _number(value: object) -> int | None:
    """Whole number given as one, or as text in decimal digits or in hexadecimal with 0x."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    if not isinstance(value, str) or len(value) > 100 or not value.isascii():
        return None
    try:
        found = int(value, 16 if value[:2].lower() == "0x" else 10)
    except ValueError:
        return None
    return found if found >= 0 and "_" not in value else None
