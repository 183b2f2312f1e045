"""The registry of chains and the assets that are known by themselves."""

import re

import pytest

from chains.address import canonical_address
from chains.assets import (
    _CURRENCIES,
    SIMULATED_TOKEN,
    asset_reference,
    currency_digits,
    find_asset,
    listed_assets,
)
from chains.encoding import encode_base58check
from chains.errors import UnknownChain
from chains.registry import CHAINS, find_chain


def test_every_chain_has_its_own_well_formed_id_and_name() -> None:
    assert all(re.fullmatch("[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", chain.caip2) for chain in CHAINS)
    assert len({chain.caip2 for chain in CHAINS}) == len(CHAINS)
    names = [name for chain in CHAINS for name in (chain.name, *chain.aliases)]
    assert len(set(names)) == len(names)
    for chain in CHAINS:
        assert find_chain(chain.caip2) is find_chain(chain.name.upper()) is chain


@pytest.mark.parametrize(
    ("text", "caip2", "family", "utxo"),
    [
        ("bitcoin", "bip122:000000000019d6689c085ae165831e93", "bitcoin", True),
        ("XBT", "bip122:000000000019d6689c085ae165831e93", "bitcoin", True),
        ("LTC", "bip122:12a765e31ffd4059bada1e25190f6e98", "bitcoin", True),
        ("ethereum", "eip155:1", "evm", False),
        ("eip155:56", "eip155:56", "evm", False),
        ("eip155:987654", "eip155:987654", "evm", False),
        ("tron", "tron:728126428", "tron", False),
        ("payments:my-bank_2", "payments:my-bank_2", "payments", False),
        ("hive:beeab0de", "hive:beeab0de", "other", False),
        ("bip122:ffffffffffffffffffffffffffffffff", "bip122:ffffffffffffffffffffffffffffffff", "other", True),
    ],
)
def test_chains_are_found_by_name_symbol_and_id(text: str, caip2: str, family: str, utxo: bool) -> None:
    chain = find_chain(text)
    assert (chain.caip2, chain.family, chain.utxo) == (caip2, family, utxo)
    assert not chain.simulated


def test_the_chains_of_the_simulated_world_say_so() -> None:
    coins = find_chain("simulated-utxo")
    tokens = find_chain("simulated-token")
    assert (coins.caip2, coins.hrp, coins.utxo) == ("bip122:73696d756c6174656400000000000000", "sim", True)
    assert (tokens.caip2, tokens.family) == ("eip155:78284", "evm")
    assert [chain for chain in CHAINS if chain.simulated] == [coins, tokens]
    assert find_asset(coins, "slip44:1").symbol == "SIM"
    assert find_asset(coins, "slip44:1").decimals == 8
    token = find_asset(tokens, f"erc20:{SIMULATED_TOKEN}")
    assert (token.symbol, token.decimals, token.listed, token.usd_pegged) == ("SUSD", 6, True, True)


@pytest.mark.parametrize(
    "text", ["", "nochain", "eip155:", "eip155:0", "eip155:01", "eip155:x", "a:b", "payments:a b"]
)
def test_what_names_no_chain_is_refused_with_names_that_do(text: str) -> None:
    with pytest.raises(UnknownChain, match="bitcoin"):
        find_chain(text)


def test_the_names_in_a_refusal_are_those_of_chains_and_have_the_test_networks() -> None:
    with pytest.raises(UnknownChain) as caught:
        find_chain("no such chain")
    assert {"bitcoin", "ethereum", "bitcoin-regtest", "bitcoin-signet"} <= set(caught.value.known)
    assert [find_chain(name).name for name in caught.value.known] == list(caught.value.known)


def test_listed_tokens_are_written_in_canonical_form() -> None:
    for chain in CHAINS:
        for asset in listed_assets(chain):
            namespace, _, contract = asset.reference.partition(":")
            if namespace != "slip44":
                assert canonical_address(contract, chain) == contract
            assert find_asset(chain, asset.reference, symbol="FAKE", decimals=2, listed=False) == asset


def test_an_unknown_token_is_unlisted_whatever_it_calls_itself() -> None:
    tron = find_chain("tron")
    contract = encode_base58check(b"\x41" + bytes(range(1, 21)))
    spam = find_asset(tron, f"trc20:{contract}", symbol="US\x1bDT" + "!" * 99, decimals=6)
    assert not spam.listed
    assert not spam.usd_pegged
    assert spam.symbol == "USDT" + "!" * 28
    assert find_asset(tron, spam.reference, decimals=99).decimals == 0
    assert find_asset(tron, spam.reference, listed=True).listed


@pytest.mark.parametrize(("code", "digits"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("KZT", 2), ("CLF", 4)])
def test_currencies_have_the_digits_of_iso_4217(code: str, digits: int) -> None:
    asset = find_asset(find_chain("payments:bank"), f"iso4217:{code}")
    assert (asset.symbol, asset.decimals, asset.listed) == (code, digits, True)
    assert asset.usd_pegged == (code == "USD")


def test_there_is_no_currency_twice() -> None:
    listed = " ".join(_CURRENCIES.values()).split()
    assert len(listed) == len(currency_digits()) > 150
    assert all(re.fullmatch("[A-Z]{3}", code) for code in currency_digits())


@pytest.mark.parametrize(
    ("chain", "word", "reference"),
    [
        ("tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        ("tron", "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        ("tron", "1002000", "trc10:1002000"),
        ("tron", "_", "slip44:195"),
        ("tron", "TRX", "slip44:195"),
        ("tron", "USDT", None),
        (
            "ethereum",
            "0xdAC17F958D2ee523a2206206994597C13D831ec7",
            "erc20:0xdac17f958d2ee523a2206206994597c13d831ec7",
        ),
        ("ethereum", "erc20:0x" + "ab" * 20, "erc20:0x" + "ab" * 20),
        ("ethereum", "trc20:0x" + "ab" * 20, None),
        ("ethereum", "slip44:60", "slip44:60"),
        ("ethereum", "slip44:0", None),
        ("ethereum", "usd", "iso4217:USD"),
        ("ethereum", "ETH", "slip44:60"),
        ("payments:bank", "kzt", "iso4217:KZT"),
        ("payments:bank", "bonus_points", "currency:bonus%5Fpoints"),
        ("payments:bank", "a\nb", None),
        ("payments:bank", "", None),
    ],
)
def test_a_currencys_text_names_an_asset_or_none(chain: str, word: str, reference: str | None) -> None:
    assert asset_reference(word, find_chain(chain)) == reference
