"""What the ledger's transfers add up to: holders of each asset, or unspent outputs, written into a file.

The file is what is compared with a node afterwards, so that the ledger is free for others meanwhile.
Sums are made in two parts, the amounts' upper bits and their lower 60, and so stay within HUGEINT.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from chains.errors import LedgerError
from chains.registry import Chain
from datasets.blocks import read_hash, read_stretches
from datasets.store import Ledger

MOST_SCRIPTS = 20_000
"""Unspent outputs without an address that are looked up one by one: some of them nobody can spend."""


@dataclass(frozen=True)
class Taken:
    """What was read of a ledger for a comparison."""

    chain: Chain
    first: int  # heights of the stretch
    last: int
    block_hash: bytes  # of the last
    genesis: bool  # what accounts began with is in the ledger
    calls_unread: bool
    file: Path  # Parquet: holders, or unspent outputs
    rows: int
    supplies: dict[str, int]  # tokens: raw units minted less burned within the stretch, by reference
    outputs: int = 0  # UTXO: all unspent outputs that were made within the stretch
    total_sat: int = 0
    scripts: int = 0  # of these, those without an address
    scripts_sat: int = 0


def take_holdings(
    ledger: Ledger,
    chain: Chain,
    file: Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    unlisted: bool = False,
) -> Taken:
    """Write what a chain's newest stretch adds up to into a Parquet file.

    `sample` takes that many holders of each asset, or outputs, chosen by `seed`; None takes all. Tokens that
    are not listed are left out unless `unlisted`. Raises LedgerError where no stretch was read from a node.
    """
    stretches = read_stretches(ledger, chain)
    if not stretches:
        raise LedgerError(
            f"no blocks of {chain.name} were read from a node: there is no height at which to compare "
            f"balances (`silkscreen sync {chain.name} --rpc URL` reads them)"
        )
    first, last = stretches[-1].first, stretches[-1].last
    block_hash = read_hash(ledger, chain, last)
    if block_hash is None:
        raise LedgerError(
            f"the ledger does not have block {last} of {chain.name}: run `silkscreen ledger check`"
        )
    known = ledger.connection.execute(_KNOWN, [chain.caip2]).fetchall()[0]
    taken = Taken(chain, first, last, block_hash, bool(known[0]), bool(known[1]), file, 0, {})
    scope = {"chain": chain.caip2, "first": first, "last": last}
    connection = ledger.connection
    if chain.utxo:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE unspent AS {_UNSPENT}", scope)
        outputs, high, low, scripts, scripts_sat = connection.execute(_COUNT_UNSPENT).fetchall()[0]
        wanted = {"sample": sample, "seed": str(seed), "scripts": scripts, "most_scripts": MOST_SCRIPTS}
        chosen = _write(connection, _CHOOSE_UNSPENT, wanted, file)
        connection.execute("DROP TABLE unspent")
        return replace(
            taken,
            rows=chosen,
            outputs=outputs,
            total_sat=joined(high, low),
            scripts=scripts,
            scripts_sat=int(scripts_sat or 0),
        )
    # What accounts held before the stretch is asked of the node; without a genesis, block 0 is before it.
    native_first = max(first, 0 if taken.genesis else 1)
    scope |= {"native_first": native_first, "sample": sample, "seed": str(seed), "unlisted": unlisted}
    rows = _write(connection, _HELD, scope, file)
    supplies = connection.execute(_SUPPLIES, {k: scope[k] for k in ("chain", "first", "last")}).fetchall()
    return replace(
        taken, rows=rows, supplies={reference: joined(high, low) for reference, high, low in supplies}
    )


def joined(high: int | str | None, low: int | str | None) -> int:
    """Put together a sum that was made in two parts, so that each stays within HUGEINT."""
    return (int(high or 0) << 60) + int(low or 0)


def _write(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object], file: Path
) -> int:
    """Write the rows of a query into a Parquet file, some at a time; return how many there are."""
    rows = 0
    reader = connection.sql(query, params=parameters).to_arrow_reader(100_000)
    with reader, pq.ParquetWriter(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


_KNOWN = """
    SELECT
        EXISTS (FROM transfer AS t WHERE t.chain = c.chain AND t.kind = 'genesis' AND t.height = 0),
        EXISTS (
            FROM synced AS s WHERE s.chain = c.chain AND NOT EXISTS (
                FROM told AS t
                WHERE t.chain = s.chain AND t.kind = 'internal'
                  AND t.first_height <= s.first_height AND t.last_height >= s.last_height
            )
        )
    FROM chain AS c WHERE c.caip2 = $1
