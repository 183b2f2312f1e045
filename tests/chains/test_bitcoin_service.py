"""Histories of Bitcoin addresses through bitcoinlib, against the regtest chain and the node's own blocks.

The faults of bitcoinlib 0.7.10 that are handled are each shown twice: how its own provider fares on the same
server, and that ours is right. A fault that a later version mends fails its first half, and can go.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chains.bitcoin import indexers as bitcoin_indexers
from chains.bitcoin.node import BitcoinNode
from chains.bitcoin.scripts import script_holder
from chains.bitcoin.service import BitcoinService, load_library
from chains.errors import BadAnswer, InputError, NodeError, NodeRefused, NodeUnavailable, RpcError, WrongChain
from chains.history import History
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.mangled import mangle
from tests.nodes.esplora import Esplora, Watching, run_esplora, run_watching, script_address
from tests.nodes.regtest import RegtestNode, run_regtest
from tests.nodes.wallet import KINDS

REGTEST = find_chain("regtest")
QUICK = RpcLimits(attempts=3, first_pause_seconds=0.001, longest_pause_seconds=0.01, timeout_seconds=20)
BUSY, SEQUENCE_5 = 700, 701
"""Numbers of wallet keys: one with sixty rewards, one that is paid by a transaction of version 1."""


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as made:
        busy = made.wallet.script("p2wpkh", BUSY)
        for _ in range(60):
            made.chain.mine(payouts=[(busy, None)])
        _mine_odd_transactions(made)
        made.mine(6, payments=0)
        yield made


def _mine_odd_transactions(made: RegtestNode) -> None:
    """What bitcoinlib does not take: a hundred and twenty outputs; version 1 with a sequence of 5."""
    script, miner = made.wallet.script("p2a"), [(made.wallet.script("p2tr", 3), None)]
    own = [coin for coin in made.chain.coins.values() if coin.height <= made.height - 100]
    source = max((coin for coin in own if made.wallet.owns(coin)), key=lambda coin: coin.amount_sat)
    funding = made.wallet.pay([source], [(script, source.amount_sat - 1_000)])
    made.chain.mine([funding], payouts=miner)
    coin = made.chain.coins[funding.txid(), 0]
    many = [(made.wallet.script("p2wpkh", BUSY), 1_000 + place) for place in range(119)]
    rest = coin.amount_sat - sum(sat for _, sat in many) - 50_000
    payout = made.wallet.pay([coin], [*many, (script, rest)])
    made.chain.mine([payout], payouts=miner)
    change = made.chain.coins[payout.txid(), 119]
    old = made.wallet.pay([change], [(made.wallet.script("p2pkh", SEQUENCE_5), rest - 1_000)])
    old.version, old.vin[0].sequence = 1, 5  # spends what needs no signature: it may be changed
    made.chain.mine([old], payouts=miner)
    made.history.txids.update({"hundred-twenty": payout.txid().hex(), "version-1": old.txid().hex()})


@pytest.fixture
def indexer(node: RegtestNode) -> Iterator[Esplora]:
    with run_esplora(node) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bitcoinlib")


@pytest.fixture
def service(indexer: Esplora, folder: Path) -> Iterator[BitcoinService]:
    with BitcoinService(indexer.url, REGTEST, provider="esplora", folder=folder, limits=QUICK) as made:
        yield made


def address(node: RegtestNode, kind: str, number: int) -> str:
    found = script_address(node.wallet.script(kind, number))
    assert found is not None
    return found


def read(service: BitcoinService, account: str, *, first: int = 0, most: int = 10_000) -> History:
    return service.read_history(account, first=first, most=most)


def txids(history: History) -> set[str]:
    return {row["hash"].hex() for row in history.batch.transfers.to_pylist()}


def shown(history: History) -> dict[str, tuple[Any, ...]]:
    """What a history says of each transaction, but for what only whole blocks tell (places)."""
    legs: dict[int, list[tuple[Any, ...]]] = {}
    for leg in history.batch.legs.to_pylist():
        legs.setdefault(leg.pop("transfer"), []).append(tuple(leg.values()))
    return {
        row["hash"].hex(): (
            *(row["height"], row["kind"], row["part"], row["time"], row["asset"], row["block_hash"]),
            *sorted(legs.get(row["transfer"], []), key=str),
        )
        for row in history.batch.transfers.to_pylist()
    }


@pytest.fixture(scope="module")
def whole(node: RegtestNode) -> dict[str, tuple[Any, ...]]:
    """What the node's own blocks say of every transaction."""
    with BitcoinNode(node.url, REGTEST) as source:
        return shown(History(source.read_blocks(0, node.height), 0, node.height))


