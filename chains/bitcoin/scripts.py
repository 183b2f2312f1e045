"""Output scripts into accounts: addresses where a script has one, a stand-in of its hash where not.

An address is worked out from the script alone; what a node writes beside it is not read. P2PKH and P2SH
have the chain's Base58Check (or CashAddr) form, every witness version a SegWit address, P2A and versions
without a meaning yet among them. P2PK, bare multisig, OP_RETURN and all else have none.
Sources: BIP-13, BIP-16, BIP-141, BIP-173, BIP-350, BIP-433 (P2A), the CashAddr specification.
"""

import re
from binascii import unhexlify
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import script_account
from chains.encoding import (
    BASE58,
    BECH32,
    BECH32_CHECK,
    BECH32M_CHECK,
    encode_base58check,
    encode_bech32,
    encode_cashaddr,
    encode_segwit,
    regroup_bits,
)
from chains.registry import Chain

Matrix = NDArray[np.uint8]

_KEY_HASH = re.compile("76a914([0-9a-f]{40})88ac")
_SCRIPT_HASH = re.compile("a914([0-9a-f]{40})87")
_WITNESS = re.compile("(00|5[1-9a-f]|60)([0-9a-f]{2})((?:[0-9a-f]{2}){2,40})")


def script_holder(script: bytes, chain: Chain) -> str:
    """Return the account that an output script pays, as canonical text without the chain."""
    script_hex = script.hex()
    if chain.key_versions and (found := _KEY_HASH.fullmatch(script_hex)):
        return _hash_address(chain, 0, bytes.fromhex(found[1]))
    if chain.script_versions and (found := _SCRIPT_HASH.fullmatch(script_hex)):
        return _hash_address(chain, 1, bytes.fromhex(found[1]))
    if chain.hrp and (found := _WITNESS.fullmatch(script_hex)):
        version, program = max(0, int(found[1], 16) - 0x50), bytes.fromhex(found[3])
        if int(found[2], 16) == len(program) and (version or len(program) in (20, 32)):
            return encode_segwit(chain.hrp, version, program)
    return script_account(script_hex)


def script_holders(scripts: pa.Array, chain: Chain) -> pa.Array:
    """Return the account of each script in lower-case hexadecimal: the same as `script_holder` gives.

    The forms that make up nearly all of a chain are worked out over whole matrices, tens of thousands
    at a time, each script once. Raises ValueError where one is not hexadecimal.
    """
    coded = scripts.dictionary_encode()
    distinct = coded.dictionary
    lengths = np.asarray(pc.binary_length(distinct))
    open_still = np.ones(len(distinct), np.bool_)
    places: list[NDArray[np.int64]] = []
    found: list[pa.Array] = []
    for head, size, tail, encode in _usual_forms(chain):
        chosen = (lengths == 2 * size + len(head) + len(tail)) & open_still
        if chosen.any():
            chosen &= np.asarray(pc.starts_with(distinct, head)) & np.asarray(pc.ends_with(distinct, tail))
        if chosen.any():
            open_still &= ~chosen
            start = len(head) // 2
            rows = hex_bytes(distinct.filter(pa.array(chosen))).reshape(int(chosen.sum()), -1)
            places.append(np.flatnonzero(chosen))
            found.append(encode(rows[:, start : start + size]))
    rest = distinct.filter(pa.array(open_still)).to_pylist()
    places.append(np.flatnonzero(open_still))
    found.append(pa.array([script_holder(unhexlify(script), chain) for script in rest], pa.string()))
    order = np.argsort(np.concatenate(places))
    return pa.concat_arrays(found).take(pa.array(order)).take(coded.indices)


def hex_bytes(texts: pa.Array) -> Matrix:
    """Bytes of all texts of hexadecimal digits, one after the other; ValueError where one is none."""
    if len(texts) == 0:
        return np.zeros(0, np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)
    if (np.diff(offsets) % 2).any():
        raise ValueError("a text has half a byte")
    digits = texts.buffers()[2]
    held = memoryview(digits)[int(offsets[0]) : int(offsets[-1])] if digits is not None else b""
    return np.frombuffer(unhexlify(held), np.uint8)


def fixed_texts(characters: Matrix) -> pa.Array:
    """Texts of one length, from a matrix with one character a byte and one text a row."""
    rows, width = characters.shape
    ends = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(ends), pa.py_buffer(data)])


def _usual_forms(chain: Chain) -> list[tuple[str, int, str, Callable[[Matrix], pa.Array]]]:
    """Head, bytes in the middle and tail of scripts with an address, and what makes the addresses."""
    forms: list[tuple[str, int, str, Callable[[Matrix], pa.Array]]] = []
    if chain.hrp:
        forms = [
            ("0014", 20, "", partial(segwit_addresses, chain.hrp, 0)),
            ("0020", 32, "", partial(segwit_addresses, chain.hrp, 0)),
            ("5120", 32, "", partial(segwit_addresses, chain.hrp, 1)),
        ]
    for versions, head, tail in (
        (chain.key_versions, "76a914", "88ac"),
        (chain.script_versions, "a914", "87"),
    ):
        if versions and len(versions[0]) == 1 and not chain.cash_prefix:
            forms.append((head, 20, tail, partial(base58_addresses, versions[0][0])))
    return forms


