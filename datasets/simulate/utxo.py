"""The UTXO chain: payments become transactions that spend real earlier outputs, in blocks."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError
from datasets.simulate.addresses import draw_programs, encode_witness
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import UTXO, Cast
from datasets.simulate.clock import Floats, Ints, make_generator
from datasets.simulate.crossings import Crossings
from datasets.simulate.plan import Join
from datasets.simulate.roles import ROLES
from datasets.simulate.settle import COIN_UNIT, Payments, Settled

_BATCHING = (
    "exchange",
    "payment_processor",
    "mining_pool",
    "darknet_market",
    "employer",
    "payroll_office",
    "courier_payout",
)
_DUST_SAT = 1_000
_GRANT_COINS = 24


@dataclass(frozen=True)
class UtxoChain:
    """Transactions by row, and outputs and inputs by transaction.

    `spent` holds, for each input, the number of the output that it spends. Transactions are in the order of
    the chain; `block` numbers blocks from 0, and `time[block]` is in seconds since the first day. Those that
    are `foreign` stand in another region, which has them written: here they only bring a coin.
    """

    block: Ints
    coinbase: NDArray[np.bool_]
    foreign: NDArray[np.bool_]
    time: Ints
    in_first: Ints
    out_first: Ints
    spent: Ints
    out_value: Ints
    out_address: Ints
    addresses: list[str]
    address_wallet: Ints
    hashes: NDArray[np.uint8]


@dataclass
class _State:
    """What the walk along the chain holds: coins by wallet, and what has been written."""

    coins: list[deque[int]]
    reuse: list[float]
    draws: list[float]
    current: dict[int, int] = field(default_factory=dict)
    by_tag: dict[tuple[int, int], int] = field(default_factory=dict)
    address_wallet: list[int] = field(default_factory=list)
    out_value: list[int] = field(default_factory=list)
    out_address: list[int] = field(default_factory=list)
    out_first: list[int] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)
    in_first: list[int] = field(default_factory=list)
    block: list[int] = field(default_factory=list)
    coinbase: list[bool] = field(default_factory=list)
    crossing: list[int] = field(default_factory=list)
    foreign: list[bool] = field(default_factory=list)
    told: dict[int, int] = field(default_factory=dict)
    drawn: int = 0

    def draw(self) -> float:
        """Return the next random number."""
        self.drawn += 1
        return self.draws[self.drawn % len(self.draws)]

    def new_address(self, wallet: int) -> int:
        """Open an address of a wallet."""
        self.address_wallet.append(wallet)
        return len(self.address_wallet) - 1

    def receive_at(self, wallet: int, tag: int) -> int:
        """Return the address at which a wallet is paid: the customer's own, one used before, or a new one."""
        if tag >= 0:
            address = self.by_tag.get((wallet, tag))
            if address is None:
                address = self.by_tag[(wallet, tag)] = self.new_address(wallet)
            return address
        address = self.current.get(wallet)
        if address is None or self.draw() >= self.reuse[wallet]:
            address = self.current[wallet] = self.new_address(wallet)
        return address

    def begin(self, block: int, *, coinbase: bool, crossing: int = -1, foreign: bool = False) -> None:
        """Start a transaction; one over a border has the number of the crossing."""
        self.crossing.append(crossing)
        self.foreign.append(foreign)
        self.block.append(block)
        self.coinbase.append(coinbase)
        self.in_first.append(len(self.spent))
        self.out_first.append(len(self.out_value))

    def put(self, address: int, value: int) -> None:
        """Add an output, which its wallet can spend from now on."""
        self.coins[self.address_wallet[address]].append(len(self.out_value))
        self.out_value.append(value)
        self.out_address.append(address)

    def take_coins(self, wallet: int, want: int, fee_rate: int, outputs: int) -> tuple[list[int], int, int]:
        """Take a wallet's oldest coins until they cover `want` and the fee; return them, sum and fee."""
        own, value = self.coins[wallet], self.out_value
        taken: list[int] = []
        total = 0
        fee = fee_rate * (11 + 31 * outputs)
        while own and total < want + fee:
            coin = own.popleft()
            taken.append(coin)
            total += value[coin]
            fee += fee_rate * 68
        return taken, total, fee


