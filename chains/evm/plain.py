"""Plain blocks of an EVM chain as legs: their records are held against each other column by column.

A block is plain if all that a node says of it has the usual form and agrees to the letter. Nearly all are,
and this takes a third of the time of the careful way (`chains.evm.blocks`), which reads every other block, in
whatever form it is told, and says what is wrong where it is. What is plain gives the same legs either way.
Sources: as in `chains.evm.blocks` and `chains.evm.traces`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from chains.evm.blocks import (
    BLOB_TYPE,
    BlockHead,
    ChainRules,
    Reading,
    add_internal,
    add_rewards,
    split_fee,
)
from chains.evm.events import Questions, add_event
from chains.evm.hex import (
    NotPlain,
    as_address,
    as_quantity,
    read_addresses,
    read_hashes,
    read_quantities,
    read_quantity,
)
from chains.evm.legs import LegColumns
from chains.evm.records import Block, Log, Receipt, Told, Trace, Transaction
from chains.evm.tokens import NOBODY, decode_event
from chains.evm.traces import (
    CREATE,
    DEEPEST,
    DESTROY,
    FOREIGN_CODE,
    OTHER,
    TRACE_CALLS,
    Frame,
    split_call_trees,
)
from chains.ledger import Kind

_NATIVE, _WITHDRAWAL = Kind.NATIVE.value, Kind.WITHDRAWAL.value
_FAILED, _DONE = "0x0", "0x1"
_TYPES = frozenset({None, "0x0", "0x1", "0x2", BLOB_TYPE, "0x4"})
_ROOTS = frozenset({("call", "call"), ("create", None)})
_DESTRUCTIONS = ("suicide", "selfdestruct")


@dataclass(frozen=True)
class PlainAnswers:
    """What a node answered about one block, in records.

    `frames` are those of each transaction whose calls made others, `failed` whether its first call did, None
    where the node does not tell. `rewards` are recipients and wei of what the block itself paid, where the
    chain pays for blocks.
    """

    block: Block
    receipts: Sequence[Receipt]
    frames: Mapping[int, Sequence[Frame]] = field(default_factory=dict)
    failed: Sequence[bool] | None = None
    rewards: Sequence[tuple[str, int]] = ()


def gather_plain(answers: tuple[Any, Any, Any], head: BlockHead, internal: str) -> PlainAnswers:
    """Return the answers about a block, its receipts and its traces in records; `internal` says which traces.

    Raises `NotPlain`, `Misread` or `OtherBranch` where one of them has not the usual form.
    """
    block, receipts, traced = (answer.records if isinstance(answer, Told) else None for answer in answers)
    if block is None or (receipts is None and block.transactions):
        raise NotPlain
    if internal == "none":
        return PlainAnswers(block, receipts or ())
    if answers[2] is None:
        _hold(not block.transactions)
        return PlainAnswers(block, ())
    if internal != "trace_block":
        return PlainAnswers(block, receipts or (), *_split_trees(answers[2], block, head.height))
    if traced is None:
        raise NotPlain
    return PlainAnswers(block, receipts or (), *_split_traces(traced, block))


def add_plain_block(
    answers: PlainAnswers,
    head: BlockHead,
    columns: LegColumns,
    *,
    profiles: Mapping[str, str],
    questions: Questions,
    rules: ChainRules,
) -> None:
    """Add the legs of one block to `columns`, in the order of their natural key.

    Raises `NotPlain`, `Misread` or `OtherBranch` for a block that the careful way must read; some of its legs
    may have been added by then.
    """
    block, receipts = answers.block, answers.receipts
    transactions = block.transactions
    hashes = _check_places(block, head, transactions, receipts)
    gas = _check_gas(block, receipts)
    done = _check_outcomes(transactions, receipts)
    _check_logs(block, receipts)
    _hold(answers.failed is None or answers.failed == [not succeeded for succeeded in done])
    senders = read_addresses([transaction.sender for transaction in transactions])
    payees = read_addresses([NOBODY if t.to is None else t.to for t in transactions])
    values = read_quantities([transaction.value for transaction in transactions])
    prices = read_quantities([receipt.effective_gas_price for receipt in receipts])
    base_fee = 0 if block.base_fee_per_gas is None else as_quantity(block.base_fee_per_gas, "baseFeePerGas")
    reading = Reading(
        head, block, columns, profiles, questions, {},
        base_fee=base_fee, miner=as_address(block.miner, "miner"), vaults=False,
    )  # fmt: skip
    columns.open_block(head.height, head.hash, head.parent, head.seconds)
    rows = zip(transactions, receipts, hashes, done, senders, values, gas, prices, strict=True)
    for position, (transaction, receipt, txid, succeeded, sender, value, used, price) in enumerate(rows):
        columns.open_transaction(position, txid)
        if succeeded:
            if value:
                created = transaction.to is None
                payee = as_address(receipt.contract_address, "contract") if created else payees[position]
                columns.add(_NATIVE, 0, sender, payee, value)
            if position in answers.frames:
                add_internal(reading, position, answers.frames[position])
            if receipt.logs:
                _add_logs(reading, receipt.logs)
        tip, base = split_fee(price, base_fee, used)
        if transaction.type == BLOB_TYPE:
            base += _blob_fee(receipt)
        columns.add_fee(sender, tip + base, ((reading.miner, tip),))
    _hold(not reading.doubts)
    columns.open_transaction(len(transactions), None)
    add_rewards(columns, answers.rewards)
    if rules.withdrawals and block.withdrawals:
        amounts = read_quantities([withdrawal.amount for withdrawal in block.withdrawals])
        accounts = read_addresses([withdrawal.address for withdrawal in block.withdrawals])
        for part, (account, amount) in enumerate(zip(accounts, amounts, strict=True)):
            if amount:
                columns.add(_WITHDRAWAL, part, None, account, amount * 10**9)


def _hold(*conditions: bool) -> None:
    if not all(conditions):
        raise NotPlain


def _check_places(
    block: Block, head: BlockHead, transactions: Sequence[Transaction], receipts: Sequence[Receipt]
) -> list[bytes]:
    """Hold the places that all records give against the block; return the transactions' hashes."""
    count = len(transactions)
    numbers = [hex(position) for position in range(count)]
    _hold(len(receipts) == count, block.number == hex(head.height))
    for records in (transactions, receipts):
        _hold(
            [record.block_hash for record in records].count(block.hash) == count,
            [record.block_number for record in records].count(block.number) == count,
            [record.transaction_index for record in records] == numbers,
        )
    txids = [transaction.hash for transaction in transactions]
    _hold([receipt.transaction_hash for receipt in receipts] == txids)
    return read_hashes(txids)


