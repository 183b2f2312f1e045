"""What a node itself says of holdings: balances of accounts at a block, and unspent outputs.

An EVM node keeps the state of its newest blocks, an archive node that of all; a TRON node tells the newest
state only. What a contract does not answer is None: anyone can issue a token that answers anything.
Sources: Ethereum's JSON-RPC specification, EIP-20, TRON's JSON-RPC documentation, and the RPC documentation
of Bitcoin Core (gettxout, gettxoutsetinfo).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from json import loads
from typing import Any

from chains.address import tron_hex
from chains.bitcoin.scripts import script_holder
from chains.errors import LedgerError, RpcError
from chains.registry import Chain
from chains.rpc import Call, RpcClient, RpcLimits

Output = tuple[bytes, int]
"""Transaction hash, as it is displayed, and index of an output."""

_BALANCE_OF, _TOTAL_SUPPLY = "70a08231", "18160ddd"
_LATEST = "latest"
_SAT = 100_000_000
_MOST_SAT = 10**38


@dataclass(frozen=True)
class UnspentSet:
    """All unspent outputs at a node's newest block, counted."""

    block_hash: bytes
    outputs: int
    total_sat: int


@dataclass(frozen=True)
class Unspent:
    """One unspent output."""

    block_hash: bytes  # of the node's newest block when it answered
    account: str
    amount_sat: int


def open_client(url: str, *, limits: RpcLimits | None = None) -> RpcClient:
    """Return a connection whose answers keep every digit of an amount."""
    return RpcClient(url, limits=limits, decode=_read_exact)


def check_state(client: RpcClient, chain: Chain, height: int) -> None:
    """Refuse a node that cannot tell balances at a height; raises LedgerError with what to do."""
    if chain.family == "tron":
        newest = _number(client, "eth_blockNumber", client.call("eth_blockNumber"))
        if newest != height:
            raise LedgerError(
                f"the node {client.shown_url} is at block {newest} and, as TRON nodes do, tells balances of "
                f"its newest block only; the ledger ends at {height}: sync first, then compare at once"
            )
        return
    try:
        client.call("eth_getBalance", "0x" + "0" * 40, hex(height))
    except RpcError as error:
        raise LedgerError(
            f"the node {client.shown_url} cannot tell balances at block {height} "
            f"(error {error.code}: {error.message[:200]}): "
            "sync up to its newest block first, or ask an archive node"
        ) from error


def ask_balances(
    client: RpcClient, chain: Chain, reference: str, accounts: Sequence[str], height: int
) -> list[int | None]:
    """Return what each account holds of an asset after a block, in raw units; None where nobody tells.

    Raises what the client raises, and BadAnswer for an answer that is no number.
    """
    tag = _LATEST if chain.family == "tron" else hex(height)
    if reference.startswith("slip44:"):
        plain: list[Call] = [("eth_getBalance", (_hex_address(account, chain), tag)) for account in accounts]
        answers = client.call_many(plain)
        return [_number(client, "eth_getBalance", answer) for answer in answers]
    contract = _hex_address(reference.partition(":")[2], chain)
    calls: list[Call] = []
    for account in accounts:
        data = f"0x{_BALANCE_OF}{_hex_address(account, chain)[2:].rjust(64, '0')}"
        calls.append(("eth_call", ({"to": contract, "data": data}, tag)))
    return [_word(client, answer) for answer in client.call_each(calls)]


def ask_supply(client: RpcClient, chain: Chain, reference: str, height: int) -> int | None:
    """Return how many raw units of a token there are after a block; None where its contract does not tell."""
    tag = _LATEST if chain.family == "tron" else hex(height)
    contract = _hex_address(reference.partition(":")[2], chain)
    (answer,) = client.call_each([("eth_call", ({"to": contract, "data": f"0x{_TOTAL_SUPPLY}"}, tag))])
    return _word(client, answer)


def ask_unspent_set(client: RpcClient) -> UnspentSet:
    """Return count and sum of a Bitcoin node's unspent outputs; it reads all of them, which takes minutes.

    Raises what the client raises (RpcError where the node does not have the call), BadAnswer.
    """
    method = "gettxoutsetinfo"
    try:
        answer = client.call(method, "none")  # no hash over all of them: that takes longest
    except RpcError:
        answer = client.call(method)
    if not isinstance(answer, dict):
        raise client.bad_answer(method, "it is no object")
    outputs = answer.get("txouts")
    if type(outputs) is not int or outputs < 0:
        raise client.bad_answer(method, "txouts is no count")
    return UnspentSet(
        _hash(client, method, answer.get("bestblock")),
        outputs,
        _sat(client, method, answer.get("total_amount")),
    )


def ask_outputs(client: RpcClient, chain: Chain, outputs: Sequence[Output]) -> list[Unspent | None]:
    """Return each output as a Bitcoin node has it; None for one that is spent, or that nobody can spend."""
    method = "gettxout"
    answers = client.call_many([(method, (txid.hex(), index, False)) for txid, index in outputs])
    found: list[Unspent | None] = []
    for answer in answers:
        if answer is None:
            found.append(None)
            continue
        script = answer.get("scriptPubKey") if isinstance(answer, dict) else None
        script_hex = script.get("hex") if isinstance(script, dict) else None
        try:
            account = script_holder(bytes.fromhex(script_hex), chain) if isinstance(script_hex, str) else ""
        except ValueError:
            account = ""
        if not account:
            raise client.bad_answer(method, "it does not say the output's script")
        block_hash = _hash(client, method, answer.get("bestblock"))
        found.append(Unspent(block_hash, account, _sat(client, method, answer.get("value"))))
    return found


def _read_exact(data: bytes) -> Any:
    """Decode JSON without a double for any amount; raises ValueError for what is none."""
    try:
        return loads(data, parse_float=Decimal)
    except ArithmeticError as error:
        raise ValueError("a number beyond all bounds") from error


def _hex_address(account: str, chain: Chain) -> str:
    return "0x" + tron_hex(account)[2:] if chain.family == "tron" else account


def _number(client: RpcClient, method: str, answer: object) -> int:
    if isinstance(answer, str) and answer.startswith("0x") and answer.isascii() and 3 <= len(answer) <= 66:
        try:
            return int(answer[2:], 16)
        except ValueError:
            pass
    raise client.bad_answer(method, "it is no number")


def _word(client: RpcClient, answer: object) -> int | None:
    """Number in the first word of what a contract returned; None where it returned none."""
    if isinstance(answer, RpcError):
        return None  # the contract gave up, or is none
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise client.bad_answer("eth_call", "it is no data")
    try:
        return int.from_bytes(bytes.fromhex(answer[2:66]), "big") if len(answer) >= 66 else None
    except ValueError:
        raise client.bad_answer("eth_call", "it is no data") from None


def _hash(client: RpcClient, method: str, text: object) -> bytes:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) and len(text) == 64 else b""
    except ValueError:
        found = b""
    if not found:
        raise client.bad_answer(method, "bestblock is no hash")
    return found


def _sat(client: RpcClient, method: str, value: object) -> int:
    """Satoshi of an amount in whole coins."""
    try:
        sat = Decimal(value) * _SAT if type(value) in (Decimal, int) else Decimal(-1)  # type: ignore[arg-type]
        if 0 <= sat < _MOST_SAT and sat == sat.to_integral_value():
            return int(sat)
    except ArithmeticError:
        pass
    raise client.bad_answer(method, "an amount is none")
