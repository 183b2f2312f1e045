"""The text codings against their specifications' examples and an independent library."""

import base58
from hypothesis import given
from hypothesis import strategies as st

from chains.encoding import (
    BASE58_RIPPLE,
    checksum_case,
    decode_base58,
    decode_base58check,
    decode_bech32,
    decode_cashaddr,
    decode_segwit,
    encode_base58,
    encode_base58check,
    encode_bech32,
    encode_cashaddr,
    encode_segwit,
    regroup_bits,
)


@given(st.binary(max_size=60))
def test_base58_agrees_with_the_base58_library(data: bytes) -> None:
    text = base58.b58encode(data).decode()
    assert encode_base58(data) == text
    assert decode_base58(text) == data
    assert encode_base58check(data) == base58.b58encode_check(data).decode()
    ripple = base58.b58encode(data, alphabet=BASE58_RIPPLE.encode()).decode()
    assert (encode_base58(data, BASE58_RIPPLE), decode_base58(ripple, BASE58_RIPPLE)) == (ripple, data)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_wrong_character_breaks_a_base58_checksum(data: bytes, choose: st.DataObject) -> None:
    text = encode_base58check(data)
    assert decode_base58check(text) == data
    place = choose.draw(st.integers(0, len(text) - 1))
    other = choose.draw(st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"))
    if other != text[place]:
        assert decode_base58check(text[:place] + other + text[place + 1 :]) is None
    assert decode_base58(text + "0") is None
    assert decode_base58("O" + text) is None


@given(st.sampled_from([(0, 20), (0, 32), (1, 2), (1, 32), (16, 40)]), st.data())
def test_segwit_addresses_are_read_back_and_up_to_four_errors_found(
    shape: tuple[int, int], choose: st.DataObject
) -> None:
    version, size = shape
    program = choose.draw(st.binary(min_size=size, max_size=size))
    text = encode_segwit("bc", version, program)
    assert decode_segwit(text) == decode_segwit(text.upper()) == ("bc", version, program)
    places = choose.draw(st.lists(st.integers(3, len(text) - 1), min_size=1, max_size=4, unique=True))
    damaged = list(text)
    for place in places:
        damaged[place] = "q" if damaged[place] != "q" else "p"
    assert decode_segwit("".join(damaged)) is None


def test_examples_of_bech32_are_read_and_written() -> None:
    for text in (
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    ):
        parts = decode_bech32(text)
        assert parts is not None
        assert encode_bech32(parts[0], parts[1], parts[2]) == text
    for text in (
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "A1G7SGD8",
        "a12UEL5L",
        "1qzzfhee",
        "",
    ):
        assert decode_bech32(text) is None


@given(st.binary(min_size=20, max_size=20), st.sampled_from([0, 1]))
def test_cash_addresses_are_read_back(digest: bytes, kind: int) -> None:
    text = encode_cashaddr("bitcoincash", kind, digest)
    assert decode_cashaddr(text, "bitcoincash") == (kind, digest)
    assert decode_cashaddr(text, "bchtest") is None
    assert decode_cashaddr(text[:-1] + ("q" if text[-1] != "q" else "p"), "bitcoincash") is None


def test_bits_left_over_must_be_few_and_zero() -> None:
    assert regroup_bits([255], 8, 5, pad=True) == [31, 28]
    assert regroup_bits([31, 28], 5, 8, pad=False) == [255]
    assert regroup_bits([31, 29], 5, 8, pad=False) is None
    assert regroup_bits([31, 28, 0], 5, 8, pad=False) is None


def test_examples_of_eip_55() -> None:
    for text in (
        "52908400098527886E0F7030069857D2E4169EE7",
        "de709f2102306220921060314715629080e2fb77",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "D1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksum_case(text.lower()) == text
