"""Histories from an API as Etherscan's and Blockscout's, against the node's whole blocks."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from chains.errors import BadAnswer, InputError, NodeError, NodeRefused, NodeUnavailable, RpcError, WrongChain
from chains.evm import lists as evm_lists
from chains.evm.indexer import EvmIndexer, made_part
from chains.evm.node import EvmNode
from chains.history import History
from chains.ledger import LegBatch
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.mangled import mangle
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.explorer import Explorer, run_explorer

CHAIN = find_chain("eip155:31337")
QUICK = RpcLimits(attempts=3, first_pause_seconds=0.001, longest_pause_seconds=0.01)
KEY = "SECRET/KEY=123"

NOTHING = {"status": "0", "message": "No records found", "result": []}

Said = dict[tuple[Any, ...], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as made:
        yield made


@pytest.fixture(scope="module")
def blocks(node: Anvil) -> LegBatch:
    """What the node's whole blocks say; without profiles, as the lists have Transfer only."""
    with EvmNode(node.url, CHAIN) as source:
        return source.read_blocks(0, node.height)


@pytest.fixture(scope="module", params=["etherscan", "blockscout"])
def lists(node: Anvil, request: pytest.FixtureRequest) -> dict[str, list[dict[str, Any]]]:
    with run_explorer(node, style=request.param) as made:
        made.rows("txlist")
        return made.lists | {"style": [request.param]}


@pytest.fixture
def explorer(node: Anvil, lists: dict[str, list[Any]]) -> Iterator[Explorer]:
    with run_explorer(node, style=lists["style"][0]) as made:
        made.lists = lists
        yield made


@pytest.fixture
def source(node: Anvil, explorer: Explorer) -> Iterator[EvmIndexer]:
    with EvmIndexer(explorer.url, CHAIN, key=KEY, node_url=node.url, confirmations=1, limits=QUICK) as made:
        yield made


def said(batch: LegBatch, *, party: str) -> Said:
    """Transfers of an account by what both tell: kind, hash, height, time, asset and legs.

    Parts and positions are compared apart; of fees the payer alone.
    """
    legs: dict[int, list[tuple[Any, ...]]] = {}
    for leg in batch.legs.to_pylist():
        legs.setdefault(leg["transfer"], []).append((leg["side"], leg["account"], leg["amount"]))
    found: Said = {}
    for row in batch.transfers.to_pylist():
        mine = [leg for leg in legs.get(row["transfer"], []) if row["kind"] != "fee" or leg[0] == "payer"]
        key = (row["kind"], row["hash"], row["height"], row["time"], row["asset"], *mine)
        if any(leg[1] == party for leg in mine):
            found.setdefault(key, []).append((row["position"], row["part"], row["block_hash"]))
    return {key: sorted(places, key=str) for key, places in found.items()}


def read(source: EvmIndexer, account: str, *, first: int = 0, most: int = 10_000) -> History:
    return source.read_history(account, first=first, most=most)


def test_every_account_has_the_transfers_that_the_blocks_have(
    node: Anvil, blocks: LegBatch, explorer: Explorer, source: EvmIndexer
) -> None:
    compared = 0
    accounts = [account.address for account in node.accounts[:11]]
    for account in [*accounts, node.contracts["Splitter"], node.contracts["Purse"], node.contracts["Coin"]]:
        party = account.lower()
        history = read(source, party)
        assert (history.first_height, history.last_height, history.cut) == (0, node.height, False)
        unindexed = f"erc20:{node.contracts['OldToken'].lower()}"
        expected = {key: places for key, places in said(blocks, party=party).items() if key[4] != unindexed}
        found = said(history.batch, party=party)
        assert set(found) == {key for key in expected if key[0] not in ("reward", "withdrawal", "genesis")}
        for key, places in found.items():
            assert len(places) == len(expected[key])
            if key[0] in ("native", "fee") or (key[0] == "token" and explorer.style == "blockscout"):
                assert places == expected[key]
            elif key[0] == "token":
                assert {place[0] for place in places} == {place[0] for place in expected[key]}
                assert all(place[1] < 0 for place in places)
            else:
                assert all(place[0] is None and place[1] < 0 for place in places)
        compared += len(found)
    assert compared > 150


