"""A regtest chain on libbitcoinkernel: validation is Bitcoin Core's own, mining and bookkeeping ours.

`KernelChain` mines blocks on any parent, hands each to the kernel and follows the branch that the kernel
prefers. `coins` is the set of unspent outputs of that branch; each output that a block spends is compared
with what the kernel itself says of it. Hashes are bytes in the order in which they are displayed.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pbk  # type: ignore[import-untyped]
from embit import compact  # type: ignore[import-untyped]
from embit.transaction import Transaction  # type: ignore[import-untyped]

BITS = 0x207FFFFF
FIRST_TIME = 1_704_067_200
"""Unix time of block 0 as later blocks count it (2024-01-01); the first block itself is of 2011."""
SECONDS_A_BLOCK = 600
HALVING_BLOCKS = 150
MATURITY_BLOCKS = 100

OutPoint = tuple[bytes, int]


@dataclass(frozen=True)
class Coin:
    """An unspent or spent output. `generated`: of a coinbase."""

    txid: bytes
    index: int
    amount_sat: int
    script: bytes
    height: int
    generated: bool


@dataclass(frozen=True)
class KernelBlock:
    """A block as it was mined, with the coins that it makes; those that it spends are the kernel's to say."""

    hash: bytes
    parent: bytes
    height: int
    time: int
    raw: bytes
    transactions: tuple[Any, ...]  # embit's Transaction
    txids: tuple[bytes, ...]
    created: tuple[Coin, ...]  # without those that can never be spent


class RejectedBlockError(Exception):
    """The kernel did not accept a block."""


