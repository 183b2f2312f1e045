"""What an Esplora server and a bitcoind's wallet tell of the transactions of one address.

Answers are taken apart here and checked one by one; nothing of another type, size or range passes. Only
transactions in blocks are told. Sources: the Esplora HTTP API; the RPC documentation of Bitcoin Core for
getaddressinfo, listtransactions and getrawtransaction.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from chains.deep_json import decode_exact
from chains.errors import BadAnswer, NodeError, RpcError
from chains.rest import RestClient, brief
from chains.rpc import RpcClient, RpcLimits
from chains.web import HttpClient

PAGE = 25
"""Transactions that Esplora gives at once."""

WALLET_PAGE = 1000
MOST_ENTRIES = 1_000_000

_SATOSHI = 100_000_000
_MOST_SAT = 2**63 - 1
_MOST_HEIGHT = _MOST_INDEX = 2**31 - 1
_LAST_TIME = 7_258_118_400  # the year 2200
_HASH = re.compile("[0-9a-f]{64}")
_HEX = re.compile("(?:[0-9a-f]{2})*")
_NO_WALLET = frozenset({-32601, -18, -19})  # no such method; no wallet of that name; several to choose from
_AT_ONCE = 200


@dataclass(frozen=True)
class Spent:
    """An input. A coinbase's spends nothing: its script is empty and its value 0."""

    txid: str
    index: int
    sequence: int
    unlock: bytes
    script: bytes  # of the output that is spent
    value_sat: int


@dataclass(frozen=True)
class Told:
    """A transaction in a block, as an indexer tells it."""

    txid: str
    version: int
    locktime: int
    height: int
    position: int | None
    block_hash: str
    time: datetime
    coinbase: bool
    inputs: tuple[Spent, ...]
    outputs: tuple[tuple[int, bytes], ...]  # satoshi and script


class Link:
    """A connection to one indexer, held open, and what is to be known of the reading under way."""

    unread: tuple[str, ...] = ()

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.failure: Exception | None = None
        self.first = 0  # height from which on transactions are wanted
        self.cut = False  # there were more than wanted: the newest are in
        self.waiting = 0  # transactions that are in no block yet
        self.doubt = ""  # why the history may not be complete
        self.height = 0

    def bad(self, method: str, why: str) -> BadAnswer:
        """Return the error of an answer that cannot be right."""
        return self.client.bad_answer(method, why)

    def first_hash(self) -> str:
        """Return the hash of block 0."""
        raise NotImplementedError

    def tip(self) -> int:
        """Return the height of the newest block."""
        raise NotImplementedError

    def read(self, address: str, limit: int) -> list[Told]:
        """Return the transactions of an address from `first` on.

        Where there are more than `limit`, the newest: the height of the oldest may not be whole then.
        """
        raise NotImplementedError

    def whole(self, value: Any, what: str, *, low: int = 0, high: int = _MOST_HEIGHT) -> int:
        """Return a whole number of an answer; raises BadAnswer."""
        if type(value) is not int or not low <= value <= high:
            raise self.bad(what, f"{brief(value)} where a number from {low} to {high} belongs")
        return value

    def hash(self, value: Any, what: str) -> str:
        """Return a hash of an answer, as displayed; raises BadAnswer."""
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise self.bad(what, f"{brief(value)} where a hash belongs")
        return value

    def script(self, value: Any, what: str) -> bytes:
        """Return a script of an answer; raises BadAnswer."""
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise self.bad(what, f"{brief(value)} where a script belongs")
        return bytes.fromhex(value)

    def record(self, value: Any, what: str) -> dict[str, Any]:
        """Return an object of an answer; raises BadAnswer."""
        if not isinstance(value, dict):
            raise self.bad(what, f"{brief(value)} where an object belongs")
        return value

    def records(self, value: Any, what: str) -> list[dict[str, Any]]:
        """Return a list of objects of an answer; raises BadAnswer."""
        if not isinstance(value, list):
            raise self.bad(what, f"{brief(value)} where a list belongs")
        return [self.record(one, what) for one in value]

    def moment(self, value: Any, what: str) -> datetime:
        """Return a time of an answer as aware UTC, as bitcoinlib has it; raises BadAnswer."""
        return datetime.fromtimestamp(self.whole(value, what, high=_LAST_TIME), UTC)


