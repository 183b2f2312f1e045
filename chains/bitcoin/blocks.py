"""Blocks as a Bitcoin node tells them (`getblock` with verbosity 3) into legs, each checked against itself.

Nothing is taken on trust that a hash commits to: the header's hash, its proof of work, the merkle root, and
each transaction's hash, recomputed from the very versions, inputs, scripts and amounts that become legs.
What no hash in the block commits to is the value and script of a spent output; there sums must hold.
Amounts go from the digits of the answer to integers of satoshi without a double between.
Sources: the RPC documentation of Bitcoin Core, BIP-34, BIP-141, BIP-144.
"""

import re
from binascii import unhexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from chains.bitcoin.faults import Fault, find_fault
from chains.bitcoin.fields import (
    Hashes,
    Integers,
    join_groups,
    must_be,
    number_groups,
    read_amounts,
    read_hash,
    read_hashes,
    read_integers,
    read_scripts,
    store_hashes,
    write_digits,
    write_sized,
    write_sizes,
    write_words,
)
from chains.bitcoin.scripts import hex_bytes, script_holders
from chains.errors import BadAnswer
from chains.ledger import (
    AMOUNT,
    BLOCK_SCHEMA,
    LEG_SCHEMA,
    REJECT_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    Kind,
    LegBatch,
    Side,
)
from chains.registry import Chain
from chains.rpc import brief

Block = Mapping[str, Any]

_AMOUNT = re.compile(rb'("value"\s*:\s*)(-?[0-9][0-9.eE+-]*)')
_WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException)
_NO_OUTPUT = "00" * 32 + "ff" * 4


def read_exact(data: bytes) -> Any:
    """Decode an answer in JSON with every `value` as the text of its digits: no amount becomes a double.

    Raises ValueError for what is no JSON. Inside a string of the answer nothing can match: its quotation
    marks are escaped, and a quotation mark before a letter is no JSON outside of one.
    """
    pieces = _AMOUNT.split(data)  # between every two pieces, what stands before the digits, and the digits
    pieces[2::3] = [b'"%b"' % digits for digits in pieces[2::3]]
    return orjson.loads(b"".join(pieces))


def decode_block(
    block: Block, chain: Chain, asset: Asset, *, height: int, block_hash: bytes, url: str = ""
) -> LegBatch:
    """Return the legs of one block that was asked for by its height and hash; see `decode_blocks`."""
    return decode_blocks([block], chain, asset, first_height=height, hashes=[block_hash], url=url)


def decode_blocks(
    blocks: Sequence[Block],
    chain: Chain,
    asset: Asset,
    *,
    first_height: int,
    hashes: Sequence[bytes],
    url: str = "",
) -> LegBatch:
    """Return the legs of consecutive blocks, which were asked for by their heights and hashes.

    One transfer a transaction, at its place in the block; a coinbase is a reward without payers. Outputs of
    value 0 stay. Parents are handed over, not compared. Raises BadAnswer, naming the block and the thing.
    """
    heights = range(first_height, first_height + len(blocks))
    try:
        return _Reading(blocks, chain, asset, list(heights), list(hashes)).batch()
    except Fault as fault:
        raise BadAnswer(url, method="getblock", why=str(fault)) from None
    except _WRONG as error:
        for height, block in zip(heights, blocks, strict=True):
            found = find_fault(block, height)
            if found is not None:
                raise BadAnswer(url, method="getblock", why=str(found)) from None
        why = f"blocks {heights[0]} to {heights[-1]} are not as Bitcoin Core writes them"
        raise BadAnswer(url, method="getblock", why=why) from error


@dataclass(frozen=True)
class _Side:
    """All inputs or all outputs of some blocks, coinbases aside, one element a leg, in order."""

    counts: Integers  # of each transaction
    value_sat: Integers
    scripts: pa.Array  # of the output that is paid or spent, in lower-case hexadecimal

    def sums(self) -> tuple[Integers, Integers]:
        """Satoshi of each transaction in two parts of 32 bits: each stays exact inside a double."""
        groups = np.repeat(np.arange(len(self.counts)), self.counts)
        halves = (self.value_sat >> 32, self.value_sat & 0xFFFFFFFF)
        count = len(self.counts)
        high, low = (np.bincount(groups, weights=half, minlength=count).astype(np.int64) for half in halves)
        return high, low


