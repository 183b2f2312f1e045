"""Blocks, receipts and traces from an Ethereum JSON-RPC node, in batches, as the node gives them.

What does not fit together is asked again: where the node's chain has another block at that height by now it
was a reorganisation (BranchChanged), else the answer is wrong (BadAnswer).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from chains.errors import BadAnswer, BranchChanged, NodeError, NodeRefused, RpcError
from chains.evm.blocks import BlockHead, read_head
from chains.evm.hex import Fields, Misread, OtherBranch, as_record, read_hash, read_height
from chains.evm.records import Told, Transaction
from chains.nodes import Head
from chains.rpc import Call, Decode, RpcClient

BLOCK, RECEIPTS = "eth_getBlockByNumber", "eth_getBlockReceipts"
TRACE_METHODS = {"trace_block": "trace_block", "callTracer": "debug_traceBlockByHash"}
ReceiptsBy = Literal["hash", "number", "transaction"]

_NO_HASH = "0x" + "0" * 64
_TRACER = {"tracer": "callTracer", "timeout": "120s"}
_NO_METHOD = (-32601, -32004)


def ask_blocks(
    client: RpcClient, first: int, last: int, *, full: bool, decode: Decode | None = None
) -> list[Any]:
    """Return the blocks from `first` to `last`, each the child of the one before; raises NodeError.

    They are as `decode` made them, objects by default.
    """
    calls = [(BLOCK, (hex(height), full)) for height in range(first, last + 1)]
    answers = client.call_many(calls, decode=decode)
    before: BlockHead | None = None
    for height, answer in enumerate(answers, first):
        if answer is None:
            raise client.bad_answer(BLOCK, f"it does not have block {height}")
        with reading(client, height, None, BLOCK):
            block = fields_of(answer)
            head = read_head(block)
            if head.height != height:
                raise Misread("number", block["number"], hex(height))
        if before is not None and head.parent != before.hash:
            why = f"block {height} does not follow the block before it"
            raise explain(client, [before, head], BadAnswer(client.shown_url, method=BLOCK, why=why))
        before = head
    return answers


def fields_of(block: object) -> Fields:
    """Return what the fields of a block can be asked from; raises `Misread` for what is no object."""
    return block.records if isinstance(block, Told) else as_record(block, "block")


@contextmanager
def reading(client: RpcClient, height: int, head: BlockHead | None, method: str) -> Iterator[None]:
    """Turn a `Misread` into a BadAnswer that names the block, or a BranchChanged if it is gone by now."""
    try:
        yield
    except Misread as error:
        bad = client.bad_answer(method, f"block {height}: {error}")
        raise (bad if head is None else explain(client, [head], bad)) from None
    except OtherBranch:
        bad = client.bad_answer(method, f"block {height}: parts of it are of another block")
        raise (bad if head is None else explain(client, [head], bad)) from None


def explain(client: RpcClient, heads: Sequence[BlockHead], error: NodeError) -> NodeError:
    """Return BranchChanged where the node has another block by now at one of the heights, else the error."""
    answers = client.call_each([(BLOCK, (hex(head.height), False)) for head in heads])
    for head, answer in zip(heads, answers, strict=True):
        try:
            same = isinstance(answer, dict) and read_hash(answer, "hash") == head.hash
        except Misread:
            same = True
        if not same and not isinstance(answer, RpcError):
            return BranchChanged(client.shown_url, height=head.height)
    return error


def older_block(newest: BlockHead) -> dict[str, str]:
    """Return number and hash of the block before the newest: one that all of a node's parts have by now."""
    if newest.height == 0:
        return {"number": "0x0", "hash": f"0x{newest.hash.hex()}"}
    return {"number": hex(newest.height - 1), "hash": f"0x{newest.parent.hex()}"}


def find_receipts(client: RpcClient, block: Mapping[str, Any]) -> ReceiptsBy:
    """Return how the node gives receipts: all of a block by its hash or its number, or one by one."""
    for by, name in (("hash", block.get("hash")), ("number", block.get("number"))):
        try:
            answer = client.call(RECEIPTS, name)
        except RpcError as error:
            if error.code in _NO_METHOD:
                break
            continue
        except NodeRefused:
            break
        if isinstance(answer, list):
            return "hash" if by == "hash" else "number"
    return "transaction"


