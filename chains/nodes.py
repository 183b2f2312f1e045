"""What every node adapter gives: its head, the hash at a height, and whole blocks as legs.

An adapter is a class that is held open (`BitcoinNode`, `EvmNode`, `TronNode`). It refuses a node of another
chain when it is made, and is safe to be used by several threads at once.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from chains.ledger import Kind, LegBatch
from chains.registry import Chain


@dataclass(frozen=True)
class Head:
    """The newest block that a node has."""

    height: int
    hash: bytes
    final_height: int  # the highest that will not be reorganised; -1 where none is final yet


@dataclass(frozen=True)
class NodeFacts:
    """Who answered, and what it cannot tell: kept as the custody record of what was read."""

    url: str  # without credentials
    software: str  # as it names itself; '' where it does not
    internal: str  # where internal calls come from: trace_block, callTracer, none; '' where a chain has none
    unread: tuple[str, ...] = ()  # what the chain has and this node cannot tell, each in a few words
    kinds: tuple[Kind, ...] = tuple(Kind)  # of transfers that it tells of, if a block has any


class BlockSource(Protocol):
    """A node that is held open, read a block range at a time."""

    @property
    def chain(self) -> Chain:
        """The chain that it serves; checked when it was opened."""

    @property
    def facts(self) -> NodeFacts:
        """Who answers."""

    def head(self) -> Head:
        """Return the newest block and the newest final one."""

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the block at a height on the node's present branch; None above its head."""

    def read_blocks(self, first: int, last: int) -> LegBatch:
        """Return all blocks from `first` to `last`, both included, as one batch in order.

        `blocks` has a row for each of them with its parent's hash, and every block's parent is the one
        before it; `transfers` are ordered by natural key, all have heights and positions, and `row` is the
        position in the block. The answer is checked against itself: a node that lies raises BadAnswer, one
        that changed its branch meanwhile BranchChanged, one that does not have a block (yet) BadAnswer.
        """

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""

    def __enter__(self) -> Self:
        """Return the open node itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