def test_parts_are_the_same_for_both_parties(node: Anvil, source: EvmIndexer) -> None:
    parts: dict[tuple[Any, ...], set[int]] = {}
    for account in [account.address.lower() for account in node.accounts[:9]]:
        batch = read(source, account).batch
        legs: dict[int, list[tuple[Any, ...]]] = {}
        for leg in batch.legs.to_pylist():
            legs.setdefault(leg["transfer"], []).append((leg["side"], leg["account"], leg["amount"]))
        for row in batch.transfers.to_pylist():
            if row["part"] < 0:
                key = (row["hash"], row["asset"], *legs[row["transfer"]])
                parts.setdefault(key, set()).add(row["part"])
    assert len(parts) > 5
    assert all(len(found) == 1 for found in parts.values())
    assert len({part for found in parts.values() for part in found}) == len(parts)
    assert made_part("a", 1) == made_part("a", 1) != made_part("a", 2)
    assert -(2**31) <= made_part("x") < 0


def test_fees_have_no_payee_here_and_failed_transactions_nothing_else(
    node: Anvil, source: EvmIndexer
) -> None:
    account = node.accounts[4].address.lower()
    batch = read(source, account).batch
    failed = bytes.fromhex(node.history.hashes["reverted"][2:])
    kinds = [row["kind"] for row in batch.transfers.to_pylist() if row["hash"] == failed]
    assert kinds == ["fee"]
    fees = {row["transfer"] for row in batch.transfers.to_pylist() if row["kind"] == "fee"}
    assert {leg["side"] for leg in batch.legs.to_pylist() if leg["transfer"] in fees} == {"payer"}


def test_only_final_blocks_are_read_and_the_rest_is_counted(node: Anvil, explorer: Explorer) -> None:
    account = node.accounts[1].address.lower()
    with EvmIndexer(explorer.url, CHAIN, node_url=node.url) as source:
        history = read(source, account)
        assert history.last_height == node.height - 64
    height = max(history.batch.transfers["height"].to_pylist())
    deep = node.height - height + 2
    with EvmIndexer(explorer.url, CHAIN, node_url=node.url, confirmations=deep) as source:
        earlier = read(source, account)
    assert earlier.last_height == height - 1
    assert earlier.pending == len(
        {row["hash"] for row in history.batch.transfers.to_pylist() if row["height"] == height}
    )