class EsploraLink(Link):
    """The REST API of Esplora, which mempool.space and others speak too."""

    def __init__(self, url: str, limits: RpcLimits | None) -> None:
        self.rest = RestClient(url, limits=limits)
        super().__init__(self.rest)

    def first_hash(self) -> str:
        """Return the hash of block 0."""
        return self.hash(self.rest.get("/block-height/0", plain=True), "/block-height/0")

    def tip(self) -> int:
        """Return the height of the newest block."""
        self.height = self.whole(self.rest.get("/blocks/tip/height"), "/blocks/tip/height")
        return self.height

    def read(self, address: str, limit: int) -> list[Told]:
        """Read pages of confirmed transactions, newest first, down to the height that is known already.

        The indexer's own count tells whether it gave all: a page that comes back empty too early (its place
        was lost in a reorganisation, or it has a limit of its own) is not the end of a history.
        """
        place = f"/address/{quote(address, safe='')}"
        about = self.record(self.rest.get(place), place)
        stated, self.waiting = (
            self.whole(self.record(about.get(part), place).get("tx_count"), place)
            for part in ("chain_stats", "mempool_stats")
        )
        told: dict[str, Told] = {}
        after = ""
        while not self.cut:
            page = [
                self._told(one) for one in self.records(self.rest.get(f"{place}/txs/chain{after}"), place)
            ]
            if any(one.txid in told for one in page):
                raise self.bad(place, "a page holds transactions of an earlier one")
            told |= {one.txid: one for one in page}
            if not page and len(told) < stated:
                self.doubt = f"the indexer counts {stated:,} transactions and gave {len(told):,}"
            if not page or page[-1].height < self.first or (len(page) < PAGE and len(told) >= stated):
                break
            after = f"/{page[-1].txid}"
            self.cut = len(told) > limit
        return [one for one in told.values() if one.height >= self.first]

    def _told(self, told: dict[str, Any]) -> Told:
        txid = self.hash(told.get("txid"), "txs")
        what = f"transaction {txid}"
        status = self.record(told.get("status"), what)
        inputs = self.records(told.get("vin"), what)
        coinbase = len(inputs) == 1 and inputs[0].get("is_coinbase") is True
        if status.get("confirmed") is not True:
            raise self.bad(what, "it stands among those in blocks and is in none")
        return Told(
            txid=txid,
            version=self.whole(told.get("version"), what, low=-(2**31), high=2**32 - 1),
            locktime=self.whole(told.get("locktime"), what, high=2**32 - 1),
            height=self.whole(status.get("block_height"), what),
            position=0 if coinbase else None,
            block_hash=self.hash(status.get("block_hash"), what),
            time=self.moment(status.get("block_time"), what),
            coinbase=coinbase,
            inputs=tuple(self._spent(one, what, coinbase=coinbase) for one in inputs),
            outputs=tuple(
                (
                    self.whole(out.get("value"), what, high=_MOST_SAT),
                    self.script(out.get("scriptpubkey"), what),
                )
                for out in self.records(told.get("vout"), what)
            ),
        )

    def _spent(self, told: dict[str, Any], what: str, *, coinbase: bool) -> Spent:
        before = {} if coinbase else self.record(told.get("prevout"), what)
        return Spent(
            txid=self.hash(told.get("txid"), what),
            index=self.whole(told.get("vout"), what, high=2**32 - 1 if coinbase else _MOST_INDEX),
            sequence=self.whole(told.get("sequence"), what, high=2**32 - 1),
            unlock=self.script(told.get("scriptsig"), what),
            script=b"" if coinbase else self.script(before.get("scriptpubkey"), what),
            value_sat=0 if coinbase else self.whole(before.get("value"), what, high=_MOST_SAT),
        )


