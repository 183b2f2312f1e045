from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.bitcoin.blocks import read_exact
from chains.bitcoin.faults import exact_sat
from chains.errors import BadAnswer
from tests.chains.blocks import COIN, Out, Tx, read, read_lines, show_block, small_block, spend


def test_every_amount_of_an_output_is_exact() -> None:
    amounts = [1, 10, 29, 57, 10_000_001, 2_099_999_997_690_000, 2**53 - 1, 2**53 + 1, 10**18 + 1, 2**63 - 1]
    total = sum(amounts)
    parts = [total // 3, total // 3, total - 2 * (total // 3)]
    spends = [spend(str(place), part, place + 1) for place, part in enumerate(parts)]
    data = show_block([Tx([Out(1, "51")]), Tx([Out(sat, "51") for sat in amounts], spends)])
    legs = read(read_exact(data)).legs.to_pylist()
    assert [int(leg["amount"]) for leg in legs if leg["side"] == "payee"] == [1, *amounts]
    assert [int(leg["amount"]) for leg in legs if leg["side"] == "payer"] == parts


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(0, 2**63 - 1))
def test_amounts_survive_the_way_from_digits(amounts: list[int], spare: int) -> None:
    spends = [spend("x", sat, place) for place, sat in enumerate([*amounts, spare])]
    data = show_block([Tx([Out(0, "51")]), Tx([Out(sat, "51") for sat in amounts], spends)])
    legs = read(read_exact(data)).legs.to_pylist()
    assert [int(leg["amount"]) for leg in legs[1:]] == [*amounts, spare, *amounts]


@pytest.mark.parametrize(
    ("written", "sat"),
    [("1e-8", 1), ("5E-1", 50_000_000), ("21", 21 * COIN), ("0", 0), ("0.1", 10_000_000), ("-0.0", 0),
     ("1.2345678", 123_456_780), ("1.000000000000", COIN), ("0e5", 0), ("2.5e+1", 2_500_000_000),
     ("92233720368.54775807", 2**63 - 1)],
)  # fmt: skip
def test_other_ways_to_write_a_number_are_as_exact(written: str, sat: int) -> None:
    assert exact_sat(written) == sat
    data = show_block([Tx([Out(sat, "51")])]).replace(b'"value":', b'"value" : ', 1)
    digits = f"{sat // COIN}.{sat % COIN:08d}".encode()
    assert digits in data
    assert int(read(read_exact(data.replace(digits, written.encode()))).legs["amount"][0].as_py()) == sat


@pytest.mark.parametrize("value", [Decimal("0.5"), "0.50000000", "0.5"])
def test_amounts_may_come_as_decimals_or_text(value: object) -> None:
    assert exact_sat(value) == COIN // 2


NO_AMOUNTS: tuple[tuple[object, str], ...] = (
    ("-0.00000001", "below zero"), ("0.000000001", "below a satoshi"), ("1e-9", "below a satoshi"),
    ("92233720368.54775808", "more than"), ("1e400", "more than"), ("1" + "0" * 400, "no amount"),
    ("1e-400", "below a satoshi"), (10**400, "no amount"), (10**5000, "no amount"), (-1, "below zero"),
    (0.5, "double"), (float("nan"), "double"), (float("inf"), "double"), (Decimal("NaN"), "no amount"),
    (Decimal("Infinity"), "no amount"), (Decimal("1e999999"), "more than"), ("1e99999999999", "no amount"),
    (Decimal("1e-999999"), "below a satoshi"), ("NaN", "no amount"), ("0x10", "no amount"), ("", "no amount"),
    (" 1", "no amount"), ("1 ", "no amount"), ("1,5", "no amount"), ("١", "no amount"), (True, "no amount"),
    (None, "no amount"), ([], "no amount"), ({}, "no amount"), (b"1", "no amount"), ("1\n", "no amount"),
)  # fmt: skip


def test_what_is_no_amount_is_refused() -> None:
    for value, why in NO_AMOUNTS:
        with pytest.raises(ValueError, match=why):
            exact_sat(value)


def test_an_amount_is_never_read_through_a_double() -> None:
    block = orjson.loads(small_block())  # here the values are doubles
    with pytest.raises(
        BadAnswer, match=r"block 200: transaction 0 .*: vout 0: its value is '50.000003', read thr"
    ):
        read(block)


def test_an_amount_inside_a_text_is_left_alone() -> None:
    tx = Tx([Out(5, "51")], more={"comment": '{"value":1.5} "value" : -2 \\"value":3', "value": 1})
    block = read_exact(show_block([tx]))
    assert block["tx"][0]["comment"] == '{"value":1.5} "value" : -2 \\"value":3'
    assert read_lines(read(block))[0][7] == "5"
