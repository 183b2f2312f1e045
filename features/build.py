"""One build: everything that can be said of every address from what the ledger knew at a moment.

The same code makes the rows that a model is trained on and the rows that it scores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.address import Account, find_chain
from datasets.taxonomy import load_taxonomy
from features.behaviour import behaviour_features
from features.catalogue import CATALOGUE
from features.exposure import ExposureColumns, LegColumns, Traced, sum_by, trace_exposure
from features.frame import FeatureFrame
from features.seeds import mark_seeds
from features.seen import see

Progress = Callable[[str, int, int], None]
"""Called with (step, done, total) between the steps of long work."""

STEPS = ("order transfers", "mark labels", "trace exposure", "measure behaviour")

SOURCE, DESTINATION = 0, 1
HISTORY = "unattributed:history_not_in_ledger"
MINTED = "unattributed:minted"
FEES = "unattributed:fees"
HELD = "unattributed:still_held"

EXPOSURE_SCHEMA = pa.schema(
    [
        ("entity", pa.int64()),  # node of the entity's earliest member
        ("direction", pa.int8()),  # SOURCE or DESTINATION
        ("category", pa.string()),  # a category's id, or one of the four without an owner
        ("direct", pa.bool_()),  # the labelled entity itself was the counterparty
        ("asset", pa.int32()),
        ("value", pa.float64()),  # raw units of the asset
        ("usd", pa.float64()),  # micro-USD at the day of each transfer; NaN where unknown
        ("share", pa.float64()),  # of all that the entity received or sent, over all assets
        ("hops", pa.int16()),  # least number of payments to or from the category; 0 where it has no owner
    ]
)


@dataclass(frozen=True)
class Build:
    """What was built, with its connection still open for whoever publishes it.

    `frame` has one row an address, `nodes` the address's number in the tables of the connection
    (`member.node`), `exposures` the lines behind the exposure features, by entity.
    """

    frame: FeatureFrame
    nodes: NDArray[np.int64]
    exposures: pa.Table
    connection: duckdb.DuckDBPyConnection


@contextmanager
def build_features(
    ledger: Path, as_of: datetime, *, threads: int | None = None, progress: Progress | None = None
) -> Iterator[Build]:
    """Build entities, exposure and features of every address seen before `as_of` (naive UTC).

    Nothing after `as_of`, and no label published after it, has any effect. Raises what `see` raises.
    """

    def tell(step: int) -> None:
        if progress is not None:
            progress(STEPS[step], step, len(STEPS))

    tell(0)
    connection = see(ledger, as_of, threads=threads)
    try:
        tell(1)
        mark_seeds(connection, as_of)
        tell(2)
        exposures = trace_all(connection)
        tell(3)
        yield _assemble(connection, as_of, exposures)
    finally:
        connection.close()


def build_frame(
    ledger: Path, as_of: datetime, *, threads: int | None = None, progress: Progress | None = None
) -> FeatureFrame:
    """Build the features at `as_of` and keep nothing else open."""
    with build_features(ledger, as_of, threads=threads, progress=progress) as build:
        return build.frame


def trace_all(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Trace every listed asset of every chain; return the exposure lines (`EXPOSURE_SCHEMA`), in order.

    A line's share is of all that the entity received (or sent), over all assets: they are weighed by
    their value in US dollars. An asset of unknown value has a share only where none has a value; then
    assets are weighed by their number of transfers.
    """
    runs = connection.execute(
        """
        SELECT t.chain, t.asset,
            EXISTS (
                SELECT 1 FROM seen_leg AS l JOIN seen_transfer AS s USING (seq)
                WHERE s.chain = t.chain AND l.spent_hash IS NOT NULL
            ) AS utxo
        FROM (SELECT DISTINCT chain, asset FROM seen_transfer) AS t
        JOIN ledger.chain AS c ON c.chain = t.chain
        JOIN ledger.asset AS a ON a.asset = t.asset
        ORDER BY c.caip2, a.reference
        """
    ).fetchall()
    entities = connection.execute("SELECT coalesce(max(node) + 1, 0) FROM member").fetchall()[0][0]
    names = [c.id for c in load_taxonomy().categories]
    parts = []
    for _, asset, utxo in runs:
        payers, payees, holders = _legs(connection, asset, utxo=utxo, nodes=entities)
        traced = trace_exposure(payers, payees, holders=holders, entities=entities, categories=len(names))
        counts = connection.execute(
            "SELECT entity, direction, count(*) AS n FROM flow WHERE asset = $1 GROUP BY ALL", [asset]
        ).fetchnumpy()
        parts.append(_lines(traced, counts, asset, entities, names))
    return _share_out(pa.concat_tables(parts)) if parts else EXPOSURE_SCHEMA.empty_table()


