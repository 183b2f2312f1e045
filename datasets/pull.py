"""Histories of single addresses into the ledger, breadth first over their counterparties.

Each address is read outside the ledger and written in one transaction with the record of how far it was read,
so that a run that was stopped goes on where it stood and one that is repeated changes nothing. What a node
has told block by block is whole already: pulled transfers of those heights are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from chains.errors import BadAnswer, LedgerMissing, RpcError
from chains.history import History, HistorySource
from chains.ledger import LegBatch
from chains.registry import Chain
from datasets.blocks import read_stretches
from datasets.coverage import Coverage, join_coverage, read_coverages, write_coverage
from datasets.frozen import write_freezes, write_frozen_labels
from datasets.ingest import ingest_batches
from datasets.overlap import find_known
from datasets.status import write_status
from datasets.store import (
    Ledger,
    chain_number,
    next_number,
    open_ledger,
    registered,
    transaction,
)
from datasets.told import find_told
from datasets.twins import find_placed
from datasets.writing import Source, Writing

STAND_INS = ("script-", "output-")
"""How accounts begin that are no addresses: no indexer is asked for them."""


@dataclass(frozen=True)
class PullOptions:
    """How far to go. An address beyond `most_transfers` is a service: it is cut, and not followed further."""

    hops: int = 0
    most_addresses: int = 200
    most_transfers: int = 10_000
    again: bool = False  # from the first block, whatever was read before
    wait_seconds: float = 30.0  # for other processes that hold the ledger
    threads: int | None = None


@dataclass(frozen=True)
class PulledAddress:
    """What the reading of one address did."""

    address: str  # canonical text without the chain
    hop: int
    added: int  # transfers that are new in the ledger
    known: int  # transfers that it held already, from this or another source
    quarantined: int
    pending: int  # above the last final block, left out
    coverage: Coverage | None  # None where the source failed
    unread: tuple[str, ...] = ()
    note: str = ""  # why the history is not complete, or what the source answered


@dataclass(frozen=True)
class PullResult:
    """What one run did, address by address in the order of reading."""

    chain: str  # CAIP-2
    source: str
    addresses: tuple[PulledAddress, ...]
    left_out: int  # counterparties beyond the most addresses
    stopped: bool  # by Ctrl-C


Tell = Callable[[str, int, int], None]
"""Called before each reading with the address, how many are done, and how many are known to be wanted."""


def pull_histories(
    source: HistorySource,
    ledger_path: Path,
    addresses: Sequence[str],
    *,
    options: PullOptions,
    tell: Tell,
    code_version: str,
) -> PullResult:
    """Read the histories of addresses and, hop by hop, of their counterparties.

    A counterparty that the source refuses is noted and passed over; whatever fails at an address that was
    asked for is raised, as is a source that is gone. What was read before stays.
    """
    run = _Run(source, ledger_path, options, code_version)
    done: list[PulledAddress] = []
    seen: set[str] = set()
    frontier = list(dict.fromkeys(addresses))
    left_out = 0
    stopped = False
    try:
        for hop in range(options.hops + 1):
            wanted = [address for address in frontier if address not in seen]
            room = max(0, options.most_addresses - len(seen)) if hop else len(wanted)
            left_out, wanted = max(0, len(wanted) - room), wanted[:room]
            seen.update(wanted)
            before = run.coverages(wanted)
            for address in wanted:
                tell(address, len(done), len(seen))
                done.append(run.pull(address, hop, before.get(address)))
            if hop < options.hops:
                whole = [
                    one.address for one in done if one.hop == hop and one.coverage and one.coverage.complete
                ]
                frontier = run.counterparties(whole)
    except (KeyboardInterrupt, duckdb.InterruptException):
        stopped = True
    finally:
        run.refresh_status()
    return PullResult(source.chain.caip2, source.shown_url, tuple(done), left_out, stopped)


@dataclass(frozen=True)
class _Run:
    source: HistorySource
    path: Path
    options: PullOptions
    code_version: str

    def pull(self, address: str, hop: int, before: Coverage | None) -> PulledAddress:
        """Read one address and write it down; `before` is how far it was read from here already."""
        first = 0 if before is None or self.options.again else before.last_height + 1
        try:
            history = self.source.read_history(address, first=first, most=self.options.most_transfers)
        except (RpcError, BadAnswer) as error:
            if not hop:
                raise
            return PulledAddress(address, hop, 0, 0, 0, 0, None, note=str(error))
        coverage = join_coverage(None if self.options.again else before, history)
        with self._open() as ledger:
            added, known, quarantined = self._write(ledger, address, history, coverage)
        note = (
            history.note if history.note or coverage.complete else "its older part was cut in an earlier run"
        )
        return PulledAddress(
            address, hop, added, known, quarantined, history.pending, coverage, history.unread, note
        )

    def coverages(self, addresses: Sequence[str]) -> dict[str, Coverage]:
        """Return how far addresses were read from this source before, of those that were."""
        try:
            ledger = open_ledger(self.path, wait_seconds=self.options.wait_seconds)
        except LedgerMissing:
            return {}
        source = self.source
        with ledger:
            return read_coverages(
                ledger, source.chain, addresses, layout=source.layout, source=source.shown_url
            )

    def counterparties(self, addresses: Sequence[str]) -> list[str]:
        """Return who paid or was paid by the addresses, those with the most transfers first.

        Only what has a listed asset and moved something counts: anyone can write the rest into a history.
        """
        if not addresses:
            return []
        with self._open() as ledger:
            number = chain_number(ledger, self.source.chain)
            accounts = pa.table({"account": pa.array(addresses, pa.string())})
            with registered(ledger.connection, wanted=accounts):
                rows = ledger.connection.execute(_COUNTERPARTIES, {"chain": number}).fetchall()
        return [account for account, _ in rows if not account.startswith(STAND_INS)]

    def refresh_status(self) -> None:
        """Write the small file that tells others what the ledger holds."""
        if self.path.exists():
            with self._open() as ledger:
                write_status(ledger)

    def _open(self) -> Ledger:
        return open_ledger(
            self.path, write=True, wait_seconds=self.options.wait_seconds, threads=self.options.threads
        )

    def _write(
        self, ledger: Ledger, address: str, history: History, coverage: Coverage
    ) -> tuple[int, int, int]:
        """Write transfers and coverage in one transaction; return how many are new, known and set aside."""
        chain, batch = self.source.chain, history.batch
        fresh = _unknown(ledger, chain, batch, source=self.source.shown_url)
        noted = False

        def batches() -> Iterator[LegBatch]:
            # Whoever takes the batches does so inside a transaction: what is written here is part of it.
            nonlocal noted
            yield fresh
            self._note(ledger, address, history, coverage, freezes=fresh)
            noted = True

        custody = Source(
            chain,
            self.source.layout,
            self.source.shown_url,
            content_hash(batch),
            # Each reading has a record of its own: what is known is left out row by row, not by content.
            orjson.dumps({"address": address, "read_at": _now().isoformat() + "Z"}).decode(),
        )
        added = quarantined = 0
        if fresh.transfers.num_rows or fresh.rejected.num_rows or fresh.freezes.num_rows:
            result = ingest_batches(ledger, batches(), source=custody, code_version=self.code_version)
            added, quarantined = result.transfers, result.quarantined
        if not noted:
            with transaction(ledger):
                self._note(ledger, address, history, coverage, freezes=None)
        if batch.freezes.num_rows:  # made anew from the events, of which the batch is by now a part
            with transaction(ledger):
                write_frozen_labels(ledger, chain)
        return added, batch.transfers.num_rows - added, quarantined

    def _note(
        self,
        ledger: Ledger,
        address: str,
        history: History,
        coverage: Coverage,
        *,
        freezes: LegBatch | None,
    ) -> None:
        source = self.source
        write_coverage(
            ledger,
            source.chain,
            address,
            coverage,
            layout=source.layout,
            source=source.shown_url,
            unread=history.unread,
        )
        if freezes is not None and freezes.freezes.num_rows:
            writing = Writing(
                ledger=ledger,
                source=Source(source.chain, source.layout, source.shown_url, ""),
                chain=chain_number(ledger, source.chain),
                batch=next_number(ledger.connection, "batch"),  # the one that is being written
                next_transfer=0,
            )
            write_freezes(writing, freezes)


_COUNTERPARTIES = """
    WITH pulled_address AS (
        SELECT address FROM address JOIN wanted USING (account) WHERE chain = $chain
    ),
    mine AS (
        SELECT DISTINCT transfer, side FROM leg SEMI JOIN pulled_address USING (address) WHERE amount > 0
    ),
    moved AS (
        SELECT mine.transfer, mine.side
        FROM mine JOIN transfer USING (transfer) JOIN asset USING (asset)
        WHERE transfer.chain = $chain AND transfer.kind IN ('native', 'internal', 'token')
          AND asset.listed AND NOT transfer.duplicate
    )
    SELECT account, count(DISTINCT moved.transfer) AS transfers
    FROM moved
    JOIN leg ON leg.transfer = moved.transfer AND leg.side <> moved.side AND leg.amount > 0
    JOIN address USING (address)
    GROUP BY account
    ORDER BY transfers DESC, account
