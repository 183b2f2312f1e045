"""Bitcoin transactions from files: the layouts of bitcoin-etl and of the AWS public blockchain data.

Both hold one transaction a row with lists of inputs and outputs. bitcoin-etl has whole satoshi and a list
of addresses for each output; AWS has doubles of BTC and one address. A file without `block_number` gives
transfers without a height. All work is on whole columns: millions of legs pass without a loop over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import output_account, script_account
from chains.assets import native_asset
from chains.bulk import Mask, canonical_addresses, decode_hashes, utc_times
from chains.errors import FileError
from chains.files.bitcoin_columns import found_columns, json_types
from chains.files.rows import file_format, read_rows
from chains.ledger import (
    AMOUNT,
    LEG_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    Kind,
    LegBatch,
    Side,
)
from chains.registry import Chain
from chains.rejections import Rejections, shown, value_at

Integers = NDArray[np.int64]

_SIDES = ("inputs", "outputs")
_BTC = 100_000_000
_NOISE_SAT = 1e-6  # how far from a whole satoshi a double of BTC may lie by arithmetic alone
_LARGEST_DOUBLE_SAT = 2.0**53


def read_bitcoin(layout: str, path: Path, *, chain: Chain, rows_per_batch: int) -> Iterator[LegBatch]:
    """Read a file of `bitcoin-etl` or `aws-btc`; errors of the file are raised before the first batch."""
    asset = native_asset(chain)
    if chain.family != "bitcoin" or asset is None:
        raise FileError(
            path, why=f"the layout {layout} holds chains of Bitcoin's kind; {chain.name} is not one"
        )
    form = _Form(layout, path, chain, asset, found_columns(layout, path))
    return form.batches(rows_per_batch)


@dataclass(frozen=True)
class _Legs:
    """All inputs or all outputs of a batch of rows, one element a leg."""

    row: Integers  # row of the batch
    index: pa.Array
    index_fault: Mask  # no index, or one that another leg of the row has
    account: pa.Array  # canonical text; null where there is no single address
    broken: Mask  # an address that is none
    value_sat: Integers
    amount_fault: Mask  # not a number, or negative
    no_value: Mask
    lossy: Mask
    script: pa.Array
    spent_text: pa.Array
    spent_hash: pa.Array
    spent_fault: Mask
    spent_index: pa.Array
    address_text: pa.Array


class _Form:
    """One file being read: its layout, columns, and what is carried from batch to batch."""

    def __init__(self, layout: str, path: Path, chain: Chain, asset: Asset, columns: frozenset[str]) -> None:
        self.layout, self.path, self.chain, self.asset, self.columns = layout, path, chain, asset, columns
        self.types = json_types(layout, columns) if file_format(path) == "json" else None
        self.seen_in_block: dict[int, int] = {}  # rows so far of a block, where the file has no position
        self.known_scripts: dict[tuple[str, int], str] | None = None

    def batches(self, rows_per_batch: int) -> Iterator[LegBatch]:
        """Legs of each batch of rows."""
        row = 0
        columns = sorted(self.columns)
        for rows in read_rows(self.path, columns, rows_per_batch=rows_per_batch, types=self.types):
            yield self._batch(rows, row)
            row += rows.num_rows

    def _batch(self, rows: pa.RecordBatch, first_row: int) -> LegBatch:
        count = rows.num_rows
        rejected = Rejections(count)
        txids = pc.utf8_lower(rows.column("hash").cast(pa.string()))
        hashes, hash_fits = decode_hashes(txids)
        times, time_fits = utc_times(_counts(rows.column("block_timestamp"), pa.int64()))
        inputs, outputs = self._both_legs(rows.column("inputs"), rows.column("outputs"))
        coinbase = self._coinbase(rows, inputs, count)
        heights, positions, block_hashes, block_fits = self._places(rows)

        _reject(rejected, np.flatnonzero(~hash_fits), "bad_hash", rows.column("hash"))
        _reject(rejected, np.flatnonzero(~time_fits), "bad_time", rows.column("block_timestamp"))
        for reason, fits, column in block_fits:
            _reject(rejected, np.flatnonzero(~fits), reason, column)
        spends = ~coinbase[inputs.row]
        self._check_legs(rejected, inputs, spends, "input")
        self._check_legs(rejected, outputs, np.ones(len(outputs.row), np.bool_), "output")
        self._check_sums(rejected, inputs, spends, outputs, coinbase)

        keep = rejected.kept()
        number = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int64)
        lossy = np.zeros(count, np.bool_)
        lossy[inputs.row[inputs.lossy & spends]] = True
        lossy[outputs.row[outputs.lossy]] = True
        kinds = pa.array([Kind.NATIVE.value, Kind.REWARD.value]).take(
            pa.array(coinbase[keep].astype(np.int8))
        )
        transfers = pa.table(
            {
                "transfer": number[keep],
                "row": np.flatnonzero(keep) + first_row,
                "height": _kept(heights, keep),
                "position": _kept(positions, keep),
                "kind": kinds,
                "part": np.zeros(int(keep.sum()), np.int32),
                "time": _kept(times, keep),
                "hash": _kept(hashes, keep),
                "asset": pa.repeat(self.asset.reference, int(keep.sum())),
                "block_hash": _kept(block_hashes, keep),
                "lossy": lossy[keep],
            },
            schema=TRANSFER_SCHEMA,
        )
        legs = self._leg_table(
            inputs, spends & keep[inputs.row], outputs, keep[outputs.row], number=number, txids=txids
        )
        return LegBatch(transfers, legs, rejected.table(first_row), (self.asset,) if keep.any() else ())

    def _both_legs(self, inputs: pa.Array, outputs: pa.Array) -> tuple[_Legs, _Legs]:
        """Inputs and outputs of a batch; an address on both sides is read once."""
        records = (inputs.flatten(), outputs.flatten())
        stated = [self._addresses(record, side) for record, side in zip(records, _SIDES, strict=True)]
        accounts, broken = canonical_addresses(pa.concat_arrays([text for text, _ in stated]), self.chain)
        cut = len(records[0])
        return (
            self._legs(inputs, "inputs", stated[0], accounts.slice(0, cut), broken[:cut]),
            self._legs(outputs, "outputs", stated[1], accounts.slice(cut), broken[cut:]),
        )

    def _legs(
        self, lists: pa.Array, side: str, stated: tuple[pa.Array, Mask], account: pa.Array, broken: Mask
    ) -> _Legs:
        record = lists.flatten()
        text, several = stated
        row = np.asarray(pc.list_parent_indices(lists)).astype(np.int64, copy=False)
        count = len(record)
        place = np.arange(count) - np.searchsorted(row, row)
        index, index_fault = self._indices(record, side, row, place)
        if several.any():
            account = pc.if_else(pa.array(several), pa.nulls(count, pa.string()), account)
        values, no_value, fault, lossy = self._values(record)
        spent_text = pc.utf8_lower(self._field(record, side, "spent_transaction_hash", pa.string()))
        spent_hash, spent_fits = pa.nulls(count, pa.binary()), np.zeros(count, np.bool_)
        if side == "inputs":
            spent_hash, spent_fits = decode_hashes(spent_text)
        spent_index = self._field(record, side, "spent_output_index", pa.int32())
        return _Legs(
            row=row,
            index=index,
            index_fault=index_fault,
            account=account,
            broken=broken & ~several,
            value_sat=values,
            amount_fault=fault,
            no_value=no_value,
            lossy=lossy,
            script=self._field(record, side, "script_hex", pa.string()),
            spent_text=spent_text,
            spent_hash=spent_hash,
            spent_fault=~spent_fits | np.asarray(pc.is_null(spent_index)),
            spent_index=spent_index,
            address_text=text,
        )

    def _field(self, record: pa.Array, side: str, field: str, kind: pa.DataType) -> pa.Array:
        if f"{side}.{field}" not in self.columns:
            return pa.nulls(len(record), kind)
        column = pc.struct_field(record, field)
        return _counts(column, kind) if pa.types.is_integer(kind) else column.cast(kind)

    def _indices(self, record: pa.Array, side: str, row: Integers, place: Integers) -> tuple[pa.Array, Mask]:
        """Index of each leg, its place where none is stated; and which ones cannot be."""
        index = self._field(record, side, "index", pa.int32())
        fault = np.zeros(len(record), np.bool_)
        if index.null_count:
            if f"{side}.index" in self.columns:
                fault = np.asarray(pc.and_(pc.is_null(index), pc.is_valid(pc.struct_field(record, "index"))))
            index = pc.if_else(pc.is_valid(index), index, pa.array(place, pa.int32()))
        numbers = np.asarray(index).astype(np.int64)
        if (numbers != place).any():  # else each has its own
            _, first = np.unique((row << 32) + numbers, return_index=True)
            repeated = np.ones(len(numbers), np.bool_)
            repeated[first] = False
            fault = fault | repeated
        return index, fault

    def _addresses(self, record: pa.Array, side: str) -> tuple[pa.Array, Mask]:
        """The only address of each leg (null for none), and which legs have several (bare multisig)."""
        if self.layout == "aws-btc":
            text = self._field(record, side, "address", pa.string())
            return pc.if_else(pc.equal(text, ""), None, text), np.zeros(len(record), np.bool_)
        lists = pc.struct_field(record, "addresses").cast(pa.list_(pa.string()))
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        if (lengths == 1).all():
            return lists.flatten(), np.zeros(len(record), np.bool_)
        starts = np.cumsum(lengths) - lengths
        flat = lists.flatten()
        first = flat.take(pa.array(np.where(lengths == 0, 0, starts), pa.int64(), mask=lengths == 0))
        return first, lengths > 1

    def _values(self, record: pa.Array) -> tuple[Integers, Mask, Mask, Mask]:
        """Satoshi of each leg; which are absent, which are no amount, and which a double does not denote."""
        column = pc.struct_field(record, "value")
        none = np.asarray(pc.is_null(column))
        if self.layout == "bitcoin-etl":
            whole = _counts(column, pa.int64())
            fault = np.asarray(pc.is_null(whole)) & ~none
            return np.asarray(pc.fill_null(whole, 0)), none, fault, np.zeros(len(column), np.bool_)
        btc = np.asarray(pc.fill_null(column.cast(pa.float64()), 0.0))
        fault = ~((btc >= 0) & (btc * _BTC < _LARGEST_DOUBLE_SAT))
        btc = np.where(fault, 0.0, btc)
        sat = np.rint(btc * _BTC)
        # The product of a large sum is rounded itself: the quotient tells if this is the double of `sat`.
        lossy: Mask = (sat / _BTC != btc) & (np.abs(btc * _BTC - sat) > _NOISE_SAT)
        return sat.astype(np.int64), none, fault, lossy

    def _coinbase(self, rows: pa.RecordBatch, inputs: _Legs, count: int) -> Mask:
        empty: Mask = np.bincount(inputs.row, minlength=count) == 0
        if "is_coinbase" not in self.columns:
            return empty
        said = rows.column("is_coinbase").cast(pa.bool_())
        coinbase: Mask = np.where(
            np.asarray(said.is_null()), empty, np.asarray(pc.fill_null(said, fill_value=False))
        )
        return coinbase

    def _places(
        self, rows: pa.RecordBatch
    ) -> tuple[pa.Array, pa.Array, pa.Array, list[tuple[str, Mask, pa.Array]]]:
        """Height, position and block hash of each row, and the checks that rows must pass."""
        count = rows.num_rows
        checks = []
        heights, block_hashes = pa.nulls(count, pa.int64()), pa.nulls(count, pa.binary())
        positions = (
            _counts(rows.column("index"), pa.int32())
            if "index" in self.columns
            else pa.nulls(count, pa.int32())
        )
        if "block_number" in self.columns:
            heights = _counts(rows.column("block_number"), pa.int64())
            fits = np.asarray(pc.is_valid(heights))
            checks.append(("bad_height", fits, rows.column("block_number")))
            if "index" in self.columns:
                placed = np.asarray(pc.is_valid(positions))
                checks.append(("bad_position", placed, rows.column("index")))
            else:
                positions = pa.array(self._positions(np.asarray(pc.fill_null(heights, -1))), pa.int32())
        if "block_hash" in self.columns:
            text = rows.column("block_hash").cast(pa.string())
            block_hashes, fits = decode_hashes(pc.utf8_lower(text))
            checks.append(("bad_block_hash", fits | np.asarray(text.is_null()), text))
        return heights, positions, block_hashes, checks

    def _positions(self, heights: Integers) -> Integers:
        """Place of each row within its block by the order of the file, over all batches so far."""
        order = np.argsort(heights, kind="stable")
        ordered = heights[order]
        starts = (
            np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            if len(ordered)
            else np.zeros(0, np.int64)
        )
        sizes = np.diff(np.r_[starts, len(ordered)])
        before = np.array([self.seen_in_block.get(int(h), 0) for h in ordered[starts]], np.int64)
        places = np.empty(len(heights), np.int64)
        places[order] = np.arange(len(ordered)) - np.repeat(starts - before, sizes)
        for height, seen, size in zip(ordered[starts], before, sizes, strict=True):
            self.seen_in_block[int(height)] = int(seen + size)
        return places

    def _check_legs(self, rejected: Rejections, legs: _Legs, counted: Mask, side: str) -> None:
        for reason, fault, detail in (
            ("no_value", legs.no_value, None),
            ("bad_index", legs.index_fault, None),
            ("bad_amount", legs.amount_fault, None),
            ("bad_address", legs.broken, legs.address_text),
            ("bad_input", legs.spent_fault & np.bool_(side == "input"), legs.spent_text),
        ):
            for leg in np.flatnonzero(fault & counted):
                found = f": {shown(detail[int(leg)].as_py())}" if detail is not None else ""
                text = f"{side} {legs.index[int(leg)].as_py()} {_FAULTS[reason]}{found}"
                rejected.add(int(legs.row[leg]), reason, text)

    def _check_sums(
        self,
        rejected: Rejections,
        inputs: _Legs,
        spends: Mask,
        outputs: _Legs,
        coinbase: Mask,
    ) -> None:
        """Reject transactions that create money, spend nothing or pay nobody."""
        count = len(coinbase)
        spent = np.bincount(inputs.row[spends], minlength=count)
        for row in np.flatnonzero(~coinbase & (spent == 0)):
            rejected.add(int(row), "no_inputs", "it is no coinbase and has no inputs")
        for row in np.flatnonzero(np.bincount(outputs.row, minlength=count) == 0):
            rejected.add(int(row), "no_outputs", "it has no outputs")
        # Summed in two halves of 32 bits: each stays exact inside a double.
        paid = inputs.value_sat[spends]
        high = _sums(inputs.row[spends], paid >> 32, count) - _sums(
            outputs.row, outputs.value_sat >> 32, count
        )
        low = _sums(inputs.row[spends], paid & 0xFFFFFFFF, count)
        low -= _sums(outputs.row, outputs.value_sat & 0xFFFFFFFF, count)
        for row in np.flatnonzero(~coinbase & (high + (low >> 32) < 0)):
            short = -((int(high[row]) << 32) + int(low[row]))
            rejected.add(
                int(row), "inputs_below_outputs", f"its outputs exceed its inputs by {short} satoshi"
            )

    def _leg_table(
        self,
        inputs: _Legs,
        paying: Mask,
        outputs: _Legs,
        paid: Mask,
        *,
        number: Integers,
        txids: pa.Array,
    ) -> pa.Table:
        """All payer legs, then all payee legs, each by transfer: the columns as they were read."""
        sides = (
            (Side.PAYER, inputs, paying, self._input_accounts(inputs, paying)),
            (Side.PAYEE, outputs, paid, _output_accounts(outputs, paid, txids)),
        )
        chunks = []
        for side, legs, chosen, accounts in sides:
            count = int(chosen.sum())
            spent_hash, spent_index = pa.nulls(count, pa.binary()), pa.nulls(count, pa.int32())
            if side is Side.PAYER:
                spent_hash, spent_index = _kept(legs.spent_hash, chosen), _kept(legs.spent_index, chosen)
            columns = {
                "transfer": number[legs.row[chosen]],
                "side": pa.repeat(side.value, count),
                "index": _kept(legs.index, chosen),
                "account": _kept(accounts, chosen),
                "amount": pa.array(legs.value_sat[chosen]).cast(AMOUNT),
                "spent_hash": spent_hash,
                "spent_index": spent_index,
            }
            chunks.append(pa.table(columns, schema=LEG_SCHEMA))
        return pa.concat_tables(chunks)

    def _input_accounts(self, inputs: _Legs, chosen: Mask) -> pa.Array:
        """Accounts of the inputs; one without an address has that of the output it spends.

        Neither layout repeats the spent output's script in the input (`script_hex` there is the signature's),
        so it is looked up among the file's own outputs; what is not there is named by the output.
        """
        missing = np.flatnonzero(np.asarray(pc.is_null(inputs.account)) & chosen)
        if not len(missing):
            return inputs.account
        if self.known_scripts is None:
            self.known_scripts = self._scripts_of_outputs()
        stand_ins = []
        for leg in missing:
            txid, index = inputs.spent_text[int(leg)].as_py(), inputs.spent_index[int(leg)].as_py()
            stand_ins.append(self.known_scripts.get((txid, index)) or output_account(txid, index))
        return _replaced(inputs.account, missing, stand_ins)

    def _scripts_of_outputs(self) -> dict[tuple[str, int], str]:
        """Stand-in accounts of all outputs of the file that have a script, value and no single address."""
        found: dict[tuple[str, int], str] = {}
        if "outputs.script_hex" not in self.columns:
            return found
        columns = sorted(name for name in self.columns if name == "hash" or name.startswith("outputs."))
        for rows in read_rows(self.path, columns, rows_per_batch=50_000, types=self.types):
            outputs = rows.column("outputs")
            stated = self._addresses(outputs.flatten(), "outputs")
            legs = self._legs(outputs, "outputs", stated, *canonical_addresses(stated[0], self.chain))
            lacking = np.asarray(pc.is_null(legs.account)) & ~legs.broken & (legs.value_sat > 0)
            txids = pc.utf8_lower(rows.column("hash").cast(pa.string()))
            for leg in np.flatnonzero(lacking):
                account = _script_account(legs.script[int(leg)].as_py())
                if account is not None:
                    found[txids[int(legs.row[leg])].as_py(), legs.index[int(leg)].as_py()] = account
        return found


_FAULTS = {
    "no_value": "has no value (fill the inputs in first: the layout of bitcoin-etl has a step for it)",
    "bad_amount": "has a value that is no amount",
    "bad_index": "has an index that is none, or that another one has",
    "bad_address": "has an address that is none",
    "bad_input": "does not say which output it spends",
}


def _counts(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Whole numbers from 0 on as a narrower type; null where they do not fit. Others are as they were."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if not pa.types.is_integer(column.type):
        return column
    bits = min(kind.bit_width - 1, column.type.bit_width - pa.types.is_signed_integer(column.type))
    low, high = pa.scalar(0, column.type), pa.scalar(2**bits - 1, column.type)
    fits = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
    return pc.if_else(fits, column, pa.scalar(None, column.type)).cast(kind)


def _output_accounts(outputs: _Legs, chosen: Mask, txids: pa.Array) -> pa.Array:
    missing = np.flatnonzero(np.asarray(pc.is_null(outputs.account)) & chosen)
    stand_ins = []
    for leg in missing:
        account = _script_account(outputs.script[int(leg)].as_py())
        if account is None:
            account = output_account(txids[int(outputs.row[leg])].as_py(), outputs.index[int(leg)].as_py())
        stand_ins.append(account)
    return _replaced(outputs.account, missing, stand_ins)


def _script_account(script_hex: str | None) -> str | None:
    try:
        return script_account(script_hex) if script_hex else None
    except ValueError:
        return None


def _kept(column: pa.Array, chosen: Mask) -> pa.Array:
    return column if chosen.all() else column.filter(pa.array(chosen))


def _replaced(accounts: pa.Array, places: Integers, values: list[str]) -> pa.Array:
    if not len(places):
        return accounts
    mask = np.zeros(len(accounts), np.bool_)
    mask[places] = True
    return pc.replace_with_mask(accounts, pa.array(mask), pa.array(values, pa.string()))


def _sums(rows: Integers, values: Integers, count: int) -> Integers:
    return np.bincount(rows, weights=values, minlength=count).astype(np.int64)


def _reject(rejected: Rejections, rows: Integers, reason: str, column: pa.Array) -> None:
    for row in rows:
        value = value_at(column, int(row))
        detail = f"{shown(value)} does not fit" if value is not None else "it is missing"
        rejected.add(int(row), reason, detail)
