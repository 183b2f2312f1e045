"""Addresses, hashes and times by the million: the same answers as one at a time, from whole columns.

Arrow columns in, Arrow columns out; the arithmetic runs over numpy matrices, one row an address.
"""

import binascii
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import canonical_address
from chains.encoding import BASE58, BECH32, BECH32_CHECK, BECH32M_CHECK
from chains.errors import AddressError
from chains.registry import Chain

Mask = NDArray[np.bool_]

_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_LAST_SECOND = 7_258_118_400  # the year 2200

COMPILED_FROM = 60_000
"""So many distinct addresses at once go through the compiled check, which takes seconds to make ready."""


def canonical_addresses(texts: pa.Array, chain: Chain) -> tuple[pa.Array, Mask]:
    """Canonical address of each text, and which are broken (null, as are absent ones, which are not broken).

    Each distinct text is read once. The forms that make up nearly all of a chain go through the array
    arithmetic below; the rest, and every broken one, through `chains.address.canonical_address`.
    """
    coded = texts.dictionary_encode()
    distinct = coded.dictionary
    plain = _plain_forms(distinct, chain)
    if plain.all():
        return texts, np.zeros(len(texts), np.bool_)
    others = distinct.filter(pa.array(~plain)).to_pylist()
    found = [_canonical_or_none(text, chain) for text in others]
    canonical = pc.replace_with_mask(distinct, pa.array(~plain), pa.array(found, pa.string()))
    broken = np.zeros(len(distinct), np.bool_)
    broken[~plain] = [now is None and text is not None for now, text in zip(found, others, strict=True)]
    places = coded.indices
    result = texts if canonical.equals(distinct) else canonical.take(places)
    missing = np.asarray(pc.is_null(places))
    which = np.asarray(pc.fill_null(places, 0)).astype(np.int64)
    return result, ~missing & broken[which]


def _canonical_or_none(text: str | None, chain: Chain) -> str | None:
    try:
        return canonical_address(text.strip(), chain) if text is not None else None
    except AddressError:
        return None


def decode_hashes(texts: pa.Array) -> tuple[pa.Array, Mask]:
    """32 bytes of each text of 64 hex digits (null for another), and which texts are such."""
    good = np.asarray(pc.fill_null(pc.equal(pc.binary_length(texts), 64), fill_value=False))
    try:
        data = binascii.unhexlify(
            b"".join(_text_bytes(texts if good.all() else texts.filter(pa.array(good))))
        )
    except binascii.Error:
        hexadecimal = pc.match_substring_regex(texts, "^[0-9a-fA-F]{64}$")
        good = np.asarray(pc.fill_null(hexadecimal, fill_value=False))
        data = binascii.unhexlify(b"".join(_text_bytes(texts.filter(pa.array(good)))))
    stored = pa.Array.from_buffers(pa.binary(32), len(data) // 32, [None, pa.py_buffer(data)])
    if good.all():
        return stored.cast(pa.binary()), good
    places = np.cumsum(good) - 1
    return stored.take(pa.array(np.maximum(places, 0), mask=~good)).cast(pa.binary()), good


def utc_times(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Naive UTC times of timestamps, or of whole seconds since 1970; and which are within 1970 to 2199."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        times = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.timestamp("us"))
        micros = times.view(pa.int64())
    else:
        seconds = column.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(seconds, 0), pc.less(seconds, _LAST_SECOND))
        micros = pc.multiply(pc.if_else(inside, seconds, None), 1_000_000)
    inside = pc.and_(pc.greater_equal(micros, 0), pc.less(micros, _LAST_SECOND * 1_000_000))
    good = np.asarray(pc.fill_null(inside, fill_value=False))
    return pc.if_else(pa.array(good), micros, None).cast(pa.timestamp("us")), good


def _text_bytes(texts: pa.Array) -> list[memoryview]:
    """The bytes of all texts of an array one after the other, without copying each."""
    if len(texts) == 0:
        return []
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)
    return [memoryview(texts.buffers()[2])[int(offsets[0]) : int(offsets[-1])]]


