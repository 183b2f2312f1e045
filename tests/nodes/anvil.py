"""An EVM node for tests: anvil, with contracts deployed and a history of every kind of movement.

    with run_anvil() as node:              # or run_anvil(history=False): block 0 only
        node.url, node.pid                 # http://127.0.0.1:PORT, the process
        node.genesis                       # the genesis.json it was started from: import it into the ledger
        node.call("eth_blockNumber")       # any JSON-RPC call; raises NodeCallError
        node.mine(3)                       # three more blocks with random payments; the seed makes them
        node.reorg(5)                      # 6 other blocks for the newest 5; see `longer` and `how`
        node.balances()                    # {address: wei} of every account in the node's own state
        node.token_balances(token, holders)    # {holder: balanceOf}
        node.contracts["TetherLike"]       # addresses; node.history.hashes["issue"]: transactions by name

Accounts are funded by `genesis.json` alone (chain 31337, no dev accounts), so a ledger that imports it and
syncs from block 0 has every wei. Times are 12 s apart from 2024-01-01 on. The binary is started directly, on
a free port, and ended by its pid.
"""

import gzip
import hashlib
import json
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account
from eth_utils.address import to_checksum_address

from tests.nodes.anvil_contracts import creation_code, encode_call
from tests.nodes.anvil_history import (
    ACCOUNTS,
    CHAIN_ID,
    EvmHistory,
    build_history,
    build_short_history,
    write_genesis,
)

BINARY = Path(__file__).parent / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
GAS = 2_000_000
_READY_SECONDS = 30


class NodeCallError(Exception):
    """The node answered a call of the test with an error."""


