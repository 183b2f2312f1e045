"""`silkscreen`: every command of the program.

Exit codes: 0 done, 1 refused with a clear message on standard error, 2 wrong usage.
"""

import os
import sys
from typing import Annotated

import typer

from api.commands import (
    ask,
    cases,
    check,
    data,
    evaluate,
    labels,
    ledger,
    models,
    pull,
    review,
    status,
    sync,
    trace,
    work,
)
from api.commands.common import clean, code_version, new_group, say
from chains.errors import SilkscreenError

app = new_group(
    "Screens virtual-asset addresses for drug-related laundering risk. A score never decides alone."
)


def show_version(wanted: bool) -> None:
    """Print the version and end, where it is asked for."""
    if wanted:
        say(f"silkscreen {code_version()}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Screens virtual-asset addresses for drug-related laundering risk. A score never decides alone."""


app.command("demo")(ask.run_demo)
app.command("doctor")(check.examine)
app.command("status")(status.show_status)
app.command("import")(data.import_transfers)
app.command("sync")(sync.sync_blocks)
app.command("pull")(pull.pull_histories)
app.add_typer(labels.labels, name="labels")
app.add_typer(data.prices, name="prices")
app.add_typer(ledger.ledger, name="ledger")
app.add_typer(cases.cases, name="cases")
app.add_typer(review.review, name="review")
app.command("train")(models.train)
app.command("evaluate")(evaluate.evaluate_model)
app.command("build")(work.build_snapshot)
app.add_typer(models.models, name="models")
app.add_typer(work.features, name="features")
app.command("screen")(ask.screen_addresses)
app.command("trace")(trace.trace_money)
app.add_typer(ask.keys, name="keys")
app.command("serve")(ask.serve)


def main() -> None:
    """Run the command line of this process."""
    try:
        app()
    except SilkscreenError as error:
        fail(str(error))
    except BrokenPipeError:
        # Whoever read the output has gone; nothing is left to tell, and Python must not try at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError:
        fail("there is not enough memory for this")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
    except Exception as error:
        # The database's own errors (a damaged file, a full disk) are not imported here: --help must be quick.
        if type(error).__module__.split(".")[0] not in ("duckdb", "_duckdb"):
            raise
        fail(f"the database could not go on: {error}; if its file is damaged, restore a copy of it")


def fail(message: str) -> None:
    """End with exit code 1 and one line that says why."""
    typer.echo(f"silkscreen: {clean(message, 1000)}", err=True)
    sys.exit(1)
