"""The commands about labels: in, shown, compared and out."""

import json
from pathlib import Path

import pytest

from datasets.labels import label_rows
from datasets.store import open_ledger
from tests.api.test_cli import run
from tests.datasets.claimed import bitcoin, evm, write_csv

COLUMNS = "account,category,entity,source,confidence,published_at,licence,substances"
ROWS = (
    f"{bitcoin(1)},drug_vendor,Owner,Police,0.9,2024-05-05,MIT,heroin",
    f"{bitcoin(1)},exchange,=Corner,Web\x1b[31m,0.2,,MIT,",
    f"eip155:1:{evm(2)},scam,,Police,0.9,2024-05-05,,",
)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    words = ["--dir", str(tmp_path / "var")]
    path = write_csv(tmp_path / "own.csv", COLUMNS, *ROWS)
    assert run("labels", "import", "csv", str(path), *words) == 0
    capsys.readouterr()
    return words


def test_what_there_is(folder: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "list", "--json", *folder, "--by", "category", "--source", "Police") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == [
        {"category": "drug_vendor", "labels": 1, "addresses": 1, "may_export": 1, "may_train": 1},
        {"category": "scam", "labels": 1, "addresses": 1, "may_export": 0, "may_train": 1},
    ]
    assert run("labels", "list", "--by", "chain", "--chain", "ethereum", *folder) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["eip155:1", "1", "1", "0", "1"]
    assert run("labels", "list", "--category", "nonsense", *folder) == 1
    assert "'nonsense' is not a category" in capsys.readouterr().err
    assert run("labels", "list", "--chain", "moon", *folder) == 1
    assert "'moon' is not a chain" in capsys.readouterr().err


def test_what_was_said_of_one_address(folder: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "show", bitcoin(1), *folder) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        f"bip122:000000000019d6689c085ae165831e93:{bitcoin(1)}\n  drug_vendor, says Police"
    )
    for words in ("confidence 0.9", "published 2024-05-05", "heroin", "csv own.csv, row 2", "=Corner"):
        assert words in shown
    assert "\x1b" not in shown
    assert run("labels", "show", bitcoin(1), "--json", *folder) == 0
    claims = json.loads(capsys.readouterr().out)
    assert [claim["category"] for claim in claims] == ["drug_vendor", "exchange"]
    assert claims[0]["published_at"] == "2024-05-05T00:00:00Z"
    assert run("labels", "show", bitcoin(3), *folder) == 0
    assert capsys.readouterr().out == f"nobody said anything of {bitcoin(3)}\n"
    assert run("labels", "show", "nonsense", *folder) == 1
    assert "'nonsense' is not an address" in capsys.readouterr().err


def test_on_whom_sources_disagree(folder: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "conflicts", *folder) == 0
    shown = capsys.readouterr().out
    assert "they differ in group and entity" in shown
    assert shown.endswith("1 address on which sources disagree\n")
    assert run("labels", "conflicts", "--json", *folder) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [claim["source"] for claim in found["claims"]] == ["Police", "Web [31m"]


def test_out_and_in_again(folder: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    assert run("labels", "export", "--format", "csv", "--to", str(out), *folder) == 0
    assert capsys.readouterr().out == f"{out}: 2 claims written, 1 held back\n"
    assert run("labels", "export", "--format", "csv", "--to", str(out), *folder) == 1
    assert "give --force to replace it" in capsys.readouterr().err
    more = ["--force", "--json", "--source", "Police"]
    assert run("labels", "export", "--format", "csv", "--to", str(out), *more, *folder) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["written"], done["held_back"]) == (1, 1)
    pack = tmp_path / "out.yaml"
    assert run("labels", "export", "--format", "tagpack", "--to", str(pack), *folder) == 0
    other = ["--dir", str(tmp_path / "other")]
    assert run("labels", "import", "tagpack", str(pack), "--licence", "MIT", *other) == 0
    with open_ledger(tmp_path / "other" / "ledger.duckdb") as ledger:
        names = label_rows(ledger)["name"].to_pylist()
    assert sorted(names) == ["=Corner", "Owner"]


def test_actors_and_opensanctions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    given = tmp_path / "in"
    given.mkdir()
    head = "title: T\ncreator: C\nsource: s\nlabel: l\ncurrency: BTC\ntags:\n"
    (given / "one.yaml").write_text(head + f"- {{address: {bitcoin(1)}, actor: corner}}\n", "utf-8")
    actor = "title: T\ncreator: C\nactors:\n- {id: corner, label: Corner, categories: [exchange]}\n- 7\n"
    (given / "some.actorpack.yaml").write_text(actor, "utf-8")
    wallet = {
        "id": "w",
        "schema": "CryptoWallet",
        "properties": {"publicKey": [bitcoin(2)], "topics": ["sanction"]},
    }
    (given / "entities.ftm.json").write_text(json.dumps(wallet) + "\n", "utf-8")
    for kind, said in (("tagpack", "1 label,"), ("actorpack", "1 actor, 1 rejected"), ("ftm", "1 label,")):
        assert run("labels", "import", kind, str(given), *folder) == 0
        assert said in capsys.readouterr().out
    assert run("labels", "show", bitcoin(1), *folder) == 0
    assert "corner (an actor: Corner, exchange)" in capsys.readouterr().out
    assert run("labels", "export", "--format", "actorpack", "--to", str(tmp_path / "x.yaml"), *folder) == 1
    assert "1 actor may not leave the installation" in capsys.readouterr().err


def test_strict_refuses_the_lot_and_tells_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    good = write_csv(tmp_path / "1.csv", "account,category", f"{bitcoin(1)},scam")
    bad = write_csv(tmp_path / "2.csv", "account,category", f"{bitcoin(2)},scam", f"{bitcoin(3)},nonsense")
    assert run("labels", "import", "csv", str(good), str(bad), "--strict", *folder) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{bad}, row 2: unknown_category" in shown.err
    assert "nothing was imported" in shown.err
    assert run("labels", "list", "--json", *folder) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run("labels", "import", "csv", str(good), "--strict", *folder) == 0
    assert "1 label, 0 rejected" in capsys.readouterr().out


def test_the_vocabulary_of_substances(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "substances") == 0
    shown = capsys.readouterr().out
    assert "Мефедрон" in shown
    assert "1971 Schedule II" in shown
    assert run("labels", "substances", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["anpp"]["control"] == [["1988", "I"]]
    assert rows["anpp"]["since"] == 2017
