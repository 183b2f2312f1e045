import gzip
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from chains.errors import BadAnswer, NodeRefused, NodeUnavailable, RpcError
from chains.rpc import RpcClient, RpcLimits, brief, is_overload
from tests.chains.scripted_server import Reply, answer, failure, json_reply, serve

LIMITS = RpcLimits(timeout_seconds=5, attempts=4, first_pause_seconds=0.001, longest_pause_seconds=0.01)


def echo(body: Any, _: int) -> Reply:
    if isinstance(body, list):
        return json_reply([answer(call["params"], call["id"]) for call in body])
    return json_reply(answer(body["params"], body["id"]))


def after(failures: int, first: Callable[[Any], Reply]) -> Callable[[Any, int], Reply]:
    """Reply with `first` to the first requests, then as an echo."""
    return lambda body, number: first(body) if number < failures else echo(body, number)


def test_one_call_is_no_batch_and_says_what_it_wants() -> None:
    with serve(echo) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call("getblock", "00ff", 3) == ["00ff", 3]
        assert server.asked[0]["method"] == "getblock"
        assert server.asked[0]["jsonrpc"] == "2.0"


def test_many_calls_go_in_batches_and_come_back_in_order() -> None:
    def shuffled(body: Any, number: int) -> Reply:
        answers = orjson.loads(echo(body, number).body)
        random.Random(number).shuffle(answers)  # noqa: S311
        return json_reply(answers)

    with serve(shuffled) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call_many([("m", [i]) for i in range(50)]) == [[i] for i in range(50)]
        assert [len(asked) for asked in server.asked] == [20, 20, 10]
        assert client.call_many([]) == []


def test_an_answer_that_comes_twice_counts_once_and_two_different_ones_are_a_lie() -> None:
    def twice(body: Any, number: int) -> Reply:
        answers = orjson.loads(echo(body, number).body)
        return json_reply([*answers, answers[0]])

    def torn(body: Any, number: int) -> Reply:
        answers = orjson.loads(echo(body, number).body)
        return json_reply([*answers, answers[0] | {"result": "another"}])

    with serve(twice) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call_many([("m", [1]), ("m", [2])]) == [[1], [2]]
    with serve(torn) as server, RpcClient(server.url, limits=LIMITS) as client:
        with pytest.raises(BadAnswer, match="two different answers"):
            client.call_many([("m", [1]), ("m", [2])])
        assert len(server.asked) == 1


def test_what_a_batch_leaves_out_is_asked_again() -> None:
    def forgetful(body: Any, number: int) -> Reply:
        if isinstance(body, dict):
            return echo(body, number)
        return json_reply([answer(call["params"], call["id"]) for call in body[::2]])

    with serve(forgetful) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call_many([("m", [i]) for i in range(20)]) == [[i] for i in range(20)]
        assert [len(asked) if isinstance(asked, list) else 1 for asked in server.asked] == [20, 10, 5, 2, 1]


def test_a_node_that_always_leaves_something_out_is_given_up() -> None:
    with (
        serve(
            lambda body, _: json_reply([answer(call["params"], call["id"]) for call in body[1:]])
        ) as server,
        RpcClient(server.url, limits=LIMITS) as client,
        pytest.raises((NodeUnavailable, BadAnswer)),
    ):
        client.call_many([("m", [i]) for i in range(3)])


@pytest.mark.parametrize("number", [999_999_999, None, "1", 1.0, True, [1], {"a": 1}])
def test_an_answer_to_what_was_not_asked_is_refused(number: Any) -> None:
    with (
        serve(lambda body, _: json_reply([answer(1, number), answer(2, body[1]["id"])])) as server,
        RpcClient(server.url, limits=LIMITS) as client,
        pytest.raises(BadAnswer, match="not asked"),
    ):
        client.call_many([("m", []), ("m", [])])


