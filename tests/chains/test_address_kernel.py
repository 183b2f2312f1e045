"""The compiled check of addresses says what the one at a time says."""

from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains import bulk
from chains.address import canonical_address
from chains.address_kernel import mark_plain
from chains.encoding import BASE58, BECH32, encode_base58check, encode_segwit
from chains.errors import AddressError
from chains.registry import Chain, find_chain

BITCOIN, TRON, LITECOIN = find_chain("bitcoin"), find_chain("tron"), find_chain("litecoin")

programs = st.binary(min_size=20, max_size=20)
valid = st.one_of(
    st.builds(lambda p: encode_base58check(b"\x00" + p), programs),
    st.builds(lambda p: encode_base58check(b"\x05" + p), programs),
    st.builds(lambda p: encode_base58check(b"\x41" + p), programs),
    st.builds(lambda n, p: encode_base58check(b"\x00" * (n + 1) + p[n:]), st.integers(0, 20), programs),
    st.builds(lambda p: encode_segwit("bc", 0, p), programs),
    st.builds(lambda p: encode_segwit("ltc", 0, p), programs),
    st.builds(
        lambda v, p: encode_segwit("bc", v, p), st.integers(0, 16), st.binary(min_size=32, max_size=32)
    ),
    st.builds(lambda v, p: encode_segwit("bc", v, p), st.integers(1, 16), st.binary(min_size=2, max_size=40)),
)
changed = st.builds(
    lambda text, place, letter: text[: place % len(text)] + letter + text[place % len(text) + 1 :],
    valid,
    st.integers(0, 99),
    st.sampled_from(BASE58 + BECH32 + "0OIl-é"),
)
cut = st.builds(lambda text, length: text[:length], valid, st.integers(0, 62))
doubled = st.builds(lambda text, letter: letter + text, valid, st.sampled_from("1bq"))
anything = st.one_of(valid, valid.map(str.upper), changed, cut, doubled, st.text(max_size=70))


def marks(texts: list[str], chain: Chain, versions: set[int]) -> list[bool]:
    column = pa.array(texts, pa.string())
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(texts) + 1)
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    return [bool(mark) for mark in mark_plain(data, offsets, versions=versions, hrp=chain.hrp)]


def reading(text: str, chain: Chain) -> str | None:
    try:
        return canonical_address(text, chain)
    except AddressError:
        return None


@pytest.mark.parametrize(
    ("chain", "versions"), [(BITCOIN, {0, 5}), (LITECOIN, {0x30, 0x32, 5}), (TRON, {0x41})]
)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(anything, min_size=1, max_size=20))
def test_what_is_plain_is_an_address_as_it_stands(chain: Chain, versions: set[int], texts: list[str]) -> None:
    for text, plain in zip(texts, marks(texts, chain, versions), strict=True):
        if plain:
            assert reading(text, chain) == text


@settings(max_examples=200, deadline=None)
@given(valid)
def test_the_forms_of_nearly_all_addresses_are_plain(text: str) -> None:
    expected = reading(text, BITCOIN) == text and (not text.startswith("bc1") or len(text) in (42, 62))
    assert marks([text], BITCOIN, {0, 5}) == [expected]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.one_of(anything, st.none()), min_size=1, max_size=30))
def test_a_column_reads_the_same_either_way(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    before = bulk.COMPILED_FROM
    try:
        bulk.COMPILED_FROM = 10**9
        slow = bulk.canonical_addresses(column, BITCOIN)
        bulk.COMPILED_FROM = 1
        fast = bulk.canonical_addresses(column, BITCOIN)
    finally:
        bulk.COMPILED_FROM = before
    assert slow[0].to_pylist() == fast[0].to_pylist()
    assert slow[1].tolist() == fast[1].tolist()


def test_a_slice_of_a_column_is_read_in_its_place() -> None:
    names = [encode_segwit("bc", 0, sha256(bytes([n])).digest()[:20]) for n in range(9)]
    column = pa.array([*names, "broken"], pa.string()).slice(3)
    before, bulk.COMPILED_FROM = bulk.COMPILED_FROM, 1
    try:
        found, broken = bulk.canonical_addresses(column, BITCOIN)
    finally:
        bulk.COMPILED_FROM = before
    assert found.to_pylist() == [*names[3:], None]
    assert broken.tolist() == [False] * 6 + [True]