def stock(folder: Path, url: str, provider: str, client: str, **more: Any) -> Any:
    """Open bitcoinlib's Service on a provider of its own, as its documentation says."""
    services = load_library(folder)
    path = Path(services.BCL_DATA_DIR, "providers.json")
    entries = json.loads(path.read_text("utf-8"))
    entry = {"provider": provider, "network": "regtest", "client_class": client, "url": url}
    entries["stock"] = entry | {"api_key": "", "priority": 1, "denominator": 100_000_000}
    path.write_text(json.dumps(entries), "utf-8")
    return services.Service(
        network="regtest", provider_name="stock", cache_uri="", strict=False, timeout=20, **more
    )


def stock_esplora(folder: Path, indexer: Esplora) -> Any:
    return stock(folder, indexer.url + "/", "blockstream", "BlockstreamClient")


# --- what is read


def test_every_address_has_the_transactions_that_the_blocks_have(
    node: RegtestNode, service: BitcoinService, whole: dict[str, tuple[Any, ...]]
) -> None:
    numbers = {"p2wpkh": [0, 8, 10, 20, BUSY], "p2pkh": [10, 21, 401, SEQUENCE_5], "p2tr": [3, 10, 22]}
    read_so_far = 0
    for kind in KINDS:
        for number in numbers.get(kind, [10, 21]):
            account = script_address(node.wallet.script(kind, number))
            if account is None:
                continue
            history = read(service, account)
            expected = {
                txid: said
                for txid, said in whole.items()
                if any(leg[2] == account for leg in said[6:]) and said[0] <= node.height - 5
            }
            assert shown(history) == expected, (kind, number)
            assert expected
            read_so_far += len(expected)
            assert (history.first_height, history.last_height) == (0, node.height - 5)
            assert not history.cut
            assert not history.note
    assert read_so_far > 90


def test_only_blocks_with_six_confirmations_are_read_and_the_rest_is_counted(
    node: RegtestNode, indexer: Esplora, folder: Path
) -> None:
    account = address(node, "p2tr", 3)
    node_height = node.height
    made = node.wallet.script("p2tr", 3)
    history = node.chain.mine(payouts=[(made, None)])
    assert history
    try:
        with BitcoinService(indexer.url, REGTEST, provider="esplora", folder=folder) as service:
            found = read(service, account)
            assert (found.last_height, found.pending) == (node_height + 1 - 5, 1)
            assert found.batch.transfers["height"].to_pylist()[-1] < node_height
        with BitcoinService(
            indexer.url, REGTEST, provider="esplora", folder=folder, confirmations=1
        ) as service:
            found = read(service, account)
            assert (found.last_height, found.pending) == (node_height + 1, 0)
            assert found.batch.transfers["height"].to_pylist()[-1] == node_height + 1
    finally:
        node.mine(6, payments=0)


def test_a_second_reading_asks_for_what_is_new_only(
    node: RegtestNode, indexer: Esplora, service: BitcoinService
) -> None:
    account = address(node, "p2wpkh", BUSY)
    history = read(service, account)
    middle = history.batch.transfers["height"].to_pylist()[20]
    indexer.asked.clear()
    later = read(service, account, first=middle)
    assert shown(later) == {txid: said for txid, said in shown(history).items() if said[0] >= middle}
    assert len([path for path in indexer.asked if "/txs" in path]) == 2
    assert later.first_height == middle
    nothing = read(service, account, first=node.height)
    assert nothing.batch.transfers.num_rows == 0


