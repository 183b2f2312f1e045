"""A Bitcoin node over JSON-RPC, held open: its head, hashes by height, and whole blocks as legs.

Read with `getblockhash` in batches and `getblock` with verbosity 3, which carries what every input spends:
Bitcoin Core 23 or newer, not pruned below what is read; no transaction index is needed. Other chains of
Bitcoin's kind are read where their blocks can be checked in the same way (`chains/bitcoin/blocks.py`).
Sources: the RPC documentation of Bitcoin Core; CAIP-2's profile bip122.
"""

import re
from collections.abc import Sequence
from typing import Any

from chains.assets import native_asset
from chains.bitcoin.blocks import decode_blocks, read_exact
from chains.errors import BadAnswer, BranchChanged, InputError, RpcError, WrongChain
from chains.held import HeldOpen
from chains.ledger import LegBatch, join_batches
from chains.nodes import Head, NodeFacts
from chains.registry import CHAINS, Chain
from chains.rpc import RpcClient, RpcLimits, brief

FINAL_AFTER = 6  # confirmations
LEGS_AT_ONCE = 30_000  # of one request: some 25 MB of an answer

_MAX_HEIGHT = 2**31 - 1
_HASH = re.compile("[0-9a-f]{64}")
_NO_METHOD = (-32601, -32004)
_NO_SUCH_BLOCK = frozenset({-1, -5, -8})  # not on disk (pruned), unknown hash, height above the head

_READ = {
    "bitcoin": 0,
    "bitcoin-testnet": 0,
    "bitcoin-testnet4": 0,
    "bitcoin-signet": 0,
    "bitcoin-regtest": 0,
    "litecoin": 0,
    "dogecoin": 0,
    "digibyte": 0,
    "bitcoin-cash": 478_559,
    "bitcoin-sv": 556_767,
}
"""Chains whose blocks are read, and the height of the block that their CAIP-2 id names."""

_NOT_READ = {
    "zcash": "what its shielded pools move is not in its blocks for anyone to read",
    "dash": "its block hashes (X11) cannot be checked here, and some of its transactions have no inputs",
    "verge": "its transactions have another form and its block hashes cannot be checked here",
    "bitcoin-gold": "its headers have another form, and its id does not name a block to know its nodes by",
}

_UNREAD = {
    "litecoin": ("what moves inside its private part (MWEB); what goes in and comes out is read",),
    "bitcoin-cash": ("CashTokens; the coins beside them are read",),
}


