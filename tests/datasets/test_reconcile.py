"""The ledger's balances beside those of real nodes: an EVM node, and a regtest node on Core's code."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chains.bitcoin.node import BitcoinNode
from chains.errors import BadAnswer, LedgerError
from chains.evm.node import EvmNode
from chains.holdings import ask_balances, ask_outputs, ask_supply, ask_unspent_set, check_state, open_client
from chains.registry import Chain, find_chain
from chains.rpc import RpcClient, RpcLimits
from datasets.holdings import take_holdings
from datasets.ingest import import_file
from datasets.reconcile import Compared, Reconciliation, compare_holdings
from datasets.store import open_ledger
from datasets.sync import SyncOptions, sync_chain
from tests.nodes import core_answers
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.regtest import RegtestNode, run_regtest
from tests.nodes.rpc_server import RpcFault, serve_rpc

EVM, REGTEST = find_chain("eip155:31337"), find_chain("regtest")
ETH, BTC = "slip44:60", "slip44:1"
QUICK = RpcLimits(attempts=2, first_pause_seconds=0.01)
Answer = Callable[[str, Sequence[Any]], Any]


def ledger_path(folder: Path) -> Path:
    return folder / "ledger.duckdb"


def sync(source: Any, folder: Path, **options: Any) -> None:
    sync_chain(
        source,
        ledger_path(folder),
        options=SyncOptions(poll_seconds=0.01, **options),
        tell=lambda event: None,
        code_version="test",
    )


def change(folder: Path, statement: str, *values: Any) -> None:
    with open_ledger(ledger_path(folder), write=True) as ledger:
        ledger.connection.execute(statement, list(values))


def compare(source: Any, url: str, chain: Chain, folder: Path, **options: Any) -> Reconciliation:
    with open_ledger(ledger_path(folder)) as ledger:
        taken = take_holdings(ledger, chain, folder / "taken.parquet", **options)
    with open_client(url, limits=QUICK) as client:
        return compare_holdings(source, client, taken)


def asset(found: Reconciliation, reference: str) -> Compared:
    (one,) = (one for one in found.assets if one.reference == reference)
    return one


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with run_anvil() as node:
        yield node


def evm_node(anvil: Anvil, **options: Any) -> EvmNode:
    tokens = {anvil.contracts["TetherLike"]: "tether", anvil.contracts["WrappedLike"]: "weth"}
    listed = [anvil.contracts["Coin"], *tokens]
    return EvmNode(anvil.url, EVM, **({"listed": listed, "profiles": tokens} | options))


@pytest.fixture(scope="module")
def whole(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ledger of the whole chain, its genesis included."""
    folder = tmp_path_factory.mktemp("whole")
    with open_ledger(ledger_path(folder), write=True) as ledger:
        import_file(ledger, "genesis", anvil.genesis, chain=EVM, code_version="test")
    with evm_node(anvil) as source:
        sync(source, folder, first=0)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copy(ledger_path(whole), ledger_path(tmp_path))
    return tmp_path


def test_every_balance_of_an_evm_node_is_the_ledgers(anvil: Anvil, whole: Path) -> None:
    with evm_node(anvil) as source:
        found = compare(source, anvil.url, EVM, whole)
    assert (found.gaps, found.unjudged, found.first, found.last) == (0, (), 0, anvil.height)
    assert found.block_hash == anvil.call("eth_getBlockByNumber", hex(anvil.height), False)["hash"]
    tokens = {f"erc20:{anvil.contracts[name].lower()}" for name in ("Coin", "TetherLike", "WrappedLike")}
    assert {one.reference for one in found.assets} == {ETH, *tokens}
    # Whoever ever held some is asked for: at least all that hold some now.
    assert asset(found, ETH).asked >= len(anvil.balances())


def test_a_part_of_a_chain_is_compared_by_what_changed(anvil: Anvil, tmp_path: Path) -> None:
    with evm_node(anvil) as source:
        sync(source, tmp_path, first=30, last=70)
        found = compare(source, anvil.url, EVM, tmp_path)
        assert (found.gaps, found.first, found.last) == (0, 30, 70)
        assert asset(found, ETH).asked > 5
        change(tmp_path, "UPDATE leg SET amount = amount + 1 WHERE side = 'payee' AND amount = 1000000000000")
        gaps = compare(source, anvil.url, EVM, tmp_path).gaps
    assert gaps > 0


