"""Whether the ledger holds together: its invariants recomputed from its rows, and what breaks them.

Each invariant is one file `checks/NAME.sql`, a query for all rows that break it: chain, height, hash,
account and what is wrong there. Nothing is believed that an import wrote down about itself. The views
`expected_mark` and `judged_asset` are files beside them.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from chains.errors import LedgerError
from chains.registry import Chain
from datasets.store import Ledger

CHECKS_FOLDER = Path(__file__).with_name("checks")

CHECKS: dict[str, str] = {
    "leg_without_transfer": "every leg belongs to a transfer",
    "transfer_without_legs": "every transfer has legs",
    "transfer_number_twice": "no two transfers share their legs",
    "leg_twice": "a transfer has one leg of a side and an index",
    "amount_out_of_range": "amounts are whole, not negative, of at most 38 digits",
    "sides": "transfers have the payers and payees that their kind has",
    "value_created": "transfers pay out no more than they take in",
    "orphan_id": "chains, assets, batches and addresses that rows name are there",
    "address_twice": "every address is written down once",
    "address_key": "every address is found by its key",
    "key_twice": "what counts has a natural key of its own",
    "hash_place": "a place in a block has one transaction, a UTXO transaction one place",
    "marks": "what several files say counts once",
    "set_aside_too": "rows set aside made no transfers",
    "batch_counts": "imports have the rows that they count",
    "stretch": "stretches of whole blocks neither touch nor overlap",
    "block_gap": "no block is missing in a stretch",
    "parent_hash": "every block names the block before it",
    "block_time": "blocks follow one another in time",
    "transfer_time": "transfers have the times of their blocks",
    "outside_stretch": "what nodes brought lies in stretches",
    "provisional": "what is above finality, and nothing else, is provisional",
    "spend": "spent outputs are there, with their account and amount",
    "spent_twice": "no output is spent twice",
    "negative_balance": "nobody spends more than they have",
}
"""The invariants in the order in which they are looked at, each with what holds where nothing is broken."""

VIEWS = ("expected_mark", "judged_asset")

Tell = Callable[[str, int, int], None]
"""Called before each check with what it looks at, how many are done, and how many there are."""


@dataclass(frozen=True)
class Finding:
    """One place where an invariant does not hold."""

    chain: str | None  # CAIP-2; None where not even that is known
    height: int | None
    hash: str | None  # transaction or block in hexadecimal, or a payment's reference
    account: str | None  # canonical text without the chain
    what: str


@dataclass(frozen=True)
class CheckResult:
    """What one check found."""

    check: str  # a key of CHECKS
    holds: str  # what should hold
    found: int  # places where it does not
    first: tuple[Finding, ...]  # the first of them by chain, height, hash and account


@dataclass(frozen=True)
class Unjudged:
    """Something that could not be judged, and why."""

    chain: str  # CAIP-2
    what: str
    why: str


@dataclass(frozen=True)
class LedgerReport:
    """What was checked in a ledger, what is broken, and what could not be judged."""

    checked_at: datetime
    chains: tuple[str, ...]  # CAIP-2
    transfers: int
    results: tuple[CheckResult, ...]
    unjudged: tuple[Unjudged, ...]

    @property
    def broken(self) -> int:
        """Places where something is broken, over all checks."""
        return sum(result.found for result in self.results)


def check_ledger(
    ledger: Ledger,
    *,
    chain: Chain | None = None,
    names: Collection[str] = tuple(CHECKS),
    shown: int = 10,
    tell: Tell | None = None,
) -> LedgerReport:
    """Recompute the invariants `names` of the ledger, or of one chain of it; changes nothing.

    `shown` is how many places are named for each check; all are counted. Raises LedgerError where the
    ledger holds nothing of the chain.
    """
    return _check(lambda: nullcontext(ledger), chain, names, shown, tell)


def check_by_turns(
    open_one: Callable[[], Ledger],
    *,
    chain: Chain | None = None,
    names: Collection[str] = tuple(CHECKS),
    shown: int = 10,
    tell: Tell | None = None,
) -> LedgerReport:
    """Do the same, with the ledger opened anew for each check and closed between.

    While a ledger is read nobody can write to it: so `sync --follow` gets its turn. Each check sees the
    ledger as it is then; none compares it with what an earlier one saw.
    """
    return _check(open_one, chain, names, shown, tell)


def _check(
    open_one: Callable[[], AbstractContextManager[Ledger]],
    chain: Chain | None,
    names: Collection[str],
    shown: int,
    tell: Tell | None,
) -> LedgerReport:
    caip2 = chain.caip2 if chain is not None else None
    with open_one() as ledger:
        if caip2 is not None and not _chains(ledger, caip2):
            raise LedgerError(
                f"the ledger {ledger.path} holds nothing of {caip2}: `silkscreen status` lists its chains"
            )
    results = []
    for done, name in enumerate(name for name in CHECKS if name in names):
        if tell is not None:
            tell(CHECKS[name], done, len(names))
        with open_one() as ledger, views(ledger):
            results.append(_run_check(ledger, name, CHECKS[name], caip2, shown))
    count = "SELECT count(*) FROM transfer JOIN chain USING (chain) WHERE $1 IS NULL OR caip2 = $1"
    with open_one() as ledger, views(ledger):
        return LedgerReport(
            checked_at=datetime.now(UTC).replace(tzinfo=None),
            chains=_chains(ledger, caip2),
            transfers=int(ledger.connection.execute(count, [caip2]).fetchall()[0][0]),
            results=tuple(results),
            unjudged=tuple(_find_unjudged(ledger, caip2)),
        )


@contextmanager
def views(ledger: Ledger) -> Iterator[None]:
    """Let SQL read the views that checks share, for the length of the block; the file stays as it is."""
    for name in VIEWS:
        ledger.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {read_query(name)}")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # after an error inside a transaction nothing more can be done in it
            for name in VIEWS:
                ledger.connection.execute(f"DROP VIEW IF EXISTS {name}")


def read_query(name: str) -> str:
    """Return the text of one file of `checks/`."""
    return (CHECKS_FOLDER / f"{name}.sql").read_text("utf-8")


def _chains(ledger: Ledger, caip2: str | None) -> tuple[str, ...]:
    """Return the chains that anything was read of."""
    found = ledger.connection.execute(
        """
        SELECT caip2 FROM chain
        WHERE ($1 IS NULL OR caip2 = $1)
          AND (chain IN (SELECT chain FROM batch) OR chain IN (SELECT chain FROM transfer)
               OR chain IN (SELECT chain FROM synced))
        ORDER BY caip2
        """,
        [caip2],
    ).fetchall()
    return tuple(row[0] for row in found)


def _run_check(ledger: Ledger, name: str, holds: str, caip2: str | None, shown: int) -> CheckResult:
    # All columns are in the order, so that the same findings come first whatever the ledger's numbers are.
    broken = f"FROM ({read_query(name)}) WHERE $chain IS NULL OR chain = $chain"
    first = f"{broken} ORDER BY chain, height, hash, account, what LIMIT $shown"
    rows = _rows(ledger, first, {"chain": caip2, "shown": shown + 1})
    found = len(rows)
    if found > shown:
        (counted,) = _rows(ledger, f"SELECT count(*) AS found {broken}", {"chain": caip2})
        found = counted["found"]
    return CheckResult(name, holds, found, tuple(_finding(row) for row in rows[:shown]))


def _finding(row: dict[str, Any]) -> Finding:
    return Finding(
        chain=row["chain"],
        height=row["height"],
        hash=hash_text(row["chain"], row["hash"]),
        account=row["account"],
        what=row["what"],
    )


def hash_text(caip2: str | None, value: bytes | None) -> str | None:
    """Return a hash as people write it on a chain; a payment's reference is text already."""
    if value is None:
        return None
    if len(value) != 32 or (caip2 or "").startswith("payments:"):
        return value.decode("utf-8", errors="replace")
    return f"0x{value.hex()}" if (caip2 or "").startswith("eip155:") else value.hex()


