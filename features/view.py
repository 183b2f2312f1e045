"""How much of a ledger is looked at: all of it, what came lately, or the histories of some accounts only.

Users see less than the whole: a node that was synced from last month on, an indexer that told one address's
history. A model must have seen such rows too, and a view makes them from a whole ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from chains.address import parse_account
from datasets.store import registered


@dataclass(frozen=True)
class View:
    """What is looked at of everything before `as_of`.

    `days` lets transfers count that are at most so old; `around` (CAIP-10) those alone that one of these
    accounts pays or is paid by: then only of them the whole history is there.
    """

    name: str = "whole"
    days: int | None = None
    around: tuple[str, ...] | None = None


WHOLE = View()


def limit_view(connection: duckdb.DuckDBPyConnection, as_of: datetime, view: View) -> None:
    """Take out of `counted` what the view does not show; make `partly_read` and `read_whole`.

    `partly_read` are the chains of which only histories of single addresses are there, `read_whole` those
    addresses.
    """
    if view.days is not None:
        _keep(connection, "c.time >= $since", {"since": as_of - timedelta(days=view.days)})
    if view.around is None:
        connection.execute(
            """
            CREATE TABLE partly_read AS
            SELECT DISTINCT chain FROM ledger.pulled
            WHERE chain NOT IN (SELECT chain FROM ledger.synced)
            """
        )
        connection.execute(
            "CREATE TABLE read_whole AS SELECT DISTINCT address FROM ledger.pulled WHERE complete"
        )
        return
    connection.execute("CREATE TABLE partly_read AS SELECT chain FROM ledger.chain")
    _name_addresses(connection, view.around)
    _keep(
        connection,
        "c.transfer IN (SELECT l.transfer FROM ledger.leg AS l SEMI JOIN read_whole AS r USING (address))",
    )


def _keep(
    connection: duckdb.DuckDBPyConnection, condition: str, params: Mapping[str, object] | None = None
) -> None:
    """Keep of `counted` what fits; places are numbered anew, without gaps."""
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE counted AS
        SELECT * REPLACE (row_number() OVER (ORDER BY place) AS place) FROM counted AS c WHERE {condition}
        ORDER BY place
        """,  # noqa: S608  (one of the two above)
        dict(params or {}),
    )


def _name_addresses(connection: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> None:
    """Make `read_whole` of these accounts (CAIP-10)."""
    parsed = [parse_account(account) for account in sorted(set(accounts))]
    wanted = pa.table(
        {
            "caip2": pa.array([account.chain.caip2 for account in parsed], pa.string()),
            "account": pa.array([account.address for account in parsed], pa.string()),
        }
    )
    with registered(connection, wanted=wanted):
        connection.execute(
            """
            CREATE TABLE read_whole AS
            SELECT a.address
            FROM ledger.address AS a
            JOIN ledger.chain AS c ON c.chain = a.chain
            JOIN wanted ON wanted.caip2 = c.caip2 AND wanted.account = a.account
            """
        )
