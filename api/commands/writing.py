"""The ledger held for writing by a command, and what is told where that ends otherwise than well."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from api.commands.common import clean, say

if TYPE_CHECKING:
    from api.settings import Settings
    from chains.registry import Chain
    from datasets.store import Ledger

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@contextmanager
def write_ledger(settings: "Settings") -> Iterator["Ledger"]:
    """Hold the ledger for writing and renew its status file at the end.

    A status file that cannot be written is a warning: what was committed stays committed, and an error from
    inside is the one that is raised. After Ctrl-C it says what the ledger holds and ends with 130.
    """
    from datasets.status import try_write_status
    from datasets.store import open_ledger, was_interrupted

    with open_ledger(
        settings.ledger, write=True, threads=settings.threads, wait_seconds=settings.wait_seconds
    ) as ledger:
        before = _count_imports(ledger)
        try:
            yield ledger
        except BaseException as error:
            try_write_status(ledger)
            if not was_interrupted(error):
                raise
            typer.echo(f"silkscreen: interrupted: {_say_rest(before, _count_imports(ledger))}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        why = try_write_status(ledger)
    if why is not None:
        typer.echo(f"silkscreen: warning: {clean(why, 1000)}; the ledger itself is written", err=True)


def count_listed(settings: "Settings", chain: "Chain", listed: list[str], *, quiet: bool) -> None:
    """Let tokens count that were in the ledger unlisted before."""
    from datasets.writing import list_assets

    if not listed or not settings.ledger.exists():
        return
    with write_ledger(settings) as ledger:
        count = list_assets(ledger, chain, listed)
    if count and not quiet:
        tokens = "1 token that was in already counts" if count == 1 else f"{count} tokens that were in count"
        say(f"  {tokens} from now on: `silkscreen build` takes that up")


def _count_imports(ledger: "Ledger") -> int | None:
    """Return a number that grows with what is imported; None where the database can no longer tell."""
    import duckdb

    try:
        rows = ledger.connection.execute(_IMPORTS).fetchall()
    except duckdb.Error:
        return None
    return int(rows[0][0])


def _say_rest(before: int | None, after: int | None) -> str:
    if before is not None and before == after:
        return "the ledger is as it was"
    return "a file is in as a whole or not at all; the same command goes on with those that are not"


_IMPORTS = """
    SELECT (SELECT coalesce(max(batch), 0) FROM batch) + (SELECT count(*) FROM label_file)
         + (SELECT count(*) FROM price) + (SELECT count(*) FROM rate)
"""