def test_a_service_is_cut_at_whole_blocks(node: RegtestNode, service: BitcoinService) -> None:
    account = address(node, "p2wpkh", BUSY)
    history = read(service, account)
    part = read(service, account, most=30)
    assert part.cut
    assert "more than 30" in part.note
    assert part.first_height > 0
    newest = {txid for txid, said in shown(history).items() if said[0] >= part.first_height}
    assert txids(part) == newest
    assert 25 <= len(newest) < len(txids(history))


def test_an_address_without_a_history_has_an_empty_one(service: BitcoinService, node: RegtestNode) -> None:
    history = read(service, address(node, "p2tr", 4_444))
    assert history.batch.transfers.num_rows == history.batch.legs.num_rows == 0
    assert not history.note


def test_two_services_are_open_at_once(node: RegtestNode, folder: Path) -> None:
    account = address(node, "p2wpkh", 0)
    with run_esplora(node) as one, run_esplora(node) as two:
        first = BitcoinService(one.url, REGTEST, provider="esplora", folder=folder)
        with BitcoinService(two.url, REGTEST, provider="esplora", folder=folder) as second:
            first.close()
            first.close()
            assert txids(read(second, account))
        assert one.asked
        assert not any("/txs" in path for path in one.asked)


def test_other_chains_are_refused(node: RegtestNode, indexer: Esplora, folder: Path) -> None:
    with pytest.raises(WrongChain, match="serves a chain that starts with 0f9188"):
        BitcoinService(indexer.url, find_chain("bitcoin"), provider="esplora", folder=folder)
    with pytest.raises(InputError, match="zcash is none of them"):
        BitcoinService(indexer.url, find_chain("zcash"), provider="esplora", folder=folder)
    with pytest.raises(WrongChain):
        BitcoinService(node.url, find_chain("bitcoin"), provider="bitcoind", folder=folder)


# --- the faults of bitcoinlib


def test_import_leaves_no_trace_outside_the_folder(
    tmp_path: Path, indexer: Esplora, node: RegtestNode
) -> None:
    """It writes to the home folder, warns, and keeps a log of its own with what passes through it."""
    script = (
        "import sys, logging, warnings\n"
        "from pathlib import Path\n"
        "from chains.bitcoin.service import BitcoinService\n"
        "from chains.registry import find_chain\n"
        "filters = list(warnings.filters)\n"
        "place = Path(sys.argv[2])\n"
        "chain = find_chain('regtest')\n"
        "with BitcoinService(sys.argv[1], chain, provider='esplora', folder=place) as service:\n"
        "    service.read_history(sys.argv[3], first=0, most=100)\n"
        "assert warnings.filters == filters\n"
        "assert [type(h).__name__ for h in logging.getLogger('bitcoinlib').handlers] == ['NullHandler']\n"
    )
    home, cache = tmp_path / "home", tmp_path / "cache" / "bitcoinlib"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "BCL_DATA_DIR"}
    url = indexer.url.replace("://", "://user:secret-word@")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, url, str(cache), address(node, "p2wpkh", 0)],
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(home)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert cache / "providers.json" in files
    for path in files:
        assert b"secret-word" not in path.read_bytes()
        assert path.suffix != ".sqlite"
        assert path.name != "bitcoinlib.log" or path.stat().st_size == 0


def test_importing_it_plainly_warns(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import bitcoinlib.services.services"],
        capture_output=True,
        text=True,
        env=os.environ | {"BCL_DATA_DIR": str(folder)},
        check=False,
    )
    assert "MovedIn20Warning" in done.stderr


