"""The history of one address of an EVM chain from an API as Etherscan's, which Blockscout has too.

Three lists make it up: an account's transactions (native value and fees), calls inside transactions, and
token transfers. They come page by page from the lowest block on. The keys are those of the ledger where the
API gives their parts; where it does not, a transfer gets a negative part made from what it says, the same
whoever of its parties is asked about.
Sources: Etherscan's API documentation (module account), Blockscout's (RPC API, ETH RPC API).
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from chains.assets import asset_reference, evm_coin, find_asset, listed_assets, token_reference
from chains.errors import BadAnswer, InputError, NodeError, WrongChain
from chains.evm.history import LARGEST, check_chain, read_heights
from chains.evm.lists import (
    MOST_HEIGHT,
    Row,
    account,
    block_hash,
    passing,
    read_list,
    seconds,
    transaction_hash,
    whole,
)
from chains.evm.tokens import NOBODY
from chains.held import HeldOpen
from chains.history import Findings, FoundLeg, FoundReject, FoundTransfer, History
from chains.ledger import Asset, Kind, Side
from chains.registry import Chain
from chains.rest import RestClient, brief
from chains.rpc import RpcClient, RpcLimits

UNREAD = (
    "block rewards and withdrawals of stakers",
    "who received a fee, and what of it was paid for data (blobs, another layer)",
    "token moves without a Transfer (Tether's issues, wrapped coins' deposits)",
    "calls that a failed call around them took back",
)
"""What the three lists cannot tell."""

_MOVES_NOTHING = frozenset({"delegatecall", "staticcall", "callcode"})
_CALLS = frozenset({"call", "create", "create2", "suicide", "selfdestruct"})


class _Move(NamedTuple):
    """What a row moves."""

    kind: Kind
    part: int
    position: int | None
    payer: str | None
    payee: str | None
    amount: int
    asset: Asset


class EvmIndexer(HeldOpen):
    """An API as Etherscan's that is held open and asked for histories of addresses.

    `node_url` names a node of the same chain: it tells what is final, and that the API is of this chain.
    Without one Blockscout's own JSON-RPC is asked, or the URL says the chain (`chainid=1`). Raises InputError
    where nothing tells which chain the API serves, WrongChain, and what `chains/rpc.py` raises.
    """

    layout = "pull:etherscan"

    def __init__(
        self,
        url: str,
        chain: Chain,
        *,
        key: str | None = None,
        node_url: str | None = None,
        confirmations: int | None = None,
        listed: Collection[str] = (),
        limits: RpcLimits | None = None,
    ) -> None:
        if chain.family != "evm" or chain.simulated:
            raise InputError(f"an API as Etherscan's has EVM chains; {chain.name} is none")
        self.chain, self._confirmations = chain, confirmations
        self._native = evm_coin(chain)
        known = {asset.reference for asset in listed_assets(chain)}
        self._listed = known | {_listed_reference(text, chain) for text in listed}
        self._api = RestClient(url, key=key, limits=limits)
        self._node: RpcClient | None = None
        try:
            self._node = self._find_node(url, node_url, limits)
        except BaseException:
            self.close()
            raise

    @property
    def shown_url(self) -> str:
        """Where it is, without its key."""
        return self._api.shown_url

    def read_history(self, address: str, *, first: int, most: int) -> History:
        """Return the history of an address from block `first` on.

        Where a list has more than about `most` rows it is cut before the block that was not read to its end,
        and the next reading goes on there. Raises BadAnswer, RpcError, and what `chains/rpc.py` raises.
        """
        final = self._final()
        lists = [
            read_list(self._api, action, address, first=first, most=most)
            for action in ("txlist", "txlistinternal", "tokentx")
        ]
        last = min([final, *(one.reached for one in lists)])
        doubt = next((one.doubt for one in lists if one.doubt), "")
        found = Findings(assets={self._native.reference: self._native})
        blocks: dict[int, str] = {}
        failed: set[str] = set()
        for row in (row for one in lists for row in one.rows if row.height <= last):
            if row.action == "txlist":
                self._add_transaction(found, row, address, failed)
            elif row.action == "tokentx":
                self._add_token(found, row, address)
            else:
                self._add_call(found, row, address, failed)
                continue
            if blocks.setdefault(row.height, block_hash(self._api, row)) != block_hash(self._api, row):
                raise self._bad(row, f"block {row.height} has two hashes")
        self._compare_block(blocks)
        later = {transaction_hash(self._api, row) for one in lists for row in one.rows if row.height > final}
        note = f"it has more than {most:,} rows: the same command goes on after block {last:,}"
        return History(
            found.batch(),
            first,
            first - 1 if doubt else last,
            cut=last < final,
            pending=len(later),
            unread=UNREAD,
            note=doubt or (note if last < final else ""),
        )

    def close(self) -> None:
        """Let go of the connections; closing twice is harmless."""
        self._api.close()
        if self._node is not None:
            self._node.close()

    def _find_node(self, url: str, node_url: str | None, limits: RpcLimits | None) -> RpcClient | None:
        """Return whom to ask for the chain's id and height besides the lists; None for the API itself."""
        if node_url is not None:
            return self._checked(RpcClient(node_url, limits=limits))
        number = self.chain.caip2.partition(":")[2]
        said = parse_qs(urlsplit(url).query)
        stated = next((said[name][-1] for name in ("chainid", "chain_id") if name in said), None)
        if stated is not None:
            if stated != number:
                raise WrongChain(self.shown_url, expected=self.chain.name, found=f"chain {stated[:20]}")
            return None
        own = url.partition("?")[0].rstrip("/") + "/eth-rpc"
        try:
            return self._checked(RpcClient(own, limits=limits))
        except WrongChain:
            raise
        except NodeError as error:
            raise InputError(
                f"{self.shown_url} does not say which chain it serves, and addresses are the same on all of "
                "them: write chainid=… into its URL where it takes that, or name a node with --rpc"
            ) from error

    def _checked(self, node: RpcClient) -> RpcClient:
        try:
            check_chain(node, self.chain)
        except BaseException:
            node.close()
            raise
        return node

    def _final(self) -> int:
        if self._node is not None:
            return read_heights(self._node, self._confirmations)[1]
        answer = self._api.get(query={"module": "proxy", "action": "eth_blockNumber"}, verdict=passing)
        text = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(text, str) or not re.fullmatch("0x[0-9a-fA-F]{1,12}", text):
            raise self._api.bad_answer("eth_blockNumber", f"{brief(text)} is no height")
        return int(text, 16) - (self._confirmations or 65) + 1

    def _add_transaction(self, found: Findings, row: Row, address: str, failed: set[str]) -> None:
        api = self._api
        payer = account(api, row, "from")
        payee = account(api, row, "to", lacking=True) or account(api, row, "contractAddress", lacking=True)
        self._check_party(row, address, payer, payee)
        if row.fields.get("isError") not in ("0", "1"):
            raise self._bad(row, f"isError is {brief(row.fields.get('isError'))}")
        fails = row.fields["isError"] == "1" or row.fields.get("txreceipt_status") == "0"
        if fails:
            failed.add(transaction_hash(api, row))
        position = whole(api, row, "transactionIndex", high=MOST_HEIGHT)
        value = whole(api, row, "value")
        fee = whole(api, row, "gasUsed") * whole(api, row, "gasPrice", lacking=True)
        if value and not fails:
            moved = _Move(Kind.NATIVE, 0, position, payer, payee, value, self._native)
            self._add(found, row, moved)
        if fee:
            self._add(found, row, _Move(Kind.FEE, 0, position, payer, None, fee, self._native))

    def _add_call(self, found: Findings, row: Row, address: str, failed: set[str]) -> None:
        api = self._api
        kind, how = (str(row.fields.get(name) or "").lower() for name in ("type", "callType"))
        value = whole(api, row, "value")
        undone = row.fields.get("isError") != "0" or transaction_hash(api, row) in failed
        # Blockscout lists a creation's outermost call too, which is the transaction itself.
        outermost = row.fields.get("index") == "0"
        if not value or undone or outermost or {kind, how} & _MOVES_NOTHING:
            return
        if kind not in _CALLS:
            raise self._bad(row, f"{brief(row.fields.get('type'))} is no kind of call")
        payer = account(api, row, "from")
        payee = account(api, row, "to", lacking=True) or account(api, row, "contractAddress")
        self._check_party(row, address, payer, payee)
        place = row.fields.get("traceId", row.fields.get("index", ""))
        part = made_part(transaction_hash(api, row), kind, place, payer, payee, value, row.occurrence)
        self._add(found, row, _Move(Kind.INTERNAL, part, None, payer, payee, value, self._native))

    def _add_token(self, found: Findings, row: Row, address: str) -> None:
        api, fields = self._api, row.fields
        if "value" not in fields or fields.get("tokenID") not in (None, ""):
            return  # an NFT
        contract = account(api, row, "contractAddress")
        parties = [account(api, row, name) for name in ("from", "to")]
        self._check_party(row, address, *parties)
        payer, payee = (None if party == NOBODY else party for party in parties)
        value = whole(api, row, "value")
        symbol, decimals = fields.get("tokenSymbol"), fields.get("tokenDecimal")
        counts = isinstance(decimals, str) and re.fullmatch("[0-9]{1,3}", decimals)
        reference = token_reference(self.chain, contract)
        asset = found.assets.get(reference) or find_asset(
            self.chain,
            reference,
            symbol=symbol if isinstance(symbol, str) else None,
            decimals=int(str(decimals)) if counts else None,
            listed=reference in self._listed,
        )
        if fields.get("logIndex") in (None, ""):
            part = made_part(transaction_hash(api, row), contract, payer, payee, value, row.occurrence)
        else:
            part = whole(api, row, "logIndex", high=MOST_HEIGHT)
        position = whole(api, row, "transactionIndex", high=MOST_HEIGHT)
        self._add(found, row, _Move(Kind.TOKEN, part, position, payer, payee, value, asset))

    def _add(self, found: Findings, row: Row, moved: _Move) -> None:
        digest = bytes.fromhex(transaction_hash(self._api, row)[2:])
        if moved.amount > LARGEST:
            detail = f"{moved.kind.value} {moved.amount} of {moved.asset.reference} has more than 38 digits"
            found.rejects.append(FoundReject(row.height, digest, "too_large", detail))
            return
        found.assets[moved.asset.reference] = moved.asset
        named = moved.kind is not Kind.INTERNAL  # the list of calls does not name their blocks
        sides = ((Side.PAYER, moved.payer), (Side.PAYEE, moved.payee))
        time = datetime.fromtimestamp(seconds(self._api, row), UTC).replace(tzinfo=None)
        found.transfers.append(
            FoundTransfer(
                height=row.height,
                position=moved.position,
                kind=moved.kind,
                part=moved.part,
                time=time,
                hash=digest,
                asset=moved.asset.reference,
                block_hash=bytes.fromhex(block_hash(self._api, row)[2:]) if named else None,
                legs=tuple(FoundLeg(side, 0, party, moved.amount) for side, party in sides if party),
            )
        )

    def _check_party(self, row: Row, address: str, *parties: str) -> None:
        if address not in parties:
            raise self._bad(row, f"transaction {transaction_hash(self._api, row)} is of other accounts")

    def _bad(self, row: Row, why: str) -> BadAnswer:
        return self._api.bad_answer(row.action, why)

    def _compare_block(self, blocks: Mapping[int, str]) -> None:
        """Ask the node for the newest block that the lists name: another hash is of another chain."""
        if self._node is None or not blocks:
            return
        height = max(blocks)
        block: Any = self._node.call("eth_getBlockByNumber", hex(height), False)
        if not isinstance(block, dict) or block.get("hash") != blocks[height]:
            raise WrongChain(
                self.shown_url,
                expected=self.chain.name,
                found=f"a chain with another block {height} than {self._node.shown_url} has",
            )


def made_part(*words: object) -> int:
    """Return a negative part for a transfer whose place the API does not tell, made from what it says.

    It is the same for both parties and in every run, and never that of a transfer whose place is known.
    """
    digest = sha256("|".join(map(str, words)).encode()).digest()
    return -1 - (int.from_bytes(digest[:4], "big") >> 1)


def _listed_reference(text: str, chain: Chain) -> str:
    reference = asset_reference(text.strip(), chain)
    if reference is None:
        raise InputError(f"{text[:80]!r} is no token of {chain.name}: give its contract")
    return reference
