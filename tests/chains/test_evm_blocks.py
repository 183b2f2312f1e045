"""Blocks of EVM chains as legs: recorded answers with reviewed legs, other chains' rules, hostile answers."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from chains.evm.blocks import ChainRules
from chains.evm.hex import Misread, OtherBranch
from chains.evm.legs import LARGEST
from chains.evm.rewards import ethereum_reward, ethereum_rewards
from chains.evm.tokens import TRANSFER
from chains.ledger import BLOCK_SCHEMA, FREEZE_SCHEMA, LEG_SCHEMA, REJECT_SCHEMA, TRANSFER_SCHEMA
from tests.chains.evm_golden import ANSWERS, GOLDEN, decode, load
from tests.chains.evm_world import show_legs, word

A, B, MINER, ZERO = "0x" + "aa" * 20, "0x" + "bb" * 20, "0x" + "cc" * 20, "0x" + "00" * 20
ETHER = 10**18
GWEI = 10**9


def block(*transactions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Answers about a block of a chain without any particular rule; a transaction holds its receipt."""
    hashes = {"blockHash": "0x" + "bb" * 32, "blockNumber": "0x64"}
    header: dict[str, Any] = {
        "number": "0x64",
        "hash": "0x" + "bb" * 32,
        "parentHash": "0x" + "aa" * 32,
        "miner": MINER,
    }
    header |= {"timestamp": "0x60000000", "gasUsed": "0x0", "transactions": []}
    answers: dict[str, Any] = {"block": header, "receipts": [], "names": {A: "a", B: "b", MINER: "miner"}}
    used = logs = 0
    for position, fields in enumerate(transactions):
        given = dict(fields)
        receipt: dict[str, Any] = {
            "status": "0x1",
            "gasUsed": "0x5208",
            "effectiveGasPrice": hex(2 * GWEI),
            "logs": [],
        }
        receipt |= given.pop("receipt", {})
        used += int(receipt["gasUsed"], 16)
        places = hashes | {"transactionIndex": hex(position)}
        txid = f"0x{position + 1:064x}"
        for log in receipt["logs"]:
            log |= {"logIndex": hex(logs), "transactionHash": txid, **hashes}
            logs += 1
        receipt |= places | {"transactionHash": txid, "cumulativeGasUsed": hex(used)}
        transaction: dict[str, Any] = {
            "hash": txid,
            "from": A,
            "to": B,
            "value": "0x0",
            "gas": "0x7530",
            "type": "0x0",
        }
        header["transactions"].append(transaction | places | given)
        answers["receipts"].append({k: v for k, v in receipt.items() if v != "absent"})
    header |= {"gasUsed": hex(used)} | more
    return answers


def lines(answers: dict[str, Any], **more: Any) -> list[str]:
    return show_legs(decode(answers, internal="none", **more), answers["names"])


@pytest.mark.parametrize("internal", ["trace_block", "callTracer"])
@pytest.mark.parametrize("name", ANSWERS)
def test_recorded_answers_give_the_reviewed_legs(name: str, internal: str) -> None:
    answers = load(name)
    found = show_legs(decode(answers, internal=internal), answers["names"])
    expected = (GOLDEN / f"{name}.txt").read_text().splitlines()
    if not any(" fee " in line for line in expected):
        found = [line for line in found if " fee " not in line]
    assert found == expected


def test_every_recorded_case_is_there() -> None:
    kinds = {"native", "internal", "destroyed", "transfers", "tether", "weth", "circle", "tether_blocks"}
    assert {name.rpartition("_")[0] for name in ANSWERS} == kinds | {"fees", "undeclared"}


@pytest.mark.parametrize("name", ANSWERS)
def test_columns_follow_the_schemas_and_the_natural_key(name: str) -> None:
    answers = load(name)
    batch = decode(answers)
    tables = (batch.transfers, batch.legs, batch.rejected, batch.blocks, batch.freezes)
    schemas = (TRANSFER_SCHEMA, LEG_SCHEMA, REJECT_SCHEMA, BLOCK_SCHEMA, FREEZE_SCHEMA)
    assert [table.schema for table in tables] == list(schemas)
    for table in tables:
        table.validate(full=True)
    order = ["genesis", "reward", "native", "internal", "token", "fee", "withdrawal"]
    rows = batch.transfers.to_pylist()
    keys = [(row["height"], row["position"], order.index(row["kind"]), row["part"]) for row in rows]
    assert keys == sorted(set(keys))
    assert [row["transfer"] for row in rows] == list(range(len(rows)))
    assert all(row["row"] == row["position"] for row in rows)
    header = answers["block"]
    assert {row["block_hash"] for row in rows} == {bytes.fromhex(header["hash"][2:])}
    assert {int(row["time"].timestamp()) for row in batch.blocks.to_pylist()} == {
        int(header["timestamp"], 16)
    }
    hashes = [bytes.fromhex(entry["hash"][2:]) for entry in header["transactions"]]
    assert all(row["hash"] == hashes[row["position"]] for row in rows)


