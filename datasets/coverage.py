"""How far the histories of single addresses were read through indexers: what an answer may rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from chains.history import History
from chains.registry import Chain
from datasets.store import Ledger, chain_number, intern_accounts, registered


@dataclass(frozen=True)
class Coverage:
    """How far the history of one address was read from one source."""

    first_height: int
    last_height: int
    complete: bool
    transfers: int


def read_coverage(ledger: Ledger, chain: Chain, address: str) -> list[Coverage]:
    """Return what is known of how far an address's history was read, one entry a source, in natural order."""
    rows = ledger.connection.execute(
        """
        SELECT first_height, last_height, complete, transfers
        FROM pulled JOIN chain USING (chain) JOIN address USING (chain, address)
        WHERE caip2 = $1 AND account = $2 ORDER BY layout, source
        """,
        [chain.caip2, address],
    ).fetchall()
    return [Coverage(*row) for row in rows]


def read_coverages(
    ledger: Ledger, chain: Chain, addresses: Sequence[str], *, layout: str, source: str
) -> dict[str, Coverage]:
    """Return how far addresses were read from one source, of those that were."""
    wanted = pa.table({"account": pa.array(addresses, pa.string())})
    with registered(ledger.connection, wanted=wanted):
        rows = ledger.connection.execute(
            """
            SELECT account, first_height, last_height, complete, transfers
            FROM pulled
            JOIN chain USING (chain)
            JOIN address USING (chain, address)
            JOIN wanted USING (account)
            WHERE caip2 = $1 AND layout = $2 AND source = $3
            """,
            [chain.caip2, layout, source],
        ).fetchall()
    return {account: Coverage(*row) for account, *row in rows}


def write_coverage(
    ledger: Ledger,
    chain: Chain,
    address: str,
    coverage: Coverage,
    *,
    layout: str,
    source: str,
    unread: Sequence[str],
) -> None:
    """Write down how far an address was read from a source, in place of what was said before.

    To be called within a transaction.
    """
    connection = ledger.connection
    number = chain_number(ledger, chain)
    account = intern_accounts(ledger, number, pa.array([address], pa.string()))[0].as_py()
    key = [number, account, layout, source]
    connection.execute(
        "DELETE FROM pulled WHERE chain = $1 AND address = $2 AND layout = $3 AND source = $4", key
    )
    connection.execute(
        """
        INSERT INTO pulled (chain, address, layout, source, first_height, last_height, complete,
                            transfers, unread, pulled_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        [
            *key,
            *(coverage.first_height, coverage.last_height, coverage.complete, coverage.transfers),
            *(list(unread), datetime.now(UTC).replace(tzinfo=None)),
        ],
    )


def join_coverage(before: Coverage | None, history: History) -> Coverage:
    """Join what was read now to what was read before, which ends where this begins."""
    told = history.batch.transfers.num_rows
    first, last = history.first_height, history.last_height
    if before is not None:
        told += before.transfers
        if first <= before.last_height + 1:
            first, last = before.first_height, max(before.last_height, last)
    return Coverage(first, last, complete=first == 0 and last >= 0 and not history.cut, transfers=told)
