"""A small stand-in for a node like Bitcoin Core: answers of a test's own, behind real JSON-RPC."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from chains.bitcoin.node import BitcoinNode
from chains.errors import RpcError
from chains.registry import find_chain
from chains.rpc import RpcLimits
from tests.chains.blocks import Out, Tx, show_block
from tests.chains.scripted_server import Reply, answer, failure, json_reply, serve

LIMITS = RpcLimits(timeout_seconds=10, attempts=8, first_pause_seconds=0.001, longest_pause_seconds=0.02)


def canned(known: dict[str, Callable[..., Any]]) -> Callable[[Any, int], Reply]:
    """Replies from functions by method; an RpcError is written as one. What is not there is unknown."""
    known = {"getblockchaininfo": lambda: {"blocks": 5, "bestblockhash": "ab" * 32}} | known

    def one(call: Any) -> Any:
        if call["method"] not in known:
            return failure(-32601, "Method not found", call["id"])
        result = known[call["method"]](*call["params"])
        return (
            failure(result.code, result.message, call["id"])
            if isinstance(result, RpcError)
            else answer(result, call["id"])
        )

    return lambda body, _: json_reply([one(call) for call in body] if isinstance(body, list) else one(body))


def rpc_error(code: int, message: str) -> RpcError:
    return RpcError("", method="", code=code, message=message)


@contextmanager
def opened(reply: Callable[[Any, int], Reply], chain: str = "bitcoin-regtest") -> Iterator[BitcoinNode]:
    with serve(reply) as server, BitcoinNode(server.url, find_chain(chain), limits=LIMITS) as source:
        yield source


GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def face(block: bytes, **more: Callable[..., Any]) -> Callable[[Any, int], Reply]:
    """A node with one block at height 200."""
    shown = orjson.loads(block)["hash"]
    hashes = {0: GENESIS, 200: shown}
    found = {
        "getblockhash": lambda height: hashes.get(height, rpc_error(-8, "Block height out of range")),
        "getblock": lambda *_: orjson.Fragment(block),
    }
    return canned(found | more)


ONE = show_block([Tx([Out(5_000_000_000, "51")])])