def test_without_traces_there_are_no_internal_transfers_and_all_else() -> None:
    answers = load("internal_prague")
    whole, part = (
        decode(answers).transfers.to_pylist(),
        decode(answers, internal="none").transfers.to_pylist(),
    )
    assert [r["kind"] for r in part] == [r["kind"] for r in whole if r["kind"] != "internal"]


def test_a_doubtful_movement_waits_for_a_verdict() -> None:
    answers = load("destroyed_prague")

    def shown(verdict: bool | None) -> list[str]:
        verdicts = {(2, 2): verdict, (3, 2): True}
        return [
            line
            for line in show_legs(decode(answers, verdicts=verdicts), answers["names"])
            if line.startswith("2 ") and "fee" not in line and "native" not in line
        ]

    first = "2 internal 1: repeated -5, payee3 +5"
    assert shown(True) == [first, "2 internal 2: repeated -5, payee3 +5"]
    assert shown(False) == [first]
    assert shown(None) == [first, "2 rejected: unclear_trace"]


def test_a_late_chain_without_the_mark_of_cancun_is_asked_for_the_code() -> None:
    answers = load("destroyed_shanghai")
    answers["block"]["timestamp"] = hex(1_750_000_000)
    ended = show_legs(decode(answers, code=False), answers["names"])
    assert "7 internal 1: to_itself -1021" in ended
    lives = show_legs(decode(answers, code=True, verdicts={}), answers["names"])
    assert not any(line.startswith("7 internal") for line in lives)
    answers["block"]["timestamp"] = hex(1_600_000_000)  # long before EIP-6780: nobody is asked
    assert show_legs(decode(answers, code=True), answers["names"]) == ended


# Fees


def test_before_london_the_whole_fee_is_the_miners() -> None:
    assert lines(block({"value": "0x5"})) == [
        "0 native 0: a -5, b +5",
        f"0 fee 0: a -{21000 * 2 * GWEI}, miner +{21000 * 2 * GWEI}",
    ]


def test_the_base_fee_is_burned_and_the_tip_is_not() -> None:
    burned = block({}, baseFeePerGas=hex(2 * GWEI))
    assert lines(burned) == [f"0 fee 0: a -{21000 * 2 * GWEI}"]
    tipped = block({}, baseFeePerGas=hex(GWEI))
    assert lines(tipped) == [f"0 fee 0: a -{21000 * 2 * GWEI}, miner +{21000 * GWEI}"]


def test_an_old_receipt_has_no_price_and_the_transaction_tells_it() -> None:
    answers = block({"gasPrice": "0x3", "receipt": {"effectiveGasPrice": "absent"}})
    assert lines(answers) == ["0 fee 0: a -63000, miner +63000"]


def test_transactions_without_a_price_pay_nothing() -> None:
    assert lines(block({"receipt": {"effectiveGasPrice": "0x0"}}, baseFeePerGas="0x7")) == []


def test_blobs_are_burned_and_only_where_there_are_any() -> None:
    receipt = {"effectiveGasPrice": "0x5", "blobGasUsed": "0x20000", "blobGasPrice": "0x3"}
    assert lines(block({"type": "0x3", "receipt": receipt}, baseFeePerGas="0x4")) == [
        f"0 fee 0: a -{21000 * 5 + 131072 * 3}, miner +21000"
    ]
    # OP Stack's Jovian writes the footprint of data there, at a price of 1, for every transaction.
    assert lines(block({"type": "0x2", "receipt": receipt}, baseFeePerGas="0x4")) == [
        "0 fee 0: a -105000, miner +21000"
    ]