def ask_receipts(
    client: RpcClient,
    blocks: Sequence[Fields],
    heads: Sequence[BlockHead],
    by: ReceiptsBy,
    *,
    decode: Decode | None = None,
) -> list[Any]:
    """Return the receipts of each block, a list or what `decode` made of it; where it has no transactions
    nothing is asked."""
    calls: list[Call] = []
    counts = []
    for block in blocks:
        hashes = transaction_hashes(block)
        counts.append(len(hashes))
        if by == "transaction":
            calls += [("eth_getTransactionReceipt", (text,)) for text in hashes]
        elif hashes:
            calls.append((RECEIPTS, (block["hash" if by == "hash" else "number"],)))
    answers = iter(client.call_each(calls, decode=decode))
    receipts: list[Any] = []
    for head, count in zip(heads, counts, strict=True):
        if by == "transaction":
            found: Any = [next(answers) for _ in range(count)]
            error = next((answer for answer in found if isinstance(answer, RpcError)), None)
        else:
            found = next(answers) if count else []
            error = found if isinstance(found, RpcError) else None
        if error is not None:
            raise explain(client, [head], error)
        if not isinstance(found, list | Told):
            why = f"block {head.height}: it gives no receipts"
            raise explain(client, [head], BadAnswer(client.shown_url, method=RECEIPTS, why=why))
        receipts.append(found)
    return receipts


def transaction_hashes(block: Fields) -> list[Any]:
    """Return the hashes of a block's transactions, as the node wrote them."""
    transactions = block.get("transactions")
    if not isinstance(transactions, list):
        return []
    return [
        entry.hash
        if isinstance(entry, Transaction)
        else entry.get("hash")
        if isinstance(entry, dict)
        else entry
        for entry in transactions
    ]


def find_tracing(client: RpcClient, block: Mapping[str, Any], wanted: str) -> str:
    """Return trace_block, callTracer or none: what the node can do of what is `wanted` (auto: the best).

    Raises RpcError where it cannot do what was asked for by name.
    """
    for name, method in TRACE_METHODS.items():
        if wanted not in ("auto", name):
            continue
        try:
            client.call(method, *_trace_parameters(name, block))
        except (RpcError, NodeRefused) as error:
            if _is_able(error):
                return name
            if wanted == name:
                raise
            continue
        return name
    return "none"


def _is_able(error: NodeError) -> bool:
    """Whether an error shows that the node has the method: Geth cannot trace its first block."""
    return isinstance(error, RpcError) and "genesis" in error.message.lower()


def _trace_parameters(name: str, block: Fields) -> tuple[Any, ...]:
    return (block["number"],) if name == "trace_block" else (block["hash"], _TRACER)


def ask_traces(
    client: RpcClient,
    blocks: Sequence[Fields],
    heads: Sequence[BlockHead],
    name: str,
    *,
    decode: Decode | None = None,
) -> list[Any]:
    """Return the trace answer of each block; None where there can be nothing in it, or no node to tell."""
    wanted = [_is_traced(block, head, name) for block, head in zip(blocks, heads, strict=True)]
    calls: list[Call] = [
        (TRACE_METHODS[name], _trace_parameters(name, block))
        for block, asked in zip(blocks, wanted, strict=True)
        if asked
    ]
    answers = iter(client.call_each(calls, decode=decode))
    traces: list[Any] = []
    for head, asked in zip(heads, wanted, strict=True):
        answer = next(answers) if asked else None
        if isinstance(answer, RpcError):
            raise explain(client, [head], answer)
        traces.append(answer)
    return traces


def _is_traced(block: Fields, head: BlockHead, name: str) -> bool:
    if name == "none" or head.height == 0:
        return False
    mined = block.get("difficulty") not in (None, "0x0")
    return bool(block.get("transactions")) or (mined and name == "trace_block")


def read_header(client: RpcClient, name: str) -> BlockHead | None:
    """Return the head of a block by its number in hexadecimal or a tag; None where the node has none."""
    answer = client.call(BLOCK, name, False)
    return None if answer is None else checked_head(client, answer, name)


def newest_blocks(client: RpcClient, *, final_depth: int | None) -> Head:
    """Return the newest block and the newest final one.

    Where a node does not know the tag `finalized`, what lies `final_depth` below its newest block is final;
    nothing is where that is None.
    """
    calls: list[Call] = [(BLOCK, ("latest", False)), (BLOCK, ("finalized", False))]
    latest, final = client.call_each(calls)
    if isinstance(latest, RpcError):
        raise latest
    top = checked_head(client, latest, "latest")
    if final is not None and not isinstance(final, RpcError):
        return Head(top.height, top.hash, min(top.height, checked_head(client, final, "finalized").height))
    below = -1 if final_depth is None else max(-1, top.height - final_depth)
    return Head(top.height, top.hash, below)


def checked_head(client: RpcClient, answer: object, name: str) -> BlockHead:
    """Return what a block's header says, asked for by a tag or a number; raises BadAnswer."""
    try:
        block = as_record(answer, "block")
        if name.startswith("0x") and read_height(block, "number") != int(name, 16):
            raise Misread("number", block["number"], name)
        return read_head(block)
    except Misread as error:
        raise client.bad_answer(BLOCK, f"block {name}: {error}") from None
