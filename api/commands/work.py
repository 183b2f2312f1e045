"""Turn data into answers: train, build, look at models and features."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.common import (
    Dir,
    InLanguage,
    Json,
    Threads,
    code_version,
    counted,
    new_group,
    parse_moment,
    read_settings,
    say,
    say_json,
    say_table,
    show_steps,
)
from chains.errors import InputError

models = new_group("Trained models.")
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

    Builds entities, exposure and features from the ledger, and scores with the current model.
    """
    settings = read_settings(folder, threads=threads)
    from api.access import utc_now

    moment = None if as_of is None else parse_moment(as_of)
    if moment is not None and moment > utc_now():
        raise InputError(f"--as-of {as_of} lies in the future: nothing is known of it yet")
    from datasets.snapshot import open_snapshot
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
    if as_json:
        say_json({key: manifest[key] for key in ("id", "as_of", "addresses", "model", "label_hash", "heads")})
        return
    say(f"published {snapshot.id}: {manifest['addresses']:,} addresses as of {manifest['as_of']}")
    if not manifest["addresses"]:
        typer.echo("the ledger holds no transfer before that moment: the snapshot is empty of them", err=True)
    if refused := manifest["merges"]["refused"]:
        spends = counted(refused, "spend")
        say(f"{spends} joined nobody: labels name different owners (`silkscreen trace` lists an address's)")
    say(f"scored with {manifest['model']}" if manifest["model"] else "not scored: there is no model here")


def train(
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1)] = 1,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Train a model on the ledger's labels.

    It becomes the current model; `silkscreen build` scores with it.
    """
    settings = read_settings(folder, threads=threads)
    from models.pipeline import train_from_ledger

    with show_steps() as progress:
        model = train_from_ledger(
            settings.ledger, settings.models, threads=settings.threads, seed=seed, progress=progress
        )
    if as_json:
        say_json({"version": model.version, "card": model.card})
        return
    say(f"trained {model.version}, now current: {settings.models / model.version / 'card.md'}")
    _say_scores(model.card)


def list_all_models(folder: Dir = None, as_json: Json = False) -> None:
    """List the models; the current one has a star."""
    settings = read_settings(folder)
    from models.registry import current_model, list_models

    current = current_model(settings.models)
    rows = [_describe_model(model, current) for model in list_models(settings.models)]
    if as_json:
        say_json(rows)
        return
    if not rows:
        say(f"there is no model under {settings.models}: `silkscreen train` makes one")
        return
    columns = ["", "version", "trained on", "PR-AUC", "ROC-AUC", "chains"]
    cells = [
        [
            "*" if row["current"] else "",
            row["version"],
            "simulated world" if row["simulated"] else "real owners",
            f"{row['pr_auc']:.3f}",
            f"{row['roc_auc']:.3f}",
            ", ".join(row["chains"]),
        ]
        for row in rows
    ]
    say_table(columns, cells, numbers=["PR-AUC", "ROC-AUC"])


def add_one_model(
    model: Annotated[Path, typer.Argument(help="Folder of a model, as MODELS/m-….", metavar="FOLDER")],
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Take over a model trained elsewhere.

    It becomes the current model; `silkscreen build` scores with it. It sets a level on the chains that it
    was trained on, and nowhere else.
    """
    settings = read_settings(folder)
    from models.registry import add_model

    added = add_model(settings.models, model)
    if as_json:
        say_json(_describe_model(added, added))
        return
    say(f"{added.version} is now current; `silkscreen build` scores with it")
    kind = "the simulated world" if added.population.simulated else "real owners"
    say(f"it was trained on {kind}: {', '.join(added.population.chains)}")


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


def _describe_model(model: Any, current: Any) -> dict[str, Any]:
    scores = model.card["metrics"]["scores"]["model"]
    return {
        "version": model.version,
        "current": current is not None and model.version == current.version,
        "simulated": model.population.simulated,
        "chains": list(model.population.chains),
        "pr_auc": scores["pr_auc"],
        "roc_auc": scores["roc_auc"],
    }


def _say_scores(card: Any) -> None:
    scores = card["metrics"]["scores"]
    names = {"model": "model", "exposure_alone": "exposure alone", "activity_alone": "activity alone"}
    columns = ["on owners never seen", "PR-AUC", "ROC-AUC", "recall at 1% FP"]
    rows = [
        [
            name,
            f"{scores[kind]['pr_auc']:.3f}",
            f"{scores[kind]['roc_auc']:.3f}",
            f"{scores[kind]['recall']:.1%}",
        ]
        for kind, name in names.items()
        if kind in scores
    ]
    say_table(columns, rows, numbers=columns[1:])


models.command("list")(list_all_models)
models.command("add")(add_one_model)
features.command("describe")(describe_features)
features.command("export")(export_table)