@pytest.mark.parametrize(
    ("kind", "guess"),
    [
        ("p2pkh", "prefix of the main network"),
        ("p2sh-multisig", "prefix of the main network"),
        ("p2pk", "an address where there is none"),
        ("multisig", "an address where there is none"),
    ],
)
def test_accounts_come_from_scripts(
    kind: str, guess: str, node: RegtestNode, service: BitcoinService, folder: Path
) -> None:
    """bitcoinlib writes regtest's P2PKH and P2SH as the main network's, and P2PK and multisig as others."""
    services = load_library(folder)
    script = node.wallet.script(kind, 10)
    parts = sys.modules[services.Transaction.__module__]
    out = parts.Output(1, lock_script=script, strict=False, network="regtest")
    right = script_holder(script, REGTEST)
    assert out.address != right, guess
    assert bool(out.address), guess
    fan = shown(read(service, address(node, "p2wpkh", 10)))[node.history.txids["fan-10"]]
    accounts = [leg[2] for leg in fan[6:]]
    assert right in accounts
    assert out.address not in accounts


@pytest.mark.parametrize("kind", ["p2a", "witness-v2"])
def test_later_witness_versions_are_no_taproot(
    kind: str, node: RegtestNode, service: BitcoinService, folder: Path
) -> None:
    services = load_library(folder)
    script = node.wallet.script(kind)
    parts = sys.modules[services.Transaction.__module__]
    assert parts.Output(1, lock_script=script, strict=False, network="regtest").script_type == "p2tr"
    account = address(node, kind, 0)
    assert account in {leg["account"] for leg in read(service, account).batch.legs.to_pylist()}


def test_inputs_keep_the_script_that_they_spend(
    node: RegtestNode, service: BitcoinService, folder: Path
) -> None:
    """bitcoinlib replaces what a P2WPKH input spends by a P2PKH script, and leaves a P2TR input nameless."""
    services = load_library(folder)
    parts = sys.modules[services.Transaction.__module__]
    for kind in ("p2wpkh", "p2tr"):
        txid = node.history.txids[f"spend-{kind}"]
        raw = node.answer("getrawtransaction", [txid, 0])
        spent = parts.Transaction.parse_hex(raw, strict=False, network="regtest").inputs[0]
        script, account = node.wallet.script(kind, 10), address(node, kind, 10)
        assert spent.locking_script != script
        assert spent.address == ("" if kind == "p2tr" else account)
        legs = shown(read(service, account))[txid][6:]
        assert [leg[2] for leg in legs if leg[0] == "payer"] == [account]


@pytest.mark.parametrize("name", ["notes", "hundred-twenty"])
def test_what_it_refuses_is_read(
    name: str, node: RegtestNode, indexer: Esplora, service: BitcoinService, folder: Path
) -> None:
    """It refuses an OP_RETURN output with a value, and more than 101 outputs; the address is lost with it."""
    account = address(node, "p2wpkh", 10 if name == "notes" else BUSY)
    services = load_library(folder)
    own = stock_esplora(folder, indexer)
    with pytest.raises(services.ServiceError, match="No successful response"):
        own.gettransactions(account, limit=1_000)
    assert node.history.txids[name] in txids(read(service, account))


def test_versions_stay_as_they_are(
    node: RegtestNode, indexer: Esplora, service: BitcoinService, folder: Path
) -> None:
    """It makes version 2 of a version 1 whose input has a low sequence: the hash would be another."""
    services = load_library(folder)
    changed = services.Transaction(version=1, network="regtest")
    changed.add_input("ab" * 32, 0, sequence=5, strict=False)
    assert changed.version_int == 2
    account, txid = address(node, "p2pkh", SEQUENCE_5), node.history.txids["version-1"]
    assert txid in txids(read(service, account))
    with pytest.raises(services.ServiceError):  # it knows regtest's P2PKH addresses under another prefix
        stock_esplora(folder, indexer).gettransactions(account, limit=10)


