"""Bring data in: transfers and prices."""

import os
from collections.abc import Callable, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.common import (
    Dir,
    Json,
    clean,
    code_version,
    counted,
    new_group,
    read_settings,
    say,
    say_json,
    show_rows,
)
from api.commands.writing import count_listed, write_ledger
from chains.errors import FileError

prices = new_group("What assets were worth in US dollars, day by day.")

MAPPING_HELP = (
    "Column of a payment file for time, payer, payee, amount, currency, reference, decimals or symbol; also "
    "time=COLUMN:ms, amount=COLUMN:units (raw units), currency=@USD (the same in each row)."
)

Files = Annotated[
    list[Path],
    typer.Argument(
        help="Files, folders with such files, or patterns as 'folder/*.parquet'.", metavar="FILE..."
    ),
]


def read_each(paths: Sequence[Path], read: Callable[[Path], None]) -> bool:
    """Read every file; one that is refused is told on standard error and stops none of the others.

    Returns whether any was refused. A command given one file ends with its error as any other would.
    """
    refused = False
    for path in paths:
        try:
            read(path)
        except FileError as error:
            if len(paths) == 1:
                raise
            typer.echo(f"silkscreen: {clean(str(error), 1000)}", err=True)
            refused = True
    return refused


def import_transfers(  # noqa: PLR0917  (each parameter is an option of the command)
    layout: Annotated[
        str,
        typer.Argument(help="bitcoin-etl, aws-btc, ethereum-etl, aws-eth, cryo, genesis or payments."),
    ],
    files: Files,
    chain: Annotated[
        str, typer.Option("--chain", help="Name or CAIP-2 id: bitcoin, tron, eip155:1, payments:mybank.")
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help=MAPPING_HELP,
        ),
    ] = None,
    listed: Annotated[
        list[str] | None,
        typer.Option("--listed", metavar="ASSET", help="Count this token too, such as trc20:T… or erc20:0x…"),
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Read transfers from files into the ledger.

    A file that is already in changes nothing. Each file is read whole or not at all. Rows that cannot
    become transfers are set aside and counted. Tables of one EVM export complete each other: name them in
    one command.
    """
    settings = read_settings(folder)
    from chains.address import find_chain
    from chains.files.beside import find_beside
    from chains.files.layouts import PaymentMapping
    from datasets.ingest import import_file

    found_chain = find_chain(chain)
    mapping = PaymentMapping.parse(columns) if columns else None
    paths = list_files(files, holds_rows, what="Parquet, CSV, TSV or JSON lines (.jsonl)")
    results: list[dict[str, Any]] = []
    version = code_version()

    def read(path: Path) -> None:
        with show_rows(path.name) as progress:
            result = import_file(
                ledger,
                layout,
                path,
                chain=found_chain,
                mapping=mapping,
                listed=listed or (),
                beside=beside,
                progress=progress,
                code_version=version,
            )
        # Raw units go beyond the numbers that JSON's readers hold exactly, so they are text.
        results.append({**vars(result), "sums": {asset: str(sum_) for asset, sum_ in result.sums.items()}})
        if not as_json:
            _say_import(result)

    with write_ledger(settings) as ledger, find_beside(layout, paths, found_chain) as beside:
        refused = read_each(paths, read)
    count_listed(settings, found_chain, listed or [], quiet=as_json)
    if as_json:
        say_json(results)
    if refused:
        raise typer.Exit(1)


def import_price_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV files with the columns asset, day, usd (or per_usd), until.", metavar="FILE..."
        ),
    ],
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Read daily prices and exchange rates into the ledger.

    Each file is read whole or not at all.
    """
    settings = read_settings(folder)
    from datasets.prices import import_prices

    results = []
    with write_ledger(settings) as ledger:
        for path in files:
            results.append(import_prices(ledger, path))
            if not as_json:
                done = results[-1]
                say(f"{path}: {counted(done.rows, 'price')}, {done.added:,} new, {done.replaced:,} replaced")
    if as_json:
        say_json(results)


def list_files(paths: Sequence[Path], wanted: Callable[[Path], bool], *, what: str) -> list[Path]:
    """Return `paths` with each folder replaced by the wanted files in it and in its subfolders, by name.

    A pattern (`*`, `?`, `[…]`, and `**` for any depth) that the shell did not expand stands for the files and
    folders that it matches. Names that begin with a dot are passed over, and what Silkscreen itself wrote.
    Raises FileError where a folder holds none (`what` says which ones count) or cannot be read through, and
    where a pattern matches nothing.
    """
    found: list[Path] = []
    for path in (matched for given in paths for matched in _matches(given)):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in _walk(path) if wanted(file) and not _is_own(file))
        if not inside:
            raise FileError(path, why=f"the folder holds no file to read: {what}")
        found += inside
    return found


def _is_own(file: Path) -> bool:
    """Tell by its name whether a file is a ledger, or lies beside one and tells of it."""
    return file.name.startswith("ledger.duckdb") or file.name.endswith(".status.json")


def _matches(path: Path) -> list[Path]:
    """What a pattern matches, by name; a path that exists, or that is no pattern, is itself."""
    if path.exists() or not has_magic(str(path)):
        return [path]
    found = sorted(Path(name) for name in glob(str(path), recursive=True))  # noqa: PTH207  (absolute ones too)
    if not found:
        raise FileError(path, why="this pattern matches no file")
    return found


def holds_rows(path: Path) -> bool:
    """Tell by its name whether a file is of a format that transfers are read from."""
    from chains.files.rows import file_format

    try:
        file_format(path)
    except FileError:
        return False
    return True


def _walk(folder: Path) -> list[Path]:
    def stop(error: OSError) -> None:
        raise FileError(error.filename or folder, why=f"cannot be read through ({error.strerror})") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=stop):  # a link to a folder is not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    # A link to nothing stays in, so that it is refused aloud; a pipe would wait without end.
    return [file for file in found if file.is_file() or not file.exists()]


UNMOVED = {
    "zero_value": "no value",
    "no_value": "no value",
    "failed": "failed",
    "root_call": "told by the transactions",
    "zero_address": "from nobody to nobody",
    "no_withdrawals": "blocks without withdrawals",
    "receipts": "receipts, which complete the transactions",
    "logs": "raw logs: token_transfers tell what they moved",
    "contracts": "descriptions of contracts",
    "tokens": "descriptions of tokens",
    "erc721_transfers": "tokens that are no amounts",
    "no_balance": "no balance",
}
"""Why rows make no transfer and are no fault, in words."""


def _say_import(result: Any) -> None:
    if result.already_imported:
        say(f"{result.source}: already in ({counted(result.transfers, 'transfer')}); nothing changed")
        return
    added = f"{counted(result.transfers, 'transfer')}, {counted(result.legs, 'leg')}"
    say(f"{result.source}: {added} from {counted(result.source_rows, 'row')}")
    notes = {
        "already known": result.known,
        "set aside (`silkscreen status` says why)": result.quarantined,
        "rounded or read from doubles": result.lossy,
        "repeated in the file": result.repeated,
        "said by an earlier file": result.duplicate,
        "rows of transactions whose end nothing states, taken as successful": result.assumed,
        **{
            f"rows moved nothing ({UNMOVED.get(reason, reason)})": rows
            for reason, rows in result.unmoved.items()
        },
    }
    for words, count in notes.items():
        if count:
            say(f"  {count:,} {words.replace('rows ', 'row ', 1) if count == 1 else words}")


prices.command("import")(import_price_files)
