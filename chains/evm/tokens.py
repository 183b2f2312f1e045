"""Token events in the logs of EVM chains and TRON: transfers, and what moves balances without one.

Transfer(address,address,uint256) is read with both parties indexed (three topics, 32 bytes) or neither (one
topic, 96 bytes). Four topics are an NFT's, any other length is another event: neither is a transfer. What
else an issuer's contract says of balances is in its event profile: literal data, per chain and contract,
since anyone can emit any topic. Sources: EIP-20, EIP-721, the Solidity ABI specification (events), and the
verified sources of the contracts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

from chains.errors import InputError
from chains.evm.hex import Misread
from chains.forms import canonical_address
from chains.registry import Chain, find_chain

NOBODY = "0x" + "0" * 40
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of Transfer(address,address,uint256)."""

OWNER_CALL = "0x8da5cb5b"
"""Call data of owner()."""

Effect = Literal["mint", "burn", "freeze", "release"]


class TokenEvent(NamedTuple):
    """What one log does. Amounts are raw units; accounts are hexadecimal, None where there is none.

    A move has `payer` and `payee`: no payer mints, no payee burns. `effect` is move, freeze or release; the
    account of a freeze stands as `payer`. OWNER stands for the contract's owner at that block.
    """

    effect: str
    payer: str | None
    payee: str | None
    amount: int


OWNER = "owner"


@dataclass(frozen=True)
class EventRule:
    """An event of a contract that changes balances without a Transfer, or freezes them.

    Its arguments are an address, an amount, or both in this order, each indexed or not. `holder` says whose
    balance it is: that of the address in the event (account) or that of the contract's owner (owner).
    """

    signature: str
    effect: Effect
    holder: Literal["account", "owner"] = "account"


PROFILES: Mapping[str, tuple[EventRule, ...]] = {
    "tether": (  # TetherToken of 2017 on Ethereum: none of these emits a Transfer
        EventRule("Issue(uint256)", "mint", "owner"),
        EventRule("Redeem(uint256)", "burn", "owner"),
        EventRule("DestroyedBlackFunds(address,uint256)", "burn"),
        EventRule("AddedBlackList(address)", "freeze"),
        EventRule("RemovedBlackList(address)", "release"),
    ),
    "tether-tron": (  # the same on TRON, where issuing and redeeming have a Transfer too
        EventRule("DestroyedBlackFunds(address,uint256)", "burn"),
        EventRule("AddedBlackList(address)", "freeze"),
        EventRule("RemovedBlackList(address)", "release"),
    ),
    "tether-blocks": (  # later TetherToken: what it mints, burns and destroys has a Transfer too
        EventRule("BlockPlaced(address)", "freeze"),
        EventRule("BlockReleased(address)", "release"),
    ),
    "weth": (  # WETH9 and its copies
        EventRule("Deposit(address,uint256)", "mint"),
        EventRule("Withdrawal(address,uint256)", "burn"),
    ),
    "circle": (  # FiatToken (USDC): mint and burn have a Transfer too
        EventRule("Blacklisted(address)", "freeze"),
        EventRule("UnBlacklisted(address)", "release"),
    ),
}

