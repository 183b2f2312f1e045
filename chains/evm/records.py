"""Answers of an Ethereum node as typed records, which hold the fields that legs are made of and no others.

To build every field of every record costs more than all else that is done with a block, and most are never
looked at. So an answer of the usual form becomes records, in a `Told` that also keeps its JSON; one of
another form becomes plain objects, and what is wrong with it is then found and said.
Source: Ethereum's JSON-RPC specification, OpenEthereum's trace module.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from chains.deep_json import decode_json
from chains.evm.hex import Misread, NotPlain

T = TypeVar("T")


class _Record(msgspec.Struct, gc=False, rename="camel"):
    """Holds no cycles, so the garbage collector need not look at it."""


class Transaction(_Record):
    """A transaction of a block."""

    hash: str
    block_hash: str
    block_number: str
    transaction_index: str
    sender: str = msgspec.field(name="from")
    value: str
    to: str | None = None
    type: str | None = None
    fee_currency: str | None = None


class Withdrawal(_Record):
    """What a validator withdrew, in Gwei."""

    address: str
    amount: str


class Block(_Record):
    """A block with its transactions; fields may be asked for by the node's names too."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    miner: str
    gas_used: str
    transactions: list[Transaction]
    base_fee_per_gas: str | None = None
    difficulty: str | None = None
    parent_beacon_block_root: str | None = None
    withdrawals: list[Withdrawal] | None = None

    def get(self, field: str, /) -> Any:
        """Return what stands in a field."""
        return getattr(self, _BLOCK_FIELDS[field])

    def __getitem__(self, field: str, /) -> Any:
        """Return what stands in a field."""
        return getattr(self, _BLOCK_FIELDS[field])


_BLOCK_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Block)}


class Log(_Record):
    """An event that a contract emitted."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool | None = None


class Receipt(_Record):
    """What became of a transaction."""

    transaction_hash: str
    block_hash: str
    block_number: str
    transaction_index: str
    gas_used: str
    cumulative_gas_used: str
    effective_gas_price: str
    status: str
    logs: tuple[Log, ...]
    contract_address: str | None = None
    blob_gas_used: str | None = None
    blob_gas_price: str | None = None
    l1_fee: str | None = None


class Action(_Record):
    """What a call, a creation, a destruction or a reward does, each with fields of its own."""

    sender: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    value: str | None = None
    call_type: str | None = None
    address: str | None = None
    balance: str | None = None
    refund_address: str | None = None
    author: str | None = None


class Result(_Record):
    """How a call ended."""

    address: str | None = None


class Trace(_Record):
    """A call of a transaction's call tree, or a reward of the block."""

    action: Action
    type: str
    subtraces: int
    trace_address: tuple[int, ...]
    block_hash: str | None = None
    transaction_hash: str | None = None
    transaction_position: int | None = None
    error: str | None = None
    result: Result | None = None


class Told(Generic[T]):
    """An answer that begins as one of the usual form does: its JSON, and the records in it when asked for.

    Records of many blocks at once would fill the memory next to the processor: those that are not kept are
    made when a block's turn comes, and given up after it.
    """

    __slots__ = ("_data", "_decoder", "_kept")

    def __init__(self, data: msgspec.Raw, decoder: msgspec.json.Decoder[T], kept: T | None = None) -> None:
        self._data, self._decoder, self._kept = data, decoder, kept

    @property
    def records(self) -> T:
        """The records; raises `NotPlain` where the answer has another form."""
        if self._kept is not None:
            return self._kept
        try:
            return self._decoder.decode(self._data)
        except (ValueError, RecursionError):
            raise NotPlain from None

    def plain(self) -> Any:
        """Return the whole answer as plain objects; raises ValueError for a number that is out of range."""
        return decode_json(bytes(self._data))

    def __eq__(self, other: object) -> bool:
        """Whether two answers say the same, however they are written."""
        if not isinstance(other, Told):
            return NotImplemented
        return bool(self._data == other._data or self.plain() == other.plain())

    __hash__ = None  # type: ignore[assignment]


def as_plain(answer: Any) -> Any:
    """Return an answer as plain objects, whichever form it came in; raises `Misread`."""
    try:
        return answer.plain() if isinstance(answer, Told) else answer
    except ValueError:
        raise Misread("answer", "JSON with a number out of range", "JSON that can be read") from None


class _Envelope(msgspec.Struct, gc=False):
    id: Any = None
    error: Any = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ENVELOPES = msgspec.json.Decoder(list[_Envelope] | _Envelope)


def _decode_answers(data: bytes, *, tell: Callable[[msgspec.Raw], Any]) -> Any:
    """Decode the answers to one or more calls, each result by `tell`; raises ValueError for no JSON."""
    # Text outside ASCII is the one thing that is not looked at in fields that are passed over.
    if not data.isascii():
        return decode_json(data)
    try:
        found = _ENVELOPES.decode(data)
    except (ValueError, RecursionError):
        return decode_json(data)
    envelopes = found if isinstance(found, list) else [found]
    answers = []
    for envelope in envelopes:
        if envelope.error is not None or envelope.result is msgspec.UNSET:
            return decode_json(data)
        answers.append({"id": envelope.id, "result": tell(envelope.result)})
    return answers if isinstance(found, list) else answers[0]


def _tell_block(data: msgspec.Raw) -> Any:
    try:
        return Told(data, _BLOCK, _BLOCK.decode(data))
    except (ValueError, RecursionError):
        return decode_json(bytes(data))


def _tell_list(data: msgspec.Raw, decoder: msgspec.json.Decoder[Any]) -> Any:
    return Told(data, decoder) if memoryview(data)[:1].tobytes() == b"[" else decode_json(bytes(data))


_BLOCK = msgspec.json.Decoder(Block)
_RECEIPTS = msgspec.json.Decoder(list[Receipt])
_TRACES = msgspec.json.Decoder(list[Trace])

decode_blocks = partial(_decode_answers, tell=_tell_block)
"""Decodes blocks with their transactions, for `RpcClient`."""

decode_receipts = partial(_decode_answers, tell=partial(_tell_list, decoder=_RECEIPTS))
"""Decodes the receipts of blocks, for `RpcClient`."""

decode_traces = partial(_decode_answers, tell=partial(_tell_list, decoder=_TRACES))
"""Decodes the traces of blocks that trace_block gives, for `RpcClient`."""
