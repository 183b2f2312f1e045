"""Whole blocks of a node into the ledger: each commit is complete, linked to what is there, and undoable.

A *stretch* is a run of heights read from a node without a gap. Blocks are written with the stretch that they
lengthen in one transaction, so that a killed process leaves the ledger at a block's end. A reorganisation
takes away everything above the fork in the same transaction that brings the first blocks of the new branch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from chains.errors import BadAnswer, BranchChanged
from chains.ledger import Kind, LegBatch
from chains.nodes import Head, NodeFacts
from chains.registry import Chain
from datasets.frozen import write_freezes, write_frozen_labels
from datasets.once import count_once, shared_hashes
from datasets.store import Ledger, chain_number, next_number, registered, transaction
from datasets.told import add_stretches, cut_stretches, whole_stretches
from datasets.writing import Source, Writing, write_custody, write_rejected, write_transfers

LAYOUT = "node"
HIGHEST = 2**62


@dataclass(frozen=True)
class Stretch:
    """Heights that were read without a gap, both ends included."""

    first: int
    last: int


@dataclass(frozen=True)
class NodeRun:
    """One run of reading a node: its blocks share one custody record, which grows with each commit."""

    chain: Chain
    facts: NodeFacts
    started_at: datetime  # naive UTC
    code_version: str
    profiles: Mapping[str, str] = field(
        default_factory=dict
    )  # event profiles given for this run, by contract

    @property
    def source(self) -> Source:
        """What the ledger keeps of where these blocks came from."""
        said = {
            "internal": self.facts.internal,
            "software": self.facts.software,
            "started_at": self.started_at.isoformat(timespec="microseconds") + "Z",
            "unread": list(self.facts.unread),
        }
        mapping = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
        return Source(self.chain, LAYOUT, self.facts.url, "", mapping)


@dataclass(frozen=True)
class Committed:
    """What one commit added and took away."""

    blocks: int
    transfers: int
    legs: int
    rejected: int
    removed: int  # transfers of an abandoned branch
    replaced: int  # transfers of files at the same heights, said again by the node


def read_stretches(ledger: Ledger, chain: Chain) -> tuple[Stretch, ...]:
    """Return the stretches of a chain, lowest first."""
    rows = ledger.connection.execute(
        """
        SELECT first_height, last_height FROM synced JOIN chain USING (chain)
        WHERE caip2 = $1 ORDER BY first_height
        """,
        [chain.caip2],
    ).fetchall()
    return tuple(Stretch(first, last) for first, last in rows)


def read_whole(ledger: Ledger, chain: Chain, facts: NodeFacts) -> tuple[Stretch, ...]:
    """Return the stretches, lowest first, of which all is in that a node tells."""
    rows = ledger.connection.execute("SELECT chain FROM chain WHERE caip2 = $1", [chain.caip2]).fetchall()
    if not rows:
        return ()
    found = whole_stretches(ledger.connection, rows[0][0], told_kinds(facts))
    return tuple(Stretch(first, last) for first, last in found)


def read_hash(ledger: Ledger, chain: Chain, height: int) -> bytes | None:
    """Return the hash that the ledger has for the block at a height; None where it has none."""
    return _block_hash(ledger.connection, chain.caip2, "hash", height)


def read_parent(ledger: Ledger, chain: Chain, height: int) -> bytes | None:
    """Return the hash of the parent of the block at a height; None where the ledger does not know it."""
    return _block_hash(ledger.connection, chain.caip2, "parent_hash", height)


def commit_blocks(
    ledger: Ledger, run: NodeRun, batch: LegBatch, *, head: Head, fork: int | None = None
) -> Committed:
    """Write blocks that follow each other, with the transfers in them, all or none.

    With `fork`, everything of the chain above that height is taken away first: it is of an abandoned branch.
    Raises BranchChanged where the blocks do not link to the stretches beside them; the ledger is as it was.
    """
    first, last = _check_row(batch.blocks, run)
    with transaction(ledger) as connection:
        number = chain_number(ledger, run.chain)
        gone = (first, last) if fork is None else (min(first, fork + 1), HIGHEST)
        told = shared_hashes(connection, number, heights=gone)
        removed = 0 if fork is None else _remove_above(connection, number, fork)
        _check_links(connection, number, run, batch.blocks)
        _remove_other_branch(connection, number, batch.blocks)
        replaced = _remove_heights(connection, number, (first, last), told_kinds(run.facts))
        writing = _resume(ledger, run, number)
        writing.final_height = head.final_height
        before = (writing.transfers, writing.legs, writing.quarantined)
        _write_blocks(connection, number, batch.blocks)
        write_rejected(writing, batch.rejected)
        if batch.transfers.num_rows:
            write_transfers(writing, batch, np.arange(batch.transfers.num_rows))
        writing.heights += [first, last]
        writing.times += pc.min_max(batch.blocks["time"]).as_py().values()
        writing.source_rows += batch.blocks.num_rows
        write_freezes(writing, batch)
        _settle(connection, number, head.final_height, again=fork is not None)
        add_stretches(connection, number, told_kinds(run.facts), first, last)
        _write_head(connection, number, run.facts, head)
        told = pa.concat_tables([told, shared_hashes(connection, number, heights=(first, last))])
        count_once(connection, number, told, utxo=run.chain.utxo)
        _write_run(writing, run)
        _write_profiles(connection, number, run.profiles)
        if batch.freezes.num_rows or fork is not None or replaced:
            write_frozen_labels(ledger, run.chain)
    return Committed(
        blocks=batch.blocks.num_rows,
        transfers=writing.transfers - before[0],
        legs=writing.legs - before[1],
        rejected=writing.quarantined - before[2],
        removed=removed,
        replaced=replaced,
    )


def read_profiles(ledger: Ledger, chain: Chain) -> dict[str, str]:
    """Return the event profiles that earlier runs were given, by contract."""
    rows = ledger.connection.execute(
        "SELECT contract, profile FROM token_profile JOIN chain USING (chain) WHERE caip2 = $1 ORDER BY 1",
        [chain.caip2],
    ).fetchall()
    return dict(rows)


def note_head(ledger: Ledger, run: NodeRun, head: Head) -> None:
    """Write down what the node said of itself, and what has become final since."""
    with transaction(ledger) as connection:
        number = chain_number(ledger, run.chain)
        _settle(connection, number, head.final_height)
        _write_head(connection, number, run.facts, head)


def _block_hash(connection: duckdb.DuckDBPyConnection, caip2: str, column: str, height: int) -> bytes | None:
    found = connection.execute(
        f"SELECT {column} FROM block JOIN chain USING (chain) "  # noqa: S608  (a column named right above)
        "WHERE caip2 = $1 AND height = $2",
        [caip2, height],
    ).fetchall()
    return None if not found or found[0][0] is None else bytes(found[0][0])


def _check_row(blocks: pa.Table, run: NodeRun) -> tuple[int, int]:
    """Return the first and last height of blocks that must follow each other."""
    heights = blocks["height"].to_numpy()
    if not heights.size or (np.diff(heights) != 1).any():
        raise BadAnswer(run.facts.url, method="read_blocks", why="its blocks do not follow each other")
    hashes, parents = blocks["hash"].to_pylist(), blocks["parent_hash"].to_pylist()
    for i in range(1, len(hashes)):
        if parents[i] != hashes[i - 1]:
            raise BranchChanged(run.facts.url, height=int(heights[i]))
    return int(heights[0]), int(heights[-1])


def _check_links(connection: duckdb.DuckDBPyConnection, chain: int, run: NodeRun, blocks: pa.Table) -> None:
    """Refuse blocks whose neighbours in the ledger, if those were read from a node, are of another branch."""
    first, last = blocks["height"][0].as_py(), blocks["height"][-1].as_py()
    rows = connection.execute(
        """
        SELECT height, hash, parent_hash FROM block JOIN synced USING (chain)
        WHERE chain = $1 AND height IN ($2, $3) AND height BETWEEN first_height AND last_height
        """,
        [chain, first - 1, last + 1],
    ).fetchall()
    for height, held, parent in rows:
        if height < first and bytes(held) != blocks["parent_hash"][0].as_py():
            raise BranchChanged(run.facts.url, height=first)
        if height > last and parent is not None and bytes(parent) != blocks["hash"][-1].as_py():
            raise BranchChanged(run.facts.url, height=height)


def _remove_above(connection: duckdb.DuckDBPyConnection, chain: int, fork: int) -> int:
    """Take away the blocks of an abandoned branch; what files say of heights beyond them stays."""
    stretches = connection.execute(
        "SELECT first_height, last_height FROM synced WHERE chain = $1 AND last_height > $2", [chain, fork]
    ).fetchall()
    removed = sum(
        _remove_heights(connection, chain, (max(first, fork + 1), last), list(Kind))
        for first, last in stretches
    )
    cut_stretches(connection, chain, fork)
    return removed


def _remove_other_branch(connection: duckdb.DuckDBPyConnection, chain: int, blocks: pa.Table) -> None:
    """Take away what files say of blocks that are others on the node's branch, untold kinds too."""
    with registered(connection, read_block=blocks.select(["height", "hash"])):
        others = connection.execute(
            """
            SELECT min(height), max(height) FROM (
                SELECT height, height - row_number() OVER (ORDER BY height) AS run
                FROM block JOIN read_block AS r USING (height)
                WHERE block.chain = $chain AND block.hash <> r.hash
            ) GROUP BY run ORDER BY 1
            """,
            {"chain": chain},
        ).fetchall()
    for first, last in others:
        _remove_heights(connection, chain, (first, last), list(Kind))


