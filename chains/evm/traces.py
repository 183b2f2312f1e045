"""Internal movements of an EVM transaction: from the calls that a node recorded to who paid whom.

Two forms of record are read, `trace_block` (OpenEthereum's, also of Erigon, Nethermind, Reth, anvil) and
`callTracer` (Geth's), and both give the same frames: the call tree in pre-order. A movement's `part` is
the place of its frame in that order, the root being 0. Some nodes leave out frames that move nothing
(calls of precompiled contracts, calls that failed before they began): then later parts are smaller.

Which frames move value was checked against `eth_getBalance`: CALL, CREATE and CREATE2 move their value,
SELFDESTRUCT the whole balance; DELEGATECALL, STATICCALL and CALLCODE nothing; nothing inside a failed
frame. An account that SELFDESTRUCT deletes (any one before EIP-6780, after it one created in the same
transaction) loses what it holds when the transaction ends: what it gave to itself, or got afterwards.
Sources: Ethereum's yellow paper, EIP-6780, OpenEthereum's trace module, Geth's built-in tracers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chains.evm.hex import (
    Misread,
    OtherBranch,
    as_address,
    as_hash,
    as_list,
    as_quantity,
    as_record,
    is_hash,
    read_height,
)

CALL, CREATE, DESTROY, OTHER = "call", "create", "destroy", "other"

_CALL_KINDS = {
    "CALL": CALL,
    "CREATE": CREATE,
    "CREATE2": CREATE,
    "SELFDESTRUCT": DESTROY,
    "SUICIDE": DESTROY,
    "DELEGATECALL": OTHER,
    "STATICCALL": OTHER,
    "CALLCODE": OTHER,
}
TRACE_CALLS = {"call": CALL, "delegatecall": OTHER, "staticcall": OTHER, "callcode": OTHER}
FOREIGN_CODE = ("delegatecall", "callcode")  # calls that run another's code on the caller's balance
DEEPEST = 1025  # calls nest up to 1,024 deep


class Frame(NamedTuple):
    """One call of a transaction's call tree; addresses as the node wrote them.

    `source` calls, creates or is destroyed; `target` is called, created or the beneficiary. `account` is
    whose balance the frame's own code spends. `value` is in wei.
    """

    depth: int
    kind: str
    source: Any
    target: Any
    account: Any
    value: int
    failed: bool


class Movement(NamedTuple):
    """Wei that moved inside a transaction; no payee where they were destroyed.

    `doubtful` marks what may not have happened (see `_add_destroyed`): only balances can tell.
    """

    part: int
    payer: str
    payee: str | None
    amount: int
    doubtful: bool = False


def read_frames(
    block: Mapping[str, Any], traced: object, internal: str
) -> tuple[list[list[Frame]] | None, list[tuple[str, int]]]:
    """Return each transaction's frames and the rewards of a block, from the answer that `internal` names.

    `internal` is trace_block, callTracer or none; frames are None where they are not known. `traced` is None
    where nothing was asked for, since nothing can be in it. Raises `Misread` and `OtherBranch`.
    """
    if internal == "none":
        return None, []
    height = read_height(block, "number")
    block_hash, transactions = block.get("hash"), as_list(block.get("transactions"), "transactions")
    as_hash(block_hash, "hash")
    txids: list[Any] = []
    for position, transaction in enumerate(transactions):
        txids.append(as_record(transaction, f"transaction {position}").get("hash"))
        as_hash(txids[-1], f"transaction {position}.hash")
    frames: list[list[Frame]] = [[] for _ in txids]
    rewards: list[tuple[str, int]] = []
    if internal == "trace_block" and traced is not None:
        frames, rewards = split_traces(traced, height, str(block_hash), txids)
    elif traced is not None:
        frames = split_call_trees(traced, height, txids)
    for position, (transaction, found) in enumerate(zip(transactions, frames, strict=True)):
        # Chains make transactions of their own, without gas or value, that some nodes do not trace.
        if not found and (transaction.get("gas"), transaction.get("value")) != ("0x0", "0x0"):
            raise Misread(f"transaction {position}.trace", None, "there")
    return frames, rewards


def split_traces(
    answer: object, height: int, block_hash: str, txids: Sequence[str]
) -> tuple[list[list[Frame]], list[tuple[str, int]]]:
    """Return each transaction's frames and the rewards (account, wei) of a block's `trace_block` answer.

    Hashes are as the block has them. Raises `Misread`, and `OtherBranch` for traces of another block.
    """
    sorted_out: list[list[Mapping[str, Any]]] = [[] for _ in txids]
    rewards: list[tuple[str, int]] = []
    for entry in as_list(answer, "traces"):
        trace = as_record(entry, "trace")
        stated = trace.get("blockHash")
        if stated is not None and not is_hash(stated, block_hash):
            raise OtherBranch(height)
        if trace.get("type") == "reward":
            action = as_record(trace.get("action"), "trace.action")
            account = as_address(action.get("author"), "trace.action.author")
            rewards.append((account, as_quantity(action.get("value"), "trace.action.value")))
            continue
        position = trace.get("transactionPosition")
        if type(position) is not int or not 0 <= position < len(txids):
            raise Misread("trace.transactionPosition", position, f"below {len(txids)}")
        if not is_hash(trace.get("transactionHash"), txids[position]):
            raise OtherBranch(height)
        sorted_out[position].append(trace)
    frames = []
    for position, traces in enumerate(sorted_out):
        try:
            frames.append(read_traces(traces))
        except Misread as error:
            raise error.inside(f"transaction {position}.trace") from None
    return frames, rewards


def split_call_trees(answer: object, height: int, txids: Sequence[str]) -> list[list[Frame]]:
    """Return each transaction's frames of a block's `callTracer` answer; `txids` as the block has them.

    Raises `Misread`, and `OtherBranch` for traces of another block.
    """
    entries = as_list(answer, "traces")
    if len(entries) != len(txids):
        raise Misread("traces", f"of {len(entries)} transactions", f"of all {len(txids)}")
    frames = []
    for position, (entry, txid) in enumerate(zip(entries, txids, strict=True)):
        try:
            record = as_record(entry, "trace")
            stated = record.get("txHash")
            if stated is not None and not is_hash(stated, txid):
                raise OtherBranch(height)
            if record.get("error") is not None:
                raise Misread("trace.error", record["error"], "absent: the node could not trace it")
            frames.append(read_call_tree(record.get("result")))
        except Misread as error:
            raise error.inside(f"transaction {position}") from None
    return frames


def read_call_tree(root: object) -> list[Frame]:
    """Return the frames of one transaction's `callTracer` result; raises `Misread`."""
    frames: list[Frame] = []
    waiting: list[tuple[object, int]] = [(root, 0)]
    while waiting:
        value, depth = waiting.pop()
        if type(value) is not dict:
            raise Misread("calls", value, "a call")
        if depth > DEEPEST:
            raise Misread("calls", depth, f"calls nested at most {DEEPEST} deep")
        frames.append(_read_call(value, depth))
        inner = value.get("calls")
        if inner:
            waiting += [(call, depth + 1) for call in reversed(as_list(inner, "calls"))]
    return frames


