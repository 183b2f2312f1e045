"""Features and model on payments of two public generators: who took part in laundering in a window?

The account task of `generated_payments/README.md`: six equal windows; an account's features come from all
transfers before the end of a window, and its label says whether it took part in laundering inside it; active
accounts count; windows 1 to 3 train, 4 calibrates, 5 and 6 test. Nothing that says who launders is read but
for the labels: the file that is imported has times, accounts and amounts.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import ROOT, Figure
from chains.address import find_chain
from chains.files.mapping import PaymentMapping
from datasets.ingest import import_file
from datasets.store import open_ledger
from features.build import build_frame
from features.catalogue import CATALOGUE
from features.frame import FeatureFrame
from models.fit import fit_columns
from models.folds import Folds, Owner, Rows
from models.metrics import average_precision, recall_at

DATA = ROOT.parent / "shared" / "data" / "ledgers" / "generated_payments"
COLUMNS = ["time", "from_account", "to_account", "amount"]
MAPPING = ["time=time", "payer=from_account", "payee=to_account", "amount=amount", "currency=@USD"]
WINDOWS = 6


@dataclass(frozen=True)
class Set:
    """One set of payments: what its README gives as the baseline, and the aim."""

    name: str
    baseline: float
    aim: float


SETS = (Set("amlgentex", 0.321, 0.40), Set("amlsim", 0.884, 0.90))


def run(scratch: Path, data: Path = DATA) -> list[Figure]:
    """Return the PR-AUC and the recall at 1% of false positives on windows 5 and 6 of each set."""
    found = []
    for one in SETS:
        test, score = score_accounts(data / one.name / "transfers.parquet", scratch / one.name)
        drug, weight = test.drug, test.weight
        found += [
            Figure(f"{one.name}: PR-AUC", average_precision(drug, score, weight), "", one.aim, at_least=True),
            Figure(f"{one.name}: PR-AUC of 36 plain SQL features (README)", one.baseline, ""),
            Figure(f"{one.name}: recall at 1% FPR", recall_at(drug, score, weight), ""),
            Figure(f"{one.name}: share of positives", float(drug.mean()), ""),
        ]
    return found


def score_accounts(transfers: Path, folder: Path, seed: int = 1) -> tuple[Rows, NDArray[np.float64]]:
    """Return the test rows and the model's score of each; the ledger is made in `folder`."""
    folder.mkdir(parents=True)
    plain = folder / "payments.parquet"
    pq.write_table(pq.read_table(transfers, columns=COLUMNS), plain)
    ledger = folder / "ledger.duckdb"
    with open_ledger(ledger, write=True) as held:
        mapping = PaymentMapping.parse(MAPPING)
        chain = find_chain("payments:generated")
        import_file(held, "payments", plain, chain=chain, mapping=mapping, code_version="bench")
        first, last = held.connection.execute("SELECT min(time), max(time) FROM transfer").fetchall()[0]
    # Whole days: both generators simulate by day.
    begin = first.replace(hour=0, minute=0, second=0, microsecond=0)
    span = timedelta(days=(last - begin).days + 1)
    ends = [begin + span * (window / WINDOWS) for window in range(WINDOWS + 1)]
    table = pq.read_table(transfers, columns=[*COLUMNS, "is_laundering"]).to_pandas()
    parts = []
    for start, end in pairwise(ends):
        inside = table[(table.time >= start) & (table.time < end)]
        active = {*inside.from_account, *inside.to_account}
        laundering = inside[inside.is_laundering]
        part = {*laundering.from_account, *laundering.to_account}
        parts.append(_rows(build_frame(ledger, end), active, part))
    folds = Folds(train=_join(parts[:3]), valid=_join(parts[3:4]), test=_join(parts[4:]), left_out={})
    monotone = [feature.monotone for feature in CATALOGUE]
    fit = fit_columns(folds, np.arange(len(CATALOGUE)), seed=seed, prevalence=0.01, monotone=monotone)
    return folds.test, fit.log_odds(folds.test.values)


_Part = tuple[FeatureFrame, list[int], list[str], list[bool]]


def _rows(frame: FeatureFrame, active: set[str], laundering: set[str]) -> _Part:
    names = [account.rpartition(":")[2] for account in frame.accounts]
    kept = [row for row, name in enumerate(names) if name in active]
    return frame, kept, [names[row] for row in kept], [names[row] in laundering for row in kept]


def _join(parts: Sequence[_Part]) -> Rows:
    names = sorted({name for _, _, accounts, _ in parts for name in accounts})
    place = {name: number for number, name in enumerate(names)}
    positive = {
        name for _, _, accounts, flags in parts for name, flag in zip(accounts, flags, strict=True) if flag
    }
    moments: list[datetime] = [frame.as_of for frame, kept, _, _ in parts for _ in kept]
    drug = np.asarray([flag for _, _, _, flags in parts for flag in flags], np.bool_)
    return Rows(
        accounts=tuple(name for _, _, accounts, _ in parts for name in accounts),
        as_of=tuple(moments),
        view=("whole",) * len(moments),
        values=np.ascontiguousarray(np.concatenate([frame.values[kept] for frame, kept, _, _ in parts])),
        owner=np.asarray([place[name] for _, _, accounts, _ in parts for name in accounts], np.int64),
        owners=tuple(Owner(name, name in positive, "person", moments[0]) for name in names),
        drug=drug,
        illicit=drug,
        weight=np.ones(len(drug)),
    )


if __name__ == "__main__":
    from benchmarks.report import report

    with tempfile.TemporaryDirectory() as scratch:
        report("model-payments", run(Path(scratch)))
