"""The fields of a node's blocks as columns, and columns as the bytes that stand on the chain.

Readers take a list of what was in the answer and raise TypeError or ValueError where one is missing, of
another type or out of range: hostile answers end here. Writers give hexadecimal texts, whole columns at once.
"""

from binascii import hexlify, unhexlify
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.bitcoin.faults import exact_sat
from chains.bitcoin.scripts import fixed_texts, hex_bytes

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint8]  # a matrix of 32 columns, in the order of display

_CORE_AMOUNT = r"^[0-9]{1,10}\.[0-9]{8}$"


def must_be(values: list[Any], kind: type) -> None:
    """Refuse anything that is not exactly of one type: a truth value is no integer here."""
    if not set(map(type, values)) <= {kind}:
        raise TypeError


def read_hash(text: Any) -> bytes:
    """32 bytes of one hash."""
    if not isinstance(text, str) or len(text) != 64:
        raise ValueError
    return unhexlify(text)


def read_hashes(values: list[Any]) -> Hashes:
    """Hashes of 64 hexadecimal digits each."""
    texts = _texts(values)
    if not pc.all(pc.equal(pc.binary_length(texts), 64), min_count=0).as_py():
        raise ValueError
    return hex_bytes(texts).reshape(-1, 32)


def read_scripts(values: list[Any]) -> pa.Array:
    """Scripts as texts of lower-case hexadecimal digits."""
    texts = pc.utf8_lower(_texts(values))
    hex_bytes(texts)
    return texts


def _texts(values: list[Any]) -> pa.Array:
    texts = pa.array(values, pa.string())
    if texts.null_count:
        raise TypeError
    return texts


def read_integers(values: list[Any], least: int, largest: int) -> Integers:
    """Integers within bounds."""
    must_be(values, int)
    if values and (min(values) < least or max(values) > largest):
        raise ValueError
    return np.array(values, np.int64)


def write_words(values: list[Any], least: int = 0) -> pa.Array:
    """Numbers of 32 bits as hexadecimal words; some nodes write some of them with a sign, some without."""
    words = (read_integers(values, least, 2**32 - 1) & 0xFFFFFFFF).astype("<u4")
    return write_digits(words.view(np.uint8).reshape(-1, 4))


def write_digits(rows: NDArray[np.uint8]) -> pa.Array:
    """Hexadecimal text of each row of bytes."""
    digits = np.frombuffer(hexlify(rows.tobytes()), np.uint8)
    return fixed_texts(digits.reshape(len(rows), 2 * rows.shape[1]))


def store_hashes(hashes: Hashes) -> pa.Array:
    """Hashes as a column of the ledger."""
    data = pa.py_buffer(np.ascontiguousarray(hashes))
    return pa.Array.from_buffers(pa.binary(32), len(hashes), [None, data]).cast(pa.binary())


def write_sized(scripts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Scripts with the number of bytes before each, both as hexadecimal text."""
    return write_sizes(np.asarray(pc.binary_length(scripts)) // 2), scripts


def write_sizes(counts: NDArray[Any]) -> pa.Array:
    """Counts as the chain writes them, as hexadecimal text."""
    distinct, places = np.unique(counts, return_inverse=True)
    return pa.array([_size(count) for count in distinct.tolist()], pa.string()).take(pa.array(places))


def _size(count: int) -> str:
    if count < 253:
        return f"{count:02x}"
    width, mark = (2, "fd") if count < 2**16 else (4, "fe") if count < 2**32 else (8, "ff")
    return mark + count.to_bytes(width, "little").hex()


def join_groups(texts: pa.Array, counts: Integers) -> pa.Array:
    """The texts of each group joined to one, for groups of these sizes."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts), "")


def read_amounts(values: list[Any]) -> Integers:
    """Whole satoshi of amounts given as digits; one that is no amount raises ValueError."""
    texts = pa.array(values if set(map(type, values)) <= {str} else [""], pa.string())
    if pc.all(pc.match_substring_regex(texts, _CORE_AMOUNT), min_count=0).as_py():
        return np.asarray(pc.replace_substring(texts, ".", "").cast(pa.int64()))
    return np.array([exact_sat(value) for value in values], np.int64)


def number_groups(counts: Integers) -> Integers:
    """Number of each element within its group, for groups of these sizes."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
