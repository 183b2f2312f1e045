"""An Esplora server for tests, and a bitcoind with a wallet, both over the regtest node's real chain.

    with run_regtest() as node, run_esplora(node) as indexer:
        indexer.url                        # http://127.0.0.1:PORT, the REST API
        indexer.waiting.append(tx)         # a transaction of embit's that is in no block yet
        indexer.alter = lambda path, answer: answer    # lie, cut, or answer with (status, text)
        indexer.asked                      # every path that was asked for

    with run_regtest() as node, run_watching(node, [address]) as bitcoind:
        bitcoind.url                       # the node's JSON-RPC, and of a wallet that watches the addresses

Shapes are those of Esplora's HTTP API and of Bitcoin Core's RPC documentation. Addresses come from embit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from tests.nodes.core_answers import describe_script, show_transaction
from tests.nodes.kernel import Coin, KernelBlock
from tests.nodes.regtest import RegtestNode
from tests.nodes.rpc_server import LoopbackServer, RpcFault, serve_rpc, serving

PAGE = 25
MOST_WAITING = 50


def script_address(script: bytes) -> str | None:
    """Address of an output script on regtest, as embit writes it; None where it has none."""
    address = describe_script(script).get("address")
    return address if isinstance(address, str) else None


@dataclass
class Esplora:
    """A running indexer."""

    node: RegtestNode
    url: str = ""
    page: int = PAGE
    waiting: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    alter: Callable[[str, Any], Any] = lambda _, answer: answer

    def answer(self, path: str) -> Any:  # noqa: PLR0911  (one a path)
        """Return the answer to a path: something for JSON, a text, or a pair of status and text."""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        match parts:
            case ["blocks", "tip", "height"]:
                return self.node.height
            case ["block-height", height]:
                found = self.node.chain.hash_at(int(height))
                return found.hex() if found else (404, "Block not found")
            case ["address", address]:
                return self._about(address)
            case ["address", address, "txs"]:
                waiting = [self._show_waiting(tx) for tx in self._waits(address)]
                return waiting[:MOST_WAITING] + self._page(address, "")
            case ["address", address, "txs", "chain"]:
                return self._page(address, "")
            case ["address", address, "txs", "chain", last] | ["address", address, "txs", last]:
                return self._page(address, last)
            case ["tx", txid, "outspend", index]:
                return {"spent": self._is_spent(txid, int(index))}
            case ["tx", txid]:
                return self._transaction(txid)
            case ["tx", txid, "hex"]:
                return self.node.answer("getrawtransaction", [txid, 0])
        return 404, "Not found"

    def history(self, address: str) -> list[tuple[KernelBlock, int]]:
        """Return block and place of every confirmed transaction of an address, newest first."""
        found = []
        for height in range(self.node.height, -1, -1):
            block = self.node.chain.block(self.node.chain.hash_at(height) or b"")
            assert block is not None
            spent = self.node.chain.spent_coins(block) or ()
            for place in range(len(block.transactions) - 1, -1, -1):
                coins = spent[place - 1] if place and spent else ()
                scripts = [coin.script for coin in coins]
                scripts += [out.script_pubkey.data for out in block.transactions[place].vout]
                if address in map(script_address, scripts):
                    found.append((block, place))
        return found

    def show(self, block: KernelBlock, place: int) -> dict[str, Any]:
        """Return a transaction of a block as Esplora shows it."""
        spent = self.node.chain.spent_coins(block)
        coins = spent[place - 1] if place and spent else ()
        status = {
            "confirmed": True,
            "block_height": block.height,
            "block_hash": block.hash.hex(),
            "block_time": block.time,
        }
        return _shown(block.transactions[place], block.txids[place].hex(), coins, status)

    def _about(self, address: str) -> dict[str, Any]:
        counts = (len(self.history(address)), len(self._waits(address)))
        stats = [
            {
                "funded_txo_count": 0,
                "funded_txo_sum": 0,
                "spent_txo_count": 0,
                "spent_txo_sum": 0,
                "tx_count": n,
            }
            for n in counts
        ]
        return {"address": address, "chain_stats": stats[0], "mempool_stats": stats[1]}

    def _page(self, address: str, last: str) -> list[dict[str, Any]]:
        history = self.history(address)
        txids = [block.txids[place].hex() for block, place in history]
        start = txids.index(last) + 1 if last in txids else 0 if not last else len(txids)
        return [self.show(block, place) for block, place in history[start : start + self.page]]

    def _waits(self, address: str) -> list[Any]:
        return [
            tx
            for tx in self.waiting
            if address in [script_address(out.script_pubkey.data) for out in tx.vout]
        ]

    def _show_waiting(self, tx: Any) -> dict[str, Any]:
        coins = [self.node.chain.coins[inp.txid, inp.vout] for inp in tx.vin]
        return _shown(tx, tx.txid().hex(), coins, {"confirmed": False})

    def _is_spent(self, txid: str, index: int) -> bool:
        return (bytes.fromhex(txid), index) not in self.node.chain.coins

    def _transaction(self, txid: str) -> Any:
        for height in range(self.node.height + 1):
            block = self.node.chain.block(self.node.chain.hash_at(height) or b"")
            if block is not None and bytes.fromhex(txid) in block.txids:
                return self.show(block, block.txids.index(bytes.fromhex(txid)))
        return 404, "Transaction not found"


def _shown(tx: Any, txid: str, coins: Sequence[Coin], status: dict[str, Any]) -> dict[str, Any]:
    raw = tx.serialize()
    witness = sum(len(inp.witness.serialize()) for inp in tx.vin) + 2 if tx.is_segwit else 0
    paid = sum(out.value for out in tx.vout)
    return {
        "txid": txid,
        "version": tx.version,
        "locktime": tx.locktime,
        "vin": [_show_input(inp, coins[n] if coins else None) for n, inp in enumerate(tx.vin)],
        "vout": [_show_output(out.script_pubkey.data, out.value) for out in tx.vout],
        "size": len(raw),
        "weight": 4 * (len(raw) - witness) + witness,
        "fee": sum(coin.amount_sat for coin in coins) - paid if coins else 0,
        "status": status,
    }


def _show_input(inp: Any, coin: Coin | None) -> dict[str, Any]:
    witness = {"witness": [item.hex() for item in inp.witness.items]} if inp.witness.items else {}
    return {
        "txid": inp.txid.hex(),
        "vout": inp.vout,
        "prevout": _show_output(coin.script, coin.amount_sat) if coin else None,
        "scriptsig": inp.script_sig.data.hex(),
        "scriptsig_asm": "",
        **witness,
        "is_coinbase": coin is None,
        "sequence": inp.sequence,
    }


def _show_output(script: bytes, amount_sat: int) -> dict[str, Any]:
    described = describe_script(script)
    address = {"scriptpubkey_address": described["address"]} if "address" in described else {}
    return {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": described["asm"],
        "scriptpubkey_type": described["type"],
        **address,
        "value": amount_sat,
    }


@contextmanager
def run_esplora(node: RegtestNode) -> Iterator[Esplora]:
    """Serve the REST API over a node's chain for the length of a `with` block."""
    indexer = Esplora(node)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            indexer.asked.append(self.path)
            with node.chain.lock:
                found = indexer.alter(self.path, indexer.answer(self.path))
            status, body = found if isinstance(found, tuple) else (200, found)
            if not isinstance(body, bytes):
                body = body.encode() if isinstance(body, str) else orjson.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status == 200 else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            """Say nothing: tests read what they ask for."""

    with serving(LoopbackServer(0, Handler)) as server:
        indexer.url = server.url
        yield indexer


