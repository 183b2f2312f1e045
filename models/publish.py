"""Publish: build at a moment, score, and write it all as one immutable snapshot.

The folder is written under a temporary name, synced, and renamed; only then does `CURRENT` name it. A
process killed half-way leaves the snapshot in use as it was.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import find_chain, key_form
from chains.errors import SnapshotError
from datasets.snapshot import (
    CURRENT,
    FORMAT,
    MANIFEST,
    SNAPSHOTS,
    TRACING,
    file_sha256,
    manifest_id,
    open_snapshot,
    run_starts,
    text_keys,
)
from features.build import STEPS, Build, Progress, build_features, caip10_texts
from features.catalogue import CATALOGUE, catalogue_hash
from features.indicators.find import find_indicators
from models.drift import write_drift
from models.publish_indicators import arrange_indicators
from models.publish_tracing import KeptChains, arrange_merges, arrange_refusals
from models.registry import Model, current_model, read_reference
from models.score import score_frame

PUBLISH_STEPS = (*STEPS, "score addresses", "write snapshot")


def publish(
    ledger: Path,
    folder: Path,
    *,
    as_of: datetime | None = None,
    code_version: str,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build at `as_of` (naive UTC; now by default), score with the current model if there is one, publish.

    Returns the folder of the snapshot that is now current. The same ledger, model, moment and code give
    the same bytes, and so the same id. Raises what `build_features` raises, ModelMismatch where the model
    was trained on other features.
    """
    moment = as_of or datetime.now(UTC).replace(tzinfo=None, microsecond=0)

    def tell(step: str, done: int, _total: int) -> None:
        if progress is not None:
            progress(step, done, len(PUBLISH_STEPS))

    model = current_model(folder / "models")
    if model is not None:
        model.require(tuple(f.name for f in CATALOGUE), catalogue_hash=catalogue_hash())
    snapshots = folder / SNAPSHOTS
    snapshots.mkdir(parents=True, exist_ok=True)
    _sweep(snapshots)
    work = snapshots / f".writing-{os.getpid()}"
    work.mkdir()
    try:
        chains = KeptChains(work / TRACING)
        with build_features(ledger, moment, threads=threads, progress=tell, keep=chains.keep) as build:
            tell("score addresses", len(STEPS), 0)
            log_odds = score_frame(model, build.frame).log_odds if model is not None else None
            tell("write snapshot", len(STEPS) + 1, 0)
            final = _write(build, work, chains, model=model, log_odds=log_odds, code_version=code_version)
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, OSError):
            why = f"a snapshot cannot be written under {snapshots}: {error}; is the disk full?"
            raise SnapshotError(why) from error
        raise
    tell("write snapshot", len(PUBLISH_STEPS), 0)
    return final


