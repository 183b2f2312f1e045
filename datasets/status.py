"""What a ledger holds, as counts, and the file beside it that tells so while another process writes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from chains.errors import FileError
from datasets.store import Ledger, first_line, newest_schema


@dataclass(frozen=True)
class NodeStatus:
    """What the node of a chain said of itself when it was last read."""

    url: str  # without credentials
    software: str
    height: int  # its newest block
    final_height: int  # its newest final block; -1 where there was none
    seen_at: datetime


@dataclass(frozen=True)
class ChainStatus:
    """What the ledger holds of one chain."""

    caip2: str
    name: str
    simulated: bool
    transfers: int  # all, duplicates among them
    legs: int
    addresses: int  # named by any leg or label
    first_height: int | None
    last_height: int | None
    first_time: datetime | None
    last_time: datetime | None
    provisional: int  # transfers above finality
    lossy: int  # transfers with an amount that came as a double or was rounded
    repeated: int  # exact repeats within a file: they count
    duplicate: int  # said by another file already: they do not count
    stretches: list[list[int]]  # [first, last] of the heights that were read from a node without a gap
    node: NodeStatus | None  # None where no node was read

    @property
    def lag(self) -> int | None:
        """Return how many blocks the ledger is behind the node's newest; None where no node was read."""
        return None if self.node is None or not self.stretches else self.node.height - self.stretches[-1][1]


@dataclass(frozen=True)
class BatchStatus:
    """One import: where its rows came from, and what became of them when it was made."""

    batch: int
    chain: str  # CAIP-2
    layout: str
    source: str
    sha256: str
    mapping: str
    loose: bool
    first_height: int | None
    last_height: int | None
    first_time: datetime | None
    last_time: datetime | None
    source_rows: int
    transfers: int
    legs: int
    known: int
    quarantined: int
    lossy: int
    repeated: int
    duplicate: int
    imported_at: datetime
    code_version: str
    replaced: int  # transfers since replaced by a node's own blocks


@dataclass(frozen=True)
class LabelStatus:
    """How many labels of one category come from one source, and how many of them were withdrawn."""

    source: str
    category: str
    labels: int
    withdrawn: int


@dataclass(frozen=True)
class SetAside:
    """One row of a file that could not become a transfer; rows count from 0, without the header.

    From a node it is something of a block: `height` is the block's, `row` the transaction's place in it.
    """

    source: str
    row: int
    reason: str
    detail: str
    height: int | None


@dataclass(frozen=True)
class LedgerStatus:
    """What a ledger held at `counted_at`."""

    counted_at: datetime
    schema_version: int
    chains: tuple[ChainStatus, ...]  # by CAIP-2
    batches: tuple[BatchStatus, ...]  # oldest first
    quarantine: Mapping[str, int]  # source rows set aside, by reason
    set_aside: tuple[SetAside, ...]  # the first of them in each file
    labels: tuple[LabelStatus, ...]  # by source and category
    label_rejections: Mapping[str, int]  # entries of label files set aside, by reason
    prices: int  # days of assets, and of currencies on every chain, with a price


def ledger_status(ledger: Ledger) -> LedgerStatus:
    """Count what the ledger holds; reads every transfer once."""
    version = _rows(ledger, "SELECT max(version) AS version FROM schema_version")[0]["version"]
    prices = _rows(ledger, "SELECT (SELECT count(*) FROM price) + (SELECT count(*) FROM rate) AS prices")[0][
        "prices"
    ]
    return LedgerStatus(
        counted_at=datetime.now(UTC).replace(tzinfo=None),
        schema_version=version,
        chains=tuple(_chain_status(row) for row in _rows(ledger, _CHAINS)),
        batches=tuple(BatchStatus(**row) for row in _rows(ledger, _BATCHES)),
        quarantine=_by_reason(ledger, "quarantine"),
        set_aside=tuple(SetAside(**row) for row in _rows(ledger, _SET_ASIDE)),
        labels=tuple(LabelStatus(**row) for row in _rows(ledger, _LABELS)),
        label_rejections=_by_reason(ledger, "label_rejection"),
        prices=prices,
    )


def status_path(ledger_path: Path) -> Path:
    """Return where the status file of the ledger at `ledger_path` lies."""
    return ledger_path.with_name(f"{ledger_path.name}.status.json")


def write_status(ledger: Ledger) -> LedgerStatus:
    """Count what the ledger holds and write it beside the ledger, in one step."""
    status = ledger_status(ledger)
    path = status_path(ledger.path)
    made = path.with_name(f"{path.name}.new.{os.getpid()}")
    try:
        made.write_bytes(
            orjson.dumps(status, option=orjson.OPT_INDENT_2 | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)
        )
        made.replace(path)
    except OSError as error:
        raise FileError(path, why=f"cannot be written ({error.strerror or error})") from error
    finally:
        made.unlink(missing_ok=True)
    return status