@dataclass(frozen=True)
class _Spent(_Side):
    """All inputs that spend an output: beside its value and script, which one it is."""

    inputs: list[Any]
    hashes: Hashes
    index: Integers


class _Reading:
    """Some blocks, spread into columns. Whatever is missing or of a wrong type raises here."""

    def __init__(
        self, blocks: Sequence[Block], chain: Chain, asset: Asset, heights: list[int], hashes: list[bytes]
    ) -> None:
        self.blocks, self.chain, self.asset, self.heights, self.hashes = blocks, chain, asset, heights, hashes
        lists = [block["tx"] for block in blocks]
        must_be(lists, list)
        self.sizes = np.array([len(txs) for txs in lists], np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.txs = [tx for txs in lists for tx in txs]
        self.txids = read_hashes([tx["txid"] for tx in self.txs])
        self.headers = [_check_header(*each, chain) for each in zip(blocks, heights, hashes, strict=True)]
        for place, block in enumerate(blocks):
            self._check_transactions(place, block)

    def _check_transactions(self, place: int, block: Block) -> None:
        """Compare the list of transactions with the header: the merkle root, and the count if it is said."""
        start, size = int(self.starts[place]), int(self.sizes[place])
        txids = self.txids[start : start + size]
        said = block.get("nTx", size)
        if type(said) is not int or said != size or not size:
            raise Fault(self.heights[place], f"it holds {size} transactions, and says nTx is {brief(said)}")
        leaves = [txid.tobytes() for txid in txids[:, ::-1]]
        if len(set(leaves)) != size:
            raise Fault(self.heights[place], "a transaction stands in it twice")
        if merkle_root(leaves) != unhexlify(block["merkleroot"])[::-1]:
            raise Fault(self.heights[place], "its transactions do not have the merkle root of its header")

    def batch(self) -> LegBatch:
        """Spread out, check and join everything."""
        vins, vouts = [tx["vin"] for tx in self.txs], [tx["vout"] for tx in self.txs]
        must_be(vins, list)
        must_be(vouts, list)
        in_counts = np.array([len(ins) for ins in vins], np.int64)
        out_counts = np.array([len(outs) for outs in vouts], np.int64)
        if (in_counts[self.starts] != 1).any() or (in_counts < 1).any() or (out_counts < 1).any():
            raise ValueError
        roots = [vins[i][0] for i in self.starts]
        in_counts[self.starts] = 0
        spends = [vin for vin, count in zip(vins, in_counts, strict=True) if count for vin in vin]
        pays = [vout for outs in vouts for vout in outs]
        prevouts = [vin["prevout"] for vin in spends]
        spent = _Spent(
            counts=in_counts,
            value_sat=read_amounts([prevout["value"] for prevout in prevouts]),
            scripts=read_scripts([prevout["scriptPubKey"]["hex"] for prevout in prevouts]),
            inputs=spends,
            hashes=read_hashes([vin["txid"] for vin in spends]),
            index=read_integers([vin["vout"] for vin in spends], 0, 2**31 - 1),
        )
        paid = _Side(
            counts=out_counts,
            value_sat=read_amounts([vout["value"] for vout in pays]),
            scripts=read_scripts([vout["scriptPubKey"]["hex"] for vout in pays]),
        )
        if (read_integers([vout["n"] for vout in pays], 0, 2**31 - 1) != number_groups(out_counts)).any():
            raise ValueError
        self._check_hashes(roots, spent, paid)
        self._check_sums(spent, paid)
        return self._join(spent, paid)

    def _check_sums(self, spent: _Spent, paid: _Side) -> None:
        """Refuse a transaction whose outputs exceed its inputs: the spent values cannot be right."""
        (high_in, low_in), (high_out, low_out) = spent.sums(), paid.sums()
        high, low = high_in - high_out, low_in - low_out
        for i in np.flatnonzero((spent.counts > 0) & (high + (low >> 32) < 0))[:1].tolist():
            more = -((int(high[i]) << 32) + int(low[i]))
            raise self._fault(i, f"its outputs exceed its inputs by {more} satoshi")

    def _check_hashes(self, roots: list[Any], spent: _Spent, paid: _Side) -> None:
        """Write each transaction as the chain does, witnesses aside, and compare its hash (BIP-144)."""
        signed = read_scripts([vin["scriptSig"]["hex"] for vin in spent.inputs])
        spending = pc.binary_join_element_wise(
            write_digits(spent.hashes[:, ::-1]),
            write_words(spent.index.tolist()),
            *write_sized(signed),
            write_words([vin["sequence"] for vin in spent.inputs]),
            "",
        )
        making = pc.binary_join_element_wise(
            pa.repeat(_NO_OUTPUT, len(roots)),
            *write_sized(read_scripts([vin["coinbase"] for vin in roots])),
            write_words([vin["sequence"] for vin in roots]),
            "",
        )
        counts = np.maximum(spent.counts, 1)
        order = np.zeros(int(counts.sum()), np.int64)
        first = np.cumsum(counts) - counts
        order[first[self.starts]] = 1  # the coinbases, which stand behind all other inputs
        order = np.where(order, len(spending) + np.cumsum(order) - 1, np.cumsum(1 - order) - 1)
        values = write_digits(paid.value_sat.astype("<i8").view(np.uint8).reshape(-1, 8))
        paying = pc.binary_join_element_wise(values, *write_sized(paid.scripts), "")
        written = pc.binary_join_element_wise(
            write_words([tx["version"] for tx in self.txs], -(2**31)),
            write_sizes(counts),
            join_groups(pa.concat_arrays([spending, making]).take(pa.array(order)), counts),
            write_sizes(paid.counts),
            join_groups(paying, paid.counts),
            write_words([tx["locktime"] for tx in self.txs]),
            "",
        )
        raw = memoryview(hex_bytes(written).tobytes())
        ends = np.cumsum(np.asarray(pc.binary_length(written)) // 2).tolist()
        digests = [
            sha256(sha256(raw[start:end]).digest()).digest()
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        found = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)[:, ::-1]
        for i in np.flatnonzero((found != self.txids).any(axis=1)).tolist():
            if not self._is_foreign(i):
                raise self._fault(i, "its inputs and outputs do not have its hash")

    def _is_foreign(self, number: int) -> bool:
        """Whether a transaction holds what the chain writes into it and the answer does not tell apart."""
        part = _FOREIGN_PARTS.get(self.chain.name)
        return part is not None and any(part in vout for vout in self.txs[number]["vout"])

    def _fault(self, number: int, why: str) -> Fault:
        place = int(np.searchsorted(self.starts, number, side="right")) - 1
        position = number - int(self.starts[place])
        return Fault(
            self.heights[place], f"transaction {position} ({self.txids[number].tobytes().hex()}): {why}"
        )

    def _join(self, spent: _Spent, paid: _Side) -> LegBatch:
        count = len(self.txs)
        position = number_groups(self.sizes)
        block = pa.array(np.repeat(np.arange(len(self.blocks)), self.sizes))
        heights, hashes = pa.array(self.heights, pa.int64()), pa.array(self.hashes, pa.binary())
        seconds = pa.array([header[1] for header in self.headers], pa.timestamp("s"))
        times = seconds.cast(pa.timestamp("us"))
        kinds = pa.array([Kind.NATIVE.value, Kind.REWARD.value])
        transfers = pa.table(
            {
                "transfer": np.arange(count),
                "row": position,
                "height": heights.take(block),
                "position": position.astype(np.int32),
                "kind": kinds.take(pa.array((spent.counts == 0).astype(np.int8))),
                "part": np.zeros(count, np.int32),
                "time": times.take(block),
                "hash": store_hashes(self.txids),
                "asset": pa.repeat(self.asset.reference, count),
                "block_hash": hashes.take(block),
                "lossy": np.zeros(count, np.bool_),
            },
            schema=TRANSFER_SCHEMA,
        )
        parents = pa.array([header[0] for header in self.headers], pa.binary())
        blocks = pa.table([heights, hashes, parents, times], schema=BLOCK_SCHEMA)
        legs = _leg_table(
            spent, paid, script_holders(pa.concat_arrays([spent.scripts, paid.scripts]), self.chain)
        )
        return LegBatch(transfers, legs, REJECT_SCHEMA.empty_table(), (self.asset,), blocks)


def _leg_table(spent: _Spent, paid: _Side, accounts: pa.Array) -> pa.Table:
    """Payers and payees of all transactions, transaction after transaction."""
    payers, payees = len(spent.scripts), len(paid.scripts)
    transfer = np.concatenate([np.repeat(np.arange(len(s.counts)), s.counts) for s in (spent, paid)])
    sides = [pa.repeat(Side.PAYER.value, payers), pa.repeat(Side.PAYEE.value, payees)]
    spent_index = pa.array(spent.index.astype(np.int32))
    legs = pa.table(
        {
            "transfer": transfer,
            "side": pa.concat_arrays(sides),
            "index": np.concatenate([number_groups(spent.counts), number_groups(paid.counts)]).astype(
                np.int32
            ),
            "account": accounts,
            "amount": pa.array(np.concatenate([spent.value_sat, paid.value_sat])).cast(AMOUNT),
            "spent_hash": pa.concat_arrays([store_hashes(spent.hashes), pa.nulls(payees, pa.binary())]),
            "spent_index": pa.concat_arrays([spent_index, pa.nulls(payees, pa.int32())]),
        },
        schema=LEG_SCHEMA,
    )
    return legs.take(pa.array(np.argsort(transfer, kind="stable")))


def merkle_root(txids: Sequence[bytes]) -> bytes:
    """Root of the tree over transaction hashes; all in the order of hashing, not of display."""
    level = list(txids)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256(sha256(level[i] + level[i + 1]).digest()).digest() for i in range(0, len(level), 2)]
    return level[0]


_WORK_IS_THE_HASH = frozenset(
    f"bitcoin{suffix}" for suffix in ("", "-testnet", "-testnet4", "-signet", "-regtest", "-cash", "-sv")
)
"""Chains whose proof of work is over the block's own hash; others hash the header again with scrypt."""

_FOREIGN_PARTS = {"bitcoin-cash": "tokenData"}
"""Fields of outputs that stand for bytes which are not in their script: such a hash cannot be recomputed."""


def _check_header(block: Block, height: int, block_hash: bytes, chain: Chain) -> tuple[bytes | None, int]:
    """Parent's hash (None for the first block) and time of a block whose header has the hash asked for."""
    must_be([block["height"], block["time"], block["nonce"], block["version"]], int)
    if block["height"] != height:
        raise Fault(height, f"the node says that its height is {brief(block['height'])}")
    parent = read_hash(block["previousblockhash"]) if height else bytes(32)
    bits = unhexlify(block["bits"])
    header = b"".join(
        (
            block["version"].to_bytes(4, "little", signed=block["version"] < 0),
            parent[::-1],
            read_hash(block["merkleroot"])[::-1],
            block["time"].to_bytes(4, "little"),
            bits[::-1],
            block["nonce"].to_bytes(4, "little"),
        )
    )
    found = sha256(sha256(header).digest()).digest()[::-1]
    if found != block_hash or len(bits) != 4:
        raise Fault(height, f"its header has the hash {found.hex()}, and {block_hash.hex()} was asked for")
    if read_hash(block["hash"]) != block_hash:
        raise Fault(height, f"it calls itself {block['hash']}, and {block_hash.hex()} was asked for")
    if chain.name in _WORK_IS_THE_HASH and int.from_bytes(found, "big") > _target(bits):
        raise Fault(height, "its hash is above its own target: there is no work in it")
    return (parent if height else None), block["time"]


def _target(bits: bytes) -> int:
    """The number that a block's hash must not exceed: an exponent of 256, a sign and 23 bits."""
    exponent, mantissa = bits[0], int.from_bytes(bits[1:], "big")
    if mantissa & 0x800000:
        return -1
    return mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
