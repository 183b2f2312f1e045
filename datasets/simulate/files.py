"""The ledger files of the world, in the columns of bitcoin-etl and of ethereum-etl, merged over regions."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chains.assets import SIMULATED_COIN, SIMULATED_TOKEN
from datasets.simulate.addresses import cut_hex
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import WRAPPED
from datasets.simulate.clock import END, START, Ints
from datasets.simulate.tokens import TokenChain
from datasets.simulate.utxo import UtxoChain

TOKEN_LAYOUT = "ethereum-etl"  # noqa: S105  (the name of a layout)
"""Layout of `tokens.parquet`: the table `token_transfers`."""

TOKEN_MAPPING = (
    "time=block_timestamp",
    "payer=from_address",
    "payee=to_address",
    "amount=value:units",
    "currency=token_address",
    "reference=transaction_hash",
)
"""Column mapping of `tokens.parquet` for the payments layout, which has no blocks and so sees no swaps."""

_TYPE = "witness_v0_keyhash"
_TOKEN_SECONDS = 12
_UTXO_ROWS, _TOKEN_ROWS = 20_000, 50_000
_WINDOW_ROWS = 40_000
_BEFORE = -10 * 86_400

Finish = Callable[[Sequence[pa.Table]], pa.Table]


def table_utxo(chain: UtxoChain) -> pa.Table:
    """Return the transactions of a region in the columns of bitcoin-etl, and `block` to merge by."""
    rows = len(chain.block)
    hashes = pa.array(cut_hex(chain.hashes))
    sums_out = _sum_by(chain.out_first, chain.out_value)
    sums_in = _sum_by(chain.in_first, chain.out_value[chain.spent])
    owner = np.repeat(np.arange(rows), np.diff(chain.out_first))  # the transaction of each output
    place = np.arange(len(chain.out_value)) - chain.out_first[owner]
    spender = np.repeat(np.arange(rows), np.diff(chain.in_first))
    texts = pa.array(chain.addresses)
    inputs = pa.StructArray.from_arrays(
        [
            pa.array(np.arange(len(chain.spent)) - chain.in_first[spender]),
            hashes.take(pa.array(owner[chain.spent])),
            pa.array(place[chain.spent]),
            _repeat(_TYPE, len(chain.spent)),
            _one_each(texts.take(pa.array(chain.out_address[chain.spent]))),
            pa.array(chain.out_value[chain.spent]),
        ],
        names=["index", "spent_transaction_hash", "spent_output_index", "type", "addresses", "value"],
    )
    outputs = pa.StructArray.from_arrays(
        [
            pa.array(place),
            _repeat(_TYPE, len(chain.out_value)),
            _one_each(texts.take(pa.array(chain.out_address))),
            pa.array(chain.out_value),
        ],
        names=["index", "type", "addresses", "value"],
    )
    table = pa.table(
        {
            "block": pa.array(chain.block),
            "hash": hashes,
            "is_coinbase": pa.array(chain.coinbase),
            "input_count": pa.array(np.diff(chain.in_first)),
            "output_count": pa.array(np.diff(chain.out_first)),
            "input_value": pa.array(sums_in),
            "output_value": pa.array(sums_out),
            "fee": pa.array(np.where(chain.coinbase, 0, sums_in - sums_out)),
            "inputs": pa.ListArray.from_arrays(pa.array(chain.in_first.astype(np.int32)), inputs),
            "outputs": pa.ListArray.from_arrays(pa.array(chain.out_first.astype(np.int32)), outputs),
        }
    )
    return table.filter(pa.array(~chain.foreign)) if chain.foreign.any() else table


def table_tokens(chain: TokenChain) -> pa.Table:
    """Return the transfers of a region, with the second and the transactions to merge by."""
    accounts = pa.array(chain.accounts)
    tokens = pa.array([SIMULATED_TOKEN, SIMULATED_COIN])
    table = pa.table(
        {
            "second": pa.array(chain.time),
            "joined": pa.array(chain.joined),
            "token_address": tokens.take(pa.array((chain.asset == WRAPPED).astype(np.int64))),
            "from_address": accounts.take(pa.array(chain.payer)),
            "to_address": accounts.take(pa.array(chain.payee)),
            "value": pa.array(chain.amount),
            "transaction_hash": pa.array(["0x" + text for text in cut_hex(chain.hashes)]),
        }
    )
    return table.filter(pa.array(~chain.foreign)) if chain.foreign.any() else table


def finish_utxo(blocks: Blocks) -> Finish:
    """Return what puts the transactions of all regions into the order of the chain, and numbers them."""
    names = pa.array(cut_hex(blocks.hashes))

    def finish(tables: Sequence[pa.Table]) -> pa.Table:
        whole, region = _join(tables)
        block = whole["block"].to_numpy()
        order = np.lexsort((np.arange(len(block)), region, ~whole["is_coinbase"].to_numpy(), block))
        if len(tables) > 1:
            whole = whole.take(pa.array(order))
        block = block[order]
        position = np.arange(len(block)) - np.searchsorted(block, block)
        columns = {
            "hash": whole["hash"],
            "block_number": pa.array(block + 1),
            "block_hash": names.take(pa.array(block)),
            "block_timestamp": _stamps(blocks.time[block]),
            "index": pa.array(position),
        }
        return pa.table({**columns, **{name: whole[name] for name in whole.column_names[2:]}})

    return finish


def finish_tokens(tables: Sequence[pa.Table]) -> pa.Table:
    """Put the transfers of all regions into the order of the chain, with blocks, places and log numbers."""
    whole, region = _join(tables)
    second = whole["second"].to_numpy()
    order = np.lexsort((np.arange(len(second)), region, second))
    if len(tables) > 1:
        whole = whole.take(pa.array(order))
    block = second[order] // _TOKEN_SECONDS
    first = np.searchsorted(block, block)
    begun = np.cumsum(~whole["joined"].to_numpy())  # transactions so far
    columns = {
        "block_number": pa.array(block + 1),
        "block_timestamp": _stamps(block * _TOKEN_SECONDS),
        "transaction_index": pa.array(begun - begun[first]),
        "log_index": pa.array(np.arange(len(block)) - first),
    }
    return pa.table({**columns, **{name: whole[name] for name in whole.column_names[2:]}})


def write_whole(path: Path, table: pa.Table, *, utxo: bool) -> None:
    """Write a ledger file of one table."""
    pq.write_table(table, path, compression="zstd", row_group_size=_UTXO_ROWS if utxo else _TOKEN_ROWS)


def window_starts(transfers: int, regions: int) -> Ints:
    """Return the first seconds of the windows of time in which the regions of a world are merged."""
    windows = max(8, transfers // _WINDOW_ROWS) if regions > 1 else 1
    starts = np.linspace(0, END, windows + 1)[:-1].astype(np.int64) // _TOKEN_SECONDS * _TOKEN_SECONDS
    starts[0] = _BEFORE
    return starts


def write_part(path: Path, table: pa.Table, cuts: Ints) -> None:
    """Write a region's table, its rows between each two of `cuts` as a row group."""
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            writer.write_table(table.slice(first, last - first), row_group_size=max(last - first, 1))


