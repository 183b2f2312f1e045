"""A full run from transfers to evaluation on T-EDGE (phishing on Ethereum), without any feature of time.

The set's known flaw: the date on which a node is first seen tells phishing from the others by itself, and
each edge has one time however many transactions it sums. So no feature that needs a time or an order takes
part, and what the date alone gives stands beside. The labelled classes are balanced by construction, which
real traffic is not: the figures say that the machinery runs on real transfers, nothing about a deployment.
"""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import ROOT, Figure
from chains.address import find_chain
from chains.files.mapping import PaymentMapping
from datasets.ingest import import_file
from datasets.store import open_ledger
from features.build import build_frame
from features.catalogue import CATALOGUE, Feature
from features.frame import FeatureFrame
from models.fit import fit_columns
from models.folds import Folds, Owner, Rows, stable_share
from models.metrics import average_precision, roc_auc

DATA = ROOT.parent / "shared" / "data" / "ledgers" / "ethereum_phishing"
MAPPING = ["time=time", "payer=payer", "payee=payee", "amount=amount", "currency=@USD"]
"""A currency that is listed, for amounts in ETH: no feature in dollars takes part."""
TIMED_UNITS = ("days", "hours", "seconds")
TIMED_GROUPS = ("timing", "recent", "flow_through", "exposure")
TIMED_WORDS = ("active", "busiest", "last_30", "_30d", "first_payer", "young", "fresh")
DOLLAR_WORDS = ("usd", "retail", "wholesale", "under_limit")


def may_take_part(feature: Feature) -> bool:
    """Return whether a feature needs no time, order or dollars (nor seeds, which this set lacks)."""
    return (
        feature.unit not in TIMED_UNITS
        and feature.group not in TIMED_GROUPS
        and not any(word in feature.name for word in (*TIMED_WORDS, *DOLLAR_WORDS))
    )


def run(scratch: Path, data: Path = DATA) -> list[Figure]:
    """Return how the model ranks the labelled nodes: by the set's own split, and by time."""
    edges, nodes = pd.read_csv(data / "edges.csv"), pd.read_csv(data / "nodes.csv")
    nodes = nodes[nodes.has_label.astype(bool)]
    phishing = {str(node): label == 1.0 for node, label in zip(nodes.id, nodes.label, strict=True)}
    both = pd.concat([edges[["from", "timestamp"]].set_axis(["id", "t"], axis=1),
                      edges[["to", "timestamp"]].set_axis(["id", "t"], axis=1)])  # fmt: skip
    seen = both.groupby("id").t.min()
    first = {node: float(seen[int(node)]) for node in phishing if int(node) in seen.index}
    frame = _build(scratch, edges)
    columns = np.asarray([k for k, feature in enumerate(CATALOGUE) if may_take_part(feature)], np.int64)
    given = {str(node) for node in nodes.id[nodes.is_train.astype(bool)]}
    order = sorted(first, key=lambda node: (first[node], node))
    figures = [Figure("T-EDGE: features without time", len(columns), "")]
    for name, train in (("the set's split", given), ("split by time", set(order[: int(0.7 * len(order))]))):
        test = _rows(frame, phishing, set(phishing) - train)
        folds = Folds(
            train=_rows(frame, phishing, {node for node in train if stable_share(node) < 0.8}),
            valid=_rows(frame, phishing, {node for node in train if stable_share(node) >= 0.8}),
            test=test,
            left_out={},
        )
        score = fit_columns(folds, columns, seed=1, prevalence=0.5).log_odds(test.values)
        date = np.asarray([first[owner.name] for owner in test.owners])[test.owner]
        figures += [
            Figure(f"T-EDGE, {name}: nodes tested", len(test.drug), ""),
            Figure(f"T-EDGE, {name}: share of phishing", float(test.drug.mean()), ""),
            Figure(f"T-EDGE, {name}: PR-AUC", average_precision(test.drug, score, test.weight), ""),
            Figure(f"T-EDGE, {name}: ROC-AUC", roc_auc(test.drug, score, test.weight), ""),
            Figure(f"T-EDGE, {name}: ROC-AUC of the date alone", roc_auc(test.drug, date, test.weight), ""),
        ]
    return figures


def _build(scratch: Path, edges: pd.DataFrame) -> FeatureFrame:
    scratch.mkdir(parents=True, exist_ok=True)
    plain = scratch / "edges.parquet"
    table = pa.table(
        {
            "time": pa.array(edges.timestamp * 1_000_000, pa.timestamp("us")),
            "payer": edges["from"].astype(str).tolist(),
            "payee": edges["to"].astype(str).tolist(),
            # Two decimals would lose small amounts: the unit is a millionth of an ETH.
            "amount": [f"{1e6 * amount:.2f}" for amount in edges.amount],
        }
    )
    pq.write_table(table, plain)
    ledger = scratch / "ledger.duckdb"
    with open_ledger(ledger, write=True) as held:
        import_file(
            held,
            "payments",
            plain,
            chain=find_chain("payments:t-edge"),
            mapping=PaymentMapping.parse(MAPPING),
            code_version="bench",
        )
    end = datetime.fromtimestamp(int(edges.timestamp.max()), UTC).replace(tzinfo=None) + timedelta(seconds=1)
    return build_frame(ledger, end)


def _rows(frame: FeatureFrame, phishing: Mapping[str, bool], wanted: set[str]) -> Rows:
    names = [account.rpartition(":")[2] for account in frame.accounts]
    kept = [row for row, name in enumerate(names) if name in wanted]
    drug: NDArray[np.bool_] = np.asarray([phishing[names[row]] for row in kept], np.bool_)
    return Rows(
        accounts=tuple(names[row] for row in kept),
        as_of=(frame.as_of,) * len(kept),
        view=("whole",) * len(kept),
        values=np.ascontiguousarray(frame.values[kept]),
        owner=np.arange(len(kept)),
        owners=tuple(Owner(names[row], phishing[names[row]], "person", frame.as_of) for row in kept),
        drug=drug,
        illicit=drug,
        weight=np.ones(len(kept)),
    )


if __name__ == "__main__":
    from benchmarks.report import report

    with tempfile.TemporaryDirectory() as scratch:
        report("model-phishing", run(Path(scratch)))
