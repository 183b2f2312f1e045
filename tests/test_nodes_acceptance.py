"""The whole way with real nodes: sync over HTTP, SIGKILL half-way, resume, build, screen, to the last unit.

The balances of the ledger are compared with the nodes' own: the set of unspent outputs of Bitcoin Core's
consensus code, the state of an EVM node, and `balanceOf` of each token's contract.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.address import script_account
from chains.errors import LedgerError
from tests.nodes import ledgers
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.core_answers import describe_script
from tests.nodes.ledgers import Portions, balances, command, json_of, start_sync, synced_to
from tests.nodes.proxy import run_proxy
from tests.nodes.regtest import RegtestNode, run_regtest
from tests.nodes.worlds import check_invariants

REGTEST, REGTEST_ID = "bitcoin-regtest", "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"
ANVIL = "eip155:31337"
LAST_TRANSFER = 80  # of the EVM history; the blocks above it are empty
BTC, ETH = "slip44:1", "slip44:60"


@pytest.fixture(scope="module")
def regtest() -> Iterator[RegtestNode]:
    with run_regtest() as node:
        node.mine(5)
        node.reorg(3)
        yield node


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with run_anvil() as node:
        yield node


def expected_coins(node: RegtestNode) -> dict[str, int]:
    """Satoshi by the ledger's name of the account, over what can and what cannot be spent."""
    sums: Counter[str] = Counter()
    for script, sat in [*node.unspent().items(), *node.unspendable().items()]:
        sums[describe_script(script).get("address") or script_account(script.hex())] += sat
    return dict(sorted(sums.items()))


def kill_half_way(chain: str, url: str, folder: Path, *words: str, height: int) -> int:
    """Sync in small commits, kill it with SIGKILL in the middle, and return how far it had come.

    Once a third is in the ledger the proxy holds every request back, so that there is no end before the kill.
    """
    middle, killed = threading.Event(), threading.Event()

    def before(number: int, methods: list[str]) -> None:
        if not middle.is_set() and synced_to_now(folder, chain) >= height // 3:
            middle.set()
        if middle.is_set():
            killed.wait(60)

    with run_proxy(url) as proxy:
        proxy.before = before
        process = start_sync(chain, proxy.url, folder, *words, portions=Portions())
        try:
            while process.poll() is None and not middle.wait(0.05):
                pass
            assert process.poll() is None, (folder / "sync.log").read_text()
        finally:
            process.kill()
            process.wait()
            killed.set()
    return synced_to(folder, chain)


def synced_to_now(folder: Path, chain: str) -> int:
    """How far the ledger is, where nobody holds it just now."""
    try:
        return synced_to(folder, chain)
    except LedgerError:
        return -1


def anvil_words(node: Anvil, folder: Path) -> list[str]:
    """Import the node's first state, and return what sync needs to know of its tokens."""
    words = ["--listed", node.contracts["Coin"]]
    words += ["--profile", f"{node.contracts['TetherLike']}=tether"]
    words += ["--profile", f"{node.contracts['WrappedLike']}=weth"]
    command("import", "genesis", str(node.genesis), "--chain", ANVIL, folder=folder)
    return words


def check_account_chain(node: Anvil, folder: Path) -> None:
    """The ledger says of every account and every token what the node's own state says."""
    assert balances(folder, ETH) == node.balances()
    known = {account.address.lower() for account in node.accounts} | {
        contract.lower() for contract in node.contracts.values()
    }
    for name in ("Coin", "TetherLike", "WrappedLike", "OldToken"):
        contract = node.history.tokens[name]
        said = balances(folder, f"erc20:{contract}")
        assert said == node.token_balances(contract, sorted(known | set(said))), name
        assert said, name


def sync_killed_half_way(chain: str, url: str, folder: Path, *words: str, height: int) -> None:
    """Sync blocks 0 to `height`, killed in the middle, and again until nothing is missing."""
    to = ["--from", "0", "--to", str(height)]
    reached = kill_half_way(chain, url, folder, *words, *to, height=height)
    line = ["sync", chain, "--rpc", url, *words, *to, "--json"]
    result = json_of(command(*line, folder=folder))
    assert (result["first"], result["last"]) == (reached + 1, height)


def test_both_nodes_killed_half_way_resumed_built_and_screened(
    regtest: RegtestNode, anvil: Anvil, tmp_path: Path
) -> None:
    sync_killed_half_way(REGTEST, regtest.url, tmp_path, height=regtest.height)
    assert balances(tmp_path, BTC) == expected_coins(regtest)
    assert ledgers.last_hash(tmp_path).hex() == regtest.tip

    words = anvil_words(anvil, tmp_path)
    sync_killed_half_way(ANVIL, anvil.url, tmp_path, *words, height=anvil.height)
    check_account_chain(anvil, tmp_path)
    check_events(anvil, tmp_path)
    assert balances(tmp_path, BTC) == expected_coins(regtest)  # one ledger holds both

    check_invariants(tmp_path)

    built = json_of(command("build", "--json", folder=tmp_path))
    assert built["heads"][REGTEST_ID]["height"] == regtest.height
    assert built["heads"][ANVIL]["height"] == LAST_TRANSFER
    payer = f"{ANVIL}:{anvil.accounts[1].address}"
    miner = next(account for account in expected_coins(regtest) if account.startswith("bcrt1"))
    shown = command("screen", payer, f"{REGTEST_ID}:{miner}", "--json", folder=tmp_path)
    found = {json_of(line)["subject"]["account_id"] for line in shown.splitlines()}
    assert found == {payer.lower(), f"{REGTEST_ID}:{miner}"}


def check_events(node: Anvil, folder: Path) -> None:
    """What was forged stays as it was said, too large amounts are set aside, freezes are dated claims."""
    forged = balances(folder, f"erc20:{node.history.tokens['Forger']}")
    assert sorted(forged.values()) == [-(10**38 - 1), 10**38 - 1]
    held, _ = ledgers.held(folder)
    assert [row[2] for row in held["quarantine"]] == ["too_large", "too_large"]
    frozen = node.accounts[2].address.lower()
    assert [(row[6], row[7]) for row in held["freezes"]] == [(frozen, True), (frozen, False)]
    assert [(row[0], row[6] is not None) for row in held["labels"]] == [(frozen, True)]  # and withdrawn


@pytest.mark.slow
def test_fees_for_blobs_are_burned(tmp_path: Path) -> None:
    with run_anvil(blob=True) as node:
        words = anvil_words(node, tmp_path)
        command("sync", ANVIL, "--rpc", node.url, *words, folder=tmp_path)
        assert "blob" in node.history.hashes
        check_account_chain(node, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("internal", ["trace_block", "callTracer"])
def test_internal_calls_come_from_either_tracer(anvil: Anvil, tmp_path: Path, internal: str) -> None:
    words = [*anvil_words(anvil, tmp_path), "--internal", internal]
    command("sync", ANVIL, "--rpc", anvil.url, *words, folder=tmp_path)
    check_account_chain(anvil, tmp_path)


@pytest.mark.slow
def test_without_traces_the_gap_is_what_internal_calls_moved(anvil: Anvil, tmp_path: Path) -> None:
    words = [*anvil_words(anvil, tmp_path), "--internal", "none"]
    command("sync", ANVIL, "--rpc", anvil.url, *words, folder=tmp_path)
    ours, its = balances(tmp_path, ETH), anvil.balances()
    assert ours != its
    called = {f"0x{0xF00 + place:040x}" for place in range(4)}
    assert called & set(its)
    assert not called & set(ours)