class BitcoinNode(HeldOpen):
    """A node of a chain of Bitcoin's kind; several threads may use it at once.

    Raises InputError for a chain whose blocks are not read, WrongChain for a node of another one, and what
    `RpcClient` raises.
    """

    def __init__(self, url: str, chain: Chain, *, limits: RpcLimits | None = None) -> None:
        asset = native_asset(chain)
        if asset is None or chain.name not in _READ:
            why = _NOT_READ.get(chain.name, "it is not a chain of Bitcoin's kind whose blocks are known")
            raise InputError(f"{chain.name} cannot be read from a node like Bitcoin Core: {why}")
        self.chain, self._asset = chain, asset
        self._rpc = RpcClient(url, limits=limits, decode=read_exact)
        self._legs_a_block = float(LEGS_AT_ONCE)  # of the last ones that were read
        try:
            self._check_chain()
            self.facts = self._ask_facts()
        except BaseException:
            self._rpc.close()
            raise

    def head(self) -> Head:
        """Return the newest block, and the newest with six confirmations."""
        info = self._chain_info()
        height, block_hash = info.get("blocks"), info.get("bestblockhash")
        if type(height) is not int or not 0 <= height <= _MAX_HEIGHT:
            raise self._rpc.bad_answer("getblockchaininfo", f"its newest block is {brief(height)}, no height")
        found = self._read_hash(block_hash, "getblockchaininfo", height)
        return Head(height, found, max(-1, height - FINAL_AFTER + 1))

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the block at a height on the node's present branch; None above its head."""
        return self._hashes_at([height])[0]

    def read_blocks(self, first: int, last: int) -> LegBatch:
        """Return all blocks from `first` to `last` as one batch; see `chains.nodes.BlockSource`."""
        batches, before = [], None
        height = first
        while height <= last:
            count = max(1, min(self._rpc.limits.batch_size, int(LEGS_AT_ONCE / self._legs_a_block)))
            batch = self._read_some(height, min(height + count - 1, last))
            before = self._check_links(batch, before)
            self._legs_a_block = max(1.0, batch.legs.num_rows / batch.blocks.num_rows)
            batches.append(batch)
            height += batch.blocks.num_rows
        return join_batches(batches)

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        self._rpc.close()

    def _read_some(self, first: int, last: int) -> LegBatch:
        heights = list(range(first, last + 1))
        hashes: list[bytes] = []
        for height, found in zip(heights, self._hashes_at(heights), strict=True):
            if found is None:
                raise self._rpc.bad_answer("getblockhash", f"it has no block {height} (yet)")
            self._check_fork(height, found)
            hashes.append(found)
        try:
            return self._decode_some(heights, hashes)
        except BadAnswer:
            for height, before, now in zip(heights, hashes, self._hashes_at(heights), strict=True):
                if now != before:  # Core tells what inputs spend for blocks of its present branch only
                    raise BranchChanged(self._rpc.shown_url, height=height) from None
            raise

    def _decode_some(self, heights: list[int], hashes: list[bytes]) -> LegBatch:
        """Ask for blocks by their hashes, and return them as one batch."""
        answers: list[Any] = self._rpc.call_each([("getblock", (found.hex(), 3)) for found in hashes])
        for height, answer in zip(heights, answers, strict=True):
            if isinstance(answer, RpcError):
                raise self._why_no_block(height, answer)
            self._check_branch(height, answer)
        url = self._rpc.shown_url
        return decode_blocks(
            answers, self.chain, self._asset, first_height=heights[0], hashes=hashes, url=url
        )

    def _why_no_block(self, height: int, error: RpcError) -> Exception:
        """Return what it means that a block, whose hash the node has just given, cannot be had."""
        if error.code in _NO_SUCH_BLOCK:
            why = f"it does not give block {height} ({brief(error.message)}); a pruned node lacks old blocks"
            return self._rpc.bad_answer("getblock", why)
        return error

    def _check_branch(self, height: int, block: Any) -> None:
        """Refuse a block that has been abandoned since its hash was asked for."""
        confirmations = block.get("confirmations") if isinstance(block, dict) else None
        if type(confirmations) is int and confirmations < 0:
            raise BranchChanged(self._rpc.shown_url, height=height)

    def _check_links(self, batch: LegBatch, before: bytes | None) -> bytes:
        """Compare every parent with the block before it; return the hash of the last block."""
        columns = zip(
            *(batch.blocks[name].to_pylist() for name in ("height", "hash", "parent_hash")), strict=True
        )
        for height, block_hash, parent in columns:
            if before is not None and parent != before:
                if self._hashes_at([height - 1, height]) != [before, block_hash]:
                    raise BranchChanged(self._rpc.shown_url, height=height)
                why = f"block {height} does not follow block {height - 1}, which the node has at that height"
                raise self._rpc.bad_answer("getblock", why)
            before = block_hash
        assert before is not None  # noqa: S101  (a batch has blocks; tells the type checker)
        return before

    def _hashes_at(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the hash at each height, None where there is no block."""
        answers = self._rpc.call_each([("getblockhash", (height,)) for height in heights])
        found: list[bytes | None] = []
        for height, answer in zip(heights, answers, strict=True):
            if isinstance(answer, RpcError):
                if answer.code not in _NO_SUCH_BLOCK:
                    raise answer
                found.append(None)
            else:
                found.append(self._read_hash(answer, "getblockhash", height))
        return found

    def _read_hash(self, answer: Any, method: str, height: int) -> bytes:
        if not isinstance(answer, str) or not _HASH.fullmatch(answer):
            raise self._rpc.bad_answer(method, f"the hash of block {height} is {brief(answer)}")
        return bytes.fromhex(answer)

    def _check_chain(self) -> None:
        """Refuse a node that does not have the block which the chain's id names, or has that of a fork."""
        height, reference = _READ[self.chain.name], self.chain.caip2.partition(":")[2]
        try:
            found = self.block_hash(height)
        except RpcError as error:
            if error.code in _NO_METHOD:
                error.args = (f"{error}: what is at this URL does not answer like a Bitcoin Core node",)
            raise
        if found is None and height:
            why = f"it has no block {height} yet, by which this chain is told from those that share its past"
            raise self._rpc.bad_answer("getblockhash", why)
        if found is None or not found.hex().startswith(reference):
            raise self._wrong_chain(found)
        forks = sorted({at for name, at in _READ.items() if at and name != self.chain.name})
        for at, block_hash in zip(forks, self._hashes_at(forks), strict=True):
            if block_hash is not None:
                self._check_fork(at, block_hash)

    def _check_fork(self, height: int, block_hash: bytes) -> None:
        """Refuse the first block of another chain that shares this one's past."""
        if height not in _READ.values():
            return
        for chain in CHAINS:
            at = _READ.get(chain.name, 0)
            shared = chain.name in _PASTS.get(self.chain.name, (self.chain.name,))
            named = chain.caip2.partition(":")[2]
            if at and at == height and not shared and block_hash.hex().startswith(named):
                raise self._wrong_chain(block_hash)

    def _wrong_chain(self, block_hash: bytes | None) -> WrongChain:
        reference = block_hash.hex()[:32] if block_hash is not None else "nothing"
        known = [chain.name for chain in CHAINS if chain.caip2 == f"bip122:{reference}"]
        shown = f"{known[0]} (bip122:{reference})" if known else f"bip122:{reference}"
        expected = f"{self.chain.name} ({self.chain.caip2})"
        return WrongChain(self._rpc.shown_url, expected=expected, found=shown)

    def _chain_info(self) -> dict[str, Any]:
        info = self._rpc.call("getblockchaininfo")
        if not isinstance(info, dict):
            raise self._rpc.bad_answer("getblockchaininfo", f"it is {brief(info)}, not an object")
        return info

    def _ask_facts(self) -> NodeFacts:
        unread = list(_UNREAD.get(self.chain.name, ()))
        info = self._chain_info()
        if info.get("pruned") is True:
            lowest = info.get("pruneheight")
            below = (
                f"blocks below {lowest}"
                if type(lowest) is int and 0 <= lowest <= _MAX_HEIGHT
                else "old blocks"
            )
            unread.append(f"{below}: the node is pruned")
        try:
            network = self._rpc.call("getnetworkinfo")
        except RpcError:  # some services in front of a node do not let it through
            network = None
        said = network.get("subversion") if isinstance(network, dict) else None
        software = "".join(c for c in said if c.isprintable())[:100] if isinstance(said, str) else ""
        return NodeFacts(self._rpc.shown_url, software, "", tuple(unread))


_PASTS = {"bitcoin-sv": ("bitcoin-sv", "bitcoin-cash")}
"""Chains whose past has the first block of a fork in it, other than their own."""
