"""The proxy injects what it says, as often as it says, and otherwise passes every byte on."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.nodes.proxy import NONE, ROUGH, Faults, Proxy, RpcRefusal, run_proxy
from tests.nodes.regtest import RegtestNode, run_regtest


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    with run_regtest() as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as open_client:
        yield open_client


def ask(client: httpx.Client, url: str, method: str, *params: Any) -> Any:
    answer = client.post(url, json={"id": 1, "method": method, "params": params}).json()
    return answer["result"] if answer.get("error") is None else answer["error"]


def batch(count: int) -> bytes:
    return orjson.dumps([{"id": n, "method": "getblockhash", "params": [n]} for n in range(count)])


def test_without_faults_every_byte_is_passed_on(node: RegtestNode, client: httpx.Client) -> None:
    height = node.history.heights["fan-10"]
    with run_proxy(node.url) as proxy:
        body = orjson.dumps(
            {"id": 1, "method": "getblock", "params": [ask(client, node.url, "getblockhash", height), 3]}
        )
        direct, through = (client.post(url, content=body) for url in (node.url, proxy.url))
        assert direct.content == through.content
        assert proxy.requests == 1
        assert not proxy.counts
        wrong = client.post(proxy.url, json={"id": 1, "method": "nothing"})
        assert wrong.status_code == 404


def test_numbers_keep_the_digits_that_the_node_wrote_when_an_answer_is_written_anew(
    node: RegtestNode, client: httpx.Client
) -> None:
    block_hash = ask(client, node.url, "getblockhash", node.history.heights["notes"])
    calls = [{"id": n, "method": "getblock", "params": [block_hash, 3]} for n in (1, 2)]
    with run_proxy(node.url, Faults(shuffle=1.0)) as proxy:
        direct, through = (client.post(url, json=calls).content for url in (node.url, proxy.url))
        assert proxy.counts == {"shuffle": 1}
    assert b'"value":0.00004321' in through
    assert Counter(direct) == Counter(through)  # the same bytes, in another order
    assert direct != through


def outcome(client: httpx.Client, proxy: Proxy) -> str:
    try:
        answer = client.post(proxy.url, content=batch(6))
        found = answer.json()
    except httpx.RemoteProtocolError as error:
        return "drop" if "without sending a response" in str(error) else "cut"
    except ValueError:
        return {429: "too_many", 200: "truncate"}.get(answer.status_code, "broken")
    if isinstance(found, dict):
        return "warming" if found["error"]["code"] == -28 else "refused"
    ids = [each["id"] for each in found]
    assert all(each["result"] for each in found)
    return {5: "lose", 7: "repeat"}.get(len(ids), "right" if ids == sorted(ids) else "shuffle")


@pytest.mark.parametrize(
    "name",
    ["drop", "cut", "truncate", "too_many", "broken", "warming", "shuffle", "repeat", "lose"],
)
def test_each_fault_alone_is_what_its_name_says(node: RegtestNode, client: httpx.Client, name: str) -> None:
    only: dict[str, Any] = {name: 1.0}
    with run_proxy(node.url, Faults(**only)) as proxy:
        assert [outcome(client, proxy) for _ in range(3)] == [name] * 3
        assert proxy.counts == {name: 3}


def test_the_same_seed_injects_the_same_faults(node: RegtestNode, client: httpx.Client) -> None:
    seen = []
    for seed in (5, 5, 6):
        with run_proxy(node.url, ROUGH, seed=seed) as proxy:
            seen.append([outcome(client, proxy) for _ in range(60)])
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 5


def test_a_lagging_node_knows_nothing_of_its_newest_blocks(node: RegtestNode, client: httpx.Client) -> None:
    with run_proxy(node.url, Faults(lag=5)) as proxy:
        assert ask(client, proxy.url, "getblockcount") == node.height - 5
        info = ask(client, proxy.url, "getblockchaininfo")
        assert info["blocks"] == node.height - 5
        assert info["bestblockhash"] == ask(client, node.url, "getblockhash", node.height - 5)
        assert ask(client, proxy.url, "getblockhash", node.height - 5) == info["bestblockhash"]
        assert ask(client, proxy.url, "getblockhash", node.height - 4)["code"] == -8
        proxy.faults = Faults(stale=1.0, stale_blocks=2)
        assert ask(client, proxy.url, "getblockcount") == node.height - 2
        assert ask(client, proxy.url, "getblockhash", node.height) == node.tip


def test_another_chain_a_refused_batch_and_a_lie(node: RegtestNode, client: httpx.Client) -> None:
    with run_proxy(node.url, Faults(chain="12" * 32)) as proxy:
        assert ask(client, proxy.url, "getblockhash", 0) == "12" * 32
        assert ask(client, proxy.url, "getblockhash", 1) == ask(client, node.url, "getblockhash", 1)
        proxy.faults = Faults(no_batches=True)
        assert outcome(client, proxy) == "refused"
        proxy.faults = Faults(
            lie=lambda method, params, result: result + 1 if isinstance(result, int) else result
        )
        assert ask(client, proxy.url, "getblockcount") == node.height + 1
        proxy.faults = Faults(lie=lambda method, params, result: RpcRefusal(-1, "no"))
        assert ask(client, proxy.url, "getblockcount") == {"code": -1, "message": "no"}
        proxy.faults = NONE
        assert ask(client, proxy.url, "getblockcount") == node.height


def test_what_is_to_happen_before_a_request_happens_before_it(
    node: RegtestNode, client: httpx.Client
) -> None:
    with run_proxy(node.url) as proxy:
        heard: list[tuple[int, list[str]]] = []
        heights = []

        def before(number: int, methods: list[str]) -> None:
            heard.append((number, methods))
            if number == 2:
                node.mine(1)

        proxy.before = before
        heights = [ask(client, proxy.url, "getblockcount") for _ in range(3)]
        assert heights[1] == heights[2] == heights[0] + 1
        client.post(proxy.url, content=batch(2))
        assert heard[-1] == (4, ["getblockhash", "getblockhash"])
