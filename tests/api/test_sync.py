"""The command `sync` against a real Bitcoin node: what it says, how it ends, and turns for others."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodes.regtest import RegtestNode, run_regtest

CHAIN = "bitcoin-regtest"
SOMEONE = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as running:
        yield running


def command(*words: str, folder: Path) -> list[str]:
    return [sys.executable, "-c", "from api.cli import main; main()", *words, "--dir", str(folder)]


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, folder=folder), capture_output=True, text=True, timeout=120, check=False
    )


def heights(folder: Path) -> list[list[int]]:
    status = run("status", "--json", folder=folder)
    assert status.returncode == 0, status.stderr
    stretches: list[list[int]] = json.loads(status.stdout)["chains"][0]["stretches"]
    return stretches


def test_it_says_what_it_reads_and_what_it_read(node: RegtestNode, tmp_path: Path) -> None:
    first = run("sync", CHAIN, "--rpc", node.url, "--to", "50", folder=tmp_path)
    assert (first.returncode, first.stderr) == (0, "bitcoin-regtest: 51 blocks (0 to 50)\n")
    assert first.stdout.startswith("bitcoin-regtest: 51 blocks (0 to 50), 51 transfers, ")
    rest = run("sync", CHAIN, "--rpc", node.url, "--json", folder=tmp_path)
    answer = json.loads(rest.stdout)
    assert (answer["first"], answer["last"], answer["head"]) == (51, node.height, node.height)
    again = run("sync", CHAIN, "--rpc", node.url, folder=tmp_path)
    assert again.stdout == f"bitcoin-regtest: nothing new; the newest block is {node.height}\n"
    shown = run("status", folder=tmp_path).stdout
    assert f"whole blocks: 0 to {node.height}" in shown
    assert f"node at {node.height}, final up to {node.height - 5}" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["sync", "bitcoin"],
            "serves bitcoin-regtest (bip122:0f9188f13cb7b2c71f2a335e3a4fc328), not bitcoin",
        ),
        (["sync", CHAIN, "--to", "9999"], "does not have block 9999 yet"),
        (["sync", CHAIN, "--listed", "erc20:0x00"], "has no tokens"),
        (["sync", "monero"], "cannot be read from a node"),
        (["sync", "nonsense"], "is not a chain"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    node: RegtestNode, tmp_path: Path, words: list[str], message: str
) -> None:
    done = run(*words, "--rpc", node.url, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ledger.duckdb").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_following_gives_others_their_turn_and_ends_cleanly(
    node: RegtestNode, tmp_path: Path, how: signal.Signals
) -> None:
    words = command("sync", CHAIN, "--rpc", node.url, "--follow", "--poll", "0.1", folder=tmp_path)
    following = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((tmp_path / "ledger.duckdb.status.json").exists)
        labels = tmp_path / "labels.csv"
        labels.write_text(f"account,category\n{SOMEONE},exchange\n")
        node.mine(2)
        imported = run("labels", "import", "csv", str(labels), folder=tmp_path)
        assert imported.returncode == 0, imported.stderr
        node.mine(2)
        wait_for(lambda: heights_of_ledger(tmp_path) == (0, node.height))
        following.send_signal(how)
        out, err = following.communicate(timeout=30)
    finally:
        following.kill()
        following.wait()
    assert following.returncode == 0, err
    assert "the same command goes on from there" in out
    assert "Traceback" not in err
    assert run("ledger", "check", folder=tmp_path).returncode == 0


def heights_of_ledger(folder: Path) -> tuple[int, int] | None:
    from chains.registry import find_chain
    from datasets.blocks import read_stretches
    from datasets.store import open_ledger

    with open_ledger(folder / "ledger.duckdb") as ledger:
        stretches = read_stretches(ledger, find_chain(CHAIN))
    return (stretches[0].first, stretches[0].last) if len(stretches) == 1 else None


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