@pytest.mark.parametrize("body", [b"3", b'"x"', b"null", b"[1]", b"[null]", b"{}", b'{"id":1}', b"[[[]]]"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with (
        serve(lambda *_: Reply(body)) as server,
        RpcClient(server.url, limits=LIMITS) as client,
        pytest.raises(BadAnswer),
    ):
        client.call("m")


def test_a_result_of_null_is_a_result() -> None:
    with (
        serve(lambda body, _: json_reply(answer(None, body["id"]) | {"error": None})) as server,
        RpcClient(server.url, limits=LIMITS) as client,
    ):
        assert client.call("m") is None


def test_errors_of_the_node_are_told_apart_by_call() -> None:
    def some(body: Any, _: int) -> Reply:
        return json_reply([failure(-8, "Block height out of range", c["id"]) if c["params"] == [1]
                           else answer(c["params"], c["id"]) for c in body])  # fmt: skip

    with serve(some) as server, RpcClient(server.url, limits=LIMITS) as client:
        first, second = client.call_each([("getblockhash", [0]), ("getblockhash", [1])])
        assert first == [0]
        assert isinstance(second, RpcError)
        assert (second.method, second.code) == ("getblockhash", -8)
        with pytest.raises(RpcError, match="Block height out of range"):
            client.call_many([("getblockhash", [0]), ("getblockhash", [1])])
        assert len(server.asked) == 2


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_an_error_in_json_counts_whatever_the_status(status: int) -> None:
    with (
        serve(lambda body, _: json_reply(failure(-32601, "Method not found", body["id"]), status)) as server,
        RpcClient(server.url, limits=LIMITS) as client,
    ):
        with pytest.raises(RpcError) as caught:
            client.call("nosuch")
        assert caught.value.code == -32601
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "error",
    ["no", 5, ["x"], {}, {"code": "a", "message": 5}, {"code": 10**18, "message": {"deep": []}},
     {"code": True, "message": None}, {"code": -1, "message": "a\x1b[31m\n" * 900, "data": "x"}],
)  # fmt: skip
def test_errors_of_any_form_are_the_nodes_own(error: Any) -> None:
    with (
        serve(lambda body, _: json_reply({"id": body["id"], "error": error})) as server,
        RpcClient(server.url, limits=LIMITS) as client,
    ):
        with pytest.raises(RpcError) as caught:
            client.call("m")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "trouble",
    [
        lambda body: Reply(b"busy", 503),
        lambda body: Reply(b"<html>", 502),
        lambda body: Reply(b"", 504),
        lambda body: Reply(b"", 500),
        lambda body: Reply(b"", 429, {"Retry-After": "0"}),
        lambda body: Reply(orjson.dumps(answer(1, body["id"])), cut=9),
        lambda body: Reply(b'{"id":1,"resu'),
        lambda body: Reply(b""),
        lambda body: Reply(b"\xff\xfe not text"),
        lambda body: Reply(b"[" * 100_000 + b"]" * 100_000),
        lambda body: Reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
        lambda body: json_reply(failure(-28, "Loading block index…", body["id"]), 500),
        lambda body: json_reply(failure(429, "slow", body["id"])),
        lambda body: json_reply(failure(-32005, "project ID request rate exceeded", body["id"])),
    ],
)
def test_what_can_pass_is_tried_again(trouble: Callable[[Any], Reply]) -> None:
    with serve(after(2, trouble)) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call("m", 7) == [7]
        assert len(server.asked) == 3
    with serve(after(10, trouble)) as server, RpcClient(server.url, limits=LIMITS) as client:
        with pytest.raises((NodeUnavailable, BadAnswer)):
            client.call("m", 7)
        assert len(server.asked) == LIMITS.attempts


def test_a_node_that_answers_nonsense_is_not_called_absent() -> None:
    with (
        serve(lambda *_: Reply(b"<html>Hello</html>")) as server,
        RpcClient(server.url, limits=LIMITS) as client,
        pytest.raises(BadAnswer, match="no JSON"),
    ):
        client.call("m")


