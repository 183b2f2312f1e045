"""Which chains a currency's ticker can mean in lists that name a currency and not a chain."""

from functools import lru_cache

from chains.address import Account, Chain, candidate_accounts, find_chain, parse_account
from chains.errors import AddressError, AmbiguousAddress, UnknownChain
from datasets.sources.claims import NOBODY, RefusedError, shown

# Names of chains, the likeliest first, for words that are no chain's own name or symbol. A token stands for
# the chains that it is mostly issued on: there the form of the address decides. The Bitcoin of USDT is its
# first issue, over Omni.
TICKERS: dict[str, tuple[str, ...]] = {
    "BNB": ("binance-chain", "bsc"),
    "DAI": ("ethereum",),
    "EOSIO": ("eos",),
    "OMNI": ("bitcoin",),
    "USDC": ("ethereum", "tron", "solana"),
    "USDT": ("ethereum", "tron", "bitcoin"),
    "WBTC": ("ethereum",),
    "WETH": ("ethereum",),
}


@lru_cache(maxsize=1024)
def find_chains(word: str) -> tuple[Chain, ...]:
    """Return the chains that a ticker, a chain's name or a CAIP-2 id can mean; () when none is known."""
    names = TICKERS.get(word.strip().upper())
    try:
        return tuple(find_chain(name) for name in names) if names else (find_chain(word),)
    except UnknownChain:
        return ()


def place_account(text: str, word: str) -> Account:
    """Return the account of an address listed under the currency or network `word`.

    The form of the address comes first: among the chains that `word` can mean the first that it fits,
    else, where it fits none of them, the first chain of any that it does fit. Raises RefusedError.
    """
    chains = find_chains(word)
    if not chains:
        raise RefusedError("unknown_chain", f"{shown(word)} names no chain that is known here")
    why = ""
    for chain in chains:
        try:
            return parse_account(text, chain)
        except AddressError as error:
            why = why or error.why
    try:
        return candidate_accounts(text)[0]
    except (AddressError, AmbiguousAddress, UnknownChain):
        pass
    raise RefusedError("bad_address", f"{shown(text)} is not an address of {chains[0].name}: {why}")


def refuse_nobody(account: Account) -> Account:
    """Return the account, unless it is an address that nobody owns: then RefusedError."""
    if account.address in NOBODY:
        raise RefusedError(
            "nobodys_address", f"{shown(account.address)} has no owner: value sent there is burnt"
        )
    return account
