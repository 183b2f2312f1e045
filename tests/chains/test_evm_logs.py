"""Logs by ranges that adapt to what the node allows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from chains.errors import BadAnswer, RpcError
from chains.evm.logs import FIRST_STEP, read_logs
from chains.evm.tokens import TRANSFER
from chains.rpc import RpcClient, RpcLimits
from tests.chains.evm_front import NO_METHOD, Change, front
from tests.chains.evm_world import World, build_world
from tests.chains.test_evm_blocks import JUNK
from tests.nodes.anvil import run_anvil
from tests.nodes.rpc_server import RpcFault, serve_rpc

QUICK = RpcLimits(attempts=2, first_pause_seconds=0.001)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with run_anvil(history=False) as node:
        yield build_world(node, "prague")


def limited(blocks: int, fault: RpcFault, asked: list[tuple[int, int]]) -> Change:
    """A node that refuses more blocks than some at once."""

    def change(method: str, params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method == "eth_getLogs":
            first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
            asked.append((first, last))
            if last - first + 1 > blocks:
                raise fault
        return ask()

    return change


def read(
    url: str, filter_: dict[str, Any], first: int, last: int, **more: Any
) -> list[tuple[int, int, list[Any]]]:
    with RpcClient(url, limits=QUICK) as client:
        return list(read_logs(client, filter_, first, last, **more))


def test_all_logs_come_once_in_order_whatever_the_node_allows(world: World) -> None:
    top = world.node.height
    everything = read(world.node.url, {}, 0, top)
    assert [(first, last) for first, last, _ in everything] == [(0, top)]
    logs = everything[0][2]
    places = [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs]
    assert len(logs) > 100
    assert places == sorted(set(places))
    for fault in (
        RpcFault(-32005, "query returned more than 10000 results"),
        RpcFault(-32602, "block range is too wide"),
        RpcFault(-32000, "response size exceeded"),
        RpcFault(-32614, "eth_getLogs is limited to a 3 range"),
    ):
        asked: list[tuple[int, int]] = []
        with front(world.node, limited(3, fault, asked)) as url:
            parts = read(url, {}, 0, top)
        assert [log for _, _, part in parts for log in part] == logs
        assert parts[0][0] == 0
        assert parts[-1][1] == top
        assert all(a[1] + 1 == b[0] for a, b in pairwise(parts))


def test_filters_are_passed_on(world: World) -> None:
    contract = "0x" + world.name("token").hex()
    ((_, _, logs),) = read(world.node.url, {"address": contract, "topics": [TRANSFER]}, 0, world.node.height)
    assert logs
    assert {log["address"] for log in logs} == {contract}
    assert {log["topics"][0] for log in logs} == {TRANSFER}


def test_steps_grow_again_after_a_busy_stretch() -> None:
    asked: list[tuple[int, int]] = []

    def answer(_method: str, params: Sequence[Any]) -> Any:
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        asked.append((first, last))
        if last - first + 1 > 100 and first < 3_000:
            raise RpcFault(-32005, "more than 10000 results")
        return []

    with serve_rpc(answer) as url:
        parts = read(url, {}, 0, 60_000)
    sizes = [last - first + 1 for first, last in asked]
    assert sizes[:6] == [FIRST_STEP, 1000, 500, 250, 125, 62]
    assert sum(last - first + 1 for first, last, _ in parts) == 60_001
    assert max(sizes[-3:]) > FIRST_STEP
    assert len(asked) < 150


def test_a_limit_given_is_never_passed() -> None:
    asked: list[int] = []

    def answer(_method: str, params: Sequence[Any]) -> Any:
        asked.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
        return []

    with serve_rpc(answer) as url:
        read(url, {}, 10, 30_000, longest_step=5_000)
        read(url, {}, 10, 100, longest_step=7)
        assert read(url, {}, 5, 4) == []
    assert max(asked[:10]) == 5_000
    assert asked[-1] <= 7


def test_a_single_block_that_is_refused_is_the_nodes_error(world: World) -> None:
    asked: list[tuple[int, int]] = []
    change = limited(0, RpcFault(-32005, "more than 10000 results"), asked)
    with front(world.node, change) as url, pytest.raises(RpcError, match="10000"):
        read(url, {}, 0, world.node.height)
    assert asked[-1] == (0, 0)


def test_a_node_without_the_method_is_asked_once(world: World) -> None:
    asked: list[str] = []

    def change(method: str, _params: Sequence[Any], _ask: Callable[[], Any]) -> Any:
        asked.append(method)
        raise NO_METHOD

    with front(world.node, change) as url, pytest.raises(RpcError):
        read(url, {}, 0, 100)
    assert len(asked) == 1


def log(height: str, index: str) -> dict[str, Any]:
    return {"blockNumber": height, "logIndex": index}


@pytest.mark.parametrize(
    "answer",
    [
        *[value for value in JUNK if value not in ("\ud800", 2**70, [])],
        [log("0x9", "0x0")],
        [log("0x15", "0x0")],
        [log("0xa", "0x0"), log("0xa", "0x0")],
        [log("0xa", "zz")],
        [log("0x" + "f" * 64, "0x0")],
        [{}],
    ],
)
def test_an_answer_that_cannot_be_right_is_refused_by_its_range(answer: Any) -> None:
    with serve_rpc(lambda _method, _params: answer) as url, pytest.raises(BadAnswer, match="blocks 10 to 20"):
        read(url, {}, 10, 20)


def test_logs_out_of_order_are_put_in_order() -> None:
    given = [log("0xb", "0x0"), log("0xa", "0xa"), log("0xa", "0x9")]
    with serve_rpc(lambda _method, _params: given) as url:
        assert read(url, {}, 10, 20) == [(10, 20, given[::-1])]
