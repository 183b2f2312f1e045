"""Addresses: read them, check them, tell which chain they are of, and write them as CAIP-10.

Inside, an address is its chain and its canonical text: lower-case hex on EVM chains, lower case for
Bech32, Base58Check on TRON, as written elsewhere. Sources: BIP-13, BIP-141, BIP-173, BIP-350, EIP-55,
CAIP-2, CAIP-10, the CashAddr specification, TRON's protocol documentation.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, unquote

from chains.encoding import (
    BASE58_RIPPLE,
    checksum_case,
    decode_base58,
    decode_base58check,
    decode_bech32,
    decode_cashaddr,
    decode_segwit,
    encode_base58check,
    encode_segwit,
)
from chains.errors import AddressError, AmbiguousAddress, UnknownChain
from chains.registry import CHAINS, Chain, find_chain

__all__ = [
    "Account",
    "Chain",
    "candidate_accounts",
    "canonical_address",
    "encode_segwit",
    "find_chain",
    "key_form",
    "output_account",
    "parse_account",
    "script_account",
    "tron_hex",
]

MAX_ACCOUNT = 128  # characters of CAIP-10's account part, percent-encoded

_TRON_VERSION = b"\x41"
_HEX20 = re.compile("[0-9a-fA-F]{40}")
_EVM = re.compile("0x[0-9a-fA-F]{40}")
_STAND_IN = re.compile("script-[0-9a-f]{40}|output-[0-9a-f]{64}-[0-9]{1,10}")
_NONSTANDARD = re.compile("nonstandard[0-9a-f]{40}")
_ACCOUNT = re.compile("[-.%a-zA-Z0-9]{1,128}")


@dataclass(frozen=True)
class Account:
    """One address of one chain, in canonical form."""

    chain: Chain
    address: str

    @property
    def caip10(self) -> str:
        """CAIP-10 id: the chain's CAIP-2 id and the address, percent-encoded where it needs to be."""
        return f"{self.chain.caip2}:{_percent_encoded(self.address)}"

    @property
    def shown(self) -> str:
        """Address as people write it: with its checksum in the case on EVM chains (EIP-55)."""
        if self.chain.family == "evm":
            return "0x" + checksum_case(self.address[2:])
        return self.address


def parse_account(text: str, chain: Chain | None = None) -> Account:
    """Return the account of a CAIP-10 id, or of a bare address with or without its chain.

    Raises `AddressError` where it is none, `AmbiguousAddress` where a bare one fits several chains,
    `UnknownChain` where the id's chain cannot be one.
    """
    word = text.strip()
    if ":" in word:
        named = _split_caip10(word, chain)
        if named is not None:
            return named
    if chain is not None:
        return Account(chain, canonical_address(word, chain))
    found = candidate_accounts(word)
    if len(found) > 1:
        raise AmbiguousAddress(text, chains=tuple(account.chain.caip2 for account in found))
    return found[0]


def candidate_accounts(text: str) -> tuple[Account, ...]:
    """Every account that the text can mean, the likeliest first; raises `AddressError` where there is none.

    A CAIP-10 id means one. A bare `0x…` may be of every EVM chain listed, Ethereum first. Forks that took
    over Bitcoin's address form (Bitcoin Cash, Bitcoin SV) are meant only where they are named.
    """
    word = text.strip()
    if ":" in word:
        named = _split_caip10(word, None)
        if named is not None:
            return (named,)
    found = tuple(_readings(word))
    if not found:
        raise AddressError(text, why=_why_none(word))
    return found


def canonical_address(text: str, chain: Chain) -> str:
    """Return the canonical text of a bare address of `chain`; raises `AddressError`."""
    if chain.family == "evm":
        return _evm_address(text, chain)
    if chain.family == "tron":
        return _tron_address(text, chain)
    if chain.family == "payments":
        return _payment_account(text, chain)
    if chain.family == "bitcoin":
        return _bitcoin_address(text, chain)
    return _other_address(text, chain)


def key_form(address: str) -> str:
    """Return the part of an address that is the same wherever the same key or script would be used.

    EVM and TRON addresses give lower-case `0x…` (one key gives one hash on all of them); Bitcoin and the
    chains of its kind give Bitcoin's form of the same hash. Other addresses, and those of the simulated
    chain, are returned as they are. Forms are not crossed: a key's P2PKH and P2WPKH addresses differ.
    """
    if _EVM.fullmatch(address):
        return address.lower()
    payload = decode_base58check(address)
    if payload is not None and len(payload) in (21, 22):
        version, digest = payload[:-20], payload[-20:]
        if version == _TRON_VERSION:
            return "0x" + digest.hex()
        if any(version in chain.key_versions for chain in CHAINS):
            return encode_base58check(b"\x00" + digest)
        if any(version in chain.script_versions for chain in CHAINS):
            return encode_base58check(b"\x05" + digest)
        return address
    segwit = decode_segwit(address)
    if segwit is not None and any(segwit[0] == c.hrp and not c.simulated for c in CHAINS):
        return encode_segwit("bc", *segwit[1:])
    cash = decode_cashaddr(address, "bitcoincash")
    if cash is not None:
        return encode_base58check((b"\x05" if cash[0] else b"\x00") + cash[1])
    return address