def try_write_status(ledger: Ledger) -> str | None:
    """Write the status as `write_status` does; return why it could not be, None where it was written.

    For the end of work that is committed already, or has failed for a reason of its own.
    """
    path = status_path(ledger.path)
    try:
        write_status(ledger)
    except FileError as error:
        return str(error)
    except (OSError, duckdb.Error) as error:  # what is left of a disk or a database that has failed
        return f"{path}: cannot be written ({first_line(error)})"
    return None


def read_status(ledger_path: Path) -> LedgerStatus | None:
    """Return what was last written beside the ledger, without opening it; None where nothing (fit) was."""
    path = status_path(ledger_path)
    try:
        read: dict[str, Any] = orjson.loads(path.read_bytes())
        if read["schema_version"] != newest_schema():
            return None  # of another version, which counted other things
        read["counted_at"] = _read_time(read["counted_at"])
        read["chains"] = tuple(_chain_status(_with_times(row)) for row in read["chains"])
        read["batches"] = tuple(BatchStatus(**_with_times(row)) for row in read["batches"])
        read["set_aside"] = tuple(SetAside(**row) for row in read["set_aside"])
        read["labels"] = tuple(LabelStatus(**row) for row in read["labels"])
        return LedgerStatus(**read)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileError(
            path, why="is no ledger status: delete it, the next import writes it again"
        ) from error


def _chain_status(row: dict[str, Any]) -> ChainStatus:
    node = row.pop("node")
    if node is not None:
        node = NodeStatus(**_with_times(node))
    return ChainStatus(**row, node=node)


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _read_time(value) if name.endswith(("_time", "_at")) else value for name, value in row.items()
    }


def _read_time(text: str | datetime | None) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _rows(ledger: Ledger, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.connection.sql(query).to_arrow_table().to_pylist()
    return rows


def _by_reason(ledger: Ledger, table: str) -> dict[str, int]:
    query = f"SELECT reason, count(*) AS found FROM {table} GROUP BY reason ORDER BY reason"  # noqa: S608
    return {row["reason"]: row["found"] for row in _rows(ledger, query)}


_CHAINS = """
    WITH moved AS (
        SELECT chain, count(*) AS transfers, min(height) AS first_height, max(height) AS last_height,
               min(time) AS first_time, max(time) AS last_time,
               count(*) FILTER (provisional) AS provisional, count(*) FILTER (lossy) AS lossy,
               count(*) FILTER (repeated) AS repeated, count(*) FILTER (duplicate) AS duplicate
        FROM transfer GROUP BY chain
    ),
    sides AS (SELECT chain, count(*) AS legs FROM leg JOIN transfer USING (transfer) GROUP BY chain),
    named AS (SELECT chain, count(*) AS addresses FROM address GROUP BY chain),
    stretched AS (
        SELECT chain, list([first_height, last_height] ORDER BY first_height) AS stretches
        FROM synced GROUP BY chain
    ),
    answered AS (
        SELECT chain, {'url': url, 'software': software, 'height': height, 'final_height': final_height,
                       'seen_at': seen_at} AS node
        FROM node_head
    )
    SELECT caip2, name, simulated, coalesce(transfers, 0) AS transfers, coalesce(legs, 0) AS legs,
           coalesce(addresses, 0) AS addresses, first_height, last_height, first_time, last_time,
           coalesce(provisional, 0) AS provisional, coalesce(lossy, 0) AS lossy,
           coalesce(repeated, 0) AS repeated, coalesce(duplicate, 0) AS duplicate,
           coalesce(stretches, []) AS stretches, node
    FROM chain LEFT JOIN stretched USING (chain) LEFT JOIN answered USING (chain)
    LEFT JOIN moved USING (chain) LEFT JOIN sides USING (chain) LEFT JOIN named USING (chain)
    ORDER BY caip2
"""

_SET_ASIDE = """
    SELECT b.source, q.row, q.reason, q.detail, q.height
    FROM quarantine AS q JOIN batch AS b ON b.batch = q.batch
    QUALIFY row_number() OVER (PARTITION BY q.batch ORDER BY q.height, q.row) <= 10
    ORDER BY q.batch, q.height, q.row
"""

_BATCHES = """
    SELECT batch.* REPLACE (caip2 AS chain) FROM batch JOIN chain ON batch.chain = chain.chain ORDER BY batch
"""

_LABELS = """
    SELECT source, category, count(*) AS labels, count(withdrawn_at) AS withdrawn
    FROM label GROUP BY source, category ORDER BY source, category
"""
