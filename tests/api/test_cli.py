"""The command line: exit codes, messages, quick help."""

import bz2
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from api import cli
from api.settings import Settings
from chains.encoding import encode_base58check
from datasets.export import export_rows
from datasets.store import open_ledger
from tests.api.world import BANK, LISTED
from tests.datasets.claimed import Party, evm, sdn_xml

HEAVY = ("duckdb", "pandas", "numba", "lightgbm", "web3", "pyarrow", "sqlalchemy", "fastapi", "rich", "numpy")

OTHERS = ("ledger", "models", "features", "screen", "trace", "keys", "serve")


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
    assert "1 transfer, 2 legs from 2 rows" in capsys.readouterr().out
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
    assert "1 label, 1 rejected" in shown.out
    assert "no_such_category" in shown.err
    assert run("labels", "list", *folder, "--by", "category") == 0
    columns = ["category", "labels", "addresses", "may_export", "may_train"]
    assert capsys.readouterr().out.split() == [*columns, "darknet_market", "1", "1", "0", "1"]
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
    assert f"{trained.name} is in use" in capsys.readouterr().out
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
    (tmp_path / "other.csv").write_text(rows.replace("alice", "bob"), "utf-8")
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
        str(tmp_path / "other.csv"),
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
    assert told.out.count("1 label,") == 2


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """Return when everything in a folder was changed, itself too, and the SHA-256 of every file."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (path.stat().st_mtime_ns, digest)
    return found


def run_apart(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, whose environment says nothing of caches."""
    hidden = ("BCL_DATA_DIR", "NUMBA_CACHE_DIR", "SILKSCREEN_DIR")
    return subprocess.run(
        [sys.executable, "-c", "from api.cli import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in hidden},
    )


def test_doctor_changes_nothing(tmp_path: Path, settings: Settings) -> None:
    fresh = run_apart("doctor", "--dir", str(tmp_path / "var"), "--json")
    states = {check["name"]: check["state"] for check in json.loads(fresh.stdout)}
    assert (fresh.returncode, states["packages"], states["folder"]) == (0, "ok", "absent")
    assert list(tmp_path.iterdir()) == []
    shutil.copytree(settings.dir, tmp_path / "full")
    assert run("keys", "create", "bank", "--dir", str(tmp_path / "full")) == 0
    before = fingerprint(tmp_path / "full")
    full = run_apart("doctor", "--dir", str(tmp_path / "full"), "--json")
    assert {check["name"] for check in json.loads(full.stdout) if check["state"] == "ok"} >= {
        *("folder", "ledger", "model", "snapshot", "records")
    }
    assert fingerprint(tmp_path / "full") == before


@pytest.mark.parametrize("folder", ["/proc/nope", "notes.txt", "notes.txt/var"])
def test_doctor_blames_the_folder_that_cannot_be_written_to(tmp_path: Path, folder: str) -> None:
    (tmp_path / "notes.txt").write_text("not a folder", "utf-8")
    done = run_apart("doctor", "--dir", str(tmp_path / folder))
    assert (done.returncode, done.stderr) == (1, "")
    states = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert [name for name, state in states.items() if state == "failed"] == ["folder"]
    assert states["packages"] == "ok"


def test_listing_keys_makes_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    assert run("keys", "list", *folder) == 0
    assert capsys.readouterr().out.startswith("there are no keys: ")
    assert run("keys", "list", "--json", *folder) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_stands_for_the_transfers_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    given = tmp_path / "in"
    (given / "b" / "day=2").mkdir(parents=True)
    (given / ".hidden").mkdir()
    named = ["a.jsonl", "b/day=2/one.json.gz", "b/two.NDJSON", "c.parquet"]
    for number, name in enumerate([*named, ".hidden/x.jsonl", ".y.jsonl", "notes.txt"]):
        row = transaction(number)
        path = given / name
        if name.endswith(".parquet"):
            pa_parquet.write_table(pa.Table.from_pylist([row]), path)
        else:
            line = json.dumps(row).encode() + b"\n"
            path.write_bytes(gzip.compress(line) if name.endswith(".gz") else line)
    assert run("import", "bitcoin-etl", str(given), "--chain", "bitcoin", "--json", *folder) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["source"] for result in results] == [Path(name).name for name in named]
    assert [result["transfers"] for result in results] == [1, 1, 1, 1]
    for name in ("p.tsv", "q.tsv.gz"):
        rows = f"t\ta\tb\tv\n2023-01-02T10:00:00Z\t{name}\talice\t1.00\n".encode()
        (given / ".hidden" / name).write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
    (given / ".hidden" / "x.jsonl").unlink()
    mapping = [f"--map={item}" for item in ("time=t", "payer=a", "payee=b", "amount=v", "currency=@USD")]
    words = ["import", "payments", str(given / ".hidden"), "--chain", BANK, *mapping, "--json", *folder]
    assert run(*words) == 0
    assert [result["transfers"] for result in json.loads(capsys.readouterr().out)] == [1, 1]
    (tmp_path / "none").mkdir()
    assert run("import", "payments", str(tmp_path / "none"), "--chain", BANK, *mapping, *folder) == 1
    assert "none: the folder holds no file to read" in capsys.readouterr().err


