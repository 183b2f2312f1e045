"""Logs of a range of blocks by `eth_getLogs`, in steps as large as the node allows.

Nodes limit a call by blocks, by logs or by the size of the answer, and say so in many ways. A step starts at
2,000 blocks, is halved on an error that a smaller range may avoid, and grows again when answers come.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chains.errors import RpcError
from chains.evm.hex import Misread, as_list, as_record, read_height, read_quantity
from chains.rpc import RpcClient

FIRST_STEP = 2_000
LONGEST_STEP = 100_000
_METHOD = "eth_getLogs"
_NO_METHOD = -32601


def read_logs(
    client: RpcClient,
    filter_: Mapping[str, Any],
    first: int,
    last: int,
    *,
    longest_step: int = LONGEST_STEP,
) -> Iterator[tuple[int, int, list[dict[str, Any]]]]:
    """Yield (first, last, logs) of consecutive ranges that make up `first` to `last`, both included.

    `filter_` has `address` and `topics` as of eth_getLogs. The logs are in order of height and log index,
    each within its range and none twice. Raises RpcError where a single block is refused, BadAnswer for an
    answer that cannot be right, and what the client raises.
    """
    step, start, limit = min(FIRST_STEP, longest_step), first, longest_step
    while start <= last:
        end = min(start + step - 1, last)
        asked = {**filter_, "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            logs = client.call(_METHOD, asked)
        except RpcError as error:
            if start == end or not may_be_range(error):
                raise
            limit = step = max(1, (end - start + 1) // 2)
            continue
        try:
            yield start, end, check_logs(logs, start, end)
        except Misread as error:
            raise client.bad_answer(_METHOD, f"blocks {start} to {end}: {error}") from None
        start = end + 1
        # After a refusal it grows slowly past what was refused: a busy stretch of the chain comes to an end.
        step = min(step * 2 if step * 2 <= limit else step + max(1, step // 4), longest_step)


def may_be_range(error: RpcError) -> bool:
    """Whether a smaller range may help: any error but that of a method which the node does not have."""
    return error.code != _NO_METHOD


def check_logs(answer: object, first: int, last: int) -> list[dict[str, Any]]:
    """Return logs by height and index; raises `Misread` for one outside the range or two of one place."""
    placed: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in as_list(answer, "logs"):
        log = as_record(entry, "log")
        height, index = read_height(log, "blockNumber"), read_quantity(log, "logIndex")
        if not first <= height <= last:
            raise Misread("blockNumber", log["blockNumber"], f"from {first} to {last}, as asked")
        if (height, index) in placed:
            raise Misread("logIndex", log["logIndex"], f"of one log only in block {height}")
        placed[height, index] = log
    return [placed[place] for place in sorted(placed)]
