"""A TRON node through its Ethereum JSON-RPC: the token events of TRC-20 contracts, and nothing else.

What java-tron puts into this interface was read in its source. A transaction's `value` is the amount of
whatever its contract type moves: TRX of a payment, units of a TRC-10 token, votes, frozen TRX, the fee of a
witness; and every one has type 0x0, so a payment in TRX cannot be told from the others. `gasUsed` is energy,
most of which is paid with staked TRX, and bandwidth is not told: fees cannot be known either. So no TRX is
recorded. Logs are exact: receipts of whole blocks are read, because `eth_getLogs` answers from an index that
is empty for blocks from before it was switched on.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from chains.deep_json import decode_json
from chains.encoding import encode_base58check
from chains.errors import InputError, WrongChain
from chains.evm.blocks import BlockHead, read_head
from chains.evm.events import LogPlaces, Questions, add_logs
from chains.evm.hex import Misread, OtherBranch, as_hash, as_list, as_record, read_hash, read_quantity
from chains.evm.legs import LegColumns
from chains.evm.read import (
    BLOCK,
    RECEIPTS,
    ask_blocks,
    ask_receipts,
    checked_head,
    find_receipts,
    newest_blocks,
    older_block,
    read_header,
    reading,
)
from chains.evm.state import TokenNames, ask_owner
from chains.evm.tokens import find_profiles
from chains.forms import TRON_VERSION
from chains.held import HeldOpen
from chains.ledger import Kind, LegBatch
from chains.nodes import Head, NodeFacts
from chains.registry import Chain
from chains.rpc import RpcClient, RpcLimits

_LARGEST_BATCH = 100
_UNREAD = ("TRX payments", "TRX moved by contracts", "TRX fees", "rewards and staking", "TRC-10 tokens")


class TronNode(HeldOpen):
    """A TRON node with its Ethereum JSON-RPC on (`/jsonrpc`), held open; a `chains.nodes.BlockSource`.

    `listed` names contracts of tokens to take as listed, `profiles` event profiles by contract. Final is
    what the node calls `finalized`; where it does not know that tag, nothing is known to be final. Raises
    WrongChain for another chain's node.
    """

    def __init__(
        self,
        url: str,
        chain: Chain,
        *,
        limits: RpcLimits | None = None,
        listed: Collection[str] = (),
        profiles: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if chain.family != "tron":
            raise InputError(f"{chain.name} is not TRON: a TRON node cannot serve it")
        asked = limits or RpcLimits()
        asked = replace(asked, batch_size=min(asked.batch_size, _LARGEST_BATCH))
        self.chain = chain
        self._profiles = find_profiles(chain, profiles)
        self._client = RpcClient(url, limits=asked, decode=decode_json)
        self._names = TokenNames(self._client, chain, listed)
        try:
            self.facts = self._open()
        except BaseException:
            self._client.close()
            raise

    def head(self) -> Head:
        """Return the newest block and the newest final one."""
        return newest_blocks(self._client, final_depth=None)

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the block at a height; None above the head."""
        head = read_header(self._client, hex(height))
        return None if head is None else head.hash

    def read_blocks(self, first: int, last: int) -> LegBatch:
        """Return all blocks from `first` to `last`, both included, as one batch in order."""
        client = self._client
        blocks = ask_blocks(client, first, last, full=False)
        heads = [read_head(block) for block in blocks]
        asked = [block if head.height else {} for block, head in zip(blocks, heads, strict=True)]
        receipts = ask_receipts(client, asked, heads, self._receipts_by)
        columns = LegColumns("", token=trc20, account=tron_account)
        questions = Questions(partial(ask_owner, client), lambda _account, _height: None)
        for block, head, found in zip(asked, heads, receipts, strict=True):
            with reading(client, head.height, head, f"{BLOCK} and {RECEIPTS}"):
                check_hash(head)
                columns.open_block(head.height, head.hash, head.parent, head.seconds)
                if block:
                    decode_receipts(block, found, columns, profiles=self._profiles, questions=questions)
        return columns.finish(self._names.find(columns.references))

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        self._client.close()

    def _open(self) -> NodeFacts:
        from chains.evm.abi import ask_chain

        number, software = ask_chain(self._client)
        if f"tron:{number}" != self.chain.caip2:
            raise WrongChain(self._client.shown_url, expected=self.chain.caip2, found=f"tron:{number}")
        newest = checked_head(self._client, self._client.call(BLOCK, "latest", False), "latest")
        tried = older_block(newest)
        self._receipts_by = find_receipts(self._client, tried)
        return NodeFacts(self._client.shown_url, software, "none", _UNREAD, (Kind.TOKEN,))


def check_hash(head: BlockHead) -> None:
    """Hold a block's height against the first 8 bytes of its hash, which carry it; raises `Misread`."""
    if int.from_bytes(head.hash[:8], "big") != head.height:
        raise Misread("hash", f"0x{head.hash.hex()}", f"one that begins with the height {head.height}")


def decode_receipts(
    block: Mapping[str, Any],
    receipts: list[Any],
    columns: LegColumns,
    *,
    profiles: Mapping[str, str],
    questions: Questions,
) -> None:
    """Add the token events of a block's receipts to `columns`, whose block is open.

    A log's index is its place among all of the block: java-tron has counted it in either way. Raises
    `Misread` and `OtherBranch`.
    """
    head = read_head(block)
    transactions = as_list(block.get("transactions"), "transactions")
    if len(receipts) != len(transactions):
        raise Misread("receipts", f"of {len(receipts)} transactions", f"of all {len(transactions)}")
    index = 0
    for position, (text, entry) in enumerate(zip(transactions, receipts, strict=True)):
        try:
            txid, receipt = as_hash(text, "hash"), as_record(entry, "receipt")
            if read_hash(receipt, "transactionHash") != txid:
                raise Misread("receipt.transactionHash", receipt["transactionHash"], f"0x{txid.hex()}")
            if read_hash(receipt, "blockHash") != head.hash:
                raise OtherBranch(head.height)
            for key, wanted in (("blockNumber", head.height), ("transactionIndex", position)):
                if read_quantity(receipt, key) != wanted:
                    raise Misread(f"receipt.{key}", receipt[key], hex(wanted))
            columns.open_transaction(position, txid)
            logs = as_list(receipt.get("logs"), "receipt.logs")
            places = LogPlaces(head.height, block["hash"], text, index, by_transaction=True)
            index = add_logs(columns, logs, places, profiles, questions)
        except Misread as error:
            raise error.inside(f"transaction {position}") from None


@lru_cache(maxsize=1 << 17)
def tron_account(address: str) -> str:
    """Return the Base58Check form of an address that stands as 0x and 40 hexadecimal digits."""
    return encode_base58check(TRON_VERSION + bytes.fromhex(address[2:]))


def trc20(contract: str) -> str:
    """Return the reference of a TRC-20 contract, given in hexadecimal."""
    return f"trc20:{tron_account(contract)}"
