"""Columns of EVM files, whatever their writer's types: hashes, accounts, amounts, whole numbers, times.

Each function takes one Arrow column and answers for all its rows at once, with a mask of the rows whose value
is none of its kind. Text is hex with `0x` or without, or decimal digits; binary columns hold raw bytes.
"""

import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.amounts import MAX_DIGITS, raw_units
from chains.bulk import Mask, canonical_addresses, decode_hashes, utc_times
from chains.ledger import AMOUNT
from chains.registry import Chain

Integers = NDArray[np.int64]

ZERO_ACCOUNT = "0x" + "0" * 40
_LARGEST_WHOLE = 2**62
_EXACT_DOUBLE = 2.0**53


@dataclass(frozen=True)
class Amounts:
    """Raw integers of a column; 0 stands where there is none, and the masks say why."""

    value: pa.Array  # AMOUNT, no nulls
    absent: Mask
    bad: Mask  # not a whole number, or negative
    large: Mask  # more than 38 digits
    lossy: Mask  # a double, or the text of one, that stands for more than one integer


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds raw bytes."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return one array without a dictionary, text and bytes in their ordinary types."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column.cast(pa.binary()) if is_bytes(column.type) else column


def read_hashes(column: pa.Array) -> tuple[pa.Array, Mask]:
    """32 bytes of each value, null for another; and which rows hold a value that is no hash."""
    column = plain(column)
    given = np.asarray(column.is_valid())
    if pa.types.is_binary(column.type):
        good = np.asarray(pc.fill_null(pc.equal(pc.binary_length(column), 32), fill_value=False))
        return pc.if_else(pa.array(good), column, None), given & ~good
    hashes, good = decode_hashes(_without_prefix(column.cast(pa.string())))
    return hashes, given & ~good


def read_accounts(column: pa.Array, chain: Chain) -> tuple[pa.Array, Mask]:
    """Canonical account of each value; and which rows hold a value that is no address of the chain."""
    column = plain(column)
    if pa.types.is_binary(column.type):
        column, broken = _hex_accounts(column)
    else:
        column, broken = column.cast(pa.string()), np.zeros(len(column), np.bool_)
    accounts, unread = canonical_addresses(column, chain)
    return accounts, broken | unread


def read_amounts(column: pa.Array) -> Amounts:
    """Raw integers of text, whole numbers, decimals, doubles or big-endian bytes.

    A double stands for the shortest text that gives the same double, as elsewhere in Silkscreen. Text with an
    exponent or a point is what a writer made of a double: plain digits alone are exact beyond 2**53.
    """
    column = plain(column)
    absent = np.asarray(column.is_null())
    if is_text(column.type):
        found = _from_text(column)
    elif is_bytes(column.type):
        found = _from_bytes(column)
    elif pa.types.is_decimal(column.type):
        found = _from_decimals(column)
    elif pa.types.is_integer(column.type):
        found = _from_decimals(column.cast(pa.decimal128(20, 0)))
    else:
        found = _from_doubles(column.cast(pa.float64()))
    value, bad, large, lossy = found
    none = pa.array(absent | bad | large)
    zero = pa.scalar(0, AMOUNT)
    return Amounts(
        pc.if_else(none, zero, value), absent, bad & ~absent, large & ~absent, lossy & ~(absent | bad | large)
    )


def read_whole(column: pa.Array) -> tuple[Integers, Mask, Mask]:
    """Whole numbers from 0 to below 2**62; which rows have one, and which hold something else."""
    column = plain(column)
    given = np.asarray(column.is_valid())
    if pa.types.is_integer(column.type):
        wide = column.cast(pa.int64(), safe=False)
        numbers = np.asarray(pc.fill_null(wide, 0))
        good = given & (numbers >= 0) & (numbers < _LARGEST_WHOLE)  # above 2**63 it wraps to a negative
    else:
        found = read_amounts(column)
        limit = pa.scalar(_LARGEST_WHOLE, AMOUNT)
        good = given & ~found.bad & ~found.large & np.asarray(pc.less(found.value, limit))
        numbers = np.asarray(pc.if_else(pa.array(good), found.value, pa.scalar(0, AMOUNT)).cast(pa.int64()))
    return np.where(good, numbers, 0).astype(np.int64), good, given & ~good