def test_no_node_at_all_is_said_with_the_number_of_attempts() -> None:
    with serve(echo) as server:
        url = server.url
    with RpcClient(url, limits=LIMITS) as client, pytest.raises(NodeUnavailable) as caught:
        client.call("m")
    assert caught.value.attempts == LIMITS.attempts
    assert caught.value.url == url


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with (
        serve(lambda *_: Reply(b"", status)) as server,
        RpcClient(server.url, limits=LIMITS) as client,
    ):
        with pytest.raises(NodeRefused, match=str(status)):
            client.call("m")
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 404, 405, 418])
def test_another_place_is_not_asked(status: int) -> None:
    with serve(echo) as elsewhere:
        target = elsewhere.url
        with (
            serve(lambda *_: Reply(b"moved", status, {"Location": target})) as server,
            RpcClient(server.url, limits=LIMITS) as client,
        ):
            with pytest.raises(BadAnswer, match=str(status)):
                client.call("m")
            assert len(server.asked) == 1
        assert elsewhere.asked == []


@pytest.mark.parametrize("largest", [1, 3, 10])
def test_a_node_that_takes_smaller_batches_gets_smaller_ones(largest: int) -> None:
    def small(body: Any, number: int) -> Reply:
        if isinstance(body, list) and (len(body) > largest or largest == 1):
            return json_reply(failure(-32600, "batch too large"), 200 if largest == 3 else 400)
        return echo(body, number)

    with serve(small) as server, RpcClient(server.url, limits=LIMITS) as client:
        calls = [("m", [i]) for i in range(45)]
        assert client.call_many(calls) == [[i] for i in range(45)]
        refused = [body for body in server.asked if isinstance(body, list) and len(body) > largest]
        assert len(refused) <= 5
        server.asked.clear()
        assert client.call_many(calls) == [[i] for i in range(45)]
        assert all(not isinstance(body, list) or len(body) <= largest for body in server.asked)


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_a_batch_may_be_refused_without_a_word(status: int) -> None:
    def small(body: Any, number: int) -> Reply:
        if isinstance(body, list) and len(body) > 4:
            return Reply(b"<html>too large</html>", status)
        return echo(body, number)

    with serve(small) as server, RpcClient(server.url, limits=LIMITS) as client:
        for _ in range(2):
            assert client.call_many([("m", [i]) for i in range(10)]) == [[i] for i in range(10)]
        assert [len(body) for body in server.asked] == [10, 5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]


def test_a_batch_that_takes_too_long_is_made_smaller() -> None:
    def slow(body: Any, number: int) -> Reply:
        time.sleep(1.5 if isinstance(body, list) and len(body) > 2 else 0)
        return echo(body, number)

    limits = RpcLimits(timeout_seconds=0.5, attempts=6, first_pause_seconds=0.001)
    with serve(slow) as server, RpcClient(server.url, limits=limits) as client:
        assert client.call_many([("m", [i]) for i in range(8)]) == [[i] for i in range(8)]
        assert [len(body) for body in server.asked[:3]] == [8, 4, 2]


def test_an_overloaded_answer_to_a_whole_batch_does_not_make_batches_smaller() -> None:
    first = json_reply(failure(-32005, "too many requests"))
    with serve(after(1, lambda body: first)) as server, RpcClient(server.url, limits=LIMITS) as client:
        assert client.call_many([("m", [1]), ("m", [2])]) == [[1], [2]]
        assert [len(body) for body in server.asked] == [2, 2]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_answer_is_cut_off_and_a_batch_is_halved(chunked: bool) -> None:
    limits = RpcLimits(attempts=2, largest_answer_bytes=1000, first_pause_seconds=0.001)

    def large(body: Any, _: int) -> Reply:
        calls = body if isinstance(body, list) else [body]
        answers = [answer("x" * 300, call["id"]) for call in calls]
        return Reply(orjson.dumps(answers if isinstance(body, list) else answers[0]), chunked=chunked)

    with serve(large) as server, RpcClient(server.url, limits=limits) as client:
        assert client.call_many([("m", [])] * 8) == ["x" * 300] * 8
    with (
        serve(lambda *_: Reply(b" " * 100_000, chunked=chunked)) as server,
        RpcClient(server.url, limits=limits) as client,
    ):
        with pytest.raises(BadAnswer, match="larger than 1000 bytes"):
            client.call("m")
        assert len(server.asked) == 1


