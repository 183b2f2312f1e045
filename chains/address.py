"""Addresses: read them, tell which chain they are of, and write them as CAIP-10.

Inside, an address is its chain and its canonical text: lower-case hex on EVM chains, lower case for
Bech32, Base58Check on TRON, as written elsewhere. What the text must be is in `chains/forms.py`.
Sources: CAIP-2, CAIP-10, and those named there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote

from chains.encoding import (
    checksum_case,
    decode_base58check,
    decode_cashaddr,
    decode_segwit,
    encode_base58check,
    encode_segwit,
)
from chains.errors import AddressError, AmbiguousAddress, UnknownChain
from chains.forms import (
    BROKEN_CHECKSUM,
    MAX_ACCOUNT,
    TRON_VERSION,
    bare_address,
    canonical_address,
    percent_encoded,
    why_no_address,
)
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


@dataclass(frozen=True)
class Account:
    """One address of one chain, in canonical form."""

    chain: Chain
    address: str

    @property
    def caip10(self) -> str:
        """CAIP-10 id: the chain's CAIP-2 id and the address, percent-encoded where it needs to be."""
        return f"{self.chain.caip2}:{percent_encoded(self.address)}"

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
    account = _from_caip10(word, chain)
    if account is not None:
        return account
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
    account = _from_caip10(word, None)
    found = (account,) if account is not None else tuple(_readings(word))
    if not found:
        raise AddressError(text, why=why_no_address(word))
    return found


def key_form(address: str) -> str:
    """Return the part of an address that is the same wherever the same key or script would be used.

    EVM and TRON addresses give lower-case `0x…` (one key gives one hash on all of them); Bitcoin and the
    chains of its kind give Bitcoin's form of the same hash. Other addresses, and those of the simulated
    chain, are returned as they are. Forms are not crossed: a key's P2PKH and P2WPKH addresses differ.
    """
    if len(address) == 42 and address.startswith("0x"):
        return address.lower()
    payload = decode_base58check(address) if len(address) <= 36 else None
    segwit = decode_segwit(address) if payload is None else None
    cash = decode_cashaddr(address, "bitcoincash") if payload is None else None
    if payload is not None and payload[:1] == TRON_VERSION and len(payload) == 21:
        return "0x" + payload[1:].hex()
    if payload is not None:
        return _bitcoin_form(payload) or address
    if segwit is not None and any(segwit[0] == chain.hrp and not chain.simulated for chain in CHAINS):
        return encode_segwit("bc", *segwit[1:])
    if cash is not None:
        return encode_base58check((b"\x05" if cash[0] else b"\x00") + cash[1])
    return address


def _bitcoin_form(payload: bytes) -> str | None:
    """Bitcoin's address of the hash in a Base58Check payload of a chain of its kind."""
    version, digest = payload[:-20], payload[-20:]
    if any(version in chain.key_versions for chain in CHAINS):
        return encode_base58check(b"\x00" + digest)
    if any(version in chain.script_versions for chain in CHAINS):
        return encode_base58check(b"\x05" + digest)
    return None


def script_account(script_hex: str) -> str:
    """Return the stand-in address of an output script that has no address: the start of its SHA-256.

    Raises ValueError where `script_hex` is not hexadecimal.
    """
    return "script-" + sha256(bytes.fromhex(script_hex)).hexdigest()[:40]


def output_account(txid: str, index: int) -> str:
    """Return the stand-in address of an output of which neither address nor script is known."""
    return f"output-{txid}-{index}"


def tron_hex(address: str) -> str:
    """Return the hex form (`41…`, 42 digits) of a TRON address; raises `AddressError`."""
    payload = decode_base58check(address) if len(address) == 34 else None
    if payload is None or len(payload) != 21 or payload[:1] != TRON_VERSION:
        raise AddressError(address, chain="tron", why=BROKEN_CHECKSUM)
    return payload.hex()


def _readings(word: str) -> Iterator[Account]:
    for chain in CHAINS:
        address = bare_address(word, chain)
        if address is not None:
            yield Account(chain, address)


def _from_caip10(word: str, chain: Chain | None) -> Account | None:
    """Account of a CAIP-10 id; None where the text is not one (a payment account may hold colons)."""
    if ":" not in word:
        return None
    head, _, rest = word.partition(":")
    cash = next((c for c in CHAINS if c.cash_prefix and c.cash_prefix == head.lower()), None)
    if cash is not None and chain in (None, cash):
        return Account(cash, canonical_address(word, cash))
    reference, colon, coded = rest.partition(":")
    caip2 = f"{head}:{reference}"
    if chain is not None and (not colon or chain.caip2 != caip2):
        if chain.family == "payments":
            return None
        raise AddressError(word, chain=chain.name, why=f"it is written as one of {caip2[:60]}")
    if not colon and any(head.lower() == listed.name for listed in CHAINS):
        named = find_chain(head)  # the form of payment links: bitcoin:bc1…
        return Account(named, canonical_address(rest, named))
    if not colon:
        raise AddressError(word, why="write it as NAMESPACE:REFERENCE:ADDRESS, for example eip155:1:0x…")
    named = find_chain(caip2)
    if named.caip2 != caip2:
        raise UnknownChain(caip2)
    return Account(named, canonical_address(_percent_decoded(coded), named))


def _percent_decoded(text: str) -> str:
    if len(text) > 4 * MAX_ACCOUNT:
        raise AddressError(text, why=f"it is longer than {MAX_ACCOUNT} characters")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise AddressError(text, why="its percent-encoding is not UTF-8") from None
