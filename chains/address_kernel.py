"""Checksums of Bitcoin's and TRON's addresses by the million, compiled: one pass over the bytes of all texts.

The same answers as the column arithmetic of `chains/bulk.py`, five times as fast; compiling takes seconds, so
only large columns come here. SHA-256 is FIPS 180-4's, for messages that fit one block.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from chains.encoding import BASE58, BECH32, BECH32_CHECK, BECH32M_CHECK

_PRIMES = [n for n in range(2, 312) if all(n % d for d in range(2, int(n**0.5) + 1))]


def _root_bits(prime: int, degree: int) -> int:
    """First 32 bits of the fraction of a root of a prime, exactly."""
    scaled = prime << 32 * degree
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


_ROUNDS = np.array([_root_bits(p, 3) for p in _PRIMES[:64]], np.uint32)
_START = np.array([_root_bits(p, 2) for p in _PRIMES[:8]], np.uint32)


def _places(alphabet: str) -> NDArray[np.uint8]:
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(alphabet.encode(), np.uint8)] = np.arange(len(alphabet))
    return table


_BASE58, _BECH32 = _places(BASE58), _places(BECH32)
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_POWERS = np.array([58**n for n in range(6)], np.uint64)


def _combined(top: int) -> int:
    """The generators of BIP-173 that the five bits above a checksum choose, put together."""
    found = 0
    for bit, generator in enumerate(_GENERATORS):
        found ^= generator if top >> bit & 1 else 0
    return found


_CHOSEN = np.array([_combined(top) for top in range(32)], np.uint32)


@numba.njit(cache=True, nogil=True, inline="always")
def _turn(word: Any, bits: Any) -> Any:
    return np.uint32((word >> np.uint32(bits)) | (word << np.uint32(32 - bits)))


@numba.njit(cache=True, nogil=True)
def _digest(block: Any, state: Any) -> None:
    """SHA-256 of one padded block of 16 words, into the 8 words of `state`; `block` has room for 64."""
    for i in range(16, 64):
        a, b = block[i - 15], block[i - 2]
        low = _turn(a, 7) ^ _turn(a, 18) ^ (a >> np.uint32(3))
        high = _turn(b, 17) ^ _turn(b, 19) ^ (b >> np.uint32(10))
        block[i] = np.uint32(block[i - 16] + low + block[i - 7] + high)
    a, b, c, d = _START[0], _START[1], _START[2], _START[3]
    e, f, g, h = _START[4], _START[5], _START[6], _START[7]
    for i in range(64):
        one = _turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)
        first = np.uint32(h + one + (g ^ (e & (f ^ g))) + _ROUNDS[i] + block[i])
        zero = _turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)
        second = np.uint32(zero + ((a & b) | (c & (a | b))))
        h, g, f, e = g, f, e, np.uint32(d + first)
        d, c, b, a = c, b, a, np.uint32(first + second)
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[i] = np.uint32(word + _START[i])


@numba.njit(cache=True, nogil=True)
def _read_number(text: Any, limbs: Any) -> int:
    """Number of a Base58 text in 32-bit limbs, the lowest first; returns how many ones lead, -1 for none."""
    limbs[:] = 0
    ones = 0
    for start in range(0, len(text), 5):  # 58**5 is below 2**32
        end = min(start + 5, len(text))
        carry = np.uint64(0)
        for i in range(start, end):
            digit = _BASE58[text[i]]
            if digit == 255:
                return -1
            if ones == i and digit == 0:
                ones += 1
            carry = carry * np.uint64(58) + np.uint64(digit)
        factor = _POWERS[end - start]
        for j in range(7):
            value = limbs[j] * factor + carry
            limbs[j] = value & np.uint64(0xFFFFFFFF)
            carry = value >> np.uint64(32)
        if carry:
            return -1
    return ones


@numba.njit(cache=True, nogil=True)
def _checksum(limbs: Any, block: Any, state: Any) -> Any:
    """First word of the double SHA-256 of the 21 bytes above the lowest limb."""
    # The payload begins in the lowest byte of the top limb: words are shifted by three bytes.
    for i in range(5):
        block[i] = np.uint32((limbs[6 - i] << np.uint64(24)) & np.uint64(0xFFFFFFFF)) | np.uint32(
            limbs[5 - i] >> np.uint64(8)
        )
    block[5] = np.uint32((limbs[1] << np.uint64(24)) & np.uint64(0xFFFFFFFF)) | np.uint32(0x800000)
    block[6:15] = 0
    block[15] = 21 * 8
    _digest(block, state)
    block[:8] = state
    block[8] = np.uint32(0x80000000)
    block[9:15] = 0
    block[15] = 32 * 8
    _digest(block, state)
    return np.uint64(state[0])


@numba.njit(cache=True, nogil=True)
def _base58_holds(text: Any, versions: Any, limbs: Any, block: Any, state: Any) -> bool:
    """Whether a text is the Base58Check form of 25 bytes with one of the versions."""
    ones = _read_number(text, limbs)
    if ones < 0 or limbs[6] > np.uint64(0xFF) or not versions[np.uint8(limbs[6])]:
        return False
    zeros = 0  # bytes of nothing at the start of the payload: as many as the text has ones
    for i in range(21):
        at = 24 - i
        if (limbs[at // 4] >> np.uint64(8 * (at % 4))) & np.uint64(0xFF):
            break
        zeros += 1
    return zeros == ones and _checksum(limbs, block, state) == limbs[0]


@numba.njit(cache=True, nogil=True)
def _segwit_holds(text: Any, head: Any, start: Any) -> bool:
    """Whether a text is a lower-case SegWit address with a program of 20 or 32 bytes."""
    for i in range(len(head)):
        if text[i] != head[i]:
            return False
    check = start
    version = np.uint8(0)
    last = np.uint8(0)
    size = len(text) - len(head)
    for i in range(size):
        value = _BECH32[text[len(head) + i]]
        if value == 255:
            return False
        if i == 0:
            version = value
        if i == 52:
            last = value
        top = check >> np.uint32(25)
        check = np.uint32(((check & np.uint32(0x1FFFFFF)) << np.uint32(5)) ^ np.uint32(value) ^ _CHOSEN[top])
    if version > 16 or (size == 59 and last & 15):
        return False
    return bool(check == (np.uint32(BECH32_CHECK) if version == 0 else np.uint32(BECH32M_CHECK)))


@numba.njit(cache=True, nogil=True)
def _mark_plain(data: Any, offsets: Any, versions: Any, segwit: Any, plain: Any) -> None:
    head, start = segwit
    limbs = np.zeros(7, np.uint64)
    block = np.zeros(64, np.uint32)
    state = np.zeros(8, np.uint32)
    for i in range(len(plain)):
        text = data[offsets[i] : offsets[i + 1]]
        size = len(text)
        if (
            len(head) > 1
            and (size - len(head) == 39 or size - len(head) == 59)
            and _segwit_holds(text, head, start)
        ):
            plain[i] = True
        elif 26 <= size <= 35:
            plain[i] = _base58_holds(text, versions, limbs, block, state)


def mark_plain(
    data: NDArray[np.uint8], offsets: NDArray[np.int32], *, versions: set[int], hrp: str
) -> NDArray[np.bool_]:
    """Which texts are surely canonical: Base58Check with one of the versions, or SegWit of the human part.

    `data` holds the bytes of all texts, text i from `offsets[i]` to `offsets[i + 1]`.
    """
    plain = np.zeros(len(offsets) - 1, np.bool_)
    accepted = np.zeros(256, np.bool_)
    accepted[list(versions)] = True
    head = np.frombuffer((hrp + "1").encode(), np.uint8)
    check = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value ^ _combined(top)
    _mark_plain(data, offsets, accepted, (head, np.uint32(check)), plain)
    return plain