def test_a_whole_history_is_paged_through(
    node: RegtestNode, indexer: Esplora, service: BitcoinService, folder: Path
) -> None:
    """Its pages end where one is not 25 long: transactions that wait stand before the first."""
    account = address(node, "p2wpkh", 8)
    coin = next(coin for coin in node.chain.coins.values() if coin.script == node.wallet.script("p2tr", 22))
    busy = address(node, "p2wpkh", 0)
    waiting = node.wallet.pay([coin], [(node.wallet.script("p2wpkh", number), 500) for number in (0, 8)])
    indexer.page = 5
    assert len(txids(read(service, busy))) > 20
    indexer.page = 25
    indexer.waiting.append(waiting)
    services = load_library(folder)
    with pytest.raises(services.ServiceError):
        stock_esplora(folder, indexer).gettransactions(account, limit=100)
    history = read(service, account)
    assert history.pending >= 1
    assert waiting.txid().hex() not in txids(history)
    assert history.batch.transfers.num_rows > 0


def test_it_asks_once_a_page_and_not_once_an_output(
    node: RegtestNode, indexer: Esplora, service: BitcoinService, folder: Path
) -> None:
    account = address(node, "p2wpkh", 0)
    own = stock_esplora(folder, indexer)
    indexer.asked.clear()
    found = own.gettransactions(account, limit=100)
    outputs = sum(len(transaction.outputs) for transaction in found)
    assert len([path for path in indexer.asked if "outspend" in path]) == outputs > 20
    indexer.asked.clear()
    assert len(txids(read(service, account))) >= len(found) - 1
    assert len(indexer.asked) <= 4


def test_reasons_of_failures_are_told(
    node: RegtestNode, indexer: Esplora, service: BitcoinService, folder: Path
) -> None:
    """Its Service says that no provider answered, whatever happened."""
    account = address(node, "p2wpkh", 0)
    services = load_library(folder)
    own = stock_esplora(folder, indexer)
    indexer.alter = lambda path, answer: (429, "slow down") if "/txs" in path else answer
    with pytest.raises(services.ServiceError, match="No successful response"):
        own.gettransactions(account, limit=100)
    with pytest.raises(NodeUnavailable, match="HTTP status 429"):
        read(service, account)
    indexer.alter = lambda path, answer: (400, "Invalid Bitcoin address") if "/address" in path else answer
    with pytest.raises(RpcError, match="Invalid Bitcoin address"):
        read(service, account)
    indexer.alter = lambda path, answer: (401, "no") if "/address" in path else answer
    with pytest.raises(NodeRefused):
        read(service, account)


def test_what_can_pass_is_tried_again(node: RegtestNode, indexer: Esplora, service: BitcoinService) -> None:
    failures = iter([(503, "busy"), b'[{"txid": "cut', (502, "bad gateway"), (500, "oops")])

    def fail(path: str, answer: Any) -> Any:
        return next(failures, answer) if "/txs/chain" in path and len(indexer.asked) % 2 else answer

    indexer.alter = fail
    account = address(node, "p2wpkh", 10)
    assert node.history.txids["notes"] in txids(read(service, account))


def test_nobody_there_is_no_error_of_the_library(folder: Path) -> None:
    """Its constructor asks for the height, and fails with an error that names no reason."""
    with pytest.raises(NodeUnavailable, match=r"tried 3 times"):
        BitcoinService("http://127.0.0.1:9", REGTEST, provider="esplora", folder=folder, limits=QUICK)


def test_redirects_are_not_followed(node: RegtestNode, indexer: Esplora, service: BitcoinService) -> None:
    indexer.alter = lambda path, answer: (302, "") if "/txs" in path else answer
    with pytest.raises(BadAnswer, match="it redirects"):
        read(service, address(node, "p2wpkh", 0))