def _find_unjudged(ledger: Ledger, caip2: str | None) -> Iterator[Unjudged]:
    for row in _rows(ledger, _UNJUDGED, {"chain": caip2}):
        yield Unjudged(**row)


def _rows(ledger: Ledger, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.connection.sql(query, params=parameters).to_arrow_table().to_pylist()
    return rows


_UNJUDGED = """
    WITH balances AS (
        SELECT c.caip2 AS chain, j.why_not AS why, count(*) AS assets, min(j.reference) AS one
        FROM judged_asset AS j JOIN chain AS c ON c.chain = j.chain
        WHERE j.why_not IS NOT NULL AND NOT (c.utxo AND j.last_height IS NOT NULL)
        GROUP BY c.caip2, j.why_not
    ),
    apart AS (
        SELECT c.caip2 AS chain, count(*) AS files
        FROM batch AS b JOIN chain AS c ON c.chain = b.chain
        WHERE b.loose GROUP BY c.caip2
    ),
    aside AS (
        SELECT c.caip2 AS chain, q.reason, count(*) AS rows
        FROM quarantine AS q JOIN batch AS b ON b.batch = q.batch JOIN chain AS c ON c.chain = b.chain
        WHERE q.reason <> 'not_in_block'  -- a node told the block without it
        GROUP BY c.caip2, q.reason
    ),
    said AS (
        SELECT chain, why,
               'balances of ' || if(assets = 1, one, assets || ' assets, ' || one || ' among them') AS what
        FROM balances
        UNION ALL
        SELECT chain, 'rows without heights cannot show what is missing between them',
               'gaps in ' || files || if(files = 1, ' import', ' imports')
        FROM apart
        UNION ALL
        SELECT chain, 'set aside: ' || reason, 'the value of ' || rows || if(rows = 1, ' row', ' rows')
        FROM aside
    )
    FROM said WHERE $chain IS NULL OR chain = $chain ORDER BY chain, what, why
"""