@pytest.mark.parametrize("cap", [3, 7])
def test_shorter_pages_than_asked_for_end_no_list(
    cap: int, node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    account = node.accounts[1].address.lower()
    whole = said(read(source, account).batch, party=account)
    explorer.cap = cap
    assert said(read(source, account).batch, party=account) == whole


def test_a_window_is_never_left(
    node: Anvil, explorer: Explorer, source: EvmIndexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = node.accounts[1].address.lower()
    whole = said(read(source, account).batch, party=account)
    explorer.asked.clear()
    monkeypatch.setattr(evm_lists, "ROWS", 4)
    monkeypatch.setattr(evm_lists, "WINDOW", 16)
    explorer.window = explorer.cap = 16
    assert said(read(source, account).batch, party=account) == whole
    assert max(int(query["page"]) * int(query["offset"]) for query in explorer.asked if "page" in query) <= 16


def test_a_service_is_cut_and_gone_on_with(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    account = node.accounts[1].address.lower()
    whole = said(read(source, account).batch, party=account)
    explorer.cap = 3
    found: Said = {}
    first, parts = 0, 0
    while True:
        part = read(source, account, first=first, most=8)
        mine = said(part.batch, party=account)
        assert not set(found) & set(mine)
        found |= mine
        parts += 1
        if not part.cut:
            break
        assert part.last_height >= part.first_height
        first = part.last_height + 1
    assert found == whole
    assert parts > 2


def test_an_address_without_a_history_has_an_empty_one(source: EvmIndexer) -> None:
    history = read(source, "0x" + "77" * 20)
    assert history.batch.transfers.num_rows == 0
    assert (history.cut, history.note, history.pending) == (False, "", 0)


def test_the_chain_is_made_sure_of(node: Anvil, explorer: Explorer) -> None:
    if explorer.style == "blockscout":
        EvmIndexer(explorer.url, CHAIN).close()
        with pytest.raises(WrongChain, match="chain 31337"):
            EvmIndexer(explorer.url, find_chain("ethereum"))
    else:
        with pytest.raises(InputError, match=r"does not say which chain it serves.*--rpc"):
            EvmIndexer(explorer.url, CHAIN, limits=QUICK)
    with EvmIndexer(explorer.url + "?chainid=31337", CHAIN, confirmations=1) as source:
        assert read(source, node.accounts[1].address.lower()).last_height == node.height
        assert all(query["chainid"] == "31337" for query in explorer.asked)
    with pytest.raises(WrongChain, match="chain 1"):
        EvmIndexer(explorer.url + "?chainid=1", CHAIN)
    with pytest.raises(WrongChain):
        EvmIndexer(explorer.url, find_chain("ethereum"), node_url=node.url)
    with pytest.raises(InputError, match="has EVM chains"):
        EvmIndexer(explorer.url, find_chain("tron"))


def test_lists_of_another_chain_are_found_by_their_blocks(
    node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    def other(query: Mapping[str, str], answer: Any) -> Any:
        if query.get("action") == "txlist" and answer["result"]:
            rows = [row | {"blockHash": "0x" + "99" * 32} for row in answer["result"]]
            return answer | {"result": [row for row in rows if row["blockNumber"] == rows[-1]["blockNumber"]]}
        return (
            answer
            if query.get("module") == "proxy"
            else {"status": "0", "message": "No records found", "result": []}
        )

    explorer.alter = other
    with pytest.raises(WrongChain, match="another block"):
        read(source, node.accounts[1].address.lower())


# --- limits, errors and lies


def test_a_rate_limit_told_with_status_200_passes(
    node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    account = node.accounts[1].address.lower()
    whole = said(read(source, account).batch, party=account)
    limits = iter(
        [
            {"status": "0", "message": "NOTOK", "result": "Max rate limit reached"},
            {"status": "0", "message": "NOTOK", "result": "Max calls per sec rate limit reached (5/sec)"},
            (429, "slow down"),
            {
                "status": "0",
                "message": "Query Timeout occured. Please select a smaller result dataset",
                "result": None,
            },
        ]
    )
    explorer.alter = lambda query, answer: next(limits, answer) if len(explorer.asked) % 2 else answer
    assert said(read(source, account).batch, party=account) == whole
    explorer.alter = lambda _, answer: {"status": "0", "message": "NOTOK", "result": "Max rate limit reached"}
    with pytest.raises(NodeUnavailable, match="rate limit"):
        read(source, account)


def test_keys_are_never_shown(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    account = node.accounts[1].address.lower()
    read(source, account)
    assert all(query["apikey"] == KEY for query in explorer.asked)
    assert KEY not in source.shown_url
    explorer.alter = lambda _, answer: {"status": "0", "message": "NOTOK", "result": f"Invalid API Key {KEY}"}
    with pytest.raises(NodeRefused) as refused:
        read(source, account)
    assert KEY not in str(refused.value)
    explorer.alter = lambda _, answer: (400, f"no such thing for {KEY}")
    with pytest.raises(RpcError) as failed:
        read(source, account)
    assert KEY not in str(failed.value)
    explorer.alter = lambda _, answer: {"status": "0", "message": "NOTOK", "result": "Missing module"}
    with pytest.raises(RpcError, match="Missing module"):
        read(source, account)


def test_blocks_whose_calls_are_not_worked_out_are_not_taken_for_whole(
    node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    explorer.alter = lambda query, answer: (
        answer | {"status": "2"} if query.get("action") == "txlistinternal" and answer["result"] else answer
    )
    history = read(source, node.accounts[5].address.lower())
    assert history.last_height == history.first_height - 1
    assert "not worked out all calls" in history.note
    assert history.batch.transfers.num_rows > 0


LIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "no height": ("txlist", {"blockNumber": None}, "blockNumber"),
    "a height of words": ("txlist", {"blockNumber": "\x1b[31mfive"}, "blockNumber"),
    "a huge height": ("txlist", {"blockNumber": "9" * 20}, "blockNumber"),
    "no value": ("txlist", {"value": None}, "value"),
    "less than nothing": ("txlist", {"value": "-1"}, "value"),
    "a double": ("txlist", {"value": 1.5}, "value"),
    "a value without end": ("txlist", {"value": "9" * 79}, "value"),
    "gas in hexadecimal": ("txlist", {"gasUsed": "0x5208"}, "gasUsed"),
    "another party": ("txlist", {"from": "0x" + "12" * 20, "to": "0x" + "34" * 20}, "of other accounts"),
    "no address": ("txlist", {"from": "alice"}, "from"),
    "no hash": ("txlist", {"hash": "0x12"}, "hash"),
    "no block": ("txlist", {"blockHash": ""}, "blockHash"),
    "no end": ("txlist", {"isError": "maybe"}, "isError"),
    "a time to come": ("txlist", {"timeStamp": "9" * 15}, "timeStamp"),
    "an odd call": ("txlistinternal", {"type": "teleport", "value": "5", "isError": "0"}, "no kind of call"),
    "a token without a contract": ("tokentx", {"contractAddress": ""}, "contractAddress"),
    "a token of others": ("tokentx", {"from": "0x" + "12" * 20, "to": "0x" + "34" * 20}, "of other accounts"),
}


def _changed(action: str, change: dict[str, Any]) -> Callable[[Mapping[str, str], Any], Any]:
    def alter(query: Mapping[str, str], answer: Any) -> Any:
        if query.get("action") != action or not answer.get("result"):
            return answer
        rows = answer["result"]
        place = (
            next((n for n, row in enumerate(rows) if row["value"] != "0"), 0) if action != "tokentx" else 0
        )
        return answer | {"result": [*rows[:place], rows[place] | change, *rows[place + 1 :]]}

    return alter


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_found(name: str, node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    action, change, words = LIES[name]
    if explorer.style == "blockscout" and action == "txlistinternal":
        change = change | {"index": "3", "callType": ""}
    explorer.alter = _changed(action, change)
    with pytest.raises(BadAnswer, match=words) as caught:
        read(source, node.accounts[1].address.lower())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"[]", b"null", b'"x"', b"{}", b'{"status":"1","result":5}', b'{"status":"1","result":[5]}',
     b'{"status":"1","message":"OK","result":null}', b"[" * 50_000],
)  # fmt: skip
def test_what_is_no_list_is_refused(
    answer: bytes, node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    explorer.alter = lambda query, said: answer if query.get("module") == "account" else said
    with pytest.raises(BadAnswer):
        read(source, node.accounts[1].address.lower())


def test_rows_of_earlier_blocks_are_refused(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    explorer.alter = _changed("txlist", {"blockNumber": "3"})
    with pytest.raises(BadAnswer, match="block 3 is outside those asked for"):
        read(source, node.accounts[1].address.lower(), first=20)


def test_two_equal_rows_are_two_transfers(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    if explorer.style == "blockscout":
        return  # its rows have log indices: none is equal to another
    account = node.accounts[5].address.lower()

    def double(query: Mapping[str, str], answer: Any) -> Any:
        if query.get("action") != "tokentx" or not answer["result"]:
            return answer
        return answer | {"result": [*answer["result"], answer["result"][-1]]}

    once = [one for places in said(read(source, account).batch, party=account).values() for one in places]
    explorer.alter = double
    twice = [one for places in said(read(source, account).batch, party=account).values() for one in places]
    assert len(twice) == len(once) + 1
    assert len(set(twice)) == len(set(once)) + 1


def test_a_block_with_two_hashes_is_refused(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    explorer.alter = _changed("tokentx", {"blockHash": "0x" + "99" * 32})
    with pytest.raises((BadAnswer, WrongChain)):
        read(source, node.accounts[1].address.lower())


def test_amounts_beyond_38_digits_are_set_aside(node: Anvil, explorer: Explorer, source: EvmIndexer) -> None:
    history = read(source, node.accounts[1].address.lower())
    rejected = history.batch.rejected.to_pylist()
    assert [row["reason"] for row in rejected] == ["too_large", "too_large"]
    assert all(row["height"] > 0 for row in rejected)


def _mangled(seed: int, query: Mapping[str, str], answer: Any) -> Any:
    return mangle(answer, f"{seed} {query.get('action')} {query.get('startblock')}")


def test_mangled_answers_end_in_an_error_for_a_person_or_in_a_history(
    node: Anvil, explorer: Explorer, source: EvmIndexer
) -> None:
    account = node.accounts[5].address.lower()
    refused: list[str] = []
    for seed in range(150):
        explorer.alter = partial(_mangled, seed)
        try:
            history = read(source, account)
        except NodeError as error:
            refused.append(str(error))
        else:
            history.batch.transfers.validate(full=True)
            history.batch.legs.validate(full=True)
    assert len(refused) > 100
    assert all(words.isprintable() for words in refused)