def test_fees_for_data_on_l1_are_paid_too() -> None:
    receipt = {"effectiveGasPrice": "0x5", "l1Fee": "0x3e8"}
    assert lines(block({"receipt": receipt}, baseFeePerGas="0x4")) == ["0 fee 0: a -106000, miner +21000"]


def op_block(receipt: dict[str, Any], **more: Any) -> dict[str, Any]:
    deposit = {"type": "0x7e", "mint": None, "gas": "0xf4240"}
    free = {"effectiveGasPrice": "0x0", "l1Fee": "0x0", "gasUsed": "0x5208"}
    return block({**deposit, "receipt": free}, {"receipt": receipt}, baseFeePerGas="0x4", **more)


def test_on_the_op_stack_the_vaults_get_what_others_burn() -> None:
    base, l1, operator = (f"0x42000000000000000000000000000000000000{n}" for n in ("19", "1a", "1b"))
    receipt = {"effectiveGasPrice": "0x5", "l1Fee": "0x3e8"}
    assert lines(op_block(receipt)) == [f"1 fee 0: a -106000, miner +21000, {base} +84000, {l1} +1000"]
    receipt |= {"operatorFeeScalar": "0x1e8480", "operatorFeeConstant": "0x7"}  # two millions: twice the gas
    paid = f"1 fee 0: a -{106000 + 42007}, miner +21000, {base} +84000, {l1} +1000, {operator} +42007"
    assert lines(op_block(receipt)) == [paid]
    jovian = op_block(receipt, extraData="0x01" + "00" * 16)
    assert f"{operator} +{21000 * 2_000_000 * 100 + 7}" in lines(jovian)[0]


def test_where_fees_go_elsewhere_the_vaults_get_nothing() -> None:
    receipt = {"effectiveGasPrice": "0x5", "l1Fee": "0x3e8"}
    found = lines(op_block(receipt), rules=ChainRules(vaults=False))
    assert found == ["1 fee 0: a -106000, miner +21000"]


def test_a_deposit_of_the_op_stack_creates_what_it_mints_even_where_it_fails() -> None:
    deposit = {"type": "0x7e", "mint": hex(100), "value": hex(7)}
    free = {"effectiveGasPrice": "0x0"}
    assert lines(block({**deposit, "receipt": free}, baseFeePerGas="0x4")) == [
        "0 reward 0: a +100",
        "0 native 0: a -7, b +7",
    ]
    failed = block({**deposit, "receipt": free | {"status": "0x0"}}, baseFeePerGas="0x4")
    assert lines(failed) == ["0 reward 0: a +100"]
    assert lines(block({**deposit, "type": "0x7E", "receipt": free})) == lines(
        block({**deposit, "receipt": free})
    )


def test_a_deposit_of_arbitrum_creates_what_it_pays() -> None:
    deposit = {"type": "0x64", "value": hex(7), "receipt": {"effectiveGasPrice": "0x0"}}
    assert lines(block(deposit)) == ["0 reward 0: a +7", "0 native 0: a -7, b +7"]


def test_a_fee_in_a_token_is_set_aside() -> None:
    answers = block({"type": "0x7b", "feeCurrency": B})
    batch = decode(answers, internal="none")
    assert batch.transfers.num_rows == 0
    assert [(r["reason"], r["height"], r["row"]) for r in batch.rejected.to_pylist()] == [
        ("fee_in_token", 100, 0)
    ]


# What the block itself pays


def test_withdrawals_are_in_gwei_and_stand_behind_all_transactions() -> None:
    entries = [
        {"index": "0x9", "validatorIndex": "0x1", "address": A, "amount": "0x1"},
        {"index": "0xa", "validatorIndex": "0x2", "address": B, "amount": "0x0"},
        {"index": "0xb", "validatorIndex": "0x3", "address": B, "amount": "0x2"},
    ]
    batch = decode(block({}, withdrawals=entries, baseFeePerGas=hex(2 * GWEI)), internal="none")
    rows = [row for row in batch.transfers.to_pylist() if row["kind"] == "withdrawal"]
    assert [(row["position"], row["part"], row["hash"]) for row in rows] == [(1, 0, None), (1, 2, None)]
    assert show_legs(batch, {A: "a", B: "b"})[1:] == [
        f"1 withdrawal 0: a +{GWEI}",
        f"1 withdrawal 2: b +{2 * GWEI}",
    ]


