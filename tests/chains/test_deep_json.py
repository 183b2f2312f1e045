"""JSON that is nested deep: the same as the ordinary decoder gives, and errors instead of crashes."""

import json
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.deep_json import MAX_DEPTH, decode_deep, decode_exact, decode_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_it_reads_what_the_ordinary_decoder_reads(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert decode_deep(text) == value


@given(VALUES, st.integers(0, 200), st.text(alphabet='{}[]",:0 \\eu-.', max_size=3))
def test_of_what_is_broken_it_says_so_as_the_ordinary_decoder_does(value: Any, at: int, put: str) -> None:
    text = json.dumps(value)
    text = text[:at] + put + text[at + 1 :]
    try:
        expected = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            decode_deep(text)
    else:
        assert decode_deep(text) == expected


def _no_constant(name: str) -> None:
    raise ValueError(name)


def test_a_tree_of_calls_is_read_to_its_end() -> None:
    data = b'{"calls":[' * 1024 + b"{}" + b"]}" * 1024
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(data)
    found, depth = decode_json(data), 0
    while found:
        found, depth = found["calls"][0], depth + 1
    assert depth == 1024


@pytest.mark.parametrize(
    "data",
    [b"[" * 2_000_000, b'{"a":' * 200_000, b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), b"{", b"",
     b'{"calls":[' * 1024 + b"{}" + b"]}" * 1023, b"[" * 1500 + b"\xff" + b"]" * 1500],
)  # fmt: skip
def test_what_is_too_deep_or_broken_raises_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(data)


def test_exact_numbers_do_not_cost_the_process_its_stack() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # as importing web3 does
    try:
        with pytest.raises(ValueError, match=r"depth|recursion|nested"):
            decode_exact(b"[" * 100_000)
    finally:
        sys.setrecursionlimit(before)
    assert decode_exact(b'{"value": 0.1}', parse_float=str) == {"value": "0.1"}