def test_without_a_genesis_balances_are_compared_from_block_0_on(anvil: Anvil, tmp_path: Path) -> None:
    with evm_node(anvil) as source:
        sync(source, tmp_path, first=0)
        found = compare(source, anvil.url, EVM, tmp_path)
    assert (found.gaps, found.unjudged) == (0, ())


def test_a_token_that_speaks_otherwise_shows_as_gaps(anvil: Anvil, tmp_path: Path) -> None:
    with evm_node(anvil, profiles={}) as source:
        sync(source, tmp_path, first=0)
        found = compare(source, anvil.url, EVM, tmp_path)
    wrapped = asset(found, f"erc20:{anvil.contracts['WrappedLike'].lower()}")
    assert "a profile that sync was not told" in wrapped.note
    assert wrapped.gaps == 3  # two who deposited, and the supply; what was passed on is known
    supply, *holders = wrapped.first
    assert (supply.account, supply.what) == ("", "minted less burned, and the contract's totalSupply")
    assert {gap.account for gap in holders} < {account.address.lower() for account in anvil.accounts}
    assert all(gap.node is not None and gap.ledger != gap.node for gap in holders)
    assert asset(found, f"erc20:{anvil.contracts['Coin'].lower()}").gaps == 0
    assert asset(found, ETH).gaps == 0


def test_calls_that_were_not_read_show_as_gaps_with_the_reason(anvil: Anvil, tmp_path: Path) -> None:
    with evm_node(anvil, internal="none") as source:
        sync(source, tmp_path, first=0)
        found = compare(source, anvil.url, EVM, tmp_path)
    assert asset(found, ETH).gaps > 0
    assert asset(found, ETH).note == "internal calls were not read"


def test_an_amount_that_is_off_by_one_is_found_and_named(anvil: Anvil, copy: Path) -> None:
    payee = anvil.accounts[2].address.lower()
    change(
        copy,
        """
        UPDATE leg SET amount = amount + 1 WHERE transfer = (
            SELECT max(transfer) FROM leg JOIN transfer USING (transfer) JOIN address USING (address)
            WHERE account = $1 AND side = 'payee' AND kind = 'native'
        ) AND side = 'payee'
        """,
        payee,
    )
    with evm_node(anvil) as source:
        found = compare(source, anvil.url, EVM, copy)
    assert found.gaps == 1
    (gap,) = asset(found, ETH).first
    assert gap.ledger is not None
    assert (gap.account, gap.node) == (payee, gap.ledger - 1)
    assert gap.what == f"balance after block {anvil.height}"


def test_unlisted_tokens_are_compared_when_asked_for(anvil: Anvil, whole: Path) -> None:
    with evm_node(anvil) as source:
        found = compare(source, anvil.url, EVM, whole, unlisted=True)
    forged = asset(found, f"erc20:{anvil.contracts['Forger'].lower()}")
    assert forged.gaps >= 2  # its events say anything
    assert asset(found, f"erc20:{anvil.contracts['OldToken'].lower()}").gaps == 0


def test_a_sample_is_of_its_size_and_the_same_for_one_seed(whole: Path, tmp_path: Path) -> None:
    def sampled(seed: int) -> bytes:
        with open_ledger(ledger_path(whole)) as ledger:
            taken = take_holdings(ledger, EVM, tmp_path / "taken.parquet", sample=2, seed=seed)
        assert taken.rows == 2 * 4
        return taken.file.read_bytes()

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(5)}) > 1


