"""Random samples as they were drawn: written once, with their cases, and read again."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from datasets.records.cases import insert_case
from datasets.records.people import read_person
from datasets.records.store import Records
from datasets.records.tables import CaseDraw, CaseStratum
from datasets.sampling import Sample, Stratum


@dataclass(frozen=True)
class Draw:
    """One sample: by whom, with which seed, from which snapshot, under which model's line (log-odds)."""

    id: str
    drawn_at: datetime
    drawn_by: str
    seed: int
    snapshot: str
    model: str
    line: float
    strata: tuple[Stratum, ...]


def write_draw(
    records: Records,
    sample: Sample,
    *,
    by: str,
    now: datetime,
    seed: int,
    snapshot: str,
    model: str,
    line: float,
) -> Draw:
    """Open a case on each owner drawn, all of them or none; InputError where one is open there already."""
    draw = Draw(
        "d" + secrets.token_hex(5),
        now,
        read_person(by, what="who draws"),
        seed,
        snapshot,
        model,
        line,
        sample.strata,
    )
    with records.write() as connection:
        connection.execute(
            insert(CaseDraw).values(
                id=draw.id,
                drawn_at=now,
                drawn_by=draw.drawn_by,
                seed=seed,
                snapshot=snapshot,
                model=model,
                line=line,
            )
        )
        for part in sample.strata:
            connection.execute(
                insert(CaseStratum).values(
                    draw_id=draw.id, chain=part.chain, eligible=part.eligible, drawn=part.drawn
                )
            )
        for owner in sample.owners:
            insert_case(
                connection,
                owner.account,
                by=draw.drawn_by,
                now=now,
                reason="blind" if owner.blind else "below_the_line",
                blind=owner.blind,
                draw=draw.id,
                log_odds=owner.log_odds,
            )
    return draw


def list_draws(records: Records) -> tuple[Draw, ...]:
    """Return every sample, oldest first."""
    with records.read() as connection:
        strata: dict[str, list[Stratum]] = {}
        parts = select(CaseStratum.__table__).order_by(CaseStratum.draw_id, CaseStratum.chain)
        for row in connection.execute(parts).mappings():
            strata.setdefault(row["draw_id"], []).append(Stratum(row["chain"], row["eligible"], row["drawn"]))
        found = select(CaseDraw.__table__).order_by(CaseDraw.drawn_at, CaseDraw.id)
        return tuple(
            Draw(**row, strata=tuple(strata.get(row["id"], ())))
            for row in connection.execute(found).mappings()
        )
