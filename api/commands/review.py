"""Review below the line: a random sample of those whom the score passes over, and what it found."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.cases import By, read_cases
from api.commands.common import Dir, Json, clean, counted, new_group, read_settings, say, say_json, say_table
from chains.errors import InputError

if TYPE_CHECKING:
    from api.serving import Served
    from datasets.records.cases import Case
    from datasets.records.draws import Draw
    from datasets.sampling import Misses

UNTIL_DECIDED = "how many of a chain are below the line is shown once every case of the draw is decided"
"""Before that, counts beside the cases whose score is shown would tell which blind ones are above it."""

review = new_group("A random sample below the line: what the score misses.")


def draw_for_review(  # noqa: PLR0917  (each parameter is an option of the command)
    size: Annotated[int, typer.Option("--size", help="How many owners below the line.", min=1, max=100_000)],
    by: By,
    seed: Annotated[int, typer.Option("--seed", help="Stated, so that it can be repeated.", min=0)],
    blind_share: Annotated[
        float, typer.Option("--blind-share", help="Of them, the share judged blind.", min=0, max=1)
    ] = 0.5,
    above: Annotated[
        int,
        typer.Option("--above", help="Owners above the line to mix among the blind.", min=0, max=100_000),
    ] = 0,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Draw a random sample of those below the line.

    Opens a case on each owner drawn: below the level MEDIUM of the current snapshot, without a label,
    without a case, flagged by no rule. Every chain is in it. The reader of a blind case sees no score.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from api.serving import open_served
    from datasets.records.draws import write_draw
    from datasets.records.people import read_person
    from datasets.records.store import open_records
    from datasets.sampling import draw_sample
    from datasets.taxonomy import load_taxonomy
    from models.rules import judge_exposures

    read_person(by, what="who draws")
    if seed >= 2**31:
        raise InputError("--seed must be below 2147483648")
    served = open_served(settings)
    snapshot, line, model = served.snapshot, *_read_line(served)
    taxonomy = load_taxonomy()
    with open_records(settings.records) as records:
        sample = draw_sample(
            snapshot,
            line=line,
            size=size,
            blind_share=blind_share,
            seed=seed,
            above=above,
            taken={case.account for case in read_cases(settings)},
            skip=lambda row: bool(judge_exposures(snapshot.exposures(row), taxonomy)),
        )
        draw = write_draw(
            records, sample, by=by, now=utc_now(), seed=seed, snapshot=snapshot.id, model=model, line=line
        )
    if as_json:
        say_json({**vars(draw), "strata": _describe_strata(draw, decided=False), "cases": len(sample.owners)})
        return
    blind = sum(owner.blind for owner in sample.owners)
    say(
        f"draw {draw.id}: {counted(len(sample.owners), 'case')} opened, {blind:,} of them blind (seed {seed})"
    )
    cases = Counter(_chain(owner.account) for owner in sample.owners)
    say_table(["chain", "cases"], [[chain, cases[chain]] for chain in sorted(cases)], numbers=["cases"])
    say(UNTIL_DECIDED)


def list_review(
    all_of_them: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """List what is to be read.

    Of a blind case neither score nor level nor reasons, until somebody has decided.
    """
    settings = read_settings(folder)
    found = [case for case in read_cases(settings, drawn=True) if all_of_them or case.state != "closed"]
    served = _serve_if_any(settings) if any(case.shows_score for case in found) else None
    lines = [_describe(case, served) for case in sorted(found, key=lambda case: (case.draw or "", case.id))]
    if as_json:
        say_json(lines)
        return
    if not lines:
        say("nothing is to be read: `silkscreen review draw --size N --by NAME --seed S` draws a sample")
        return
    cells = [
        [
            line["case"],
            line["account"],
            line["state"],
            "hidden" if line["hidden"] else line["score"],
            "hidden" if line["hidden"] else line["level"],
            "; ".join(line["reasons"])[:120],
        ]
        for line in lines
    ]
    say_table(["case", "account", "state", "score", "level", "reasons"], cells, numbers=["score"])


def report_review(
    draw: Annotated[
        str | None, typer.Option("--draw", metavar="ID", help="One draw; by default all together.")
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Say what the samples found.

    Misses are cases below the line that two people confirmed. The interval is the exact one of Clopper and
    Pearson at 95%, over the confirmed and the cleared.
    """
    settings = read_settings(folder)
    if not settings.records.exists():
        raise InputError("nothing was drawn yet: `silkscreen review draw` draws a sample")
    from datasets.records.draws import list_draws
    from datasets.records.store import open_records

    with open_records(settings.records) as records:
        draws = {one.id: one for one in list_draws(records) if draw in (None, one.id)}
    if not draws:
        raise InputError(
            f"there is no draw {clean(draw, 40)}" if draw else "nothing was drawn yet: see `review draw`"
        )
    found = [case for case in read_cases(settings, drawn=True) if case.draw in draws]
    undecided = {case.draw for case in found if not case.decisions}
    groups = _count_groups(found, draws, by_chain=not undecided)
    if as_json:
        listed = [
            {**vars(one), "strata": _describe_strata(one, decided=one.id not in undecided)}
            for one in draws.values()
        ]
        say_json({"draws": listed, "groups": {name: vars(entry) for name, entry in groups.items()}})
        return
    for one in draws.values():
        drawn = f"{one.drawn_at:%Y-%m-%d} by {one.drawn_by}, seed {one.seed}"
        say(clean(f"draw {one.id}: {drawn}, from {one.snapshot} under {one.model}", 400))
    columns = [
        "below the line",
        "drawn",
        "unread",
        "inconclusive",
        "cleared",
        "missed",
        "rate",
        "95% interval",
    ]
    columns.append("at most")
    say_table(columns, [_cells(name, entry) for name, entry in groups.items()], numbers=columns[1:])
    say("missed: confirmed by two people; at most: upper bound, were every inconclusive case one too")
    if undecided:
        say(UNTIL_DECIDED)