def test_the_log_of_the_library_is_silent(
    node: RegtestNode, indexer: Esplora, service: BitcoinService, capfd: pytest.CaptureFixture[str]
) -> None:
    indexer.alter = lambda path, answer: (400, "no") if "/address" in path else answer
    with pytest.raises(RpcError):
        read(service, address(node, "p2wpkh", 0))
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("bitcoinlib").propagate


# --- indexers that lie


def _change(change: Callable[[dict[str, Any]], Any]) -> Callable[[str, Any], Any]:
    """Alter the first transaction of each page."""

    def alter(path: str, answer: Any) -> Any:
        if "/txs" in path and answer:
            changed = change(answer[0])
            return [changed, *answer[1:]] if changed is not None else answer
        return answer

    return alter


LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another output": (lambda tx: tx["vout"][0].update(value=1), "not the hash"),
    "another script": (lambda tx: tx["vout"][0].update(scriptpubkey="51"), "not the hash"),
    "another version": (lambda tx: tx.update(version=7), "not the hash"),
    "another hash": (lambda tx: tx.update(txid="ab" * 32), "not the hash"),
    "no hash": (lambda tx: tx.update(txid="\x1b[31m"), r"\\x1b"),
    "a number for a hash": (lambda tx: tx.update(txid=7), "where a hash belongs"),
    "a list for a transaction": (lambda _: [], "where an object belongs"),
    "a double": (lambda tx: tx["vout"][0].update(value=1.5), "1.5"),
    "true": (lambda tx: tx["vout"][0].update(value=True), "True"),
    "too much": (lambda tx: tx["vout"][0].update(value=2**63), "where a number"),
    "less than nothing": (lambda tx: tx["vout"][0].update(value=-1), "-1"),
    "an odd script": (lambda tx: tx["vout"][0].update(scriptpubkey="zz"), "where a script belongs"),
    "no outputs": (lambda tx: tx.update(vout=None), "where a list belongs"),
    "no status": (lambda tx: tx.update(status=None), "where an object belongs"),
    "not in a block": (lambda tx: tx["status"].update(confirmed=False), "is in none"),
    "a height of text": (lambda tx: tx["status"].update(block_height="5"), "where a number"),
    "a time to come": (lambda tx: tx["status"].update(block_time=10**15), "where a number"),
    "no block": (lambda tx: tx["status"].update(block_hash=None), "where a hash belongs"),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_found(name: str, node: RegtestNode, indexer: Esplora, service: BitcoinService) -> None:
    change, words = LIES[name]
    indexer.alter = _change(change)
    with pytest.raises(BadAnswer, match=words) as caught:
        read(service, address(node, "p2wpkh", 0))
    assert str(caught.value).isprintable()


def test_a_lie_about_what_is_spent_is_found_where_it_creates_money(
    node: RegtestNode, indexer: Esplora, service: BitcoinService
) -> None:
    def change(tx: dict[str, Any]) -> None:
        tx["vin"][0]["prevout"].update(value=0)

    indexer.alter = _change(change)
    with pytest.raises(BadAnswer, match="pays more than it spends"):
        read(service, address(node, "p2tr", 22))


def test_transactions_of_others_are_refused(
    node: RegtestNode, indexer: Esplora, service: BitcoinService
) -> None:
    other = indexer.answer(f"/address/{address(node, 'p2tr', 22)}/txs/chain")
    indexer.alter = lambda path, answer: other if path.endswith("/txs/chain") else answer
    with pytest.raises(BadAnswer, match="does not touch the address"):
        read(service, address(node, "p2wpkh", 0))


def test_pages_that_repeat_are_refused(node: RegtestNode, indexer: Esplora, service: BitcoinService) -> None:
    account = address(node, "p2wpkh", BUSY)
    first = indexer.answer(f"/address/{account}/txs/chain")
    indexer.alter = lambda path, answer: first if "/txs/chain" in path else answer
    with pytest.raises(BadAnswer, match="of an earlier one"):
        read(service, account)