def _hash_address(chain: Chain, kind: int, digest: bytes) -> str:
    if chain.cash_prefix:
        return encode_cashaddr(chain.cash_prefix, kind, digest)
    return encode_base58check((chain.script_versions if kind else chain.key_versions)[0] + digest)


def segwit_addresses(hrp: str, version: int, programs: Matrix) -> pa.Array:
    """SegWit addresses of witness programs, one a row of 20 or 32 bytes (BIP-173, BIP-350).

    The checksum is linear over bits: that of a program is the XOR of one table entry for each of its bytes.
    """
    count, size = programs.shape
    tables, base = _checksum_tables(hrp, version, size)
    checks = np.full(count, base, np.uint32)
    for place in range(size):
        checks ^= tables[place][programs[:, place]]
    groups = (size * 8 + 4) // 5
    bits = np.zeros((count, groups * 5), np.uint8)
    bits[:, : size * 8] = np.unpackbits(programs, axis=1)
    weights = np.array([16, 8, 4, 2, 1], np.uint8)
    values = bits.reshape(count, groups, 5) @ weights
    ends = checks[:, None] >> np.arange(25, -1, -5, dtype=np.uint32) & np.uint32(31)
    letters = np.frombuffer(BECH32.encode(), np.uint8)
    head = np.frombuffer(f"{hrp}1{BECH32[version]}".encode(), np.uint8)
    columns = [np.tile(head, (count, 1)), letters[values], letters[ends]]
    return fixed_texts(np.concatenate(columns, axis=1))


@cache
def _checksum_tables(hrp: str, version: int, size: int) -> tuple[NDArray[np.uint32], int]:
    """What each value of each byte of a program adds to the checksum, and the checksum of zero bytes."""
    base = _checksum(hrp, version, bytes(size))
    tables = np.zeros((size, 256), np.uint32)
    for place in range(size):
        for bit in range(8):
            program = bytearray(size)
            program[place] = 1 << bit
            change = _checksum(hrp, version, bytes(program)) ^ base
            tables[place] ^= np.where(np.arange(256) >> bit & 1, change, 0).astype(np.uint32)
    return tables, base


def _checksum(hrp: str, version: int, program: bytes) -> int:
    values = regroup_bits(program, 8, 5, pad=True) or []
    text = encode_bech32(hrp, [version, *values], BECH32M_CHECK if version else BECH32_CHECK)
    number = 0
    for character in text[-6:]:
        number = number << 5 | BECH32.index(character)
    return number


def base58_addresses(version: int, digests: Matrix) -> pa.Array:
    """Base58Check addresses of hashes, one a row of 20 bytes, under a version of one byte (BIP-13).

    The 25 bytes are one number of seven 32-bit limbs; five digits come off at a time (58**5 < 2**30), so
    that every step stays inside 64 bits. 35 digits hold any such number.
    """
    count = len(digests)
    payload = np.empty((count, 21), np.uint8)
    payload[:, 0], payload[:, 1:] = version, digests
    held = payload.tobytes()
    checks = b"".join(sha256(sha256(held[i : i + 21]).digest()).digest()[:4] for i in range(0, len(held), 21))
    number = np.zeros((count, 28), np.uint8)
    number[:, 3:24] = payload
    number[:, 24:] = np.frombuffer(checks, np.uint8).reshape(count, 4)
    limbs = number.view(">u4").T.astype(np.uint64)  # the highest first
    digits = np.empty((count, 35), np.uint8)
    fifth, byte, base = np.uint64(58**5), np.uint64(32), np.uint64(58)
    for end in range(35, 0, -5):
        rest = np.zeros(count, np.uint64)
        for limb in limbs:
            value = rest << byte | limb
            limb[:], rest = np.divmod(value, fifth)
        for place in range(end - 1, end - 6, -1):
            rest, digits[:, place] = np.divmod(rest, base)
    zeros = _leading_zeros(number[:, 3:])  # a zero byte at the start is one digit, however small the number
    starts = _leading_zeros(digits) - zeros
    letters = np.frombuffer(BASE58.encode(), np.uint8)[digits]
    text = letters[np.arange(35) >= starts[:, None]]
    ends = np.concatenate([[0], np.cumsum(35 - starts)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(text)])


def _leading_zeros(rows: Matrix) -> NDArray[np.int64]:
    other = rows != 0
    counts: NDArray[np.int64] = np.where(other.any(axis=1), other.argmax(axis=1), rows.shape[1])
    return counts