def told_kinds(facts: NodeFacts) -> list[Kind]:
    """Return the kinds of transfers that the node tells of: those of files are kept where it is silent."""
    silent = {Kind.GENESIS} | ({Kind.INTERNAL} if facts.internal == "none" else set())
    return [kind for kind in facts.kinds if kind not in silent]


def _remove_heights(
    connection: duckdb.DuckDBPyConnection, chain: int, heights: tuple[int, int], kinds: Sequence[Kind]
) -> int:
    """Take away what the ledger says of these heights, and count it where it came from."""
    connection.execute(
        """
        CREATE OR REPLACE TEMPORARY TABLE gone AS
        SELECT transfer, batch FROM transfer
        WHERE chain = $1 AND height BETWEEN $2 AND $3 AND list_contains($4, kind::VARCHAR)
        """,
        [chain, *heights, [kind.value for kind in kinds]],
    )
    counts = connection.execute("SELECT batch, count(*) FROM gone GROUP BY batch").fetchall()
    if counts:
        connection.execute("DELETE FROM leg WHERE transfer IN (SELECT transfer FROM gone)")
        connection.execute("DELETE FROM transfer WHERE transfer IN (SELECT transfer FROM gone)")
    for batch, count in counts:
        connection.execute("UPDATE batch SET replaced = replaced + $2 WHERE batch = $1", [batch, count])
    for table in ("block", "freeze_event"):
        connection.execute(
            f"DELETE FROM {table} WHERE chain = $1 AND height BETWEEN $2 AND $3",  # noqa: S608
            [chain, *heights],
        )
    connection.execute(
        """
        DELETE FROM quarantine
        WHERE height BETWEEN $2 AND $3 AND batch IN (SELECT batch FROM batch WHERE chain = $1)
        """,
        [chain, *heights],
    )
    connection.execute("DROP TABLE gone")
    return sum(count for _, count in counts)


