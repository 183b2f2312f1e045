"""Cases: opened, noted, decided by one person and confirmed by two. Nothing that was written is overwritten.

A case is the account that it is about and the steps taken since it was opened. A decision `cleared` or
`inconclusive` counts at once; `confirmed` counts when another person approves it. The decision that counted
last holds, until a later one counts or it is withdrawn. One that waits for approval changes nothing yet.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, func, insert, select

from chains.address import Account, parse_account
from chains.errors import InputError
from datasets.records.decisions import Decision, Outcome, Step, read_decisions
from datasets.records.people import read_person, same_person
from datasets.records.store import Records
from datasets.records.tables import Casefile, CaseStep
from datasets.sources.claims import clean_text
from datasets.sources.tickers import refuse_nobody
from datasets.substances import load_substances
from datasets.taxonomy import Category, category, load_taxonomy

State = Literal["open", "to approve", "closed"]

REASONS = ("screening", "report", "below_the_line", "blind")
"""How a case was chosen; the last two are drawn at random, never opened by hand."""

DEFAULT_CATEGORY = {"confirmed": "drug_trafficking", "cleared": "person"}
"""The category of a decision that names none."""

LONGEST_NOTE = 20_000
ACCOUNT_LETTERS = 500


@dataclass(frozen=True)
class Case:
    """One investigation, with every step since it was opened."""

    id: str
    account: str
    opened_at: datetime
    opened_by: str
    reason: str
    blind: bool
    draw: str | None
    log_odds: float | None
    steps: tuple[Step, ...]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision ever made, in order."""
        return read_decisions(self.steps)

    @property
    def decision(self) -> Decision | None:
        """The decision that holds."""
        return next((d for d in self.decisions if d.counted_at and d.ended_at is None), None)

    @property
    def waiting(self) -> Decision | None:
        """The confirmation that waits for a second person."""
        last = self.decisions[-1] if self.decisions else None
        return last if last and last.counted_at is None and last.ended_at is None else None

    @property
    def state(self) -> State:
        """Return `open`, `to approve` (decided, but not yet by two people) or `closed`."""
        if self.waiting is not None:
            return "to approve"
        return "open" if self.decision is None else "closed"

    @property
    def shows_score(self) -> bool:
        """Whether a reader may see the score: of a blind case only once somebody has decided."""
        return not self.blind or bool(self.decisions)


def read_account(text: str) -> Account:
    """Return the account that a case can be about; InputError where `text` is none, or nobody's."""
    account = refuse_nobody(parse_account(text))
    if len(account.caip10) > ACCOUNT_LETTERS:
        raise InputError(f"an account of a case has at most {ACCOUNT_LETTERS} characters")
    return account


def open_case(
    records: Records, account: str, *, by: str, now: datetime, reason: str = "screening", note: str = ""
) -> Case:
    """Open a case on an account (CAIP-10, or bare where that is plain) and return it.

    Raises InputError where one is open on that account already, or the account or a word cannot be used.
    """
    caip10 = read_account(account).caip10
    if reason not in REASONS[:2]:
        raise InputError(f"{reason!r:.40} is no reason to open a case by hand: {' or '.join(REASONS[:2])}")
    person, text = read_person(by, what="who opens it"), _read_note(note)
    with records.write() as connection:
        case_id = insert_case(connection, caip10, by=person, now=now, reason=reason)
        if text:
            _add_step(connection, case_id, kind="note", at=now, by=person, text=text)
        return _find(connection, case_id)


def insert_case(
    connection: Connection,
    caip10: str,
    *,
    by: str,
    now: datetime,
    reason: str,
    blind: bool = False,
    draw: str | None = None,
    log_odds: float | None = None,
) -> str:
    """Write a new case down and return its id; InputError where one is open on that account."""
    for other in _read(connection, select(Casefile.id).where(Casefile.account == caip10)):
        if other.state != "closed":
            raise InputError(f"case {other.id} on that account is not closed yet: go on with it")
    case_id = "c" + secrets.token_hex(5)
    connection.execute(
        insert(Casefile).values(
            id=case_id,
            account=caip10,
            opened_at=now,
            opened_by=by,
            reason=reason,
            blind=blind,
            draw_id=draw,
            log_odds=log_odds,
        )
    )
    return case_id


