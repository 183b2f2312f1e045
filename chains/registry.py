"""The chains that Silkscreen can name, and what reading their addresses takes.

Ids are CAIP-2. Chains of Bitcoin's kind are named by their first block (profile bip122), a fork by the
first block of its own; Bitcoin Gold, whose forking block is not written in CAIP-2's lists, by its name.
Any `eip155:N` and any `payments:NAME` is a chain too; so is a CAIP-2 id of a namespace not listed here,
whose addresses are taken as written.
"""

import re
from dataclasses import dataclass
from functools import cache

from chains.errors import UnknownChain

_CAIP2 = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")


@dataclass(frozen=True)
class Chain:
    """One ledger system, named by its CAIP-2 id.

    `family` is bitcoin, evm, tron, payments or other. `simulated` marks the chains of the simulated world.
    The versions are the first bytes of a Base58Check payload: the first of each is the one in use, the
    rest are older forms, accepted where the chain is named. `form` is a pattern of whole addresses that
    have no checksum read here; `named_form` one that is taken only where the chain is named beside it.
    """

    caip2: str
    name: str
    family: str
    utxo: bool = False
    simulated: bool = False
    symbol: str = ""
    decimals: int = 0
    coin: int | None = None  # SLIP-44 number of the native coin
    key_versions: tuple[bytes, ...] = ()
    script_versions: tuple[bytes, ...] = ()
    hrp: str = ""  # human part of SegWit addresses
    plain_hrp: str = ""  # human part of Bech32 addresses without a witness version
    cash_prefix: str = ""
    form: str = ""
    named_form: str = ""
    aliases: tuple[str, ...] = ()


def _bitcoin(
    caip2: str, name: str, symbol: str, coin: int, *, keys: str, scripts: str, **more: object
) -> Chain:
    return Chain(
        f"bip122:{caip2}",
        name,
        "bitcoin",
        utxo=True,
        symbol=symbol,
        decimals=8,
        coin=coin,
        key_versions=tuple(bytes.fromhex(v) for v in keys.split()),
        script_versions=tuple(bytes.fromhex(v) for v in scripts.split()),
        **more,  # type: ignore[arg-type]
    )


def _evm(number: int, name: str, symbol: str, coin: int, *aliases: str) -> Chain:
    return Chain(
        f"eip155:{number}", name, "evm", symbol=symbol, decimals=18, coin=coin, aliases=tuple(aliases)
    )


def _other(caip2: str, name: str, symbol: str, decimals: int, coin: int | None, **more: object) -> Chain:
    return Chain(caip2, name, "other", symbol=symbol, decimals=decimals, coin=coin, **more)  # type: ignore[arg-type]


_HEX64 = "[0-9a-fA-F]{64}"
_DOMAIN = "[A-Za-z0-9._-]{1,64}"

