"""Random chains that hold together, UTXO and account, as nodes in memory and as files of their transactions.

Everything follows from the seeds, so that the same chain can be grown twice; blocks can be taken back and
grown anew with another seed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from chains.errors import BadAnswer
from chains.ledger import BLOCK_SCHEMA, LEG_SCHEMA, REJECT_SCHEMA, TRANSFER_SCHEMA, Asset, LegBatch
from chains.nodes import Head, NodeFacts
from chains.registry import Chain, find_chain

START = datetime(2024, 1, 1)  # noqa: DTZ001  (times in the ledger are UTC without a zone)
UTXO = find_chain("regtest")
EVM = find_chain("eip155:31337")
SATS = Asset("slip44:1", "rBTC", 8, listed=True)
ETH = Asset("slip44:60", "ETH", 18, listed=True)
GOOD = Asset("erc20:0x00000000000000000000000000000000000000aa", "GOOD", 6, listed=True)
SPAM = Asset("erc20:0x00000000000000000000000000000000000000bb", "FREE", 18, listed=False)
ASSETS = (SATS, ETH, GOOD, SPAM)
PEOPLE = tuple(f"0x{digit * 40}" for digit in "123456789")
MINER = "0x" + "f" * 40

Output = tuple[bytes, int]


@dataclass(frozen=True)
class Moved:
    """One transfer: its place beside the block's height, and its legs as (account, amount, spent output)."""

    position: int
    kind: str
    part: int
    hash: bytes | None
    asset: str
    payers: tuple[tuple[str, int, Output | None], ...]
    payees: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Made:
    """One block with what the chain's state was after it."""

    hash: bytes
    parent: bytes
    time: datetime
    moved: tuple[Moved, ...]
    outputs: dict[Output, tuple[str, int]] = field(repr=False)
    held: dict[tuple[str, str], int] = field(repr=False)


