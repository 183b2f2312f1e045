"""Cases: what analysts investigate and decide; a closed one is a label from the next build or training on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import (
    Dir,
    Json,
    clean,
    counted,
    new_group,
    read_settings,
    say,
    say_json,
    say_table,
)
from chains.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.settings import Settings
    from datasets.records.cases import Case
    from datasets.records.decisions import Step

cases = new_group("Cases: investigated, decided by one person, confirmed by two.")

CaseId = Annotated[str, typer.Argument(help="Id of the case, as `cases list` shows it.", metavar="CASE")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, in words.")]

HIDDEN = "blind: the score is hidden until somebody has decided"


def take_over_cases(settings: "Settings", *, quiet: bool = False) -> None:
    """Write what closed cases say into the ledger; called before anything reads its labels.

    Makes no store where there is none, and opens the ledger for writing only where something changed.
    """
    if not settings.records.exists():
        return
    from api.access import utc_now
    from datasets.casework import copy_cases
    from datasets.records.store import open_records

    with open_records(settings.records) as records:
        done = copy_cases(
            records,
            settings.ledger,
            now=utc_now(),
            wait_seconds=settings.wait_seconds,
            threads=settings.threads,
        )
    parts = []
    if done.added:
        parts.append(f"{counted(done.added, 'decision')} taken over as labels")
    if done.withdrawn:
        parts.append(f"{done.withdrawn:,} of them no longer hold")
    if parts and not quiet:
        say(f"cases: {', '.join(parts)}; {done.holding:,} hold")


def open_one_case(  # noqa: PLR0917  (each parameter is an option of the command)
    account: Annotated[str, typer.Argument(help="A CAIP-10 id, or a bare address.", metavar="ACCOUNT")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="screening or report.")] = "screening",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="A first note.")] = "",
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Open a case on an address.

    One case at a time can be open on it.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.cases import open_case
    from datasets.records.store import open_records

    with open_records(settings.records) as records:
        case = open_case(records, account, by=by, now=utc_now(), reason=reason, note=note)
    if as_json:
        say_json(describe_case(case))
        return
    say(f"case {case.id} on {clean(case.account, 600)}")


def decide_one_case(  # noqa: PLR0917  (each parameter is an option of the command)
    case_id: CaseId,
    outcome: Annotated[str, typer.Argument(help="confirmed, cleared or inconclusive.", metavar="OUTCOME")],
    by: By,
    category: Annotated[
        str | None,
        typer.Option(
            "--category",
            metavar="ID",
            help="By default drug_trafficking (confirmed), person (cleared).",
            show_default=False,
        ),
    ] = None,
    substances: Annotated[
        list[str] | None,
        typer.Option("--substance", metavar="ID", help="Of `labels substances`; repeat it."),
    ] = None,
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Whose address it is.")] = "",
    why: Why = "",
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Decide a case, or decide it anew.

    Cleared and inconclusive count at once; confirmed counts when another person approves it.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.cases import decide_case

    with _open(settings) as records:
        case = decide_case(
            records,
            case_id,
            outcome,
            by=by,
            now=utc_now(),
            category_id=category,
            substances=substances or (),
            owner=owner,
            why=why,
        )
    if as_json:
        say_json(describe_case(case))
    elif case.waiting is not None:
        say(f"case {case.id}: {case.waiting.outcome} as {case.waiting.category}, once another person agrees:")
        say(f"  silkscreen cases approve {case.id} --by NAME")
    else:
        say(_say_decision(case))


def approve_one_case(
    case_id: CaseId, by: By, why: Why = "", folder: Dir = None, as_json: Json = False
) -> None:
    """Agree to a confirmation as the second person."""
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.cases import approve_case

    with _open(settings) as records:
        case = approve_case(records, case_id, by=by, now=utc_now(), why=why)
    if as_json:
        say_json(describe_case(case))
    else:
        say(_say_decision(case))


def withdraw_one_decision(
    case_id: CaseId,
    by: By,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, in words.")],
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Take back what was decided.

    A confirmation that waits goes first: what held before it still holds. Else the case is open again.
    """
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.cases import withdraw_decision

    with _open(settings) as records:
        case = withdraw_decision(records, case_id, by=by, now=utc_now(), why=why)
    if as_json:
        say_json(describe_case(case))
    else:
        say(_say_withdrawal(case))


