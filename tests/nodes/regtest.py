"""A Bitcoin regtest node for tests: Bitcoin Core's consensus code behind Core's JSON-RPC.

    with run_regtest() as node:            # or run_regtest(history=False): block 0 only
        node.url                           # http://127.0.0.1:PORT, JSON-RPC, single calls and batches
        node.height, node.tip              # of the branch that the kernel prefers
        node.mine(3)                       # three more blocks with random payments; the seed makes them
        node.reorg(5)                      # abandon 5 blocks for 6 others, keeping some of their payments
        node.unspent()                     # {output script: satoshi}, the whole set of unspent outputs
        node.history.txids["coinjoin"]     # what each transaction of the built history is

It answers getblockhash, getblock 0-3, getblockheader, getrawtransaction, getblockchaininfo, getblockcount,
getbestblockhash, getnetworkinfo and gettxoutsetinfo. Old blocks stay known by their hash after a
reorganisation, as with Core. `user="name:password"` asks for Basic authentication. The same seed gives the
same blocks, hash for hash. `python -m tests.nodes.regtest` runs one until Ctrl-C.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.nodes import core_answers
from tests.nodes.kernel import MATURITY_BLOCKS, Coin, KernelBlock, KernelChain, OutPoint, is_unspendable
from tests.nodes.regtest_history import History, build_history
from tests.nodes.rpc_server import RpcFault, serve_rpc
from tests.nodes.wallet import KINDS, Wallet

BAD_KEY, BAD_PARAMETER = -5, -8


class RegtestNode:
    """A running node: what it serves, and ways to change its chain. Made by `run_regtest`."""

    def __init__(self, chain: KernelChain, seed: int) -> None:
        self.url = ""
        self.chain = chain
        self.wallet = Wallet()
        self.history = History()
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose)
        self._extra = 0
        self._shown: dict[tuple[bytes, int], orjson.Fragment] = {}

    @property
    def height(self) -> int:
        """Height of its newest block."""
        return self.chain.height

    @property
    def tip(self) -> str:
        """Hash of its newest block, as displayed."""
        return self.chain.tip.hex()

    def mine(self, blocks: int = 1, *, payments: int = 3) -> list[str]:
        """Mine blocks with up to `payments` random transactions each; return their hashes."""
        with self.chain.lock:
            return [self._mine_random(self.chain.tip, payments, []).hex() for _ in range(blocks)]

    def reorg(self, depth: int, *, longer: int = 1, payments: int = 2, empty: bool = False) -> list[str]:
        """Abandon the newest `depth` blocks for `depth + longer` others; return the hashes of the new ones.

        The new branch takes up some of the abandoned transactions, in other blocks and places, and leaves
        others out; with `empty` it has nothing but coinbases.
        """
        with self.chain.lock:
            fork = self.chain.hash_at(self.height - depth)
            if fork is None or depth < 1 or longer < 1:
                raise ValueError(f"a chain of height {self.height} cannot be reorganised {depth} deep")
            left = [
                transaction
                for height in range(self.height - depth + 1, self.height + 1)
                for transaction in self._block_at(height).transactions[1:]
                if not empty and self._random.random() < 0.6
            ]
            parent, made = fork, []
            for _ in range(depth + longer):
                parent = self._mine_random(parent, 0 if empty else payments, left)
                made.append(parent.hex())
            if self.chain.tip != parent:
                raise AssertionError("the kernel did not take up the longer branch")
            return made

    def unspent(self) -> dict[bytes, int]:
        """Return satoshi by output script over the unspent outputs of the active branch."""
        sums: Counter[bytes] = Counter()
        with self.chain.lock:
            for coin in self.chain.coins.values():
                sums[coin.script] += coin.amount_sat
        return {script: sat for script, sat in sums.items() if sat}

    def unspendable(self) -> dict[bytes, int]:
        """Return satoshi by script of the outputs that nobody can spend: those of block 0, and OP_RETURN."""
        sums: Counter[bytes] = Counter()
        with self.chain.lock:
            for height in range(self.height + 1):
                for transaction in self._block_at(height).transactions:
                    for out in transaction.vout:
                        if height == 0 or is_unspendable(out.script_pubkey.data):
                            sums[out.script_pubkey.data] += out.value
        return {script: sat for script, sat in sums.items() if sat}

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """Return what the node answers a call with; raises RpcFault."""
        known: dict[str, Callable[..., Any]] = {
            "getblockhash": self._get_block_hash,
            "getblock": self._get_block,
            "getblockheader": self._get_block_header,
            "getrawtransaction": self._get_raw_transaction,
            "getblockchaininfo": self._get_blockchain_info,
            "getblockcount": lambda: self.height,
            "getbestblockhash": lambda: self.tip,
            "getnetworkinfo": _network_info,
            "gettxoutsetinfo": self._get_txout_set_info,
        }
        if method not in known:
            raise RpcFault(-32601, "Method not found", status=404)
        with self.chain.lock:
            try:
                return known[method](*params)
            except TypeError as error:
                raise RpcFault(-1, f"{method}: wrong number or type of parameters") from error

    def _mine_random(self, parent: bytes, payments: int, left: list[Any]) -> bytes:
        view = dict(self.chain.coins_at(parent))
        block = self._block(parent)
        chosen = [left.pop(self._random.randrange(len(left))) for _ in range(min(2, len(left)))]
        transactions = []
        for transaction in chosen:
            if all(_spendable(view, (inp.txid, inp.vout), block.height + 1) for inp in transaction.vin):
                transactions.append(transaction)
                _apply(view, transaction, block.height + 1)
        for _ in range(self._random.randint(0, payments)):
            paid = self._random_payment(view, block.height + 1)
            if paid is not None:
                transactions.append(paid)
                _apply(view, paid, block.height + 1)
        self._extra += 1
        payout = self.wallet.script("p2wpkh", 500 + self._random.randrange(8))
        return self.chain.mine(transactions, payouts=[(payout, None)], parent=parent, extra=self._extra)

    def _random_payment(self, view: dict[OutPoint, Coin], height: int) -> Any:
        own = [
            coin
            for point, coin in view.items()
            if coin.amount_sat > 10_000 and self.wallet.owns(coin) and _spendable(view, point, height)
        ]
        if not own:
            return None
        coins = self._random.sample(own, min(len(own), self._random.choice((1, 1, 2, 4))))
        left = sum(coin.amount_sat for coin in coins) - self._random.randrange(5_000)
        outputs = []
        for _ in range(self._random.choice((1, 2, 2, 5))):
            script = self.wallet.script(self._random.choice(KINDS), 500 + self._random.randrange(8))
            outputs.append((script, self._random.randrange(left // 2)))
            left -= outputs[-1][1]
        outputs.append((self.wallet.script("p2tr", 500 + self._random.randrange(8)), left))
        return self.wallet.pay(coins, outputs)

    def _block(self, block_hash: bytes) -> KernelBlock:
        block = self.chain.block(block_hash)
        if block is None:
            raise RpcFault(BAD_KEY, "Block not found")
        return block

    def _block_at(self, height: int) -> KernelBlock:
        return self._block(self.chain.hash_at(height) or b"")

    def _get_block_hash(self, height: int) -> str:
        found = self.chain.hash_at(height) if isinstance(height, int) else None
        if found is None:
            raise RpcFault(BAD_PARAMETER, "Block height out of range")
        return found.hex()

    def _get_block(self, block_hash: str, verbosity: int = 1) -> Any:
        block = self._block(_hash_of(block_hash))
        if int(verbosity) <= 0:
            return block.raw.hex()
        level = min(int(verbosity), 3)
        if (block.hash, level) not in self._shown:
            shown = core_answers.show_transactions(self.chain, block, level)
            if level > 1 and self.chain.spent_coins(block) is None:
                return core_answers.show_block(self.chain, block, shown)  # its undo data may come yet
            self._shown[block.hash, level] = orjson.Fragment(orjson.dumps(shown))
        return core_answers.show_block(self.chain, block, self._shown[block.hash, level])

    def _get_block_header(self, block_hash: str, verbose: bool = True) -> Any:
        block = self._block(_hash_of(block_hash))
        return core_answers.show_header(self.chain, block) if verbose else block.raw[:80].hex()

    def _get_raw_transaction(self, txid: str, verbosity: int = 0, block_hash: str | None = None) -> Any:
        wanted = _hash_of(txid)
        blocks = (
            [self._block(_hash_of(block_hash))]
            if block_hash is not None
            else [self._block_at(height) for height in range(1, self.height + 1)]
        )
        for block in blocks:
            if wanted not in block.txids:
                continue
            place = block.txids.index(wanted)
            if int(verbosity) == 0:
                return block.transactions[place].serialize().hex()
            spent = self.chain.spent_coins(block)
            coins = spent[place - 1] if spent and place else None
            shown = core_answers.show_transaction(
                block, place, coins if int(verbosity) > 1 else None, prevouts=int(verbosity) > 1
            )
            header = core_answers.show_header(self.chain, block)
            return shown | {
                "blockhash": header["hash"],
                "confirmations": max(header["confirmations"], 0),
                "time": block.time,
                "blocktime": block.time,
            }
        raise RpcFault(BAD_KEY, "No such transaction found in the provided block or on the active branch")

    def _get_blockchain_info(self) -> dict[str, Any]:
        header = core_answers.show_header(self.chain, self._block_at(self.height))
        copied = ("bits", "target", "difficulty", "time", "mediantime", "chainwork")
        return {
            "chain": "regtest",
            "blocks": self.height,
            "headers": self.height,
            "bestblockhash": self.tip,
            **{name: header[name] for name in copied},
            "verificationprogress": 1,
            "initialblockdownload": False,
            "size_on_disk": sum(len(self._block_at(height).raw) for height in range(self.height + 1)),
            "pruned": False,
            "warnings": [],
        }

    def _get_txout_set_info(self) -> dict[str, Any]:
        coins = self.chain.coins
        return {
            "height": self.height,
            "bestblock": self.tip,
            "txouts": len(coins),
            "total_amount": core_answers.amount(sum(coin.amount_sat for coin in coins.values())),
            "total_unspendable_amount": core_answers.amount(sum(self.unspendable().values())),
        }


def _network_info() -> dict[str, Any]:
    return {
        "version": 290000,
        "subversion": "/Satoshi:29.0.0(regtest on libbitcoinkernel)/",
        "protocolversion": 70016,
        "networkactive": False,
        "connections": 0,
        "warnings": [],
    }


def _hash_of(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) != 64:
        raise RpcFault(BAD_PARAMETER, "blockhash must be of length 64")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise RpcFault(BAD_PARAMETER, "blockhash must be hexadecimal string") from error


def _spendable(view: dict[OutPoint, Coin], point: OutPoint, height: int) -> bool:
    coin = view.get(point)
    return coin is not None and not (coin.generated and height - coin.height < MATURITY_BLOCKS)


def _apply(view: dict[OutPoint, Coin], transaction: Any, height: int) -> None:
    for inp in transaction.vin:
        del view[inp.txid, inp.vout]
    txid = transaction.txid()
    for index, out in enumerate(transaction.vout):
        if not is_unspendable(out.script_pubkey.data):
            view[txid, index] = Coin(txid, index, out.value, out.script_pubkey.data, height, generated=False)


@contextmanager
def run_regtest(
    *, folder: Path | None = None, history: bool = True, seed: int = 1, user: str | None = None, port: int = 0
) -> Iterator[RegtestNode]:
    """Run a node for the length of a `with` block, with the built history unless told otherwise."""
    with tempfile.TemporaryDirectory(prefix="silkscreen-regtest-", dir=folder) as home:
        chain = KernelChain(Path(home))
        node = RegtestNode(chain, seed)
        if history:
            node.history = build_history(chain, node.wallet)
        try:
            with serve_rpc(node.answer, user=user, port=port) as url:
                node.url = url
                yield node
        finally:
            chain.close()


if __name__ == "__main__":
    import sys
    import threading

    with run_regtest(port=int(sys.argv[1]) if len(sys.argv) > 1 else 18443) as running:
        sys.stdout.write(f"{running.url} at height {running.height}; Ctrl-C ends it\n")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
