"""Addresses of every family: what is read, what is refused and why, and the way to CAIP-10 and back."""

import json
import os
import random
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.address import (
    candidate_accounts,
    key_form,
    output_account,
    parse_account,
    script_account,
    tron_hex,
)
from chains.encoding import encode_base58check, encode_bech32, encode_cashaddr, encode_segwit, regroup_bits
from chains.errors import AddressError, AmbiguousAddress, UnknownChain
from chains.registry import CHAINS, find_chain

BITCOIN = find_chain("bitcoin")
KEY_HASH = bytes(range(20))

# Examples of BIP-173 and BIP-350
SEGWIT_GOOD = {
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": (0, "751e76e8199196d454941c45d1b3a323f1433bd6"),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": (
        1,
        "751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
    "BC1SW50QGDZ25J": (16, "751e"),
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": (2, "751e76e8199196d454941c45d1b3a323"),
}
SEGWIT_BAD = (
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",  # 1, checksum of 0
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",  # version 16 likewise
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",  # version 0 with the checksum of version 1
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",  # a letter outside the alphabet
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",  # version 17
    "bc1pw5dgrnzv",  # one byte
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",  # 41 bytes
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",  # version 0 with 16 bytes
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",  # over four padding bits
    "bc1gmk9yu",  # nothing
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7KV8f3t4",  # mixed case
)


@pytest.mark.parametrize("text", SEGWIT_GOOD)
def test_segwit_addresses_of_every_version_are_read(text: str) -> None:
    version, program = SEGWIT_GOOD[text]
    account = parse_account(text)
    assert account.chain is BITCOIN
    assert account.address == text.lower() == encode_segwit("bc", version, bytes.fromhex(program))


@pytest.mark.parametrize("text", SEGWIT_BAD)
def test_segwit_addresses_that_the_standards_refuse_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_account(text, BITCOIN)
    with pytest.raises(AddressError):
        parse_account(text)


def test_witness_programs_of_wrong_length_are_not_encoded() -> None:
    assert encode_segwit("sim", 1, bytes(32)).startswith("sim1p")
    for version, length in ((0, 21), (1, 1), (1, 41), (17, 32), (-1, 32)):
        with pytest.raises(ValueError, match="no witness program"):
            encode_segwit("bc", version, bytes(length))


@pytest.mark.parametrize(
    ("version", "name"),
    [("00", "bitcoin"), ("05", "bitcoin"), ("30", "litecoin"), ("32", "litecoin"), ("4c", "dash"),
     ("10", "dash"), ("1cb8", "zcash"), ("1cbd", "zcash"), ("26", "bitcoin-gold"),
     ("16", "dogecoin"), ("21", "verge")],
)  # fmt: skip
def test_base58_addresses_name_their_chain_by_their_version(version: str, name: str) -> None:
    text = encode_base58check(bytes.fromhex(version) + KEY_HASH)
    account = parse_account(text)
    assert (account.chain.name, account.address) == (name, text)
    broken = text[:-1] + ("2" if text[-1] != "2" else "3")
    with pytest.raises(AddressError, match="checksum"):
        parse_account(broken)


def test_a_payment_link_names_its_chain() -> None:
    text = encode_segwit("bc", 0, KEY_HASH)
    assert parse_account(f"bitcoin:{text}") == parse_account(text)
    assert parse_account("ethereum:0x" + "ab" * 20).chain.caip2 == "eip155:1"
    with pytest.raises(AddressError):
        parse_account(f"litecoin:{text}")


def test_forks_with_bitcoins_form_are_meant_only_where_named() -> None:
    text = encode_base58check(b"\x00" + KEY_HASH)
    assert [a.chain.name for a in candidate_accounts(text)] == ["bitcoin"]
    assert parse_account(text, find_chain("BSV")).caip10.startswith(
        "bip122:000000000000000001d956714215d96f:"
    )
    assert parse_account(text, find_chain("bitcoin-cash")).address == text
    with pytest.raises(AddressError, match="version byte 0x00 is of another chain"):
        parse_account(text, find_chain("litecoin"))


def test_cash_addresses_are_read_with_and_without_their_prefix() -> None:
    # Example of the CashAddr specification
    text = "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"
    account = parse_account(text)
    assert account.chain.name == "bitcoin-cash"
    assert account.address == text.removeprefix("bitcoincash:")
    assert parse_account(account.address) == parse_account(account.caip10) == account
    assert parse_account(text.upper(), account.chain) == account
    assert key_form(account.address) == "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu"
    assert account.address == encode_cashaddr(
        "bitcoincash", 0, bytes.fromhex("76a04053bda0a88bda5177b86a15c3b29f559873")
    )
    with pytest.raises(AddressError):
        parse_account(text[:-1] + "b")


def test_a_key_is_not_taken_for_an_address() -> None:
    private = encode_base58check(b"\x80" + bytes(32) + b"\x01")
    with pytest.raises(AddressError, match="never give out a private one"):
        parse_account(private, BITCOIN)


def test_evm_addresses_carry_their_checksum_in_the_case() -> None:
    shown = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # example of EIP-55
    ethereum = find_chain("ethereum")
    for text in (shown, shown.lower(), "0x" + shown[2:].upper()):
        account = parse_account(text, ethereum)
        assert (account.address, account.shown) == (shown.lower(), shown)
        assert account.caip10 == f"eip155:1:{shown.lower()}"
    wrong = shown.replace("Ef1B", "ef1B")
    for chain in (ethereum, None):
        with pytest.raises(AddressError, match="EIP-55"):
            parse_account(wrong, chain)
    for text in (shown[:-1], shown + "0", "0X" + shown[2:], shown[2:], "0x" + "g" * 40):
        with pytest.raises(AddressError):
            parse_account(text, ethereum)


def test_a_bare_evm_address_is_ambiguous_and_ethereum_comes_first() -> None:
    text = "0x" + "ab" * 20
    found = candidate_accounts(text)
    assert found[0].caip10 == f"eip155:1:{text}"
    assert {a.chain.family for a in found} == {"evm"}
    assert len(found) == sum(chain.family == "evm" for chain in CHAINS)
    with pytest.raises(AmbiguousAddress) as caught:
        parse_account(text)
    assert caught.value.chains[0] == "eip155:1"
    assert parse_account(f"eip155:99999:{text}").chain.family == "evm"


def test_tron_addresses_are_read_in_each_of_their_forms() -> None:
    text = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"  # the contract of USDT
    digits = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c"
    tron = find_chain("TRX")
    assert tron_hex(text) == digits
    for form in (text, digits, "0x" + digits, "0x" + digits[2:]):
        assert parse_account(form, tron).address == text
    assert parse_account(text).chain is tron
    assert parse_account(digits).address == text
    for broken in (text[:-1] + "u", text[:-1], encode_base58check(b"\x42" + KEY_HASH), "42" + digits[2:]):
        with pytest.raises(AddressError):
            parse_account(broken, tron)
    with pytest.raises(AddressError, match="not TRON's"):
        parse_account(encode_base58check(b"\x00" + KEY_HASH), tron)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "ripple"),
        ("4" + "A" * 94, "monero"),
        ("So11111111111111111111111111111111111111112", "solana"),
        (encode_bech32("bnb", regroup_bits(KEY_HASH, 8, 5, pad=True) or []), "binance-chain"),
        ("G" + "A" * 55, "stellar"),
    ],
)
def test_other_chains_are_told_by_their_form(text: str, name: str) -> None:
    account = parse_account(text)
    assert account.chain.name == name
    assert parse_account(account.caip10) == account
    with pytest.raises(AddressError):
        parse_account(text[:-3] + "!!!")