def script_account(script_hex: str) -> str:
    """Return the stand-in address of an output script that has no address: the start of its SHA-256."""
    return "script-" + sha256(bytes.fromhex(script_hex)).hexdigest()[:40]


def output_account(txid: str, index: int) -> str:
    """Return the stand-in address of an output of which neither address nor script is known."""
    return f"output-{txid}-{index}"


def tron_hex(address: str) -> str:
    """Return the hex form (`41…`, 42 digits) of a TRON address; raises `AddressError`."""
    payload = decode_base58check(address)
    if payload is None or len(payload) != 21 or payload[:1] != _TRON_VERSION:
        raise AddressError(address, chain="tron", why=_BASE58_WHY)
    return payload.hex()


_BASE58_WHY = "its checksum does not hold: a character is wrong, missing or too many"


def _split_caip10(word: str, chain: Chain | None) -> Account | None:
    """Account of a CAIP-10 id; None where the text is not one (a payment account may hold colons)."""
    if chain is not None and chain.cash_prefix and word.lower().startswith(chain.cash_prefix + ":"):
        return None
    parts = word.split(":", 2)
    if chain is None and len(parts) == 2:
        for listed in CHAINS:
            if listed.cash_prefix and parts[0].lower() == listed.cash_prefix:
                return Account(listed, canonical_address(word, listed))
    if len(parts) < 3:
        if chain is not None and chain.family == "payments":
            return None
        raise AddressError(word, why="write it as NAMESPACE:REFERENCE:ADDRESS, for example eip155:1:0x…")
    caip2, coded = f"{parts[0]}:{parts[1]}", parts[2]
    if chain is not None and chain.caip2 != caip2:
        if chain.family == "payments":
            return None
        raise AddressError(word, chain=chain.name, why=f"it is written as one of {caip2}")
    named = find_chain(caip2)
    if named.caip2 != caip2:
        raise UnknownChain(caip2)
    return Account(named, canonical_address(_percent_decoded(coded), named))


def _readings(word: str) -> Iterator[Account]:
    for chain in CHAINS:
        address = _bare_address(word, chain)
        if address is not None:
            yield Account(chain, address)


def _bare_address(word: str, chain: Chain) -> str | None:
    """Canonical address if the text, with nothing beside it, can be of this chain."""
    address: str | None = None
    if chain.family == "evm":
        address = _evm_address(word, chain) if _EVM.fullmatch(word) else None
    elif chain.family == "tron":
        payload = decode_base58check(word) if len(word) == 34 and word[0] == "T" else None
        if payload is not None and payload[:1] == _TRON_VERSION:
            address = word
        elif len(word) == 42 and word.startswith("41") and _HEX20.fullmatch(word[2:]):
            address = _tron_address(word, chain)
    elif chain.family == "bitcoin":
        address = _bitcoin_reading(word, chain, named=False)
    elif chain.family == "other":
        address = _other_reading(word, chain, named=False)
    return address


def _evm_address(text: str, chain: Chain) -> str:
    if not _EVM.fullmatch(text):
        raise AddressError(text, chain=chain.name, why="it must be 0x and 40 hexadecimal digits")
    digits = text[2:]
    lower = digits.lower()
    if digits not in (lower, digits.upper()) and digits != checksum_case(lower):
        raise AddressError(
            text,
            chain=chain.name,
            why="its capital letters do not fit its digits (EIP-55): a character is wrong; "
            "if you are sure of it, write it in lower case",
        )
    return "0x" + lower


def _tron_address(text: str, chain: Chain) -> str:
    digits = text.removeprefix("0x")
    if _HEX20.fullmatch(digits) and text.startswith("0x"):
        return encode_base58check(_TRON_VERSION + bytes.fromhex(digits))
    if len(digits) == 42 and digits.startswith("41") and _HEX20.fullmatch(digits[2:]):
        return encode_base58check(bytes.fromhex(digits))
    payload = decode_base58check(text) if len(text) == 34 else None
    if payload is None:
        raise AddressError(text, chain=chain.name, why=_BASE58_WHY)
    if len(payload) != 21 or payload[:1] != _TRON_VERSION:
        raise AddressError(text, chain=chain.name, why="its version byte is not TRON's")
    return text


def _payment_account(text: str, chain: Chain) -> str:
    word = unicodedata.normalize("NFC", text).strip()
    if not word:
        raise AddressError(text, chain=chain.name, why="it is empty")
    if not word.isprintable():
        raise AddressError(text, chain=chain.name, why="it has characters that cannot be printed")
    if len(word) > MAX_ACCOUNT or len(_percent_encoded(word)) > MAX_ACCOUNT:
        raise AddressError(
            text, chain=chain.name, why=f"it is longer than {MAX_ACCOUNT} characters when encoded"
        )
    return word


