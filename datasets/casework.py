"""Closed cases as labels of the ledger: what people decided is what tracing starts from and models learn.

A decision that counts is a label from the moment at which it counted until a later one took its place or it
was withdrawn. Confirmed cases and cleared ones both give labels; inconclusive ones give none, and end the
label that held.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from chains.address import parse_account
from datasets.label_writing import write_labels
from datasets.records.cases import Case, list_cases
from datasets.records.decisions import Decision
from datasets.records.store import Records
from datasets.sources.claims import Label, LabelList
from datasets.sources.csvfile import OWN
from datasets.status import try_write_status
from datasets.store import Ledger, next_number, open_ledger, registered, transaction

SOURCE = "closed cases"
KIND = "cases"

CONFIDENCE = {"confirmed": 0.95, "cleared": 0.9}
"""Two people agreed on the one, one person decided the other: where only these disagree, the first counts."""


@dataclass(frozen=True)
class Copied:
    """What a copy changed: labels that are new, and that hold no longer. `holding` is all that hold."""

    added: int
    withdrawn: int
    holding: int


@dataclass(frozen=True)
class CaseLabel:
    """One decision as a label: from `published_at` to `withdrawn_at` (naive UTC; None: it holds)."""

    label: Label
    withdrawn_at: datetime | None


def copy_cases(
    records: Records, ledger: Path, *, now: datetime, wait_seconds: float = 30.0, threads: int | None = None
) -> Copied:
    """Write what cases say by `now` into the ledger, as labels of the source `closed cases`.

    Copying again changes nothing, and the ledger is opened for writing only where something is to change.
    Raises what `open_ledger` raises; the ledger is changed as one piece or not at all.
    """
    wanted = case_labels(list_cases(records), now=now)
    holding = sum(one.withdrawn_at is None for one in wanted)
    if not wanted:
        return Copied(0, 0, 0)
    with open_ledger(ledger, wait_seconds=wait_seconds, threads=threads) as held:
        if not _find_changes(held, wanted):
            return Copied(0, 0, holding)
    with open_ledger(ledger, write=True, wait_seconds=wait_seconds, threads=threads) as held:
        with transaction(held):
            before = _read_held(held)
            changed = _find_changes(held, wanted)
            _write(held, changed, before, now=now)
        try_write_status(held)  # it is made anew at the next occasion
    added = sum(one.label.position not in before for one in changed)
    return Copied(added, sum(one.withdrawn_at is not None for one in changed), holding)


def case_labels(cases: Iterable[Case], *, now: datetime) -> list[CaseLabel]:
    """Return the labels that decisions give, by account and date.

    Of one account the newest decision holds, whichever case it is of; where that is inconclusive, no label
    holds. A decision that held for no time gives none.
    """
    by_account: dict[str, list[tuple[datetime, str, Decision]]] = {}
    for case in cases:
        for decision in case.decisions:
            if decision.counted_at and decision.counted_at <= now:
                by_account.setdefault(case.account, []).append((decision.counted_at, case.id, decision))
    found = []
    for account in sorted(by_account):
        counted = sorted(by_account[account], key=lambda entry: (entry[0], entry[1], entry[2].number))
        for place, (since, case_id, decision) in enumerate(counted):
            if decision.outcome not in CONFIDENCE:
                continue
            follower = counted[place + 1][0] if place + 1 < len(counted) else None
            ends = [end for end in (decision.ended_at, follower) if end is not None and end <= now]
            until = min(ends, default=None)
            if until is None or until > since:
                found.append(CaseLabel(_label(account, case_id, decision, since), until))
    return found


def _label(account: str, case_id: str, decision: Decision, since: datetime) -> Label:
    return Label(
        position=f"{case_id} {decision.number}",
        account=parse_account(account),
        category=str(decision.category),
        entity=decision.owner,
        name="",
        source=SOURCE,
        reference=f"case {case_id}, step {decision.number}",
        confidence=CONFIDENCE[decision.outcome],
        published_at=since,
        licence=OWN,
        may_export=False,
        may_train=True,
        cluster_definer=False,
        substances=decision.substances,
    )


def _read_held(ledger: Ledger) -> dict[str, datetime | None]:
    rows = ledger.connection.execute(
        """
        SELECT label.position, label.withdrawn_at
        FROM label JOIN label_file USING (label_file) WHERE label_file.kind = $1
        """,
        [KIND],
    ).fetchall()
    return dict(rows)


def _find_changes(ledger: Ledger, wanted: Iterable[CaseLabel]) -> list[CaseLabel]:
    """Return the labels that the ledger lacks, or holds with another end."""
    held = _read_held(ledger)
    return [
        one
        for one in wanted
        if one.label.position not in held or held[one.label.position] != one.withdrawn_at
    ]


def _write(
    ledger: Ledger, changed: list[CaseLabel], before: dict[str, datetime | None], *, now: datetime
) -> None:
    number = _file_number(ledger, now=now)
    added = [one.label for one in changed if one.label.position not in before]
    if added:
        write_labels(ledger, Path(SOURCE), KIND, number=number, claims=LabelList(added, []), recorded_at=now)
    table = pa.table(
        {
            "position": pa.array([one.label.position for one in changed], pa.string()),
            "withdrawn_at": pa.array([one.withdrawn_at for one in changed], pa.timestamp("us")),
        }
    )
    with registered(ledger.connection, decided=table):
        # This installation knew when the decision counted, whenever it was copied.
        ledger.connection.execute(
            """
            UPDATE label SET withdrawn_at = decided.withdrawn_at, recorded_at = label.published_at
            FROM decided WHERE label.label_file = $1 AND label.position = decided.position
            """,
            [number],
        )
    ledger.connection.execute(
        "UPDATE label_file SET labels = (SELECT count(*) FROM label WHERE label_file = $1) "
        "WHERE label_file = $1",
        [number],
    )


def _file_number(ledger: Ledger, *, now: datetime) -> int:
    """Return the number of the one entry among the label files that stands for all cases."""
    found = ledger.connection.execute("SELECT label_file FROM label_file WHERE kind = $1", [KIND]).fetchall()
    if found:
        return int(found[0][0])
    number = next_number(ledger.connection, "label_file")
    ledger.connection.execute(
        """
        INSERT INTO label_file
            (label_file, kind, source, sha256, issued_at, labels, rejected, recorded_at, covers)
        VALUES ($1, $2, $3, $4, NULL, 0, 0, $5, [])
        """,
        [number, KIND, SOURCE, hashlib.sha256(SOURCE.encode()).hexdigest(), now],
    )
    return number
