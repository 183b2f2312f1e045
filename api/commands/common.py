"""What the commands share: the options they all take, output, progress bars on standard error."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chains.errors import InputError
from features.words.languages import Language

if TYPE_CHECKING:
    from rich.progress import Progress

    from api.settings import Settings

Dir = Annotated[
    Path | None,
    typer.Option(
        "--dir", help="Folder of all data; by default SILKSCREEN_DIR, else ./var.", show_default=False
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="By default SILKSCREEN_THREADS, else 2.", show_default=False, min=1, max=256
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
InLanguage = Annotated[
    Language, typer.Option("--language", help="Language of the words about features; all else is English.")
]


def new_group(summary: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )


def read_settings(folder: Path | None, **given: Any) -> "Settings":
    """Return the settings of this process; call it before anything heavy is imported."""
    from api.settings import load_settings

    return load_settings(dir=folder, **given)


def code_version() -> str:
    """Return the version of the installed program."""
    from importlib.metadata import version

    return version("silkscreen")


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 day or time as naive UTC; without an offset it is UTC already. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{clean(text, 60)!r} is no time: write it as 2024-06-04 or 2024-06-04T12:00:00Z"
        ) from None
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise InputError(f"{clean(text, 60)!r} is outside the years that can be counted") from None


def clean(text: str, limit: int = 200) -> str:
    """Return `text` fit for a terminal: what is not printable is shown as its code, and it is cut at `limit`.

    Control characters, escape sequences, line breaks and marks that turn the direction of writing all count
    as not printable.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else _code(c) for c in cut)


def counted(count: int, thing: str) -> str:
    """Return a number of things in words: `1 file`, `2,000 files`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def say(text: str = "") -> None:
    """Print a line on standard output."""
    typer.echo(text)


def say_json(content: Any) -> None:
    """Print an answer as one line of JSON, with times in ISO 8601."""
    import orjson

    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY
    say_bytes(orjson.dumps(content, option=options, default=list))


def say_bytes(content: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def say_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()
) -> None:
    """Print a plain table; `numbers` are the columns set to the right."""
    cells = [[clean(_shown(cell)) for cell in row] for row in rows]
    widths = [
        max(len(name), *(len(row[i]) for row in cells), 0) if cells else len(name)
        for i, name in enumerate(columns)
    ]
    for line in (list(columns), *cells):
        parts = [
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(columns, line, widths, strict=True)
        ]
        say("  ".join(parts).rstrip())


@contextmanager
def show_steps() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callback (step, done, of) that moves a bar; on no terminal it writes one line a step."""
    with _new_bar() as bar:
        task = None
        last = ""

        def tell(step: str, done: int, total: int) -> None:
            nonlocal task, last
            if task is None:
                task = bar.add_task(step, total=total)
            bar.update(task, description=step, completed=done, total=total)
            if step != last and not bar.console.is_terminal:
                typer.echo(f"{step} ({done} of {total} done)", err=True)
            last = step

        yield tell


@contextmanager
def show_rows(name: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback (done, of) that moves the bar of one file."""
    with _new_bar() as bar:
        task = bar.add_task(clean(name, 60), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


@contextmanager
def show_heights(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a callback (blocks more, blocks in all or None) that moves the bar of one chain."""
    with _new_bar() as bar:
        task = bar.add_task(clean(name, 60), total=None)

        def show(more: int, total: int | None) -> None:
            if total is not None:
                bar.update(task, total=total)
            bar.advance(task, more)

        yield show


def _new_bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    return Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    )


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _code(character: str) -> str:
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
