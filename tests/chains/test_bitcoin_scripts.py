import random
from collections.abc import Callable
from hashlib import sha256

import pyarrow as pa
import pytest
from embit import base58, bech32  # type: ignore[import-untyped]

from chains.address import canonical_address, script_account
from chains.bitcoin.scripts import script_holder, script_holders
from chains.registry import CHAINS, Chain, find_chain

HASH = bytes(range(20))
PROGRAM = bytes(range(32))


@pytest.mark.parametrize(
    ("script", "address"),
    [
        # the examples of BIP-173 and BIP-350, and well-known outputs of the chain
        ("0014751e76e8199196d454941c45d1b3a323f1433bd6", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
         "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y"),
        ("6002751e", "bc1sw50qgdz25j"),
        ("5210751e76e8199196d454941c45d1b3a323", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"),
        ("512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
         "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
        ("51024e73", "bc1pfeessrawgf"),
        ("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("76a914000000000000000000000000000000000000000088ac", "1111111111111111111114oLvT2"),
        ("a914748284390f9e263a4b766a75d0633c50426eb87587", "3CK4fEwbMP7heJarmU4eqA3sMbVJyEnU3V"),
    ],
)  # fmt: skip
def test_a_script_with_an_address_has_that_account(script: str, address: str) -> None:
    chain = find_chain("bitcoin")
    assert script_holder(bytes.fromhex(script), chain) == address
    assert canonical_address(address, chain) == address
    assert script_holders(pa.array([script] * 3), chain).to_pylist() == [address] * 3


@pytest.mark.parametrize(
    "script",
    [
        "",
        "6a",
        "6a0568656c6c6f",
        "21" + "02" + "11" * 32 + "ac",  # P2PK
        "41" + "04" + "11" * 64 + "ac",
        "51" + "21" + "02" * 33 + "51ae",  # bare multisig
        "0013" + "11" * 19,  # witness version 0 has programs of 20 and 32 bytes only
        "0028" + "11" * 40,
        "0002" + "1122",
        "5101" + "11",  # programs have 2 to 40 bytes
        "5129" + "11" * 41,
        "6120" + "11" * 32,  # no version
        "4f20" + "11" * 32,
        "5021" + "11" * 32,
        "511f" + "11" * 32,  # the length does not fit
        "4c20" + "11" * 32,
        "76a914" + "11" * 20 + "88ad",
        "76a914" + "11" * 20 + "88acac",
        "76a813" + "11" * 20 + "88ac",
        "a914" + "11" * 20 + "88",
        "a914" + "11" * 19 + "87",
        "aa20" + "11" * 32 + "87",
    ],
)
def test_look_alikes_have_the_stand_in_of_their_hash(script: str) -> None:
    chain = find_chain("bitcoin")
    wanted = "script-" + sha256(bytes.fromhex(script)).hexdigest()[:40]
    assert script_holder(bytes.fromhex(script), chain) == wanted == script_account(script)
    assert script_holders(pa.array([script]), chain).to_pylist() == [wanted]


def test_addresses_are_those_of_another_library() -> None:
    randomness = random.Random(7)  # noqa: S311
    made: list[tuple[Callable[[bytes], str], Callable[[bytes], str], int]] = [
        (lambda d: f"0014{d.hex()}", lambda d: str(bech32.encode("bc", 0, d)), 20),
        (lambda d: f"0020{d.hex()}", lambda d: str(bech32.encode("bc", 0, d)), 32),
        (lambda d: f"5120{d.hex()}", lambda d: str(bech32.encode("bc", 1, d)), 32),
        (lambda d: f"5a20{d.hex()}", lambda d: str(bech32.encode("bc", 10, d)), 32),
        (lambda d: f"5105{d.hex()}", lambda d: str(bech32.encode("bc", 1, d)), 5),
        (lambda d: f"76a914{d.hex()}88ac", lambda d: str(base58.encode_check(b"\x00" + d)), 20),
        (lambda d: f"a914{d.hex()}87", lambda d: str(base58.encode_check(b"\x05" + d)), 20),
    ]
    scripts, wanted = [], []
    for script_of, address_of, size in made:
        for place in range(200):
            zeros = place % 21 if place < 60 else 0
            digest = (bytes(zeros) + randomness.randbytes(size))[:size]
            scripts.append(script_of(digest))
            wanted.append(address_of(digest))
    assert script_holders(pa.array(scripts), find_chain("bitcoin")).to_pylist() == wanted


@pytest.mark.parametrize("chain", [c for c in CHAINS if c.family == "bitcoin"], ids=lambda c: str(c.name))
def test_many_scripts_have_the_same_accounts_as_one_at_a_time(chain: Chain) -> None:
    randomness = random.Random(chain.name)  # noqa: S311
    shapes = ["0014{20}", "0020{32}", "5120{32}", "76a914{20}88ac", "a914{20}87", "6a{8}", "5202{2}",
                         "21{33}ac", "51024e73", ""]  # fmt: skip
    scripts = []
    for place in range(400):
        shape = shapes[place % len(shapes)]
        for size in (2, 8, 20, 32, 33):
            shape = shape.replace(f"{{{size}}}", randomness.randbytes(size).hex())
        scripts.append(shape)
    scripts += scripts[:50]
    found = script_holders(pa.array(scripts), chain).to_pylist()
    assert found == [script_holder(bytes.fromhex(script), chain) for script in scripts]
    for account in found:
        assert canonical_address(account, chain) == account


def test_forms_that_a_chain_does_not_have_are_no_addresses() -> None:
    for name in ("dogecoin", "bitcoin-cash", "dash"):
        assert script_holder(b"\x00\x14" + HASH, find_chain(name)).startswith("script-")
        assert script_holder(b"\x51\x20" + PROGRAM, find_chain(name)).startswith("script-")
    cash = script_holder(bytes.fromhex("76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"),
                         find_chain("bitcoin-cash"))  # fmt: skip
    assert cash == "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"  # the example of the CashAddr specification


def test_what_is_no_hexadecimal_is_refused() -> None:
    for script in ("0g", "0", "zz" * 22, "0014" + "g" * 40, "٠٠"):
        with pytest.raises(ValueError, match=r"(?i)hexadecimal|digit|half a byte|odd-length|ASCII"):
            script_holders(pa.array([script]), find_chain("bitcoin"))


def test_no_scripts_have_no_accounts() -> None:
    found = script_holders(pa.array([], pa.string()), find_chain("bitcoin"))
    assert found.to_pylist() == []
    assert found.type == pa.string()
