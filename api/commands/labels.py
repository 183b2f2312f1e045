"""Who addresses belong to: claims brought in, looked at, and handed on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import (
    Dir,
    Json,
    clean,
    counted,
    new_group,
    parse_moment,
    read_settings,
    say,
    say_json,
    say_table,
    show_rows,
)
from api.commands.data import list_files, read_each
from api.commands.writing import write_ledger

if TYPE_CHECKING:
    from api.settings import Settings
    from datasets.store import Ledger

labels = new_group("Who addresses belong to: claims in, looked at, and out.")

_ACTORS = ("actorpack.yaml", "actorpack.yml")

SUFFIXES: dict[str, tuple[str, ...]] = {
    "ofac": (".xml", ".xml.bz2", ".xml.gz", ".zip"),
    "tagpack": (".yaml", ".yml"),
    "actorpack": _ACTORS,
    "ftm": (".json", ".jsonl", ".ndjson", ".json.gz", ".json.bz2"),
    "csv": (".csv",),
}
"""Which files of a folder are label files of a kind; GraphSense tells packs of actors by their names."""

Sources = Annotated[
    list[str] | None, typer.Option("--source", metavar="NAME", help="Only claims of this source; repeat it.")
]
Categories = Annotated[
    list[str] | None, typer.Option("--category", metavar="ID", help="Only this category; repeat it.")
]
Chains = Annotated[
    list[str] | None, typer.Option("--chain", metavar="CHAIN", help="Only this chain; repeat it.")
]


def import_label_files(  # noqa: PLR0917  (each parameter is an option of the command)
    kind: Annotated[
        str,
        typer.Argument(
            help="ofac (SDN Advanced XML), tagpack or actorpack (GraphSense YAML), ftm (OpenSanctions "
            "entities.ftm.json) or csv."
        ),
    ],
    files: Annotated[
        list[Path], typer.Argument(help="Files, or folders with files, of that kind.", metavar="FILE...")
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Import nothing of any file if one entry is bad.")
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="Licence of a pack or of ftm data, or of rows that name none."),
    ] = None,
    recorded_at: Annotated[
        str | None,
        typer.Option(
            "--recorded-at",
            metavar="TIME",
            help="When you came to know them; by default now.",
            show_default=False,
        ),
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Read claims about addresses into the ledger.

    What a file gets wrong is reported entry by entry.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.labels import StrictError, import_label_files, import_labels

    moment = parse_moment(recorded_at) if recorded_at else utc_now()
    suffixes = SUFFIXES.get(kind, ())

    def wanted(path: Path) -> bool:
        name = path.name.lower()
        return name.endswith(suffixes) and not (kind == "tagpack" and name.endswith(_ACTORS))

    paths = list_files(files, wanted, what=", ".join(suffixes))
    results: list[Any] = []

    def read(path: Path) -> None:
        with show_rows(path.name):
            result = import_labels(ledger, kind, path, recorded_at=moment, licence=licence)
        results.append(result)
        if not as_json:
            _say_import(path, result)

    refused = False
    with write_ledger(settings) as ledger:
        if strict:
            try:
                with show_rows(f"{len(paths)} files"):
                    results += import_label_files(
                        ledger, kind, paths, recorded_at=moment, strict=True, licence=licence
                    )
            except StrictError as error:
                for path, rejected in error.rejected:
                    _say_rejections(path, rejected)
                raise
            for path, result in zip(paths, results, strict=True):
                if not as_json:
                    _say_import(path, result)
        else:
            refused = read_each(paths, read)
    if as_json:
        say_json(results)
    if refused:
        raise typer.Exit(1)


def list_labels(  # noqa: PLR0917  (each parameter is an option of the command)
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="COLUMN", help="source, category, chain, kind, licence or entity; repeat it."
        ),
    ] = None,
    sources: Sources = None,
    categories: Categories = None,
    chains: Chains = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Count the claims that hold.

    By source and category, unless told otherwise: labels, addresses, and how many of the labels may be passed
    on (may_export) and learnt from (may_train).
    """
    settings = read_settings(folder)
    from datasets.labels import count_labels

    columns = by or ["source", "category"]
    chosen = _choose(sources, categories, chains)
    with _read_ledger(settings) as ledger:
        rows = count_labels(ledger, by=columns, **chosen).to_pylist()
    if as_json:
        say_json(rows)
        return
    numbers = ["labels", "addresses", "may_export", "may_train"]
    say_table([*columns, *numbers], [[row[c] for c in (*columns, *numbers)] for row in rows], numbers=numbers)


