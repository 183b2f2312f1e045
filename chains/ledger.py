"""The words of the ledger as Arrow schemas: what every adapter hands over, whatever it read.

A transfer is one indivisible movement of one asset. It has payer legs (funds leave an address) and
payee legs (funds reach one). A Bitcoin transaction keeps its n inputs and m outputs, an account
transfer has one of each; a coinbase has no payer, and a fee is payers minus payees.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc


class Kind(StrEnum):
    """What moved the asset. The order is the order of effect within one chain transaction."""

    GENESIS = "genesis"
    REWARD = "reward"
    NATIVE = "native"
    INTERNAL = "internal"
    TOKEN = "token"  # noqa: S105  (a kind of transfer, not a secret)
    FEE = "fee"
    WITHDRAWAL = "withdrawal"


class Side(StrEnum):
    """Which side of a transfer a leg is on."""

    PAYER = "payer"
    PAYEE = "payee"


AMOUNT = pa.decimal128(38, 0)
"""Raw integer units of the asset (satoshi, wei, a token's or a currency's smallest unit)."""

TRANSFER_SCHEMA = pa.schema(
    [
        pa.field("transfer", pa.int64(), nullable=False),  # number within this batch, from 0
        pa.field("row", pa.int64(), nullable=False),  # row of the source that it came from, from 0
        pa.field("height", pa.int64()),  # block; null where the source has none (a loose batch)
        pa.field("position", pa.int32()),  # place in the block; null where unknown
        pa.field("kind", pa.string(), nullable=False),  # a `Kind`
        pa.field("part", pa.int32(), nullable=False),  # log index, trace index, or 0
        pa.field("time", pa.timestamp("us"), nullable=False),  # UTC
        pa.field("hash", pa.binary()),  # transaction hash (32 bytes) or a payment's reference (UTF-8)
        pa.field("asset", pa.string(), nullable=False),  # of a CAIP-19 id: slip44:0, trc20:T…, iso4217:USD
        pa.field("block_hash", pa.binary()),
        pa.field("lossy", pa.bool_(), nullable=False),  # rounding to the unit lost part of an amount
    ]
)

LEG_SCHEMA = pa.schema(
    [
        pa.field("transfer", pa.int64(), nullable=False),  # the transfer of this batch that it belongs to
        pa.field("side", pa.string(), nullable=False),  # a `Side`
        pa.field("index", pa.int32(), nullable=False),  # input or output index, or 0
        pa.field("account", pa.string(), nullable=False),  # canonical address text, without the chain
        pa.field("amount", AMOUNT, nullable=False),
        pa.field("spent_hash", pa.binary()),  # UTXO payer legs: the output that is spent
        pa.field("spent_index", pa.int32()),
    ]
)

REJECT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a stable word: bad_address, bad_amount, too_large…
        pa.field("detail", pa.string(), nullable=False),  # what was found, for a person
        pa.field("height", pa.int64()),  # block that it stood in; null where the source has none
    ]
)

BLOCK_SCHEMA = pa.schema(
    [
        pa.field("height", pa.int64(), nullable=False),
        pa.field("hash", pa.binary(), nullable=False),
        pa.field("parent_hash", pa.binary()),  # null where the source does not say it
        pa.field("time", pa.timestamp("us"), nullable=False),  # UTC
    ]
)

FREEZE_SCHEMA = pa.schema(
    [
        pa.field("height", pa.int64(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),  # log index
        pa.field("time", pa.timestamp("us"), nullable=False),  # UTC
        pa.field("hash", pa.binary(), nullable=False),  # transaction
        pa.field("asset", pa.string(), nullable=False),  # as in a transfer
        pa.field("account", pa.string(), nullable=False),  # whose holding of the asset it is about
        pa.field("frozen", pa.bool_(), nullable=False),  # false: released again
    ]
)


@dataclass(frozen=True)
class Asset:
    """One asset of one chain.

    `reference` is the asset part of its CAIP-19 id. An unlisted asset stays in the ledger but makes
    no counterparty, no hop and no value: anyone can issue a token and write it into any history.
    """

    reference: str
    symbol: str
    decimals: int
    listed: bool
    usd_pegged: bool = False


@dataclass(frozen=True)
class LegBatch:
    """Transfers with their legs, and the source rows that could not become any.

    `transfers`, `legs` and `rejected` follow the schemas above. A row is in `rejected`, or it made
    transfers, or it is counted in `unmoved`: never two of them and never none. `assets` describes every
    asset of the transfers, by reference. A node also hands over its blocks (those without transfers among
    them), and what issuers froze.
    """

    transfers: pa.Table
    legs: pa.Table
    rejected: pa.Table
    assets: tuple[Asset, ...]
    blocks: pa.Table = field(default_factory=BLOCK_SCHEMA.empty_table)
    freezes: pa.Table = field(default_factory=FREEZE_SCHEMA.empty_table)
    unmoved: Mapping[str, int] = field(default_factory=dict)  # rows that moved nothing, by a stable word
    assumed: int = 0  # rows taken as successful transactions because nothing says how they ended
    rows_read: int = 0  # rows of the source up to the end of this batch, where not all made transfers


def join_batches(batches: Sequence[LegBatch]) -> LegBatch:
    """Put batches behind each other, with transfers numbered through."""
    transfers: list[pa.Table] = []
    legs: list[pa.Table] = []
    start = 0
    for batch in batches:
        for tables, table in ((transfers, batch.transfers), (legs, batch.legs)):
            place = table.schema.get_field_index("transfer")
            moved = pc.add(table["transfer"], start)
            tables.append(table.set_column(place, table.schema.field(place), moved))
        start += int(pc.max(batch.transfers["transfer"]).as_py()) + 1 if batch.transfers.num_rows else 0
    return LegBatch(
        pa.concat_tables([TRANSFER_SCHEMA.empty_table(), *transfers]).combine_chunks(),
        pa.concat_tables([LEG_SCHEMA.empty_table(), *legs]).combine_chunks(),
        pa.concat_tables([REJECT_SCHEMA.empty_table(), *(batch.rejected for batch in batches)]),
        tuple({asset.reference: asset for batch in reversed(batches) for asset in batch.assets}.values()),
        pa.concat_tables([BLOCK_SCHEMA.empty_table(), *(batch.blocks for batch in batches)]).combine_chunks(),
        pa.concat_tables([FREEZE_SCHEMA.empty_table(), *(batch.freezes for batch in batches)]),
        unmoved=sum((Counter(batch.unmoved) for batch in batches), Counter()),
        assumed=sum(batch.assumed for batch in batches),
        rows_read=max((batch.rows_read for batch in batches), default=0),
    )
