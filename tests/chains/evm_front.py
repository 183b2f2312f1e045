"""A face in front of a test's node that answers some calls otherwise: without a method, or with a lie."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.nodes.anvil import Anvil, NodeCallError
from tests.nodes.rpc_server import RpcFault, serve_rpc

Change = Callable[[str, Sequence[Any], Callable[[], Any]], Any]
"""Answers a call by its method and parameters; the third asks the node itself."""

NO_METHOD = RpcFault(-32601, "the method does not exist or is not available")
NO_STATE = RpcFault(-32000, "missing trie node: historical state is not available")


@contextmanager
def front(node: Anvil, change: Change) -> Iterator[str]:
    """Serve a node's answers with changes; gives the URL."""

    def answer(method: str, params: Sequence[Any]) -> Any:
        def ask() -> Any:
            try:
                return node.call(method, *params)
            except NodeCallError as error:
                raise RpcFault(-32000, str(error)) from error

        return change(method, params, ask)

    with serve_rpc(answer) as url:
        yield url


def without(*methods: str) -> Change:
    """A node that does not have these methods."""

    def change(method: str, _params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        if method in methods:
            raise NO_METHOD
        return ask()

    return change


def instead(method: str, answer: Callable[[Any], Any]) -> Change:
    """A node that answers one method with something made of its true answer."""

    def change(asked: str, _params: Sequence[Any], ask: Callable[[], Any]) -> Any:
        return answer(ask()) if asked == method else ask()

    return change
