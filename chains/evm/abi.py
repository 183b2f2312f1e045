"""What web3 does here: the connection's first questions, and the ABI of tokens. Heavy: imported when needed.

Its provider is our own client, so that both share retries, limits and credentials. A token's symbol and
decimals are its contract's own words: anyone can say anything in them, or nothing.
"""

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chains.errors import NodeError, RpcError
from chains.rpc import RpcClient

_SYMBOL, _DECIMALS = "0x95d89b41", "0x313ce567"
_NO_METHOD = (-32601, -32004)
_LONGEST = 2 * 4096  # hexadecimal digits of an answer that are looked at


class _Provider(JSONBaseProvider):
    def __init__(self, client: RpcClient) -> None:
        super().__init__()
        self._client = client

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return {"jsonrpc": "2.0", "id": 1, "result": self._client.call(method, *params)}


def ask_chain(client: RpcClient) -> tuple[int, str]:
    """Return the chain id that a node serves, and what it calls itself ('' where it does not say).

    Raises what the client raises, and BadAnswer for an id that is none.
    """
    web3 = Web3(_Provider(client), middleware=[])
    try:
        number = web3.eth.chain_id
    except RpcError as error:
        if error.code in _NO_METHOD:
            error.args = (f"{error}: what is at this URL does not answer like an EVM node",)
        raise
    except NodeError:
        raise
    except (Web3Exception, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise client.bad_answer("eth_chainId", "it is no number") from error
    if type(number) is not int or not 0 <= number < 2**63:
        raise client.bad_answer("eth_chainId", "it is no number")
    try:
        software = client.call("web3_clientVersion")
    except RpcError:
        software = ""
    text = software if isinstance(software, str) else ""
    return number, "".join(c for c in text if c.isprintable())[:200]


def ask_metadata(client: RpcClient, contracts: Sequence[str]) -> list[tuple[str | None, int | None]]:
    """Return symbol and decimals of tokens, None where a contract does not say it; raises NodeError."""
    calls = [
        ("eth_call", [{"to": contract, "data": data}, "latest"])
        for contract in contracts
        for data in (_SYMBOL, _DECIMALS)
    ]
    answers = client.call_each(calls)
    return [
        (_symbol(symbol), _decimals(decimals))
        for symbol, decimals in zip(answers[::2], answers[1::2], strict=True)
    ]


def _symbol(answer: object) -> str | None:
    """Text of a symbol: a string, or 32 bytes with zeros behind, as older tokens (MKR) have it."""
    data = _bytes(answer)
    if not data:
        return None
    if len(data) == 32:
        return data.rstrip(b"\0").decode("utf-8", errors="replace")
    try:
        text = decode(["string"], data)[0]
    except (DecodingError, ValueError, TypeError, OverflowError):
        return None
    return text if isinstance(text, str) else None


def _decimals(answer: object) -> int | None:
    data = _bytes(answer)
    return int.from_bytes(data[:32], "big") if len(data) >= 32 else None


def _bytes(answer: object) -> bytes:
    if not isinstance(answer, str) or not answer.startswith("0x") or len(answer) > _LONGEST:
        return b""
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        return b""
