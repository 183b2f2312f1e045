"""`silkscreen ledger`: exit codes and words of check and forget."""

import json
import re
from pathlib import Path

import pytest

from datasets.store import open_ledger
from tests.api.test_cli import run
from tests.datasets.batches import Bad, Row, ingest
from tests.nodes.anvil import run_anvil


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        ingest(ledger, [Row(hash=b"r"), Row(), Bad()], name="one.csv")
        ingest(ledger, [Row(), Row(minute=4)], name="two\x1b.csv")
    return ["--dir", str(tmp_path)]


def change(folder: list[str], statement: str) -> None:
    with open_ledger(Path(folder[1]) / "ledger.duckdb", write=True) as ledger:
        ledger.connection.execute(statement)


def test_a_good_ledger_ends_with_0_and_says_what_was_not_judged(
    folder: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ledger", "check", *folder) == 0
    shown = capsys.readouterr()
    assert "ok      no output is spent twice" in shown.out
    assert "payments:bank  the value of 1 row: set aside: bad_amount" in shown.out
    assert shown.out.splitlines()[-1].startswith("nothing broken: ")
    assert shown.err == ""
    assert run("ledger", "check", "payments:bank", "--json", *folder) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["broken"], report["transfers"], report["chains"]) == (0, 4, ["payments:bank"])


def test_a_broken_ledger_ends_with_1_and_names_the_place(
    folder: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, "UPDATE leg SET amount = 4 WHERE side = 'payee'")
    assert run("ledger", "check", "--show", "1", *folder) == 1
    shown = capsys.readouterr().out
    assert "broken  transfers pay out no more than they take in: not so in 4 places\n" in shown
    assert "          payments:bank, r: native transfer of iso4217:EUR loses a part" in shown
    assert "          … and 3 more; --show N names more\n" in shown
    assert shown.splitlines()[-1].startswith("4 broken, in ")
    assert run("ledger", "check", "--json", *folder) == 1
    report = json.loads(capsys.readouterr().out)
    (result,) = (result for result in report["results"] if result["found"])
    assert (result["check"], result["found"], len(result["first"])) == ("value_created", 4, 4)
    assert result["first"][0] == {
        "chain": "payments:bank",
        "height": None,
        "hash": "r",
        "account": None,
        "what": "native transfer of iso4217:EUR loses a part of what it takes in",
    }


def test_what_cannot_be_checked_ends_with_1_and_a_line(
    folder: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ledger", "check", "bitcoin", *folder) == 1
    assert "holds nothing of bip122:000000000019d6689c085ae165831e93" in capsys.readouterr().err
    assert run("ledger", "check", "--dir", str(tmp_path / "none")) == 1
    assert "there is no ledger at" in capsys.readouterr().err


def test_an_import_is_taken_back_only_when_it_is_meant(
    folder: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("ledger", "forget", "9", "--yes", *folder) == 1
    assert "no import '9'" in capsys.readouterr().err
    assert run("ledger", "forget", "1", *folder) == 1  # nobody answers
    assert run("ledger", "forget", "1", "--yes", *folder) == 0
    shown = capsys.readouterr().out
    assert (
        "import 1 (one.csv, payments, payments:bank) taken back: 2 transfers, 4 legs, 1 row set aside\n"
        in shown
    )
    assert "  count again: 1 transfer of other imports\n" in shown
    assert run("ledger", "forget", "2", "--json", *folder) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["source"], done["transfers"], done["blocks_to"]) == ("two\x1b.csv", 2, None)
    assert run("status", *folder) == 0
    assert "one.csv" not in capsys.readouterr().out


def test_a_node_is_asked_too_where_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path)]
    with run_anvil(history=False) as node:
        node.mine(4)
        assert run("import", "genesis", str(node.genesis), "--chain", "eip155:31337", *folder) == 0
        assert run("sync", "eip155:31337", "--rpc", node.url, "--from", "0", *folder) == 0
        capsys.readouterr()
        asked = ["ledger", "check", "eip155:31337", "--rpc", node.url, *folder]
        assert run(*asked) == 0
        shown = capsys.readouterr().out
        assert f"beside {node.url}, blocks 0 to 4 (0x" in shown
        assert re.search(r"ok      ETH \(slip44:60\): \d+ holders compared\nno gaps\n", shown)
        change(folder, "UPDATE leg SET amount = amount + 1 WHERE transfer = 1")
        assert run(*asked, "--sample", "100", "--json") == 1
        report = json.loads(capsys.readouterr().out)
        assert (report["broken"], report["node"]["gaps"]) == (0, 1)
        (gap,) = report["node"]["assets"][0]["first"]
        assert int(gap["ledger"]) == int(gap["node"]) + 1
        assert run(*asked) == 1
        shown = capsys.readouterr().out
        assert f"{gap['account']}: ledger {int(gap['ledger']):,}, node {int(gap['node']):,}: " in shown
        assert shown.endswith("\n1 gap\n")
    assert run("ledger", "check", "--rpc", node.url, *folder) == 2
    assert "name the chain that the node is of" in capsys.readouterr().err