def _check_gas(block: Block, receipts: Sequence[Receipt]) -> list[int]:
    """Hold the gas that the receipts count up against each other and the block; return that of each."""
    gas = read_quantities([receipt.gas_used for receipt in receipts])
    sums = read_quantities([receipt.cumulative_gas_used for receipt in receipts])
    _hold(sums == list(accumulate(gas)), read_quantity(block, "gasUsed") == sum(gas))
    return gas


def _check_outcomes(transactions: Sequence[Transaction], receipts: Sequence[Receipt]) -> list[bool]:
    """Whether each transaction succeeded; refuses transactions and fees that only some chains have."""
    _hold(
        {transaction.type for transaction in transactions} <= _TYPES,
        all(transaction.fee_currency is None for transaction in transactions),
        all(receipt.l1_fee is None for receipt in receipts),
        {receipt.status for receipt in receipts} <= {_FAILED, _DONE},
        not any(receipt.logs for receipt in receipts if receipt.status == _FAILED),
    )
    return [receipt.status == _DONE for receipt in receipts]


def _check_logs(block: Block, receipts: Sequence[Receipt]) -> None:
    """Hold the places of all logs against the block and their receipts."""
    logs = [log for receipt in receipts for log in receipt.logs]
    txids = [receipt.transaction_hash for receipt in receipts for _ in receipt.logs]
    _hold(
        [log.log_index for log in logs] == [hex(index) for index in range(len(logs))],
        [log.transaction_hash for log in logs] == txids,
        [log.block_hash for log in logs].count(block.hash) == len(logs),
        not any(log.removed for log in logs),
    )


def _add_logs(reading: Reading, logs: Sequence[Log]) -> None:
    columns = reading.columns
    for index, log in enumerate(logs, reading.next_log):
        contract = as_address(log.address, "address")
        event = decode_event(log.topics, log.data, reading.profiles.get(contract))
        if event is not None:
            add_event(columns, event, contract, index, reading.questions)
    reading.next_log += len(logs)