def write_one_note(
    case_id: CaseId,
    text: Annotated[str, typer.Argument(help="What is to be remembered.", metavar="TEXT")],
    by: By,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Write a note into a case, closed or not."""
    settings = read_settings(folder)
    from api.access import utc_now
    from datasets.records.cases import add_note

    with _open(settings) as records:
        case = add_note(records, case_id, text, by=by, now=utc_now())
    if as_json:
        say_json(describe_case(case))
    else:
        say(f"case {case.id}: note {case.steps[-1].number} written")


def list_all_cases(
    state: Annotated[
        str | None, typer.Option("--state", help='Only these: open, "to approve" or closed.')
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """List the cases, oldest first."""
    settings = read_settings(folder)
    if state not in (None, "open", "to approve", "closed"):
        raise InputError(f'--state {clean(state or "", 40)}: it is open, "to approve" or closed')
    found = [case for case in read_cases(settings) if state in (None, case.state)]
    if as_json:
        say_json([describe_case(case) for case in found])
        return
    if not found:
        say("there are no cases" + (": `silkscreen cases open ACCOUNT --by NAME` opens one" * (not state)))
        return
    columns = ["case", "account", "opened", "reason", "state", "outcome", "category"]
    rows = []
    for case in found:
        said = case.waiting or case.decision
        rows.append(
            [case.id, case.account, case.opened_at, case.reason, case.state]
            + ([said.outcome, said.category] if said else [None, None])
        )
    say_table(columns, rows)


def show_one_case(case_id: CaseId, folder: Dir = None, as_json: Json = False) -> None:
    """Show a case with every step that was taken."""
    settings = read_settings(folder)
    from datasets.records.cases import find_case

    with _open(settings) as records:
        case = find_case(records, case_id)
    if as_json:
        say_json(describe_case(case))
        return
    say(f"case {case.id}, {case.state}: {clean(case.account, 600)}")
    say(f"  opened {case.opened_at:%Y-%m-%dT%H:%M:%SZ} by {clean(case.opened_by)} ({case.reason})")
    if not case.shows_score:
        say(f"  {HIDDEN}")
    for step in case.steps:
        say(f"  {step.number}. {step.at:%Y-%m-%dT%H:%M:%SZ} {clean(step.by)}: {_say_step(step)}")
        for line in step.text.splitlines():
            say(f"       {clean(line, 1000)}")
    if case.state == "closed":
        say(_say_decision(case))


def read_cases(settings: "Settings", *, drawn: bool | None = None) -> "Sequence[Case]":
    """Return every case; none where there is no store yet, which is not made."""
    if not settings.records.exists():
        return ()
    from datasets.records.cases import list_cases
    from datasets.records.store import open_records

    with open_records(settings.records) as records:
        return list_cases(records, drawn=drawn)


def describe_case(case: "Case") -> dict[str, Any]:
    """Return a case as JSON shows it; of a blind one that nobody decided yet, without the score."""
    return {
        "id": case.id,
        "account": case.account,
        "state": case.state,
        "opened_at": case.opened_at,
        "opened_by": case.opened_by,
        "reason": case.reason,
        "blind": case.blind,
        "draw": case.draw,
        "log_odds": case.log_odds if case.shows_score else None,
        "decision": vars(case.decision) if case.decision else None,
        "waiting": vars(case.waiting) if case.waiting else None,
        "steps": [vars(step) for step in case.steps],
    }


def _open(settings: "Settings") -> Any:
    """Open the store; InputError where there is none, since then there is no case."""
    from datasets.records.store import open_records

    if not settings.records.exists():
        raise InputError("there are no cases: `silkscreen cases open ACCOUNT --by NAME` opens one")
    return open_records(settings.records)


def _say_decision(case: "Case") -> str:
    found = case.decision
    if found is None:
        return f"case {case.id} is {case.state}"
    what = f"{found.outcome} as {found.category}" if found.category else found.outcome
    label = "; a label from the next build or training on" if found.category else "; it gives no label"
    agreed = f" and {found.approved_by}" if found.approved_by else ""
    return clean(f"case {case.id} is {what}, by {found.decided_by}{agreed}{label}", 1000)


def _say_withdrawal(case: "Case") -> str:
    """Return what is true of a case whose last step took a decision back."""
    taken = next(found for found in case.decisions if found.number == case.steps[-1].decision)
    if case.decision is not None:
        return f"{taken.outcome} is withdrawn; {_say_decision(case)}"
    if taken.counted_at is None or taken.category is None:
        return f"case {case.id} is open again; what was withdrawn gave no label"
    return f"case {case.id} is open again; what was withdrawn is no label from the next build or training on"


def _say_step(step: "Step") -> str:
    if step.kind == "decided":
        parts = [step.outcome or "", step.category or "", *step.substances, step.owner]
        return clean("decided " + ", ".join(part for part in parts if part), 1000)
    return step.kind if step.decision is None else f"{step.kind} what step {step.decision} says"


cases.command("open")(open_one_case)
cases.command("decide")(decide_one_case)
cases.command("approve")(approve_one_case)
cases.command("withdraw")(withdraw_one_decision)
cases.command("note")(write_one_note)
cases.command("list")(list_all_cases)
cases.command("show")(show_one_case)