"""


def content_hash(batch: LegBatch) -> str:
    """Return the SHA-256 of what a batch says: the same whatever order and portions it came in."""
    found = sha256()
    legs: dict[int, list[str]] = {}
    for leg in batch.legs.to_pylist():
        spent = leg["spent_hash"].hex() if leg["spent_hash"] is not None else ""
        side = (leg["side"], leg["index"], leg["account"], leg["amount"], spent, leg["spent_index"])
        legs.setdefault(leg["transfer"], []).append("|".join(map(str, side)))
    lines = []
    for transfer in batch.transfers.to_pylist():
        block = transfer["block_hash"].hex() if transfer["block_hash"] is not None else ""
        words = (
            *(transfer["height"], transfer["position"], transfer["kind"], transfer["part"]),
            *(transfer["time"].isoformat(), transfer["hash"].hex(), transfer["asset"], block),
        )
        lines.append("|".join([*map(str, words), *sorted(legs.get(transfer["transfer"], []))]))
    for reject in batch.rejected.to_pylist():
        lines.append(f"{reject['height']}|{reject['reason']}|{reject['detail']}")
    for freeze in batch.freezes.to_pylist():
        lines.append("|".join(f"{name}={freeze[name]}" for name in sorted(freeze)))
    for line in sorted(lines):
        found.update(line.encode() + b"\n")
    return found.hexdigest()


def _unknown(ledger: Ledger, chain: Chain, batch: LegBatch, *, source: str) -> LegBatch:
    """Return what the ledger does not hold yet, and no node has told whole.

    Raises LedgerConflict where the ledger has another transaction in the same place.
    """
    connection = ledger.connection
    number = chain_number(ledger, chain)
    whole = [(stretch.first, stretch.last) for stretch in read_stretches(ledger, chain)]
    rejected, freezes = (_outside(table, whole) for table in (batch.rejected, batch.freezes))
    told = find_told(connection, number, batch.transfers)
    transfers = batch.transfers.filter(pa.array(~told))
    known = find_known(connection, number, transfers, source=source, chain_name=chain.name)
    transfers = transfers.filter(pa.array(~known))
    known = find_placed(connection, number, transfers, batch.legs)
    transfers = transfers.filter(pa.array(~known))
    said = connection.execute(
        "SELECT q.height, q.detail FROM quarantine AS q JOIN batch AS b USING (batch) WHERE b.chain = $1",
        [number],
    ).fetchall()
    events = connection.execute("SELECT height, part FROM freeze_event WHERE chain = $1", [number]).fetchall()
    used = set(transfers["asset"].to_pylist()) | set(freezes["asset"].to_pylist())
    kept = pc.is_in(batch.legs["transfer"], value_set=transfers["transfer"].combine_chunks())
    return replace(
        batch,
        transfers=transfers,
        legs=batch.legs.filter(kept),
        rejected=_lacking(rejected, ("height", "detail"), said),
        freezes=_lacking(freezes, ("height", "part"), events),
        assets=tuple(asset for asset in batch.assets if asset.reference in used),
    )


def _outside(table: pa.Table, stretches: Iterable[tuple[int, int]]) -> pa.Table:
    """Return the rows of heights outside the stretches."""
    heights = table["height"].to_numpy()
    keep = np.ones(table.num_rows, np.bool_)
    for first, last in stretches:
        keep &= (heights < first) | (heights > last)
    return table.filter(pa.array(keep))


def _lacking(table: pa.Table, names: tuple[str, str], known: Iterable[tuple[Any, ...]]) -> pa.Table:
    """Return the rows whose two values are not among those known."""
    held = set(known)
    pairs = zip(table[names[0]].to_pylist(), table[names[1]].to_pylist(), strict=True)
    return table.filter(pa.array([pair not in held for pair in pairs], pa.bool_()))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