def _write_blocks(connection: duckdb.DuckDBPyConnection, chain: int, blocks: pa.Table) -> None:
    with registered(connection, added_block=blocks):
        connection.execute(
            """
            INSERT INTO block (chain, height, hash, parent_hash, time)
            SELECT $chain, height, hash, parent_hash, time FROM added_block ORDER BY height
            """,
            {"chain": chain},
        )


def _settle(
    connection: duckdb.DuckDBPyConnection, chain: int, final_height: int, *, again: bool = False
) -> None:
    """Transfers up to the final height are provisional no longer.

    After a reorganisation `again` the node's own above it are, since the new branch may be the shorter one;
    a node that merely lags takes no finality back.
    """
    connection.execute(
        "UPDATE transfer SET provisional = FALSE WHERE chain = $1 AND provisional AND height <= $2",
        [chain, final_height],
    )
    if again:
        connection.execute(
            "UPDATE transfer SET provisional = TRUE WHERE chain = $1 AND NOT provisional AND height > $2 "
            "AND batch IN (SELECT batch FROM batch WHERE layout = $3)",
            [chain, final_height, LAYOUT],
        )


def _write_head(connection: duckdb.DuckDBPyConnection, chain: int, facts: NodeFacts, head: Head) -> None:
    connection.execute(
        """
        INSERT OR REPLACE INTO node_head (chain, url, software, height, final_height, seen_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        [chain, facts.url, facts.software, head.height, head.final_height, _now()],
    )


def _write_profiles(connection: duckdb.DuckDBPyConnection, chain: int, profiles: Mapping[str, str]) -> None:
    for contract, profile in profiles.items():
        connection.execute(
            "INSERT OR REPLACE INTO token_profile VALUES ($1, $2, $3)", [chain, contract, profile]
        )


def _resume(ledger: Ledger, run: NodeRun, chain: int) -> Writing:
    """Return the writing of this run where its last commit left it; `batch` has no row before its first."""
    source = run.source
    found = ledger.connection.execute(
        """
        SELECT batch, source_rows, transfers, legs, quarantined, first_height, last_height,
               first_time, last_time
        FROM batch WHERE chain = $1 AND layout = $2 AND sha256 = $3 AND mapping = $4
        """,
        [chain, source.layout, source.sha256, source.mapping],
    ).fetchall()
    writing = Writing(
        ledger=ledger,
        source=source,
        chain=chain,
        batch=next_number(ledger.connection, "batch"),
        next_transfer=next_number(ledger.connection, "transfer"),
    )
    if found:
        writing.batch, writing.source_rows, writing.transfers, writing.legs, writing.quarantined = found[0][
            :5
        ]
        writing.heights, writing.times = list(found[0][5:7]), list(found[0][7:9])
    return writing


def _write_run(writing: Writing, run: NodeRun) -> None:
    """Write the custody record of the run, or bring it up to date."""
    updated = writing.ledger.connection.execute(
        """
        UPDATE batch SET source_rows = $2, transfers = $3, legs = $4, quarantined = $5,
            first_height = $6, last_height = $7, first_time = $8, last_time = $9
        WHERE batch = $1 RETURNING batch
        """,
        [
            *(writing.batch, writing.source_rows, writing.transfers, writing.legs, writing.quarantined),
            *(min(writing.heights), max(writing.heights), min(writing.times), max(writing.times)),
        ],
    ).fetchall()
    if not updated:
        write_custody(writing, run.code_version)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