def add_note(records: Records, case_id: str, text: str, *, by: str, now: datetime) -> Case:
    """Write a note into a case, closed or not."""
    person, note = read_person(by, what="who writes it"), _read_note(text)
    if not note:
        raise InputError("a note needs some text")
    with records.write() as connection:
        _find(connection, case_id)
        _add_step(connection, case_id, kind="note", at=now, by=person, text=note)
        return _find(connection, case_id)


def decide_case(
    records: Records,
    case_id: str,
    outcome: str,
    *,
    by: str,
    now: datetime,
    category_id: str | None = None,
    substances: Sequence[str] = (),
    owner: str = "",
    why: str = "",
) -> Case:
    """Decide a case, or decide it anew: the earlier decision holds until this one counts.

    `confirmed` takes a category of the drug trade, `cleared` any other, `inconclusive` none. `substances`
    are ids of the vocabulary, `owner` is whose account it is. Raises InputError for what does not fit.
    """
    if outcome not in get_args(Outcome):
        raise InputError(f"{outcome!r:.40} is no outcome: {', '.join(get_args(Outcome))}")
    person = read_person(by, what="who decides it")
    chosen = _read_category(outcome, category_id)
    named = _read_substances(outcome, substances)
    if owner and outcome == "inconclusive":
        raise InputError("an inconclusive case says nothing of the owner: write it into a note")
    values = {
        "outcome": outcome,
        "category": chosen,
        "substances": ";".join(named),
        "owner": clean_text(owner, "the owner"),
    }
    text = _read_note(why)
    with records.write() as connection:
        _find(connection, case_id)
        _add_step(connection, case_id, kind="decided", at=now, by=person, text=text, **values)
        return _find(connection, case_id)


def approve_case(records: Records, case_id: str, *, by: str, now: datetime, why: str = "") -> Case:
    """Agree to a confirmation as the second person; from now on it counts.

    Raises InputError where none waits, or `by` is who decided it.
    """
    person, text = read_person(by, what="who approves it"), _read_note(why)
    with records.write() as connection:
        waiting = _find(connection, case_id).waiting
        if waiting is None:
            raise InputError(f"case {case_id} has no confirmation that waits for a second person")
        if same_person(person, waiting.decided_by):
            raise InputError(f"{waiting.decided_by} decided case {case_id}: another person must approve it")
        _add_step(connection, case_id, kind="approved", at=now, by=person, text=text, decision=waiting.number)
        return _find(connection, case_id)


def withdraw_decision(records: Records, case_id: str, *, by: str, now: datetime, why: str) -> Case:
    """Take back what waits of a case, else what holds, with a reason; open again where nothing holds then."""
    person, text = read_person(by, what="who withdraws it"), _read_note(why)
    if not text:
        raise InputError("say why the decision is withdrawn")
    with records.write() as connection:
        case = _find(connection, case_id)
        decision = case.waiting or case.decision
        if decision is None:
            raise InputError(f"case {case_id} has no decision to withdraw")
        _add_step(
            connection, case_id, kind="withdrawn", at=now, by=person, text=text, decision=decision.number
        )
        return _find(connection, case_id)


def find_case(records: Records, case_id: str) -> Case:
    """Return the case of that id; InputError where there is none."""
    with records.read() as connection:
        return _find(connection, case_id)


def list_cases(records: Records, *, draw: str | None = None, drawn: bool | None = None) -> tuple[Case, ...]:
    """Return every case, oldest first; of one draw, or only those that were drawn, or only the others."""
    wanted = select(Casefile.id)
    if draw is not None:
        wanted = wanted.where(Casefile.draw_id == draw)
    if drawn is not None:
        wanted = wanted.where(Casefile.draw_id.is_not(None) if drawn else Casefile.draw_id.is_(None))
    with records.read() as connection:
        return tuple(_read(connection, wanted))