def _describe_strata(draw: "Draw", *, decided: bool) -> list[dict[str, Any]]:
    """Return a draw's chains as JSON shows them: their counts only once every case is decided."""
    return [vars(part) if decided else {"chain": part.chain} for part in draw.strata]


def _count_groups(found: "list[Case]", draws: "dict[str, Draw]", *, by_chain: bool) -> "dict[str, Misses]":
    """Return what was found among all below the line, blind and not, and blind above it; by chain on wish."""
    from datasets.sampling import count_misses

    def is_below(case: "Case") -> bool:
        return case.log_odds is not None and case.log_odds <= draws[case.draw or ""].line

    below = [case for case in found if is_below(case)]
    groups = {"all": count_misses(below)}
    for chain in sorted({_chain(case.account) for case in below} if by_chain else ()):
        groups[chain] = count_misses(case for case in below if _chain(case.account) == chain)
    groups["blind"] = count_misses(case for case in below if case.blind)
    groups["with the score shown"] = count_misses(case for case in below if not case.blind)
    if len(below) < len(found):
        groups["(mixed in from above)"] = count_misses(case for case in found if not is_below(case))
    return groups


def _cells(name: str, entry: "Misses") -> list[object]:
    judged = entry.confirmed + entry.cleared
    counts = [name, entry.drawn, entry.unread, entry.inconclusive, entry.cleared, entry.confirmed]
    if entry.rate is None:
        return [*counts, None, None, f"{entry.most:.1%}" if entry.inconclusive else None]
    span = f"{entry.low:.1%} to {entry.high:.1%}"
    return [*counts, f"{entry.rate:.1%} of {judged:,}", span, f"{entry.most:.1%}"]


def _chain(account: str) -> str:
    return ":".join(account.split(":")[:2])


def _read_line(served: "Served") -> tuple[float, str]:
    """Return the log-odds at which MEDIUM begins, and the model's version; InputError where there is none."""
    model = served.model
    if model is None:
        raise InputError("the current snapshot has no scores: `silkscreen train`, then `silkscreen build`")
    line = model.thresholds.medium.log_odds
    if line is None:
        raise InputError(
            f"{model.version} has no line to draw below: MEDIUM is {model.thresholds.medium.why}"
        )
    return line, model.version


def _serve_if_any(settings: Any) -> "Served | None":
    from api.serving import open_served
    from chains.errors import SnapshotMissing

    try:
        return open_served(settings)
    except SnapshotMissing:
        return None


def _describe(case: "Case", served: "Served | None") -> dict[str, Any]:
    line: dict[str, Any] = {
        "case": case.id,
        "draw": case.draw,
        "account": case.account,
        "state": case.state,
        "hidden": not case.shows_score,
        "score": None,
        "level": None,
        "reasons": [],
    }
    if served is None or line["hidden"]:
        return line
    from api.screening import screen

    screening = screen(case.account, served.snapshot, served.model)
    line["score"] = screening.risk_score
    line["level"] = screening.risk_level.value
    line["reasons"] = [reason.text for reason in screening.reasons[:3]]
    return line


review.command("draw")(draw_for_review)
review.command("list")(list_review)
review.command("report")(report_review)
