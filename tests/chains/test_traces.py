"""Traces in both forms: the same movements, and nothing from what is broken or contradicts itself."""

from typing import Any

import pytest

from chains.evm.hex import Misread, OtherBranch
from chains.evm.traces import (
    Movement,
    find_movements,
    read_call_tree,
    read_traces,
    split_call_trees,
    split_traces,
)
from tests.chains.evm_golden import ANSWERS, load

A, B, C, D = ("0x" + pair * 20 for pair in ("aa", "bb", "cc", "dd"))
TX, BLOCK = "0x" + "11" * 32, "0x" + "22" * 32


def never(_account: str) -> bool:
    return False


def always(_account: str) -> bool:
    return True


def call(
    source: str, target: str | None, value: int, *calls: dict[str, Any], kind: str = "CALL", **more: Any
) -> dict[str, Any]:
    return {"type": kind, "from": source, "to": target, "value": hex(value), "calls": list(calls), **more}


def flat(root: dict[str, Any], place: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """The same call as `trace_block` writes it."""
    kind, failed = root["type"], root.get("error")
    inner = root.get("calls") or []
    if kind == "SELFDESTRUCT":
        action = {"address": root["from"], "refundAddress": root["to"], "balance": root["value"]}
        entry: dict[str, Any] = {"type": "suicide", "action": action, "result": None}
    elif kind.startswith("CREATE"):
        entry = {"type": "create", "action": {"from": root["from"], "value": root["value"]}}
        entry["result"] = None if failed else {"address": root["to"]}
    else:
        action = {"from": root["from"], "to": root["to"], "value": root["value"], "callType": kind.lower()}
        entry = {"type": "call", "action": action, "result": None if failed else {"output": "0x"}}
    entry |= {"traceAddress": list(place), "subtraces": len(inner)}
    entry |= {"transactionHash": TX, "transactionPosition": 0, "blockHash": BLOCK}
    entry |= {"error": failed} if failed else {}
    return [entry, *(part for at, each in enumerate(inner) for part in flat(each, (*place, at)))]


def movements(root: dict[str, Any], survives: Any = always) -> list[Movement]:
    """What both forms give, which must be one thing."""
    found = find_movements(read_call_tree(root), survives=survives)
    assert find_movements(read_traces(flat(root)), survives=survives) == found
    return found


def test_frames_that_move_nothing_need_no_value() -> None:
    quiet = {"type": "STATICCALL", "from": B, "to": C}
    assert find_movements(read_call_tree(call(A, B, 1, quiet, call(B, D, 2))), survives=always)[0].part == 2
    entries = flat(call(A, B, 1, call(B, C, 0, kind="STATICCALL"), call(B, D, 2)))
    del entries[1]["action"]["value"]
    assert find_movements(read_traces(entries), survives=always) == [Movement(2, B, D, 2)]


def test_parts_count_every_frame_in_pre_order() -> None:
    root = call(A, B, 9, call(B, C, 1, call(C, D, 2)), call(B, D, 0), call(B, A, 3))
    assert movements(root) == [Movement(1, B, C, 1), Movement(2, C, D, 2), Movement(4, B, A, 3)]


def test_only_calls_creations_and_destructions_move_value() -> None:
    root = call(
        A, B, 0,
        call(B, C, 1, kind="DELEGATECALL"),
        call(B, C, 2, kind="CALLCODE"),
        call(B, C, 0, kind="STATICCALL"),
        call(B, C, 3, kind="CREATE"),
        call(B, D, 4, kind="CREATE2"),
        call(B, A, 5, kind="SELFDESTRUCT"),
    )  # fmt: skip
    assert [(m.part, m.amount) for m in movements(root)] == [(4, 3), (5, 4), (6, 5)]


@pytest.mark.parametrize("word", ["Reverted", "execution reverted", "out of gas", "Bad instruction", "x"])
def test_nothing_inside_a_failed_frame_moves_whatever_the_error_is_called(word: str) -> None:
    root = call(A, B, 0, call(B, C, 1, call(C, D, 2), error=word, revertReason="no"), call(B, D, 3))
    assert movements(root) == [Movement(3, B, D, 3)]
    assert movements(call(A, B, 5, call(B, C, 1), error=word)) == []


def test_a_reason_alone_is_no_failure() -> None:
    root = call(A, B, 0, call(B, C, 1, revertReason="", error=""), call(B, C, 2, error=None))
    assert [m.amount for m in find_movements(read_call_tree(root), survives=always)] == [1, 2]


def test_a_destruction_gives_the_balance_and_before_eip_6780_the_account_ends() -> None:
    root = call(A, B, 0, call(B, C, 7, kind="SELFDESTRUCT"), call(A, B, 5))
    assert movements(root, always) == [Movement(1, B, C, 7), Movement(2, A, B, 5)]
    # What it gets after its destruction is lost when the transaction ends.
    assert movements(root, never) == [Movement(1, B, C, 7), Movement(2, A, B, 5), Movement(3, B, None, 5)]


def test_what_an_account_gives_to_itself_is_lost_only_if_it_ends() -> None:
    root = call(A, B, 0, call(B, B, 7, kind="SELFDESTRUCT"))
    assert movements(root, always) == []
    assert movements(root, never) == [Movement(1, B, None, 7)]


def test_an_account_created_in_the_same_transaction_ends_under_either_rule() -> None:
    root = call(A, B, 0, call(B, C, 4, call(C, C, 4, kind="SELFDESTRUCT"), kind="CREATE"), call(B, C, 2))
    expected = [Movement(1, B, C, 4), Movement(2, C, None, 4), Movement(3, B, C, 2), Movement(4, C, None, 2)]
    assert movements(root, always) == expected
    direct = call(A, B, 6, call(B, D, 6, kind="SELFDESTRUCT"), kind="CREATE")
    assert movements(direct, always) == [Movement(1, B, D, 6)]


def test_a_creation_that_failed_creates_no_account() -> None:
    root = call(
        A, B, 0,
        call(B, C, 4, kind="CREATE", error="out of gas"),
        call(B, C, 0, call(C, C, 9, kind="SELFDESTRUCT")),
    )  # fmt: skip
    assert movements(root, always) == []


def test_code_that_is_lent_destroys_the_borrower() -> None:
    root = call(A, B, 0, call(B, C, 0, call(B, D, 9, kind="SELFDESTRUCT"), kind="DELEGATECALL"))
    assert movements(root) == [Movement(2, B, D, 9)]


def test_a_destruction_recorded_for_another_account_did_nothing() -> None:
    root = call(A, B, 21, call(A, B, 21, kind="SELFDESTRUCT"))
    assert movements(root) == []
    nameless = call(A, B, 0, {"type": "SELFDESTRUCT", "from": "0x" + "0" * 40})
    assert find_movements(read_call_tree(nameless), survives=always) == []


def test_a_destruction_that_repeats_the_movement_before_it_is_doubtful() -> None:
    root = call(A, B, 0, call(B, C, 5), call(B, C, 5, kind="SELFDESTRUCT"))
    assert movements(root, always) == [Movement(1, B, C, 5), Movement(2, B, C, 5, doubtful=True)]
    assert movements(root, never) == [Movement(1, B, C, 5), Movement(2, B, C, 5)]
    other = call(A, B, 0, call(B, C, 5), call(B, C, 6, kind="SELFDESTRUCT"))
    assert not any(m.doubtful for m in movements(other, always))


def test_accounts_are_canonical() -> None:
    root = call(
        A.upper().replace("X", "x"), B.upper().replace("X", "x"), 0, call(B.upper().replace("X", "x"), C, 1)
    )
    assert find_movements(read_call_tree(root), survives=always) == [Movement(1, B, C, 1)]


@pytest.mark.parametrize("name", ANSWERS)
def test_both_recorded_forms_give_the_same_parts(name: str) -> None:
    answers = load(name)
    block = answers["block"]
    txids = [entry["hash"] for entry in block["transactions"]]
    height = int(block["number"], 16)
    flat_ones, _ = split_traces(answers["trace_block"], height, block["hash"], txids)
    trees = split_call_trees(answers["callTracer"], height, txids)
    survives = always if "prague" in name else never
    for one, other in zip(flat_ones, trees, strict=True):
        assert find_movements(one, survives=survives) == find_movements(other, survives=survives)


def test_calls_nested_as_deep_as_the_chain_allows() -> None:
    root = call(A, B, 1)
    for _ in range(1024):
        root = call(A, B, 1, root)
    frames = read_call_tree(root)
    assert len(find_movements(frames, survives=always)) == 1024
    for _ in range(2):
        root = call(A, B, 1, root)
    with pytest.raises(Misread, match="calls"):
        read_call_tree(root)


def _changed(root: dict[str, Any], at: int, **fields: Any) -> list[dict[str, Any]]:
    entries = flat(root)
    entries[at] |= fields
    return entries


TREE = call(A, B, 9, call(B, C, 1), call(B, D, 2))


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        (_changed(TREE, 1, traceAddress=[1]), "traceAddress"),  # twice
        (_changed(TREE, 1, traceAddress=[4, 0]), "traceAddress"),  # under none
        (_changed(TREE, 1, traceAddress=None), "traceAddress"),
        (_changed(TREE, 1, traceAddress=["0"]), "traceAddress"),
        (_changed(TREE, 1, traceAddress=[True]), "traceAddress"),
        (_changed(TREE, 1, traceAddress=[-1]), "traceAddress"),
        (_changed(TREE, 1, traceAddress=[0] * 1_100), "traceAddress"),
        (flat(TREE)[:2], "subtraces"),  # partial
        (_changed(TREE, 0, subtraces=1), "subtraces"),
        (_changed(TREE, 0, subtraces=None), "subtraces"),
        (_changed(TREE, 1, result=None), "result"),  # neither done nor failed
        (_changed(TREE, 1, action=None), "action"),
        (_changed(TREE, 1, action={"callType": "call", "value": -1}), "value"),
        (_changed(TREE, 1, action={"callType": "call"}), "value"),
        (_changed(TREE, 1, type="what"), "type"),
        (_changed(TREE, 1, type=None), "type"),
    ],
)
def test_traces_that_contradict_themselves_are_refused(entries: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(Misread) as caught:
        read_traces(entries)
    assert caught.value.field == field


def test_traces_out_of_order_are_put_in_order() -> None:
    assert read_traces(flat(TREE)[::-1]) == read_traces(flat(TREE))


@pytest.mark.parametrize(
    "root",
    [None, [], 7, {"type": "CALL", "value": "zz"}, {"type": []}, {"type": "JUMP"}, {},
     {"type": "CALL"}, {"type": "CREATE", "value": None}, {"type": "CALL", "value": "0x"},
     {"type": "CALL", "calls": 7}, {"type": "CALL", "calls": [7]}, {"type": "CALL", "value": 7}],
)  # fmt: skip
def test_a_call_tree_that_is_none_is_refused(root: Any) -> None:
    with pytest.raises(Misread):
        read_call_tree(root)


@pytest.mark.parametrize("target", [None, "0x", 7, "0x" + "zz" * 20, {}])
def test_an_address_that_is_none_is_refused_where_value_moves(target: Any) -> None:
    with pytest.raises(Misread):
        find_movements(read_call_tree(call(A, B, 0, call(B, target, 1))), survives=always)


def test_traces_of_another_block_are_told_apart_from_broken_ones() -> None:
    assert len(split_traces(flat(TREE), 5, BLOCK, [TX])[0][0]) == 3
    with pytest.raises(OtherBranch):
        split_traces(flat(TREE), 5, "0x" + "33" * 32, [TX])
    with pytest.raises(OtherBranch):
        split_traces(flat(TREE), 5, BLOCK, ["0x" + "33" * 32])
    with pytest.raises(Misread):
        split_traces(_changed(TREE, 0, transactionPosition=1), 5, BLOCK, [TX])
    with pytest.raises(Misread):
        split_traces({}, 5, BLOCK, [TX])
    with pytest.raises(OtherBranch):
        split_call_trees([{"txHash": "0x" + "33" * 32, "result": TREE}], 5, [TX])
    for answer in (
        None,
        [],
        [TREE, TREE],
        [{"txHash": TX, "error": "execution timeout"}],
        [{"txHash": TX}],
        [7],
    ):
        with pytest.raises(Misread):
            split_call_trees(answer, 5, [TX])


def test_rewards_stand_apart() -> None:
    reward: dict[str, Any] = {
        "type": "reward",
        "action": {"author": A, "rewardType": "block", "value": "0x1bc16d674ec80000"},
        "blockHash": BLOCK,
        "transactionHash": None,
        "transactionPosition": None,
        "traceAddress": [],
        "subtraces": 0,
        "result": None,
    }
    assert split_traces([*flat(TREE), reward], 5, BLOCK, [TX])[1] == [(A, 2 * 10**18)]
    with pytest.raises(Misread):
        split_traces([reward | {"action": {"author": A}}], 5, BLOCK, [])