def _blob_fee(receipt: Receipt) -> int:
    if receipt.blob_gas_used is None or receipt.blob_gas_price is None:
        return 0
    return as_quantity(receipt.blob_gas_used, "gas") * as_quantity(receipt.blob_gas_price, "price")


def _split_traces(
    traces: Sequence[Trace], block: Block
) -> tuple[dict[int, list[Frame]], list[bool], list[tuple[str, int]]]:
    """The frames, failures and rewards of a block's `trace_block` answer.

    The calls must stand in the order of the transactions, each one's as a tree in pre-order.
    """
    _hold({trace.block_hash for trace in traces} <= {None, block.hash})
    paid = [trace for trace in traces if trace.type == "reward"]
    rewards = [
        (as_address(trace.action.author, "author"), as_quantity(trace.action.value, "value"))
        for trace in paid
    ]
    calls = [trace for trace in traces if trace.type != "reward"] if paid else traces
    transactions = block.transactions
    starts = [order for order, call in enumerate(calls) if not call.trace_address]
    _hold(len(starts) == len(transactions), [*starts, len(calls)][0] == 0)
    bounds = list(pairwise([*starts, len(calls)]))
    places = [place for place, (start, end) in enumerate(bounds) for _ in range(start, end)]
    roots = [calls[start] for start in starts]
    _hold(
        [call.transaction_position for call in calls] == places,
        [call.transaction_hash for call in calls] == [transactions[place].hash for place in places],
        {(root.type, root.action.call_type) for root in roots} <= _ROOTS,
        [root.action.sender for root in roots] == [transaction.sender for transaction in transactions],
        [root.action.value for root in roots] == [transaction.value for transaction in transactions],
        all(root.error or root.result is not None for root in roots),
        not any(calls[start].subtraces for start, end in bounds if end == start + 1),
    )
    frames = {
        place: _read_calls(calls[start:end]) for place, (start, end) in enumerate(bounds) if end > start + 1
    }
    return frames, [bool(root.error) for root in roots], rewards


def _split_trees(answer: object, block: Block, height: int) -> tuple[dict[int, list[Frame]], list[bool]]:
    """The frames and failures of a block's `callTracer` answer."""
    transactions = block.transactions
    found = split_call_trees(answer, height, [transaction.hash for transaction in transactions])
    roots = [frames[0] for frames in found]
    _hold(
        [root.source for root in roots] == [transaction.sender for transaction in transactions],
        [root.value for root in roots] == read_quantities([t.value for t in transactions]),
    )
    inner = {place: frames for place, frames in enumerate(found) if len(frames) > 1}
    return inner, [root.failed for root in roots]


def _read_calls(calls: Sequence[Trace]) -> list[Frame]:
    """The frames of one transaction."""
    _hold(_is_tree(calls))
    return [_read_call(call) for call in calls]


def _is_tree(calls: Sequence[Trace]) -> bool:
    """Whether calls stand in the pre-order of a tree, each with as many below it as it says."""
    due: list[tuple[int, ...]] = [()]  # addresses that must still come, the next one last
    for call in calls:
        if not due or call.trace_address != due.pop() or not 0 <= call.subtraces < len(calls):
            return False
        due += [(*call.trace_address, step) for step in reversed(range(call.subtraces))]
        if len(due) > len(calls):
            return False
    return not due


def _read_call(call: Trace) -> Frame:
    action, failed, depth = call.action, bool(call.error), len(call.trace_address)
    _hold(depth <= DEEPEST)
    if call.type in _DESTRUCTIONS:
        value = as_quantity(action.balance, "balance")
        return Frame(depth, DESTROY, action.address, action.refund_address, action.address, value, failed)
    _hold(failed or call.result is not None)
    if call.type == "create":
        created = None if call.result is None else call.result.address
        return Frame(
            depth, CREATE, action.sender, created, created, as_quantity(action.value, "value"), failed
        )
    form = TRACE_CALLS.get(action.call_type or "")
    if call.type != "call" or form is None:
        raise NotPlain
    value = 0 if action.value is None and form == OTHER else as_quantity(action.value, "value")
    account = action.sender if action.call_type in FOREIGN_CODE else action.to
    return Frame(depth, form, action.sender, action.to, account, value, failed)
