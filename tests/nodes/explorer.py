"""An API as Etherscan's or Blockscout's for tests, over a running anvil node.

    with run_anvil() as node, run_explorer(node, style="blockscout") as explorer:
        explorer.url                       # http://127.0.0.1:PORT/api
        explorer.alter = lambda query, answer: answer    # lie, limit, or answer with (status, text)
        explorer.asked                     # every query that was asked, as dictionaries

It answers module=account with txlist, txlistinternal and tokentx; proxy/eth_blockNumber; and, in
Blockscout's style, JSON-RPC at /api/eth-rpc. Lists are made from the node's blocks, receipts and
`trace_block`. Field names and forms are those of the services' documentation.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from tests.nodes.anvil import Anvil, NodeCallError
from tests.nodes.rpc_server import LoopbackServer, serving

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
WINDOW = 10_000
Row = dict[str, Any]


@dataclass
class Explorer:
    """A running API."""

    node: Anvil
    style: str  # etherscan or blockscout
    url: str = ""
    cap: int = 1_000  # rows of a page, whatever is asked for
    window: int = WINDOW
    asked: list[dict[str, str]] = field(default_factory=list)
    alter: Callable[[Mapping[str, str], Any], Any] = lambda _, answer: answer
    lists: dict[str, list[Row]] = field(default_factory=dict)
    views: dict[tuple[str, str], str] = field(default_factory=dict)  # what contracts say of themselves

    def answer(self, query: Mapping[str, str]) -> Any:
        """Return the answer to a query."""
        wanted = query.get("module"), query.get("action")
        if wanted == ("proxy", "eth_blockNumber"):
            return {"jsonrpc": "2.0", "id": 83, "result": self.node.call("eth_blockNumber")}
        if query.get("module") != "account" or query.get("action") not in (
            "txlist",
            "txlistinternal",
            "tokentx",
        ):
            return {"status": "0", "message": "NOTOK", "result": "Error! Missing Or invalid Module name"}
        page, offset = int(query["page"]), int(query["offset"])
        if page * offset > self.window:
            text = "Result window is too large, PageNo x Offset size must be less than or equal to 10000"
            return {"status": "0", "message": text, "result": None}
        first, last = int(query["startblock"]), int(query["endblock"])
        address = query["address"].lower()
        rows = [
            row
            for row in self.rows(str(query["action"]))
            if first <= int(row["blockNumber"]) <= last
            and address in (row["from"], row["to"], row.get("contractAddress") if "input" in row else None)
        ]
        size = min(offset, self.cap)
        rows = rows[(page - 1) * size : page * size]
        if not rows:
            return {"status": "0", "message": "No transactions found", "result": []}
        return {"status": "1", "message": "OK", "result": rows}

    def rows(self, action: str) -> list[Row]:
        """Return a list over all accounts, oldest first."""
        if not self.lists:
            self._read()
        return self.lists[action]

    def _read(self) -> None:
        self.lists = {"txlist": [], "txlistinternal": [], "tokentx": []}
        head = self.node.height
        for height in range(head + 1):
            block = self.node.call("eth_getBlockByNumber", hex(height), True)
            if not block["transactions"]:
                continue
            receipts = self.node.call("eth_getBlockReceipts", hex(height))
            traces = self.node.call("trace_block", hex(height))
            base = {
                "blockNumber": str(height),
                "timeStamp": str(int(block["timestamp"], 16)),
                "confirmations": str(head - height + 1),
            }
            for tx, receipt in zip(block["transactions"], receipts, strict=True):
                self._read_transaction(tx, receipt, base)
                calls = [trace for trace in traces if trace.get("transactionHash") == tx["hash"]]
                self._read_calls(calls, base)

    def _read_transaction(self, tx: Row, receipt: Row, base: Row) -> None:
        about = base | {
            "hash": tx["hash"],
            "nonce": str(int(tx["nonce"], 16)),
            "blockHash": tx["blockHash"],
            "transactionIndex": str(int(tx["transactionIndex"], 16)),
            "gas": str(int(tx["gas"], 16)),
            "gasPrice": str(int(receipt["effectiveGasPrice"], 16)),
            "gasUsed": str(int(receipt["gasUsed"], 16)),
        }
        good = int(receipt["status"], 16)
        self.lists["txlist"].append(
            about
            | {
                "from": tx["from"],
                "to": tx["to"] or "",
                "value": str(int(tx["value"], 16)),
                "isError": str(1 - good),
                "txreceipt_status": str(good),
                "input": tx["input"],
                "contractAddress": receipt.get("contractAddress") or "",
            }
        )
        for log in receipt["logs"]:
            row = self._token_row(log, about)
            if row is not None:
                self.lists["tokentx"].append(row)

    def _token_row(self, log: Row, about: Row) -> Row | None:
        topics, data = log["topics"], log["data"]
        if not topics or topics[0] != TRANSFER or len(topics) not in (3, 4):
            return None
        row: Row = about | {
            "from": "0x" + topics[1][-40:],
            "to": "0x" + topics[2][-40:],
            "contractAddress": log["address"],
            "tokenName": self._text(log["address"], "0x06fdde03"),
            "tokenSymbol": self._text(log["address"], "0x95d89b41"),
            "tokenDecimal": str(int(self._view(log["address"], "0x313ce567") or "0x0", 16)),
        }
        if self.style == "blockscout":
            row |= {"logIndex": str(int(log["logIndex"], 16))}
        if len(topics) == 4:
            return row | {"tokenID": str(int(topics[3], 16))} if self.style == "blockscout" else None
        return row | {"value": str(int(data, 16))} if len(data) == 66 else None

    def _view(self, contract: str, data: str) -> str:
        if (contract, data) not in self.views:
            try:
                answer = self.node.call("eth_call", {"to": contract, "data": data}, "latest")
            except NodeCallError:
                answer = "0x"
            self.views[contract, data] = str(answer) if answer != "0x" else ""
        return self.views[contract, data]

    def _text(self, contract: str, data: str) -> str:
        raw = bytes.fromhex(self._view(contract, data)[2:])
        size = int.from_bytes(raw[32:64], "big") if len(raw) >= 64 else 0
        return raw[64 : 64 + size].decode("utf-8", errors="replace")

    def _read_calls(self, traces: list[Row], base: Row) -> None:
        for place, trace in enumerate(traces):
            action, kind = trace["action"], trace["type"]
            outermost = not trace["traceAddress"]
            if outermost and not (self.style == "blockscout" and kind == "create"):
                continue
            failed = any(
                other.get("error")
                and other["traceAddress"] == trace["traceAddress"][: len(other["traceAddress"])]
                for other in traces
            )
            result = trace.get("result") or {}
            row = base | {
                "from": action.get("from", action.get("address")),
                "to": action.get("to", action.get("refundAddress", "")) or "",
                "value": str(int(action.get("value", action.get("balance", "0x0")), 16)),
                "contractAddress": result.get("address", "") if kind == "create" else "",
                "input": "",
                "type": kind,
                "gas": "0",
                "gasUsed": "0",
                "isError": "1" if failed else "0",
                "errCode": trace.get("error", ""),
            }
            if self.style == "blockscout":
                row |= {
                    "transactionHash": trace["transactionHash"],
                    "index": str(place),
                    "callType": action.get("callType", ""),
                }
            else:
                row |= {
                    "hash": trace["transactionHash"],
                    "traceId": "_".join(map(str, trace["traceAddress"])),
                    "type": action.get("callType", kind) if kind == "call" else kind,
                }
            self.lists["txlistinternal"].append(row)


@contextmanager
def run_explorer(node: Anvil, *, style: str = "etherscan") -> Iterator[Explorer]:
    """Serve the API for the length of a `with` block."""
    explorer = Explorer(node, style)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            explorer.asked.append(query)
            self._send(explorer.alter(query, explorer.answer(query)))

        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if explorer.style != "blockscout" or urlsplit(self.path).path != "/api/eth-rpc":
                self._send((404, "not found"))
                return
            calls = body if isinstance(body, list) else [body]
            answers = []
            for call in calls:
                try:
                    said: Row = {"result": node.call(call["method"], *call["params"])}
                except NodeCallError:
                    said = {"error": {"code": -32601, "message": "method not found"}}
                answers.append({"jsonrpc": "2.0", "id": call["id"], **said})
            self._send(answers if isinstance(body, list) else answers[0])

        def _send(self, found: Any) -> None:
            status, reply = found if isinstance(found, tuple) else (200, found)
            if not isinstance(reply, bytes):
                reply = reply.encode() if isinstance(reply, str) else orjson.dumps(reply)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *words: Any) -> None:
            """Say nothing: tests read what they ask for."""

    with serving(LoopbackServer(0, Handler)) as server:
        explorer.url = f"{server.url}/api"
        yield explorer