def transaction(number: int) -> dict[str, object]:
    """Return an invented transaction, as Bitcoin ETL writes them."""
    address = encode_base58check(b"\x00" + bytes([number]) * 20)
    output = {"index": 0, "type": "pubkeyhash", "addresses": [address], "value": 5_000_000_000}
    return {
        "hash": f"{number:064x}",
        "block_number": 770_000 + number,
        "block_timestamp": 1_672_653_600,
        "is_coinbase": False,
        "inputs": [{**output, "spent_transaction_hash": f"{number + 99:064x}", "spent_output_index": 0}],
        "outputs": [{**output, "value": 4_999_990_000}],
    }


def test_a_folder_stands_for_the_label_files_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--dir", str(tmp_path / "var")]
    given = tmp_path / "in"
    (given / "deep").mkdir(parents=True)
    (given / "notes.txt").write_text("no labels", "utf-8")
    for name in ("z.csv", "deep/y.csv"):
        row = f"payments:b:{Path(name).stem},scam,list\n"
        (given / name).write_text("account,category,source\n" + row, "utf-8")
    for number, name in enumerate(("one.yaml", "deep/two.yml"), start=1):
        tag = f"- address: '{evm(number)}'\n  currency: ETH\n  label: X\n  category: exchange\n"
        head = "title: T\ncreator: C\nsource: https://example.org\nlastmod: 2023-01-02\ntags:\n"
        (given / name).write_text(head + tag, "utf-8")
    for number, name in enumerate(("a.xml", "deep/b.xml.bz2", "deep/c.xml.gz", "d.zip"), start=1):
        text = sdn_xml([Party("A", ["CYBER2"], [("ETH", evm(number))])], issued=f"2025-0{number}-01")
        if name.endswith(".zip"):
            with zipfile.ZipFile(given / name, "w") as archive:
                archive.writestr("sdn.xml", text)
        else:
            packed = {"bz2": bz2.compress(text.encode()), "gz": gzip.compress(text.encode())}
            (given / name).write_bytes(packed.get(name.rpartition(".")[2], text.encode()))
    wanted = {
        "csv": ["y.csv", "z.csv"],
        "tagpack": ["two.yml", "one.yaml"],
        "ofac": ["a.xml", "d.zip", "b.xml.bz2", "c.xml.gz"],
    }
    for kind, names in wanted.items():
        assert run("labels", "import", kind, str(given), "--json", *folder) == 0
        results = json.loads(capsys.readouterr().out)
        assert [(result["source"], result["labels"]) for result in results] == [(name, 1) for name in names]
    (given / "deep" / "y.csv").unlink()
    assert run("labels", "import", "csv", str(given / "deep"), *folder) == 1
    assert "deep: the folder holds no file to read: .csv" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["import", "payments"], ["labels", "import", "csv"], ["prices", "import"]])
def test_a_ledger_that_another_process_holds_is_left_alone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.setenv("SILKSCREEN_WAIT_SECONDS", "0.1")
    path = tmp_path / "ledger.duckdb"
    with open_ledger(path, write=True):
        pass
    before = hashlib.sha256(path.read_bytes()).digest()
    (tmp_path / "some.csv").write_text("account,category,source\npayments:b:a,scam,list\n", "utf-8")
    extra = ["--chain", BANK] if words[0] == "import" else []
    hold = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        ended = run(*words, str(tmp_path / "some.csv"), *extra, "--dir", str(tmp_path))
        waited = time.monotonic() - started
        holder.communicate("\n", timeout=10)
    shown = capsys.readouterr()
    assert (ended, shown.out) == (1, "")
    assert f"(process {holder.pid})" in shown.err
    assert shown.err.count("\n") == 1
    assert waited < 3
    assert hashlib.sha256(path.read_bytes()).digest() == before
