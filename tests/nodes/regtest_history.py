"""The history that a regtest node starts with: every kind of script and every shape of payment, once each.

Deterministic: the same blocks, hash for hash, every time. `History.txids` names the transactions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.nodes.kernel import Coin, KernelChain, push
from tests.nodes.wallet import ANNOUNCED, KINDS, Wallet

COINJOIN_SAT = 10_000_000
_FEE_SAT = 1_337


@dataclass(frozen=True)
class History:
    """What was built: transaction ids by name (as displayed), and the height of each."""

    txids: dict[str, str] = field(default_factory=dict)
    heights: dict[str, int] = field(default_factory=dict)


@dataclass
class _Builder:
    chain: KernelChain
    wallet: Wallet
    history: History
    waiting: list[Any] = field(default_factory=list)

    def pay(self, name: str, coins: Sequence[Coin], outputs: Sequence[tuple[bytes, int]]) -> list[Coin]:
        """Put a transaction into the next block and return its outputs; 0 as an amount is 0 satoshi."""
        transaction = self.wallet.pay(coins, outputs)
        self.waiting.append(transaction)
        txid = transaction.txid()
        self.history.txids[name] = txid.hex()
        self.history.heights[name] = self.chain.height + 1
        return [
            Coin(txid, n, sat, script, self.chain.height + 1, generated=False)
            for n, (script, sat) in enumerate(outputs)
        ]

    def mine(self, payouts: Sequence[tuple[bytes, int | None]] | None = None) -> None:
        """Mine what waits."""
        to = payouts or [(self.wallet.script("p2wpkh", self.chain.height % 7), None)]
        self.chain.mine(self.waiting, payouts=to)
        self.waiting.clear()

    def script(self, kind: str, number: int) -> bytes:
        return self.wallet.script(kind, number)

    def coinbase(self, height: int) -> Coin:
        """Return the first output of the coinbase at a height."""
        block = self.chain.block(self.chain.hash_at(height) or b"")
        if block is None:
            raise ValueError(f"no block at {height}")
        return block.created[0]


def build_history(chain: KernelChain, wallet: Wallet) -> History:
    """Mine about 150 blocks onto a chain that has only its first."""
    build = _Builder(chain, wallet, History())
    _coinbases(build)
    coins = _every_kind(build)
    _notes(build, coins)
    _coinjoin(build)
    _payout_and_consolidation(build)
    _peel_chain(build)
    _within_one_block(build)
    for _ in range(6):
        build.mine()
    return build.history


def _coinbases(build: _Builder) -> None:
    """Rewards to keys, to a bare key, to an anchor, and one shared by three miners."""
    build.mine([(build.script("p2pk-long", 0), None)])
    build.mine([(build.script("p2tr", 1), None)])
    build.mine(
        [
            (build.script("p2pkh", 2), 1_234_567_890),
            (build.script("multisig", 2), 1),
            (build.script("p2wpkh", 2), None),
        ]
    )
    for _ in range(110):
        build.mine()


def _every_kind(build: _Builder) -> list[Coin]:
    """One output of each kind, each spent again, alone and all together."""
    amounts = [29_000_001 + 7 * place for place, _ in enumerate(KINDS)]
    fans = []
    for number, height in ((10, 4), (11, 5)):
        source = build.coinbase(height)
        outputs = [(build.script(kind, number), sat) for kind, sat in zip(KINDS, amounts, strict=True)]
        change = source.amount_sat - sum(amounts) - _FEE_SAT
        outputs.append((build.script("p2wpkh", number), change))
        fans.append(build.pay(f"fan-{number}", [source], outputs))
    build.mine()
    for kind, coin in zip(KINDS, fans[0], strict=False):
        to = [(build.script("p2wpkh", 20), coin.amount_sat - 546), (build.script(kind, 21), 246)]
        build.pay(f"spend-{kind}", [coin], to)
    build.mine()
    total = sum(coin.amount_sat for coin in fans[1][:-1])
    build.pay("spend-all-kinds", fans[1][:-1], [(build.script("p2tr", 22), total - 10 * _FEE_SAT)])
    build.mine()
    return [fans[0][-1], fans[1][-1]]


def _notes(build: _Builder, coins: Sequence[Coin]) -> None:
    """OP_RETURN with nothing, with a value that is lost, with no data; an output of 0; paying oneself."""
    first, second = coins
    own = build.script("p2wpkh", 10)
    lost = 4_321
    kept = first.amount_sat - lost - _FEE_SAT
    spent = build.pay(
        "notes",
        [first],
        [(ANNOUNCED, 0), (b"\x6a" + push(b"lost"), lost), (b"\x6a", 0), (own, kept), (own, 0)],
    )
    build.pay("to-itself", [second], [(second.script, second.amount_sat - _FEE_SAT)])
    build.mine()
    build.pay("no-fee", [spent[3]], [(build.script("p2pkh", 12), kept)])
    build.pay("spend-nothing", [spent[4], build.coinbase(6)], [(own, 5_000_000_000 - _FEE_SAT)])
    build.mine()
    build.pay("all-fee", [build.coinbase(7)], [(b"\x6a" + push(b"to the miner"), 0)])
    build.mine()


def _coinjoin(build: _Builder) -> None:
    """Ten owners with one input each; ten equal outputs and ten of change."""
    source = build.coinbase(8)
    shares = [12_000_000 + 111_111 * place for place in range(10)]
    outputs = [(build.script("p2wpkh", 100 + place), sat) for place, sat in enumerate(shares)]
    outputs.append((build.script("p2wpkh", 8), source.amount_sat - sum(shares) - _FEE_SAT))
    inputs = build.pay("coinjoin-funding", [source], outputs)[:10]
    build.mine()
    equal = [(build.script("p2wpkh", 200 + place), COINJOIN_SAT) for place in range(10)]
    change = [
        (build.script("p2wpkh", 210 + place), sat - COINJOIN_SAT - 500) for place, sat in enumerate(shares)
    ]
    mixed = [pair for pairs in zip(equal, change, strict=True) for pair in pairs]
    build.pay("coinjoin", inputs, mixed)
    build.mine()


def _payout_and_consolidation(build: _Builder) -> None:
    """One payer and eighty payees at once; then sixty of the coins gathered again."""
    source = build.coinbase(9)
    paid = [(build.script(KINDS[place % 8], 300 + place), 10_000_000 + place) for place in range(80)]
    paid.append((build.script("p2wpkh", 9), source.amount_sat - sum(sat for _, sat in paid) - _FEE_SAT))
    coins = build.pay("batch-payout", [source], paid)
    build.mine()
    gathered = sum(coin.amount_sat for coin in coins[:60]) - 30_000
    build.pay("consolidation", coins[:60], [(build.script("p2wsh-multisig", 30), gathered)])
    build.mine()


def _peel_chain(build: _Builder) -> None:
    """Twelve payments, each out of the change of the one before, a block apart."""
    coin = build.coinbase(10)
    for hop in range(12):
        peeled = 23_456_789 + hop
        rest = coin.amount_sat - peeled - _FEE_SAT
        to = [(build.script("p2pkh", 400 + hop), peeled), (build.script("p2wpkh", 420 + hop), rest)]
        coin = build.pay(f"peel-{hop}", [coin], to if hop % 3 else to[::-1])[1 if hop % 3 else 0]
        build.mine()


def _within_one_block(build: _Builder) -> None:
    """Five payments in one block, each spending the one before; then a block whose miners share the fees."""
    coin = build.coinbase(11)
    for hop in range(5):
        to = [(build.script("p2tr", 440 + hop), coin.amount_sat - 7_000)]
        (coin,) = build.pay(f"same-block-{hop}", [coin], to)
    build.mine([(build.script("p2wpkh", 0), 2_500_000_000), (build.script("p2a", 0), None)])
