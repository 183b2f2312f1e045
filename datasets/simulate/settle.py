"""From what people mean to pay to what they pay: funds, top-ups at exchanges, and the exchanges' reserves."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.cast import TOKEN, UTXO, WRAPPED, Cast
from datasets.simulate.clock import DAY, DAYS, END, FIRST, Floats, Ints, draw_delays, make_generator
from datasets.simulate.plan import Plan
from datasets.simulate.roles import BIG_BUYERS, NUMBER, ROLES

COIN_UNIT = 100_000_000
TOKEN_UNIT = 1_000_000
_FEE_SAT = 9_000  # set aside for each payment on the UTXO chain, more than nearly all of them cost
_SMALLEST = (5_000, 100_000, 5_000)  # raw units below which nobody pays a share of a balance
_ROUND_SUM = 5 * TOKEN_UNIT  # people buy tokens in round sums
_WEEK = 7 * DAY
LATEST_SWEEP = 2 * DAY
"""Seconds within which a service sweeps a deposit that it does not leave until the customer's next one."""
_OWN_FUNDS = ("mining_pool", "issuer", "elsewhere")
_LATEST = 60 * DAY  # after which even those that were left have been swept
_FEE_AT_MOST = 6_000  # what a payment of an exchange costs on the UTXO chain, batched, in smallest units
_ASSETS = (UTXO, TOKEN, WRAPPED)
_ONE_DEPOSIT_EACH = ("darknet_market", "payment_processor")  # nothing to wait for at their deposit accounts


@dataclass(frozen=True)
class Payments:
    """Payments that take place, ordered by time: wallets, raw integer `amount`, customer `tag` or −1.

    `whole` empties the wallet, whatever it then holds; `cross` numbers a payment over a region's border.
    """

    time: Ints
    payer: Ints
    payee: Ints
    amount: Ints
    tag: Ints
    whole: NDArray[np.bool_]
    cross: Ints

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def take(self, rows: Ints | NDArray[np.bool_]) -> "Payments":
        """Return these rows."""
        return Payments(**{f.name: getattr(self, f.name)[rows] for f in fields(Payments)})


@dataclass(frozen=True)
class Settled:
    """Payments of both chains, and what each cold wallet was given when the year began, in raw units."""

    payments: Payments
    grants: tuple[tuple[int, int], ...]


def settle_plan(seed: int, cast: Cast, plan: Plan, prices: Floats, crossing_amount: Ints) -> Settled:
    """Walk through the plan in time and pay what can be paid.

    Who is short either buys what is missing (and some more) at the home exchange hours before, or pays what
    there is, or not at all. Only services with reserves can be short: their reserves are then set so that
    they never are. `crossing_amount` holds what each payment over a border was agreed to be, in raw units.
    """
    rng = make_generator(seed, "settle")
    chain = cast.wallet_chain
    fixed = _to_raw(rng, plan, chain[plan.payer], prices)
    over = plan.cross >= 0
    fixed[over] = crossing_amount[plan.cross[over]]
    chunk = _draw_chunks(rng, cast, prices)
    delays = draw_delays(rng, 18.0, 0.9, len(plan)) + 2 * 3600
    extra = rng.exponential(0.8, len(plan)) + 0.05
    drawn = _walk(
        cast,
        plan,
        fixed=fixed.tolist(),
        chunk=chunk.tolist(),
        delays=delays.tolist(),
        extra=extra.tolist(),
        day_price=prices.tolist(),
    )
    moved = _sort([drawn])
    return _fund_services(rng, cast, moved, prices)