def show_claims(
    address: Annotated[str, typer.Argument(help="A CAIP-10 id, or a bare address.", metavar="ADDRESS")],
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Show every claim ever recorded of an address, withdrawn ones too."""
    settings = read_settings(folder)
    from datasets.label_queries import claim_history

    with _read_ledger(settings) as ledger:
        rows = claim_history(ledger, address).to_pylist()
    if as_json:
        say_json(rows)
    elif not rows:
        say(f"nobody said anything of {clean(address)}")
    else:
        for place, row in enumerate(rows):
            if place == 0 or rows[place - 1]["caip10"] != row["caip10"]:
                say(clean(row["caip10"]))
            _say_claim(row)


def show_conflicts(folder: Dir = None, as_json: Json = False) -> None:
    """Show the addresses on which sources disagree.

    They say another group of categories (drug, service, crime, ordinary), or another owner.
    """
    settings = read_settings(folder)
    from datasets.label_queries import find_conflicts

    with _read_ledger(settings) as ledger:
        found = find_conflicts(ledger)
    if as_json:
        say_json([vars(conflict) for conflict in found])
        return
    for conflict in found:
        say(f"{clean(conflict.account)}: they differ in {' and '.join(conflict.over)}")
        for claim in conflict.claims:
            who = claim["actor_name"] or claim["entity"]
            words = [claim["category"], who, f"says {claim['source'] or 'nobody'}", _sure(claim)]
            say("  " + clean(", ".join(word for word in words if word)))
    say(f"{counted(len(found), 'address').replace('addresss', 'addresses')} on which sources disagree")


def export_label_file(  # noqa: PLR0917  (each parameter is an option of the command)
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    form: Annotated[str, typer.Option("--format", help="tagpack, actorpack or csv.")],
    sources: Sources = None,
    categories: Categories = None,
    chains: Chains = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    title: Annotated[str | None, typer.Option("--title", help="Title of a pack.")] = None,
    creator: Annotated[
        str | None, typer.Option("--creator", help="Creator of a pack; by default its one source.")
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Write claims that hold, or actors, to a file that others can read.

    Only what may leave the installation goes out; the rest is counted as held back.
    """
    settings = read_settings(folder)
    from datasets.label_export import export_labels

    chosen = _choose(sources, categories, chains)
    with _read_ledger(settings) as ledger:
        done = export_labels(ledger, form, to, force=force, title=title, creator=creator, **chosen)
    if as_json:
        say_json(vars(done))
        return
    thing = "actor" if form == "actorpack" else "claim"
    say(f"{to}: {counted(done.written, thing)} written, {done.held_back:,} held back")
    for count, words in (
        (done.merged, "merged into others"),
        (done.unfit, f"left out: no {form} has a place"),
    ):
        if count:
            say(f"  {count:,} {words}")


def show_substances(as_json: Json = False) -> None:
    """Print the vocabulary of controlled substances that a label may name."""
    from datasets.substances import load_substances

    found = load_substances().substances
    if as_json:
        rows = [
            {
                "id": one.id,
                "group": one.group,
                "names": dict(one.names),
                "control": [list(pair) for pair in one.control],
                "since": one.since,
                "note": one.note,
                "basis": list(one.basis),
            }
            for one in found
        ]
        say_json(rows)
        return
    rows_shown = [
        [
            f"  {one.id}" if one.group else one.id,
            one.names["en"],
            one.names["ru"],
            one.names["zh"],
            one.controlled,
        ]
        for one in found
    ]
    say_table(["id", "english", "russian", "chinese", "control"], rows_shown)


def _read_ledger(settings: "Settings") -> "Ledger":
    from datasets.store import open_ledger

    return open_ledger(settings.ledger, wait_seconds=settings.wait_seconds)


def _choose(
    sources: Sequence[str] | None, categories: Sequence[str] | None, chains: Sequence[str] | None
) -> dict[str, Sequence[str]]:
    """Return what to choose labels by; InputError for a category or chain that does not exist."""
    from chains.address import find_chain
    from datasets.taxonomy import category

    return {
        "sources": list(sources or ()),
        "categories": [category(name).id for name in categories or ()],
        "chains": [find_chain(name).caip2 for name in chains or ()],
    }


def _sure(claim: dict[str, Any]) -> str:
    return f"confidence {claim['confidence']:g}"


def _say_claim(row: dict[str, Any]) -> None:
    state = f" (withdrawn {row['withdrawn_at']:%Y-%m-%d})" if row["withdrawn_at"] else ""
    say(clean(f"  {row['category']}{state}, says {row['source'] or 'nobody'}, {_sure(row)}", 1000))
    owner = row["entity"]
    if row["actor_name"]:
        owner += f" (an actor: {row['actor_name']}, {row['actor_category']})"
    dates = [
        f"{word} {row[name]:%Y-%m-%d}"
        for word, name in (
            ("published", "published_at"),
            ("recorded", "recorded_at"),
            ("listed", "listed_at"),
        )
        if row[name]
    ]
    may = [word for word, name in (("passed on", "may_export"), ("learnt from", "may_train")) if row[name]]
    licence = f"licence {row['licence']}, may be {' and '.join(may) or 'neither passed on nor learnt from'}"
    lines = (
        owner,
        row["name"],
        ", ".join(row["programmes"]),
        ", ".join(row["substances"]),
        ", ".join(dates) or "without a date",
        licence,
        f"{row['kind']} {row['file']}, {row['position']}",
        row["reference"],
    )
    for line in lines:
        if line:
            say("    " + clean(line, 1000))


def _say_import(path: Path, result: Any) -> None:
    added = counted(result.actors, "actor") if result.actors else counted(result.labels, "label")
    if result.already:
        say(f"{path}: already in ({added}); nothing changed")
        return
    extra = f", {result.known:,} known already" if result.known else ""
    extra += f", {result.withdrawn:,} withdrawn" if result.withdrawn else ""
    say(f"{path}: {added}{extra}, {len(result.rejected):,} rejected")
    _say_rejections(path, result.rejected)


def _say_rejections(path: Path, rejected: Sequence[Any], limit: int = 20) -> None:
    """Print on standard error what a file got wrong, by its place in the file."""
    for entry in rejected[:limit]:
        typer.echo(f"  {path}, {clean(entry.position)}: {entry.reason}: {clean(entry.detail)}", err=True)
    if len(rejected) > limit:
        typer.echo(f"  … and {len(rejected) - limit:,} more; --json prints all", err=True)


labels.command("import")(import_label_files)
labels.command("list")(list_labels)
labels.command("show")(show_claims)
labels.command("conflicts")(show_conflicts)
labels.command("export")(export_label_file)
labels.command("substances")(show_substances)