def test_withdrawals_of_a_token_are_none_of_the_coin() -> None:
    entries = [{"index": "0x9", "validatorIndex": "0x1", "address": A, "amount": "0x1"}]
    assert lines(block(withdrawals=entries), rules=ChainRules(withdrawals=False)) == []
    assert lines(block(withdrawals=entries)) == [f"0 withdrawal 0: a +{GWEI}"]


def test_rewards_of_a_trace_block_answer() -> None:
    answers = block({}, baseFeePerGas=hex(2 * GWEI))
    base = {"blockHash": answers["block"]["hash"], "traceAddress": [], "subtraces": 0}
    call = {"from": A, "to": B, "value": "0x0", "callType": "call", "gas": "0x0", "input": "0x"}
    txid = answers["block"]["transactions"][0]["hash"]
    answers["trace_block"] = [
        base
        | {"type": "call", "action": call, "result": {}, "transactionPosition": 0, "transactionHash": txid},
        base
        | {"type": "reward", "action": {"author": MINER, "value": hex(2 * ETHER), "rewardType": "block"}},
        base | {"type": "reward", "action": {"author": B, "value": hex(ETHER), "rewardType": "uncle"}},
    ]
    found = show_legs(decode(answers), answers["names"])
    assert found[1:] == [f"1 reward 0: miner +{2 * ETHER}", f"1 reward 1: b +{ETHER}"]


