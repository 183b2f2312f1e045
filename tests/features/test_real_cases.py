"""Real cases through the real doors: thefts traced from where they began, and exchanges counted beside SQL.

The names inside the theft files are the answer, and are never read.
"""

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from chains.address import find_chain
from chains.files.layouts import PaymentMapping
from datasets.ingest import import_file
from datasets.store import open_ledger
from datasets.taxonomy import load_taxonomy
from features.exposure import Traced, trace_exposure
from features.legs import ChainLegs, list_chains, read_legs
from features.seeds import mark_seeds
from features.seen import see
from tests.features.ledgers import import_claims
from tests.shared_data import shared_data

pytestmark = pytest.mark.shared

AS_OF = datetime.fromisoformat("2025-01-01T00:00:00")
LONG_AGO = "2015-01-01T00:00:00Z"
THEFT = [
    *("time=Timestamp", "payer=From", "payee=To", "amount=Value_in_USD", "currency=@USD"),
    "reference=Tx_hash",
]
TRON = [
    *("time=timestamp:ms", "payer=from_address", "payee=to_address", "amount=quant:units"),
    *("currency=token_id", "reference=tx_id", "decimals=token_decimal", "symbol=token_abbr"),
]


@dataclass(frozen=True)
class Case:
    """A traced chain, and the node of each account."""

    legs: ChainLegs
    traced: Traced
    nodes: dict[str, int]

    def owners(self, accounts: set[str]) -> NDArray[np.bool_]:
        """Return which owners are accounts of the set."""
        nodes = [self.nodes[account] for account in accounts if account in self.nodes]
        return np.isin(self.legs.owner_entity, nodes)


def trace_file(
    folder: Path, file: Path, mapping: list[str], chain: str, claims: list[tuple[str, ...]]
) -> Case:
    ledger = folder / "ledger.duckdb"
    with open_ledger(ledger, write=True) as held:
        import_file(
            held,
            "payments",
            file,
            chain=find_chain(chain),
            mapping=PaymentMapping.parse(mapping),
            code_version="test",
        )
    import_claims(ledger, claims)  # type: ignore[arg-type]
    connection = see(ledger, AS_OF)
    try:
        mark_seeds(connection, AS_OF)
        ((number, _, utxo),) = list_chains(connection)
        legs = read_legs(connection, number, utxo=utxo)
        nodes = connection.execute(
            "SELECT a.account, m.node FROM member AS m JOIN ledger.address AS a USING (address)"
        ).fetchall()
    finally:
        connection.close()
    traced = trace_exposure(
        legs.payers,
        legs.payees,
        legs.roles,
        owner_entity=legs.owner_entity,
        holders=legs.holders,
        owners=legs.owner_entity.size,
        categories=len(load_taxonomy().categories),
    )
    return Case(legs, traced, dict(nodes))


def read_addresses(path: Path) -> set[str]:
    return {line.strip().lower() for line in path.read_text("utf-8").splitlines() if line.strip()}


@pytest.mark.parametrize(
    ("theft", "explained", "precision"),
    [("harmony", 0.61, 0.54), ("atomic", 0.87, 0.92), ("xscam", 0.33, 0.75)],
)
def test_a_theft_is_followed_to_its_ends(
    tmp_path: Path, theft: str, explained: float, precision: float
) -> None:
    """How much of what reached the ends is explained by the sources, and whether who kept most are the ends.

    What stays unexplained: docs/tracing.md.
    """
    folder = shared_data() / "ledgers" / "ethereum_laundering" / theft
    sources, ends = (read_addresses(folder / f"{name}.csv") for name in ("sources", "terminals"))
    claims = [(f"eip155:1:{source}", "theft", "1", LONG_AGO) for source in sorted(sources)]
    case = trace_file(tmp_path, folder / "transfers.csv", THEFT, "ethereum", claims)  # type: ignore[arg-type]
    stolen = load_taxonomy().by_id["theft"].index
    reached = case.owners(ends)
    got = case.traced.received
    ours = reached[got.owner] & (got.category == stolen)
    share = got.value[ours].sum() / case.traced.received_total[reached].sum()
    kept = np.zeros(case.legs.holders)
    held = case.traced.held_category == stolen
    np.add.at(kept, case.traced.held_holder[held], case.traced.held_value[held])
    seen = int(reached.sum())
    most = np.argsort(-kept, kind="stable")[:seen]
    # one asset and no clusters: holders and owners are numbered alike
    assert case.legs.holders == reached.size
    assert share >= explained
    assert reached[most].mean() >= precision


def test_direct_exposure_to_exchanges_is_what_sql_counts(tmp_path: Path) -> None:
    file = shared_data() / "ledgers" / "tron_usdt" / "transfers.csv"
    table = f"read_csv('{file}', all_varchar = true)"
    usdt = "token_id = 'TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t'"
    plain = duckdb.connect()
    named = " UNION ".join(
        f"SELECT {side}_address FROM {table} WHERE {side}_tag IS NOT NULL"  # noqa: S608
        for side in ("from", "to")
    )
    exchanges = {row[0] for row in plain.execute(named).fetchall()}
    assert len(exchanges) == 24
    claims = [(f"tron:728126428:{who}", "exchange", "1", LONG_AGO) for who in sorted(exchanges)]
    case = trace_file(tmp_path, file, TRON, "tron", claims)  # type: ignore[arg-type]
    exchange = load_taxonomy().by_id["exchange"].index
    names = {node: account for account, node in case.nodes.items()}
    checked = 0
    for found, own, far in (
        (case.traced.received, "to_address", "from_tag"),
        (case.traced.sent, "from_address", "to_tag"),
    ):
        paid = (
            f"SELECT {own}, CAST(sum(CAST(quant AS HUGEINT)) AS BIGINT) FROM {table} "  # noqa: S608
            f"WHERE {usdt} AND {far} IS NOT NULL AND from_address <> to_address GROUP BY ALL"
        )
        counted = dict(plain.execute(paid).fetchall())
        direct = found.direct & (found.category == exchange)
        traced = {
            names[int(case.legs.owner_entity[owner])]: round(value)
            for owner, value in zip(found.owner[direct], found.value[direct], strict=True)
        }
        assert traced == counted
        checked += len(counted)
    assert checked > 20
    with file.open(encoding="utf-8", newline="") as rows:
        assert sum(1 for _ in csv.reader(rows)) == 5765
