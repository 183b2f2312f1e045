"""The command `pull` against real indexers over real chains: what it says, keeps and refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import cli
from chains.registry import find_chain
from datasets.check import check_ledger
from datasets.coverage import Coverage, read_coverage
from datasets.export import export_lines
from datasets.store import open_ledger
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.esplora import Esplora, run_esplora, run_watching, script_address
from tests.nodes.explorer import Explorer, run_explorer
from tests.nodes.regtest import RegtestNode, run_regtest

REGTEST, ANVIL = find_chain("regtest"), find_chain("eip155:31337")
SECRET = "SECRET-KEY-0123456789"


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as running:
        yield running


@pytest.fixture
def indexer(node: RegtestNode) -> Iterator[Esplora]:
    with run_esplora(node) as running:
        yield running


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with run_anvil() as running:
        yield running


@pytest.fixture(scope="module")
def explorer(anvil: Anvil) -> Iterator[Explorer]:
    with run_explorer(anvil, style="blockscout") as running:
        yield running


def command(*words: str, folder: Path) -> list[str]:
    script = "from api.cli import main; main()"
    return [sys.executable, "-W", "error", "-c", script, "pull", *words, "--dir", str(folder)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SILKSCREEN_", "BCL_"))}
    return kept | {"HOME": str(home)} | more


def run(*words: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, folder=folder),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=environment(folder, **more),
    )


def address(node: RegtestNode, kind: str, number: int) -> str:
    found = script_address(node.wallet.script(kind, number))
    assert found is not None
    return found


def coverage(folder: Path, account: str) -> list[Coverage]:
    with open_ledger(folder / "ledger.duckdb") as ledger:
        assert [found for result in check_ledger(ledger).results for found in result.first] == []
        return read_coverage(ledger, REGTEST if account.startswith("bcrt") else ANVIL, account)


def test_bitcoin_through_an_indexer(node: RegtestNode, indexer: Esplora, tmp_path: Path) -> None:
    account, final = address(node, "p2wpkh", 10), node.height - 5
    done = run(account, "--api", indexer.url, "--hops", "1", "--chain", "regtest", folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        f"{account}: 5 new transfers; blocks 0 to {final}",
    )
    assert done.stderr.splitlines()[0] == f"{account} (0 of 1 done)"
    hop = [line for line in done.stdout.splitlines() if line.startswith("  bcrt1")]
    assert len(hop) >= 4
    assert coverage(tmp_path, account) == [Coverage(0, final, complete=True, transfers=5)]
    with open_ledger(tmp_path / "ledger.duckdb") as ledger:
        before = export_lines(ledger)
    again = run(account, "--api", indexer.url, "--json", "--chain", "regtest", folder=tmp_path)
    answer = json.loads(again.stdout)
    assert [one["added"] for one in answer["addresses"]] == [0]
    assert answer["addresses"][0]["coverage"] == {
        "first_height": 0,
        "last_height": final,
        "complete": True,
        "transfers": 5,
    }
    assert (answer["stopped"], answer["left_out"]) == (False, 0)
    with open_ledger(tmp_path / "ledger.duckdb") as ledger:
        assert export_lines(ledger) == before
    assert list((tmp_path / "home").iterdir()) == []
    assert (tmp_path / "cache" / "bitcoinlib" / "providers.json").exists()


def test_bitcoin_from_a_wallet(node: RegtestNode, tmp_path: Path) -> None:
    account = address(node, "p2wpkh", 10)
    with run_watching(node, [account], user="reader:pass-word-1") as wallet:
        done = run(account, "--rpc", wallet.url, "--chain", "bitcoin-regtest", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "5 new transfers" in done.stdout
        assert "this source cannot tell:\n  what the wallet did not look for" in done.stdout
        other = run(address(node, "p2wpkh", 0), "--rpc", wallet.url, "--chain", "regtest", folder=tmp_path)
    assert other.returncode == 1
    assert "importdescriptors" in other.stderr
    for said in (done.stdout, done.stderr, other.stderr):
        assert "pass-word" not in said


def test_an_api_of_an_evm_chain_and_its_key(anvil: Anvil, explorer: Explorer, tmp_path: Path) -> None:
    account = anvil.accounts[5].address
    words = (account, "--chain", "eip155:31337", "--api", explorer.url, "--confirmations", "1")
    explorer.asked.clear()
    done = run(*words, folder=tmp_path, SILKSCREEN_API_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    assert f"blocks 0 to {anvil.height}" in done.stdout
    assert "block rewards and withdrawals of stakers" in done.stdout
    assert {query["apikey"] for query in explorer.asked} == {SECRET}
    (one,) = coverage(tmp_path, account.lower())
    assert (one.complete, one.transfers > 10) == (True, True)
    plain = run(*words, "--api-key", SECRET, "--again", folder=tmp_path)
    assert plain.returncode == 0
    assert "0 new transfers" in plain.stdout
    explorer.alter = lambda query, answer: {
        "status": "0",
        "message": "NOTOK",
        "result": f"Invalid API Key {SECRET}",
    }
    refused = run(*words, "--api-key", SECRET, folder=tmp_path)
    explorer.alter = lambda _, answer: answer
    assert refused.returncode == 1
    for said in (done.stdout, done.stderr, plain.stdout, plain.stderr, refused.stdout, refused.stderr):
        assert SECRET not in said
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_tokens_from_logs(anvil: Anvil, tmp_path: Path) -> None:
    account = anvil.accounts[1].address
    words = (account, "--chain", "eip155:31337", "--rpc", anvil.url, "--confirmations", "1")
    done = run(*words, "--from", "40", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"blocks 40 to {anvil.height}, not complete" in done.stdout
    assert "native value, calls inside transactions and fees" in done.stdout
    assert "set aside" in done.stdout
    (one,) = coverage(tmp_path, account.lower())
    assert (one.first_height, one.complete) == (40, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{address}", "--chain", "regtest"], "name where to read from"),
        (["{address}", "--chain", "regtest", "--api", "{api}", "--rpc", "{api}"], "comes from one place"),
        (["{address}", "--chain", "regtest", "--api", "{api}", "--from", "5"], "has no logs and no tokens"),
        (["{address}", "--chain", "testnet", "--api", "{api}"], "is not an address"),
        (["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "--api", "{api}"], "serves a chain that starts with"),
        (["nonsense", "--api", "{api}"], "is not an address"),
        (["{address}", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "--api", "{api}"], "of several chains"),
        (["script-" + "0" * 40, "--chain", "regtest", "--api", "{api}"], "no indexer can be asked"),
        (["{address}", "--chain", "regtest", "--api", "ftp://x"], "http:// or https://"),
        (["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "--api", "{api}"], "give --rpc"),
        (["4" + "8" * 94, "--chain", "monero", "--api", "{api}"], "cannot be read through an indexer"),
        (["0x" + "12" * 20, "--chain", "ethereum", "--api", "{api}", "--from", "5"], "are for logs"),
        (["0x" + "12" * 20, "--chain", "ethereum", "--api", "{api}"], "does not say which chain it serves"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str],
    message: str,
    node: RegtestNode,
    indexer: Esplora,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.format(address=address(node, "p2wpkh", 0), api=indexer.url) for word in words]
    monkeypatch.setattr(sys, "argv", ["silkscreen", "pull", *given, "--dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, said.err.strip().count("\n")) == ("", 0)
    assert not (tmp_path / "ledger.duckdb").exists()


def test_an_indexer_that_is_down_is_named(node: RegtestNode, tmp_path: Path) -> None:
    script = (
        "import functools, chains.bitcoin.service, chains.rpc\n"
        "quick = functools.partial(chains.rpc.RpcLimits, attempts=2, first_pause_seconds=0.01)\n"
        "chains.rpc.RpcLimits = quick\n"
        "from api.cli import main; main()"
    )
    words = [
        "pull",
        address(node, "p2wpkh", 0),
        "--chain",
        "regtest",
        "--api",
        "http://user:word@127.0.0.1:9",
    ]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(tmp_path),
    )
    assert done.returncode == 1
    assert "http://127.0.0.1:9 did not answer (tried 2 times" in done.stderr
    assert "word@" not in done.stderr
    assert not (tmp_path / "ledger.duckdb").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_ends_cleanly_between_addresses(
    how: signal.Signals, node: RegtestNode, indexer: Esplora, tmp_path: Path
) -> None:
    accounts = [address(node, "p2wpkh", number) for number in (10, 0)]

    def wait(path: str, answer: object) -> object:
        if accounts[1] in path and process.poll() is None:
            process.send_signal(how)
            time.sleep(1.0)
        return answer

    words = command(*accounts, "--chain", "regtest", "--api", indexer.url, folder=tmp_path)
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    indexer.alter = wait
    out, err = process.communicate(timeout=120)
    indexer.alter = lambda _, answer: answer
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "stopped; each address is in whole or not at all" in out
    assert coverage(tmp_path, accounts[0])
    assert coverage(tmp_path, accounts[1]) == []
    rest = run(*accounts, "--chain", "regtest", "--api", indexer.url, folder=tmp_path)
    assert rest.returncode == 0
    assert coverage(tmp_path, accounts[1])
