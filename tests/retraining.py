"""A small world of payments for the tests of retraining: sellers, shops and people, made in the test."""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from chains.address import find_chain
from chains.files.mapping import PaymentMapping
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.store import open_ledger

BANK = "payments:smallbank"
START = datetime.fromisoformat("2023-01-01T00:00:00")
DAYS = 360
MAPPING = PaymentMapping.parse(
    ["time=when", "payer=from", "payee=to", "amount=sum", "reference=ref", "currency=@USD"]
)


@dataclass(frozen=True)
class Holder:
    """One owner of one account; `known_at` is when somebody finds out what it is."""

    account: str
    drug: bool
    category: str
    known_at: datetime


def make_ledger(path: Path, *, seed: int = 11, labelled: float = 0.6) -> tuple[list[Holder], list[Holder]]:
    """Import a year of payments, and labels of a part of the owners; return those and the others.

    Sellers of drugs are paid by more people than shops are, in rounder sums, and empty their account sooner;
    none of it tells all of them apart.
    """
    random = np.random.default_rng(seed)
    holders = _make_holders(random)
    rows = sorted(row for holder in holders for row in _payments(random, holder))
    payments = path.with_name("payments.csv")
    with payments.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["when", "from", "to", "sum", "ref"], *((*row, f"p{n}") for n, row in enumerate(rows))]
        )
    known = [holder for holder in holders if random.random() < labelled]
    labels = path.with_name("labels.csv")
    with labels.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [
                ["account", "category", "entity", "source", "confidence", "published_at", "licence"],
                *(
                    [
                        h.account,
                        h.category,
                        h.account.split(":")[-1],
                        "office",
                        "0.8",
                        h.known_at.isoformat(),
                        "own",
                    ]
                    for h in known
                ),
            ]
        )
    with open_ledger(path, write=True) as ledger:
        import_file(
            ledger, "payments", payments, chain=find_chain(BANK), mapping=MAPPING, code_version="test"
        )
        done = import_labels(ledger, "csv", labels, recorded_at=START + timedelta(days=DAYS + 1))
        assert done.rejected == []
    return known, [holder for holder in holders if holder not in known]


def _make_holders(random: np.random.Generator) -> list[Holder]:
    made = []
    for number in range(420):
        drug = number % 3 == 0
        category = "drug_vendor" if drug else ("merchant", "person")[number % 2]
        known_at = START + timedelta(days=round(random.uniform(60, DAYS), 3))
        made.append(Holder(f"{BANK}:holder{number:03}", drug, category, known_at))
    return made


def _payments(random: np.random.Generator, holder: Holder) -> list[tuple[str, str, str, str]]:
    name = holder.account.rpartition(":")[2]
    busy = random.gamma(2.0, 4.0 if holder.drug else 2.5)
    rows = []
    begins = random.uniform(0, 60)
    for _ in range(3 + int(busy)):
        day = random.uniform(begins, DAYS)
        sum_ = (
            float(random.choice([50, 100, 150, 200]))
            if random.random() < (0.6 if holder.drug else 0.3)
            else (round(float(random.uniform(5, 400)), 2))
        )
        rows.append(_row(day, f"payer{random.integers(900)}", name, sum_))
        if random.random() < (0.7 if holder.drug else 0.4):
            later = min(day + random.exponential(1.0 if holder.drug else 6.0), DAYS)
            rows.append(_row(later, name, f"exchanger{int(60 * random.random() ** 2)}", sum_ * 0.9))
    return rows


def _row(day: float, payer: str, payee: str, amount: float) -> tuple[str, str, str, str]:
    moment = START + timedelta(seconds=int(day * 86_400))
    return f"{moment.isoformat()}Z", payer, payee, f"{amount:.2f}"
