"""Exposure of every entity, over all chains and assets: legs in order, traced, as lines with shares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.taxonomy import load_taxonomy
from features.checkpoints import Checkpoints
from features.columns import read_columns
from features.exposure import ExposureColumns, LegColumns, Traced, sum_by, trace_exposure
from features.legs import ChainLegs, list_chains, read_legs

SOURCE, DESTINATION = 0, 1
HISTORY = "unattributed:history_not_in_ledger"
MINTED = "unattributed:minted"
FEES = "unattributed:fees"
BURNED = "unattributed:burned"
HELD = "unattributed:still_held"

EXPOSURE_SCHEMA = pa.schema(
    [
        ("entity", pa.int64()),  # node of the entity's earliest member
        ("direction", pa.int8()),  # SOURCE or DESTINATION
        (
            "category",
            pa.dictionary(pa.int16(), pa.string()),
        ),  # a category's id, or one of the five without an owner
        ("direct", pa.bool_()),  # the labelled entity itself was the counterparty
        ("asset", pa.int32()),
        ("value", pa.float64()),  # raw units of the asset
        ("usd", pa.float64()),  # micro-USD at the day of each transfer; NaN where unknown
        ("share", pa.float64()),  # of all that the entity received or sent, over all assets
        ("hops", pa.int16()),  # least number of payments to or from the category
        (
            "largest",
            pa.float64(),
        ),  # raw units: the largest part that came along one path, in single precision
        ("origin_seq", pa.int64()),  # transfer in which it left the labelled entity, or reached it; 0: none
        ("origin_node", pa.int32()),  # node of the labelled address there; -1: none
    ]
)

LEGS_IN_MEMORY = 60_000_000
"""Legs of one chain beyond which columns and state are kept in files: each takes about 100 bytes."""


Keep = Callable[[ChainLegs], None]
"""Called with the legs of each chain after they were traced."""


def trace_all(
    connection: duckdb.DuckDBPyConnection,
    *,
    threads: int | None = None,
    spill: Path | None = None,
    checkpoints: Path | None = None,
    keep: Keep | None = None,
) -> pa.Table:
    """Trace all listed assets of every chain; return the exposure lines (`EXPOSURE_SCHEMA`), in order.

    A line's share is of all that the entity received (or sent), over all assets: they are weighed by
    their value in US dollars. An asset of unknown value has a share only where none has a value; then
    assets are weighed by their number of transfers. `spill` is where what is too large for memory goes,
    `checkpoints` where a pass is set aside for the next build.
    """
    names = [c.id for c in load_taxonomy().categories]
    parts = []
    for chain, caip2, utxo in list_chains(connection):
        aside = _spill(connection, chain, spill)
        legs = read_legs(connection, chain, utxo=utxo, spill=aside)
        traced = trace_exposure(
            legs.payers,
            legs.payees,
            legs.roles,
            owner_entity=legs.owner_entity,
            holders=legs.holders,
            owners=legs.owner_entity.size,
            categories=len(names),
            threads=threads or 2,
            spill=aside,
            held=False,
            resting=None if checkpoints is None else Checkpoints(checkpoints / caip2.replace(":", "-")),
        )
        parts += _lines(traced, legs, _count_flows(connection, legs), len(names))
        if keep is not None:
            keep(legs)
    words = [*names, HISTORY, MINTED, FEES, BURNED, HELD]
    return _share_out(parts, words) if parts else EXPOSURE_SCHEMA.empty_table()


def _spill(connection: duckdb.DuckDBPyConnection, chain: int, folder: Path | None) -> Path | None:
    """Return the folder when the chain's legs are too many for memory."""
    legs = connection.execute(
        "SELECT count(*) FROM seen_leg AS l JOIN seen_transfer AS t ON t.seq = l.seq WHERE t.chain = $1",
        [chain],
    ).fetchall()[0][0]
    return folder if legs > LEGS_IN_MEMORY else None


def _count_flows(connection: duckdb.DuckDBPyConnection, legs: ChainLegs) -> dict[str, NDArray[Any]]:
    """Return how often each owner received and paid: columns `owner`, `receives`, `n`."""
    owners = pa.table(
        {
            "owner": np.arange(legs.owner_entity.size),
            "entity": legs.owner_entity.astype(np.int64),
            "asset": legs.owner_asset,
        }
    )
    connection.register("owner", owners)
    counts = read_columns(
        connection,
        "SELECT o.owner, f.direction = 'in' AS receives, CAST(count(*) AS DOUBLE) AS n "
        "FROM flow AS f JOIN owner AS o ON o.entity = f.entity AND o.asset = f.asset GROUP BY ALL",
    )
    connection.unregister("owner")
    return counts


Lines = dict[str, NDArray[Any]]
"""Columns of `EXPOSURE_SCHEMA`, `category` as a number, and what shares over all assets are made from."""


