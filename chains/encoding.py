"""The text codings of addresses: Base58Check, Bech32 and Bech32m, CashAddr, and EIP-55.

Only the codings: which chain uses which prefix is in `chains/registry.py`. Every decoder returns None
where the text is not of its coding, so that a caller can try the next one and say why at the end.
"""

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE58_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32_CHECK = 1
BECH32M_CHECK = 0x2BC830A3


@cache
def _base58_pairs(alphabet: str) -> dict[str, int]:
    """Value of every pair of characters: half the steps of one by one."""
    return {a + b: i * 58 + j for i, a in enumerate(alphabet) for j, b in enumerate(alphabet)}


def decode_base58(text: str, alphabet: str = BASE58) -> bytes | None:
    """Bytes that a Base58 text stands for; None where a character is not of the alphabet."""
    pairs = _base58_pairs(alphabet)
    zero = alphabet[0]
    number = 0
    padded = text if len(text) % 2 == 0 else zero + text
    try:
        for i in range(0, len(padded), 2):
            number = number * 3364 + pairs[padded[i : i + 2]]
    except KeyError:
        return None
    zeros = len(text) - len(text.lstrip(zero))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58(data: bytes, alphabet: str = BASE58) -> str:
    """Base58 text of bytes."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(alphabet[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return alphabet[0] * zeros + "".join(reversed(digits))


def decode_base58check(text: str, alphabet: str = BASE58) -> bytes | None:
    """Payload (version and hash) of a Base58Check text; None where the checksum does not hold."""
    data = decode_base58(text, alphabet)
    if data is None or len(data) < 5:
        return None
    payload, check = data[:-4], data[-4:]
    return payload if sha256(sha256(payload).digest()).digest()[:4] == check else None


def encode_base58check(payload: bytes, alphabet: str = BASE58) -> str:
    """Base58Check text of a payload (version and hash)."""
    return encode_base58(payload + sha256(sha256(payload).digest()).digest()[:4], alphabet)


def _bech32_step(values: Iterable[int], check: int = 1) -> int:
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        if top & 1:
            check ^= 0x3B6A57B2
        if top & 2:
            check ^= 0x26508E6D
        if top & 4:
            check ^= 0x1EA119FA
        if top & 8:
            check ^= 0x3D4233DD
        if top & 16:
            check ^= 0x2A1462B3
    return check


def _bech32_prefix(hrp: str) -> list[int]:
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def decode_bech32(text: str, limit: int = 90) -> tuple[str, list[int], int] | None:
    """Human part, 5-bit values without the checksum, and the checksum's constant (BIP-173, BIP-350).

    None for a mixed case, an unknown character, a text over `limit` or a checksum of neither kind.
    """
    lower = text.lower()
    if text not in (lower, text.upper()) or len(text) > limit or not text.isascii():
        return None
    hrp, _, data = lower.rpartition("1")
    if not hrp or len(data) < 6 or any(not 33 <= ord(c) <= 126 for c in hrp):
        return None
    values = [BECH32.find(c) for c in data]
    if -1 in values:
        return None
    check = _bech32_step(values, _bech32_step(_bech32_prefix(hrp)))
    return (hrp, values[:-6], check) if check in (BECH32_CHECK, BECH32M_CHECK) else None


def encode_bech32(hrp: str, values: list[int], check: int = BECH32_CHECK) -> str:
    """Bech32 (or Bech32m, by the constant) text of 5-bit values."""
    end = _bech32_step([*values, 0, 0, 0, 0, 0, 0], _bech32_step(_bech32_prefix(hrp))) ^ check
    return hrp + "1" + "".join(BECH32[v] for v in [*values, *(end >> 5 * (5 - i) & 31 for i in range(6))])


def regroup_bits(values: Iterable[int], source: int, target: int, *, pad: bool) -> list[int] | None:
    """Groups of `source` bits as groups of `target` bits.

    Without `pad`, None where the bits left over are as many as a group or are not zero.
    """
    kept, bits, groups = 0, 0, []
    for value in values:
        kept = (kept << source | value) & 0xFFFF
        bits += source
        while bits >= target:
            bits -= target
            groups.append(kept >> bits & (1 << target) - 1)
    rest = kept & (1 << bits) - 1
    if pad:
        return [*groups, rest << target - bits] if bits else groups
    return None if bits >= source or rest else groups


def decode_segwit(text: str) -> tuple[str, int, bytes] | None:
    """Human part, witness version (0 to 16) and program of a SegWit address (BIP-141, BIP-173, BIP-350)."""
    parts = decode_bech32(text)
    if parts is None:
        return None
    hrp, values, check = parts
    if not values or values[0] > 16 or check != (BECH32M_CHECK if values[0] else BECH32_CHECK):
        return None
    program = regroup_bits(values[1:], 5, 8, pad=False)
    if program is None or not _program_fits(values[0], len(program)):
        return None
    return hrp, values[0], bytes(program)


def encode_segwit(hrp: str, version: int, program: bytes) -> str:
    """SegWit address of a witness program: Bech32 for version 0, Bech32m for 1 to 16.

    Raises ValueError for a version or a length that BIP-141 does not allow.
    """
    if not 0 <= version <= 16 or not _program_fits(version, len(program)):
        raise ValueError(f"no witness program of version {version} has {len(program)} bytes")
    values = regroup_bits(program, 8, 5, pad=True)
    assert values is not None  # noqa: S101  (padding never fails; tells the type checker)
    return encode_bech32(hrp, [version, *values], BECH32M_CHECK if version else BECH32_CHECK)


def _program_fits(version: int, length: int) -> bool:
    return length in (20, 32) if version == 0 else 2 <= length <= 40


def decode_cashaddr(text: str, prefix: str) -> tuple[int, bytes] | None:
    """Type (0 key, 1 script) and 20-byte hash of a Bitcoin Cash address, with or without its prefix.

    Source: the CashAddr specification of Bitcoin Cash. Longer hashes are not in use and are refused.
    """
    lower = text.lower()
    if text not in (lower, text.upper()):
        return None
    values = [BECH32.find(c) for c in lower.removeprefix(prefix + ":")]
    if len(values) != 42 or -1 in values or _cash_step([*(ord(c) & 31 for c in prefix), 0, *values]):
        return None
    data = regroup_bits(values[:-8], 5, 8, pad=False)
    if data is None or data[0] not in (0, 8):
        return None
    return data[0] >> 3, bytes(data[1:])


def encode_cashaddr(prefix: str, kind: int, digest: bytes) -> str:
    """Bitcoin Cash address, without its prefix, of a 20-byte hash; `kind` 0 for a key, 1 for a script."""
    values = regroup_bits([kind << 3, *digest], 8, 5, pad=True)
    assert values is not None  # noqa: S101  (padding never fails; tells the type checker)
    end = _cash_step([*(ord(c) & 31 for c in prefix), 0, *values, *[0] * 8])
    return "".join(BECH32[v] for v in [*values, *(end >> 5 * (7 - i) & 31 for i in range(8))])


def _cash_step(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 35
        check = (check & 0x07FFFFFFFF) << 5 ^ value
        if top & 1:
            check ^= 0x98F2BC8E61
        if top & 2:
            check ^= 0x79B76D99E2
        if top & 4:
            check ^= 0xF33E5FB3C4
        if top & 8:
            check ^= 0xAE2EABE2A8
        if top & 16:
            check ^= 0x1E4F43E470
    return check ^ 1


def checksum_case(digits: str) -> str:
    """Mixed-case form of 40 lower-case hex digits: the case carries the checksum (EIP-55)."""
    from Crypto.Hash import keccak

    check = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    return "".join(c.upper() if h > "7" else c for c, h in zip(digits, check, strict=False))
