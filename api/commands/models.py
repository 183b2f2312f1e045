"""How a model lives: trained as a challenger, compared, promoted by two people, watched, taken back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.cases import take_over_cases
from api.commands.common import (
    Dir,
    Json,
    Threads,
    clean,
    new_group,
    read_settings,
    say,
    say_json,
    say_table,
    show_steps,
)
from chains.errors import FileError, InputError

if TYPE_CHECKING:
    from models.history import Change
    from models.registry import Model

models = new_group("Trained models: compared, promoted, taken back.")

Version = Annotated[str, typer.Argument(help="Version, as `models list` shows it.", metavar="VERSION")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this.")]


def train(
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1)] = 1,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Train a model on the ledger's labels and on closed cases.

    The first one is the champion, which `silkscreen build` scores with; a later one challenges it.
    """
    settings = read_settings(folder, threads=threads)
    take_over_cases(settings, quiet=as_json)
    from models.pipeline import train_from_ledger
    from models.registry import current_version

    before = current_version(settings.models)
    with show_steps() as progress:
        model = train_from_ledger(
            settings.ledger, settings.models, threads=settings.threads, seed=seed, progress=progress
        )
    champion = current_version(settings.models)
    if as_json:
        state = {"version": model.version, "champion": champion}
        say_json({**state, "challenger": champion != model.version, "card": model.card})
        return
    card = settings.models / model.version / "card.md"
    if model.version == before:
        say(f"trained {model.version}, which is in use already: nothing has changed since: {card}")
    elif champion == model.version:
        say(f"trained {model.version}, now in use: {card}")
        if before is not None:
            say(f"{before}, in use until now, was damaged")
    else:
        say(f"trained {model.version}, a challenger: {card}")
    _say_scores(model.card)
    if champion is not None and champion != model.version:
        _say_next(model.version, champion)


