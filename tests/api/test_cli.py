"""The command line: exit codes, messages, quick help."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from api import cli
from api.settings import Settings
from datasets.export import export_rows
from datasets.store import open_ledger
from tests.api.world import BANK, LISTED

HEAVY = ("duckdb", "pandas", "numba", "lightgbm", "web3", "pyarrow", "sqlalchemy", "fastapi", "rich", "numpy")

OTHERS = ("models", "features", "screen", "keys", "serve")


def run(*words: str) -> int:
    """Run the command line inside this process and return its exit code."""
    before = sys.argv
    sys.argv = ["silkscreen", *words]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize("words", ["--help", "screen --help", "keys create --help", "--version"])
def test_help_imports_nothing_heavy(words: str) -> None:
    script = (
        "import sys; from api import cli; sys.argv = ['silkscreen', *sys.argv[1:]]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("HEAVY []")


def test_every_command_of_the_design_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for name in (*["demo", "doctor", "status", "import", "labels", "prices", "train", "build"], *OTHERS):
        assert re.search(rf"^  {name} ", shown, re.MULTILINE)
    assert "..." not in shown.split("Commands:")[1]


@pytest.mark.parametrize(
    "words", ["", "nonsense", "screen", "import payments", "keys", "build --threads 0", "--nonsense"]
)
def test_wrong_usage_ends_with_2(words: str) -> None:
    assert run(*words.split()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["screen", LISTED], "there is no snapshot under"),
        (["status"], "there is no ledger at"),
        (["build"], "there is no ledger at"),
        (["train"], "there is no ledger at"),
        (["labels", "list"], "there is no ledger at"),
        (["build", "--as-of", "yesterday"], "'yesterday' is no time"),
        (["import", "payments", "x.csv", "--chain", "moonchain"], "'moonchain' is not a chain"),
        (["import", "payments", "x.csv", "--chain", BANK, "--map", "time"], "time"),
        (["features", "describe", "nonsense"], "no feature 'nonsense'"),
        (["keys", "revoke", "k0"], "no key 'k0'"),
        (["keys", "create", "a\nb"], "name of a key"),
    ],
)
def test_what_is_refused_ends_with_1_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    extra = [] if words[0] == "features" else ["--dir", str(tmp_path / "var")]
    assert run(*words, *extra) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    *steps, last = shown.err.splitlines()
    assert last.startswith("silkscreen: ")
    assert said in last
    assert steps == [] or words == ["build"]


def test_a_hostile_file_name_cannot_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "import",
        "bitcoin-etl",
        "no\x1b[31m\nsuch.parquet",
        "--chain",
        "bitcoin",
        "--dir",
        str(tmp_path),
    ]
    assert run(*words) == 1
    shown = capsys.readouterr().err
    assert "no\\x1b[31m\\x0asuch.parquet" in shown
    assert shown.count("\n") == 1


def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILKSCREEN_PORT", "http")
    assert run("status", "--dir", str(tmp_path)) == 1
    assert "silkscreen: SILKSCREEN_PORT: " in capsys.readouterr().err


def test_the_folder_comes_from_the_environment_too(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILKSCREEN_DIR", str(settings.dir))
    assert run("screen", f"{BANK}:alice") == 0
    assert "HIGH" in capsys.readouterr().out


def test_import_labels_status_build_and_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    rows = "t,a,b,v\n2023-01-02T10:00:00Z,market,alice,1000.00\n2023-01-02T11:00:00Z,alice,bob,x\n"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.csv").write_text(rows, "utf-8")
    (tmp_path / "in" / "notes.txt").write_text("not data", "utf-8")
    mapping = [f"--map={item}" for item in ("time=t", "payer=a", "payee=b", "amount=v", "currency=@USD")]
    words = ["import", "payments", str(tmp_path / "in"), "--chain", BANK, *mapping, *folder]
    assert run(*words) == 0
    assert "1 transfers, 2 legs from 2 rows" in capsys.readouterr().out
    assert run(*words, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["already_imported"]
    assert (result["transfers"], result["sums"]) == (1, {"iso4217:USD": "100000"})
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "account,category,entity,name,source,reference,confidence,published_at\n"
        f"{BANK}:market,darknet_market,M,m,casework,1,0.9,2022-12-01\n"
        f"{BANK}:market,no_such_category,M,m,casework,1,0.9,2022-12-01\n",
        "utf-8",
    )
    assert run("labels", "import", "csv", str(labels), *folder) == 0
    shown = capsys.readouterr()
    assert "1 labels, 1 rejected" in shown.out
    assert "no_such_category" in shown.err
    assert run("labels", "list", *folder, "--by", "category") == 0
    assert capsys.readouterr().out.split() == ["category", "labels", "darknet_market", "1"]
    assert run("status", *folder) == 0
    shown_status = capsys.readouterr().out
    assert "1 transfers, 2 legs" in shown_status
    assert "bad_amount" in shown_status
    assert run("build", *folder, "--as-of", "2023-02-01", "--json") == 0
    built = json.loads(capsys.readouterr().out)
    assert (built["as_of"], built["addresses"], built["model"]) == ("2023-02-01T00:00:00Z", 2, None)
    assert run("screen", f"{BANK}:alice", "--json", *folder) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["risk_level"], answer["decided_by"]) == ("HIGH", "rule")
    assert answer["versions"]["snapshot"] == built["id"]


def test_status_works_while_another_process_writes(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(settings.ledger, write=True):
        assert run("status", "--dir", str(settings.dir)) == 0
    assert BANK in capsys.readouterr().out


def test_one_bad_address_of_several_is_told_and_the_rest_answered(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("screen", f"{BANK}:alice", "0x12", f"{BANK}:bob", "--json", "--dir", str(settings.dir)) == 1
    shown = capsys.readouterr()
    assert [json.loads(line)["subject"]["address"] for line in shown.out.splitlines()] == ["alice", "bob"]
    assert "'0x12' is not an address" in shown.err


def test_keys_are_made_shown_once_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    assert run("keys", "create", "bank", "--days", "30", *folder) == 0
    made = capsys.readouterr()
    assert re.fullmatch(r"sk_[-\w]{43}\n", made.out)
    assert run("keys", "list", *folder) == 0
    listed = capsys.readouterr().out
    assert made.out.strip() not in listed
    key_id = re.search(r"^(k[0-9a-f]{10}) +bank .* active", listed, re.MULTILINE)
    assert key_id is not None
    assert run("keys", "revoke", key_id[1], *folder) == 0
    capsys.readouterr()
    assert run("keys", "list", "--json", *folder) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["name"]) == ("revoked", "bank")


def test_a_model_is_taken_over_whole_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    (trained,) = (path for path in settings.models.iterdir() if path.is_dir())
    assert run("models", "add", str(trained), *folder) == 0
    assert f"{trained.name} is now current" in capsys.readouterr().out
    assert run("models", "add", str(tmp_path / "none"), *folder) == 1
    assert "there is no model at" in capsys.readouterr().err
    assert run("models", "list", "--json", *folder) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["version"], row["current"]) == (trained.name, True)


def test_models_and_features_are_listed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list", "--dir", str(settings.dir)) == 0
    assert "real owners" in capsys.readouterr().out
    assert run("features", "describe", "transfers_in") == 0
    assert "features/sql/activity.sql" in capsys.readouterr().out
    assert run("features", "describe", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) >= 40


def test_doctor_tells_what_is_absent_and_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    assert run("doctor", "--dir", str(tmp_path / "var"), "--json") == 0
    states = {check["name"]: check["state"] for check in json.loads(capsys.readouterr().out)}
    assert states == {
        "python": "ok",
        "packages": "ok",
        "folder": "absent",
        "disk": states["disk"],
        "ledger": "absent",
        "model": "absent",
        "snapshot": "absent",
        "records": "absent",
    }
    assert run("keys", "create", "bank", "--dir", str(settings.dir)) == 0
    capsys.readouterr()
    assert run("doctor", "--dir", str(settings.dir)) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} <= {"ok", "warning"}
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("ledger.duckdb", "records.sqlite"):
        (broken / name).write_text("neither one nor the other " * 100, "utf-8")
    (broken / "snapshots").mkdir()
    (broken / "snapshots" / "CURRENT").write_text("nothing\n", "utf-8")
    assert run("doctor", "--dir", str(broken)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("failed")} == {"ledger", "records"}


def test_serve_answers_and_ends_when_interrupted(settings: Settings) -> None:
    start = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--dir", str(settings.dir)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*start, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url is not None, line
        port = url[0].rpartition(":")[2]
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{url[0]}/healthz", timeout=30).json() == {"status": "ok"}
        second = subprocess.run([*start, "--port", port], capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1 port {port}" in second.stderr
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGINT, 130)


def test_files_that_cannot_be_read_leave_the_ledger_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    rows = "t,a,b,v\n2023-01-02T10:00:00Z,market,alice,10.00\n"
    (tmp_path / "good.csv").write_text(rows, "utf-8")
    whole = (settings.dir / "blocks.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    mapping = [f"--map={item}" for item in ("time=t", "payer=a", "payee=b", "amount=v", "currency=@USD")]
    assert run("import", "payments", str(tmp_path / "good.csv"), "--chain", BANK, *mapping, *folder) == 0
    with open_ledger(tmp_path / "var" / "ledger.duckdb") as ledger:
        before = export_rows(ledger)
    capsys.readouterr()
    cut = ["import", "bitcoin-etl", str(tmp_path / "cut.parquet"), "--chain", "bitcoin"]
    wrong = [
        "import",
        "payments",
        str(tmp_path / "good.csv"),
        "--chain",
        BANK,
        *mapping[:-1],
        "--map=currency=nope",
    ]
    absent = ["import", "bitcoin-etl", str(tmp_path / "none.parquet"), "--chain", "bitcoin"]
    for words, said in ((cut, "cut.parquet"), (wrong, "'nope'"), (absent, "none.parquet")):
        assert run(*words, *folder) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert said in shown.err
        assert shown.err.count("\n") == 1
    with open_ledger(tmp_path / "var" / "ledger.duckdb") as ledger:
        assert export_rows(ledger).equals(before)


def test_a_refused_file_stops_none_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = "account,category,source\npayments:b:{},scam,list\n"
    for name in ("a", "c"):
        (tmp_path / f"{name}.csv").write_text(good.format(name), encoding="utf-8")
    (tmp_path / "b.csv").write_text("who,what\nx,y\n", encoding="utf-8")
    paths = [str(tmp_path / f"{name}.csv") for name in "abc"]
    assert run("labels", "import", "csv", *paths, "--dir", str(tmp_path)) == 1
    told = capsys.readouterr()
    assert "b.csv" in told.err
    assert told.out.count("1 labels") == 2
