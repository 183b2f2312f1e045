"""The ledger files of the world: bitcoin-etl Parquet for one chain, a payment file for the other."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chains.assets import SIMULATED_TOKEN
from datasets.simulate.addresses import cut_hex
from datasets.simulate.clock import START, Ints
from datasets.simulate.tokens import TokenChain
from datasets.simulate.utxo import UtxoChain

TOKEN_MAPPING = (
    "time=time",
    "payer=payer",
    "payee=payee",
    "amount=amount:units",
    "currency=currency",
    "reference=reference",
)
"""Column mapping of `tokens.parquet` for the payments layout."""

_TYPE = "witness_v0_keyhash"


def write_utxo(path: Path, chain: UtxoChain) -> None:
    """Write the transactions in the columns of bitcoin-etl."""
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
            "hash": hashes,
            "block_number": pa.array(chain.block + 1),
            "block_hash": pa.array(cut_hex(chain.block_hashes)).take(pa.array(chain.block)),
            "block_timestamp": _stamps(chain.time[chain.block]),
            "index": pa.array(chain.position),
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
    pq.write_table(table, path, compression="zstd", row_group_size=20_000)


def write_tokens(path: Path, chain: TokenChain) -> None:
    """Write the transfers as a payment file: time, payer, payee, amount, currency, reference."""
    accounts = pa.array(chain.accounts)
    rows = len(chain.time)
    table = pa.table(
        {
            "time": _stamps(chain.time),
            "payer": accounts.take(pa.array(chain.payer)),
            "payee": accounts.take(pa.array(chain.payee)),
            "amount": pa.array(chain.amount),
            "currency": _repeat(SIMULATED_TOKEN, rows),
            "reference": pa.array(["0x" + text for text in cut_hex(chain.hashes)]),
        }
    )
    pq.write_table(table, path, compression="zstd", row_group_size=50_000)


def show_time(second: int) -> str:
    """Write a moment of the world as ISO 8601 with Z."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


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