"""

_HELD = """
    WITH compared AS (
        SELECT s.asset, s.reference, s.symbol,
               if(s.reference LIKE 'slip44:%', $native_first, $first) AS first_height
        FROM asset AS s JOIN chain AS c ON c.chain = s.chain
        WHERE c.caip2 = $chain AND (s.listed OR $unlisted OR s.reference LIKE 'slip44:%')
          AND regexp_matches(s.reference, '^(slip44|erc20|trc20):')
    ),
    moved AS (
        SELECT p.reference, p.symbol, l.address,
               sum(if(l.side = 'payee', l.amount >> 60, -(l.amount >> 60))) AS high,
               sum(if(l.side = 'payee', 1, -1) * (l.amount & 1152921504606846975)) AS low
        FROM leg AS l
        JOIN transfer AS t ON t.transfer = l.transfer
        JOIN compared AS p ON p.asset = t.asset
        WHERE NOT t.duplicate AND t.height BETWEEN p.first_height AND $last
        GROUP BY ALL
    )
    SELECT m.reference, m.symbol, a.account, m.high::VARCHAR AS high, m.low::VARCHAR AS low
    FROM moved AS m JOIN address AS a ON a.address = m.address
    QUALIFY $sample IS NULL OR $sample >= row_number() OVER (
        PARTITION BY m.reference ORDER BY md5($seed || ' ' || a.account), a.account
    )
    ORDER BY m.reference, a.account
"""

_SUPPLIES = """
    SELECT s.reference,
           sum(if(l.side = 'payee', l.amount >> 60, -(l.amount >> 60))) AS high,
           sum(if(l.side = 'payee', 1, -1) * (l.amount & 1152921504606846975)) AS low
    FROM leg AS l
    JOIN transfer AS t ON t.transfer = l.transfer
    JOIN asset AS s ON s.asset = t.asset
    JOIN chain AS c ON c.chain = t.chain
    WHERE c.caip2 = $chain AND NOT t.duplicate AND t.height BETWEEN $first AND $last
    GROUP BY s.reference
"""

_UNSPENT = """
    WITH counting AS (
        SELECT t.transfer, t.hash FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
        WHERE c.caip2 = $chain AND NOT t.duplicate AND t.height BETWEEN $first AND $last
    ),
    made AS (
        SELECT t.hash, l.index, l.address, l.amount
        FROM leg AS l JOIN counting AS t ON t.transfer = l.transfer
        WHERE l.side = 'payee'
    ),
    spent AS (
        SELECT l.spent_hash, l.spent_index FROM leg AS l SEMI JOIN counting AS t ON t.transfer = l.transfer
        WHERE l.side = 'payer' AND l.spent_hash IS NOT NULL AND l.spent_index IS NOT NULL
    )
    SELECT m.hash, m.index, m.amount, a.account,
           NOT (starts_with(a.account, 'script-') OR starts_with(a.account, 'output-')) AS named
    FROM made AS m
    ANTI JOIN spent AS s ON s.spent_hash = m.hash AND s.spent_index = m.index
    LEFT JOIN address AS a ON a.address = m.address
"""

_COUNT_UNSPENT = """
    SELECT count(*), sum(amount >> 60), sum(amount & 1152921504606846975), count(*) FILTER (NOT named),
           sum(amount) FILTER (NOT named)
    FROM unspent
"""

_CHOOSE_UNSPENT = """
    SELECT lower(hex(hash)) AS hash, index::VARCHAR AS index, account, if(named, 'yes', 'no') AS named,
           (amount >> 60)::VARCHAR AS high, (amount & 1152921504606846975)::VARCHAR AS low
    FROM unspent
    WHERE named OR $scripts <= $most_scripts
    QUALIFY NOT named OR $sample IS NULL OR $sample >= row_number() OVER (
        PARTITION BY named ORDER BY md5($seed || ' ' || hex(hash) || ' ' || index)
    )
    ORDER BY hash, index
"""