def _text_columns(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The bytes that an array of texts lies in, and where each begins and ends in them."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)
    return np.frombuffer(texts.buffers()[2], np.uint8), offsets


def _plain_forms(texts: pa.Array, chain: Chain) -> Mask:
    """Which texts are surely canonical addresses of the chain; the others may be or not."""
    plain = np.zeros(len(texts), np.bool_)
    if chain.family == "evm":
        plain |= np.asarray(
            pc.fill_null(pc.match_substring_regex(texts, "^0x[0-9a-f]{40}$"), fill_value=False)
        )
        return plain
    versions = {v[0] for v in (*chain.key_versions, *chain.script_versions) if len(v) == 1}
    if chain.family == "tron":
        versions = {0x41}
    lengths = np.asarray(pc.fill_null(pc.binary_length(texts), 0))
    if len(texts) >= COMPILED_FROM:
        from chains.address_kernel import mark_plain

        return mark_plain(*_text_columns(texts), versions=versions, hrp=chain.hrp)
    if versions:
        for length in range(26, 36):
            _mark(plain, texts, lengths == length, lambda chars: _base58_holds(chars, versions))
    if chain.hrp:
        for size in (39, 59):  # version, a program of 20 or 32 bytes, checksum
            _mark(
                plain,
                texts,
                lengths == len(chain.hrp) + 1 + size,
                lambda chars: _segwit_holds(chars, chain.hrp),
            )
    return plain


def _mark(plain: Mask, texts: pa.Array, chosen: Mask, holds: Callable[[NDArray[np.uint8]], Mask]) -> None:
    """Set `plain` where `holds` says so of the chosen texts, which have one length."""
    if chosen.any():
        some = texts.filter(pa.array(chosen))
        data = np.frombuffer(b"".join(_text_bytes(some)), np.uint8).reshape(len(some), -1)
        plain[chosen] = holds(data)


def _base58_holds(chars: NDArray[np.uint8], versions: set[int]) -> Mask:
    """Which rows are Base58Check texts of 25 bytes with one of the versions.

    The number is kept in seven 32-bit limbs and grows by five digits (58**5 < 2**30) at a step, so that
    every product stays inside 64 bits; 35 digits fill 205 of the 224 bits.
    """
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(BASE58.encode(), np.uint8)] = np.arange(58)
    digits = table[chars]
    good: Mask = (digits != 255).all(axis=1)
    digits = np.where(good[:, None], digits, 0).astype(np.uint64)
    rows, length = digits.shape
    limbs = np.zeros((7, rows), np.uint64)
    start = 0
    for end in range(length % 5 or 5, length + 1, 5):
        carry = np.zeros(rows, np.uint64)
        for place in range(start, end):
            carry = carry * np.uint64(58) + digits[:, place]
        factor = np.uint64(58 ** (end - start))
        for limb in limbs:
            value = limb * factor + carry
            limb[:] = value & np.uint64(0xFFFFFFFF)
            carry = value >> np.uint64(32)
        start = end
    number = np.ascontiguousarray(limbs[::-1].T.astype(">u4")).view(np.uint8)  # 28 bytes a row
    good &= (number[:, :3] == 0).all(axis=1)
    payload = np.ascontiguousarray(number[:, 3:24])
    good &= np.isin(payload[:, 0], list(versions))
    good &= _leading(payload, 0) == _leading(digits, 0)
    held = payload[good].tobytes()
    checks = b"".join(sha256(sha256(held[i : i + 21]).digest()).digest()[:4] for i in range(0, len(held), 21))
    good[good] = (np.frombuffer(checks, np.uint8).reshape(-1, 4) == number[good][:, 24:]).all(axis=1)
    return good


def _leading(rows: NDArray[np.uint8] | NDArray[np.uint64], value: int) -> NDArray[np.int64]:
    """How many elements at the start of each row equal `value`; all of them where every one does."""
    other = rows != value
    counts: NDArray[np.int64] = np.where(other.any(axis=1), other.argmax(axis=1), rows.shape[1])
    return counts


def _segwit_holds(chars: NDArray[np.uint8], hrp: str) -> Mask:
    """Which rows are lower-case SegWit addresses with a program of 20 or 32 bytes (BIP-173, BIP-350)."""
    head = np.frombuffer((hrp + "1").encode(), np.uint8)
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(BECH32.encode(), np.uint8)] = np.arange(32)
    values = table[chars[:, len(head) :]]
    good: Mask = (chars[:, : len(head)] == head).all(axis=1) & (values != 255).all(axis=1)
    check = np.full(len(chars), 1, np.int64)
    prefix = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    columns = [np.int64(v) for v in prefix] + [values[:, i].astype(np.int64) for i in range(values.shape[1])]
    for column in columns:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ column
        for bit, generator in enumerate(_GENERATORS):
            check ^= np.where(top >> bit & 1, generator, 0)
    version = values[:, 0]
    good &= check == np.where(version == 0, BECH32_CHECK, BECH32M_CHECK)
    good &= version <= 16
    if values.shape[1] == 59:  # 52 groups of five bits hold 256 bits and four of padding, which are zero
        good &= values[:, 52] & 15 == 0
    return good