@dataclass
class RandomChain:
    """A node in memory; `grow` adds blocks that keep every rule, `fork` replaces the newest ones.

    Several threads may read: each answer is of one branch, as that of a node is.
    """

    chain: Chain = UTXO
    blocks: list[Made] = field(default_factory=list)
    final_depth: int = 6
    internal: str = "trace_block"
    unread: tuple[str, ...] = ()
    forked: int = 0  # so that no branch repeats blocks that were taken back
    tells_genesis: bool = True  # no real node does: what accounts began with is in a file
    url: str = "http://127.0.0.1:1"

    def grow(self, count: int, seed: int) -> Self:
        """Add `count` blocks."""
        self.blocks = self._grown(self.blocks, count, seed)
        return self

    def fork(self, depth: int, count: int, seed: int) -> Self:
        """Replace the newest `depth` blocks by `count` others."""
        self.forked += 1
        self.blocks = self._grown(self.blocks[: max(0, len(self.blocks) - depth)], count, seed)
        return self

    def _grown(self, blocks: Sequence[Made], count: int, seed: int) -> list[Made]:
        longer = list(blocks)
        for number in range(count):
            words = f"{seed} {number} {len(longer)}" + f" {self.forked}" * bool(self.forked)
            random = Random(words)  # noqa: S311  (the same chain each time)
            longer.append(_next_block(self.chain, longer, random))
        return longer

    @property
    def facts(self) -> NodeFacts:
        return NodeFacts(self.url, "memory/1.0", "" if self.chain.utxo else self.internal, self.unread)

    def head(self) -> Head:
        blocks = self.blocks
        height = len(blocks) - 1
        return Head(height, blocks[-1].hash, max(height - self.final_depth, -1))

    def block_hash(self, height: int) -> bytes | None:
        blocks = self.blocks
        return blocks[height].hash if 0 <= height < len(blocks) else None

    def read_blocks(self, first: int, last: int) -> LegBatch:
        blocks = self.blocks
        if last >= len(blocks):
            raise BadAnswer(self.url, method="read_blocks", why=f"it has no block {last}")
        chosen = list(enumerate(blocks))[first : last + 1]
        batch = as_batch(
            [
                (height, made, moved)
                for height, made in chosen
                for moved in made.moved
                if self.tells_genesis or moved.kind != "genesis"
            ]
        )
        rows = [
            {"height": height, "hash": made.hash, "parent_hash": made.parent, "time": made.time}
            for height, made in chosen
        ]
        return LegBatch(
            batch.transfers,
            batch.legs,
            batch.rejected,
            batch.assets,
            pa.Table.from_pylist(rows, BLOCK_SCHEMA),
        )

    def rows(self) -> list[tuple[int, Made, Moved]]:
        """Return every transfer of the chain with its block, as a file of it would have them."""
        return [(height, made, moved) for height, made in enumerate(self.blocks) for moved in made.moved]

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def as_batch(
    rows: Sequence[tuple[int, Made, Moved]], *, first_row: int | None = None, loose: bool = False
) -> LegBatch:
    """Return transfers as an adapter gives them: of a node, or of a file from its row `first_row` on."""
    transfers: list[dict[str, Any]] = []
    legs: list[dict[str, Any]] = []
    for number, (height, made, moved) in enumerate(rows):
        transfers.append(
            {
                "transfer": number,
                "row": moved.position if first_row is None else first_row + number,
                "height": None if loose else height,
                "position": None if loose else moved.position,
                "kind": moved.kind,
                "part": moved.part,
                "time": made.time,
                "hash": moved.hash,
                "asset": moved.asset,
                "block_hash": None if loose else made.hash,
                "lossy": False,
            }
        )
        for index, (account, amount, spent) in enumerate(moved.payers):
            leg = {"transfer": number, "side": "payer", "index": index, "account": account, "amount": amount}
            legs.append(leg | ({"spent_hash": spent[0], "spent_index": spent[1]} if spent else {}))
        for index, (account, amount) in enumerate(moved.payees):
            legs.append(
                {"transfer": number, "side": "payee", "index": index, "account": account, "amount": amount}
            )
    used = {row["asset"] for row in transfers}
    return LegBatch(
        pa.Table.from_pylist(transfers, TRANSFER_SCHEMA),
        pa.Table.from_pylist(legs, LEG_SCHEMA),
        REJECT_SCHEMA.empty_table(),
        tuple(asset for asset in ASSETS if asset.reference in used),
    )


def as_file(
    rows: Sequence[tuple[int, Made, Moved]], *, rows_per_batch: int = 1000, loose: bool = False
) -> list[LegBatch]:
    """Return transfers as the batches of one file."""
    starts = range(0, len(rows), rows_per_batch)
    return [as_batch(rows[at : at + rows_per_batch], first_row=at, loose=loose) for at in starts]


def _next_block(chain: Chain, blocks: Sequence[Made], random: Random) -> Made:
    height = len(blocks)
    before = blocks[-1] if blocks else None
    outputs = dict(before.outputs) if before else {}
    held = dict(before.held) if before else {}
    parent = before.hash if before else b"\0" * 32
    salt = hashlib.sha256(parent + random.randbytes(8)).digest()
    if chain.utxo:
        moved = _utxo_transfers(outputs, salt, random)
        time = START + timedelta(minutes=10 * height + random.randrange(-30, 30) * (height > 0))
    else:
        moved = _account_transfers(held, salt, random, height)
        time = START + timedelta(seconds=12 * height)
    return Made(hashlib.sha256(b"block" + salt).digest(), parent, time, tuple(moved), outputs, held)


def _tx_hash(salt: bytes, position: int) -> bytes:
    return hashlib.sha256(salt + position.to_bytes(4, "big")).digest()