def test_a_node_on_another_branch_or_behind_is_refused(anvil: Anvil, copy: Path) -> None:
    change(
        copy, "UPDATE block SET hash = repeat('o', 32)::BLOB WHERE height = (SELECT max(height) FROM block)"
    )
    with (
        evm_node(anvil) as source,
        pytest.raises(LedgerError, match=r"is 0x6f(6f)+ in the ledger, the node has 0x"),
    ):
        compare(source, anvil.url, EVM, copy)
    change(copy, "UPDATE block SET height = 9999 WHERE height = (SELECT max(height) FROM block)")
    change(copy, "UPDATE synced SET last_height = 9999")
    with (
        evm_node(anvil) as source,
        pytest.raises(LedgerError, match=r"the node does not have it: sync first"),
    ):
        compare(source, anvil.url, EVM, copy)


def test_a_chain_of_files_cannot_be_compared(tmp_path: Path) -> None:
    ledger = open_ledger(ledger_path(tmp_path), write=True)
    with ledger, pytest.raises(LedgerError, match="no blocks of bitcoin-regtest were read from a node"):
        take_holdings(ledger, REGTEST, tmp_path / "taken.parquet")
    assert not (tmp_path / "taken.parquet").exists()


@pytest.fixture(scope="module")
def regtest() -> Iterator[RegtestNode]:
    with run_regtest() as node:
        yield node


@pytest.fixture
def bitcoin(regtest: RegtestNode, tmp_path: Path) -> Path:
    with BitcoinNode(regtest.url, REGTEST) as source:
        sync(source, tmp_path, first=0)
    return tmp_path


@contextmanager
def core(
    node: RegtestNode, *, lacking: Sequence[str] = (), lies: dict[str, Any] | None = None
) -> Iterator[str]:
    """Serve the node with `gettxout`, and with the parameter of `gettxoutsetinfo`, as Core documents them."""

    def answer(method: str, params: Sequence[Any]) -> Any:
        if method in lacking:
            raise RpcFault(-32601, "Method not found", status=404)
        if method == "gettxoutsetinfo":
            return node.answer(method, []) | (lies or {})
        if method != "gettxout":
            return node.answer(method, params)
        txid, index, mempool = params
        assert mempool is False
        coin = node.chain.coins.get((bytes.fromhex(txid), index))
        return (
            None
            if coin is None
            else {
                "bestblock": node.tip,
                "confirmations": node.height - coin.height + 1,
                "value": core_answers.amount(coin.amount_sat),
                "scriptPubKey": core_answers.describe_script(coin.script),
                "coinbase": coin.generated,
            }
        )

    with serve_rpc(answer) as url:
        yield url


def compare_bitcoin(node: RegtestNode, folder: Path, **options: Any) -> Reconciliation:
    sample = options.pop("sample", None)
    with core(node, **options) as url, BitcoinNode(url, REGTEST) as source:
        return compare(source, url, REGTEST, folder, sample=sample)


def test_every_unspent_output_of_a_bitcoin_node_is_the_ledgers(regtest: RegtestNode, bitcoin: Path) -> None:
    found = compare_bitcoin(regtest, bitcoin)
    assert found.gaps == 0
    assert asset(found, BTC).asked >= len(regtest.chain.coins)
    unspendable = sum(regtest.unspendable().values())
    (said,) = found.unjudged
    assert f"outputs of {unspendable} sat that have no address" in said