class KernelChain:
    """A regtest chain in a folder of its own; safe for several threads. `close` lets go of the folder."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self._manager = pbk.load_chainman(folder, pbk.ChainType.REGTEST)
        self._tree: dict[bytes, KernelBlock] = {}
        self._coins: dict[OutPoint, Coin] = {}
        self._spent: dict[bytes, tuple[tuple[Coin, ...], ...]] = {}
        self._active: list[bytes] = []
        self._view: tuple[bytes, dict[OutPoint, Coin]] | None = None
        first = bytes(self._manager.blocks[self._manager.get_active_chain().block_tree_entries[0]])
        block = _parse(first, 0)
        self._tree[block.hash] = block
        self._active.append(block.hash)  # its coin can never be spent, and is in no set of coins

    def close(self) -> None:
        """Let go of the kernel; closing twice is harmless."""
        with self.lock:
            self._manager = None

    @property
    def height(self) -> int:
        """Height of the newest block of the active branch."""
        return len(self._active) - 1

    @property
    def tip(self) -> bytes:
        """Hash of the newest block of the active branch."""
        return self._active[-1]

    @property
    def coins(self) -> Mapping[OutPoint, Coin]:
        """Unspent outputs of the active branch; what can never be spent (OP_RETURN, block 0) is not one."""
        return MappingProxyType(self._coins)

    def hash_at(self, height: int) -> bytes | None:
        """Hash of the active branch's block at a height; None above the tip."""
        return self._active[height] if 0 <= height < len(self._active) else None

    def block(self, block_hash: bytes) -> KernelBlock | None:
        """Return a block of any branch; None for an unknown one."""
        return self._tree.get(block_hash)

    def is_active(self, block: KernelBlock) -> bool:
        """Whether the block is on the active branch."""
        return self.hash_at(block.height) == block.hash

    def spent_coins(self, block: KernelBlock) -> tuple[tuple[Coin, ...], ...] | None:
        """Return what each transaction after the coinbase spends, by input, from the kernel's undo data.

        None for a block that was never on the active branch: the kernel has no undo data for it.
        """
        with self.lock:
            if block.hash not in self._spent:
                if block.height == 0:
                    return ()
                entry = self._manager.block_tree_entries[pbk.BlockHash(block.hash[::-1])]
                try:
                    undo = self._manager.block_spent_outputs[entry]
                except RuntimeError:
                    return None
                self._spent[block.hash] = _spent_coins(block, undo)
            return self._spent[block.hash]

    def assemble(
        self,
        transactions: Sequence[Any] = (),
        *,
        payouts: Sequence[tuple[bytes, int | None]],
        parent: bytes | None = None,
        fees_sat: int | None = None,
        extra: int = 0,
    ) -> bytes:
        """Return a block on `parent` (default: the tip) whose proof of work holds; nothing is checked yet.

        The coinbase pays `payouts`, script by script; the one with the amount None gets what is left of
        subsidy and fees. `fees_sat` overrules the fees that the inputs give. `extra` makes its hash another.
        """
        with self.lock:
            before = self._tree[parent or self.tip]
            height = before.height + 1
            view = self._view_at(before.hash)
            fees = _fees(transactions, view) if fees_sat is None else fees_sat
            reward = (5_000_000_000 >> (height // HALVING_BLOCKS)) + fees
            stated = sum(amount for _, amount in payouts if amount is not None)
            outputs = [(script, reward - stated if sat is None else sat) for script, sat in payouts]
            coinbase, coinbase_hash = _coinbase(height, extra, outputs, transactions)
            body = compact.to_bytes(len(transactions) + 1) + coinbase
            body += b"".join(transaction.serialize() for transaction in transactions)
            root = merkle_root([coinbase_hash, *(transaction.txid()[::-1] for transaction in transactions)])
            time = FIRST_TIME + SECONDS_A_BLOCK * height
            header = _prove(before.hash[::-1] + root + time.to_bytes(4, "little"))
            return header + bytes(body)

    def submit(self, raw: bytes) -> bytes:
        """Hand a block to the kernel and return its hash; raises RejectedBlockError.

        A block that would extend the active branch must become its tip. One on another branch is only stored,
        and judged once its branch is the longer one.
        """
        with self.lock:
            parent = self._tree.get(raw[4:36][::-1])
            block = _parse(raw, parent.height + 1 if parent else 0)
            extends = block.parent == self.tip
            try:
                self._manager.process_block(pbk.Block(raw))
            except pbk.ProcessBlockException as error:
                raise RejectedBlockError(f"block {block.hash.hex()}: the kernel refused it") from error
            entries = self._manager.get_active_chain().block_tree_entries
            tip = bytes(entries[len(entries) - 1].block_hash)[::-1]
            if extends and tip != block.hash:
                raise RejectedBlockError(f"block {block.hash.hex()}: the kernel did not connect it")
            self._tree[block.hash] = block
            if tip != self.tip:
                self._follow(tip)
            return block.hash

    def mine(
        self,
        transactions: Sequence[Any] = (),
        *,
        payouts: Sequence[tuple[bytes, int | None]],
        parent: bytes | None = None,
        extra: int = 0,
    ) -> bytes:
        """Mine a block, hand it to the kernel and return its hash; raises RejectedBlockError."""
        return self.submit(self.assemble(transactions, payouts=payouts, parent=parent, extra=extra))

    def coins_at(self, block_hash: bytes) -> Mapping[OutPoint, Coin]:
        """Unspent outputs right after a block of any branch."""
        with self.lock:
            return MappingProxyType(dict(self._view_at(block_hash)))

    def _view_at(self, block_hash: bytes) -> dict[OutPoint, Coin]:
        """Coins after a block; of a side branch by undoing the active one back to the fork."""
        if block_hash == self.tip:
            return self._coins
        if self._view is not None and self._view[0] == block_hash:
            return self._view[1]
        block = self._tree[block_hash]
        if self._view is not None and self._view[0] == block.parent:
            view = self._view[1]
            _connect(view, block)
        else:
            side = []
            while not self.is_active(block):
                side.append(block)
                block = self._tree[block.parent]
            view = dict(self._coins)
            for height in range(self.height, block.height, -1):
                self._disconnect(view, self._tree[self._active[height]])
            for newer in reversed(side):
                _connect(view, newer)
        self._view = (block_hash, view)
        return view

    def _disconnect(self, view: dict[OutPoint, Coin], block: KernelBlock) -> None:
        for coin in block.created:
            view.pop((coin.txid, coin.index), None)
        made = {coin.txid for coin in block.created}
        for coins in self.spent_coins(block) or ():
            view.update({(coin.txid, coin.index): coin for coin in coins if coin.txid not in made})

    def _follow(self, tip: bytes) -> None:
        """Make the active branch the one that ends in `tip`, checking the kernel's coins against ours."""
        branch = []
        block = self._tree[tip]
        while not self.is_active(block):
            branch.append(block)
            block = self._tree[block.parent]
        for height in range(self.height, block.height, -1):
            self._disconnect(self._coins, self._tree[self._active[height]])
        del self._active[block.height + 1 :]
        for newer in reversed(branch):
            self._active.append(newer.hash)
            kernel = {(c.txid, c.index): c for coins in self.spent_coins(newer) or () for c in coins}
            ours = _connect(self._coins, newer)
            if kernel != ours:
                raise RejectedBlockError(
                    f"block {newer.hash.hex()}: the kernel spends other coins than we do"
                )
        self._view = None


def hash256(data: bytes) -> bytes:
    """SHA-256 twice."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over hashes in their inner order; an odd last one is paired with itself."""
    row = list(hashes)
    while len(row) > 1:
        row += row[-1:] if len(row) % 2 else []
        row = [hash256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def is_unspendable(script: bytes) -> bool:
    """Whether an output can never be spent, and is in no set of coins: OP_RETURN, or longer than allowed."""
    return script[:1] == b"\x6a" or len(script) > 10_000


def push(data: bytes) -> bytes:
    """Script that pushes up to 255 bytes."""
    return bytes([len(data)]) + data if len(data) < 76 else b"\x4c" + bytes([len(data)]) + data


def _script_number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little")
    return push(data) if value > 16 else bytes([0x50 + value])


def _coinbase(
    height: int, extra: int, outputs: Sequence[tuple[bytes, int]], transactions: Sequence[Any]
) -> tuple[bytes, bytes]:
    """Coinbase transaction with its witness commitment (BIP-34, BIP-141), and its hash in inner order."""
    witness_hashes = [bytes(32), *(hash256(transaction.serialize()) for transaction in transactions)]
    commitment = hash256(merkle_root(witness_hashes) + bytes(32))
    written = [*outputs, (b"\x6a\x24\xaa\x21\xa9\xed" + commitment, 0)]
    script = _script_number(height) + push(b"\x01" + extra.to_bytes(4, "little"))
    start = b"\x01" + bytes(32) + b"\xff" * 4 + push(script) + b"\xff" * 4 + compact.to_bytes(len(written))
    middle = start + b"".join(
        sat.to_bytes(8, "little") + compact.to_bytes(len(lock)) + lock for lock, sat in written
    )
    version, locktime = (2).to_bytes(4, "little"), bytes(4)
    witness = b"\x01\x20" + bytes(32)
    return version + b"\x00\x01" + middle + witness + locktime, hash256(version + middle + locktime)


def _prove(rest: bytes) -> bytes:
    """Return an 80-byte header whose hash is below regtest's target."""
    start = (0x20000000).to_bytes(4, "little") + rest + BITS.to_bytes(4, "little")
    target = (BITS & 0xFFFFFF) << 8 * ((BITS >> 24) - 3)
    nonce = 0
    while int.from_bytes(hash256(start + nonce.to_bytes(4, "little")), "little") > target:
        nonce += 1
    return start + nonce.to_bytes(4, "little")


def _parse(raw: bytes, height: int) -> KernelBlock:
    stream = BytesIO(raw)
    header = stream.read(80)
    transactions = tuple(Transaction.read_from(stream) for _ in range(compact.read_from(stream)))
    txids = tuple(transaction.txid() for transaction in transactions)
    created = tuple(
        Coin(txid, index, out.value, out.script_pubkey.data, height, place == 0)
        for place, (txid, transaction) in enumerate(zip(txids, transactions, strict=True))
        for index, out in enumerate(transaction.vout)
        if not is_unspendable(out.script_pubkey.data)
    )
    return KernelBlock(
        hash=hash256(header)[::-1],
        parent=header[4:36][::-1],
        height=height,
        time=int.from_bytes(header[68:72], "little"),
        raw=raw,
        transactions=transactions,
        txids=txids,
        created=created,
    )


def _connect(view: dict[OutPoint, Coin], block: KernelBlock) -> dict[OutPoint, Coin]:
    """Add what a block makes, take out what it spends, and return the latter."""
    view.update({(coin.txid, coin.index): coin for coin in block.created})
    spent = [(inp.txid, inp.vout) for transaction in block.transactions[1:] for inp in transaction.vin]
    return {point: view.pop(point) for point in spent if point in view}


def _fees(transactions: Sequence[Any], view: Mapping[OutPoint, Coin]) -> int:
    """Inputs minus outputs; transactions may spend those before them."""
    made: dict[OutPoint, int] = {}
    fees = 0
    for transaction in transactions:
        for inp in transaction.vin:
            point = (inp.txid, inp.vout)
            fees += view[point].amount_sat if point in view else made[point]
        for index, out in enumerate(transaction.vout):
            made[transaction.txid(), index] = out.value
            fees -= out.value
    return fees


def _spent_coins(block: KernelBlock, undo: Any) -> tuple[tuple[Coin, ...], ...]:
    return tuple(
        tuple(
            Coin(
                inp.txid,
                inp.vout,
                coin.output.amount,
                bytes(coin.output.script_pubkey),
                coin.confirmation_height,
                coin.is_coinbase,
            )
            for inp, coin in zip(transaction.vin, spent.coins, strict=True)
        )
        for transaction, spent in zip(block.transactions[1:], undo.transactions, strict=True)
    )
