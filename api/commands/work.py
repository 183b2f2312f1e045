"""Turn data into answers: build a snapshot, look at features."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from api.commands.cases import take_over_cases
from api.commands.common import (
    Dir,
    InLanguage,
    Json,
    Threads,
    clean,
    code_version,
    counted,
    new_group,
    parse_moment,
    read_settings,
    say,
    say_json,
    show_steps,
)
from chains.errors import InputError

features = new_group("What is measured of an address.")


def build_snapshot(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="TIME", help="Let nothing later count; by default now.", show_default=False
        ),
    ] = None,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Publish a snapshot: features and scores.

    Builds entities, exposure and features from the ledger, takes over closed cases, and scores with the
    champion.
    """
    settings = read_settings(folder, threads=threads)
    from api.access import utc_now

    moment = None if as_of is None else parse_moment(as_of)
    if moment is not None and moment > utc_now():
        raise InputError(f"--as-of {as_of} lies in the future: nothing is known of it yet")
    take_over_cases(settings, quiet=as_json)
    if moment is None:  # the next whole second: what was decided in this one counts
        moment = utc_now().replace(microsecond=0) + timedelta(seconds=1)
    from datasets.snapshot import open_snapshot
    from models.drift import read_drift, summarise_drift
    from models.publish import publish

    with show_steps() as progress:
        published = publish(
            settings.ledger,
            settings.dir,
            as_of=moment,
            threads=settings.threads,
            progress=progress,
            code_version=code_version(),
        )
    snapshot = open_snapshot(published, verify=False)
    manifest = snapshot.manifest
    drift = read_drift(snapshot.folder)
    if as_json:
        told = ("id", "as_of", "addresses", "model", "label_hash", "heads")
        say_json({key: manifest[key] for key in told} | {"drift": summarise_drift(drift) if drift else []})
        return
    say(f"published {snapshot.id}: {manifest['addresses']:,} addresses as of {manifest['as_of']}")
    if not manifest["addresses"]:
        typer.echo("the ledger holds no transfer before that moment: the snapshot is empty of them", err=True)
    if refused := manifest["merges"]["refused"]:
        spends = counted(refused, "spend")
        say(f"{spends} joined nobody: labels name different owners (`silkscreen trace` lists an address's)")
    say(f"scored with {manifest['model']}" if manifest["model"] else "not scored: there is no model here")
    moved = summarise_drift(drift) if drift else []
    for line in moved:
        say(clean(line, 1000))
    if moved:
        say("`silkscreen models drift` shows each")


def export_table(
    file: Annotated[Path, typer.Argument(help="File to write: .csv or .parquet.", metavar="FILE")],
    folder: Dir = None,
) -> None:
    """Write the current snapshot as one table.

    One row an address: account, entity, score in log-odds, every feature. Unknown values are empty.
    """
    settings = read_settings(folder)
    from api.serving import open_served

    if file.suffix not in (".csv", ".parquet"):
        raise InputError(f"{file.name}: name a file that ends in .csv or .parquet")
    table = open_served(settings).snapshot.to_pandas()
    written = file.with_name(f".{file.name}.writing")
    try:
        if file.suffix == ".csv":
            table.to_csv(written, index=False)
        else:
            table.to_parquet(written, index=False)
        written.replace(file)
    finally:
        written.unlink(missing_ok=True)
    say(f"{file}: {len(table):,} addresses, {len(table.columns)} columns")


def describe_features(
    names: Annotated[
        list[str] | None, typer.Argument(help="Features to describe in full.", metavar="[NAME...]")
    ] = None,
    language: InLanguage = "en",
    as_json: Json = False,
) -> None:
    """List every feature, or describe some in full.

    --language turns what each means, its group and its unit into Russian or Chinese.
    """
    from dataclasses import asdict

    from features.catalogue import CATALOGUE
    from features.words.describe import read_words

    words = read_words(language)

    by_name = {feature.name: feature for feature in CATALOGUE}
    for name in names or ():
        if name not in by_name:
            raise InputError(
                f"there is no feature {name[:60]!r}: `silkscreen features describe` lists them all"
            )
    chosen = [by_name[name] for name in names] if names else list(CATALOGUE)
    if as_json:
        said = [
            {
                "meaning": words.meanings[feature.name],
                "text": words.texts[feature.name],
                "unknown": words.unknown_texts.get(feature.name),
            }
            for feature in chosen
        ]
        say_json([asdict(feature) | translated for feature, translated in zip(chosen, said, strict=True)])
    elif names:
        for feature in chosen:
            say(f"{feature.name} ({words.groups[feature.group]}; {words.levels[feature.level]})")
            say(f"  {words.meanings[feature.name]}")
            say(f"  {feature.unit}: {words.units[feature.unit]}")
            say(f"  computed by {'features/sql/' + feature.sql if feature.sql else 'tracing of value'}")
    else:
        for feature in chosen:
            say(f"{feature.name:<44}{words.groups[feature.group]}")
            say(f"  {words.meanings[feature.name]}")


features.command("describe")(describe_features)
features.command("export")(export_table)
