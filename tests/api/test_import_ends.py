"""How an import ends where it cannot end well: interrupted, or with a status file that cannot be written."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from api.cli import main
from datasets.status import status_path
from datasets.store import open_ledger

ROWS = "t,a,b,v\n2023-01-02T10:00:00Z,market,alice,10.00\n"
MAPPING = [f"--map={item}" for item in ("time=t", "payer=a", "payee=b", "amount=v", "currency=@USD")]


def words(file: Path, folder: Path) -> list[str]:
    return ["import", "payments", str(file), "--chain", "payments:bank", *MAPPING, "--dir", str(folder)]


def run(*command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["silkscreen", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A data folder whose status file cannot be written, because a folder is in its place."""
    folder = tmp_path / "var"
    status_path(folder / "ledger.duckdb").mkdir(parents=True)
    return folder


def transfers(folder: Path) -> int:
    with open_ledger(folder / "ledger.duckdb") as ledger:
        return int(ledger.connection.execute("SELECT count(*) FROM transfer").fetchall()[0][0])


def test_an_import_is_done_though_its_status_file_cannot_be_written(
    tmp_path: Path, blocked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.csv").write_text(ROWS, "utf-8")
    assert run(*words(tmp_path / "good.csv", blocked), monkeypatch=monkeypatch) == 0
    told = capsys.readouterr()
    assert told.out.startswith("good.csv: 1 transfer")
    assert told.err.startswith(f"silkscreen: warning: {status_path(blocked / 'ledger.duckdb')}: cannot be")
    assert len(told.err.splitlines()) == 1
    assert transfers(blocked) == 1
    assert run("ledger", "forget", "1", "--yes", "--dir", str(blocked), monkeypatch=monkeypatch) == 0
    assert "warning" in capsys.readouterr().err
    assert transfers(blocked) == 0


def test_a_refused_file_is_what_is_told_though_the_status_file_cannot_be_written_either(
    tmp_path: Path, blocked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n", "utf-8")
    assert run(*words(tmp_path / "bad.csv", blocked), monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert "bad.csv: column" in told
    assert "status.json" not in told


def test_ctrl_c_says_that_the_ledger_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "endless.csv"
    file.touch()
    os.truncate(file, 1 << 40)  # holes: no disk, and hours to read
    start = [sys.executable, "-c", "from api.cli import main; main()"]
    with subprocess.Popen(
        [*start, *words(file, tmp_path / "var")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until_open(file, process)
            process.send_signal(signal.SIGINT)
            out, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert told == "silkscreen: interrupted: the ledger is as it was\n"
    assert transfers(tmp_path / "var") == 0


def wait_until_open(file: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    folder = Path(f"/proc/{process.pid}/fd")
    while time.monotonic() < deadline and process.poll() is None:
        for link in folder.iterdir():
            with suppress(OSError):
                if link.readlink() == file:
                    return
        time.sleep(0.05)
    pytest.fail("the file was never opened")