def test_a_form_that_says_nothing_is_taken_only_with_its_chain() -> None:
    text = "ab" * 32
    with pytest.raises(AddressError, match="transaction"):
        parse_account(text)
    assert parse_account(text, find_chain("monero")).address == text
    with pytest.raises(AddressError):
        parse_account("eosio.token")
    assert parse_account("eosio.token", find_chain("eos")).address == "eosio.token"


def test_caip10_of_another_chain_than_the_given_one_is_refused() -> None:
    text = "eip155:1:0x" + "ab" * 20
    assert parse_account(text, find_chain("ethereum")).caip10 == text
    with pytest.raises(AddressError, match="eip155:1"):
        parse_account(text, find_chain("bsc"))
    for broken in ("eip155:1", "eip155:0x" + "ab" * 20, ":", "eip155:1:", "payments:bank:%FF"):
        with pytest.raises((AddressError, UnknownChain)):
            parse_account(broken)
    for unknown in ("ethereum:1:" + "0x" + "ab" * 20, "EIP155:1:0x" + "ab" * 20, "eip155:01:0x" + "ab" * 20):
        with pytest.raises(UnknownChain):
            parse_account(unknown)


def test_a_huge_or_hostile_text_is_refused_at_once_and_quoted_short() -> None:
    for text in (
        "1" * 1_000_000,
        "0x" + "f" * 1_000_000,
        "payments:bank:" + "x" * 1_000_000,
        "\x1b[2J\x00",
        "",
    ):
        with pytest.raises(AddressError) as caught:
            parse_account(text)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=140))
