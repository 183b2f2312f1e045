"""Amounts as raw integers: exact, rounded half to even, or refused with a reason."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.amounts import raw_amount, raw_units


@pytest.mark.parametrize(
    ("value", "decimals", "raw", "lossy"),
    [
        ("12.34", 2, 1234, False),
        ("12.345", 2, 1234, True),
        ("12.355", 2, 1236, True),
        ("0.5", 0, 0, True),
        ("1.5", 0, 2, True),
        (" +7 ", 2, 700, False),
        (".5", 2, 50, False),
        ("5.", 2, 500, False),
        ("1e3", 2, 100_000, False),
        ("1E-7", 8, 10, False),
        ("0", 18, 0, False),
        ("0.00000000000000000000000000000000000000001", 2, 0, True),
        (0.1 + 0.2, 2, 30, True),
        (0.29, 2, 29, False),
        (1e22, 2, 10**24, False),
        (Decimal("1.10"), 1, 11, False),
        (7, 3, 7000, False),
        ("9" * 38, 0, 10**38 - 1, False),
        ("123456789012345678.123456789012345678", 18, 123456789012345678123456789012345678, False),
    ],
)
def test_amounts_in_whole_units(value: object, decimals: int, raw: int, lossy: bool) -> None:
    assert raw_amount(value, decimals) == (raw, lossy)


@pytest.mark.parametrize(
    "value",
    [None, "", "x", "-1", -1, -0.5, "1,000.00", "1_000", "0x10", "nan", "inf", "1e", "1e9999", "٣", "1" * 201,
     float("nan"), float("inf"), Decimal("NaN"), Decimal(-1)],
)  # fmt: skip
def test_what_is_no_amount_is_refused(value: object) -> None:
    assert raw_amount(value, 2) == "bad_amount"
    assert raw_units(value) == "bad_amount"


@pytest.mark.parametrize(
    ("value", "decimals"), [("9" * 39, 0), ("9" * 37, 2), (1e300, 0), ("1e999", 0), (10**38, 0)]
)
def test_what_the_ledger_cannot_hold_is_too_large(value: object, decimals: int) -> None:
    assert raw_amount(value, decimals) == "too_large"
    assert raw_amount("9" * (38 - decimals), decimals) == (int("9" * (38 - decimals) + "0" * decimals), False)


def test_rounding_up_to_39_digits_is_too_large() -> None:
    assert raw_amount("9" * 38 + ".4", 0) == (10**38 - 1, True)
    assert raw_amount("9" * 38 + ".9", 0) == "too_large"


def test_raw_units_are_whole() -> None:
    assert raw_units("9999000000") == (9999000000, False)
    assert raw_units("12.0") == (12, False)
    assert raw_units(12) == (12, False)
    assert raw_units("12.5") == "bad_amount"
    assert raw_units("9" * 39) == "too_large"
    assert raw_units(float(2**53 - 1)) == (2**53 - 1, False)
    assert raw_units(1.1e18) == (11 * 10**17, True)


@given(st.integers(min_value=0, max_value=10**38 - 1), st.integers(min_value=0, max_value=18))
def test_any_amount_written_out_is_read_back(raw: int, decimals: int) -> None:
    text = f"{Decimal(raw).scaleb(-decimals):f}" if raw < 10**27 else _written(raw, decimals)
    assert raw_amount(text, decimals) == (raw, False)


def _written(raw: int, decimals: int) -> str:
    digits = str(raw).rjust(decimals + 1, "0")
    return digits[: len(digits) - decimals] + ("." + digits[len(digits) - decimals :] if decimals else "")