def test_outputs_that_the_node_does_not_have_are_named(regtest: RegtestNode, bitcoin: Path) -> None:
    coins = sorted(regtest.chain.coins)
    with BitcoinNode(regtest.url, REGTEST) as source:
        batch = source.read_blocks(0, regtest.height)
    hashes = batch.transfers["hash"].to_pylist()
    paid = {
        (hashes[leg["transfer"]], leg["index"]): leg["account"]
        for leg in batch.legs.to_pylist()
        if leg["side"] == "payee" and not leg["account"].startswith("script-")
    }
    txid, index = next(output for output in coins if output in paid)
    coin = regtest.chain.coins[txid, index]

    def alter(what: str, at: int) -> None:
        where = "transfer = (SELECT transfer FROM transfer WHERE hash = $1) AND side = 'payee' AND index = $2"
        change(bitcoin, f"UPDATE leg SET {what} WHERE {where}", txid, at)  # noqa: S608  (our own words)

    alter("amount = amount - 1", index)
    found = asset(compare_bitcoin(regtest, bitcoin), BTC)
    (total, single) = found.first
    assert (total.what, total.node) == ("sat in unspent outputs", (total.ledger or 0) + 1)
    assert single.what == f"output {txid.hex()}:{index} has another amount"
    assert (single.ledger, single.node) == (coin.amount_sat - 1, coin.amount_sat)
    alter("amount = amount + 1", index)

    alter("index = 77", index)
    (gap,) = asset(compare_bitcoin(regtest, bitcoin), BTC).first
    assert gap.what == f"output {txid.hex()}:77 is not unspent at the node"
    alter(f"index = {index}", 77)

    other = "SELECT address FROM address WHERE account NOT LIKE 'script-%' AND address <> leg.address LIMIT 1"
    alter(f"address = ({other})", index)
    (gap,) = asset(compare_bitcoin(regtest, bitcoin), BTC).first
    assert gap.what == f"output {txid.hex()}:{index} is of {paid[txid, index]} at the node"
    assert (gap.ledger, gap.node) == (coin.amount_sat, coin.amount_sat)


def test_a_sum_of_the_node_that_differs_is_a_gap(regtest: RegtestNode, bitcoin: Path) -> None:
    found = asset(compare_bitcoin(regtest, bitcoin, lies={"txouts": 7, "total_amount": 1}), BTC)
    assert [(gap.what, gap.node) for gap in found.first] == [
        ("sat in unspent outputs", 100_000_000),
        ("unspent outputs", 7),
    ]
    # Without single outputs the sums must still lie between those with and without outputs of scripts.
    options: dict[str, Any] = {"lacking": ["gettxout"]}
    quiet = compare_bitcoin(regtest, bitcoin, **options)
    assert quiet.gaps == 0
    assert any("no address, and some of them nobody can spend" in text for text in quiet.unjudged)
    assert compare_bitcoin(regtest, bitcoin, lies={"txouts": 7}, **options).gaps == 1


def test_what_a_node_cannot_tell_is_said(regtest: RegtestNode, bitcoin: Path) -> None:
    found = compare_bitcoin(regtest, bitcoin, lacking=["gettxoutsetinfo"], sample=3)
    assert found.gaps == 0
    assert any(
        text.startswith("the set of unspent outputs: the node does not tell") for text in found.unjudged
    )
    with run_regtest() as other:  # the same chain, gone on
        other.mine(1)
        gone_on = compare_bitcoin(other, bitcoin)
    assert gone_on.gaps == 0
    assert [text.partition(":")[0] for text in gone_on.unjudged] == [
        "single outputs",
        "the set of unspent outputs",
    ]


def test_a_part_of_a_bitcoin_chain_is_compared_output_by_output(regtest: RegtestNode, tmp_path: Path) -> None:
    with BitcoinNode(regtest.url, REGTEST) as source:
        sync(source, tmp_path, first=100)
    found = compare_bitcoin(regtest, tmp_path)
    assert found.gaps == 0
    assert asset(found, BTC).asked > 10
    assert "the set of unspent outputs: blocks from 0 on were not read" in found.unjudged


def serve(method: str, result: Any) -> Answer:
    def answer(asked: str, params: Sequence[Any]) -> Any:
        if asked == method:
            if isinstance(result, RpcFault):
                raise result
            return result
        raise RpcFault(-32601, "Method not found")

    return answer


@contextmanager
def answering(answer: Answer) -> Iterator[RpcClient]:
    with serve_rpc(answer) as url, open_client(url, limits=QUICK) as client:
        yield client


HASH = "11" * 32
OUTPUT = {"bestblock": HASH, "value": 1, "scriptPubKey": {"hex": "51"}}


@pytest.mark.parametrize("result", [None, 5, "", "0x", "0xzz", "0x" + "1" * 65, "12", [], {}, True])
def test_a_balance_that_is_no_number_is_a_bad_answer(result: Any) -> None:
    with (
        answering(serve("eth_getBalance", result)) as client,
        pytest.raises(BadAnswer, match="it is no number"),
    ):
        ask_balances(client, EVM, ETH, ["0x" + "1" * 40], 5)


