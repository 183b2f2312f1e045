"""Token histories from a node's logs, against the node's whole blocks."""

from collections.abc import Iterator
from typing import Any

import pytest

from chains.errors import BadAnswer, InputError, NodeError, WrongChain
from chains.evm.history import LogHistory
from chains.evm.node import EvmNode
from chains.history import History
from chains.ledger import LegBatch
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.mangled import mangle
from tests.chains.scripted_server import Reply, Server, json_reply, serve
from tests.nodes.anvil import Anvil, run_anvil

CHAIN = find_chain("eip155:31337")
QUICK = RpcLimits(attempts=2, first_pause_seconds=0.001, longest_pause_seconds=0.01)
PARTY = "0x" + "ab" * 20
WORD = "0x" + "0" * 24 + "ab" * 20
OTHER = "0x" + "0" * 24 + "cd" * 20
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as made:
        yield made


@pytest.fixture(scope="module")
def profiles(node: Anvil) -> dict[str, str]:
    return {node.contracts["TetherLike"]: "tether", node.contracts["WrappedLike"]: "weth"}


@pytest.fixture(scope="module")
def blocks(node: Anvil, profiles: dict[str, str]) -> LegBatch:
    """What the node's whole blocks say."""
    with EvmNode(node.url, CHAIN, profiles=profiles) as source:
        return source.read_blocks(0, node.height)


