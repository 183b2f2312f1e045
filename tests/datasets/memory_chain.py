"""A node in memory: a chain of blocks that can grow, be reorganised, lag and fail, as a `BlockSource`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from chains.errors import BadAnswer
from chains.ledger import (
    BLOCK_SCHEMA,
    FREEZE_SCHEMA,
    LEG_SCHEMA,
    REJECT_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    LegBatch,
)
from chains.nodes import Head, NodeFacts
from chains.registry import Chain, find_chain

START = datetime(2024, 1, 1)  # noqa: DTZ001  (times in the ledger are UTC without a zone)
ETHEREUM = find_chain("ethereum")
COIN = Asset("slip44:60", "ETH", 18, listed=True)
TOKEN = Asset("erc20:0x00000000000000000000000000000000000000aa", "USDX", 6, listed=True)


@dataclass(frozen=True)
class Pay:
    """One transfer of a block; None is nobody."""

    payer: str | None
    payee: str | None
    amount: int
    asset: Asset = COIN
    kind: str = "native"


@dataclass(frozen=True)
class Freeze:
    """The issuer of the token freezes or releases an account."""

    account: str
    frozen: bool = True


@dataclass(frozen=True)
class Reject:
    """Something of a block that could not become a transfer."""

    reason: str = "too_large"


Thing = Pay | Freeze | Reject


@dataclass(frozen=True)
class Block:
    """What happened in one block, under a hash that commits to it and to all before it."""

    things: tuple[Thing, ...]
    parent: bytes
    salt: int

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(repr((self.things, self.parent, self.salt)).encode()).digest()


@dataclass
class MemoryChain:
    """A `BlockSource` over blocks in memory; `before_read` lets a test fail or reorganise in the middle."""

    chain: Chain = ETHEREUM
    blocks: list[Block] = field(default_factory=list)
    final_depth: int = 6
    before_read: Callable[[int, int], None] | None = None
    reads: list[tuple[int, int]] = field(default_factory=list)
    name: str = "http://127.0.0.1:1"
    internal: str = "trace_block"

    def mine(self, *blocks: Sequence[Thing], salt: int = 0) -> None:
        """Add blocks at the top."""
        for things in blocks:
            parent = self.blocks[-1].hash if self.blocks else b"\0" * 32
            self.blocks.append(Block(tuple(things), parent, salt))

    def reorganise(self, depth: int, *blocks: Sequence[Thing], salt: int = 1) -> None:
        """Replace the newest `depth` blocks by others."""
        del self.blocks[len(self.blocks) - depth :]
        self.mine(*blocks, salt=salt)

    @property
    def facts(self) -> NodeFacts:
        return NodeFacts(self.name, "memory/1.0", self.internal)

    def head(self) -> Head:
        height = len(self.blocks) - 1
        return Head(height, self.blocks[-1].hash, max(height - self.final_depth, -1))

    def block_hash(self, height: int) -> bytes | None:
        return self.blocks[height].hash if 0 <= height < len(self.blocks) else None

    def read_blocks(self, first: int, last: int) -> LegBatch:
        self.reads.append((first, last))
        if self.before_read is not None:
            self.before_read(first, last)
        if last >= len(self.blocks):
            raise BadAnswer(self.name, method="read_blocks", why=f"it has no block {last}")
        return make_blocks(self.blocks[first : last + 1], first)

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_blocks(blocks: Sequence[Block], first: int) -> LegBatch:
    """Return blocks as an adapter gives them."""
    transfers: list[dict[str, Any]] = []
    legs: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    freezes: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    assets: dict[str, Asset] = {}
    for height, block in enumerate(blocks, first):
        time = START + timedelta(seconds=12 * height)
        rows.append({"height": height, "hash": block.hash, "parent_hash": block.parent, "time": time})
        for position, thing in enumerate(block.things):
            tx = hashlib.sha256(block.hash + bytes([position])).digest()
            common = {"height": height, "position": position, "part": 0, "time": time, "hash": tx}
            if isinstance(thing, Reject):
                rejected.append(
                    {"row": position, "reason": thing.reason, "detail": "what it was", "height": height}
                )
            elif isinstance(thing, Freeze):
                freezes.append(
                    {**common, "asset": TOKEN.reference, "account": thing.account, "frozen": thing.frozen}
                )
            else:
                number = len(transfers)
                assets[thing.asset.reference] = thing.asset
                transfers.append(
                    {
                        "transfer": number,
                        "row": position,
                        "kind": thing.kind,
                        "asset": thing.asset.reference,
                        "block_hash": block.hash,
                        "lossy": False,
                        **common,
                    }
                )
                for side, account in (("payer", thing.payer), ("payee", thing.payee)):
                    if account is not None:
                        legs.append(
                            {
                                "transfer": number,
                                "side": side,
                                "index": 0,
                                "account": account,
                                "amount": thing.amount,
                            }
                        )
    return LegBatch(
        pa.Table.from_pylist(transfers, schema=TRANSFER_SCHEMA),
        pa.Table.from_pylist(legs, schema=LEG_SCHEMA),
        pa.Table.from_pylist(rejected, schema=REJECT_SCHEMA),
        tuple(assets.values()),
        pa.Table.from_pylist(rows, schema=BLOCK_SCHEMA),
        pa.Table.from_pylist(freezes, schema=FREEZE_SCHEMA),
    )