def _to_raw(rng: np.random.Generator, plan: Plan, chain: Ints, prices: Floats) -> Ints:
    """Turn dollars into raw units: the token at par, the coin at the day's price give or take a little."""
    day = np.clip(plan.time // DAY, 0, DAYS - 1)
    coins = plan.usd / (prices[day] * np.exp(rng.normal(0.0, 0.004, len(plan)))) * COIN_UNIT
    return np.where(chain == TOKEN, plan.usd * TOKEN_UNIT, coins).round().astype(np.int64)


def _draw_chunks(rng: np.random.Generator, cast: Cast, prices: Floats) -> Ints:
    """Draw how much each wallet buys at a time: round sums of dollars on the token chain."""
    hires = np.isin(cast.role, [NUMBER[name] for name in BIG_BUYERS])[cast.wallet_owner]
    usd = np.where(hires, 1_600.0, 340.0) * np.exp(rng.normal(0.0, 0.6, len(cast.wallet_owner)))
    coins = usd / prices[0] * COIN_UNIT
    tokens = np.maximum(np.round(usd / 10.0), 1.0) * 10.0 * TOKEN_UNIT
    return np.where(cast.wallet_chain == TOKEN, tokens, coins).astype(np.int64)


def _walk(
    cast: Cast,
    plan: Plan,
    *,
    fixed: list[int],
    chunk: list[int],
    delays: list[int],
    extra: list[float],
    day_price: list[float],
) -> Payments:
    """Walk through the plan with the balance of every wallet; a top-up is a row of its own, hours earlier."""
    funding = [ROLES[r].funding for r in cast.role[cast.wallet_owner].tolist()]
    chains = cast.wallet_chain.tolist()
    home = cast.main[cast.home[cast.wallet_owner], cast.wallet_chain].tolist()
    balance = [0] * len(cast.wallet_owner)
    paid_by_mark: dict[int, tuple[int, int]] = {}
    rows: list[tuple[int, int, int, int, int, bool, int]] = []
    columns = zip(
        plan.time.tolist(),
        plan.payer.tolist(),
        plan.payee.tolist(),
        plan.share.tolist(),
        plan.tag.tolist(),
        plan.mark.tolist(),
        plan.link.tolist(),
        plan.cut.tolist(),
        plan.cross.tolist(),
        fixed,
        delays,
        extra,
        strict=True,
    )
    for time, payer, payee, share, tag, mark, link, cut, cross, raw, delay, more in columns:
        chain, how, held = chains[payer], funding[payer], balance[payer]
        fee = _FEE_SAT if chain == UTXO else 0
        amount = raw
        if share > 0.0:
            amount = int(held * share) - fee
        elif link >= 0:
            paid, asset = paid_by_mark.get(link, (0, chain))
            amount = int(_convert(paid, asset, chain, day_price[time // DAY]) * (1.0 - cut))
        if amount < (1 if raw else _SMALLEST[chain]):
            continue
        missing = amount + fee - held
        if missing > 0 and how == "buy":
            bought = max(int(missing * (1.0 + 0.2 * more)) + 1, int(chunk[payer] * (0.5 + more)))
            if chain == TOKEN:
                bought = -(-bought // _ROUND_SUM) * _ROUND_SUM
            rows.append((max(time - delay, FIRST - 60), home[payer], payer, bought, -1, False, -1))
            balance[home[payer]] -= bought
            balance[payer] += bought
        elif missing > 0 and how == "have":
            amount = held - fee
            if amount < _SMALLEST[chain]:
                continue
        rows.append((time, payer, payee, amount, tag, share >= 1.0, cross))
        balance[payer] -= amount + fee
        balance[payee] += amount
        if mark >= 0:
            paid_by_mark[mark] = (amount, chain)
    columns_out = [np.array(column) for column in zip(*rows, strict=True)]
    return Payments(*columns_out)


def _convert(raw: int, asset: int, into: int, price: float) -> float:
    """Return an amount of one asset in raw units of another: both coins count alike, a token is a dollar."""
    if (asset == TOKEN) == (into == TOKEN):
        return raw
    dollars = price * TOKEN_UNIT / COIN_UNIT
    return raw * dollars if into == TOKEN else raw / dollars


def _fund_services(rng: np.random.Generator, cast: Cast, moved: Payments, prices: Floats) -> Settled:
    """Give services what they need: houses a float, exchanges weekly transfers with cold storage."""
    coin = int(COIN_UNIT / prices[0])
    unit = {UTXO: coin, TOKEN: TOKEN_UNIT, WRAPPED: coin}  # one dollar
    parts = [moved]
    houses = [o for o in range(cast.owners) if ROLES[cast.role[o]].funding == "reserve"]
    exchanges = [o for o in houses if cast.cold[o].max() >= 0]
    for chain in _ASSETS:
        for owner in houses:
            wallet = int(cast.main[owner, chain])
            if owner in exchanges or wallet < 0 or ROLES[cast.role[owner]].name in _OWN_FUNDS:
                continue
            if chain == WRAPPED and not np.isin(wallet, moved.payer):
                continue
            once = ROLES[cast.role[owner]].name in _ONE_DEPOSIT_EACH
            late = DAY if chain == UTXO else LATEST_SWEEP if once else _LATEST
            need = -_lowest(moved, wallet, late) + 500 * unit[chain]
            lender = int(cast.main[exchanges[owner % len(exchanges)], chain])
            parts.append(_one(3600 + 60 * (owner % 50), lender, wallet, need * 21 // 20))
    moved = _sort(parts)
    grants: list[tuple[int, int]] = []
    parts = [moved]
    for chain in _ASSETS:
        for owner in exchanges:
            hot, cold = int(cast.main[owner, chain]), int(cast.cold[owner, chain])
            buffer = 15_000 * unit[chain]
            if chain == UTXO:
                buffer += _FEE_AT_MOST * int(np.sum(moved.payer == hot))
            refills, given = _manage_reserve(rng, moved, hot, cold, buffer, on_token=chain != UTXO)
            parts.append(refills)
            grants.append((cold, given))
    return Settled(_sort(parts), tuple(grants))


def _lowest(moved: Payments, wallet: int, late: int) -> int:
    """Return the lowest sum, from 0 or below, in a wallet that starts empty and gets its deposits so late."""
    rows = (moved.payer == wallet) | (moved.payee == wallet)
    delay = np.where((moved.tag[rows] >= 0) & (moved.payee[rows] == wallet), late, 0)
    order = np.argsort(moved.time[rows] + delay, kind="stable")
    rows = np.flatnonzero(rows)[order]
    sums = np.cumsum(np.where(moved.payee[rows] == wallet, moved.amount[rows], -moved.amount[rows]))
    return int(min(0, sums.min())) if len(sums) else 0


def _manage_reserve(
    rng: np.random.Generator, moved: Payments, hot: int, cold: int, buffer: int, *, on_token: bool
) -> tuple[Payments, int]:
    """Plan weekly transfers between a hot and a cold wallet; return them and the cold one's first balance."""
    rows = (moved.payer == hot) | (moved.payee == hot)
    # Deposits on the token chain reach the main wallet with the sweep: counted late, they cannot be missed.
    late = (moved.tag[rows] >= 0) & (moved.payee[rows] == hot) & on_token
    time = moved.time[rows] + np.where(late, _LATEST, 0)
    order = np.argsort(time, kind="stable")
    time = time[order]
    delta = np.where(moved.payee[rows] == hot, moved.amount[rows], -moved.amount[rows])[order]
    held, stored, least = 0, 0, 0
    parts: list[Payments] = []
    for week in range(-(-END // _WEEK)):
        here = delta[(time >= week * _WEEK) & (time < (week + 1) * _WEEK)]
        sums = np.cumsum(here)
        low = int(min(0, sums.min())) if len(sums) else 0
        at = 60 if week == 0 else week * _WEEK - int(rng.integers(3_600, 40_000))
        spare = held + low - buffer
        if spare < 0:
            amount = int(-spare * 1.1) + 1
            parts.append(_one(at, cold, hot, amount))
            held += amount
            stored -= amount
        elif spare > 2 * buffer:
            parts.append(_one(at, hot, cold, spare - buffer))
            held -= spare - buffer
            stored += spare - buffer
        least = min(least, stored)
        held += int(here.sum())
    return _sort(parts), int(-least * 1.02) + buffer


def _one(time: int, payer: int, payee: int, amount: int) -> Payments:
    return Payments(
        np.array([time]),
        np.array([payer]),
        np.array([payee]),
        np.array([amount]),
        np.array([-1]),
        np.array([False]),
        np.array([-1]),
    )


def _sort(parts: Sequence[Payments]) -> Payments:
    whole = Payments(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Payments)}
    )
    return whole.take(np.argsort(whole.time, kind="stable"))