@dataclass
class Watching:
    """A bitcoind whose wallet watches some addresses."""

    node: RegtestNode
    addresses: Sequence[str]
    url: str = ""
    undo: bool = True  # tells what inputs spend (getrawtransaction 2), as version 24 and later do
    alter: Callable[[str, Any], Any] = lambda _, answer: answer

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """Return what the node or its wallet answers a call with; raises RpcFault."""
        if method == "getaddressinfo":
            found: Any = self._about(str(params[0]))
        elif method == "listtransactions":
            found = self._list(int(params[1]), int(params[2]))
        elif method == "getrawtransaction" and not self.undo:
            found = self.node.answer(method, [params[0], min(int(params[1]), 1), *params[2:]])
        else:
            found = self.node.answer(method, params)
        return self.alter(method, found)

    def _about(self, address: str) -> dict[str, Any]:
        for block, place in Esplora(self.node).history(address)[-1:]:
            for out in block.transactions[place].vout:
                if script_address(out.script_pubkey.data) == address:
                    script = out.script_pubkey.data.hex()
                    watched = address in self.addresses
                    return {
                        "address": address,
                        "scriptPubKey": script,
                        "ismine": watched,
                        "iswatchonly": False,
                        "solvable": False,
                    }
        raise RpcFault(-5, "Invalid or unsupported Segwit (Bech32) or Base58 encoding.")

    def _list(self, count: int, skip: int) -> list[dict[str, Any]]:
        """Entries of the wallet, oldest first within the newest `count` after `skip`."""
        entries: list[dict[str, Any]] = []
        for height in range(self.node.height + 1):
            block = self.node.chain.block(self.node.chain.hash_at(height) or b"")
            assert block is not None
            spent = self.node.chain.spent_coins(block) or ()
            for place, tx in enumerate(block.transactions):
                coins = spent[place - 1] if place and spent else ()
                owns = any(script_address(coin.script) in self.addresses for coin in coins)
                for n, out in enumerate(tx.vout):
                    address = script_address(out.script_pubkey.data)
                    named = {"address": address} if address else {}
                    about = named | {
                        "vout": n,
                        "confirmations": self.node.height - height + 1,
                        "blockhash": block.hash.hex(),
                        "blockheight": height,
                        "blockindex": place,
                        "blocktime": block.time,
                        "txid": block.txids[place].hex(),
                        "time": block.time,
                    }
                    if owns:
                        entries.append({"category": "send", "amount": -out.value / 1e8} | about)
                    if address in self.addresses:
                        entries.append({"category": "receive", "amount": out.value / 1e8} | about)
        newest = entries[: len(entries) - skip] if skip else entries
        return newest[-count:]


@contextmanager
def run_watching(
    node: RegtestNode, addresses: Sequence[str], *, user: str | None = None
) -> Iterator[Watching]:
    """Serve a node's JSON-RPC with a wallet for the length of a `with` block."""
    wallet = Watching(node, addresses)
    with serve_rpc(wallet.answer, user=user) as url:
        wallet.url = url
        yield wallet


__all__ = ["Esplora", "Watching", "run_esplora", "run_watching", "script_address", "show_transaction"]
