"""Ask: screen addresses, on the terminal or over HTTP; the keys for the latter."""

from datetime import timedelta
from typing import Annotated

import typer

from api.commands.common import (
    Dir,
    InLanguage,
    Json,
    new_group,
    read_settings,
    say,
    say_bytes,
    say_json,
    say_table,
)
from chains.errors import InputError

keys = new_group("API keys: who may ask over HTTP.")


def screen_addresses(  # noqa: PLR0917  (each parameter is an option of the command)
    addresses: Annotated[
        list[str], typer.Argument(help="CAIP-10 ids, or bare addresses.", metavar="ADDRESS...")
    ],
    chain: Annotated[
        str | None, typer.Option("--chain", help="Name or CAIP-2 id, for bare addresses.", show_default=False)
    ] = None,
    caller: Annotated[
        str, typer.Option("--caller", metavar="ID", help="Answer as to the API key of this id.")
    ] = "local",
    language: InLanguage = "en",
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Screen addresses: level, why, what is unknown.

    Answers from the current snapshot. With --json each line is the answer that the service gives. --language
    turns the reasons of the score (`score from`; `reasons` in JSON) into Russian or Chinese; all else stays
    English. Ends with 1 where any address was refused.
    """
    settings = read_settings(folder)
    from api.answers import answer_screening
    from api.card import write_card
    from api.screening import screen
    from api.serving import open_served

    served = open_served(settings)
    refused = False
    for number, address in enumerate(addresses):
        try:
            screening = screen(
                address, served.snapshot, served.model, chain=chain, caller=caller, language=language
            )
        except InputError as error:
            typer.echo(f"silkscreen: {error}", err=True)
            refused = True
            continue
        if as_json:
            say_bytes(answer_screening(screening))
        else:
            if number:
                say()
            write_card(screening)
    if refused:
        raise typer.Exit(1)


def serve(
    host: Annotated[
        str | None, typer.Option(help="By default SILKSCREEN_HOST, else 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="By default SILKSCREEN_PORT, else 8000; 0 takes a free one.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    folder: Dir = None,
) -> None:
    """Answer over HTTP until interrupted.

    Logs lines of JSON on standard error.
    """
    settings = read_settings(folder, host=host, port=port)
    from api.server import bind_socket, run_server

    listener = bind_socket(settings.host, settings.port)
    from api.app import create_app

    app = create_app(settings)
    say(f"serving on http://{settings.host}:{listener.getsockname()[1]} (stop with Ctrl-C)")
    run_server(app, listener)


def create_api_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    days: Annotated[
        int | None,
        typer.Option("--days", help="Days until it expires; by default it does not.", min=1, max=36500),
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it.

    It is stored as a hash and cannot be shown again.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.keys import create_key
    from datasets.records.store import open_records

    now = utc_now()
    with open_records(settings.records) as records:
        expires_at = None if days is None else now + timedelta(days=days)
        key, caller = create_key(records, name, now=now, expires_at=expires_at)
    if as_json:
        say_json({"id": caller.id, "name": caller.name, "expires_at": caller.expires_at, "key": key})
        return
    say(key)
    typer.echo(f"key {caller.id} of {caller.name}: keep it now, it cannot be shown again", err=True)


def list_api_keys(folder: Dir = None, as_json: Json = False) -> None:
    """List every key ever made, by its first letters.

    Makes no store where there is none yet.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.keys import list_keys
    from datasets.records.store import open_records

    now = utc_now()
    if settings.records.exists():
        with open_records(settings.records) as records:
            callers = list_keys(records)
    else:
        callers = ()
    if as_json:
        say_json([{**vars(caller), "state": caller.state(now)} for caller in callers])
        return
    if not callers:
        say("there are no keys: `silkscreen keys create NAME` makes one")
        return
    columns = ["id", "name", "begins", "state", "created", "expires", "revoked"]
    rows = [
        [c.id, c.name, c.prefix + "…", c.state(now), c.created_at, c.expires_at, c.revoked_at]
        for c in callers
    ]
    say_table(columns, rows)


def revoke_api_key(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.", metavar="ID")],
    folder: Dir = None,
) -> None:
    """Refuse a key from now on."""
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.keys import revoke_key
    from datasets.records.store import open_records

    with open_records(settings.records) as records:
        caller = revoke_key(records, key_id, now=utc_now())
    say(f"key {caller.id} of {caller.name} is revoked since {caller.revoked_at:%Y-%m-%dT%H:%M:%SZ}")


def run_demo(  # noqa: PLR0917  (each parameter is an option of the command)
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after the table.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1)] = 1,
    transfers: Annotated[
        int, typer.Option("--transfers", help="Size of the world.", min=20_000, max=5_000_000)
    ] = 120_000,
    host: Annotated[str | None, typer.Option(help="By default 127.0.0.1.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(help="By default 8000.", min=0, max=65535, show_default=False)
    ] = None,
    folder: Dir = None,
) -> None:
    """Run the main job on a simulated world.

    Builds the world, trains, scores, shows the riskiest addresses, and opens the service.
    """
    settings = read_settings(folder, host=host, port=port)
    from api import demo

    demo.run_demo(settings, serve=not no_serve, seed=seed, transfers=transfers)


keys.command("create")(create_api_key)
keys.command("list")(list_api_keys)
keys.command("revoke")(revoke_api_key)