def list_all_models(folder: Dir = None, as_json: Json = False) -> None:
    """List the models; the champion, which is in use, has a star. One that cannot be used is `damaged`."""
    settings = read_settings(folder)
    from models.registry import current_version, list_models

    current = current_version(settings.models)
    rows = [_describe_model(settings.models, model, current) for model in list_models(settings.models)]
    if as_json:
        say_json(rows)
        return
    if not rows:
        say(f"there is no model under {settings.models}: `silkscreen train` makes one")
        return
    columns = ["", "version", "trained on", "PR-AUC", "ROC-AUC", "against the champion", "chains"]
    cells = [
        [
            "*" if row["current"] else "",
            row["version"],
            *(
                ["damaged", None, None, "", ""]
                if row["damaged"]
                else [
                    "simulated world" if row["simulated"] else "real owners",
                    f"{row['pr_auc']:.3f}",
                    f"{row['roc_auc']:.3f}",
                    "" if row["current"] else row["verdict"] or "not compared",
                    ", ".join(row["chains"]),
                ]
            ),
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

    The first one is the champion, which `silkscreen build` scores with; a later one challenges it. It sets a
    level on the chains that it was trained on, and nowhere else.
    """
    settings = read_settings(folder)
    from models.registry import add_model, current_model

    added = add_model(settings.models, model)
    current = current_model(settings.models)
    if as_json:
        say_json(_describe_model(settings.models, added, current.version if current else None))
        return
    kind = "the simulated world" if added.population.simulated else "real owners"
    trained = f"it was trained on {kind}: {', '.join(added.population.chains)}"
    if current is None or current.version == added.version:
        say(f"{added.version} is in use; `silkscreen build` scores with it")
        say(trained)
    else:
        say(f"{added.version} is a challenger")
        say(trained)
        _say_next(added.version, current.version)


def show_one_model(
    version: Annotated[
        str | None, typer.Argument(help="By default the champion.", metavar="[VERSION]", show_default=False)
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Show the card of a model."""
    settings = read_settings(folder)
    from chains.errors import ModelMissing
    from models.promotion import find_model
    from models.registry import current_version

    chosen = version or current_version(settings.models)
    if chosen is None:
        raise ModelMissing(settings.models)
    model = find_model(settings.models, chosen)
    if as_json:
        say_json({"version": model.version, "card": model.card})
        return
    for line in (settings.models / chosen / "card.md").read_text(encoding="utf-8").splitlines():
        say(clean(line, 10_000))


def promote_one_model(
    version: Version,
    by: By,
    approved_by: Annotated[
        str, typer.Option("--approved-by", metavar="NAME", help="Who agrees: another person.")
    ],
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Make a challenger the champion.

    Refused where `silkscreen evaluate` did not compare the two, where the challenger is worse beyond noise,
    and where one person is named twice.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from models.promotion import promote

    change = promote(settings.models, version, by=by, approved_by=approved_by, now=utc_now())
    if as_json:
        say_json(vars(change))
        return
    say(f"{change.version} is in use now, after {change.before}")
    say(f"PR-AUC on the same rows {_say_difference(change)}")
    say("`silkscreen build` scores with it; `silkscreen models rollback --by NAME` takes it back")


def roll_back(
    by: By,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, in words.")] = "",
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Put the champion back that the one in use was promoted over; again goes further back."""
    settings = read_settings(folder)
    from api.access import utc_now
    from models.promotion import rollback

    change = rollback(settings.models, by=by, now=utc_now(), why=why)
    if as_json:
        say_json(vars(change))
        return
    say(f"{change.version} is in use again, instead of {change.before}; `silkscreen build` scores with it")


def show_history(folder: Dir = None, as_json: Json = False) -> None:
    """Show which model was in use when, and who said so."""
    settings = read_settings(folder)
    from models.promotion import read_history

    changes = read_history(settings.models)
    if as_json:
        say_json([vars(change) for change in changes])
        return
    if not changes:
        say("no model was promoted yet")
        return
    columns = ["at", "what", "version", "instead of", "by", "approved by", "verdict", "difference", "why"]
    say_table(columns, [_change_cells(change) for change in changes])


def show_drift(folder: Dir = None, as_json: Json = False) -> None:
    """Show what has moved since the model was trained.

    Of the current snapshot: population stability index (PSI) of each feature and of the score, and the share
    of addresses at each level, beside what they were at the last training moment.
    """
    settings = read_settings(folder)
    from api.serving import open_served
    from models.drift import read_drift

    served = open_served(settings)
    drift = read_drift(served.snapshot.folder)
    if served.model is None:
        raise InputError("the current snapshot has no scores: `silkscreen train`, then `silkscreen build`")
    if drift is None:
        raise InputError(
            f"{served.model.version} keeps nothing to measure drift from: train again, then build again"
        )
    if as_json:
        say_json(drift)
        return
    before, now = drift["before"], drift["now"]
    say(
        f"{drift['model']}: {before['rows']:,} addresses at {before['as_of']}, "
        f"{now['rows']:,} at {now['as_of']}"
    )
    columns = ["feature", "PSI", "by chance", "", "unknown then", "unknown now"]
    rows = [["(score)", *_index_cells(drift["score"]), "", ""]]
    found = drift["features"]
    for name in sorted(found, key=lambda one: (-found[one]["psi"], one)):
        unknown = [f"{found[name][key]:.1%}" for key in ("unknown_before", "unknown_now")]
        rows.append([name, *_index_cells(found[name]), *unknown])
    say_table(columns, rows, numbers=["PSI", "by chance", "unknown then", "unknown now"])
    say()
    parts = {"all": {"rows_before": before["rows"], "rows_now": now["rows"], **drift}, **drift["chains"]}
    columns = ["addresses", "then", "now", "score PSI", "MEDIUM then", "MEDIUM now", "HIGH then", "HIGH now"]
    cells = [
        [
            name,
            part["rows_before"],
            part["rows_now"],
            f"{part['score']['psi']:.3f}" if part["score"] else None,
            *(
                _share(part["levels"][level][when])
                for level in ("MEDIUM", "HIGH")
                for when in ("before", "now")
            ),
        ]
        for name, part in parts.items()
    ]
    say_table(columns, cells, numbers=columns[1:])


def _index_cells(entry: dict[str, Any]) -> list[str]:
    band = "" if entry["band"] == "stable" else entry["band"]
    return [f"{entry['psi']:.3f}", f"{entry['chance']:.3f}", band]


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _change_cells(change: "Change") -> list[object]:
    return [
        change.at,
        change.event,
        change.version,
        change.before,
        change.by or None,
        change.approved_by or None,
        change.verdict or None,
        _span(change.difference) if change.difference else None,
        change.why,
    ]


def _say_difference(change: "Change") -> str:
    """Return the verdict and the difference that it rests on; none where the champion cannot score."""
    verdict = "not shown to be worse" if change.verdict == "no worse" else change.verdict
    if change.difference is None:
        return "above chance: the former champion knows other features and could not score them"
    return f"{verdict}: {_span(change.difference)}"


def _span(difference: dict[str, float]) -> str:
    return f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"


def _describe_model(folder: Path, model: "Model | str", current: str | None) -> dict[str, Any]:
    """Return a model as JSON shows it; of a damaged one, given by its version, that alone."""
    from models.compare import read_comparison

    if isinstance(model, str):
        unknown = dict.fromkeys(("simulated", "chains", "pr_auc", "roc_auc", "verdict"))
        return {"version": model, "current": model == current, "damaged": True, **unknown}
    verdict: str | None = None
    scores = model.card["metrics"]["scores"]["model"]
    is_current = model.version == current
    if current is not None and not is_current:
        try:
            compared = read_comparison(folder, challenger=model.version, champion=current)
            verdict = None if compared is None else compared.verdict
        except FileError:
            verdict = "comparison damaged"
    return {
        "version": model.version,
        "current": is_current,
        "damaged": False,
        "simulated": model.population.simulated,
        "chains": list(model.population.chains),
        "pr_auc": scores["pr_auc"],
        "roc_auc": scores["roc_auc"],
        "verdict": verdict,
    }


def _say_next(version: str, champion: str) -> None:
    say(f"{champion} stays in use until this one is compared and promoted:")
    say(f"  silkscreen evaluate --model {version} --against {champion}")
    say(f"  silkscreen models promote {version} --by NAME --approved-by ANOTHER")


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
models.command("show")(show_one_model)
models.command("add")(add_one_model)
models.command("promote")(promote_one_model)
models.command("rollback")(roll_back)
models.command("history")(show_history)
models.command("drift")(show_drift)