def _find(connection: Connection, case_id: str) -> Case:
    found = _read(connection, select(Casefile.id).where(Casefile.id == case_id))
    if not found:
        raise InputError(f"there is no case {case_id[:40]!r}: `silkscreen cases list` shows their ids")
    return found[0]


def _read(connection: Connection, wanted: Any) -> list[Case]:
    """Return the cases whose ids `wanted` selects, oldest first."""
    steps: dict[str, list[Step]] = {}
    taken = select(CaseStep.__table__).where(CaseStep.case_id.in_(wanted))
    for row in connection.execute(taken.order_by(CaseStep.case_id, CaseStep.number)).mappings():
        steps.setdefault(row["case_id"], []).append(_step(row))
    found = select(Casefile.__table__).where(Casefile.id.in_(wanted))
    return [
        Case(
            id=row["id"],
            account=row["account"],
            opened_at=row["opened_at"],
            opened_by=row["opened_by"],
            reason=row["reason"],
            blind=row["blind"],
            draw=row["draw_id"],
            log_odds=row["log_odds"],
            steps=tuple(steps.get(row["id"], ())),
        )
        for row in connection.execute(found.order_by(Casefile.opened_at, Casefile.id)).mappings()
    ]


def _step(row: Any) -> Step:
    return Step(
        number=row["number"],
        kind=row["kind"],
        at=row["taken_at"],
        by=row["taken_by"],
        text=row["text"],
        decision=row["decision"],
        outcome=row["outcome"],
        category=row["category"],
        substances=tuple(row["substances"].split(";")) if row["substances"] else (),
        owner=row["owner"] or "",
    )


def _add_step(
    connection: Connection, case_id: str, *, kind: str, at: datetime, by: str, text: str, **values: Any
) -> None:
    """Write the next step; a clock that was turned back cannot put it before the step before it."""
    last, before = connection.execute(
        select(func.max(CaseStep.number), func.max(CaseStep.taken_at)).where(CaseStep.case_id == case_id)
    ).one()
    opened = connection.execute(select(Casefile.opened_at).where(Casefile.id == case_id)).scalar_one()
    moment = max(at, opened, before or opened)
    connection.execute(
        insert(CaseStep).values(
            case_id=case_id,
            number=(last or 0) + 1,
            kind=kind,
            taken_at=moment,
            taken_by=by,
            text=text,
            **values,
        )
    )


def _read_note(text: str) -> str:
    """Return a note, its line breaks kept and other control characters not; InputError where too long."""
    if len(text) > LONGEST_NOTE:
        raise InputError(f"a note has at most {LONGEST_NOTE:,} characters")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()


def _read_category(outcome: str, category_id: str | None) -> str | None:
    if outcome == "inconclusive":
        if category_id:
            raise InputError("an inconclusive case has no category")
        return None
    found = category(category_id or DEFAULT_CATEGORY[outcome])
    if (found.group == "drug") != (outcome == "confirmed") or not found.importable or not _says(found):
        fitting = [
            c.id
            for c in load_taxonomy().categories
            if c.importable and _says(c) and (c.group == "drug") == (outcome == "confirmed")
        ]
        raise InputError(f"{found.id} is no category of a case that is {outcome}: {', '.join(fitting)}")
    return found.id


def _says(found: Category) -> bool:
    return found.id != "unspecified"


def _read_substances(outcome: str, substances: Sequence[str]) -> tuple[str, ...]:
    """Return the ids in alphabetical order, each once."""
    if substances and outcome != "confirmed":
        raise InputError(f"a case that is {outcome} names no substance")
    known = load_substances().by_id
    for one in substances:
        if one not in known:
            raise InputError(f"{one[:60]!r} is no substance: `silkscreen labels substances` lists them")
    return tuple(sorted(set(substances)))