def test_a_history_that_breaks_off_is_not_taken_for_whole(
    node: RegtestNode, indexer: Esplora, service: BitcoinService
) -> None:
    account = address(node, "p2wpkh", BUSY)
    indexer.alter = lambda path, answer: [] if "/txs/chain/" in path else answer
    history = read(service, account)
    assert history.last_height == history.first_height - 1
    assert "counts 61 transactions and gave 25" in history.note
    assert history.batch.transfers.num_rows > 0


@pytest.mark.parametrize("answer", [b"<html>no</html>", b"[" * 100_000, b'"text"', b"12", b"null", b"{}"])
def test_what_is_no_list_of_transactions_is_refused(
    answer: bytes, node: RegtestNode, indexer: Esplora, service: BitcoinService
) -> None:
    indexer.alter = lambda path, said: answer if "/txs" in path else said
    with pytest.raises(BadAnswer):
        read(service, address(node, "p2wpkh", 0))


def test_an_endless_answer_is_cut(node: RegtestNode, indexer: Esplora, folder: Path) -> None:
    small = RpcLimits(attempts=2, first_pause_seconds=0.001, largest_answer_bytes=10_000)
    indexer.alter = lambda path, said: b"[" + b" " * 20_000 if "/txs" in path else said
    with (
        BitcoinService(indexer.url, REGTEST, provider="esplora", folder=folder, limits=small) as service,
        pytest.raises(BadAnswer, match="larger than"),
    ):
        read(service, address(node, "p2wpkh", 0))


def _mangled(part: str, seed: int, path: str, answer: Any) -> Any:
    return mangle(answer, seed) if part in path else answer


@pytest.mark.parametrize("part", ["/txs", "/address", ""])
def test_mangled_answers_end_in_an_error_for_a_person_or_in_a_true_history(
    part: str,
    node: RegtestNode,
    indexer: Esplora,
    service: BitcoinService,
    whole: dict[str, tuple[Any, ...]],
) -> None:
    account = address(node, "p2wpkh", 10)
    refused: list[str] = []
    for seed in range(150):
        indexer.alter = partial(_mangled, part, seed)
        try:
            history = read(service, account)
        except NodeError as error:
            refused.append(str(error))
        else:
            for said in shown(history).values():
                assert any(said[5:] == true[5:] or said[6:] == true[6:] for true in whole.values()), seed
    assert len(refused) > 50
    assert all(words.isprintable() for words in refused)


# --- bitcoind


@pytest.fixture
def watched(node: RegtestNode) -> list[str]:
    return [address(node, "p2wpkh", 10), address(node, "p2tr", 10), address(node, "p2wpkh", BUSY)]


@pytest.fixture
def wallet(node: RegtestNode, watched: list[str]) -> Iterator[Watching]:
    with run_watching(node, watched, user="reader:pass-word") as made:
        yield made


