"""A copy of a ledger as if nothing had happened, and nothing had been said, from a moment on."""

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from datasets.store import open_ledger


def cut_ledger(
    ledger: Path,
    out: Path,
    as_of: datetime,
    *,
    unlabelled: Iterable[str] = (),
    threads: int | None = None,
) -> Path:
    """Write to `out` what `ledger` holds from before `as_of` (naive UTC), and return `out`.

    Transfers, labels, actors, freezes and prices from then on are gone; what was withdrawn later is as if
    it had not been. So are all labels of the accounts (CAIP-10) in `unlabelled`. A block goes
    with any block before it that is gone, whatever its own clock says. Raises what `open_ledger` raises.
    """
    with open_ledger(ledger, threads=threads):  # no writer meanwhile
        shutil.copyfile(ledger, out)
    with open_ledger(out, write=True, threads=threads) as held:
        connection = held.connection
        connection.register("unlabelled", pa.table({"caip10": pa.array(list(unlabelled), pa.string())}))
        connection.execute("BEGIN")
        for statement in _CUTS:
            connection.execute(statement, {"as_of": as_of} if "$as_of" in statement else {})
        connection.execute("COMMIT")
        connection.unregister("unlabelled")
    return out


_CUTS = (
    """
    CREATE TEMP TABLE later_block AS
    SELECT chain, min(height) AS height
    FROM transfer
    WHERE height IS NOT NULL AND time >= $as_of
    GROUP BY chain
    """,
    "DELETE FROM transfer WHERE height IS NULL AND time >= $as_of",
    """
    DELETE FROM transfer USING later_block AS b
    WHERE transfer.chain = b.chain AND transfer.height >= b.height
    """,
    "DELETE FROM leg WHERE transfer NOT IN (SELECT transfer FROM transfer)",
    "DELETE FROM block WHERE time >= $as_of",
    "DELETE FROM freeze_event WHERE time >= $as_of",
    "DELETE FROM price WHERE day > CAST($as_of AS DATE)",
    "DELETE FROM rate WHERE day > CAST($as_of AS DATE)",
    "DELETE FROM label WHERE published_at >= $as_of",
    "UPDATE label SET withdrawn_at = NULL WHERE withdrawn_at >= $as_of",
    "DELETE FROM actor WHERE coalesce(published_at, recorded_at) >= $as_of",
    """
    DELETE FROM label USING address AS a, chain AS c, unlabelled AS u
    WHERE label.address = a.address AND c.chain = a.chain AND u.caip10 = c.caip2 || ':' || a.account
    """,
    "DROP TABLE later_block",
)