def test_an_answer_without_an_end_is_not_waited_for() -> None:
    limits = RpcLimits(attempts=1, largest_answer_bytes=1_000_000)
    endless = Reply(b" " * 1_000_000, chunked=True, times=500)
    with serve(lambda *_: endless) as server, RpcClient(server.url, limits=limits) as client:
        with pytest.raises(BadAnswer, match="larger than"):
            client.call("m")
        assert server.written < 100


def test_a_small_answer_that_unpacks_to_a_huge_one_is_cut_off() -> None:
    limits = RpcLimits(attempts=2, largest_answer_bytes=1_000_000)
    bomb = gzip.compress(b" " * 100_000_000)
    with (
        serve(lambda *_: Reply(bomb, headers={"Content-Encoding": "gzip"})) as server,
        RpcClient(server.url, limits=limits) as client,
        pytest.raises(BadAnswer, match="larger than"),
    ):
        client.call("m")


def test_pauses_grow_are_jittered_and_obey_retry_after_up_to_the_longest() -> None:
    pauses: list[float] = []
    limits = RpcLimits(attempts=8, first_pause_seconds=1, longest_pause_seconds=20)
    with (
        serve(lambda *_: Reply(b"", 503)) as server,
        RpcClient(server.url, limits=limits, sleep=pauses.append) as client,
        pytest.raises(NodeUnavailable),
    ):
        client.call("m")
    assert len(pauses) == 7
    assert all(0 <= pause <= min(20, 2**i) for i, pause in enumerate(pauses))
    assert len(set(pauses)) == 7
    for header, wanted in (("7", 7), ("9999999", 20), ("Fri, 31 Dec 2100 23:59:59 GMT", 20)):
        pauses.clear()
        one = RpcLimits(attempts=2, first_pause_seconds=1, longest_pause_seconds=20)
        with (
            serve(lambda *_, header=header: Reply(b"", 429, {"Retry-After": header})) as server,
            RpcClient(server.url, limits=one, sleep=pauses.append) as client,
            pytest.raises(NodeUnavailable),
        ):
            client.call("m")
        assert pauses == [wanted]
    for header in ("soon", "-5", "Fri, 31 Dec 1999 23:59:59 GMT", "١"):
        pauses.clear()
        with (
            serve(after(1, lambda _, header=header: Reply(b"", 429, {"Retry_After": header}))) as server,  # type: ignore[misc]
            RpcClient(server.url, limits=limits, sleep=pauses.append) as client,
        ):
            assert client.call("m") == []
        assert 0 <= pauses[0] <= 1


def test_a_rate_limit_counts_the_calls_of_a_batch() -> None:
    pauses: list[float] = []
    limits = RpcLimits(requests_per_second=10)
    with serve(echo) as server, RpcClient(server.url, limits=limits, sleep=pauses.append) as client:
        client.call_many([("m", [i]) for i in range(40)])
        client.call("m")
    assert len(pauses) == 2
    assert 1 < pauses[0] <= 2
    assert 3 < pauses[1] <= 4


def test_many_threads_share_one_client() -> None:
    with serve(echo) as server, RpcClient(server.url, limits=LIMITS) as client, ThreadPoolExecutor(8) as pool:
        asked = [[("m", [i, j]) for j in range(25)] for i in range(16)]
        found = list(pool.map(client.call_many, asked))
    assert found == [[[i, j] for j in range(25)] for i in range(16)]


def test_an_error_that_means_overload_is_told_from_a_range_that_is_too_large() -> None:
    assert is_overload(-28, "Verifying blocks…")
    assert is_overload(-32005, "daily request count exceeded, request rate limited")
    assert is_overload(-32000, "Too Many Requests")
    assert not is_overload(-32005, "query returned more than 10000 results")
    assert not is_overload(-32005, "exceed max block range: 5000")
    assert not is_overload(-32000, "insufficient funds")
    assert not is_overload(-8, "Block height out of range")


def test_a_value_is_shown_in_a_few_characters_whatever_it_is() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (
        10**5000,
        "x" * 10**6,
        deep,
        {"a": deep},
        float("nan"),
        None,
        b"\0",
        "\x1b[31m",
        -(10**400),
    ):
        assert len(brief(value)) < 100
        assert brief(value).isprintable()
