"""The assets that Silkscreen knows by itself: native coins, the main dollar tokens, and money of states.

An asset's reference is the asset part of its CAIP-19 id: `slip44:N` for a native coin, `erc20:0x…` and
`trc20:T…` for tokens, `iso4217:USD` for state money, `currency:NAME` for another unit of a payment system.
Only what is listed makes counterparties and value: anyone can issue a token of any name.
"""

import re
from functools import cache

from chains.errors import AddressError
from chains.forms import canonical_address, percent_encoded
from chains.ledger import Asset
from chains.registry import Chain, find_chain

SIMULATED_TOKEN = "0x5157000000000000000000000000000000005553"  # noqa: S105  (a contract, not a secret)
SIMULATED_COIN = "0x515700000000000000000000000000000000574d"

MAX_DECIMALS = 38
MAX_SYMBOL = 32

_ETHEREUM, _BSC, _POLYGON = "ethereum", "bsc", "polygon"
# chain, contract, symbol, decimals, pegged to the US dollar
_TOKENS: tuple[tuple[str, str, str, int, bool], ...] = (
    (_ETHEREUM, "0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT", 6, True),
    (_ETHEREUM, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "USDC", 6, True),
    (_ETHEREUM, "0x6b175474e89094c44da98b954eedeac495271d0f", "DAI", 18, True),
    (_ETHEREUM, "0x4fabb145d64652a948d72533023f6e7a623c7c53", "BUSD", 18, True),
    (_ETHEREUM, "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "WETH", 18, False),
    (_ETHEREUM, "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "WBTC", 8, False),
    (_BSC, "0x55d398326f99059ff775485246999027b3197955", "USDT", 18, True),
    (_BSC, "0x8ac76a51cc950d9822d68b83fe1ad97b32cd580d", "USDC", 18, True),
    (_BSC, "0xe9e7cea3dedca5984780bafc599bd69add087d56", "BUSD", 18, True),
    (_POLYGON, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f", "USDT", 6, True),
    (_POLYGON, "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359", "USDC", 6, True),
    (_POLYGON, "0x2791bca1f2de4661ed88a30c99a7a9449aa84174", "USDC.e", 6, True),
    ("arbitrum", "0xfd086bc7cd5c481dcc9c85ebe478a1c0b69fcbb9", "USDT", 6, True),
    ("arbitrum", "0xaf88d065e77c8cc2239327c5edb3a432268e5831", "USDC", 6, True),
    ("arbitrum", "0xff970a61a04b1ca14834a43f5de4533ebddb5cc8", "USDC.e", 6, True),
    ("optimism", "0x94b008aa00579c1307b0ef2c499ad98a8ce58e58", "USDT", 6, True),
    ("optimism", "0x0b2c639c533813f4aa9d7837caf62653d097ff85", "USDC", 6, True),
    ("optimism", "0x7f5c764cbc14f9669b88837ca1490cca17c31607", "USDC.e", 6, True),
    ("base", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6, True),
    ("avalanche", "0x9702230a8ea53601f5cd2dc00fdbc13d4df4a8c7", "USDT", 6, True),
    ("avalanche", "0xb97ef9ef8734c71904d8002f8b6bc66dd9c48a6e", "USDC", 6, True),
    ("tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "USDT", 6, True),
    ("tron", "TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8", "USDC", 6, True),
    ("simulated-token", SIMULATED_TOKEN, "SUSD", 6, True),
    ("simulated-token", SIMULATED_COIN, "WSIM", 8, False),
)

# ISO 4217: codes in use, by the number of digits after the point
_CURRENCIES: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR "
    "MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK "
    "SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD "
    "XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


_TOKEN_NAMESPACES = ("erc20", "trc20", "trc10")
_TRC10 = re.compile("[0-9]{7}")


@cache
def currency_digits() -> dict[str, int]:
    """Digits after the point of every currency in use, by its ISO 4217 code."""
    return {code: digits for digits, codes in _CURRENCIES.items() for code in codes.split()}


@cache
def _tokens() -> dict[tuple[str, str], Asset]:
    listed = {}
    for name, contract, symbol, decimals, pegged in _TOKENS:
        chain = find_chain(name)
        reference = token_reference(chain, contract)
        listed[chain.caip2, reference] = Asset(reference, symbol, decimals, listed=True, usd_pegged=pegged)
    return listed


def token_reference(chain: Chain, contract: str) -> str:
    """Reference of the token of a contract, given in canonical form, on an EVM chain or TRON."""
    return f"{'trc20' if chain.family == 'tron' else 'erc20'}:{contract}"


def native_asset(chain: Chain) -> Asset | None:
    """The chain's own coin; None where the registry does not know one."""
    if chain.coin is None:
        return None
    return Asset(f"slip44:{chain.coin}", chain.symbol, chain.decimals, listed=True)


def evm_coin(chain: Chain) -> Asset:
    """The coin of an EVM chain; where the registry does not know it, the number that such chains share."""
    return native_asset(chain) or Asset("slip44:60", "ETH", 18, listed=True)


def listed_assets(chain: Chain) -> tuple[Asset, ...]:
    """The chain's own coin and its listed tokens, by reference."""
    native = native_asset(chain)
    tokens = [asset for (caip2, _), asset in _tokens().items() if caip2 == chain.caip2]
    return tuple(sorted([*tokens, *([native] if native else [])], key=lambda asset: asset.reference))


def find_asset(
    chain: Chain,
    reference: str,
    *,
    symbol: str | None = None,
    decimals: int | None = None,
    listed: bool | None = None,
) -> Asset:
    """Return the asset of a reference on a chain.

    A known asset keeps its own symbol and decimals, whatever a file says of it. Another takes `symbol` (cut
    to printable text) and `decimals` (0 where unknown or out of range) and is unlisted unless `listed`.
    """
    known = _tokens().get((chain.caip2, reference))
    native = native_asset(chain)
    if known is None and native is not None and native.reference == reference:
        known = native
    namespace, _, code = reference.partition(":")
    if known is None and namespace == "iso4217" and code in currency_digits():
        known = Asset(reference, code, currency_digits()[code], listed=True, usd_pegged=code == "USD")
    if known is not None:
        return known
    text = "".join(c for c in symbol or "" if c.isprintable()).strip()[:MAX_SYMBOL]
    fits = decimals is not None and 0 <= decimals <= MAX_DECIMALS
    return Asset(
        reference, text or code[:MAX_SYMBOL], decimals if fits and decimals else 0, listed=bool(listed)
    )


def asset_reference(word: str, chain: Chain) -> str | None:
    """Return the reference of the asset that a currency's text names on a chain; None where it names none.

    The text is a reference, a token's contract, the native coin's symbol, a currency's ISO 4217 code, or on a
    payment system any printable name. A symbol names no token: everybody can take one.
    """
    namespace, colon, rest = word.partition(":")
    native = native_asset(chain)
    own = (
        (native.symbol, native.reference, "_" if chain.family == "tron" else native.symbol) if native else ()
    )
    if word in own and native is not None:
        return native.reference
    if colon and namespace in (*_TOKEN_NAMESPACES, "iso4217", "currency"):
        plain = asset_reference(rest, chain)
        return plain if plain is not None and plain.startswith(namespace + ":") else None
    if word.upper() in currency_digits():
        return f"iso4217:{word.upper()}"
    return _token_of(word, chain) if chain.family != "payments" else _own_unit(word)


def is_token(reference: str) -> bool:
    """Whether a reference is that of a token."""
    return reference.partition(":")[0] in _TOKEN_NAMESPACES


def _token_of(word: str, chain: Chain) -> str | None:
    if chain.family == "tron" and _TRC10.fullmatch(word):
        return f"trc10:{word}"
    if chain.family not in ("evm", "tron"):
        return None
    try:
        return token_reference(chain, canonical_address(word, chain))
    except AddressError:
        return None


def _own_unit(word: str) -> str | None:
    coded = percent_encoded(word) if word.isprintable() else ""
    return f"currency:{coded}" if 1 <= len(coded) <= 128 else None
