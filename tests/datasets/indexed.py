"""An indexer in memory: histories made from a list of payments, as a `HistorySource`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Self

from chains.history import Findings, FoundFreeze, FoundLeg, FoundReject, FoundTransfer, History
from chains.ledger import Asset, Kind, Side
from chains.registry import Chain, find_chain

START = datetime(2024, 1, 1)  # noqa: DTZ001  (times in the ledger are UTC without a zone)
ETHEREUM = find_chain("ethereum")
COIN = Asset("slip44:60", "ETH", 18, listed=True)
TOKEN = Asset("erc20:0x00000000000000000000000000000000000000aa", "USDX", 6, listed=True)
SPAM = Asset("erc20:0x00000000000000000000000000000000000000bb", "FREE", 18, listed=False)


def name(text: str) -> bytes:
    """A hash made from a text."""
    return sha256(text.encode()).digest()


def pay(
    height: int,
    payer: str,
    payee: str,
    amount: int,
    *,
    asset: Asset = COIN,
    position: int | None = 0,
    part: int = 0,
    kind: Kind = Kind.NATIVE,
    hash_of: str = "",
    branch: str = "",
) -> FoundTransfer:
    """One transfer of a block; its hash and block's hash follow from where it is."""
    return FoundTransfer(
        height=height,
        position=position,
        kind=kind,
        part=part,
        time=START + timedelta(seconds=12 * height),
        hash=name(hash_of or f"{height}/{position}{branch}"),
        asset=asset.reference,
        block_hash=name(f"block {height}{branch}"),
        legs=(FoundLeg(Side.PAYER, 0, payer, amount), FoundLeg(Side.PAYEE, 0, payee, amount)),
    )


@dataclass
class MemoryIndexer:
    """What it knows, how high its chain is, and what it fails at."""

    transfers: list[FoundTransfer] = field(default_factory=list)
    final: int = 100
    chain: Chain = ETHEREUM
    layout: str = "pull:memory"
    shown_url: str = "http://memory"
    rejects: dict[str, list[FoundReject]] = field(default_factory=dict)
    freezes: dict[str, list[FoundFreeze]] = field(default_factory=dict)
    unread: tuple[str, ...] = ("its dreams",)
    doubt: str = ""
    asked: list[tuple[str, int]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None

    def read_history(self, address: str, *, first: int, most: int) -> History:
        """Answer as an indexer that reads from the lowest block on."""
        self.asked.append((address, first))
        self.before(address)
        mine = [
            transfer
            for transfer in self.transfers
            if address in [leg.account for leg in transfer.legs] and transfer.height >= first
        ]
        last, pending = self.final, len([one for one in mine if one.height > self.final])
        mine = sorted((one for one in mine if one.height <= self.final), key=lambda one: one.order)
        if len(mine) > most:
            last = mine[most].height - 1
            mine = [one for one in mine if one.height <= last]
        assets = {asset.reference: asset for asset in (COIN, TOKEN, SPAM)}
        found = Findings(mine, self.rejects.get(address, []), self.freezes.get(address, []), assets)
        return History(
            found.batch(),
            first,
            first - 1 if self.doubt else last,
            cut=last < self.final,
            pending=pending,
            unread=self.unread,
            note=self.doubt or ("it has too many" if last < self.final else ""),
        )

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


def moved(transfer: FoundTransfer, **more: object) -> FoundTransfer:
    """The same transfer with other fields."""
    return replace(transfer, **more)  # type: ignore[arg-type]