def _legs(
    connection: duckdb.DuckDBPyConnection, asset: int, *, utxo: bool, nodes: int
) -> tuple[LegColumns, LegColumns, int]:
    """Read both sides of one asset's transfers as columns, in causal order."""
    base = """
        SELECT {holder} AS holder, m.entity, s.category AS seed, CAST(l.amount AS DOUBLE) AS amount,
            CAST(l.usd AS DOUBLE) AS usd, t.number
        FROM asset_leg AS l
        JOIN asset_transfer AS t ON t.seq = l.seq
        JOIN member AS m ON m.address = l.address
        JOIN seed AS s ON s.address = l.address
        {join}
        WHERE l.side = '{side}'
        ORDER BY l.seq, l.index
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE asset_transfer AS
        SELECT seq, row_number() OVER (ORDER BY seq) - 1 AS number FROM seen_transfer WHERE asset = $1
        """,
        [asset],
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE asset_leg AS
        SELECT l.*, row_number() OVER (PARTITION BY l.side ORDER BY l.seq, l.index) - 1 AS leg
        FROM seen_leg AS l JOIN asset_transfer AS t ON t.seq = l.seq
        """
    )
    transfers = connection.execute("SELECT count(*) FROM asset_transfer").fetchall()[0][0]
    if utxo:
        # An output that was not seen, or that a forged file spends before it exists, has no history.
        # Of two transactions with one hash (abandoned blocks, BIP 30) the later one's output is spent.
        join = """
            LEFT JOIN (
                SELECT s.seq, s.index, max(o.leg) AS leg
                FROM asset_leg AS s
                JOIN asset_leg AS o ON o.side = 'payee' AND o.hash = s.spent_hash
                    AND o.index = s.spent_index AND o.seq < s.seq
                WHERE s.side = 'payer'
                GROUP BY s.seq, s.index
            ) AS o ON o.seq = l.seq AND o.index = l.index
        """
        payers = connection.execute(
            base.format(holder="coalesce(o.leg, -1)", join=join, side="payer")
        ).fetchnumpy()
        payees = connection.execute(base.format(holder="l.leg", join="", side="payee")).fetchnumpy()
        holders = payees["holder"].size
    else:
        payers = connection.execute(base.format(holder="m.node", join="", side="payer")).fetchnumpy()
        payees = connection.execute(base.format(holder="m.node", join="", side="payee")).fetchnumpy()
        holders = nodes
    return _leg_columns(payers, transfers), _leg_columns(payees, transfers), holders


def _leg_columns(columns: dict[str, Any], transfers: int) -> LegColumns:
    counts = np.bincount(columns["number"].astype(np.int64), minlength=transfers)
    return LegColumns(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        holder=columns["holder"].astype(np.int64),
        entity=columns["entity"].astype(np.int64),
        seed=columns["seed"].astype(np.int16),
        amount=np.ma.filled(columns["amount"].astype(np.float64), np.nan),
        usd=np.ma.filled(columns["usd"].astype(np.float64), np.nan),
    )


def _lines(traced: Traced, counts: dict[str, Any], asset: int, entities: int, names: list[str]) -> pa.Table:
    """Turn one asset's outcome into lines, what is still held among them; `share` is within the asset."""
    sides = (
        (
            SOURCE,
            "in",
            traced.received,
            traced.received_total,
            traced.received_usd,
            [*names, HISTORY, MINTED],
        ),
        (DESTINATION, "out", traced.sent, traced.sent_total, traced.sent_usd, [*names, FEES, HELD]),
    )
    parts = []
    for direction, word, found, total, usd, words in sides:
        lines = found if direction == SOURCE else _with_held(found, total, usd, len(names) + 1)
        ours = counts["direction"] == word
        flows = sum_by(
            counts["entity"][ours].astype(np.int64), counts["n"][ours].astype(np.float64), entities
        )
        parts.append(
            pa.table(
                {
                    "entity": lines.entity,
                    "direction": np.full(lines.entity.size, direction, np.int8),
                    "category": pa.array(np.array(words, dtype=object)[lines.category], pa.string()),
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
        )
    return pa.concat_tables(parts)


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


def _share_out(lines: pa.Table) -> pa.Table:
    """Turn shares within an asset into shares over all assets of an entity, and put the lines in order.

    `lines` are whole assets one after the other, each by entity within its side.
    """
    column = {name: lines.column(name).to_numpy(zero_copy_only=False) for name in lines.column_names}
    side = 2 * column["entity"] + column["direction"]
    first = np.ones(side.size, np.bool_)  # the first line of each (asset, entity, direction)
    first[1:] = (side[1:] != side[:-1]) | (column["asset"][1:] != column["asset"][:-1])
    sides = int(side.max()) + 1 if side.size else 0
    heads = np.flatnonzero(first)
    asset_usd = np.nan_to_num(column["asset_usd"])
    usd = sum_by(side[heads], asset_usd[heads], sides)[side]
    flows = sum_by(side[heads], column["asset_flows"][heads], sides)[side]
    # Where any asset has a value only those count that have one: an unpriced token must not outvote dollars.
    weight = np.where(usd > 0, asset_usd / np.where(usd > 0, usd, 1.0), column["asset_flows"] / flows)
    share = np.minimum(column["share"] * weight, 1.0)
    ordered = lines.set_column(lines.column_names.index("share"), "share", pa.array(share))
    return (
        ordered.select(EXPOSURE_SCHEMA.names)
        .take(pa.array(np.argsort(side, kind="stable")))
        .cast(EXPOSURE_SCHEMA)
    )


def exposure_features(exposures: pa.Table, entities: int) -> dict[str, NDArray[np.float64]]:
    """Return the exposure features by entity node; NaN where nothing was received (or sent)."""
    by_id = load_taxonomy().by_id
    columns = {name: exposures.column(name).to_numpy(zero_copy_only=False) for name in EXPOSURE_SCHEMA.names}
    vocabulary, codes = np.unique(columns["category"].astype(str), return_inverse=True)

    def among(test: Callable[[str], bool]) -> NDArray[np.bool_]:
        if not vocabulary.size:
            return np.zeros(0, np.bool_)
        return np.array([test(word) for word in vocabulary], np.bool_)[codes]

    drug = among(lambda word: word in by_id and by_id[word].group == "drug")
    mixer = among(
        lambda word: word in by_id and by_id[word].service == "mixer" and by_id[word].group == "service"
    )
    service = among(lambda word: word in by_id and by_id[word].group == "service") & ~mixer
    crime = among(lambda word: word in by_id and by_id[word].group == "crime")
    unattributed = among(lambda word: word.startswith("unattributed:"))
    features: dict[str, NDArray[np.float64]] = {}
    for direction, word in ((SOURCE, "source"), (DESTINATION, "destination")):
        ours = columns["direction"] == direction
        any_flow = np.bincount(columns["entity"][ours], minlength=entities) > 0
        groups = {
            "drug_share": drug,
            "drug_direct_share": drug & columns["direct"],
            "mixer_share": mixer,
            "service_share": service,
            "crime_share": crime,
            "unattributed_share": unattributed,
        }
        for name, wanted in groups.items():
            rows = ours & wanted
            share = sum_by(columns["entity"][rows], columns["share"][rows], entities)
            features[f"exposure_{word}_{name}"] = np.where(any_flow, np.minimum(share, 1.0), np.nan)
        hops = np.full(entities, np.inf)
        rows = ours & drug
        np.minimum.at(hops, columns["entity"][rows], columns["hops"][rows].astype(np.float64))
        features[f"exposure_{word}_drug_min_hops"] = np.where(np.isfinite(hops), hops, np.nan)
    return features


def _assemble(connection: duckdb.DuckDBPyConnection, as_of: datetime, exposures: pa.Table) -> Build:
    """Put behaviour and exposure side by side, one row an address, in the order of the accounts' text."""
    people = connection.sql(
        """
        SELECT m.address, m.node, m.entity, s.labelled, c.caip2, a.account
        FROM member AS m
        JOIN seed AS s ON s.address = m.address
        JOIN ledger.address AS a ON a.address = m.address
        JOIN ledger.chain AS c ON c.chain = a.chain
        ORDER BY m.node
        """
    ).to_arrow_table()
    accounts = caip10_texts(people.column("caip2").to_pylist(), people.column("account").to_pylist())
    order = np.argsort(np.array(accounts, dtype=object), kind="stable") if accounts else np.zeros(0, np.int64)
    nodes = people.column("node").to_numpy()[order].astype(np.int64)
    entity_node = people.column("entity").to_numpy()[order].astype(np.int64)
    row_of_node = np.empty(nodes.size, np.int64)
    row_of_node[nodes] = np.arange(nodes.size)

    _, behaviour = behaviour_features(connection, as_of)
    by_address = behaviour.column("address").to_numpy()
    place = np.argsort(by_address, kind="stable")
    wanted = people.column("address").to_numpy()[order]
    rows = place[np.searchsorted(by_address, wanted, sorter=place)] if nodes.size else np.zeros(0, np.int64)
    exposure = exposure_features(exposures, nodes.size)
    values = np.empty((nodes.size, len(CATALOGUE)), np.float64)
    for k, feature in enumerate(CATALOGUE):
        if feature.name in exposure:
            values[:, k] = exposure[feature.name][entity_node]
        else:
            column = behaviour.column(feature.name).cast(pa.float64())
            values[:, k] = column.to_numpy(zero_copy_only=False)[rows]
    frame = FeatureFrame(
        as_of=as_of,
        accounts=tuple(accounts[i] for i in order),
        entities=row_of_node[entity_node],
        seeded=people.column("labelled").to_numpy(zero_copy_only=False)[order].astype(np.bool_),
        names=tuple(f.name for f in CATALOGUE),
        values=values,
    )
    return Build(frame=frame, nodes=nodes, exposures=exposures, connection=connection)


def caip10_texts(chains: list[str], accounts: list[str]) -> list[str]:
    """Return the CAIP-10 id of each account; the chains are few, the accounts many."""
    known = {caip2: find_chain(caip2) for caip2 in set(chains)}
    return [Account(known[c], a).caip10 for c, a in zip(chains, accounts, strict=True)]