def _lines(traced: Traced, legs: ChainLegs, counts: dict[str, NDArray[Any]], categories: int) -> list[Lines]:
    """Turn one chain's outcome into lines, what is still held among them; `share` is within the asset."""
    sides = (
        (SOURCE, traced.received, traced.received_total, traced.received_usd, legs.payers, legs.payer_node),
        (DESTINATION, traced.sent, traced.sent_total, traced.sent_usd, legs.payees, legs.payee_node),
    )
    parts: list[Lines] = []
    for direction, found, total, usd, far_side, far_node in sides:
        # Categories without an owner count on from the taxonomy: two of sources, then three of destinations.
        lines = found if direction == SOURCE else _with_held(found, total, usd, categories + 2)
        shift = 0 if direction == SOURCE else 2
        ours = counts["receives"] == (direction == SOURCE)
        flows = sum_by(counts["owner"][ours], counts["n"][ours], total.size)
        known = lines.origin >= 0
        origin = np.where(known, lines.origin, 0)
        parts.append(
            {
                "entity": legs.owner_entity[lines.owner],
                "direction": np.full(lines.owner.size, direction, np.int8),
                "category": (lines.category + shift * (lines.category >= categories)).astype(np.int16),
                "direct": lines.direct,
                "asset": legs.owner_asset[lines.owner],
                "value": lines.value,
                "usd": lines.usd,
                "share": lines.value / total[lines.owner],
                "hops": lines.hops.astype(np.int16),
                "largest": lines.largest,
                "origin_seq": np.where(known, legs.seq[_event_of(far_side, origin)], 0)
                if known.any()
                else origin,
                "origin_node": np.where(known, far_node[origin], -1) if known.any() else lines.origin,
                "asset_usd": usd[lines.owner],
                "asset_flows": flows[lines.owner],
            }
        )
    return parts


def _with_held(
    found: ExposureColumns, total: NDArray[np.float64], usd: NDArray[np.float64], held: int
) -> ExposureColumns:
    """Add a line for what was sent and has arrived nowhere yet."""
    arrived = sum_by(found.owner, found.value, total.size)
    arrived_usd = sum_by(found.owner, found.usd, total.size)
    rest = np.where(total - arrived > total * 1e-9, total - arrived, 0.0)
    who = np.flatnonzero(rest > 0)
    owner = np.concatenate([found.owner, who])
    order = np.argsort(owner, kind="stable")
    none = np.zeros(who.size)
    return ExposureColumns(
        owner=owner[order].astype(np.int32),
        category=np.concatenate([found.category, np.full(who.size, held)])[order].astype(np.int16),
        direct=np.concatenate([found.direct, none.astype(np.bool_)])[order],
        value=np.concatenate([found.value, rest[who]])[order],
        usd=np.concatenate([found.usd, (usd - arrived_usd)[who]])[order],
        hops=np.concatenate([found.hops, none.astype(np.int16)])[order],
        largest=np.concatenate([found.largest, none])[order],
        origin=np.concatenate([found.origin, np.full(who.size, -1)])[order].astype(np.int32),
    )


def _event_of(side: LegColumns, leg: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the event that each leg belongs to."""
    return np.searchsorted(side.start, leg, side="right") - 1


def _share_out(parts: list[Lines], words: list[str]) -> pa.Table:
    """Turn shares within an asset into shares over all assets of an entity, and put the lines in order.

    `parts` are whole chains one after the other, each by owner within its side.
    """
    column = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    side = 2 * column["entity"] + column["direction"]
    first = np.ones(side.size, np.bool_)  # the first line of each (asset, entity, direction)
    first[1:] = (side[1:] != side[:-1]) | (column["asset"][1:] != column["asset"][:-1])
    sides = int(side.max()) + 1 if side.size else 0
    heads = np.flatnonzero(first)
    asset_usd = np.nan_to_num(column.pop("asset_usd"))
    asset_flows = column.pop("asset_flows")
    usd = sum_by(side[heads], asset_usd[heads], sides)[side]
    flows = sum_by(side[heads], asset_flows[heads], sides)[side]
    # Where any asset has a value only those count that have one: an unpriced token must not outvote dollars.
    weight = np.where(usd > 0, asset_usd / np.where(usd > 0, usd, 1.0), asset_flows / flows)
    del usd, flows, asset_usd, asset_flows
    column["share"] = np.minimum(column["share"] * weight, 1.0)
    order = np.argsort(side, kind="stable")
    vocabulary = pa.array(words, pa.string())
    arrays = []
    for field in EXPOSURE_SCHEMA:
        values = pa.array(column.pop(field.name)[order])
        if field.name == "category":
            arrays.append(pa.DictionaryArray.from_arrays(values, vocabulary))
        else:
            arrays.append(values.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=EXPOSURE_SCHEMA)
