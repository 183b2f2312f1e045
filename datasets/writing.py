"""Batches of legs into the tables of the ledger, with its own numbers for chains, assets and addresses."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import Chain
from chains.assets import asset_reference
from chains.errors import FileError, InputError
from chains.ledger import Asset, LegBatch
from datasets.overlap import loose_rows
from datasets.store import Ledger, intern_accounts, next_number, registered, transaction


@dataclass(frozen=True)
class Source:
    """Where batches come from: what the ledger keeps as their custody record."""

    chain: Chain
    layout: str
    name: str  # file name as given
    sha256: str
    mapping: str = "{}"


@dataclass
class Writing:
    """One import under way: where it writes, and what it has written so far."""

    ledger: Ledger
    source: Source
    chain: int
    batch: int
    next_transfer: int
    final_height: int | None = None  # transfers above it are provisional; None where the source is settled
    assets: dict[str, int] = field(default_factory=dict)  # asset numbers by reference
    source_rows: int = 0
    transfers: int = 0
    legs: int = 0
    known: int = 0
    quarantined: int = 0
    lossy: int = 0
    loose: bool = False
    heights: list[int] = field(default_factory=list)  # lowest and highest of each batch
    times: list[datetime] = field(default_factory=list)
    unmoved: Counter[str] = field(default_factory=Counter)  # source rows that moved nothing, by reason
    assumed: int = 0
    receipts: bool = False  # files of receipts are beside the source


def write_transfers(run: Writing, batch: LegBatch, fresh: NDArray[np.int64]) -> None:
    """Write the transfers of a batch at the places `fresh`, with their legs, and count them."""
    connection = run.ledger.connection
    transfers, legs = _number_rows(run, batch, fresh)
    with registered(connection, added_transfer=transfers, added_leg=legs):
        connection.execute(
            _INSERT_TRANSFERS, {"chain": run.chain, "batch": run.batch, "final": run.final_height}
        )
        connection.execute(_INSERT_LEGS)
    run.next_transfer += transfers.num_rows
    run.transfers += transfers.num_rows
    run.legs += legs.num_rows
    run.lossy += int(pc.sum(transfers["lossy"]).as_py())
    run.loose = run.loose or bool(loose_rows(transfers).any())
    run.heights += [
        height for height in pc.min_max(transfers["height"]).as_py().values() if height is not None
    ]
    run.times += pc.min_max(transfers["time"]).as_py().values()


def _number_rows(run: Writing, batch: LegBatch, fresh: NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
    """Return the transfers at the places `fresh` with their legs, with the ledger's numbers for all names."""
    transfers = batch.transfers
    if fresh.size < transfers.num_rows:
        transfers = transfers.take(pa.array(fresh))
    numbers = np.full(int(pc.max(batch.transfers["transfer"]).as_py()) + 1, -1, dtype=np.int64)
    numbers[transfers["transfer"].to_numpy()] = run.next_transfer + np.arange(fresh.size)
    leg_numbers = numbers[batch.legs["transfer"].to_numpy()]
    legs = batch.legs.append_column("number", pa.array(leg_numbers))
    if (leg_numbers < 0).any():
        legs = legs.filter(pa.array(leg_numbers >= 0))
    transfers = transfers.append_column("number", pa.array(run.next_transfer + np.arange(fresh.size)))
    transfers = transfers.append_column("asset_number", number_assets(run, batch.assets, transfers["asset"]))
    return transfers, legs.append_column("address", intern_accounts(run.ledger, run.chain, legs["account"]))


_INSERT_TRANSFERS = """
    INSERT INTO transfer (transfer, chain, batch, row, height, position, kind, part, time, hash, asset,
                          lossy, repeated, duplicate, provisional)
    SELECT number, $chain, $batch, "row", height, position, kind::transfer_kind, part, time, hash,
           asset_number, lossy, FALSE, FALSE, coalesce(height > $final, FALSE)
    FROM added_transfer
"""

_INSERT_LEGS = """
    INSERT INTO leg (transfer, side, index, address, amount, spent_hash, spent_index)
    SELECT number, side::leg_side, "index", address, amount::HUGEINT, spent_hash, spent_index
    FROM added_leg
"""


def number_assets(run: Writing, stated: Iterable[Asset], references: pa.ChunkedArray) -> pa.Array:
    """Return the asset number of each reference; new assets are written down in order of first use."""
    by_reference: dict[str, Asset] = {}
    for asset in stated:
        by_reference.setdefault(asset.reference, asset)
    encoded = references.combine_chunks().dictionary_encode()
    for reference in encoded.dictionary.to_pylist():
        if reference not in run.assets:
            run.assets[reference] = _asset_number(run, by_reference[reference])
    numbers = [run.assets[reference] for reference in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int32()).take(encoded.indices)