class BitcoindLink(Link):
    """A bitcoind with a wallet that watches the address; no other way of its RPC lists an address's past."""

    unread = ("what the wallet did not look for when the address was imported (rescan from the first block)",)

    def __init__(self, url: str, limits: RpcLimits | None) -> None:
        self.rpc = RpcClient(url, limits=limits, decode=_decode_exactly)
        super().__init__(self.rpc)
        self._earlier: dict[str, dict[str, Any]] = {}

    def first_hash(self) -> str:
        """Return the hash of block 0."""
        return self.hash(self.rpc.call("getblockhash", 0), "getblockhash")

    def tip(self) -> int:
        """Return the height of the newest block; a node that is far behind is refused."""
        info = self.record(self.rpc.call("getblockchaininfo"), "getblockchaininfo")
        self.height = self.whole(info.get("blocks"), "getblockchaininfo")
        if info.get("initialblockdownload") is True:
            why = "it is still reading the chain from its peers: wait until it has caught up"
            raise self.bad("getblockchaininfo", why)
        return self.height

    def read(self, address: str, limit: int) -> list[Told]:
        """Read the wallet's transactions, newest first, and keep those that touch the address.

        A wallet lists what it spends under the address that is paid, so those that spend from the address
        are found only by looking at what each of the wallet's transactions spends.
        """
        script = self._watched_script(address)
        wanted: dict[str, dict[str, Any]] = {}
        for entry in self._entries():
            txid = self.hash(entry.get("txid"), "listtransactions")
            deep = self.whole(entry.get("confirmations"), "listtransactions", low=-_MOST_HEIGHT)
            if deep > 0 and self.whole(entry.get("blockheight"), "listtransactions") >= self.first:
                wanted[txid] = entry
            # Of those that wait it is told who is paid; conflicts (below 0) never came to be.
            self.waiting += deep == 0 and entry.get("address") == address
        told = [
            one
            for one in self._read_each(wanted)
            if any(spent.script == script for spent in one.inputs)
            or any(pays == script for _, pays in one.outputs)
        ]
        told.sort(key=lambda one: (-one.height, one.txid))
        self.cut = len(told) > limit
        return told[: limit + 1]

    def _watched_script(self, address: str) -> bytes:
        try:
            info = self.record(self.rpc.call("getaddressinfo", address), "getaddressinfo")
        except RpcError as error:
            if error.code not in _NO_WALLET:
                raise
            raise self._unwatched(address, "it has no wallet open") from error
        if not (info.get("ismine") is True or info.get("iswatchonly") is True):
            raise self._unwatched(address, "its wallet does not watch this address")
        return self.script(info.get("scriptPubKey"), "getaddressinfo")

    def _unwatched(self, address: str, why: str) -> NodeError:
        return NodeError(
            f"the node {self.client.shown_url} cannot tell the history of {address}: {why}. A bitcoind finds "
            "an address's transactions only in a wallet that watches it (importdescriptors with timestamp 0; "
            "then give the URL as …/wallet/NAME), or read the address from an Esplora server"
        )

    def _entries(self) -> list[dict[str, Any]]:
        """All entries of the wallet, page by page."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self.records(
                self.rpc.call("listtransactions", "*", WALLET_PAGE, len(entries), True), "listtransactions"
            )
            if not page:
                return entries
            entries += page
            if len(entries) > MOST_ENTRIES:
                why = (
                    f"its wallet has more than {MOST_ENTRIES:,} entries: watch the address in one of its own"
                )
                raise self.bad("listtransactions", why)

    def _read_each(self, wanted: dict[str, dict[str, Any]]) -> Iterator[Told]:
        txids = sorted(wanted)
        for start in range(0, len(txids), _AT_ONCE):
            some = txids[start : start + _AT_ONCE]
            blocks = [self.hash(wanted[txid].get("blockhash"), f"transaction {txid}") for txid in some]
            calls = [
                ("getrawtransaction", (txid, 2, block)) for txid, block in zip(some, blocks, strict=True)
            ]
            for txid, told in zip(some, self.rpc.call_many(calls), strict=True):
                yield self._told(self.record(told, f"transaction {txid}"), txid, wanted[txid])

    def _told(self, told: dict[str, Any], txid: str, entry: dict[str, Any]) -> Told:
        what = f"transaction {txid}"
        inputs = self.records(told.get("vin"), what)
        coinbase = len(inputs) == 1 and "coinbase" in inputs[0]
        return Told(
            txid=self.hash(told.get("txid"), what),
            version=self.whole(told.get("version"), what, low=-(2**31), high=2**32 - 1),
            locktime=self.whole(told.get("locktime"), what, high=2**32 - 1),
            height=self.whole(entry.get("blockheight"), what),
            position=self.whole(entry.get("blockindex"), what, high=_MOST_INDEX),
            block_hash=self.hash(entry.get("blockhash"), what),
            time=self.moment(told.get("blocktime"), what),
            coinbase=coinbase,
            inputs=tuple(self._spent(one, what, coinbase=coinbase) for one in inputs),
            outputs=tuple(self._output(out, what) for out in self.records(told.get("vout"), what)),
        )

    def _spent(self, told: dict[str, Any], what: str, *, coinbase: bool) -> Spent:
        sequence = self.whole(told.get("sequence"), what, high=2**32 - 1)
        if coinbase:
            script = self.script(told.get("coinbase"), what)
            return Spent("0" * 64, 2**32 - 1, sequence, script, b"", 0)
        txid = self.hash(told.get("txid"), what)
        index = self.whole(told.get("vout"), what, high=_MOST_INDEX)
        if told.get("prevout") is None:  # nodes before version 24 do not tell what is spent
            value_sat, script = self._earlier_output(txid, index)
        else:
            value_sat, script = self._output(self.record(told["prevout"], what), what)
        unlock = self.script(self.record(told.get("scriptSig"), what).get("hex"), what)
        return Spent(txid, index, sequence, unlock, script, value_sat)

    def _output(self, told: dict[str, Any], what: str) -> tuple[int, bytes]:
        value: Any = told.get("value")
        if type(value) not in (int, Decimal) or not abs(Decimal(value)) < _MOST_SAT:
            raise self.bad(what, f"{brief(str(value))} where an amount belongs")
        sat = Decimal(value) * _SATOSHI
        if sat != sat.to_integral_value() or not 0 <= sat <= _MOST_SAT:
            raise self.bad(what, f"{brief(str(value))} where an amount belongs")
        return int(sat), self.script(self.record(told.get("scriptPubKey"), what).get("hex"), what)

    def _earlier_output(self, txid: str, index: int) -> tuple[int, bytes]:
        if txid not in self._earlier:
            if len(self._earlier) > WALLET_PAGE:
                self._earlier.clear()
            self._earlier[txid] = self.record(self.rpc.call("getrawtransaction", txid, 1), txid)
        outputs = self.records(self._earlier[txid].get("vout"), txid)
        if index >= len(outputs) or self.whole(outputs[index].get("n"), txid) != index:
            raise self.bad(f"transaction {txid}", f"it has no output {index}, which another one spends")
        return self._output(outputs[index], txid)


def _decode_exactly(data: bytes) -> Any:
    """JSON with amounts as decimals: a double does not hold every number of satoshi."""
    return decode_exact(data, parse_float=Decimal)