def test_the_schedule_of_ethereum() -> None:
    heights = (1, 4_369_999, 4_370_000, 7_279_999, 7_280_000, 15_537_393)
    assert [ethereum_reward(height) // ETHER for height in heights] == [5, 5, 3, 3, 2, 2]
    # Block 2,743,092 had two uncles: 2,743,089 and 2,743,091, as its page on an explorer shows.
    uncles = [{"number": hex(2_743_091), "miner": A}, {"number": hex(2_743_089), "miner": B}]
    found = ethereum_rewards(2_743_092, MINER, uncles)
    assert found == [
        (MINER, 5 * ETHER + 2 * 5 * ETHER // 32),
        (A, 5 * ETHER * 7 // 8),
        (B, 5 * ETHER * 5 // 8),
    ]
    for number in (2_743_092, 2_743_093, 2_743_085):
        with pytest.raises(Misread):
            ethereum_rewards(2_743_092, MINER, [{"number": hex(number), "miner": A}])


# Transactions from before receipts said whether they succeeded


def old(**more: Any) -> dict[str, Any]:
    receipt = {"status": "absent", "root": "0x" + "ee" * 32, "gasUsed": "0x5208"} | more.pop("receipt", {})
    return block({"value": "0x7", "gas": "0x5208", "receipt": receipt, **more})


def test_gas_left_over_or_a_log_proves_success() -> None:
    paid = "0 native 0: a -7, b +7"
    assert lines(old(gas="0x5209"), code=None)[0] == paid
    log = {"address": B, "topics": [], "data": "0x"}
    assert lines(old(receipt={"logs": [log]}), code=None)[0] == paid


def test_a_payment_to_an_account_without_code_cannot_fail() -> None:
    assert lines(old(), code=False)[0] == "0 native 0: a -7, b +7"


@pytest.mark.parametrize("code", [True, None])
def test_what_cannot_be_known_is_set_aside_with_its_height(code: bool | None) -> None:
    answers = old()
    batch = decode(answers, internal="none", code=code)
    assert [(r["reason"], r["height"]) for r in batch.rejected.to_pylist()] == [("unknown_outcome", 100)]
    assert [row["kind"] for row in batch.transfers.to_pylist()] == ["fee"]  # that was paid in any case
    assert (
        lines(old(to=None, receipt={"contractAddress": B}), code=False)[-1] == "0 rejected: unknown_outcome"
    )


@pytest.mark.parametrize("failed", [True, False])
def test_traces_tell_the_outcome_where_receipts_do_not(failed: bool) -> None:
    answers = old()
    entry = answers["block"]["transactions"][0]
    root = {"type": "CALL", "from": A, "to": B, "value": "0x7"} | ({"error": "out of gas"} if failed else {})
    answers["callTracer"] = [{"txHash": entry["hash"], "result": root}]
    kinds = [r["kind"] for r in decode(answers, internal="callTracer", code=None).transfers.to_pylist()]
    assert kinds == (["fee"] if failed else ["native", "fee"])


# Amounts


@pytest.mark.parametrize("value", [LARGEST + 1, 2**256 - 1])
def test_an_amount_over_38_digits_is_set_aside_and_never_another_number(value: int) -> None:
    log = {"address": B, "topics": [TRANSFER, "0x" + word(A), "0x" + word(B)], "data": "0x" + word(value)}
    price = {"effectiveGasPrice": hex(2**200)}
    answers = block({"value": hex(value), "receipt": price | {"logs": [log]}}, baseFeePerGas="0x1")
    batch = decode(answers, internal="none")
    rows = batch.rejected.to_pylist()
    assert batch.transfers.num_rows == batch.legs.num_rows == 0
    assert [(row["reason"], row["height"], row["row"]) for row in rows] == [("too_large", 100, 0)] * 3
    assert str(value) in rows[0]["detail"]


def test_the_largest_amount_is_kept_exactly() -> None:
    batch = decode(block({"value": hex(LARGEST)}), internal="none")
    assert [int(leg["amount"]) for leg in batch.legs.to_pylist()[:2]] == [LARGEST, LARGEST]


def test_an_owner_that_the_node_cannot_tell_is_set_aside() -> None:
    answers = load("tether_prague")
    batch = decode(answers, owner=None)
    assert [row["reason"] for row in batch.rejected.to_pylist()] == ["unknown_owner"] * 2
    assert {row["height"] for row in batch.rejected.to_pylist()} == {int(answers["block"]["number"], 16)}


# Hostile answers


JUNK: tuple[Any, ...] = (
    None, True, 7, -1, 1.5, "", "0x", "0xzz", "zz", "-0x1", "0x-1", " 0x1", "0x1 ", "0x_1", "0x1_0", "0x٣",
    "0x" + "f" * 64, "0x" + "f" * 65, "0x" + "0" * 40, "0X01", "\x00", "\ud800", [], {}, [None], [[]], [7],
    [{}], {"a": 1}, 2**70, "9" * 5000,
)  # fmt: skip
_MISSING = object()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


def _with(answers: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The answers with another value at a place; what lies beside the path is shared."""
    changed = copy.copy(answers)
    if len(path) > 1:
        changed[path[0]] = _with(answers[path[0]], path[1:], value)
    elif value is _MISSING:
        del changed[path[0]]
    else:
        changed[path[0]] = value
    return changed


def _small() -> dict[str, Any]:
    """A block with one of everything, and both forms of its traces."""
    log = {"address": B, "topics": [TRANSFER, "0x" + word(A), "0x" + word(B)], "data": "0x" + word(5)}
    answers = block(
        {"value": "0x7", "type": "0x3", "gasPrice": "0x5", "receipt": {
            "logs": [log], "blobGasUsed": "0x1", "blobGasPrice": "0x1", "l1Fee": "0x1"}},
        {"to": None, "value": "0x1", "receipt": {"contractAddress": B}},
        baseFeePerGas="0x1", parentBeaconBlockRoot="0x" + "00" * 32,
        withdrawals=[{"address": A, "amount": "0x1"}],
    )  # fmt: skip
    one, two = (entry["hash"] for entry in answers["block"]["transactions"])
    inner = {"type": "CALL", "from": B, "to": A, "value": "0x2"}
    gone = {"type": "SELFDESTRUCT", "from": B, "to": A, "value": "0x1"}
    roots = [
        {"type": "CALL", "from": A, "to": B, "value": "0x7", "calls": [inner, gone]},
        {"type": "CREATE", "from": A, "to": B, "value": "0x1"},
    ]
    answers["callTracer"] = [
        {"txHash": one, "result": roots[0]},
        {"txHash": two, "result": roots[1]},
    ]
    where = {"blockHash": answers["block"]["hash"], "blockNumber": 100}
    first = where | {"transactionHash": one, "transactionPosition": 0}
    second = where | {"transactionHash": two, "transactionPosition": 1}
    call = {"callType": "call", "from": A, "to": B, "value": "0x7"}
    answers["trace_block"] = [
        first | {"type": "call", "action": call, "result": {}, "subtraces": 2, "traceAddress": []},
        first | {"type": "call", "action": call | {"from": B, "to": A, "value": "0x2"}, "result": {},
                 "subtraces": 0, "traceAddress": [0]},
        first | {"type": "suicide", "action": {"address": B, "refundAddress": A, "balance": "0x1"},
                 "result": None, "subtraces": 0, "traceAddress": [1]},
        second | {"type": "create", "action": {"from": A, "value": "0x1"}, "result": {"address": B},
                  "subtraces": 0, "traceAddress": []},
        where | {"type": "reward", "action": {"author": MINER, "value": "0x1"}, "subtraces": 0,
                 "traceAddress": []},
    ]  # fmt: skip
    return answers


def test_the_block_with_everything_is_read_the_same_by_both_traces() -> None:
    answers = _small()
    found = [
        show_legs(decode(answers, internal=name), answers["names"]) for name in ("trace_block", "callTracer")
    ]
    assert found[0] == [*found[1][:-1], "2 reward 0: miner +1", found[1][-1]]
    assert len(found[1]) == 8


@pytest.mark.parametrize("internal", ["trace_block", "callTracer"])
def test_no_hostile_value_anywhere_raises_another_error(internal: str) -> None:
    """Every field replaced by junk in turn: it is refused by its name, or does not matter; nothing else."""
    answers = _small()
    refused = 0
    for path in _places({key: answers[key] for key in ("block", "receipts", internal)}):
        for value in JUNK if len(path) == 1 else (*JUNK, _MISSING):
            try:
                batch = decode(_with(answers, path, value), internal=internal)
            except (Misread, OtherBranch) as error:
                refused += len(str(error)) > 0
                str(error).encode()  # no half of a surrogate pair gets into a message
            else:
                assert batch.legs.num_rows < 30
    assert refused > 2000


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("block", "timestamp"), hex(2**63), "timestamp"),
        (("block", "timestamp"), "0x" + "f" * 64, "timestamp"),
        (("block", "number"), "0x" + "f" * 64, "number"),
        (("block", "miner"), "0x1", "miner"),
        (("block", "gasUsed"), "0x1", "gasUsed"),
        (("block", "withdrawals", 0, "amount"), "x", "withdrawal 0.amount"),
        (("block", "transactions", 1, "transactionIndex"), "0x0", "transaction 1.transactionIndex"),
        (("block", "transactions", 0, "value"), "7", "transaction 0.value"),
        (("receipts", 0, "cumulativeGasUsed"), "0x1", "transaction 0.receipt.cumulativeGasUsed"),
        (("receipts", 0, "transactionHash"), "0x" + "99" * 32, "transaction 0.receipt.transactionHash"),
        (("receipts", 0, "status"), "0x2", "transaction 0.receipt.status"),
        (("receipts", 0, "status"), "0x0", "transaction 0.receipt.status"),
        (("receipts", 0, "logs", 0, "logIndex"), "0x1", "transaction 0.log.logIndex"),
        (("receipts", 0, "logs", 0, "address"), None, "transaction 0.log.address"),
        (("receipts", 1, "contractAddress"), None, "transaction 1.receipt.contractAddress"),
        (("callTracer", 0, "result", "value"), "0x8", "transaction 0.trace.value"),
        (("callTracer", 0, "result", "from"), B, "transaction 0.trace.from"),
        (("callTracer", 0, "result", "calls", 0, "to"), "0x1", "transaction 0.to"),
    ],
)
def test_a_refusal_names_the_field(path: tuple[Any, ...], value: Any, named: str) -> None:
    with pytest.raises(Misread) as caught:
        decode(_with(_small(), path, value), internal="callTracer")
    assert caught.value.field == named


@pytest.mark.parametrize(
    "path",
    [
        ("block", "transactions", 0, "blockHash"),
        ("receipts", 1, "blockHash"),
        ("receipts", 0, "logs", 0, "blockHash"),
    ],
)
def test_parts_of_another_block_are_told_apart(path: tuple[Any, ...]) -> None:
    with pytest.raises(OtherBranch):
        decode(_with(_small(), path, "0x" + "99" * 32), internal="callTracer")
    with pytest.raises(OtherBranch):
        decode(_with(_small(), ("receipts", 0, "logs", 0, "removed"), True), internal="callTracer")


def test_receipts_and_traces_are_as_many_as_transactions() -> None:
    for path in (("receipts", 1), ("block", "transactions", 1)):
        with pytest.raises(Misread):
            decode(_with(_small(), path, _MISSING), internal="callTracer")


def test_logs_of_a_failed_transaction_are_refused() -> None:
    answers = _with(_small(), ("receipts", 0, "status"), "0x0")
    with pytest.raises(Misread, match=r"receipt\.logs"):
        decode(answers, internal="none")