def rows(batch: LegBatch) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Transfers by natural key, with their legs."""
    legs: dict[int, list[tuple[Any, ...]]] = {}
    for leg in batch.legs.to_pylist():
        legs.setdefault(leg["transfer"], []).append(
            (leg["side"], leg["index"], leg["account"], leg["amount"])
        )
    return {
        (row["height"], row["position"], row["kind"], row["part"]): (
            *(row["time"], row["hash"], row["asset"], row["block_hash"], row["lossy"]),
            *legs.get(row["transfer"], []),
        )
        for row in batch.transfers.to_pylist()
    }


def of_account(found: dict[tuple[Any, ...], tuple[Any, ...]], account: str) -> dict[Any, Any]:
    return {key: said for key, said in found.items() if any(leg[2] == account for leg in said[5:])}


def test_every_account_has_the_token_transfers_that_the_blocks_have(
    node: Anvil, blocks: LegBatch, profiles: dict[str, str]
) -> None:
    tokens = {key: said for key, said in rows(blocks).items() if key[2] == "token"}
    unindexed = f"erc20:{node.contracts['OldToken'].lower()}"
    tether = f"erc20:{node.contracts['TetherLike'].lower()}"
    compared = 0
    with LogHistory(node.url, CHAIN, profiles=profiles, confirmations=1) as source:
        for account in [account.address.lower() for account in node.accounts[:9]]:
            history = source.read_history(account, first=0, most=10_000)
            expected = {
                key: said
                for key, said in of_account(tokens, account).items()
                # told as unread: parties that are no topics, and an issuer's own mints and burns
                if said[2] != unindexed
                and not (said[2] == tether and len(said) == 6 and account == owner_at(node, said[1]))
            }
            assert rows(history.batch) == expected
            assert (history.first_height, history.last_height) == (0, node.height)
            assert (history.cut, history.pending) == (False, 0)
            assert len(history.unread) == 3
            compared += len(expected)
    assert compared > 45


def owner_at(node: Anvil, digest: bytes) -> str | None:
    """The account that issues or redeems in a transaction of the built history; None for another one."""
    named = {name for name, found in node.history.hashes.items() if found == "0x" + digest.hex()}
    issuers = {"issue": 0, "redeem": 0, "issue-to-new-owner": 8, "redeem-of-new-owner": 8}
    places = [issuers[name] for name in named if name in issuers]
    return str(node.accounts[places[0]].address).lower() if places else None


def test_freezes_and_what_is_too_large_come_along(
    node: Anvil, blocks: LegBatch, profiles: dict[str, str]
) -> None:
    frozen = node.accounts[2].address.lower()
    with LogHistory(node.url, CHAIN, profiles=profiles, confirmations=1) as source:
        history = source.read_history(frozen, first=0, most=10_000)
        assert history.batch.freezes.to_pylist() == [
            row for row in blocks.freezes.to_pylist() if row["account"] == frozen
        ]
        assert [row["frozen"] for row in history.batch.freezes.to_pylist()] == [True, False]
        forged = source.read_history(node.accounts[1].address.lower(), first=0, most=10_000)
    rejected = forged.batch.rejected.to_pylist()
    assert [row["reason"] for row in rejected] == ["too_large", "too_large"]
    assert {row["height"] for row in rejected} == {
        row["height"] for row in blocks.rejected.to_pylist() if row["reason"] == "too_large"
    }


def test_only_final_blocks_are_read_and_the_rest_is_counted(node: Anvil) -> None:
    account = node.accounts[1].address.lower()
    with LogHistory(node.url, CHAIN) as source:  # the node calls its head less 64 final
        history = source.read_history(account, first=0, most=10_000)
    assert history.last_height == node.height - 64
    height = max(history.batch.transfers["height"].to_pylist())
    with LogHistory(node.url, CHAIN, confirmations=node.height - height + 2) as source:
        earlier = source.read_history(account, first=0, most=10_000)
    assert earlier.last_height == height - 1
    assert earlier.pending == len([h for h in history.batch.transfers["height"].to_pylist() if h == height])
    assert earlier.pending + earlier.batch.transfers.num_rows == history.batch.transfers.num_rows


def test_a_service_is_cut_and_gone_on_with(node: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chains.evm.logs.FIRST_STEP", 4)
    monkeypatch.setattr("chains.evm.history.LONGEST_STEP", 4)
    account = node.accounts[1].address.lower()
    with LogHistory(node.url, CHAIN, confirmations=1) as source:
        whole = rows(source.read_history(account, first=0, most=10_000).batch)
        found: dict[Any, Any] = {}
        first, parts = 0, 0
        while True:
            part = source.read_history(account, first=first, most=5)
            assert not set(found) & set(rows(part.batch))
            found |= rows(part.batch)
            parts += 1
            if not part.cut:
                break
            assert part.first_height <= part.last_height < node.height
            assert f"goes on after block {part.last_height:,}" in part.note
            first = part.last_height + 1
    assert found == whole
    assert parts > 2


def test_reading_begins_where_it_is_told_to(node: Anvil) -> None:
    account = node.accounts[1].address.lower()
    with LogHistory(node.url, CHAIN, confirmations=1) as source:
        whole = rows(source.read_history(account, first=0, most=10_000).batch)
    middle = sorted(whole)[len(whole) // 2][0]
    with LogHistory(node.url, CHAIN, confirmations=1, first_height=middle) as source:
        later = source.read_history(account, first=0, most=10_000)
    assert later.first_height == middle
    assert rows(later.batch) == {key: said for key, said in whole.items() if key[0] >= middle}


def test_tokens_say_what_they_are_called_and_lists_what_they_are_worth(node: Anvil) -> None:
    account, coin = node.accounts[1].address.lower(), node.contracts["Coin"].lower()
    found = []
    for listed in ([], [coin]):
        with LogHistory(node.url, CHAIN, confirmations=1, listed=listed) as source:
            assets = source.read_history(account, first=0, most=99).batch.assets
        found.append({asset.reference: asset for asset in assets})
    plain, told = found
    assert not plain[f"erc20:{coin}"].listed
    assert told[f"erc20:{coin}"].listed
    assert plain[f"erc20:{coin}"].symbol == told[f"erc20:{coin}"].symbol != ""


def test_other_chains_are_refused(node: Anvil) -> None:
    with pytest.raises(WrongChain, match="chain 31337"):
        LogHistory(node.url, find_chain("ethereum"))
    with pytest.raises(InputError, match="bitcoin has no logs"):
        LogHistory(node.url, find_chain("bitcoin"))


def log(**more: Any) -> dict[str, Any]:
    return {
        "address": "0x" + "11" * 20,
        "topics": [TRANSFER, WORD, OTHER],
        "data": "0x" + f"{5:064x}",
        "blockNumber": "0x5",
        "blockHash": "0x" + "22" * 32,
        "blockTimestamp": "0x65000000",
        "transactionHash": "0x" + "33" * 32,
        "transactionIndex": "0x1",
        "logIndex": "0x2",
        "removed": False,
    } | more


def lying(logs: Any, *, chain: int = 31337, block: Any = None) -> Any:
    """Return a node that answers each request for logs from the address with `logs`."""

    def answer(call: dict[str, Any]) -> Any:
        method, params = call["method"], call["params"]
        if method == "eth_getBlockByNumber" and params[0] not in ("finalized", "latest"):
            return block
        wanted = method == "eth_getLogs" and params[0]["topics"][:2] == [TRANSFER, WORD]
        return {
            "eth_chainId": hex(chain),
            "web3_clientVersion": "test",
            "eth_blockNumber": "0x64",
            "eth_getBlockByNumber": {"number": "0x50", "hash": "0x" + "44" * 32},
            "eth_getLogs": logs if wanted and int(params[0]["fromBlock"], 16) <= 80 else [],
            "eth_call": "0x",
        }[method]

    def reply(body: Any, _: int) -> Reply:
        calls = body if isinstance(body, list) else [body]
        said = [{"jsonrpc": "2.0", "id": call["id"], "result": answer(call)} for call in calls]
        return json_reply(said if isinstance(body, list) else said[0])

    return serve(reply)


def read(server: Server, chain: str = "eip155:31337", account: str = PARTY) -> History:
    with LogHistory(server.url, find_chain(chain), limits=QUICK) as source:
        return source.read_history(account, first=0, most=100)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"removed": True}, "removed"),
        ({"blockHash": "0x12"}, "blockHash"),
        ({"transactionHash": None}, "transactionHash"),
        ({"transactionIndex": "1"}, "transactionIndex"),
        ({"logIndex": "\x1b[2J"}, "logIndex"),
        ({"blockNumber": "0xff"}, "blockNumber"),
        ({"blockTimestamp": "0xffffffffffff"}, "blockTimestamp"),
        ({"address": "0x11"}, "address"),
        ({"topics": "x"}, "topics"),
        ({"topics": [TRANSFER, WORD, 5]}, "topics"),
        ({"data": "0x" + "z" * 64}, "data"),
    ],
)
def test_logs_that_cannot_be_right_are_refused(change: dict[str, Any], words: str) -> None:
    with lying([log(**change)]) as server, pytest.raises(BadAnswer, match=words) as caught:
        read(server)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("logs", [None, {}, "logs", 5, [5], [[]], [None]])
def test_what_is_no_list_of_logs_is_refused(logs: Any) -> None:
    with lying(logs) as server, pytest.raises(BadAnswer):
        read(server)


def test_times_come_from_the_block_of_the_same_hash() -> None:
    bare = log()
    del bare["blockTimestamp"]
    right = {"number": "0x5", "hash": "0x" + "22" * 32, "timestamp": "0x65000000"}
    with lying([bare], block=right) as server:
        (row,) = read(server).batch.transfers.to_pylist()
        assert row["time"].year == 2023
    with (
        lying([bare], block=right | {"hash": "0x" + "99" * 32}) as server,
        pytest.raises(BadAnswer, match="hash"),
    ):
        read(server)
    with lying([bare, log(logIndex="0x3", blockHash="0x" + "88" * 32)]) as server, pytest.raises(BadAnswer):
        read(server)


def test_logs_of_others_and_look_alikes_are_left_out() -> None:
    approval = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
    logs = [
        log(logIndex="0x1", topics=[approval, WORD, OTHER]),
        log(logIndex="0x3", topics=[TRANSFER, WORD, OTHER, OTHER], data="0x"),  # an NFT's
        log(logIndex="0x4", topics=[TRANSFER, OTHER, OTHER]),
        log(logIndex="0x5", data="0x"),
        log(),
    ]
    with lying(logs) as server:
        assert read(server).batch.transfers["part"].to_pylist() == [2]


def test_tron_is_read_in_its_own_addresses_and_steps() -> None:
    account = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"  # 41a614f803b6fd780986a42c78ec9c7f77e6ded13c
    word = "0x" + "0" * 24 + "a614f803b6fd780986a42c78ec9c7f77e6ded13c"
    asked: list[Any] = []

    def reply(body: Any, _: int) -> Reply:
        method, params = body["method"], body["params"]
        if method == "eth_getLogs":
            asked.append(params[0])
        logs = [log(topics=[TRANSFER, word, OTHER])]
        found = params and method == "eth_getLogs" and params[0]["topics"][:2] == [TRANSFER, word]
        inside = found and int(params[0]["fromBlock"], 16) <= 5 <= int(params[0]["toBlock"], 16)
        said = {
            "eth_chainId": hex(728126428),
            "web3_clientVersion": "TRON",
            "eth_blockNumber": hex(20_000),
            "eth_getBlockByNumber": {"number": hex(19_981)},
            "eth_getLogs": logs if inside else [],
            "eth_call": "0x",
        }[method]
        return json_reply({"jsonrpc": "2.0", "id": body["id"], "result": said})

    one = RpcLimits(attempts=2, batch_size=1)
    with serve(reply) as server, LogHistory(server.url, find_chain("tron"), limits=one) as source:
        history = source.read_history(account, first=0, most=100)
    (leg, other) = history.batch.legs.to_pylist()
    assert (leg["side"], leg["account"]) == ("payer", account)
    assert other["account"].startswith("T")
    assert history.batch.transfers["asset"].to_pylist()[0].startswith("trc20:T")
    assert history.last_height == 19_981
    steps = [int(one["toBlock"], 16) - int(one["fromBlock"], 16) + 1 for one in asked]
    assert max(steps) == 5_000


def test_mangled_logs_end_in_an_error_for_a_person_or_in_a_history() -> None:
    refused: list[str] = []
    logs: list[Any] = []

    with lying(logs) as server, LogHistory(server.url, CHAIN, limits=QUICK) as source:
        for seed in range(150):
            logs[:] = [log(), log(logIndex="0x7"), log(blockNumber="0x9", logIndex="0x1")]
            changed = mangle(logs, seed)
            logs[:] = changed if isinstance(changed, list) else [changed]
            try:
                history = source.read_history(PARTY, first=0, most=100)
            except NodeError as error:
                refused.append(str(error))
            else:
                history.batch.transfers.validate(full=True)
                history.batch.legs.validate(full=True)
    assert len(refused) > 80
    assert all(words.isprintable() for words in refused)