def merge_parts(path: Path, parts: Sequence[Path], cuts: Sequence[Ints], finish: Finish) -> int:
    """Merge the parts of all regions window by window into one file; return the number of rows."""
    files = [pq.ParquetFile(part) for part in parts]
    group = [0] * len(files)
    rows = 0
    writer: pq.ParquetWriter | None = None
    for window in range(len(cuts[0]) - 1):
        tables: list[pa.Table] = []
        for number, (file, cut) in enumerate(zip(files, cuts, strict=True)):
            if cut[window + 1] > cut[window]:
                tables.append(file.read_row_group(group[number]))
                group[number] += 1
            else:
                tables.append(file.schema_arrow.empty_table())
        table = finish(tables)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
        rows += len(table)
    if writer is not None:
        writer.close()
    for file in files:
        file.close()
    return rows


def show_time(second: int) -> str:
    """Write a moment of the world as ISO 8601 with Z."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _join(tables: Sequence[pa.Table]) -> tuple[pa.Table, Ints]:
    """Put tables under each other; return for each row which one it is of."""
    return pa.concat_tables(tables), np.repeat(np.arange(len(tables)), [len(table) for table in tables])


def _stamps(seconds: Ints) -> pa.Array:
    base = np.datetime64(START, "us")
    return pa.array(base + (seconds * 1_000_000).astype("timedelta64[us]"))


def _repeat(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([text])).cast(
        pa.string()
    )


def _one_each(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), values)


def _sum_by(first: Ints, values: Ints) -> Ints:
    """Sum the values of each transaction, which stand together from `first` on."""
    sums = np.concatenate([[0], np.cumsum(values)])
    whole: Ints = sums[first[1:]] - sums[first[:-1]]
    return whole