def _read_call(call: Mapping[str, Any], depth: int) -> Frame:
    name = call.get("type")
    kind = _CALL_KINDS.get(name) if type(name) is str else None
    if kind is None:
        raise Misread("type", name, f"one of {', '.join(_CALL_KINDS)}")
    text = call.get("value")
    nothing = text == "0x0" or (text is None and kind in (OTHER, DESTROY))
    value = 0 if nothing else as_quantity(text, "value")
    failed = bool(call.get("error"))
    source, target = call.get("from"), call.get("to")
    account = source if name in ("DELEGATECALL", "CALLCODE") or kind == DESTROY else target
    return Frame(depth, kind, source, target, account, value, failed)


def read_traces(traces: Sequence[Mapping[str, Any]]) -> list[Frame]:
    """Return the frames of one transaction's part of a `trace_block` answer.

    Their order is that of their addresses in the tree. Raises `Misread` where one stands there twice, or
    stands under none, or has fewer or more below it than it says.
    """
    if len(traces) == 1 and traces[0].get("traceAddress") == [] and traces[0].get("subtraces") == 0:
        return [_read_trace(traces[0], 0)]
    placed: dict[tuple[int, ...], Mapping[str, Any]] = {}
    for trace in traces:
        place = _read_place(trace.get("traceAddress"))
        if place in placed:
            raise Misread("traceAddress", str(list(place)), "of one trace only")
        placed[place] = trace
    below = dict.fromkeys(placed, 0)
    for place in placed:
        if place:
            if place[:-1] not in below:
                raise Misread("traceAddress", str(list(place)), "under another trace's")
            below[place[:-1]] += 1
    for place, count in below.items():
        if placed[place].get("subtraces") != count:
            raise Misread("subtraces", placed[place].get("subtraces"), f"{count}, as many as are below it")
    return [_read_trace(placed[place], len(place)) for place in sorted(placed)]


