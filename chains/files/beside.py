"""What stands in other files of the same export: times of blocks, who gets fees, how transactions ended.

ethereum-etl and cryo write a chain as several tables, and none of them says everything: a token transfer has
no time, a transaction does not say whether it failed. The files that do are read once into a scratch database
on disk, and asked for the rows of one batch at a time, so that memory does not grow with them.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.errors import FileError
from chains.files.evm_columns import LAYOUTS, find_fields, read_fields, recognise
from chains.files.evm_values import Integers, read_accounts, read_amounts, read_hashes, read_times, read_whole
from chains.files.outcomes import Outcomes, read_outcomes
from chains.held import HeldOpen
from chains.ledger import AMOUNT
from chains.registry import Chain

_ROWS = 100_000
_MEMORY = "1GB"
_BLOCK = pa.schema(
    [
        ("height", pa.int64()),
        ("time", pa.timestamp("us")),
        ("block_hash", pa.binary()),
        ("miner", pa.string()),
        ("base_fee", AMOUNT),
    ]
)


class Scratch(HeldOpen):
    """A database in a folder of its own for what does not fit in memory; gone when it is closed."""

    def __init__(self) -> None:
        """Open it empty."""
        self._folder = tempfile.TemporaryDirectory(prefix="silkscreen-", ignore_cleanup_errors=True)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "temp_directory": str(Path(self._folder.name, "spill")),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self.connection = duckdb.connect(str(Path(self._folder.name, "scratch.duckdb")), config=settings)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, which is made by the first of them."""
        self.connection.register("added", rows)
        try:
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM added LIMIT 0")
            self.connection.execute(f"INSERT INTO {table} FROM added")
        finally:
            self.connection.unregister("added")

    def close(self) -> None:
        """Let go of it and delete it; closing twice is harmless."""
        self.connection.close()
        self._folder.cleanup()


@dataclass(frozen=True)
class BlockFacts:
    """What blocks files say of the heights that were asked for, null where they do not."""

    time: pa.Array
    block_hash: pa.Array
    miner: pa.Array
    base_fee: pa.Array  # AMOUNT


