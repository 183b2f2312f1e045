"""The forms of addresses: what the text of an address must be on each family of chains.

`canonical_address` reads an address whose chain is known, `bare_address` one with nothing beside it, which
may be of several chains. Sources: BIP-13, BIP-141, BIP-173, BIP-350, EIP-55, the CashAddr specification,
TRON's protocol documentation.
"""

import re
import unicodedata
from urllib.parse import quote

from chains.encoding import (
    BASE58_RIPPLE,
    checksum_case,
    decode_base58,
    decode_base58check,
    decode_bech32,
    decode_cashaddr,
    decode_segwit,
    encode_base58check,
)
from chains.errors import AddressError
from chains.registry import Chain

MAX_ACCOUNT = 128  # characters of CAIP-10's account part, percent-encoded
TRON_VERSION = b"\x41"

_HEX20 = re.compile("[0-9a-fA-F]{40}")
_PLAIN = re.compile("[-.a-zA-Z0-9]*")
_EVM = re.compile("0x[0-9a-fA-F]{40}")
_STAND_IN = re.compile("script-[0-9a-f]{40}|output-[0-9a-f]{64}-[0-9]{1,10}")
_NONSTANDARD = re.compile("nonstandard[0-9a-f]{40}")  # bitcoin-etl's word for a script without an address
_LONGEST = 600  # of any address: Zcash's unified ones come near it

BROKEN_CHECKSUM = "its checksum does not hold: a character is wrong, missing or too many"
_NO_FIT = "its length, characters or checksum do not fit"
_BROKEN_CASE = (
    "its capital letters do not fit its digits (EIP-55): a character is wrong; "
    "if you are sure of it, write it in lower case"
)


def canonical_address(text: str, chain: Chain) -> str:
    """Return the canonical text of an address of `chain`; raises `AddressError`."""
    if chain.family == "evm":
        return _evm_address(text, chain)
    if chain.family == "tron":
        return _tron_address(text, chain)
    if chain.family == "payments":
        return _payment_account(text, chain)
    if chain.family == "bitcoin":
        address = _bitcoin_reading(text, chain, named=True)
    else:
        address = _other_reading(text, chain, named=True)
    if address is None:
        why = _why_not_bitcoin(text, chain) if chain.family == "bitcoin" else _NO_FIT
        raise AddressError(text, chain=chain.name, why=why)
    return address


def bare_address(text: str, chain: Chain) -> str | None:
    """Canonical address if the text, with nothing beside it, can be one of this chain; None otherwise.

    Raises `AddressError` where it has the form of one, and a wrong checksum in its capital letters.
    """
    address: str | None = None
    if chain.family == "evm" and _EVM.fullmatch(text):
        address = _evm_address(text, chain)
    elif chain.family == "tron" and _looks_like_tron(text):
        address = _tron_reading(text)
    elif chain.family == "bitcoin":
        address = _bitcoin_reading(text, chain, named=False)
    elif chain.family == "other":
        address = _other_reading(text, chain, named=False)
    return address


def why_no_address(text: str) -> str:
    """Why a text is an address of no chain, for a person."""
    if re.fullmatch("(0x)?[0-9a-fA-F]{64}", text):
        return "64 hexadecimal digits are a transaction's hash: give one of the addresses in it"
    if not text:
        return "it is empty"
    if text.lower().startswith("0x"):
        return "after 0x (small x) it must have 40 hexadecimal digits"
    if 25 <= len(text) <= 100 and (
        decode_base58(text) is not None or re.match("(bc|ltc|tb|sim)1", text.lower())
    ):
        return BROKEN_CHECKSUM
    return "no known chain writes addresses like this; give the chain too, as in payments:mybank:ACCOUNT"


def percent_encoded(text: str) -> str:
    """Percent-encoded for CAIP-10 and CAIP-19, which allow letters, digits, `-`, `.` and `%` only."""
    if _PLAIN.fullmatch(text):
        return text
    return quote(text, safe="").replace("_", "%5F").replace("~", "%7E")


def _evm_address(text: str, chain: Chain) -> str:
    if not _EVM.fullmatch(text):
        raise AddressError(text, chain=chain.name, why="it must be 0x and 40 hexadecimal digits")
    digits = text[2:]
    lower = digits.lower()
    if digits not in (lower, digits.upper()) and digits != checksum_case(lower):
        raise AddressError(text, chain=chain.name, why=_BROKEN_CASE)
    return "0x" + lower


def _looks_like_tron(text: str) -> bool:
    return text.startswith("T") or (text.startswith("41") and len(text) == 42)