def _read_place(address: object) -> tuple[int, ...]:
    place = as_list(address, "traceAddress")
    if len(place) > DEEPEST or not all(type(step) is int and 0 <= step < 2**31 for step in place):
        raise Misread("traceAddress", address, "a list of numbers")
    return tuple(place)


def _read_trace(trace: Mapping[str, Any], depth: int) -> Frame:
    action, kind = as_record(trace.get("action"), "action"), trace.get("type")
    failed = bool(trace.get("error"))
    if kind in ("suicide", "selfdestruct"):
        source = action.get("address")
        value = as_quantity(action.get("balance"), "balance")
        return Frame(depth, DESTROY, source, action.get("refundAddress"), source, value, failed)
    name, result = action.get("callType"), trace.get("result")
    if not failed:
        # A call that is neither done nor failed is one that the node has not recorded whole.
        result = as_record(result, "result")
    if kind == "create":
        created = result.get("address") if isinstance(result, dict) else None
        value = as_quantity(action.get("value"), "value")
        return Frame(depth, CREATE, action.get("from"), created, created, value, failed)
    form = TRACE_CALLS.get(name) if kind == "call" and type(name) is str else None
    if form is None:
        raise Misread("type", f"{kind} {name}", "a call, a create or a suicide")
    text = action.get("value")
    value = 0 if text is None and form == OTHER else as_quantity(text, "value")
    source, target = action.get("from"), action.get("to")
    account = source if name in FOREIGN_CODE else target
    return Frame(depth, form, source, target, account, value, failed)


def find_movements(frames: Sequence[Frame], *, survives: Callable[[str], bool]) -> list[Movement]:
    """Return what a transaction's inner calls moved, in order; nothing if the transaction failed.

    `survives` tells whether an account that was there before the transaction outlives its SELFDESTRUCT:
    never before EIP-6780, always since. Raises `Misread` for an address that is none.
    """
    if len(frames) < 2:
        return []
    moved: list[Movement] = []
    created: set[str] = set()
    gone: dict[str, int] = {}  # deleted accounts, and how many movements came before
    accounts: list[Any] = []  # of the frames that the present one is inside of
    dead = DEEPEST + 1
    for part, frame in enumerate(frames):
        depth, kind, _, target, account, value, failed = frame
        if depth > dead:
            continue
        dead = depth if failed else DEEPEST + 1
        if failed:
            continue
        del accounts[depth:]
        accounts.append(account)
        if kind == CREATE:
            created.add(as_address(target, "to"))
        if part == 0:
            continue
        if kind == DESTROY:
            _add_destroyed(moved, part, frame, accounts[depth - 1], (created, gone, survives))
        elif value and kind != OTHER:
            moved.append(Movement(part, as_address(frame.source, "from"), as_address(target, "to"), value))
    for account in sorted(gone):
        left = _net(moved[gone[account] :], account)
        if left > 0:
            part = len(frames) + sum(m.payee is None and m.part >= len(frames) for m in moved)
            moved.append(Movement(part, account, None, left))
    return moved


def _add_destroyed(
    moved: list[Movement],
    part: int,
    frame: Frame,
    account: Any,
    state: tuple[set[str], dict[str, int], Callable[[str], bool]],
) -> None:
    """Add what a SELFDESTRUCT moved, and note whether it deletes its account.

    Where it does nothing at all (an account that lives on names itself) nodes built on revm (Reth, anvil)
    record the movement before it once more. One that is not of the account whose code ran is left out; one
    that is cannot be told from a true one that repeats it, and is marked doubtful.
    """
    created, gone, survives = state
    owner = as_address(frame.source, "from")
    if owner != as_address(account, "from"):
        return
    heir = as_address(frame.target, "to")
    deleted = owner in created or not survives(owner)
    if heir != owner:
        if frame.value:
            before = moved[-1][1:4] if moved else None
            doubtful = not deleted and before == (owner, heir, frame.value)
            moved.append(Movement(part, owner, heir, frame.value, doubtful))
    elif deleted and frame.value:
        moved.append(Movement(part, owner, None, frame.value))
    if deleted:
        gone[owner] = len(moved)


def _net(moved: Sequence[Movement], account: str) -> int:
    return sum((m.payee == account) * m.amount - (m.payer == account) * m.amount for m in moved)
