"""Amounts of payment files as raw integers: exact from text, decimals and integers, no doubles between."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EXACT = Context(prec=1200, rounding=ROUND_HALF_EVEN, Emax=99_999, Emin=-99_999)

MAX_DIGITS = 38  # of a raw amount: what the ledger's integers hold
_MAX_TEXT = 200


def raw_amount(value: object, decimals: int) -> tuple[int, bool] | str:
    """Raw integer of an amount in whole units, and whether rounding lost something; or why there is none.

    Rounds half to even. A double stands for the shortest text that gives the same double.
    The reasons are bad_amount (not a number, or negative) and too_large (over 38 digits).
    """
    number = _decimal(value)
    if isinstance(number, str):
        return number
    if number and number.adjusted() + decimals >= MAX_DIGITS:
        return "too_large"
    scaled = number.scaleb(decimals, _EXACT)
    raw = scaled.to_integral_value(ROUND_HALF_EVEN)
    return (int(raw), raw != scaled) if len(str(int(raw))) <= MAX_DIGITS else "too_large"


def raw_units(value: object) -> tuple[int, bool] | str:
    """Raw integer of an amount that is given in raw units already; a fraction is no amount.

    A double beyond 2**53 cannot tell neighbouring integers apart and counts as rounded.
    """
    number = _decimal(value)
    if isinstance(number, str):
        return number
    if number and number.adjusted() >= MAX_DIGITS:
        return "too_large"
    if number != number.to_integral_value():
        return "bad_amount"
    return int(number), isinstance(value, float) and number >= 2**53


def _decimal(value: object) -> Decimal | str:
    if isinstance(value, Decimal):
        return value if value.is_finite() and value >= 0 else "bad_amount"
    if isinstance(value, float):
        return Decimal(repr(value)) if isfinite(value) and value >= 0 else "bad_amount"
    if isinstance(value, int):
        return Decimal(value) if value >= 0 else "bad_amount"
    text = str(value).strip()
    if _NUMBER.fullmatch(text) and len(text) <= _MAX_TEXT:
        return Decimal(text)
    return "bad_amount"
