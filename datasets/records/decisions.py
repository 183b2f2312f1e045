"""What the steps of a case decided: which decision counts, from when, and until when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["confirmed", "cleared", "inconclusive"]


@dataclass(frozen=True)
class Step:
    """One thing that a person did to a case; `kind` is note, decided, approved or withdrawn.

    `decision` is the number of the decision that is approved or withdrawn. The last four are a decision's.
    """

    number: int
    kind: str
    at: datetime
    by: str
    text: str
    decision: int | None = None
    outcome: Outcome | None = None
    category: str | None = None
    substances: tuple[str, ...] = ()
    owner: str = ""


@dataclass(frozen=True)
class Decision:
    """What a case was decided to be, and from when to when that held (naive UTC).

    `counted_at` is None while a confirmation waits for a second person, and for good where a later decision
    took its place before. `ended_at` is None while it holds.
    """

    number: int
    outcome: Outcome
    category: str | None
    substances: tuple[str, ...]
    owner: str
    decided_by: str
    decided_at: datetime
    approved_by: str | None
    counted_at: datetime | None
    ended_at: datetime | None


def read_decisions(steps: Iterable[Step]) -> tuple[Decision, ...]:
    """Return every decision that the steps made, in order: when each counted, and until when."""
    made: dict[int, dict[str, Any]] = {}
    waiting: int | None = None
    holding: int | None = None

    def count(number: int, at: datetime) -> None:
        nonlocal holding
        if holding is not None:
            made[holding]["ended_at"] = at
        made[number]["counted_at"] = at
        holding = number

    for step in steps:
        if step.kind == "decided":
            if waiting is not None:
                made[waiting]["ended_at"] = step.at
                waiting = None
            made[step.number] = {
                "number": step.number,
                "outcome": step.outcome,
                "category": step.category,
                "substances": step.substances,
                "owner": step.owner,
                "decided_by": step.by,
                "decided_at": step.at,
                "approved_by": None,
                "counted_at": None,
                "ended_at": None,
            }
            if step.outcome == "confirmed":
                waiting = step.number
            else:
                count(step.number, step.at)
        elif step.kind == "approved" and step.decision == waiting and waiting is not None:
            made[waiting]["approved_by"] = step.by
            count(waiting, step.at)
            waiting = None
        elif step.kind == "withdrawn" and step.decision in made:
            made[step.decision]["ended_at"] = step.at
            waiting = None if waiting == step.decision else waiting
            holding = None if holding == step.decision else holding
    return tuple(Decision(**values) for values in made.values())
