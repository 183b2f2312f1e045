"""Small ledgers through the real doors: files of payments, coins, labels and prices, imported."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chains.address import find_chain
from chains.encoding import encode_segwit
from chains.files.layouts import PaymentMapping
from chains.ledger import Asset
from datasets.ingest import import_file, ingest_batches
from datasets.labels import import_labels
from datasets.store import open_ledger
from datasets.writing import Source
from tests.datasets.batches import Row, make_batches

BANK = "payments:mybank"
BITCOIN = "bip122:000000000019d6689c085ae165831e93"
COLUMNS = ["when", "from", "to", "sum", "currency", "ref"]
MAPPING = PaymentMapping.parse(
    ["time=when", "payer=from", "payee=to", "amount=sum", "currency=currency", "reference=ref"]
)
LABEL_COLUMNS = ["account", "category", "entity", "name", "source", "confidence", "published_at", "licence"]
RECORDED = datetime.fromisoformat("2023-06-01T00:00:00")

Payment = tuple[str, str, str, str]  # time, payer, payee, amount


def coin(name: str) -> str:
    """A valid Bitcoin address of an invented key."""
    return encode_segwit("bc", 0, sha256(name.encode()).digest()[:20])


@dataclass(frozen=True)
class Spend:
    """One Bitcoin transaction: (transaction name, output number) spent, (address name, satoshi) paid."""

    name: str
    time: str
    inputs: Sequence[tuple[str, int]] = ()
    outputs: Sequence[tuple[str, int]] = ()
    height: int | None = None


def import_payments(
    ledger: Path,
    payments: Sequence[Payment],
    *,
    name: str = "payments.csv",
    currency: str = "USD",
    references: bool = True,
) -> None:
    """Import payments between accounts of one bank; times are ISO 8601."""
    path = ledger.parent / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, (time, payer, payee, amount) in enumerate(payments):
            reference = f"{name}-{number}" if references else ""
            writer.writerow([time, payer, payee, amount, currency, reference])
    with open_ledger(ledger, write=True) as held:
        import_file(held, "payments", path, chain=find_chain(BANK), mapping=MAPPING, code_version="test")


def import_spends(ledger: Path, spends: Sequence[Spend], *, name: str = "coins.parquet") -> None:
    """Import Bitcoin transactions in the layout of the AWS public data (doubles of BTC)."""
    paid = {(s.name, i): output for s in spends for i, output in enumerate(s.outputs)}
    rows = []
    for position, spend in enumerate(spends):
        inputs: list[dict[str, Any]] = [
            {"index": i, "spent_transaction_hash": sha256(tx.encode()).hexdigest(), "spent_output_index": n,
             "address": coin(paid[tx, n][0]), "type": "witness_v0_keyhash", "value": paid[tx, n][1] / 1e8}
            for i, (tx, n) in enumerate(spend.inputs)
        ]  # fmt: skip
        outputs: list[dict[str, Any]] = [
            {"index": i, "address": coin(address), "type": "witness_v0_keyhash", "value": value / 1e8}
            for i, (address, value) in enumerate(spend.outputs)
        ]
        row = {
            "hash": sha256(spend.name.encode()).hexdigest(),
            "block_hash": sha256(f"block {spend.height}".encode()).hexdigest(),
            "block_timestamp": datetime.fromisoformat(spend.time),
            "index": position if spend.height is not None else None,
            "is_coinbase": not inputs,
            "input_count": len(inputs),
            "output_count": len(outputs),
            "input_value": sum(i["value"] for i in inputs),
            "output_value": sum(o["value"] for o in outputs),
            "fee": 0.0,
            "inputs": inputs,
            "outputs": outputs,
        }
        if spend.height is not None:
            row["block_number"] = spend.height
        rows.append(row)
    path = ledger.parent / name
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(rows)), path)
    with open_ledger(ledger, write=True) as held:
        import_file(held, "aws-btc", path, chain=find_chain("bitcoin"), code_version="test")


def import_claims(
    ledger: Path,
    claims: Sequence[tuple[str, str, str, str]],
    *,
    name: str = "labels.csv",
    recorded_at: datetime = RECORDED,
) -> None:
    """Import labels: account (CAIP-10), category, confidence, published_at (ISO 8601 or empty)."""
    path = ledger.parent / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(LABEL_COLUMNS)
        for account, category, confidence, published in claims:
            writer.writerow([account, category, account, category, "test", confidence, published, "CC0-1.0"])
    with open_ledger(ledger, write=True) as held:
        found = import_labels(held, "csv", path, recorded_at=recorded_at)
    assert not found.rejected


def _schema(rows: Sequence[dict[str, object]]) -> pa.Schema:
    side = [("index", pa.int64()), ("address", pa.string()), ("type", pa.string()), ("value", pa.float64())]
    spent = [("spent_transaction_hash", pa.string()), ("spent_output_index", pa.int64())]
    fields = {
        "hash": pa.string(), "block_hash": pa.string(), "block_timestamp": pa.timestamp("us"),
        "index": pa.int64(),
        "is_coinbase": pa.bool_(), "input_count": pa.int64(), "output_count": pa.int64(),
        "input_value": pa.float64(), "output_value": pa.float64(), "fee": pa.float64(),
        "inputs": pa.list_(pa.struct([*side, *spent])), "outputs": pa.list_(pa.struct(side)),
        "block_number": pa.int64(),
    }  # fmt: skip
    return pa.schema([(name, fields[name]) for name in rows[0]])


ETHEREUM = "eip155:1"
ETHER = Asset("slip44:60", "ETH", 18, listed=True)
TETHER = Asset("erc20:0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT", 6, listed=True, usd_pegged=True)
SPAM = Asset("erc20:0x00000000000000000000000000000000000000ff", "FREE", 18, listed=False)
SATOSHI = Asset("slip44:0", "BTC", 8, listed=True)
KOINU = Asset("slip44:3", "DOGE", 8, listed=True)


def evm(name: str) -> str:
    """A valid EVM address of an invented key."""
    return "0x" + sha256(name.encode()).hexdigest()[:40]


def import_rows(
    ledger: Path, rows: Sequence[Row], *, chain: str = "ethereum", name: str = "rows", rename: Any = evm
) -> None:
    """Import transfers of any kind as a node would hand them over; accounts are names."""
    named = [
        replace(
            row,
            payers=tuple((rename(who), amount) for who, amount in row.payers),
            payees=tuple((rename(who), amount) for who, amount in row.payees),
        )
        for row in rows
    ]
    batches = [replace(b, assets=(ETHER, TETHER, SPAM, SATOSHI, KOINU)) for b in make_batches(named)]
    source = Source(find_chain(chain), "node", name, name)
    with open_ledger(ledger, write=True) as held:
        ingest_batches(held, batches, source=source, code_version="test")
