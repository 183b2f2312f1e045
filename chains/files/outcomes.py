"""How transactions of an EVM chain ended: whether they succeeded, and what the sender paid for them.

The columns stand in a receipts file (ethereum-etl) or in the transactions themselves (AWS, cryo).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.bulk import Mask
from chains.files.evm_values import is_text, plain, read_accounts, read_amounts, read_whole
from chains.ledger import AMOUNT
from chains.registry import Chain

FAILED, SUCCEEDED, UNSTATED, BROKEN = 0, 1, -1, -2

_OUTCOME = {
    "status": pa.int8(),
    "contract": pa.string(),
    "gas_used": AMOUNT,
    "price": AMOUNT,
    "blob_gas": AMOUNT,
    "blob_price": AMOUNT,
    "l1_fee": AMOUNT,
    "fault": pa.bool_(),
}


@dataclass(frozen=True)
class Outcomes:
    """Of each transaction: its end, the contract it made, and the parts of its fee, null where unstated."""

    status: pa.Array  # int8: FAILED, SUCCEEDED, UNSTATED or BROKEN
    contract: pa.Array  # canonical account
    gas_used: pa.Array  # AMOUNT, as the rest
    price: pa.Array  # wei a unit of gas, all told
    blob_gas: pa.Array
    blob_price: pa.Array
    l1_fee: pa.Array  # wei
    fault: pa.Array  # a part of the fee, or the contract, that cannot be read

    def table(self) -> pa.Table:
        """Return the same as a table."""
        return pa.table({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Return the outcomes of a table; a row of nulls says nothing."""
        columns = {name: plain(table[name]).cast(kind) for name, kind in _OUTCOME.items()}
        columns["status"] = pc.fill_null(columns["status"], UNSTATED)
        columns["fault"] = pc.fill_null(columns["fault"], fill_value=False)
        return cls(**columns)

    def filled_from(self, other: "Outcomes | None") -> "Outcomes":
        """Return these, and what `other` says where these say nothing."""
        if other is None:
            return self
        unstated = pc.equal(self.status, UNSTATED)
        columns = {
            name: pc.coalesce(getattr(self, name), getattr(other, name))
            for name in _OUTCOME
            if name not in ("status", "fault")
        }
        return Outcomes(
            status=pc.if_else(unstated, other.status, self.status),
            fault=pc.or_(self.fault, other.fault),
            **columns,
        )


def read_outcomes(columns: Mapping[str, pa.Array], count: int, chain: Chain) -> Outcomes:
    """Read the columns of outcomes that there are."""
    fault = np.zeros(count, np.bool_)
    amounts = {}
    for word in ("gas_used", "effective", "price", "blob_gas", "blob_price", "l1_fee"):
        amounts[word] = pa.nulls(count, AMOUNT)
        if word in columns:
            found = read_amounts(columns[word])
            fault |= found.bad | found.large
            amounts[word] = pc.if_else(pa.array(found.absent), pa.scalar(None, AMOUNT), found.value)
    contract = pa.nulls(count, pa.string())
    if "contract" in columns:
        contract, broken = read_accounts(columns["contract"], chain)
        fault |= broken
    return Outcomes(
        status=read_status(columns["status"])
        if "status" in columns
        else pa.array([UNSTATED] * count, pa.int8()),
        contract=contract,
        gas_used=amounts["gas_used"],
        price=pc.coalesce(amounts["effective"], amounts["price"]),
        blob_gas=amounts["blob_gas"],
        blob_price=amounts["blob_price"],
        l1_fee=amounts["l1_fee"],
        fault=pa.array(fault),
    )


def read_status(column: pa.Array) -> pa.Array:
    """Read 0 and 1, or false and true; a receipt from before Byzantium (EIP-658) states neither."""
    column = plain(column)
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.int8()), UNSTATED)
    given = np.asarray(column.is_valid())
    if is_text(column.type):
        word = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        word = pc.if_else(pc.equal(word, "true"), "1", pc.if_else(pc.equal(word, "false"), "0", word))
        column = pc.replace_substring_regex(word, r"^0x", "")
    if pa.types.is_nested(column.type) or pa.types.is_temporal(column.type):
        return pa.array(np.where(given, BROKEN, UNSTATED).astype(np.int8))
    numbers, good, _ = read_whole(column)
    status: Mask = np.where(good & (numbers <= 1), numbers, BROKEN)
    return pa.array(np.where(given, status, UNSTATED).astype(np.int8))
