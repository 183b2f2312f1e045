"""A small town's ledger: shops of two kinds, their customers, and labels that come late."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from datasets.labels import import_labels
from datasets.store import open_ledger
from tests.features.ledgers import BANK, LABEL_COLUMNS, import_payments

FIRST = datetime.fromisoformat("2023-01-01T00:00:00")
DAYS = 300
OWNERS = 150


def make_town(folder: Path, *, seed: int = 3) -> Path:
    """Write a ledger of about 4,000 payments to `folder` and return its path.

    A drug owner takes small evening payments from people who come back; others take larger ones by day.
    Both differ from each other. Labels come in the last seven months, two accounts an owner.
    """
    random = np.random.default_rng(seed)
    payments: list[tuple[datetime, str, str, str]] = []
    claims = []
    for owner in range(OWNERS):
        drug = owner % 3 == 0
        style = random.normal() * 0.5 + (0.3 if drug else -0.3)
        names = [f"owner{owner:03d}-{number}" for number in range(2)]
        for name in names:
            for _ in range(random.integers(8, 18)):
                day = float(random.uniform(0, DAYS))
                hour = (20 if random.random() < 0.5 + style / 4 else 11) + float(random.uniform(-2, 2))
                amount = float(np.exp(random.normal(4.0 - style, 0.6)))
                payer = f"person{random.integers(0, 100 if drug else 300):03d}"
                payments.append((_at(day, hour), payer, name, f"{amount:.2f}"))
                if random.random() < 0.3:
                    where = (
                        "exchange" if random.random() < 0.7 else f"owner{random.integers(0, OWNERS):03d}-0"
                    )
                    payments.append((_at(day + 1.0, hour), name, where, f"{amount * 0.8:.2f}"))
        published = FIRST + timedelta(days=float(random.uniform(100, DAYS)))
        category = "drug_vendor" if drug else ("merchant", "scam", "person")[owner % 4 % 3]
        claims += [
            (f"{BANK}:{name}", category, "0.9", f"{published:%Y-%m-%dT%H:%M:%S}", f"Owner {owner:03d}")
            for name in names
        ]
    claims.append((f"{BANK}:exchange", "exchange", "0.9", "2022-06-01T00:00:00", "Exchange"))
    ledger = folder / "ledger.duckdb"
    payments.sort()
    import_payments(
        ledger, [(f"{at:%Y-%m-%dT%H:%M:%S}", payer, payee, amount) for at, payer, payee, amount in payments]
    )
    _import_claims(ledger, claims)
    return ledger


def _import_claims(ledger: Path, claims: list[tuple[str, str, str, str, str]]) -> None:
    path = ledger.parent / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(LABEL_COLUMNS)
        for account, category, confidence, published, owner in claims:
            writer.writerow([account, category, owner, category, "test", confidence, published, "CC0-1.0"])
    with open_ledger(ledger, write=True) as held:
        assert not import_labels(held, "csv", path, recorded_at=FIRST + timedelta(days=400)).rejected


def _at(day: float, hour: float) -> datetime:
    return FIRST + timedelta(days=float(np.floor(day)), hours=hour)