class Anvil:
    """A running node: what it serves, and ways to change its chain. Made by `run_anvil`."""

    def __init__(self, url: str, pid: int, genesis: Path, seed: int) -> None:
        self.url, self.pid, self.genesis = url, pid, genesis
        self.accounts = [
            Account.from_key(hashlib.sha256(f"evm key {number}".encode()).digest())
            for number in range(ACCOUNTS)
        ]
        self.contracts: dict[str, str] = {}
        self.history = EvmHistory()
        self._client = httpx.Client(timeout=60, trust_env=False)
        self._nonces: dict[str, int] = {}
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call; raises NodeCallError."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=request).json()
        if "error" in answer:
            raise NodeCallError(f"{method}: {answer['error']}")
        return answer["result"]

    def call_many(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of many calls, in one request."""
        request = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        answers = self._client.post(self.url, json=request).json() if request else []
        return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]

    @property
    def height(self) -> int:
        """Height of its newest block."""
        return int(self.call("eth_blockNumber"), 16)

    def send(
        self,
        sender: int,
        to: str | None,
        *,
        value: int = 0,
        data: bytes = b"",
        gas: int = GAS,
        kind: int = 2,
        tip: int = 1_000_000_000,
        **more: Any,
    ) -> str:
        """Sign a transaction of an account and put it into the pool, for `seal` to mine; return its hash.

        `kind` is the transaction's type (EIP-2718); `more` are its further fields.
        """
        account = self.accounts[sender]
        if account.address not in self._nonces:
            count = self.call("eth_getTransactionCount", account.address, "latest")
            self._nonces[account.address] = int(count, 16)
        fields: dict[str, Any] = {
            "chainId": CHAIN_ID,
            "nonce": self._nonces[account.address],
            "value": value,
            "gas": gas,
            "data": data,
        }
        fields |= {"to": to_checksum_address(to)} if to else {}
        price = 20_000_000_000
        if kind < 2:
            fields |= {"gasPrice": price} | ({"type": 1, "accessList": []} if kind else {})
        else:
            fields |= {"type": kind, "maxFeePerGas": price, "maxPriorityFeePerGas": tip}
        blobs = more.pop("blobs", None)
        signed = account.sign_transaction(fields | more, **({"blobs": blobs} if blobs else {}))
        sent = self.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
        self._nonces[account.address] += 1
        return str(sent)

    def invoke(self, sender: int, contract: str, function: str, *arguments: Any, **more: Any) -> str:
        """Put a call of a deployed contract into the pool and return its hash; `at` names another address."""
        to = more.pop("at", None) or self.contracts[contract]
        return self.send(sender, to, data=encode_call(contract, function, *arguments), **more)

    def deploy(self, contract: str, *arguments: Any, name: str = "", sender: int = 0, **more: Any) -> str:
        """Create a contract in a block of its own and return its address, kept under its name too."""
        code = creation_code(contract, *arguments, libraries=self.contracts)
        sent = self.send(sender, None, data=code, gas=5_000_000, **more)
        self.seal()
        receipt = self.call("eth_getTransactionReceipt", sent)
        if receipt["status"] != "0x1":
            raise NodeCallError(f"{contract} was not created")
        self.contracts[name or contract] = receipt["contractAddress"]
        return str(receipt["contractAddress"])

    def seal(self, blocks: int = 1) -> None:
        """Mine what is in the pool into one block, and empty ones after it."""
        self.call("anvil_mine", hex(blocks))

    def mine(self, blocks: int = 1, *, payments: int = 3) -> None:
        """Mine blocks with up to `payments` random transactions each."""
        for _ in range(blocks):
            for _ in range(self._random.randint(0, payments)):
                self._random_payment()
            self.seal()

    def reorg(self, depth: int, *, longer: int = 1, how: str = "rollback", payments: int = 2) -> None:
        """Replace the newest `depth` blocks by `depth + longer` others (`longer` may be 0 or less).

        `how`: `rollback` takes them back and mines others, `reorg` is anvil's own (of the same length, empty,
        whatever `longer` says).
        """
        if how == "reorg":
            self.call("anvil_reorg", depth, [])
            self._forget()
            return
        self.call("anvil_rollback", depth)
        self._forget()
        self.mine(depth + longer, payments=payments)

    def snapshot(self) -> str:
        """Return the name of the present state, for `revert`."""
        return str(self.call("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Take the chain back to a snapshot; what was mined since is gone, even by its hash."""
        if not self.call("evm_revert", snapshot):
            raise NodeCallError("there is no such snapshot")
        self._forget()

    def balances(self) -> dict[str, int]:
        """Return wei by address for every account of the node's own state that has any."""
        kept = bytes.fromhex(self.call("anvil_dumpState")[2:])
        accounts = json.loads(gzip.decompress(kept))["accounts"]
        found = {address.lower(): int(account["balance"], 16) for address, account in accounts.items()}
        return {address: wei for address, wei in sorted(found.items()) if wei}

    def token_balances(self, contract: str, holders: Sequence[str]) -> dict[str, int]:
        """Return what a token's contract says that each holder has, where it is not zero."""
        calls = [
            (
                "eth_call",
                [{"to": contract, "data": "0x" + encode_call("Coin", "balanceOf", holder).hex()}, "latest"],
            )
            for holder in holders
        ]
        amounts = [int(answer, 16) for answer in self.call_many(calls)]
        return {holder: amount for holder, amount in zip(holders, amounts, strict=True) if amount}

    def _forget(self) -> None:
        self.call("anvil_dropAllTransactions")
        self._nonces.clear()

    def _random_payment(self) -> None:
        pick = self._random
        sender = pick.randrange(1, 8)
        payee = self.accounts[pick.randrange(ACCOUNTS)].address
        amount = pick.randrange(1, 10**15)
        action = pick.randrange(9) if self.contracts else 0
        if action == 1:
            self.invoke(sender, "Coin", "mint", payee, amount)
        elif action == 2:
            self.invoke(sender, "Coin", "transfer", payee, pick.randrange(2))
        elif action == 3:
            others = [account.address for account in pick.sample(self.accounts, 3)]
            self.invoke(sender, "Splitter", "split", others, value=amount)
        elif action == 4:
            self.invoke(sender, "WrappedLike", "deposit", value=amount)
        elif action == 5:
            self.invoke(sender, "Failing", "fail", value=amount, gas=100_000)
        elif action == 6:
            self.invoke(0, "TetherLike", pick.choice(("issue", "issue", "redeem")), amount)
        elif action == 7:
            self.invoke(0, "TetherLike", pick.choice(("addBlackList", "removeBlackList")), payee)
        elif action == 8:
            self.invoke(sender, "Forger", "forge", payee, payee, 10 ** pick.choice((37, 38)))
        else:
            self.send(sender, payee, value=amount, gas=30_000)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_anvil(
    *,
    folder: Path | None = None,
    history: bool = True,
    short: bool = False,
    blob: bool = False,
    seed: int = 1,
    arguments: Sequence[str] = (),
) -> Iterator[Anvil]:
    """Run a node for the length of a `with` block, with the built history unless told otherwise.

    `short` builds a shorter one of random payments alone. `blob` adds a transaction with a blob (EIP-4844) to
    the long one, which takes some 15 s. `arguments` go to anvil as they are, after its own.
    """
    if not BINARY.exists():
        raise FileNotFoundError("anvil is not installed: run `npm ci --prefix tests/nodes`")
    with tempfile.TemporaryDirectory(prefix="silkscreen-anvil-", dir=folder) as home:
        genesis = Path(home) / "genesis.json"
        port = _free_port()
        # Where the system can, the node ends with the tests even if these are killed.
        words = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        words += [str(BINARY), "--host", "127.0.0.1", "--port", str(port), "--no-mining", "--quiet"]
        words += ["--accounts", "0", "--disable-default-create2-deployer", "--order", "fifo"]
        words += ["--init", str(genesis), "--cache-path", home, *arguments]
        with (Path(home) / "log").open("wb") as log:
            node = Anvil(f"http://127.0.0.1:{port}", 0, genesis, seed)
            write_genesis(genesis, [account.address for account in node.accounts])
            process = subprocess.Popen(words, stdout=log, stderr=log, cwd=home)
            node.pid = process.pid
            try:
                _wait_until_ready(node, process, Path(home) / "log")
                node.call("anvil_setBlockTimestampInterval", 12)
                if short:
                    build_short_history(node)
                elif history:
                    build_history(node, blob=blob)
                yield node
            finally:
                node.close()
                process.kill()
                process.wait()


def _wait_until_ready(node: Anvil, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"anvil ended at once: {log.read_text(errors='replace')[-2000:]}")
        try:
            node.call("eth_chainId")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("anvil did not answer in time")