def _utxo_transfers(outputs: dict[Output, tuple[str, int]], salt: bytes, random: Random) -> list[Moved]:
    """A coinbase, then transactions that spend what is there, their own block's outputs too."""
    fees = 0
    moved = []
    for position in range(1, random.randrange(1, 5)):
        spendable = sorted(outputs)
        if not spendable:
            break
        chosen = random.sample(spendable, min(random.randrange(1, 4), len(spendable)))
        payers = tuple((*outputs.pop(output), output) for output in chosen)
        tx, left = _tx_hash(salt, position), sum(amount for _, amount, _ in payers)
        payees = []
        for _ in range(random.randrange(1, 4)):
            amount = random.randrange(left + 1)
            left -= amount
            payees.append((random.choice(PEOPLE), amount))
        fees += left
        for index, output in enumerate(payees):
            outputs[tx, index] = output
        moved.append(Moved(position, "native", 0, tx, SATS.reference, payers, tuple(payees)))
    coinbase = _tx_hash(salt, 0)
    outputs[coinbase, 0] = (random.choice(PEOPLE), 5_000 + fees)
    return [Moved(0, "reward", 0, coinbase, SATS.reference, (), (outputs[coinbase, 0],)), *moved]


def _account_transfers(
    held: dict[tuple[str, str], int], salt: bytes, random: Random, height: int
) -> list[Moved]:
    """Transactions of every kind; nobody ever spends more than they have, but of the unlisted token."""
    moved: list[Moved] = []

    def move(
        position: int,
        kind: str,
        part: int,
        asset: Asset,
        payer: str | None,
        payee: str | None,
        amount: int,
        paid: int,
    ) -> None:
        """`amount` leaves the payer, `paid` reaches the payee; None is nobody."""
        payers = () if payer is None else ((payer, amount, None),)
        payees = () if payee is None else ((payee, paid),)
        for account, change in ((payer, -amount), (payee, paid)):
            if account is not None:
                held[asset.reference, account] = held.get((asset.reference, account), 0) + change
        tx = None if kind in ("genesis", "reward", "withdrawal") else _tx_hash(salt, position)
        moved.append(Moved(position, kind, part, tx, asset.reference, payers, payees))

    if height == 0:
        for position, account in enumerate(PEOPLE[:5]):
            move(position, "genesis", 0, ETH, None, account, 10**30, 10**30)
        return moved
    log, count = 0, random.randrange(0, 5)
    for position in range(count):
        sender, other = random.choice(PEOPLE), random.choice(PEOPLE)
        fee = random.randrange(1, 10**18)
        have = held.get((ETH.reference, sender), 0)
        if have < fee:
            continue
        if random.random() < 0.8:  # the others fail, and move only their fee
            value = random.randrange(have - fee + 1)
            if value:
                move(position, "native", 0, ETH, sender, other, value, value)
                if random.random() < 0.3:
                    part = random.randrange(1, value + 1)
                    move(position, "internal", 1, ETH, other, random.choice(PEOPLE), part, part)
            for _ in range(random.randrange(3)):
                _move_token(move, held, random, position, log)
                log += 1
        have = held.get((ETH.reference, sender), 0)
        fee = min(fee, have)
        tip = random.randrange(fee + 1)
        if fee:
            move(position, "fee", 0, ETH, sender, MINER if tip else None, fee, tip)
    if random.random() < 0.5:
        move(count, "withdrawal", 0, ETH, None, random.choice(PEOPLE), 10**15, 10**15)
    return moved


def _move_token(move: Any, held: dict[tuple[str, str], int], random: Random, position: int, log: int) -> None:
    """A mint, a burn, a transfer, one of nothing with a forged payer, or whatever an unlisted token says."""
    payer, payee = random.choice(PEOPLE), random.choice(PEOPLE)
    have = held.get((GOOD.reference, payer), 0)
    draw = random.randrange(5)
    if draw == 0 or have == 0:
        amount = random.choice((1, 10**6, 10**25))
        move(position, "token", log, GOOD, None, payee, amount, amount)
    elif draw == 1:
        amount = random.randrange(1, have + 1)
        move(position, "token", log, GOOD, payer, None, amount, amount)
    elif draw == 2:
        move(position, "token", log, GOOD, payer, payee, 0, 0)
    elif draw == 3:
        move(position, "token", log, SPAM, payer, payee, 10**37, 10**37)
    else:
        amount = random.randrange(1, have + 1)
        move(position, "token", log, GOOD, payer, payee, amount, amount)
