"""Traces: the rules side by side, real transfers, the links and labels that a path rests on."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.serving import Served, open_served
from api.settings import Settings
from api.traced import trace_address
from tests.api.test_cli import run
from tests.api.world import BANK, BITCOIN, COINS
from tests.features.ledgers import Spend, coin, import_claims, import_spends


def trace(served: Served, who: str, **asked: Any) -> dict[str, Any]:
    return trace_address(who, served.snapshot, **asked)


def test_where_money_came_from_under_each_rule(served: Served) -> None:
    """The market's 2,000 to Alice, 1,200 of it to Bob, whose employer pays him 18,000."""
    source = trace(served, f"{BANK}:bob")["source"]
    assert source["totals"] == [{"asset": f"{BANK}/iso4217:USD", "symbol": "USD", "value": 19_200.0}]
    (market,) = source["categories"]
    assert market["category"] == "darknet_market"
    assert market["values"] == {"haircut": 1200.0, "fifo": 1200.0, "lifo": 1200.0, "poison": 1200.0}
    assert (market["least"], market["most"]) == (1200.0, 1200.0)
    assert market["shares"]["haircut"] == 0.0625
    (unknown,) = source["unattributed"]
    assert (unknown["category"], unknown["values"]["haircut"]) == ("history_not_in_ledger", 18_000.0)
    (path,) = source["paths"]
    assert [(step["from"], step["to"], step["value"], step["carried"]) for step in path["steps"]] == [
        (f"{BANK}:market", f"{BANK}:alice", 2000.0, 2000.0),
        (f"{BANK}:alice", f"{BANK}:bob", 1200.0, 1200.0),
    ]
    assert [step["hash"] for step in path["steps"]] == ["p0", "p1"]
    assert (path["survived"], path["labels"][0]["entity"], path["links"]) == (0.6, "Market One", [])


def test_where_money_went(served: Served) -> None:
    destination = trace(served, f"{BANK}:backer")["destination"]
    (market,) = destination["categories"]
    assert (market["category"], market["values"]["lifo"]) == ("darknet_market", 20_000.0)
    assert destination["paths"][0]["steps"][0]["to"] == f"{BANK}:market"


def test_the_rules_differ_where_money_was_mixed(served: Served) -> None:
    """Bob pays the shop 5 of 1,200 (first) and 18,000 (later)."""
    source = trace(served, f"{BANK}:shop", to=f"{BANK}:alice")["source"]
    (alice,) = (line for line in source["categories"] if line["category"] == f"{BANK}:alice")
    assert alice["values"] == {"haircut": 0.3125, "fifo": 5.0, "lifo": 0.0, "poison": 5.0}
    assert (alice["least"], alice["most"]) == (0.0, 5.0)


def test_a_path_names_the_cluster_that_it_rests_on(served: Served) -> None:
    """COINS[0] has the label; COINS[1] was spent together with it."""
    source = trace(served, COINS[2])["source"]
    paths = source["paths"]
    assert {path["category"] for path in paths} == {"drug_vendor"}
    far = {path["steps"][0]["from"]: path["links"] for path in paths}
    assert far[f"{BITCOIN}:{COINS[0]}"] == []
    (link,) = far[f"{BITCOIN}:{COINS[1]}"]
    assert sorted(link["accounts"]) == sorted(f"{BITCOIN}:{coin}" for coin in COINS[:2])
    assert link["hash"] == paths[0]["steps"][0]["hash"]


def test_a_join_that_labels_forbid_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "ledger.duckdb"
    spends = [
        Spend("mined", "2023-01-01T00:00:00", (), [("a", 50_000), ("b", 50_000)]),
        Spend("both", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("c", 90_000)]),
    ]
    import_spends(ledger, spends)
    for who, category in (("a", "exchange"), ("b", "darknet_market")):
        claims = [(f"{BITCOIN}:{coin(who)}", category, "0.9", "2022-01-01T00:00:00Z")]
        import_claims(ledger, claims, name=f"{who}.csv")
    assert run("build", "--as-of", "2023-06-01", "--dir", str(tmp_path)) == 0
    assert "1 spend joined nobody" in capsys.readouterr().out
    served = open_served(Settings(dir=tmp_path))
    for one, other in (("a", "b"), ("b", "a")):
        (link,) = trace(served, coin(one))["refused_links"]
        accounts = [f"{BITCOIN}:{coin(name)}" for name in (one, other)]
        assert (link["accounts"], link["owners"]) == (accounts, accounts)
        assert link["hash"] == sha256(b"both").hexdigest()
    assert run("trace", coin("a"), "--dir", str(tmp_path)) == 0
    assert f"not joined with {coin('b')}" in capsys.readouterr().out


def test_one_rule_one_direction_and_no_paths(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--dir", str(settings.dir)]
    asked = ["--rule", "fifo", "--direction", "source", "--paths", "0", "--json"]
    assert run("trace", f"{BANK}:bob", *asked, *where) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "destination" not in answer
    assert answer["rules"] == ["fifo"]
    assert answer["source"]["paths"] == []
    assert answer["source"]["categories"][0]["values"] == {"fifo": 1200.0}


def test_what_a_person_reads(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trace", f"{BANK}:bob", "--dir", str(settings.dir)) == 0
    shown = capsys.readouterr().out
    for words in (
        "CAME FROM (received 19,200 USD",
        "darknet market",
        "6.25%",
        "Path 1, darknet market: 1,200 USD, 60.00% of what set out, in 2 transfers",
        "label: Market One, said by casework, confidence 0.9",
        "market -> alice",
        "no fact about coins",
    ):
        assert words in shown
    assert run("trace", f"{BANK}:mallory", "--dir", str(settings.dir)) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"{BANK}:nobody"], "has no transfer in snapshot"),
        ([f"{BANK}:bob", "--rule", "guess"], "is no rule"),
        ([f"{BANK}:bob", "--direction", "up"], "is no direction"),
        ([f"{BANK}:bob", "--to", "nonsense"], "neither a category or group"),
        ([f"{BANK}:bob", "--to", f"{BANK}:bob"], "the same entity"),
        ([f"{BANK}:bob", "--to", f"{BANK}:nobody"], "nor an address with transfers on"),
        ([f"{BANK}:bob", "--to", f"{BITCOIN}:{COINS[0]}"], "nor an address with transfers on"),
    ],
)
def test_what_cannot_be_asked(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("trace", *words, "--dir", str(settings.dir)) == 1
    assert said in capsys.readouterr().err


def test_what_is_not_there_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--dir", str(settings.dir)]
    assert run("trace", f"{BANK}:bob", "--to", "service", *where) == 0
    assert "no path to or from service" in capsys.readouterr().out
    assert run("trace", f"{BANK}:quiet", *where) == 0
    assert "none of it has reached a labelled party" in capsys.readouterr().out
    assert run("trace", f"{BANK}:market", "--direction", "source", *where) == 0
    assert "labelled darknet_market: Market One, said by casework" in capsys.readouterr().out
    assert run("trace", f"{BANK}:employer", "--direction", "source", *where) == 0
    assert "nothing that counts as a payment" in capsys.readouterr().out


def test_paths_to_a_group(served: Served) -> None:
    assert trace(served, f"{BANK}:bob", to="service")["source"]["paths"] == []
    assert len(trace(served, f"{BANK}:bob", to="drug")["source"]["paths"]) == 1
