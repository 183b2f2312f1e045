"""How good a model is, on owners that it never saw; whether its rows leak; how it compares with another."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.cases import take_over_cases
from api.commands.common import Dir, Json, Threads, clean, read_settings, say, say_json, say_table, show_steps
from chains.errors import InputError, ModelMissing

if TYPE_CHECKING:
    from models.registry import Model


def evaluate_model(  # noqa: PLR0917  (each parameter is an option of the command)
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="VERSION", help="By default the current model.", show_default=False),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="VERSION",
            help="Compare with this model on the same rows, and keep the comparison for `models promote`.",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="truth.csv of a simulated world.", show_default=False),
    ] = None,
    capacity: Annotated[
        int, typer.Option("--capacity", min=1, max=1_000_000, help="Cases that analysts open in a day.")
    ] = 10,
    report: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a report with plots, one file.", show_default=False
        ),
    ] = None,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on owners that it never saw.

    Rows come from the ledger as for training. Ends with 1, and keeps no comparison, where the leak audit
    finds that the rows leak.
    """
    settings = read_settings(folder, threads=threads)
    if report is not None:
        _check_report(report)
    from models.assess import Question, assess, require_current
    from models.compare import comparison_of, write_comparison
    from models.prepare import prepare
    from models.truth import read_truth

    chosen = _find_model(settings.models, model)
    require_current(chosen)  # before minutes of building
    other = None if against is None else _find_model(settings.models, against)
    if other is not None and other.version == chosen.version:
        raise InputError(f"{other.version} cannot be compared with itself: name another model with --against")
    take_over_cases(settings, quiet=as_json)
    question = Question(capacity, None if truth is None else read_truth(truth))
    with show_steps() as progress:
        prepared = prepare(settings.ledger, threads=settings.threads, progress=progress)
    with show_steps() as progress:
        found = assess(
            chosen,
            prepared,
            question,
            models_folder=settings.models,
            ledger=settings.ledger,
            against=other,
            threads=settings.threads,
            progress=progress,
        )
    passed = found["audit"]["passed"]
    if as_json:
        say_json(found)
    else:
        _say_all(found)
    if found["comparison"] is not None and passed:
        kept = write_comparison(settings.models, comparison_of(found["comparison"]))
        _tell(f"comparison kept: {kept}", as_json=as_json)
    if report is not None:
        from models.report import write_report

        write_report(report, found)
        _tell(f"report: {report}", as_json=as_json)
    if not passed:
        _refuse(found["audit"]["checks"])


def _check_report(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path.name}: name a file that ends in .html")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent}: there is no such folder to write the report to")
    try:  # before minutes of work
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise InputError(f"{path.parent}: the report cannot be written there ({error.strerror})") from error


def _find_model(folder: Path, version: str | None) -> "Model":
    """Return the named model, or the current one. Raises ModelMissing, ModelDamaged."""
    from models.registry import current_model, is_version, load_model

    if version is None:
        found = current_model(folder)
        if found is None:
            raise ModelMissing(folder)
        return found
    if not is_version(folder, version):
        raise InputError(f"there is no model {version[:60]!r}: `silkscreen models list` lists them all")
    return load_model(folder / version)


def _say_all(found: Mapping[str, Any]) -> None:
    from models.tables import list_sections, summarise

    for line in summarise(found):
        say(line)
    for section in list_sections(found):
        say()
        say(section.title)
        for line in section.words:
            say(f"  {line}")
        numbers = [name for name in section.columns[section.words_first :] if name != "note"]
        say_table(section.columns, section.rows, numbers=numbers)
    say()


def _tell(text: str, *, as_json: bool) -> None:
    """Say where something was written; beside JSON on standard error."""
    typer.echo(text, err=as_json)


def _refuse(checks: Sequence[Mapping[str, Any]]) -> None:
    """End with 1 and every leak that was found."""
    for check in checks:
        for finding in check["findings"]:
            typer.echo(f"silkscreen: leak ({check['id']}): {clean(finding, 1000)}", err=True)
    typer.echo(
        "silkscreen: refused: the rows leak, so the figures mean nothing; no comparison was kept", err=True
    )
    raise typer.Exit(1)