@pytest.mark.parametrize(
    ("result", "units"),
    [
        ("0x", None),
        ("0x12", None),
        ("0x" + "00" * 31 + "07", 7),
        ("0x" + "00" * 31 + "07" + "ff" * 64, 7),
        ("0x" + "ff" * 32, 2**256 - 1),
        (RpcFault(3, "execution reverted"), None),
    ],
)
def test_what_a_contract_answers_is_a_number_or_nothing(result: Any, units: int | None) -> None:
    with answering(serve("eth_call", result)) as client:
        reference = f"erc20:0x{'1' * 40}"
        assert ask_balances(client, EVM, reference, ["0x" + "1" * 40], 5) == [units]
        assert ask_supply(client, EVM, reference, 5) == units


@pytest.mark.parametrize("result", [None, 5, "zz", "0x" + "zz" * 32, {}])
def test_what_no_contract_can_answer_is_a_bad_answer(result: Any) -> None:
    with answering(serve("eth_call", result)) as client, pytest.raises(BadAnswer, match="it is no data"):
        ask_balances(client, EVM, f"erc20:0x{'1' * 40}", ["0x" + "1" * 40], 5)


@pytest.mark.parametrize(
    "result",
    [
        [],
        7,
        {**OUTPUT, "bestblock": None},
        {**OUTPUT, "bestblock": "zz" * 32},
        {**OUTPUT, "value": "1"},
        {**OUTPUT, "value": -1},
        {**OUTPUT, "value": 0.123456789},
        {**OUTPUT, "value": True},
        {**OUTPUT, "value": 1e300},
        {**OUTPUT, "scriptPubKey": {}},
        {**OUTPUT, "scriptPubKey": {"hex": "5"}},
    ],
)
def test_an_output_that_is_none_is_a_bad_answer(result: Any) -> None:
    with answering(serve("gettxout", result)) as client, pytest.raises(BadAnswer):
        ask_outputs(client, REGTEST, [(b"\1" * 32, 0)])


@pytest.mark.parametrize(
    "result",
    [None, [], {}, {"bestblock": HASH, "txouts": -1, "total_amount": 1}, {"bestblock": HASH, "txouts": 1}],
)
def test_a_count_of_outputs_that_is_none_is_a_bad_answer(result: Any) -> None:
    with answering(serve("gettxoutsetinfo", result)) as client, pytest.raises(BadAnswer):
        ask_unspent_set(client)


def test_a_number_beyond_all_bounds_is_no_json() -> None:
    from chains.holdings import _read_exact

    for text in (b"[1e99999999999999999999]", b"[", b"nonsense"):
        with pytest.raises(ValueError, match=r"."):
            _read_exact(text)


def test_a_node_without_the_state_of_a_block_is_refused_with_advice() -> None:
    fault = RpcFault(-32000, "missing trie node")
    with (
        answering(serve("eth_getBalance", fault)) as client,
        pytest.raises(LedgerError, match=r"at block 7 \(error -32000: missing trie node\): sync up"),
    ):
        check_state(client, EVM, 7)
    tron = find_chain("tron")
    with answering(serve("eth_blockNumber", "0x9")) as client:
        check_state(client, tron, 9)
        with pytest.raises(
            LedgerError, match=r"is at block 9 and, as TRON nodes do, .* the ledger ends at 7"
        ):
            check_state(client, tron, 7)


def test_a_tron_node_is_asked_in_its_own_words() -> None:
    asked: list[Any] = []

    def answer(method: str, params: Sequence[Any]) -> Any:
        asked.append((method, params))
        return "0x" + "00" * 31 + "05"

    holder = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    with answering(answer) as client:
        assert ask_balances(client, find_chain("tron"), f"trc20:{holder}", [holder], 7) == [5]
    digits = "a614f803b6fd780986a42c78ec9c7f77e6ded13c"
    data = f"0x70a08231{digits.rjust(64, '0')}"
    assert asked == [("eth_call", [{"to": f"0x{digits}", "data": data}, "latest"])]