def _write(
    build: Build,
    work: Path,
    chains: KeptChains,
    *,
    model: Model | None,
    log_odds: NDArray[np.float64] | None,
    code_version: str,
) -> Path:
    """Write every file into `work`, then the manifest, rename the folder and make it current."""
    frame, connection = build.frame, build.connection
    row_of_node = np.empty(build.nodes.size, np.int64)
    row_of_node[build.nodes] = np.arange(build.nodes.size)
    _register_rows(connection, row_of_node)
    assets = connection.sql(
        """
        SELECT a.asset, c.caip2 || '/' || a.reference AS caip19, a.symbol, a.decimals
        FROM ledger.asset AS a JOIN ledger.chain AS c ON c.chain = a.chain
        WHERE a.asset IN (SELECT asset FROM seen_transfer UNION SELECT asset FROM fee_leg)
        ORDER BY c.caip2, a.reference
        """
    ).to_arrow_table()
    connection.register(
        "asset_number", assets.append_column("number", pa.array(range(assets.num_rows), pa.int32()))
    )

    np.save(work / "features.npy", frame.values, allow_pickle=False)
    if log_odds is not None:
        np.save(work / "log_odds.npy", log_odds, allow_pickle=False)
    _write_addresses(build, work)
    _write_exposures(build, work, row_of_node)
    lines, starts = arrange_indicators(find_indicators(connection, frame.as_of), row_of_node)
    _write_arrow(work / "indicators.arrow", lines)
    np.save(work / "indicator_start.npy", starts, allow_pickle=False)
    _write_transfers(connection, work, len(frame.accounts))
    tracing = chains.settle(connection, row_of_node)
    merges, starts = arrange_merges(connection, len(frame.accounts))
    _write_arrow(work / "merges.arrow", merges)
    np.save(work / "merge_start.npy", starts, allow_pickle=False)
    refused, starts = arrange_refusals(connection, len(frame.accounts))
    _write_arrow(work / "refused_merges.arrow", refused)
    np.save(work / "refused_merge_start.npy", starts, allow_pickle=False)
    labels = _write_labels(connection, work, frame.as_of)
    if model is not None:
        shutil.copytree(work.parents[1] / "models" / model.version, work / "model")
        if log_odds is not None:
            reference = read_reference(work / "model")
            write_drift(work, reference, frame, log_odds, model.thresholds, model=model.version)

    manifest: dict[str, Any] = {
        "format": FORMAT,
        "as_of": _iso(frame.as_of),
        "code_version": code_version,
        "model": None if model is None else model.version,
        "catalogue_hash": catalogue_hash(),
        "label_hash": labels,
        "sanctions_lists": _sanctions_lists(connection, frame.as_of),
        "feature_names": list(frame.names),
        "addresses": len(frame.accounts),
        "assets": [
            {"caip19": row["caip19"], "symbol": row["symbol"], "decimals": row["decimals"]}
            for row in assets.to_pylist()
        ],
        "heads": _heads(connection),
        "tracing": tracing,
        "merges": {"made": merges.num_rows, "refused": _count_refused(connection)},
        "files": {
            str(path.relative_to(work)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(work.rglob("*"))
            if path.is_file()
        },
    }
    manifest["id"] = manifest_id(manifest)
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    (work / MANIFEST).write_text(text, encoding="utf-8")
    for path in (*sorted(work.rglob("*")), work):
        _sync(path)
    final = work.parent / str(manifest["id"])
    if final.exists():
        open_snapshot(final)  # the same content is there already; it must be whole
        shutil.rmtree(work)
    else:
        work.rename(final)
        _sync(work.parent)
    pointer = work.parent / f".{CURRENT}-{os.getpid()}"
    pointer.write_text(manifest["id"] + "\n", encoding="utf-8")
    _sync(pointer)
    pointer.replace(work.parent / CURRENT)
    _sync(work.parent)
    return final


def _register_rows(connection: duckdb.DuckDBPyConnection, row_of_node: NDArray[np.int64]) -> None:
    connection.register("node_row", pa.table({"node": np.arange(row_of_node.size), "row": row_of_node}))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE address_row AS
        SELECT m.address, r.row, e.row AS entity_row, m.entity
        FROM member AS m JOIN node_row AS r ON r.node = m.node JOIN node_row AS e ON e.node = m.entity
        """
    )


def _write_addresses(build: Build, work: Path) -> None:
    """Write the addresses with what the ledger holds of each, their two indexes, and entities' members."""
    connection, frame = build.connection, build.frame
    connection.execute(files("models").joinpath("address_totals.sql").read_text(encoding="utf-8"))
    table = connection.sql(
        """
        SELECT r.entity_row AS entity, s.labelled,
            p.first_seen, p.last_seen, p.transfers_in, p.transfers_out, p.asset,
            CAST(p.received AS DECIMAL(38, 0)) AS received, CAST(p.sent AS DECIMAL(38, 0)) AS sent,
            p.received_usd, p.sent_usd, p.assets, coalesce(e.counterparties, 0) AS counterparties,
            h.height,
            CASE WHEN p.sent > 0 THEN least(1.0, CAST(p.received AS DOUBLE) / CAST(p.sent AS DOUBLE)) END
                AS history_share,
            d.row AS deposit_row, d.category AS deposit_category, d.confidence AS deposit_confidence,
            d.transfer AS deposit_transfer
        FROM address_row AS r
        JOIN seed AS s ON s.address = r.address
        JOIN address_total AS p ON p.address = r.address
        JOIN address_height AS h ON h.address = r.address
        LEFT JOIN entity_total AS e ON e.entity = r.entity
        LEFT JOIN (
            SELECT d.address, s.row, d.category, d.confidence, d.seq - 1 AS transfer
            FROM deposit_of AS d JOIN address_row AS s ON s.address = d.service
        ) AS d ON d.address = r.address
        ORDER BY r.row
        """
    ).to_arrow_table()
    for left in ("address_total", "entity_total", "address_height"):
        connection.execute(f"DROP TABLE {left}")
    forms = [_form(account) for account in frame.accounts]
    table = table.add_column(0, "account", pa.array(frame.accounts, pa.string()))
    table = table.add_column(1, "form", pa.array(forms, pa.string()))
    _write_arrow(work / "addresses.arrow", table)
    del table
    _write_index(work, "address_index", list(frame.accounts))
    _write_index(work, "form_index", forms)
    order = np.argsort(frame.entities, kind="stable")
    np.save(work / "members.npy", order.astype(np.uint32), allow_pickle=False)
    np.save(work / "member_start.npy", run_starts(frame.entities, len(frame.accounts)), allow_pickle=False)


def _write_exposures(build: Build, work: Path, row_of_node: NDArray[np.int64]) -> None:
    """Write the exposure lines by the row of their entity's public member."""
    lines = build.exposures
    entity = row_of_node[lines.column("entity").to_numpy()] if lines.num_rows else np.zeros(0, np.int64)
    order = np.argsort(entity, kind="stable")
    numbers = build.connection.execute("SELECT asset, number FROM asset_number").fetchnumpy()
    number_of = dict(zip(numbers["asset"].tolist(), numbers["number"].tolist(), strict=True))
    asset = pa.array([number_of[a] for a in lines.column("asset").to_pylist()], pa.int32())
    usd = lines.column("usd").to_numpy()
    origin = lines.column("origin_node").to_numpy()
    table = pa.table(
        {
            "direction": lines.column("direction"),
            "category": lines.column("category"),
            "direct": lines.column("direct"),
            "asset": asset,
            "value": lines.column("value"),
            "usd": pa.array(usd, pa.float64(), mask=np.isnan(usd)),
            "share": lines.column("share"),
            "hops": lines.column("hops"),
            "largest": lines.column("largest"),
            "origin_transfer": pc.subtract(lines.column("origin_seq"), 1),
            "origin_address": pa.array(
                np.where(origin >= 0, row_of_node[origin], -1).astype(np.int32), pa.int32()
            ),
        }
    ).take(pa.array(order))
    _write_arrow(work / "exposures.arrow", table)
    np.save(work / "exposure_start.npy", run_starts(entity, build.nodes.size), allow_pickle=False)


def _write_transfers(connection: duckdb.DuckDBPyConnection, work: Path, addresses: int) -> None:
    """Write the transfers in causal order, and the graph: by address (newest first), and by transfer."""
    transfers = connection.sql(
        """
        SELECT t.time, h.hash, n.number AS asset, t.family AS coinjoin
        FROM seen_transfer AS t JOIN asset_number AS n ON n.asset = t.asset
        JOIN ledger.transfer AS h ON h.transfer = t.transfer
        ORDER BY t.seq
        """
    ).to_arrow_table()
    _write_arrow(work / "transfers.arrow", transfers)
    legs = """
        SELECT l.seq - 1 AS transfer, CAST(r.row AS INTEGER) AS address,
            CAST(CASE WHEN l.side = 'payer' THEN 0 ELSE 1 END AS TINYINT) AS side,
            CAST(l.amount AS DECIMAL(38, 0)) AS amount, l.usd, l.index
        FROM {source} AS l JOIN address_row AS r ON r.address = l.address
        ORDER BY {order}
    """
    by_transfer = connection.sql(
        legs.format(source="seen_leg", order="transfer, side, l.index")
    ).to_arrow_table()
    np.save(
        work / "transfer_start.npy",
        run_starts(by_transfer.column("transfer").to_numpy(), transfers.num_rows),
        allow_pickle=False,
    )
    _write_arrow(work / "transfer_legs.arrow", by_transfer.drop_columns(["transfer", "index"]))
    flows = """(
        SELECT *, CASE WHEN direction = 'out' THEN 'payer' ELSE 'payee' END AS side, 0 AS index
        FROM address_flow
    )"""
    by_address = connection.sql(
        legs.format(source=flows, order="r.row, transfer DESC, side")
    ).to_arrow_table()
    np.save(
        work / "address_start.npy",
        run_starts(by_address.column("address").to_numpy(), addresses),
        allow_pickle=False,
    )
    _write_arrow(work / "address_legs.arrow", by_address.drop_columns(["address", "index"]))


def _write_labels(connection: duckdb.DuckDBPyConnection, work: Path, as_of: datetime) -> str:
    """Write every label known by `as_of`, also of addresses that the ledger never saw; return their hash."""
    rows = connection.sql(
        """
        SELECT c.caip2, a.account AS address, l.category, l.entity, l.name, l.source, l.reference,
            l.confidence, l.published_at, l.recorded_at, l.licence, l.may_export, l.cluster_definer,
            l.programmes, l.listed_at
        FROM ledger.attributed_label AS l
        JOIN ledger.address AS a ON a.address = l.address
        JOIN ledger.chain AS c ON c.chain = a.chain
        WHERE coalesce(l.published_at, l.recorded_at) < $as_of
            AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
        ORDER BY c.caip2, a.account, l.source, l.category, l.name, l.entity, l.reference,
            l.published_at, l.position
        """,
        params={"as_of": as_of},
    ).to_arrow_table()
    accounts = caip10_texts(rows.column("caip2").to_pylist(), rows.column("address").to_pylist())
    forms = [key_form(text) for text in rows.column("address").to_pylist()]
    table = rows.drop_columns(["caip2", "address"])
    table = table.add_column(0, "account", pa.array(accounts, pa.string()))
    table = table.add_column(1, "form", pa.array(forms, pa.string()))
    _write_arrow(work / "labels.arrow", table)
    _write_index(work, "label_index", accounts)
    _write_index(work, "label_form_index", forms)
    # When this installation heard of a label is no part of what the label says.
    said = table.drop_columns(["recorded_at"]).to_pylist()
    return hashlib.sha256(json.dumps(said, default=str, ensure_ascii=False).encode()).hexdigest()


def _sanctions_lists(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> list[dict[str, Any]]:
    """Return the sanctions lists that an answer was checked against: source, day of issue, entries."""
    rows = connection.execute(
        """
        SELECT l.source, max(l.published_at), count(*)
        FROM ledger.attributed_label AS l
        WHERE len(l.programmes) > 0 AND coalesce(l.published_at, l.recorded_at) < $as_of
            AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
        GROUP BY l.source ORDER BY l.source
        """,
        {"as_of": as_of},
    ).fetchall()
    return [
        {"source": source, "newest_entry": None if newest is None else _iso(newest), "entries": entries}
        for source, newest, entries in rows
    ]


def _heads(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    """Return what was read of each chain: first and last height, last time, number of transfers."""
    rows = connection.execute(
        """
        SELECT c.caip2, c.name, c.simulated, min(t.height), max(t.height), max(t.time), count(*)
        FROM seen_transfer AS t JOIN ledger.chain AS c ON c.chain = t.chain
        GROUP BY c.caip2, c.name, c.simulated ORDER BY c.caip2
        """
    ).fetchall()
    return {
        caip2: {
            "name": name,
            "simulated": simulated,
            "first_height": first,
            "height": last,
            "time": _iso(time),
            "transfers": count,
        }
        for caip2, name, simulated, first, last, time, count in rows
    }


def _count_refused(connection: duckdb.DuckDBPyConnection) -> int:
    return int(connection.execute("SELECT count(DISTINCT seq) FROM refused_merge").fetchall()[0][0])


def _write_arrow(path: Path, table: pa.Table) -> None:
    """Write a table so that equal tables give equal bytes: under a null lies zero, always."""
    table = table.replace_schema_metadata(None).combine_chunks()
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if column.null_count and pa.types.is_primitive(field.type):
            table = table.set_column(place, field, _zero_nulls(column.combine_chunks()))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _zero_nulls(column: pa.Array) -> pa.Array:
    known = column.is_valid().to_numpy(zero_copy_only=False)
    unsigned = np.dtype(f"u{column.type.bit_width // 8}")
    raw = np.frombuffer(column.buffers()[1], unsigned)[column.offset : column.offset + len(column)]
    buffers = [np.packbits(known, bitorder="little"), np.where(known, raw, unsigned.type(0))]
    return pa.Array.from_buffers(column.type, len(column), [pa.py_buffer(part) for part in buffers])


def _write_index(work: Path, name: str, texts: list[str]) -> None:
    keys = text_keys(texts)
    order = np.argsort(keys, kind="stable")
    np.save(work / f"{name}_keys.npy", keys[order], allow_pickle=False)
    np.save(work / f"{name}_rows.npy", order.astype(np.uint32), allow_pickle=False)


_BITCOIN = find_chain("bitcoin").caip2 + ":"


def _form(account: str) -> str:
    """Return the key form of an account's address; Bitcoin's own canonical addresses are it already."""
    return (
        account.removeprefix(_BITCOIN) if account.startswith(_BITCOIN) else key_form(account.split(":", 2)[2])
    )


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds") + "Z"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(snapshots: Path) -> None:
    """Remove what a killed process left half-written; a live one keeps its own."""
    for left in snapshots.glob(".writing-*"):
        pid = int(left.name.rpartition("-")[2])
        if pid == os.getpid() or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