class Beside(HeldOpen):
    """The files that complete others of one chain; each kind is read when it is first needed."""

    def __init__(
        self, chain: Chain, files: Mapping[str, Sequence[Path]], layout: str = "ethereum-etl"
    ) -> None:
        """Hold files by the name of their table: blocks, receipts, transactions."""
        self.chain, self.layout = chain, layout
        self.files = {table: tuple(paths) for table, paths in files.items()}
        self._scratch: Scratch | None = None
        self._read: set[str] = set()

    @property
    def has_blocks(self) -> bool:
        """Whether any file tells of blocks."""
        return bool(self.files.get("blocks"))

    @property
    def has_receipts(self) -> bool:
        """Whether any file tells how transactions ended."""
        return bool(self.files.get("receipts"))

    @property
    def has_transactions(self) -> bool:
        """Whether any file tells where transactions stand in their blocks."""
        return bool(self.files.get("transactions") or self.files.get("receipts"))

    def blocks(self, heights: Integers) -> BlockFacts:
        """Return what is known of the block of each height."""
        empty = {
            name: pa.nulls(len(heights), _BLOCK.field(name).type)
            for name in ("time", "block_hash", "miner", "base_fee")
        }
        if not self.has_blocks or not len(heights):
            return BlockFacts(**empty)
        self._need("block")
        found = self._ask(
            """
            SELECT time, block_hash, miner, base_fee
            FROM wanted LEFT JOIN (
                FROM block WHERE height BETWEEN $lowest AND $highest
            ) USING (height)
            ORDER BY place
            """,
            heights,
            pa.nulls(len(heights), pa.binary()),
        )
        return BlockFacts(**{name: found[name].combine_chunks() for name in empty})

    def positions(self, heights: Integers, hashes: pa.Array) -> pa.Array:
        """Return the place in its block of each transaction, null where no file says it."""
        if not self.has_transactions or not len(heights):
            return pa.nulls(len(heights), pa.int32())
        self._need("placed")
        found = self._ask(
            """
            SELECT position FROM wanted LEFT JOIN (
                FROM placed WHERE height BETWEEN $lowest AND $highest
            ) USING (height, hash)
            ORDER BY place
            """,
            heights,
            hashes,
        )
        return found["position"].combine_chunks().cast(pa.int32())

    def outcomes(self, heights: Integers, hashes: pa.Array) -> Outcomes | None:
        """Return how each transaction ended; None where no file says anything of the kind."""
        if not self.has_receipts or not len(heights):
            return None
        self._need("outcome")
        found = self._ask(
            """
            SELECT outcome.* EXCLUDE (height, hash) FROM wanted LEFT JOIN (
                FROM outcome WHERE height BETWEEN $lowest AND $highest
            ) AS outcome ON wanted.height = outcome.height AND wanted.hash = outcome.hash
            ORDER BY place
            """,
            heights,
            hashes,
        )
        return Outcomes.from_table(found)

    def close(self) -> None:
        """Let go of what was read; closing twice is harmless."""
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
            self._read.clear()

    def _ask(self, query: str, heights: Integers, hashes: pa.Array) -> pa.Table:
        assert self._scratch is not None  # noqa: S101  (made by `_need`)
        wanted = pa.table({"place": np.arange(len(heights)), "height": heights, "hash": hashes})
        connection = self._scratch.connection
        connection.register("wanted", wanted)
        try:
            span = {"lowest": int(heights.min()), "highest": int(heights.max())}
            return connection.sql(query, params=span).to_arrow_table()
        finally:
            connection.unregister("wanted")

    def _need(self, what: str) -> None:
        """Read what has not been read yet, each key once."""
        if what in self._read:
            return
        if self._scratch is None:
            self._scratch = Scratch()
        if what == "block":
            self._load_blocks(self._scratch)
        elif what == "placed":
            for table in ("transactions", "receipts"):
                for path in self.files.get(table, ()):
                    self._load_places(self._scratch, path, table)
            self._keep_one("placed", "height, hash", "position IS NULL")
        else:
            for path in self.files.get("receipts", ()):
                self._load_outcomes(self._scratch, path)
            self._keep_one("outcome", "height, hash", "status IS NULL")
        self._read.add(what)

    def _keep_one(self, table: str, key: str, order: str) -> None:
        """Let `table` hold one row a key, of what was read into `table_read`."""
        assert self._scratch is not None  # noqa: S101
        self._scratch.connection.execute(
            f"CREATE TABLE {table} AS SELECT DISTINCT ON ({key}) * FROM {table}_read ORDER BY {key}, {order}"  # noqa: S608
        )
        self._scratch.connection.execute(f"DROP TABLE {table}_read")

    def _load_blocks(self, scratch: Scratch) -> None:
        scratch.insert("block_read", _BLOCK.empty_table())
        for path in self.files["blocks"]:
            fields = find_fields(path, "blocks", self.layout)
            for count, columns in read_fields(path, fields, rows_per_batch=_ROWS):
                heights, good, _ = read_whole(columns["height"])
                times, _ = read_times(columns["time"])
                rows = {
                    "height": pa.array(heights),
                    "time": times,
                    "block_hash": pa.nulls(count, pa.binary()),
                    "miner": pa.nulls(count, pa.string()),
                    "base_fee": pa.nulls(count, AMOUNT),
                }
                if "block_hash" in columns:
                    rows["block_hash"], _ = read_hashes(columns["block_hash"])
                if "miner" in columns:
                    rows["miner"], _ = read_accounts(columns["miner"], self.chain)
                if "base_fee" in columns:
                    fee = read_amounts(columns["base_fee"])
                    # A block from before base fees has none: all of the price goes to whoever made it.
                    unread = pa.array(fee.bad | fee.large)
                    rows["base_fee"] = pc.if_else(unread, pa.scalar(None, AMOUNT), fee.value)
                elif "miner" in columns:
                    rows["base_fee"] = pa.array([0] * count, AMOUNT)
                scratch.insert("block_read", pa.table(rows, schema=_BLOCK).filter(pa.array(good)))
        torn = scratch.connection.execute(
            """
            SELECT height FROM block_read WHERE block_hash IS NOT NULL
            GROUP BY height HAVING min(block_hash) <> max(block_hash) ORDER BY height LIMIT 1
            """
        ).fetchall()
        if torn:
            why = f"the blocks files name two blocks {torn[0][0]}: one of them is from an abandoned branch"
            raise FileError(self.files["blocks"][0], why=why)
        self._keep_one("block", "height", "block_hash")

    def _load_places(self, scratch: Scratch, path: Path, table: str) -> None:
        found = find_fields(path, table, self.layout)
        fields = {word: name for word, name in found.items() if word in ("hash", "height", "position")}
        for count, columns in read_fields(path, fields, rows_per_batch=_ROWS):
            heights, good, _ = read_whole(columns["height"])
            places, placed, _ = (
                read_whole(columns["position"])
                if "position" in columns
                else (np.zeros(count, np.int64), np.zeros(count, np.bool_), None)
            )
            placed &= places < 2**31
            hashes, _ = read_hashes(columns["hash"])
            rows = pa.table(
                {"height": heights, "hash": hashes, "position": pa.array(places, pa.int64(), mask=~placed)}
            )
            scratch.insert("placed_read", rows.filter(pa.array(good)))

    def _load_outcomes(self, scratch: Scratch, path: Path) -> None:
        fields = find_fields(path, "receipts", self.layout)
        for count, columns in read_fields(path, fields, rows_per_batch=_ROWS):
            heights, good, _ = read_whole(columns["height"])
            hashes, _ = read_hashes(columns["hash"])
            outcomes = read_outcomes(columns, count, self.chain).table()
            rows = outcomes.append_column("height", pa.array(heights)).append_column("hash", hashes)
            scratch.insert("outcome_read", rows.filter(pa.array(good)))


COMPANIONS = ("blocks", "receipts", "transactions")
"""Tables that complete others."""


def find_beside(layout: str, paths: Sequence[Path], chain: Chain) -> Beside:
    """Pick out of the files of one import those that complete the others; what cannot be read is left out."""
    files: dict[str, list[Path]] = {table: [] for table in COMPANIONS}
    for path in paths if layout in LAYOUTS else ():
        try:
            table = recognise(path)
        except FileError:
            continue  # it is refused aloud when its turn comes
        if table in files:
            files[table].append(path)
    return Beside(chain, files, layout)