def _bitcoin_address(text: str, chain: Chain) -> str:
    address = _bitcoin_reading(text, chain, named=True)
    if address is None:
        raise AddressError(text, chain=chain.name, why=_why_not_bitcoin(text, chain))
    return address


def _bitcoin_reading(text: str, chain: Chain, *, named: bool) -> str | None:
    """Canonical address of a chain of Bitcoin's kind; older and shared forms only where it is `named`."""
    if not text.isascii() or not 14 <= len(text) <= 600:
        return None
    separator = text.rfind("1")
    if separator > 0 and text[:separator].lower() in (chain.hrp, chain.plain_hrp):
        if text[:separator].lower() == chain.plain_hrp:
            plain = decode_bech32(text)
            return text.lower() if plain is not None else None
        segwit = decode_segwit(text)
        return text.lower() if segwit is not None else None
    if chain.cash_prefix and len(text.lower().removeprefix(chain.cash_prefix + ":")) == 42:
        if decode_cashaddr(text, chain.cash_prefix) is not None:
            return text.lower().removeprefix(chain.cash_prefix + ":")
        return None
    if named and (_STAND_IN.fullmatch(text) or _NONSTANDARD.fullmatch(text)):
        return text.replace("nonstandard", "script-")
    if chain.form and re.fullmatch(chain.form, text):
        return text
    if not 25 <= len(text) <= 36:
        return None
    payload = decode_base58check(text)
    if payload is None or len(payload) < 21:
        return None
    keys, scripts = chain.key_versions, chain.script_versions
    if not named:
        if _shares_bitcoins_form(chain):
            return None
        scripts = scripts[:1]
    return text if payload[:-20] in (*keys, *scripts) else None


def _shares_bitcoins_form(chain: Chain) -> bool:
    return b"\x00" in chain.key_versions and chain.name != "bitcoin"


def _why_not_bitcoin(text: str, chain: Chain) -> str:
    word = text.lower()
    if chain.hrp and word.startswith(chain.hrp + "1"):
        if text not in (word, text.upper()):
            return "it mixes capital and small letters"
        if decode_bech32(text) is None:
            return _BASE58_WHY
        return "its witness version, length or kind of checksum is not allowed (BIP-141, BIP-350)"
    payload = decode_base58check(text) if text.isascii() and len(text) <= 128 else None
    if payload is None:
        return _BASE58_WHY
    if len(payload) != 21:
        return f"it holds {len(payload)} bytes, an address 21; it may be a key: never give out a private one"
    return f"its version byte 0x{payload[:-20].hex()} is of another chain"


def _other_address(text: str, chain: Chain) -> str:
    address = _other_reading(text, chain, named=True)
    if address is None:
        raise AddressError(text, chain=chain.name, why="its form or checksum does not fit")
    return address


def _other_reading(text: str, chain: Chain, *, named: bool) -> str | None:
    if chain.name == "ripple":
        payload = decode_base58check(text, BASE58_RIPPLE) if 25 <= len(text) <= 35 else None
        return text if payload is not None and len(payload) == 21 and payload[:1] == b"\0" else None
    if chain.name == "solana":
        data = decode_base58(text) if 32 <= len(text) <= 44 else None
        return text if data is not None and len(data) == 32 else None
    if chain.plain_hrp:
        plain = decode_bech32(text)
        return text.lower() if plain is not None and plain[0] == chain.plain_hrp else None
    if chain.form and re.fullmatch(chain.form, text):
        return text
    if not named:
        return None
    if chain.named_form:
        return text if re.fullmatch(chain.named_form, text) else None
    plain_text = not chain.form and text.isprintable() and " " not in text and bool(text)
    return text if plain_text and len(_percent_encoded(text)) <= MAX_ACCOUNT else None


def _why_none(word: str) -> str:
    if not word:
        return "it is empty"
    if word.lower().startswith("0x"):
        if _EVM.fullmatch(word):
            return (
                "its capital letters do not fit its digits (EIP-55): a character is wrong; "
                "if you are sure of it, write it in lower case"
            )
        return "after 0x it must have 40 hexadecimal digits"
    if word.lower().startswith(("bc1", "ltc1", "tb1", "sim1")):
        chain = next(c for c in CHAINS if c.hrp and word.lower().startswith(c.hrp + "1"))
        return _why_not_bitcoin(word, chain)
    if 25 <= len(word) <= 36 and decode_base58(word) is not None:
        return _BASE58_WHY
    return "no known chain writes addresses like this; give the chain too, as in payments:mybank:ACCOUNT"


def _percent_encoded(text: str) -> str:
    """Percent-encoded for CAIP-10, whose account part may hold letters, digits, `-`, `.` and `%` only."""
    return quote(text, safe="").replace("_", "%5F").replace("~", "%7E")


def _percent_decoded(text: str) -> str:
    if len(text) > 4 * MAX_ACCOUNT:
        raise AddressError(text, why=f"it is longer than {MAX_ACCOUNT} characters")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise AddressError(text, why="its percent-encoding is not UTF-8") from None
