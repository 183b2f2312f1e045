"""What an indexer gives: the history of one address, as far as it can tell it.

A source is held open and read address by address. It takes final blocks only, and says what it left out, so
that an answer built on it can say how complete it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from chains.ledger import (
    FREEZE_SCHEMA,
    LEG_SCHEMA,
    REJECT_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    Kind,
    LegBatch,
    Side,
)
from chains.registry import Chain


@dataclass(frozen=True)
class FoundLeg:
    """One side of a transfer that an indexer told of."""

    side: Side
    index: int
    account: str
    amount: int  # raw units
    spent_hash: bytes | None = None
    spent_index: int | None = None


@dataclass(frozen=True)
class FoundTransfer:
    """A transfer that an indexer told of, with its legs."""

    height: int
    position: int | None  # null where the indexer does not say it
    kind: Kind
    part: int
    time: datetime  # naive UTC
    hash: bytes
    asset: str
    block_hash: bytes | None
    legs: tuple[FoundLeg, ...]

    @property
    def order(self) -> tuple[int, int, bytes, str, int]:
        """What transfers are sorted by: the same whatever order an indexer tells them in."""
        place = -1 if self.position is None else self.position
        return (self.height, place, self.hash, self.kind.value, self.part)


@dataclass(frozen=True)
class FoundReject:
    """An event that cannot become a transfer; the reason is a stable word."""

    height: int
    hash: bytes
    reason: str
    detail: str


@dataclass(frozen=True)
class FoundFreeze:
    """An issuer's freeze or release of an account's holding of its token."""

    height: int
    position: int
    part: int
    time: datetime
    hash: bytes
    asset: str
    account: str
    frozen: bool


@dataclass(frozen=True)
class History:
    """The history of one address from one source.

    From `first_height` to `last_height`, both included, everything is in that the source can tell; the latter
    is the lower one where nothing is sure. `unread` is what it cannot tell, each in a few words.
    """

    batch: LegBatch
    first_height: int
    last_height: int
    cut: bool = False  # there is more: the address has too many transfers
    pending: int = 0  # transfers above the last final block, left out
    unread: tuple[str, ...] = ()
    note: str = ""  # why it is not whole


class HistorySource(Protocol):
    """An indexer (or a node that can be asked like one), held open."""

    @property
    def chain(self) -> Chain:
        """The chain that it serves; checked when it was opened where it can be."""

    @property
    def layout(self) -> str:
        """Its kind, as the custody record names it: pull:esplora, pull:logs…"""

    @property
    def shown_url(self) -> str:
        """Where it is, without credentials."""

    def read_history(self, address: str, *, first: int, most: int) -> History:
        """Return the history of an address (canonical text) from block `first` on.

        Where there are more than about `most` transactions the history is cut, and says so. Raises NodeError.
        """

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""

    def __enter__(self) -> Self:
        """Return the open source itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass
class Findings:
    """What was found so far, of one address."""

    transfers: list[FoundTransfer] = field(default_factory=list)
    rejects: list[FoundReject] = field(default_factory=list)
    freezes: list[FoundFreeze] = field(default_factory=list)
    assets: dict[str, Asset] = field(default_factory=dict)

    def batch(self) -> LegBatch:
        """Return all of it as one batch in natural order; what was told twice is in once."""
        transfers = sorted(set(self.transfers), key=lambda transfer: transfer.order)
        rejects = sorted(set(self.rejects), key=lambda reject: (reject.height, reject.hash, reject.reason))
        freezes = sorted(set(self.freezes), key=lambda freeze: (freeze.height, freeze.part))
        used = {transfer.asset for transfer in transfers} | {freeze.asset for freeze in freezes}
        return LegBatch(
            _transfer_table(transfers),
            _leg_table(transfers),
            _reject_table(rejects, start=len(transfers)),
            tuple(self.assets[reference] for reference in sorted(used)),
            freezes=_freeze_table(freezes),
        )


def _transfer_table(transfers: Sequence[FoundTransfer]) -> pa.Table:
    return pa.table(
        {
            "transfer": list(range(len(transfers))),
            "row": list(range(len(transfers))),
            "height": [transfer.height for transfer in transfers],
            "position": [transfer.position for transfer in transfers],
            "kind": [transfer.kind.value for transfer in transfers],
            "part": [transfer.part for transfer in transfers],
            "time": [transfer.time for transfer in transfers],
            "hash": [transfer.hash for transfer in transfers],
            "asset": [transfer.asset for transfer in transfers],
            "block_hash": [transfer.block_hash for transfer in transfers],
            "lossy": [False] * len(transfers),
        },
        schema=TRANSFER_SCHEMA,
    )


def _leg_table(transfers: Iterable[FoundTransfer]) -> pa.Table:
    legs = [(number, leg) for number, transfer in enumerate(transfers) for leg in transfer.legs]
    return pa.table(
        {
            "transfer": [number for number, _ in legs],
            "side": [leg.side.value for _, leg in legs],
            "index": [leg.index for _, leg in legs],
            "account": [leg.account for _, leg in legs],
            "amount": [leg.amount for _, leg in legs],
            "spent_hash": [leg.spent_hash for _, leg in legs],
            "spent_index": [leg.spent_index for _, leg in legs],
        },
        schema=LEG_SCHEMA,
    )


def _reject_table(rejects: Sequence[FoundReject], *, start: int) -> pa.Table:
    return pa.table(
        {
            "row": [start + place for place in range(len(rejects))],
            "reason": [reject.reason for reject in rejects],
            "detail": [f"transaction {reject.hash.hex()}: {reject.detail}" for reject in rejects],
            "height": [reject.height for reject in rejects],
        },
        schema=REJECT_SCHEMA,
    )


def _freeze_table(freezes: Sequence[FoundFreeze]) -> pa.Table:
    return pa.table(
        {name: [getattr(freeze, name) for freeze in freezes] for name in FREEZE_SCHEMA.names},
        schema=FREEZE_SCHEMA,
    )