def test_payment_accounts_survive_the_way_to_caip10_and_back(text: str) -> None:
    bank = find_chain("payments:bank")
    try:
        account = parse_account("payments:bank:" + "".join(f"%{b:02X}" for b in text.encode()))
    except AddressError:
        return
    assert re.fullmatch("payments:bank:[-.%a-zA-Z0-9]{1,128}", account.caip10)
    assert parse_account(account.caip10) == account
    assert parse_account(account.caip10, bank) == account


@pytest.mark.parametrize("text", ["a_b~c", "IBAN: DE89 3704", "50%", "счёт 7", "银行:1", "a/b?c#d"])
def test_payment_accounts_may_hold_any_printable_text(text: str) -> None:
    account = parse_account(text, find_chain("payments:bank"))
    assert account.address == text
    assert parse_account(account.caip10) == account


def test_payment_accounts_that_cannot_be_written_are_refused() -> None:
    bank = find_chain("payments:bank")
    assert parse_account("x" * 128, bank).address == "x" * 128
    assert parse_account(" x ", bank) == parse_account("x", bank)
    for text in ("x" * 129, "я" * 22, "", "   ", "a\x00b", "a\u202eb"):
        with pytest.raises(AddressError):
            parse_account(text, bank)


def test_key_form_is_one_for_one_key_on_all_chains() -> None:
    bitcoin_form = encode_base58check(b"\x00" + KEY_HASH)
    for version in ("30", "4c", "1e", "26", "1cb8"):
        assert key_form(encode_base58check(bytes.fromhex(version) + KEY_HASH)) == bitcoin_form
    script_form = encode_base58check(b"\x05" + KEY_HASH)
    assert key_form(script_form) == script_form
    assert key_form(encode_base58check(b"\x32" + KEY_HASH)) == script_form
    assert key_form(encode_cashaddr("bitcoincash", 1, KEY_HASH)) == script_form
    assert key_form(encode_segwit("ltc", 0, KEY_HASH)) == encode_segwit("bc", 0, KEY_HASH)
    hexadecimal = "0x" + KEY_HASH.hex()
    assert key_form("0x" + KEY_HASH.hex().upper()) == hexadecimal
    assert key_form(encode_base58check(b"\x41" + KEY_HASH)) == hexadecimal
    assert key_form(encode_segwit("bc", 0, KEY_HASH)) != bitcoin_form


def test_key_form_leaves_the_simulated_chain_and_unknown_texts_alone() -> None:
    for text in (encode_segwit("sim", 0, KEY_HASH), "4" + "A" * 94, "some account", "script-" + "a" * 40, ""):
        assert key_form(text) == text


def test_outputs_without_an_address_get_a_stable_stand_in() -> None:
    script = "51024e73"  # pay to anchor
    account = script_account(script)
    assert account == "script-" + sha256(bytes.fromhex(script)).hexdigest()[:40]
    assert parse_account(account, BITCOIN).address == account
    other = output_account("ab" * 32, 3)
    assert parse_account(other, BITCOIN).caip10.endswith(other)
    assert parse_account("nonstandard" + account[7:], BITCOIN).address == account
    for text in (account, other):
        with pytest.raises(AddressError):
            parse_account(text)
    with pytest.raises(ValueError, match="hex"):
        script_account("zz")


def test_bitcoinlib_reads_the_same_hashes_where_it_is_right(tmp_path: Path) -> None:
    """Compared over Base58Check and versions 0 and 1: it takes every later version for Taproot."""
    numbers = random.Random(5)  # noqa: S311  (a fixed series, not a secret)
    cases = []
    for _ in range(60):
        digest, program = numbers.randbytes(20), numbers.randbytes(32)
        cases += [(encode_base58check(version + digest), digest.hex()) for version in (b"\x00", b"\x05")]
        cases += [(encode_segwit("bc", 0, digest), digest.hex())]
        cases += [(encode_segwit("bc", version, program), program.hex()) for version in (0, 1)]
    script = (
        "import json, sys\n"
        "from bitcoinlib.keys import Address\n"
        "print(json.dumps([Address.parse(a).hash_bytes.hex() for a in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([text for text, _ in cases]),
        env={**os.environ, "BCL_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == [digest for _, digest in cases]
    assert all(parse_account(text).address == text for text, _ in cases)