def build_chain(
    seed: int,
    cast: Cast,
    settled: Settled,
    *,
    joins: Sequence[Join],
    prices: Floats,
    blocks: Blocks,
    region: int,
    fresh: float,
    crossings: Crossings,
) -> UtxoChain:
    """Write the payments of the UTXO chain of one region as transactions in `blocks`.

    Coins are spent oldest first, several payments of a service in one block are one transaction, change goes
    to a new or an old address: a new one also for a share `fresh` of what the drug trade would receive at an
    old one. A payment that fees leave too little for pays less, or is left out.
    """
    rng = make_generator(seed, "utxo")
    payments = settled.payments.take(cast.wallet_chain[settled.payments.payer] == UTXO)
    elsewhere = cast.is_role(cast.wallet_owner, "elsewhere").tolist()
    grants = [(wallet, value) for wallet, value in settled.grants if cast.wallet_chain[wallet] == UTXO]
    first_grant = len(grants) * region
    state = _State(
        coins=[deque() for _ in cast.wallet_owner],
        reuse=_draw_reuse(rng, cast, fresh),
        draws=rng.random(1 << 18).tolist(),
    )
    pool = int(cast.main[cast.of("mining_pool")[0], UTXO])
    pool_address = state.new_address(pool)
    by_block = _group_payments(cast, payments, blocks)
    joins_by_block: dict[int, list[Join]] = {}
    for join, block in zip(joins, blocks.at(np.array([join.time for join in joins])).tolist(), strict=True):
        joins_by_block.setdefault(block, []).append(join)
    day_prices = prices.tolist()
    rates = blocks.rates.tolist()
    for block in range(len(blocks.time)):
        if first_grant <= block < first_grant + len(grants):
            state.begin(block, coinbase=True)
            wallet, value = grants[block - first_grant]
            address = state.receive_at(wallet, -1)
            for _ in range(_GRANT_COINS):
                state.put(address, value // _GRANT_COINS + 1)
            continue
        if block < blocks.grants:
            continue
        if block % blocks.regions == region:
            state.begin(block, coinbase=True)
            state.put(pool_address, blocks.reward)
        for payer, rows in by_block.get(block, ()):
            if elsewhere[payer]:
                _bring(state, block, rows[0])
            else:
                _pay(state, block, rates[block], payer, rows)
        for join in joins_by_block.get(block, ()):
            _join(state, block, rates[block], join, day_prices[min(join.time // 86_400, len(day_prices) - 1)])
    return _finish(rng, state, blocks, crossings)


def _draw_reuse(rng: np.random.Generator, cast: Cast, fresh: float) -> list[float]:
    """Draw for each wallet how often it is paid at the address that it was paid at before."""
    reuse = np.array([role.reuse for role in ROLES])[cast.role[cast.wallet_owner]]
    reuse = np.clip(reuse + rng.normal(0.0, 0.2, len(reuse)) * (reuse < 1.0) * (reuse > 0.0), 0.0, 1.0)
    kinds = np.array(cast.wallet_kind)
    reuse = np.where(kinds == "main", reuse, np.where(kinds == "cold", 0.8, 0.2))
    reuse = np.where(cast.hiding[cast.wallet_owner], reuse * (1.0 - fresh), reuse)
    found: list[float] = reuse.tolist()
    return found


_Row = tuple[int, int, int, bool, int]  # payee, amount, tag, whole, crossing


def _group_payments(cast: Cast, payments: Payments, into: Blocks) -> dict[int, list[tuple[int, list[_Row]]]]:
    """Group payments by block, and those of a batching payer within a block, at the place of the first."""
    batching = np.isin(cast.role[cast.wallet_owner], [i for i, r in enumerate(ROLES) if r.name in _BATCHING])
    batching &= np.array([kind == "main" for kind in cast.wallet_kind])
    together = batching.tolist()
    blocks = into.at(payments.time).tolist()
    grouped: dict[int, list[tuple[int, list[_Row]]]] = {}
    open_batches: dict[tuple[int, int], list[_Row]] = {}
    columns = zip(
        blocks,
        payments.payer.tolist(),
        payments.payee.tolist(),
        payments.amount.tolist(),
        payments.tag.tolist(),
        payments.whole.tolist(),
        payments.cross.tolist(),
        strict=True,
    )
    for block, payer, payee, amount, tag, whole, cross in columns:
        row = (payee, amount, tag, whole, cross)
        alone = cross >= 0
        if not alone and together[payer] and (block, payer) in open_batches:
            open_batches[block, payer].append(row)
            continue
        rows = [row]
        if together[payer] and not alone:
            open_batches[block, payer] = rows
        grouped.setdefault(block, []).append((payer, rows))
    return grouped


def _pay(state: _State, block: int, fee_rate: int, payer: int, rows: list[_Row]) -> None:
    """Write one transaction, or none where the payer holds too little."""
    whole = len(rows) == 1 and rows[0][3]
    want = sum(row[1] for row in rows)
    if whole:
        want = sum(state.out_value[coin] for coin in state.coins[payer])
    taken, total, fee = state.take_coins(payer, want, fee_rate, len(rows) + 1)
    if not taken:
        return
    amounts = [row[1] for row in rows]
    change = total - want - fee
    crossing = rows[0][4]
    if crossing >= 0 and change < 0:
        raise InputError(
            f"this world cannot be: an exchange is {-change} units short of a payment that another region "
            "counts on; take another seed"
        )
    if whole:
        amounts, change = [total - fee], 0
    elif change < 0:
        left = total - fee
        amounts = [amount * left // want for amount in amounts]
        change = 0
    if min(amounts) < _DUST_SAT:
        state.coins[payer].extendleft(reversed(taken))
        return
    if crossing >= 0:
        outputs = [(state.new_address(rows[0][0]), amounts[0])]
        state.told[outputs[0][0]] = crossing
    else:
        outputs = [
            (state.receive_at(row[0], row[2]), amount) for row, amount in zip(rows, amounts, strict=True)
        ]
    if change >= _DUST_SAT:
        back = state.out_address[taken[0]] if state.draw() < state.reuse[payer] else state.new_address(payer)
        # What crosses a border is the first output: the other region knows it by that.
        place = 1 if crossing >= 0 else int(state.draw() * (len(outputs) + 1))
        outputs.insert(place, (back, change))
    state.begin(block, coinbase=False, crossing=crossing)
    state.spent.extend(taken)
    for address, amount in outputs:
        state.put(address, amount)


def _bring(state: _State, block: int, row: _Row) -> None:
    """Take in the coin of a transaction that stands in another region."""
    address = state.new_address(row[0])
    state.told[address] = row[4]
    state.begin(block, coinbase=False, crossing=row[4], foreign=True)
    state.put(address, row[1])


def _join(state: _State, block: int, fee_rate: int, join: Join, price: float) -> None:
    """Write a CoinJoin of those of its members who hold enough: equal outputs and change, shuffled."""
    equal = int(join.usd / price * COIN_UNIT)
    parts: list[tuple[int, list[int], int]] = []
    for wallet in join.wallets:
        taken, total, fee = state.take_coins(wallet, equal, fee_rate, 2)
        if total < equal + fee:
            state.coins[wallet].extendleft(reversed(taken))
            continue
        parts.append((wallet, taken, total - equal - fee))
    if len(parts) < 4:
        for wallet, taken, _ in parts:
            state.coins[wallet].extendleft(reversed(taken))
        return
    state.begin(block, coinbase=False)
    for _, taken, _ in parts:
        state.spent.extend(taken)
    outputs = [(state.new_address(wallet), equal) for wallet, _, _ in parts]
    outputs += [(state.new_address(wallet), change) for wallet, _, change in parts if change >= _DUST_SAT]
    order = sorted(range(len(outputs)), key=lambda _: state.draw())
    for place in order:
        state.put(*outputs[place])


def _finish(rng: np.random.Generator, state: _State, blocks: Blocks, crossings: Crossings) -> UtxoChain:
    block = np.array(state.block, dtype=np.int64)
    transactions = len(block)
    programs = draw_programs(rng, len(state.address_wallet)).copy()
    for address, number in state.told.items():
        programs[address] = crossings.program[number]
    hashes = np.frombuffer(rng.bytes(32 * transactions), dtype=np.uint8).reshape(transactions, 32).copy()
    crossing = np.array(state.crossing, dtype=np.int64)
    hashes[crossing >= 0] = crossings.hash[crossing[crossing >= 0]]
    return UtxoChain(
        block=block,
        coinbase=np.array(state.coinbase),
        foreign=np.array(state.foreign),
        time=blocks.time,
        in_first=np.array([*state.in_first, len(state.spent)], dtype=np.int64),
        out_first=np.array([*state.out_first, len(state.out_value)], dtype=np.int64),
        spent=np.array(state.spent, dtype=np.int64),
        out_value=np.array(state.out_value, dtype=np.int64),
        out_address=np.array(state.out_address, dtype=np.int64),
        addresses=encode_witness(programs),
        address_wallet=np.array(state.address_wallet, dtype=np.int64),
        hashes=hashes,
    )
