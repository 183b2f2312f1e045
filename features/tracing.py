"""Exposure of every entity, over all chains and assets: legs in order, traced, as lines with shares."""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.taxonomy import load_taxonomy
from features.columns import read_columns
from features.exposure import (
    BURN,
    FEE,
    PAYMENT,
    RETURN,
    ExposureColumns,
    LegColumns,
    Traced,
    sum_by,
    trace_exposure,
)

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
        ("category", pa.string()),  # a category's id, or one of the five without an owner
        ("direct", pa.bool_()),  # the labelled entity itself was the counterparty
        ("asset", pa.int32()),
        ("value", pa.float64()),  # raw units of the asset
        ("usd", pa.float64()),  # micro-USD at the day of each transfer; NaN where unknown
        ("share", pa.float64()),  # of all that the entity received or sent, over all assets
        ("hops", pa.int16()),  # least number of payments to or from the category
    ]
)


def trace_all(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Trace every listed asset of every chain; return the exposure lines (`EXPOSURE_SCHEMA`), in order.

    A line's share is of all that the entity received (or sent), over all assets: they are weighed by
    their value in US dollars. An asset of unknown value has a share only where none has a value; then
    assets are weighed by their number of transfers.
    """
    runs = connection.execute(
        """
        WITH spending AS (
            SELECT DISTINCT s.chain FROM seen_leg AS l JOIN seen_transfer AS s ON s.seq = l.seq
            WHERE l.spent_seq IS NOT NULL
        )
        SELECT t.asset, t.chain IN (SELECT chain FROM spending) AS utxo
        FROM (
            SELECT chain, asset FROM seen_transfer
            UNION SELECT a.chain, f.asset FROM fee_leg AS f JOIN ledger.asset AS a USING (asset)
        ) AS t
        JOIN ledger.chain AS c ON c.chain = t.chain
        JOIN ledger.asset AS a ON a.asset = t.asset
        ORDER BY c.caip2, a.reference
        """
    ).fetchall()
    entities = connection.execute("SELECT coalesce(max(node) + 1, 0) FROM member").fetchall()[0][0]
    names = [c.id for c in load_taxonomy().categories]
    parts = []
    for asset, utxo in runs:
        payers, payees, roles, holders = _legs(connection, asset, utxo=utxo, nodes=entities)
        traced = trace_exposure(
            payers, payees, roles, holders=holders, entities=entities, categories=len(names)
        )
        del payers, payees, roles
        counts = read_columns(
            connection,
            "SELECT entity, direction = 'in' AS receives, CAST(count(*) AS DOUBLE) AS n "
            "FROM flow WHERE asset = $asset GROUP BY ALL",
            {"asset": asset},
        )
        parts += _lines(traced, counts, asset, entities, len(names))
    words = [*names, HISTORY, MINTED, FEES, BURNED, HELD]
    return _share_out(parts, words) if parts else EXPOSURE_SCHEMA.empty_table()


def _legs(
    connection: duckdb.DuckDBPyConnection, asset: int, *, utxo: bool, nodes: int
) -> tuple[LegColumns, LegColumns, NDArray[np.int8], int]:
    """Read both sides of one asset's transfers as columns, in causal order, and what each transfer is."""
    connection.execute(_EVENTS, {"asset": asset})
    events = read_columns(connection, "SELECT seq, role FROM asset_event ORDER BY number")
    roles = events["role"].astype(np.int8)
    payers, payees = (read_columns(connection, _LEGS.format(side=side)) for side in ("payer", "payee"))
    holders = nodes
    if utxo:
        holders = payees["number"].size
        payers["holder"] = _spent_outputs(connection, events["seq"], payees)
        payees["holder"] = np.arange(holders, dtype=np.int32)
    else:
        pays, is_paid = (np.zeros(roles.size, np.bool_) for _ in range(2))
        pays[payers["number"]] = True
        is_paid[payees["number"]] = True
        roles[pays & ~is_paid & (roles == PAYMENT)] = BURN
    return _leg_columns(payers, roles.size), _leg_columns(payees, roles.size), roles, holders


_EVENTS = f"""
    CREATE OR REPLACE TEMP TABLE asset_event AS
    SELECT seq, turn, role, CAST(row_number() OVER (ORDER BY seq, turn) - 1 AS INTEGER) AS number
    FROM (
        SELECT seq, 0 AS turn, CASE WHEN kind = 'withdrawal' THEN {RETURN} ELSE {PAYMENT} END AS role
        FROM seen_transfer WHERE asset = $asset
        UNION ALL
        SELECT DISTINCT seq, turn, {FEE} FROM fee_leg WHERE asset = $asset
    )
"""  # noqa: S608  (numbers of this program)

_LEGS = """
    SELECT e.number, l.index, CAST(m.node AS INTEGER) AS holder, CAST(m.entity AS INTEGER) AS entity,
        s.category AS seed, CAST(l.amount AS DOUBLE) AS amount, CAST(l.usd AS DOUBLE) AS usd
    FROM (
        SELECT seq, 0 AS turn, side, index, address, amount, usd FROM seen_leg
        UNION ALL
        SELECT seq, turn, side, index, address, amount, NULL FROM fee_leg
    ) AS l
    JOIN asset_event AS e ON e.seq = l.seq AND e.turn = l.turn
    JOIN member AS m ON m.address = l.address
    JOIN seed AS s ON s.address = l.address
    WHERE l.side = '{side}'
    ORDER BY e.number, l.index
"""


def _spent_outputs(
    connection: duckdb.DuckDBPyConnection, event_seq: NDArray[np.int64], payees: dict[str, NDArray[Any]]
) -> NDArray[np.int32]:
    """Return for each payer leg the number of the output that it spends among `payees`, -1 where unseen."""
    spent = read_columns(
        connection,
        """
        SELECT coalesce(l.spent_seq, 0) AS seq, coalesce(l.spent_index, 0) AS index
        FROM seen_leg AS l JOIN asset_event AS e ON e.seq = l.seq AND e.turn = 0
        WHERE l.side = 'payer'
        ORDER BY e.number, l.index
        """,
    )
    number = np.searchsorted(event_seq, spent["seq"])
    wanted = (number << 32) | spent["index"]
    outputs = (payees["number"].astype(np.int64) << 32) | payees["index"]
    place = np.searchsorted(outputs, wanted)
    found = np.zeros(place.size, np.bool_)
    inside = place < outputs.size
    found[inside] = outputs[place[inside]] == wanted[inside]
    return np.where(found & (spent["seq"] > 0), place, -1).astype(np.int32)


def _leg_columns(columns: dict[str, NDArray[Any]], transfers: int) -> LegColumns:
    counts = np.bincount(columns.pop("number"), minlength=transfers)
    return LegColumns(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        holder=columns["holder"],
        entity=columns["entity"],
        seed=columns["seed"],
        amount=columns["amount"],
        usd=columns["usd"],
    )


Lines = dict[str, NDArray[Any]]
"""Columns of `EXPOSURE_SCHEMA`, `category` as a number, and what shares over all assets are made from."""


def _lines(
    traced: Traced, counts: dict[str, NDArray[Any]], asset: int, entities: int, categories: int
) -> list[Lines]:
    """Turn one asset's outcome into lines, what is still held among them; `share` is within the asset."""
    sides = (
        (SOURCE, traced.received, traced.received_total, traced.received_usd),
        (DESTINATION, traced.sent, traced.sent_total, traced.sent_usd),
    )
    parts: list[Lines] = []
    for direction, found, total, usd in sides:
        # Categories without an owner count on from the taxonomy: two of sources, then three of destinations.
        lines = found if direction == SOURCE else _with_held(found, total, usd, categories + 2)
        shift = 0 if direction == SOURCE else 2
        ours = counts["receives"] == (direction == SOURCE)
        flows = sum_by(counts["entity"][ours], counts["n"][ours], entities)
        parts.append(
            {
                "entity": lines.entity,
                "direction": np.full(lines.entity.size, direction, np.int8),
                "category": (lines.category + shift * (lines.category >= categories)).astype(np.int16),
                "direct": lines.direct,
                "asset": np.full(lines.entity.size, asset, np.int32),
                "value": lines.value,
                "usd": lines.usd,
                "share": lines.value / total[lines.entity],
                "hops": lines.hops.astype(np.int16),
                "asset_usd": usd[lines.entity],
                "asset_flows": flows[lines.entity],
            }
        )
    return parts


def _with_held(
    found: ExposureColumns, total: NDArray[np.float64], usd: NDArray[np.float64], held: int
) -> ExposureColumns:
    """Add a line for what was sent and has arrived nowhere yet."""
    arrived = sum_by(found.entity, found.value, total.size)
    arrived_usd = sum_by(found.entity, found.usd, total.size)
    rest = np.where(total - arrived > total * 1e-9, total - arrived, 0.0)
    who = np.flatnonzero(rest > 0)
    entity = np.concatenate([found.entity, who])
    order = np.argsort(entity, kind="stable")
    return ExposureColumns(
        entity=entity[order],
        category=np.concatenate([found.category, np.full(who.size, held)])[order],
        direct=np.concatenate([found.direct, np.zeros(who.size, np.bool_)])[order],
        value=np.concatenate([found.value, rest[who]])[order],
        usd=np.concatenate([found.usd, (usd - arrived_usd)[who]])[order],
        hops=np.concatenate([found.hops, np.zeros(who.size, np.int64)])[order],
    )


def _share_out(parts: list[Lines], words: list[str]) -> pa.Table:
    """Turn shares within an asset into shares over all assets of an entity, and put the lines in order.

    `parts` are whole assets one after the other, each by entity within its side.
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
        arrays.append(vocabulary.take(values) if field.name == "category" else values.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=EXPOSURE_SCHEMA)