CHAINS: tuple[Chain, ...] = (
    _bitcoin("000000000019d6689c085ae165831e93", "bitcoin", "BTC", 0, keys="00", scripts="05", hrp="bc",
             aliases=("xbt",)),
    _bitcoin("12a765e31ffd4059bada1e25190f6e98", "litecoin", "LTC", 2, keys="30", scripts="32 05", hrp="ltc"),
    _bitcoin("000000000000000000651ef99cb9fcbe", "bitcoin-cash", "BCH", 145, keys="00", scripts="05",
             cash_prefix="bitcoincash"),
    _bitcoin("000000000000000001d956714215d96f", "bitcoin-sv", "BSV", 236, keys="00", scripts="05"),
    _bitcoin("bitcoin-gold", "bitcoin-gold", "BTG", 156, keys="26", scripts="17", hrp="btg"),
    _bitcoin("1a91e3dace36e2be3bf030a65679fe82", "dogecoin", "DOGE", 3, keys="1e", scripts="16"),
    _bitcoin("00000ffd590b1485b3caadc19b22e637", "dash", "DASH", 5, keys="4c", scripts="10"),
    _bitcoin("00040fe8ec8471911baa1db1266ea15d", "zcash", "ZEC", 133, keys="1cb8", scripts="1cbd",
             plain_hrp="zs", form="u1[0-9a-z]{100,500}"),
    _bitcoin("00000fc63692467faeb20cdb3b53200d", "verge", "XVG", 77, keys="1e", scripts="21"),
    _bitcoin("7497ea1b465eb39f1c8f507bc877078f", "digibyte", "DGB", 20, keys="1e", scripts="3f 05",
             hrp="dgb"),
    _bitcoin("000000000933ea01ad0ee984209779ba", "bitcoin-testnet", "tBTC", 1, keys="6f", scripts="c4",
             hrp="tb", aliases=("testnet",)),
    _bitcoin("00000000da84f2bafbbc53dee25a72ae", "bitcoin-testnet4", "tBTC", 1, keys="6f", scripts="c4",
             hrp="tb", aliases=("testnet4",)),
    _bitcoin("00000008819873e925422c1ff0f99f7c", "bitcoin-signet", "sBTC", 1, keys="6f", scripts="c4",
             hrp="tb", aliases=("signet",)),
    _bitcoin("0f9188f13cb7b2c71f2a335e3a4fc328", "bitcoin-regtest", "rBTC", 1, keys="6f", scripts="c4",
             hrp="bcrt", aliases=("regtest",)),
    _evm(1, "ethereum", "ETH", 60),
    _evm(56, "bsc", "BNB", 714, "bep20", "binance-smart-chain"),
    _evm(137, "polygon", "POL", 966, "matic"),
    _evm(42161, "arbitrum", "ETH", 60, "arb"),
    _evm(10, "optimism", "ETH", 60, "op"),
    _evm(8453, "base", "ETH", 60),
    _evm(43114, "avalanche", "AVAX", 9005, "avax"),
    _evm(61, "ethereum-classic", "ETC", 61, "etc"),
    _evm(250, "fantom", "FTM", 1007, "ftm"),
    _evm(100, "gnosis", "XDAI", 700, "xdai"),
    _evm(25, "cronos", "CRO", 394, "cro"),
    _evm(42220, "celo", "CELO", 52752),
    _evm(128, "heco", "HT", 1010),
    _evm(66, "okxchain", "OKT", 996, "okt"),
    _evm(321, "kcc", "KCS", 641, "kcs"),
    _evm(30, "rootstock", "RBTC", 137, "rbtc", "rsk"),
    _evm(820, "callisto", "CLO", 820, "clo"),
    _evm(19, "songbird", "SGB", 761, "sgb"),
    _evm(14, "flare", "FLR", 554, "flr"),
    _evm(40, "telos", "TLOS", 977, "tlos"),
    _evm(88, "viction", "VIC", 889, "tomochain"),
    _evm(50, "xdc", "XDC", 550, "xinfin"),
    Chain("tron:728126428", "tron", "tron", symbol="TRX", decimals=6, coin=195, aliases=("trx", "trc20")),
    _other("monero:418015bb9ae982a1975da7d79277c270", "monero", "XMR", 12, 128,
           form="[48][1-9A-HJ-NP-Za-km-z]{94}|4[1-9A-HJ-NP-Za-km-z]{105}", named_form=_HEX64),
    _other("xrpl:0", "ripple", "XRP", 6, 144, aliases=("xrpl",)),
    _other("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "solana", "SOL", 9, 501),
    _other("cosmos:Binance-Chain-Tigris", "binance-chain", "BNB", 8, 714, plain_hrp="bnb", aliases=("bep2",)),
    _other("cosmos:cosmoshub-4", "cosmos", "ATOM", 6, 118, plain_hrp="cosmos"),
    _other("cosmos:columbus-5", "terra-classic", "LUNC", 6, 330, plain_hrp="terra", aliases=("luna",)),
    _other("cip34:1-764824073", "cardano", "ADA", 6, 1815, form="addr1[0-9a-z]{50,110}",
           named_form="(DdzFF|Ae2)[1-9A-HJ-NP-Za-km-z]{40,120}"),
    _other("polkadot:91b171bb158e2d3848fa23a9f1c25182", "polkadot", "DOT", 10, 354,
           named_form="[1-9A-HJ-NP-Za-km-z]{46,50}"),
    _other("polkadot:b0a8d493285c2df73290dfb7e61f870f", "kusama", "KSM", 12, 434,
           named_form="[1-9A-HJ-NP-Za-km-z]{46,50}"),
    _other("stellar:pubnet", "stellar", "XLM", 7, 148, form="G[A-Z2-7]{55}"),
    _other("algorand:wGHE2Pwdvd7S12BL5FaOP20EGYesN73k", "algorand", "ALGO", 6, 283, form="[A-Z2-7]{58}"),
    _other("eosio:aca376f206b8fc25a6ed44dbdc66547c", "eos", "EOS", 4, 194, named_form="[a-z1-5.]{1,13}"),
    _other("eosio:1064487b3cd1a897ce03ae5b6a865651", "wax", "WAXP", 8, 14001, named_form="[a-z1-5.]{1,13}",
           aliases=("waxp",)),
    _other("fil:f", "filecoin", "FIL", 18, 461, named_form="f[0-4][0-9a-z]{1,90}"),
    _other("tezos:NetXdQprcVkpaWU", "tezos", "XTZ", 6, 1729, form="(tz[1-4]|KT1)[1-9A-HJ-NP-Za-km-z]{33}"),
    _other("near:mainnet", "near", "NEAR", 24, 397, named_form=_DOMAIN),
    _other("tvm:-239", "ton", "TON", 9, 607, form="[EUk0]Q[A-Za-z0-9_-]{46}"),
    _other("aptos:1", "aptos", "APT", 8, 637, named_form="0x[0-9a-fA-F]{1,64}"),
    _other("sui:mainnet", "sui", "SUI", 9, 784, named_form="0x[0-9a-fA-F]{1,64}"),
    _other("hedera:mainnet", "hedera", "HBAR", 8, 3030, named_form=r"0\.0\.[0-9]{1,12}"),
    _other("vechain:b1ac3413d346d43539627e6be7ec1b4a", "vechain", "VET", 18, 818,
           named_form="0x[0-9a-fA-F]{40}"),
    _other("neo3:860833102", "neo", "NEO", 0, 888, named_form="[AN][1-9A-HJ-NP-Za-km-z]{33}"),
    _other("waves:087", "waves", "WAVES", 8, 5741564, named_form="3P[1-9A-HJ-NP-Za-km-z]{33}"),
    _other("zilliqa:1", "zilliqa", "ZIL", 12, 313, named_form="zil1[0-9a-z]{38}"),
    _other("iota:mainnet", "iota", "MIOTA", 6, 4218, named_form="[A-Z9]{81,90}|iota1[0-9a-z]{50,60}"),
    Chain("bip122:73696d756c6174656400000000000000", "simulated-utxo", "bitcoin", utxo=True, simulated=True,
          symbol="SIM", decimals=8, coin=1, hrp="sim"),
    Chain("eip155:78284", "simulated-token", "evm", simulated=True, symbol="SIM", decimals=18, coin=1),
)  # fmt: skip

_COMMON = ("bitcoin", "ethereum", "tron", "litecoin", "bsc", "polygon", "monero", "solana", "bitcoin-testnet",
           "bitcoin-testnet4", "bitcoin-signet", "bitcoin-regtest")  # fmt: skip


@cache
def _names() -> dict[str, Chain]:
    """Chains by id, name, alias and native symbol; where a symbol is of several, the first listed has it."""
    names: dict[str, Chain] = {}
    for chain in CHAINS:
        for name in (chain.name, *chain.aliases):
            names[name] = chain
    for chain in CHAINS:
        names.setdefault(chain.symbol.lower(), chain)
    return names | {chain.caip2: chain for chain in CHAINS}


def find_chain(text: str) -> Chain:
    """Return the chain of a name, a native coin's symbol or a CAIP-2 id; raises `UnknownChain`.

    Names and symbols are read in any case, ids as they are written (CAIP-2 references have a case).
    """
    word = text.strip()
    chain = _names().get(word) or _names().get(word.lower())
    if chain is not None:
        return chain
    if not _CAIP2.fullmatch(word):
        raise UnknownChain(text, known=_COMMON)
    return _unlisted_chain(word)


def _unlisted_chain(caip2: str) -> Chain:
    namespace, _, reference = caip2.partition(":")
    if namespace == "eip155":
        if not re.fullmatch("[1-9][0-9]*", reference):
            raise UnknownChain(caip2, known=_COMMON)
        return Chain(caip2, caip2, "evm", decimals=18)
    if namespace in _names() and not any(chain.caip2.startswith(namespace + ":") for chain in CHAINS):
        raise UnknownChain(caip2, known=_COMMON)  # a chain's name where its namespace belongs
    if namespace == "payments":
        return Chain(caip2, caip2, "payments")
    if namespace == "tron":
        return Chain(caip2, caip2, "tron", symbol="TRX", decimals=6, coin=195)
    return Chain(caip2, caip2, "other", utxo=namespace == "bip122")
