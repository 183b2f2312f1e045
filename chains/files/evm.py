"""Tables of EVM chains from files: transactions, token transfers, traces, withdrawals.

The layouts of ethereum-etl, of the AWS public blockchain data and of cryo, as CSV or Parquet; the table is
recognised by its columns. What a row becomes is what the same block read from a node would give, under the
same key. Where one file does not say enough, `Beside` has the others of the export: blocks tell times and
who gets the tip of a fee, receipts how a transaction ended. Sources: EIP-155, EIP-658, EIP-1559, EIP-4844,
EIP-4895; the schemas of the three writers.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.assets import evm_coin
from chains.bulk import Mask
from chains.errors import ColumnError, FileError
from chains.files.beside import Beside
from chains.files.evm_columns import COUNTED, find_fields, read_fields, recognise
from chains.files.evm_rows import (
    BlockColumns,
    Columns,
    EvmFile,
    one_to_one,
    read_party,
    read_places,
    read_values,
)
from chains.files.evm_values import ZERO_ACCOUNT, Integers, read_accounts, read_whole
from chains.files.moves import Moves, Rows, join_moves, product, total
from chains.files.outcomes import BROKEN, FAILED, SUCCEEDED, UNSTATED, Outcomes, read_outcomes
from chains.ledger import AMOUNT, Kind, LegBatch
from chains.registry import Chain
from chains.rejections import Rejections, shown

_ZERO = pa.scalar(0, AMOUNT)
_PLAIN_PAYMENT = 21_000  # gas of a transaction that runs no code and carries no data
_DEPOSIT = 126  # type of what the OP Stack's own chain sends


def read_evm(
    layout: str,
    path: Path,
    *,
    chain: Chain,
    listed: Collection[str] = (),
    beside: Beside | None = None,
    rows_per_batch: int,
) -> Iterator[LegBatch]:
    """Read one file of an EVM chain or TRON; errors of the file are raised before the first batch."""
    native = evm_coin(chain)
    if chain.family not in ("evm", "tron"):
        raise FileError(path, why=f"the layout {layout} holds EVM chains and TRON; {chain.name} is neither")
    table = recognise(path)
    fields = find_fields(path, table, layout)
    near = beside or Beside(chain, {}, layout)
    source = EvmFile(layout, path, chain, native, near, rows_per_batch, frozenset(listed))
    if chain.family == "tron" and table in ("transactions", "traces"):
        why = f"{table} of TRON do not tell amounts of TRX rightly: give token_transfers"
        raise FileError(path, why=why)
    if table in COUNTED:
        return count_table(source, table, fields)
    if "time" not in fields and not near.has_blocks:
        raise ColumnError(path, column="block_timestamp", why=_NO_TIME[layout == "cryo"])
    if table == "traces":
        from chains.files.evm_traces import read_traces

        return read_traces(source, fields)
    readers = {
        "transactions": read_transactions,
        "token_transfers": read_token_transfers,
        "blocks": read_withdrawals,
    }
    return readers[table](source, fields)


_NO_TIME = (
    "is not there, and a transfer needs a time: give the blocks of the same heights in the same command",
    "is not there, and a transfer needs a time: freeze with `--include-columns timestamp` or give blocks too",
)


def read_transactions(source: EvmFile, fields: Mapping[str, str]) -> Iterator[LegBatch]:
    """Native value of the transactions that succeeded, and the fees of all whose receipts are known."""
    first = 0
    for count, columns in read_fields(source.path, fields, rows_per_batch=source.rows_per_batch):
        rejected = Rejections(count)
        rows, blocks = read_places(source, columns, rejected, first)
        payer = read_party(source, columns, "payer", rejected, needed=True)
        payee = read_party(source, columns, "payee", rejected)
        value = read_values(columns["value"], rejected)
        outcome = _outcomes(source, columns, rows, rejected)
        payee = _created(payee, payer, outcome.contract, columns)
        worth = ~_is_zero(value.value)
        status, unknown = _ends(outcome, columns)
        for row in np.flatnonzero(unknown & worth):
            rejected.add(int(row), "unknown_outcome", "it used up its gas: whether it failed is not stated")
        moving = worth & (status != FAILED)
        for row in np.flatnonzero(moving & np.asarray(payee.is_null())):
            rejected.add(
                int(row), "no_payee", "it creates a contract, and neither receipt nor nonce says which"
            )
        fee, tip, miner = _fees(outcome, blocks, columns, rejected)
        kept = rejected.kept()
        native = np.flatnonzero(moving & kept)
        charged = np.flatnonzero(np.asarray(pc.fill_null(pc.greater(fee, _ZERO), fill_value=False)) & kept)
        groups = [
            one_to_one(Kind.NATIVE, native, source.native.reference, payer=payer, payee=payee, value=value),
            _fee_moves(source, charged, payer=payer, miner=miner, fee=fee, tip=tip),
        ]
        idle = kept.copy()
        idle[native] = idle[charged] = False
        unmoved = {
            "failed": int((idle & (status == FAILED)).sum()),
            "zero_value": int((idle & (status != FAILED)).sum()),
        }
        assumed = int((moving & kept & (status == UNSTATED)).sum())
        transfers, legs = join_moves(rows, groups)
        assets = (source.native,) if transfers.num_rows else ()
        first += count
        yield LegBatch(
            transfers,
            legs,
            rejected.table(0, rows.number),
            assets,
            unmoved=unmoved,
            assumed=assumed,
            rows_read=first,
        )


def read_token_transfers(source: EvmFile, fields: Mapping[str, str]) -> Iterator[LegBatch]:
    """Transfer events of tokens; from the zero address a mint, to it a burn, between the two nothing."""
    first = 0
    nobody = read_accounts(pa.array([ZERO_ACCOUNT]), source.chain)[0][0]
    for count, columns in read_fields(source.path, fields, rows_per_batch=source.rows_per_batch):
        rejected = Rejections(count)
        rows, _ = read_places(source, columns, rejected, first)
        token = read_party(source, columns, "token", rejected, needed=True)
        payer = read_party(source, columns, "payer", rejected, needed=True)
        payee = read_party(source, columns, "payee", rejected, needed=True)
        part, placed, _ = read_whole(columns["part"])
        for row in np.flatnonzero(~placed | (part >= 2**31)):
            rejected.add(int(row), "bad_log_index", f"log index {shown(columns['part'][int(row)].as_py())}")
        value = read_values(columns["value"], rejected)
        minted, burned = (_equal(side, nobody) for side in (payer, payee))
        kept = rejected.kept()
        moved = np.flatnonzero(kept & ~(minted & burned))
        payer = pc.if_else(pa.array(minted), None, payer)
        payee = pc.if_else(pa.array(burned), None, payee)
        coded = token.take(pa.array(moved)).dictionary_encode()
        known = [source.token(contract) for contract in coded.dictionary.to_pylist()]
        names = pa.array([asset.reference for asset in known], pa.string())
        group = one_to_one(
            Kind.TOKEN, moved, names.take(coded.indices), payer=payer, payee=payee, value=value, part=part
        )
        transfers, legs = join_moves(rows, [group])
        first += count
        yield LegBatch(
            transfers,
            legs,
            rejected.table(0, rows.number),
            tuple(sorted(known, key=lambda asset: asset.reference)),
            unmoved={"zero_address": int((kept & minted & burned).sum())},
            rows_read=first,
        )


def count_table(source: EvmFile, table: str, fields: Mapping[str, str]) -> Iterator[LegBatch]:
    """Count the rows of a table that makes no transfers: receipts complete those of transactions."""
    first = 0
    for count, _ in read_fields(source.path, fields, rows_per_batch=source.rows_per_batch):
        first += count
        nothing = join_moves(_no_rows(), [])
        yield LegBatch(*nothing, Rejections(0).table(0), (), unmoved={table: count}, rows_read=first)


def read_withdrawals(source: EvmFile, fields: Mapping[str, str]) -> Iterator[LegBatch]:
    """Withdrawals of stakers in blocks files (EIP-4895): made by the block, paid by nobody."""
    from chains.files.withdrawals import unfold_withdrawals

    first = 0
    for count, columns in read_fields(source.path, fields, rows_per_batch=source.rows_per_batch):
        rejected = Rejections(count)
        rows, _ = read_places(source, {**columns, "position": columns.get("count")}, rejected, first)
        rows = Rows(
            rows.number, rows.height, rows.position, rows.time, pa.nulls(count, pa.binary()), rows.block_hash
        )
        group = unfold_withdrawals(source, columns.get("withdrawals"), rows, rejected)
        kept = rejected.kept()
        transfers, legs = join_moves(rows, [group])
        kept[group.row] = False
        first += count
        assets = (source.native,) if transfers.num_rows else ()
        yield LegBatch(
            transfers,
            legs,
            rejected.table(0, rows.number),
            assets,
            unmoved={"no_withdrawals": int(kept.sum())},
            rows_read=first,
        )


def _outcomes(source: EvmFile, columns: Columns, rows: Rows, rejected: Rejections) -> Outcomes:
    count = len(rows.number)
    outcome = read_outcomes(columns, count, source.chain)
    heights = np.asarray(rows.height)
    outcome = outcome.filled_from(source.beside.outcomes(heights, rows.hash))
    for row in np.flatnonzero(np.asarray(outcome.status) == BROKEN):
        rejected.add(int(row), "bad_status", "its status is neither 0 nor 1")
    for row in np.flatnonzero(np.asarray(outcome.fault)):
        rejected.add(int(row), "bad_receipt", "its gas, price or contract cannot be read")
    return outcome


def _ends(outcome: Outcomes, columns: Columns) -> tuple[Integers, Mask]:
    """Status of each transaction, and which cannot be known though there is a receipt.

    Receipts from before Byzantium (EIP-658) state none. A failure then used up all gas, so gas left over is a
    success; exactly 21,000 is a plain payment, which stays `UNSTATED` and is taken as one that arrived.
    """
    status = np.asarray(outcome.status).astype(np.int64)
    used = outcome.gas_used
    if "gas" not in columns or used.null_count == len(used):
        return status, np.zeros(len(status), np.bool_)
    limit, known, _ = read_whole(columns["gas"])
    spent, told, _ = read_whole(used)
    told &= known & (status == UNSTATED)
    status = np.where(told & (spent < limit), SUCCEEDED, status)
    unknown: Mask = told & (spent >= limit) & (spent != _PLAIN_PAYMENT)
    return status, unknown


def _fees(
    outcome: Outcomes, blocks: BlockColumns, columns: Columns, rejected: Rejections
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """What the sender pays in all (null where unknown), the tip in it, and who gets that."""
    gas, large = product(outcome.gas_used, outcome.price)
    blob, blob_large = product(outcome.blob_gas, outcome.blob_price)
    fee, over = total(gas, pc.fill_null(blob, _ZERO))
    fee, over_l1 = total(fee, pc.fill_null(outcome.l1_fee, _ZERO))
    for row in np.flatnonzero(large | blob_large | over | over_l1):
        rejected.add(int(row), "too_large", "its fee has more than 38 digits")
    base = pc.if_else(pc.greater(blocks.base_fee, outcome.price), outcome.price, blocks.base_fee)
    tip, _ = total(gas, product(outcome.gas_used, base)[0], sign=-1)
    tip = pc.if_else(blocks.miner.is_valid(), tip, None)
    if "type" in columns:  # the chain's own deposits pay nothing
        kinds, _, _ = read_whole(columns["type"])
        fee = pc.if_else(pa.array(kinds == _DEPOSIT), None, fee)
    return fee, tip, blocks.miner


def _fee_moves(
    source: EvmFile, rows: Integers, *, payer: pa.Array, miner: pa.Array, fee: pa.Array, tip: pa.Array
) -> Moves:
    take = pa.array(rows)
    got = pc.fill_null(tip.take(take), _ZERO)
    return Moves(
        kind=Kind.FEE,
        row=rows,
        part=np.zeros(len(rows), np.int64),
        asset=pa.repeat(source.native.reference, len(rows)),
        payer=payer.take(take),
        payee=pc.if_else(pc.greater(got, _ZERO), miner.take(take), None),
        paid=fee.take(take),
        got=got,
        lossy=np.zeros(len(rows), np.bool_),
    )


def _created(payee: pa.Array, payer: pa.Array, contract: pa.Array, columns: Columns) -> pa.Array:
    """Payee of each transaction: the contract that it creates where it has none."""
    payee = pc.coalesce(payee, pc.if_else(payee.is_null(), contract, None))
    if "nonce" not in columns:
        return payee
    nonces, known, _ = read_whole(columns["nonce"])
    lacking = np.flatnonzero(np.asarray(payee.is_null()) & known & np.asarray(payer.is_valid()))
    if not len(lacking):
        return payee
    made = [created_account(payer[int(row)].as_py(), int(nonces[row])) for row in lacking]
    mask = np.zeros(len(payee), np.bool_)
    mask[lacking] = True
    return pc.replace_with_mask(payee, pa.array(mask), pa.array(made, pa.string()))


def created_account(sender: str, nonce: int) -> str:
    """Contract that a transaction of an account creates: Keccak-256 of both in RLP (the yellow paper, 7)."""
    from Crypto.Hash import keccak

    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    coded = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(sender[2:]) + coded
    return "0x" + keccak.new(digest_bits=256, data=bytes([0xC0 + len(body)]) + body).hexdigest()[-40:]


def _is_zero(amounts: pa.Array) -> Mask:
    found: Mask = np.asarray(pc.equal(amounts, _ZERO))
    return found


def _equal(accounts: pa.Array, account: pa.Scalar) -> Mask:
    found: Mask = np.asarray(pc.fill_null(pc.equal(accounts, account), fill_value=False))
    return found


def _no_rows() -> Rows:
    empty = pa.nulls(0, pa.binary())
    return Rows(
        np.zeros(0, np.int64),
        pa.nulls(0, pa.int64()),
        pa.nulls(0, pa.int32()),
        pa.nulls(0, pa.timestamp("us")),
        empty,
        empty,
    )