def read_times(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Naive UTC times of timestamps, whole seconds since 1970, or texts of either; and which are none."""
    column = plain(column)
    given = np.asarray(column.is_valid())
    if is_text(column.type):
        coded = column.dictionary_encode()
        seconds = [_micros(text) for text in coded.dictionary.to_pylist()]
        column = pa.array(seconds, pa.timestamp("us")).take(coded.indices)
    elif not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        numbers, good, _ = read_whole(column)
        column = pa.array(numbers, mask=~good)
    times, good = utc_times(column)
    return times, given & ~good


def _without_prefix(texts: pa.Array) -> pa.Array:
    lower = pc.utf8_lower(texts)
    prefixed = pc.starts_with(lower, "0x")
    return pc.if_else(prefixed, pc.utf8_slice_codeunits(lower, 2), lower)


def _hex_accounts(column: pa.Array) -> tuple[pa.Array, Mask]:
    """`0x` text of each value of 20 bytes."""
    given = np.asarray(column.is_valid())
    good = np.asarray(pc.fill_null(pc.equal(pc.binary_length(column), 20), fill_value=False))
    coded = column.filter(pa.array(good)).dictionary_encode()
    count = len(coded.dictionary)
    digits = binascii.hexlify(b"".join(coded.dictionary.to_pylist()))
    characters = np.empty((count, 42), np.uint8)
    characters[:, 0], characters[:, 1] = ord("0"), ord("x")
    characters[:, 2:] = np.frombuffer(digits, np.uint8).reshape(count, 40)
    offsets = np.arange(count + 1, dtype=np.int32) * 42
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(characters.tobytes())]
    texts = pa.Array.from_buffers(pa.string(), count, buffers)
    places = np.zeros(len(column), np.int64)
    places[good] = np.asarray(coded.indices)
    return texts.take(pa.array(places, mask=~good)), given & ~good


def _from_text(column: pa.Array) -> tuple[pa.Array, Mask, Mask, Mask]:
    count = len(column)
    digits = np.asarray(pc.fill_null(pc.match_substring_regex(column, "^[0-9]{1,200}$"), fill_value=False))
    trimmed = pc.utf8_ltrim(column, "0")
    long = np.asarray(pc.fill_null(pc.greater(pc.utf8_length(trimmed), MAX_DIGITS), fill_value=False))
    fits = pa.array(digits & ~long)
    value = pc.if_else(fits, column, "0").cast(AMOUNT)
    bad, large, lossy = np.zeros(count, np.bool_), digits & long, np.zeros(count, np.bool_)
    odd = np.flatnonzero(~digits & np.asarray(column.is_valid()))
    if len(odd):  # 1e18, 5.0, hex and what is no number
        texts = [column[int(i)].as_py() for i in odd]
        values = [_odd_text(text) for text in texts]
        mask = np.zeros(count, np.bool_)
        mask[odd] = True
        numbers = pa.array([0 if isinstance(v, str) else v for v in values], AMOUNT)
        value = pc.replace_with_mask(value, pa.array(mask), numbers)
        bad[odd] = [v == "bad_amount" for v in values]
        large[odd] = [v == "too_large" for v in values]
        lossy[odd] = [_is_coarse(text, v) for text, v in zip(texts, values, strict=True)]
    return value, bad, large, lossy


def _is_coarse(text: str, found: int | str) -> bool:
    """Whether a text is that of a double which stands for more than one integer: `1.2345678901234568E18`."""
    word = text.strip().lower()
    written = "." in word or ("e" in word and not word.startswith("0x"))
    return written and not isinstance(found, str) and found >= _EXACT_DOUBLE


def _odd_text(text: str) -> int | str:
    word = text.strip()
    if word[:2].lower() == "0x" and 3 <= len(word) <= 66:
        try:
            number = int(word[2:], 16)
        except ValueError:
            return "bad_amount"
        return number if number < 10**MAX_DIGITS else "too_large"
    found = raw_units(word)
    return found if isinstance(found, str) else found[0]


def _from_bytes(column: pa.Array) -> tuple[pa.Array, Mask, Mask, Mask]:
    """Big-endian integers of up to 32 bytes."""
    count = len(column)
    lengths = np.asarray(pc.fill_null(pc.binary_length(column), 0))
    bad = (lengths == 0) | (lengths > 32)
    matrix = np.zeros((count, 32), np.uint8)
    for length in np.unique(lengths[~bad]):
        rows = lengths == length
        data = b"".join(column.filter(pa.array(rows)).to_pylist())
        matrix[rows, 32 - length :] = np.frombuffer(data, np.uint8).reshape(-1, length)
    large = (matrix[:, :16] != 0).any(axis=1)
    halves = np.ascontiguousarray(matrix[:, 16:]).view(">u8").astype(np.uint64)
    high, low = halves[:, 0], halves[:, 1]
    top, rest = divmod(10**MAX_DIGITS, 2**64)
    large |= (high > top) | ((high == top) & (low >= rest))
    stored = np.where(large[:, None], np.uint64(0), np.column_stack([low, high]))
    buffer = pa.py_buffer(np.ascontiguousarray(stored.astype("<u8")).tobytes())
    return pa.Array.from_buffers(AMOUNT, count, [None, buffer]), bad, large, np.zeros(count, np.bool_)


def _from_decimals(column: pa.Array) -> tuple[pa.Array, Mask, Mask, Mask]:
    count = len(column)
    none = np.zeros(count, np.bool_)
    if column.type.scale == 0 and pa.types.is_decimal128(column.type):
        negative = np.asarray(pc.fill_null(pc.less(column, pa.scalar(0, column.type)), fill_value=False))
        return column.cast(AMOUNT), negative, none, none
    values = [raw_units(value) if value is not None else (0, False) for value in column.to_pylist()]
    numbers = pa.array([0 if isinstance(v, str) else v[0] for v in values], AMOUNT)
    bad = np.array([v == "bad_amount" for v in values], np.bool_)
    return numbers, bad, np.array([v == "too_large" for v in values], np.bool_), none


def _from_doubles(column: pa.Array) -> tuple[pa.Array, Mask, Mask, Mask]:
    doubles = np.asarray(pc.fill_null(column, 0.0))
    values = [_whole_double(float(value)) for value in doubles]
    numbers = pa.array([0 if isinstance(v, str) else v for v in values], AMOUNT)
    bad = np.array([v == "bad_amount" for v in values], np.bool_)
    large = np.array([v == "too_large" for v in values], np.bool_)
    return numbers, bad, large, np.abs(doubles) >= _EXACT_DOUBLE


def _whole_double(value: float) -> int | str:
    if not isfinite(value) or value < 0:
        return "bad_amount"
    if value < _EXACT_DOUBLE:
        return int(value) if value == int(value) else "bad_amount"
    number = int(Decimal(repr(value)))
    return number if number < 10**MAX_DIGITS else "too_large"


def _micros(text: str | None) -> datetime | None:
    """Naive UTC time of whole seconds since 1970 or of ISO 8601 text, which may end in Z or UTC."""
    if text is None:
        return None
    word = text.strip()
    try:
        if word.isdecimal() and len(word) <= 12:
            return datetime.fromtimestamp(int(word), UTC).replace(tzinfo=None)
        found = datetime.fromisoformat(word.removesuffix("UTC").strip())
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo is not None else found
    except (ValueError, OverflowError, OSError):
        return None
