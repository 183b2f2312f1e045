"""Output scripts into accounts: addresses where a script has one, a stand-in of its hash where not.

An address is worked out from the script alone; what a node writes beside it is not read. P2PKH and P2SH
have the chain's Base58Check (or CashAddr) form, every witness version a SegWit address, P2A and versions
without a meaning yet among them. P2PK, bare multisig, OP_RETURN and all else have none.
Sources: BIP-13, BIP-16, BIP-141, BIP-173, BIP-350, BIP-433 (P2A), the CashAddr specification.
"""

import re
from binascii import unhexlify
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import numpy as np
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
_MANY = 16  # from how many scripts of a form on the arithmetic over whole matrices is worth its start


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


def script_holders(scripts: Sequence[str], chain: Chain) -> list[str]:
    """Return the account of each script in lower-case hexadecimal: the same as `script_holder` gives.

    The forms that make up nearly all of a chain are worked out over whole matrices, tens of thousands
    at a time, each script once.
    Raises ValueError where one is not hexadecimal.
    """
    accounts: dict[str, str] = dict.fromkeys(scripts, "")
    groups: dict[tuple[int, str], list[str]] = {}
    for script in accounts:
        size = len(script)
        if size in _FORMS:
            groups.setdefault((size, script[: _FORMS[size]]), []).append(script)
        else:
            groups.setdefault((0, ""), []).append(script)
    for (size, head), group in groups.items():
        found = _encode_group(size, head, group, chain) if len(group) >= _MANY else None
        if found is None:
            found = [script_holder(unhexlify(script), chain) for script in group]
        accounts.update(zip(group, found, strict=True))
    return [accounts[script] for script in scripts]


_FORMS = {44: 4, 46: 4, 50: 6, 68: 4}
"""Digits of the scripts with an address of a usual form, and how many of them name the form."""


def _encode_group(size: int, head: str, scripts: list[str], chain: Chain) -> list[str] | None:
    """Addresses of scripts that have a length and a head in common; None where it is not a usual form."""
    if (size, head) in ((44, "0014"), (68, "0020"), (68, "5120")) and chain.hrp:
        data = unhexlify("".join(scripts))
        programs = np.frombuffer(data, np.uint8).reshape(len(scripts), -1)[:, 2:]
        return segwit_addresses(chain.hrp, 1 if head == "5120" else 0, programs)
    versions, tail = {
        (50, "76a914"): (chain.key_versions, "88ac"),
        (46, "a914"): (chain.script_versions, "87"),
    }.get((size, head), ((), ""))
    if not versions or len(versions[0]) != 1 or chain.cash_prefix:
        return None
    if not all(script.endswith(tail) for script in scripts):
        return None
    rows = np.frombuffer(unhexlify("".join(scripts)), np.uint8).reshape(len(scripts), -1)
    start = len(head) // 2
    return base58_addresses(versions[0][0], rows[:, start : start + 20])


def _hash_address(chain: Chain, kind: int, digest: bytes) -> str:
    if chain.cash_prefix:
        return encode_cashaddr(chain.cash_prefix, kind, digest)
    return encode_base58check((chain.script_versions if kind else chain.key_versions)[0] + digest)


def segwit_addresses(hrp: str, version: int, programs: Matrix) -> list[str]:
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
    digits = np.frombuffer(BECH32.encode(), np.uint8)
    text = digits[np.concatenate([values, ends.astype(np.uint8)], axis=1)].tobytes().decode()
    width = groups + 6
    head = f"{hrp}1{BECH32[version]}"
    return [head + text[i : i + width] for i in range(0, count * width, width)]


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


def base58_addresses(version: int, digests: Matrix) -> list[str]:
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
    text = np.frombuffer(BASE58.encode(), np.uint8)[digits].tobytes().decode()
    return [text[i * 35 + start : i * 35 + 35] for i, start in enumerate(starts.tolist())]


def _leading_zeros(rows: Matrix) -> NDArray[np.int64]:
    other = rows != 0
    counts: NDArray[np.int64] = np.where(other.any(axis=1), other.argmax(axis=1), rows.shape[1])
    return counts