def list_assets(ledger: Ledger, chain: Chain, words: Iterable[str]) -> int:
    """Let tokens that are in the ledger count from now on; return how many did not before.

    Raises InputError for a word that names no asset of the chain.
    """
    references = []
    for word in words:
        reference = asset_reference(word.strip(), chain)
        if reference is None:
            raise InputError(f"{word[:80]!r} names no token of {chain.name}: give its contract's address")
        references.append(reference)
    with transaction(ledger) as connection:
        changed = connection.execute(
            """
            UPDATE asset SET listed = TRUE
            WHERE NOT listed AND list_contains($2, reference)
              AND chain = (SELECT chain FROM chain WHERE caip2 = $1)
            RETURNING asset
            """,
            [chain.caip2, references],
        ).fetchall()
    return len(changed)


def _asset_number(run: Writing, asset: Asset) -> int:
    connection = run.ledger.connection
    found = connection.execute(
        "SELECT asset, decimals, listed FROM asset WHERE chain = $1 AND reference = $2",
        [run.chain, asset.reference],
    ).fetchall()
    if not found:
        number = next_number(connection, "asset")
        connection.execute(
            "INSERT INTO asset VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                *(number, run.chain, asset.reference, asset.symbol),
                *(asset.decimals, asset.listed, asset.usd_pegged),
            ],
        )
        return number
    number, decimals, listed = found[0]
    if decimals != asset.decimals and (listed or asset.listed):
        why = f"{asset.reference} has {asset.decimals} decimals here, {decimals} in the ledger: give the same"
        raise FileError(run.source.name, why=why)
    connection.execute(
        "UPDATE asset SET listed = listed OR $2, usd_pegged = usd_pegged OR $3 WHERE asset = $1",
        [number, asset.listed, asset.usd_pegged],
    )
    return int(number)


def write_rejected(run: Writing, rejected: pa.Table) -> None:
    """Set source rows aside, each with its reason."""
    if not rejected.num_rows:
        return
    run.quarantined += rejected.num_rows
    with registered(run.ledger.connection, rejected=rejected):
        run.ledger.connection.execute(
            """
            INSERT INTO quarantine (batch, row, reason, detail, height)
            SELECT $batch, "row", reason, detail, height FROM rejected
            """,
            {"batch": run.batch},
        )


def count_unmoved(run: Writing, batch: LegBatch) -> None:
    """Count the source rows that made no transfer and are no fault."""
    run.unmoved.update(batch.unmoved)
    run.assumed += batch.assumed


def write_custody(run: Writing, code_version: str) -> None:
    """Write down where the rows of the batch came from and what became of them."""
    found = [(run.batch, reason, rows) for reason, rows in sorted(run.unmoved.items()) if rows]
    for row in found:
        run.ledger.connection.execute("INSERT INTO unmoved VALUES ($1, $2, $3)", list(row))
    if run.assumed:
        run.ledger.connection.execute(
            "INSERT INTO assumed VALUES ($1, $2, $3)", [run.batch, run.assumed, run.receipts]
        )
    marks = run.ledger.connection.execute(
        "SELECT count(*) FILTER (repeated), count(*) FILTER (duplicate) FROM transfer WHERE batch = $1",
        [run.batch],
    ).fetchall()[0]
    source = run.source
    run.ledger.connection.execute(
        """
        INSERT INTO batch (
            batch, chain, layout, source, sha256, mapping, loose,
            first_height, last_height, first_time, last_time,
            source_rows, transfers, legs, known, quarantined, lossy,
            repeated, duplicate, imported_at, code_version)
        VALUES ($1, $2, $3, $4, $5, $6, $7,
                $8, $9, $10, $11,
                $12, $13, $14, $15, $16, $17,
                $18, $19, $20, $21)
        """,
        [
            *(run.batch, run.chain, source.layout, source.name, source.sha256, source.mapping, run.loose),
            *(min(run.heights, default=None), max(run.heights, default=None)),
            *(min(run.times, default=None), max(run.times, default=None)),
            *(run.source_rows, run.transfers, run.legs, run.known, run.quarantined, run.lossy),
            *(*marks, datetime.now(UTC).replace(tzinfo=None), code_version),
        ],
    )
