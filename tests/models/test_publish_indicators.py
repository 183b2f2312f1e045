"""Indicators in a snapshot: what was found is read back, by whichever address of the entity one asks."""

import json
from pathlib import Path

import numpy as np
import pytest

from api.answers import describe_indicator
from datasets.snapshot import Snapshot, current_snapshot
from features.indicators.find import SCHEMA
from models.publish import publish
from models.publish_indicators import arrange_indicators
from tests.features.indicated import AS_OF, START, make_ledger, write_prices
from tests.features.ledgers import BANK, BITCOIN, Spend, coin, import_claims, import_spends


def row_of(snapshot: Snapshot, account: str) -> int:
    row = snapshot.find(account)
    assert row is not None
    return row


def test_what_was_found_is_read_back(tmp_path: Path) -> None:
    moves = [
        (0.0, "market", "vendor", 700.0),
        (1.0, "market", "vendor", 800.0),
        (2.0, "vendor", "friend", 9.0),
    ]
    ledger = make_ledger(tmp_path, moves, [("market", "darknet_market")])
    publish(ledger, tmp_path, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(tmp_path)
    assert snapshot.indicators(row_of(snapshot, f"{BANK}:friend")) == ()
    (line,) = snapshot.indicators(row_of(snapshot, f"{BANK}:vendor"))
    assert describe_indicator(line) == {
        "id": "darknet_counterparty",
        "name": "Direct dealings with a darknet market",
        "hypothesis": False,
        "weak": False,
        "strength": 0.6,
        "text": "received 1,500 USD directly in dealings with a darknet market",
        "evidence": [
            {
                "time": f"2023-01-02T0{n}:00:00Z",
                "hash": f"payments.csv-{n}",
                "value": usd,
                "symbol": "USD",
                "value_usd": usd,
            }
            for n, usd in enumerate((700.0, 800.0))
        ],
        "evidence_count": 2,
    }


def test_every_address_of_an_entity_shows_what_the_entity_shows(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    spends = [
        Spend("mined", START.isoformat(), (), [("market", 10_000_000)]),
        Spend(
            "paid", START.replace(hour=1).isoformat(), [("mined", 0)], [("a", 5_000_000), ("b", 5_000_000)]
        ),
        Spend("joined", START.replace(hour=2).isoformat(), [("paid", 0), ("paid", 1)], [("c", 9_000_000)]),
    ]
    import_spends(ledger, spends)
    import_claims(ledger, [(f"{BITCOIN}:{coin('market')}", "darknet_market", "1", "2022-01-01T00:00:00Z")])
    write_prices(ledger, [f"{BITCOIN}/slip44:0,2023-01-02,30000,,"])
    publish(ledger, tmp_path, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(tmp_path)
    accounts = [f"{BITCOIN}:{coin(who)}" for who in ("a", "b", "c", "market")]
    lines = [snapshot.indicators(row_of(snapshot, account)) for account in accounts]
    assert [[line.id for line in found] for found in lines] == [["darknet_counterparty"]] * 2 + [[], []]
    assert lines[0] == lines[1]
    (evidence,) = lines[0][0].evidence
    assert (evidence.value, evidence.symbol, evidence.value_usd) == (0.1, "BTC", 3000.0)


@pytest.mark.parametrize("lines", [0, 3])
def test_runs_by_row(lines: int) -> None:
    found = SCHEMA.empty_table()
    if lines:
        rows = [
            {
                "indicator": name,
                "entity": node,
                "strength": 0.5,
                "evidence": list(range(1, n + 2)),
                "evidence_count": n + 1,
                "values": "{}",
            }
            for n, (name, node) in enumerate([("a", 2), ("a", 0), ("b", 2)])
        ]
        found = type(found).from_pylist(rows, SCHEMA)
    table, starts = arrange_indicators(found, np.array([1, 0, 2], np.int64))
    assert table.num_rows == lines
    assert starts.tolist() == ([0, 0, 1, 3] if lines else [0, 0, 0, 0])
    if lines:
        assert table.column("indicator").to_pylist() == ["a", "a", "b"]
        assert table.column("evidence").to_pylist() == [[0, 1], [0], [0, 1, 2]]
        assert json.loads(table.column("values")[0].as_py()) == {}