def _tron_reading(text: str) -> str | None:
    """Base58Check form of a TRON address, given in it, in hex with its version, or as `0x` and 20 bytes."""
    digits = text.removeprefix("0x")
    if text.startswith("0x") and _HEX20.fullmatch(digits):
        return encode_base58check(TRON_VERSION + bytes.fromhex(digits))
    if len(digits) == 42 and digits.startswith("41") and _HEX20.fullmatch(digits[2:]):
        return encode_base58check(bytes.fromhex(digits))
    payload = decode_base58check(text) if len(text) == 34 else None
    return text if payload is not None and len(payload) == 21 and payload[:1] == TRON_VERSION else None


def _tron_address(text: str, chain: Chain) -> str:
    address = _tron_reading(text)
    if address is None:
        other = len(text) <= _LONGEST and decode_base58check(text) is not None
        why = "its version byte is not TRON's" if other else BROKEN_CHECKSUM
        raise AddressError(text, chain=chain.name, why=why)
    return address


def _payment_account(text: str, chain: Chain) -> str:
    if len(text) > 4 * MAX_ACCOUNT:
        raise AddressError(text, chain=chain.name, why=f"it is longer than {MAX_ACCOUNT} characters")
    word = unicodedata.normalize("NFC", text).strip()
    if not word:
        raise AddressError(text, chain=chain.name, why="it is empty")
    if not word.isprintable():
        raise AddressError(text, chain=chain.name, why="it has characters that cannot be printed")
    if len(percent_encoded(word)) > MAX_ACCOUNT:
        raise AddressError(
            text, chain=chain.name, why=f"it is longer than {MAX_ACCOUNT} characters when encoded"
        )
    return word


def _bitcoin_reading(text: str, chain: Chain, *, named: bool) -> str | None:
    """Canonical address of a chain of Bitcoin's kind; older and shared forms only where it is `named`."""
    if not text.isascii() or not 14 <= len(text) <= _LONGEST:
        return None
    human = text.lower().rpartition("1")[0]
    if human and human == chain.hrp:
        return text.lower() if decode_segwit(text) is not None else None
    if human and human == chain.plain_hrp:
        return text.lower() if decode_bech32(text) is not None else None
    cash = text.lower().removeprefix(chain.cash_prefix + ":")
    if chain.cash_prefix and decode_cashaddr(text, chain.cash_prefix) is not None:
        return cash
    if named and (_STAND_IN.fullmatch(text) or _NONSTANDARD.fullmatch(text)):
        return text.replace("nonstandard", "script-")
    return text if _fits_form(text, chain) or _fits_versions(text, chain, named=named) else None


def _fits_form(text: str, chain: Chain) -> bool:
    return bool(chain.form and re.fullmatch(chain.form, text))


def _fits_versions(text: str, chain: Chain, *, named: bool) -> bool:
    payload = decode_base58check(text) if 25 <= len(text) <= 36 else None
    if payload is None or len(payload) < 21:
        return False
    keys, scripts = chain.key_versions, chain.script_versions
    if not named:
        # Bitcoin Cash and Bitcoin SV took Bitcoin's form over: a bare one means Bitcoin.
        keys, scripts = (keys, scripts[:1]) if b"\x00" not in keys or chain.name == "bitcoin" else ((), ())
    return payload[:-20] in (*keys, *scripts)


def _why_not_bitcoin(text: str, chain: Chain) -> str:
    word = text.lower()
    if chain.hrp and word.startswith(chain.hrp + "1"):
        if text not in (word, text.upper()):
            return "it mixes capital and small letters"
        if decode_bech32(text) is None:
            return BROKEN_CHECKSUM
        return "its witness version, length or kind of checksum is not allowed (BIP-141, BIP-350)"
    payload = decode_base58check(text) if text.isascii() and len(text) <= _LONGEST else None
    if payload is None:
        return BROKEN_CHECKSUM
    if len(payload) != 21:
        return f"it holds {len(payload)} bytes, an address 21; it may be a key: never give out a private one"
    return f"its version byte 0x{payload[:-20].hex()} is of another chain"


def _other_reading(text: str, chain: Chain, *, named: bool) -> str | None:
    if not 1 <= len(text) <= _LONGEST or not text.isascii():
        return None
    found = False
    if chain.name == "ripple":
        payload = decode_base58check(text, BASE58_RIPPLE) if 25 <= len(text) <= 35 else None
        found = payload is not None and len(payload) == 21 and payload[:1] == b"\0"
    elif chain.name == "solana":
        data = decode_base58(text) if 32 <= len(text) <= 44 else None
        found = data is not None and len(data) == 32
    elif chain.plain_hrp:
        plain = decode_bech32(text)
        return text.lower() if plain is not None and plain[0] == chain.plain_hrp else None
    elif chain.form or chain.named_form:
        found = _fits_form(text, chain) or (named and bool(re.fullmatch(chain.named_form or "(?!)", text)))
    elif named:
        found = text.isprintable() and " " not in text and len(percent_encoded(text)) <= MAX_ACCOUNT
    return text if found else None