# chain, contract, profile
_CONTRACTS: tuple[tuple[str, str, str], ...] = (
    ("ethereum", "0xdac17f958d2ee523a2206206994597c13d831ec7", "tether"),
    ("tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "tether-tron"),
    ("polygon", "0xc2132d05d31c914a87c6611c10748aeb04b58e8f", "tether-blocks"),
    ("arbitrum", "0xfd086bc7cd5c481dcc9c85ebe478a1c0b69fcbb9", "tether-blocks"),
    ("avalanche", "0x9702230a8ea53601f5cd2dc00fdbc13d4df4a8c7", "tether-blocks"),
    ("ethereum", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "weth"),
    ("bsc", "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c", "weth"),
    ("polygon", "0x0d500b1d8e8ef31e21c99d1db9a6444d3adf1270", "weth"),
    ("avalanche", "0xb31f66aa3c1e785363f0875a1b74e27b85fd66c7", "weth"),
    ("optimism", "0x4200000000000000000000000000000000000006", "weth"),
    ("base", "0x4200000000000000000000000000000000000006", "weth"),
    ("ethereum", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "circle"),
    ("polygon", "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359", "circle"),
    ("arbitrum", "0xaf88d065e77c8cc2239327c5edb3a432268e5831", "circle"),
    ("optimism", "0x0b2c639c533813f4aa9d7837caf62653d097ff85", "circle"),
    ("base", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "circle"),
)


def find_profiles(chain: Chain, named: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the profile of each contract of a chain that has one, by its canonical address.

    `named` adds contracts, or gives one another profile (`none` takes it away). Raises InputError for an
    address that is none, or a profile that there is not.
    """
    found = {
        contract: profile for name, contract, profile in _CONTRACTS if find_chain(name).caip2 == chain.caip2
    }
    for contract, profile in (named or {}).items():
        account = canonical_address(contract, chain)
        if profile == "none":
            found.pop(account, None)
        elif profile in PROFILES:
            found[account] = profile
        else:
            known = ", ".join([*PROFILES, "none"])
            raise InputError(f"{profile!r} is no event profile: give one of {known}")
    return found


def event_topic(signature: str) -> str:
    """Return the first topic of an event: Keccak-256 of its signature."""
    from Crypto.Hash import keccak

    return "0x" + keccak.new(digest_bits=256, data=signature.encode()).hexdigest()


@cache
def profile_topics(profile: str) -> dict[str, EventRule]:
    """Return the rules of a profile by their topics."""
    return {event_topic(rule.signature): rule for rule in PROFILES[profile]}


def decode_log(log: Mapping[str, Any], profile: str | None = None) -> TokenEvent | None:
    """Return what a log does to token balances; None where it does nothing.

    `profile` is that of the contract that emitted it. Raises `Misread` for topics or data that are no log's.
    """
    topics = log.get("topics")
    if type(topics) is not list:
        raise Misread("topics", topics, "a list of up to four topics")
    return decode_event(topics, log.get("data"), profile)


def decode_event(topics: Sequence[Any], data: Any, profile: str | None = None) -> TokenEvent | None:
    """Return what the log with these topics and data does, as `decode_log`; raises `Misread`."""
    if len(topics) > 4:
        raise Misread("topics", topics, "a list of up to four topics")
    if type(data) is not str or data[:2] != "0x" or len(data) % 2:
        raise Misread("data", data, "bytes in hexadecimal")
    for topic in topics:
        if type(topic) is not str or len(topic) != 66 or topic[:2] != "0x":
            raise Misread("topics", topic, "a topic of 32 bytes")
    if not topics:
        return None
    first = topics[0].lower()
    if first == TRANSFER:
        return _decode_transfer(topics, data)
    rule = profile_topics(profile).get(first) if profile is not None else None
    return None if rule is None else _decode_ruled(rule, topics, data)


def _decode_transfer(topics: Sequence[str], data: str) -> TokenEvent | None:
    if len(topics) == 3 and len(data) == 66:
        payer, payee, amount = _account(topics[1]), _account(topics[2]), data
    elif len(topics) == 1 and len(data) == 194:
        payer, payee, amount = _account(data[:66]), _account("0x" + data[66:130]), "0x" + data[130:]
    else:
        return None
    if payer is None or payee is None or payer == payee == NOBODY:
        return None
    value = _number(amount)
    return TokenEvent("move", None if payer == NOBODY else payer, None if payee == NOBODY else payee, value)


def _decode_ruled(rule: EventRule, topics: Sequence[str], data: str) -> TokenEvent | None:
    words = [*topics[1:], *("0x" + data[i : i + 64] for i in range(2, len(data), 64))]
    kinds = rule.signature[rule.signature.index("(") + 1 : -1].split(",")
    if (len(data) - 2) % 64 or len(words) != len(kinds):
        return None
    account: str | None = OWNER
    if kinds[0] == "address":
        account = _account(words[0])
        if account is None or account == NOBODY:
            return None
    if rule.effect in ("freeze", "release"):
        return TokenEvent(rule.effect, account, None, 0)
    amount = _number(words[-1])
    if rule.effect == "mint":
        return TokenEvent("move", None, account, amount)
    return TokenEvent("move", account, None, amount)


@lru_cache(maxsize=1 << 16)
def _account(word: str) -> str | None:
    """Address in a word of 32 bytes; None where the word is more than an address."""
    if word[2:26] != "000000000000000000000000":
        return None
    try:
        int(word[26:], 16)
    except ValueError:
        raise Misread("topics", word, "hexadecimal") from None
    return ("0x" + word[26:]).lower()


def _number(word: str) -> int:
    try:
        if word.isalnum() and word.isascii():
            return int(word, 16)
    except ValueError:
        pass
    raise Misread("data", word, "bytes in hexadecimal")
