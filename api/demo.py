"""The main job from end to end on a simulated world: simulate, ingest, train, build, show, serve."""

import csv
import shutil
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from api.access import utc_now
from api.commands.common import code_version, say, show_rows, show_steps
from api.settings import Settings
from chains.address import find_chain
from chains.errors import FileError
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.prices import import_prices
from datasets.records.keys import create_key
from datasets.records.store import open_records
from datasets.simulate.world import World, simulate_world
from datasets.status import write_status
from datasets.store import open_ledger
from models.pipeline import train_from_ledger
from models.publish import publish

if TYPE_CHECKING:
    from datetime import datetime
    from socket import socket

    from api.screening import Screening

SHOWN = 12
WIDTH = 80
MARK = "made-by-silkscreen-demo"


def run_demo(settings: Settings, *, serve: bool, seed: int, transfers: int = 120_000) -> None:
    """Build the world of `seed` in the folder `demo` of the data folder, show the riskiest, and serve.

    An earlier demo there is replaced; a folder of that name that no demo made is refused with FileError.
    """
    from api.server import bind_socket

    # A port that is taken is told before the work, not after it.
    listener = bind_socket(settings.host, settings.port) if serve else None
    started = time.monotonic()
    folder = _fresh_folder(settings.dir / "demo")
    settings = settings.model_copy(update={"dir": folder})
    with show_rows("simulate a year of two chains") as progress:
        world = simulate_world(folder / "world", seed=seed, transfers=transfers, progress=progress)
    as_of = _ingest(settings, world)
    with show_steps() as steps:
        model = train_from_ledger(
            settings.ledger, settings.models, threads=settings.threads, seed=seed, progress=steps
        )
    with show_steps() as steps:
        publish(
            settings.ledger,
            settings.dir,
            as_of=as_of,
            code_version=code_version(),
            threads=settings.threads,
            progress=steps,
        )
    riskiest = _show(settings, world)
    scores = model.card["metrics"]["scores"]
    say(
        "On owners that the model never saw: PR-AUC "
        + ", ".join(
            f"{scores[kind]['pr_auc']:.3f} {name}"
            for kind, name in (("model", "the model"), ("exposure_alone", "exposure alone"))
            if kind in scores
        )
        + (f", {scores['activity_alone']['pr_auc']:.3f} activity alone" if "activity_alone" in scores else "")
    )
    say(f"Everything above took {time.monotonic() - started:.0f} s. It is invented: no address here is real.")
    say()
    say(f"  silkscreen screen {riskiest} --dir {folder}")
    if listener is not None:
        _serve(settings, riskiest, listener)


def _fresh_folder(folder: Path) -> Path:
    mark = folder / MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise FileError(
            folder, why="this folder was not made by the demo, which would replace it: name another --dir"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()
    return folder


def _ingest(settings: Settings, world: World) -> "datetime":
    """Import the files of the world as any user would; return the moment just after its last transfer."""
    version = code_version()
    with open_ledger(settings.ledger, write=True, threads=settings.threads) as ledger:
        files = (
            ("bitcoin-etl", world.utxo, world.utxo_chain),
            (world.token_layout, world.tokens, world.token_chain),
        )
        for layout, path, chain in files:
            with show_rows(f"import {path.name}") as progress:
                result = import_file(
                    ledger,
                    layout,
                    path,
                    chain=find_chain(chain),
                    progress=progress,
                    code_version=version,
                )
            say(
                f"{chain}: {result.transfers:,} transfers, {result.legs:,} legs, "
                f"{result.quarantined:,} rows set aside"
            )
        import_prices(ledger, world.prices)
        last = ledger.connection.execute("SELECT max(time) FROM transfer").fetchall()[0][0]
        as_of: datetime = last.replace(microsecond=0) + timedelta(seconds=1)
        # In the simulated world everything is heard of on its last day, whenever the demo runs.
        labels = import_labels(ledger, "csv", world.labels, recorded_at=as_of)
        say(f"labels: {labels.labels:,}, {len(labels.rejected):,} set aside")
        write_status(ledger)
    return as_of


def _show(settings: Settings, world: World) -> str:
    """Print the riskiest addresses with the reasons, and how many the world's truth bears out."""
    from api.screening import screen
    from api.serving import open_served

    served = open_served(settings)
    snapshot = served.snapshot
    say()
    say(f"The {SHOWN} riskiest owners that no label names yet, of {len(snapshot):,} addresses")
    say("─" * WIDTH)
    shown: list[str] = []
    for row in snapshot.riskiest(40 * SHOWN):
        account = snapshot.account(row)
        if snapshot.labels(account) or snapshot.entity_labels(row):
            continue
        screening = screen(account, snapshot, served.model)
        for line in _lines(screening):
            say(line)
        shown.append(account)
        if len(shown) == SHOWN:
            break
    say("─" * WIDTH)
    truth = read_truth(world.truth)
    right = sum(truth[account] for account in shown)
    who = f"{right} of these {len(shown)}"
    say(f"In this world's truth, which nothing above has read, {who} are in the drug trade.")
    return shown[0]


def read_truth(path: Path) -> dict[str, bool]:
    """Return for each account of the world whether its owner is in the drug trade."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["account"]: row["drug"] == "true" for row in csv.DictReader(file)}


def _lines(screening: "Screening") -> list[str]:
    head = f"{screening.risk_level:<7}{screening.risk_score:>4}  {screening.account.address}"
    reasons = "; ".join(reason.text for reason in screening.reasons[:3])
    return [head, *textwrap.wrap(reasons, WIDTH - 13, initial_indent=" " * 13, subsequent_indent=" " * 13)]


def _serve(settings: Settings, account: str, listener: "socket") -> None:
    from api.app import create_app
    from api.server import run_server

    with open_records(settings.records) as records:
        key, _ = create_key(records, "demo", now=utc_now(), expires_at=None)
    base = f"http://{settings.host}:{listener.getsockname()[1]}"
    say(f"  curl -s {base}/v1/screenings -H 'X-API-Key: {key}' \\")
    say(f"    -H 'Content-Type: application/json' -d '{{\"address\": \"{account}\"}}'")
    say()
    say(f"Serving on {base}; {base}/openapi.json describes it (stop with Ctrl-C)")
    run_server(create_app(settings), listener)