@pytest.mark.parametrize("undo", [True, False])
def test_a_wallet_tells_what_the_blocks_tell(
    undo: bool,
    wallet: Watching,
    watched: list[str],
    node: RegtestNode,
    folder: Path,
    whole: dict[str, tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bitcoin_indexers, "WALLET_PAGE", 7)
    wallet.undo = undo
    with BitcoinService(wallet.url, REGTEST, provider="bitcoind", folder=folder, limits=QUICK) as service:
        assert service.shown_url.startswith("http://127.0.0.1")
        for account in watched:
            history = read(service, account)
            expected = {
                txid: said
                for txid, said in whole.items()
                if any(leg[2] == account for leg in said[6:]) and said[0] <= node.height - 5
            }
            assert shown(history) == expected
            assert expected
            assert history.unread
            assert None not in history.batch.transfers["position"].to_pylist()
        part = read(service, watched[2], most=20)
        assert part.cut
        assert txids(part) == {
            txid for txid, said in shown(read(service, watched[2])).items() if said[0] >= part.first_height
        }


def test_its_own_bitcoind_client_misses_what_is_spent(
    wallet: Watching, watched: list[str], node: RegtestNode, folder: Path
) -> None:
    """A wallet lists a payment under its payee: the client looks for the address among these."""
    own = stock(folder, wallet.url, "bitcoind", "BitcoindClient")
    wallet.alter = lambda method, answer: (
        [{"address": ""} | entry for entry in answer] if method == "listtransactions" else answer
    )  # without this, entries without an address, such as those of OP_RETURN, end it
    paid_out = node.history.txids["spend-p2tr"]
    found = {one.txid for one in own.gettransactions(watched[1], limit=100)}
    assert found
    assert paid_out not in found
    wallet.alter = lambda _, answer: answer
    services = load_library(folder)
    with pytest.raises(services.ServiceError, match="No successful response"):
        own.gettransactions(watched[1], limit=100)
    with BitcoinService(wallet.url, REGTEST, provider="bitcoind", folder=folder, limits=QUICK) as service:
        assert paid_out in txids(read(service, watched[1]))


def test_an_open_node_needs_no_password(node: RegtestNode, watched: list[str], folder: Path) -> None:
    """Without user and password its client has no header to send, and says that nobody answered."""
    with run_watching(node, watched) as bare:
        services = load_library(folder)
        with pytest.raises(services.ServiceError, match="No successful response"):
            stock(folder, bare.url, "bitcoind", "BitcoindClient")
        with BitcoinService(bare.url, REGTEST, provider="bitcoind", folder=folder) as service:
            assert txids(read(service, watched[0]))


def test_amounts_are_decimals(node: RegtestNode, watched: list[str], folder: Path) -> None:
    """It divides doubles: the quotient of a large amount is another number of satoshi."""
    wrong = 3_492_567_848_626_941  # of dogecoin, where there is so much
    assert round(float(Decimal(wrong) / 100_000_000) / 1e-08) != wrong
    link = bitcoin_indexers.BitcoindLink("http://127.0.0.1:9", QUICK)
    amount = bitcoin_indexers._decode_exactly(f'{{"value": {Decimal(wrong) / 100_000_000}}}'.encode())
    assert link._output(amount | {"scriptPubKey": {"hex": "51"}}, "x") == (wrong, b"\x51")
    for no_json in ("NaN", "Infinity", "[" * 2_000):
        with pytest.raises(ValueError, match="line 1"):
            bitcoin_indexers._decode_exactly(f'{{"value": {no_json}}}'.encode())
    for odd in ("1e-9", "-1", "1e30", "true", '"1"'):
        told = bitcoin_indexers._decode_exactly(f'{{"value": {odd}}}'.encode())
        with pytest.raises(BadAnswer):
            link._output(told | {"scriptPubKey": {"hex": "51"}}, "x")
    link.client.close()


def test_a_wallet_that_does_not_watch_says_what_to_do(
    node: RegtestNode, wallet: Watching, folder: Path
) -> None:
    with BitcoinService(wallet.url, REGTEST, provider="bitcoind", folder=folder, limits=QUICK) as service:
        with pytest.raises(NodeError, match="importdescriptors") as caught:
            read(service, address(node, "p2wpkh", 0))
        assert "pass-word" not in str(caught.value)
    with (
        BitcoinService(node.url, REGTEST, provider="bitcoind", folder=folder, limits=QUICK) as service,
        pytest.raises(NodeError, match="it has no wallet open"),
    ):
        read(service, address(node, "p2wpkh", 0))


def test_a_node_that_is_still_reading_is_refused(node: RegtestNode, wallet: Watching, folder: Path) -> None:
    wallet.alter = lambda method, answer: (
        answer | {"initialblockdownload": True} if method == "getblockchaininfo" else answer
    )
    with pytest.raises(BadAnswer, match="wait until it has caught up"):
        BitcoinService(wallet.url, REGTEST, provider="bitcoind", folder=folder, limits=QUICK)
