"""How the drug trade and those like it hide, and how the trade's habits change over the year."""

from dataclasses import replace

import numpy as np

from datasets.simulate.agents.swaps import go_over, swap_and_pay
from datasets.simulate.agents.targets import pick_service, pick_usual
from datasets.simulate.agents.trades import MIXER_FEE
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import ROTATION, TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, END, Floats, Ints, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, join_plans, make_plan

_TICKETS_FALL = 0.7  # logarithm: by half, at a drift of 1 and at the end of the year
_RHYTHM_GONE = 0.5
_OUTLETS_CHANGED = 0.33  # of payouts: to other dealers, pools and bridges
_EVENING = 10  # hour (UTC) from which it is afternoon and evening where people live
_MARKS = 1 << 34
_STRAIGHT = 0.25  # share of emptied wallets whose money goes to an exchange and not to the main wallet
_HALF = 0.5  # share of receipts at such wallets where nobody hides
_BIG = 40.0  # US dollars below which nobody splits a receipt


def change_habits(seed: int, dials: Dials, cast: Cast, plan: Plan) -> Plan:
    """Let the tickets of the trade fall and its evenings and weekends fade, day by day, by the drift.

    What a market takes in and what it pays its sellers change alike.
    """
    if dials.drift <= 0.0:
        return plan
    rng = make_generator(seed, "drift")
    rows = _receipts(cast, plan)
    rows |= cast.is_role(cast.wallet_owner[plan.payee], "darknet_market") & (plan.usd > 0.0)
    reached = dials.drift * plan.time / END
    smaller = plan.usd * np.exp(-_TICKETS_FALL * reached)
    listed = np.isclose(plan.usd % 5.0, 0.0)
    smaller = np.where(listed, np.maximum(np.round(smaller / 5.0), 1.0) * 5.0, np.round(smaller, 2))
    # A market's payout of many orders, and refunds, fall as the orders did.
    usd = np.where(rows & (plan.usd > 0.0), np.maximum(smaller, 2.0), plan.usd)
    moved = rows & (rng.random(len(plan)) < _RHYTHM_GONE * reached)
    late = (plan.time // 3600) % 24 >= _EVENING
    time = np.where(moved & late, plan.time - rng.integers(6 * 3600, 10 * 3600, len(plan)), plan.time)
    weekend = np.isin((time // DAY) % 7, (5, 6))
    time = np.where(moved & weekend, time + rng.integers(2, 6, len(plan)) * DAY, time)
    return _ordered(replace(plan, usd=usd, time=time))


def split_receipts(seed: int, dials: Dials, cast: Cast, plan: Plan) -> Plan:
    """Let customers pay a part of what they owe now and the rest later, more often to those who hide."""
    rng = make_generator(seed, "parts")
    payee = cast.wallet_owner[plan.payee]
    sale = (plan.usd >= _BIG) & (plan.mark < 0) & (plan.link < 0) & (plan.tag < 0)
    sale &= ~cast.is_role(cast.wallet_owner[plan.payer], "darknet_market") & (
        cast.habit["per_day"][payee] > 0.0
    )
    chance = np.where(cast.hiding[payee], max(dials.split, dials.parts), dials.parts)
    rows = np.flatnonzero(sale & (rng.random(len(plan)) < chance))
    part = rng.uniform(0.35, 0.65, len(rows))
    usd = plan.usd.copy()
    usd[rows] = np.round(plan.usd[rows] * part, 2)
    rest = plan.take(rows)
    later = replace(
        rest,
        usd=np.round(rest.usd - usd[rows], 2),
        time=rest.time + draw_delays(rng, 5.0, 0.9, len(rows)),
    )
    return _ordered(join_plans([replace(plan, usd=usd), later]))


def hide_payments(seed: int, dials: Dials, cast: Cast, plan: Plan, blocks: Blocks) -> Plan:
    """Put payouts of those who hide off, split them, lead them through mixers, pools and bridges; and
    receive at wallets that are in use for a while only."""
    rng = make_generator(seed, "evasion")
    plan = _hide_payouts(rng, dials, cast, plan, blocks)
    return _receive_fresh(rng, dials, cast, plan)


def _hide_payouts(rng: np.random.Generator, dials: Dials, cast: Cast, plan: Plan, blocks: Blocks) -> Plan:
    owner = cast.wallet_owner[plan.payer]
    chain = cast.wallet_chain[plan.payer]
    paying = cast.hiding[owner] & (plan.share > 0.0) & (plan.share < 1.0) & (plan.mark < 0) & (plan.link < 0)
    paying &= (chain <= TOKEN) & (plan.payer == cast.main[owner, chain])
    rows = np.flatnonzero(paying)
    payouts = plan.take(rows)
    owner, chain = owner[rows], chain[rows]
    changed = dials.drift * _OUTLETS_CHANGED * payouts.time / END * cast.trade[owner]
    put_off = (rng.exponential(dials.delay, len(rows)) * DAY).astype(np.int64) if dials.delay > 0.0 else 0
    payouts = replace(payouts, time=payouts.time + put_off)
    chances = np.stack(
        [
            np.where(chain == UTXO, dials.mixed, 0.0),
            np.where(chain == TOKEN, dials.swapped, 0.0) + 0.3 * changed * (chain == TOKEN),
            dials.bridged + 0.3 * changed,
            0.4 * changed,
        ],
        axis=1,
    )
    way = (rng.random(len(rows))[:, None] > np.cumsum(chances, axis=1)).sum(axis=1)
    ways = [np.flatnonzero(way == number) for number in range(5)]
    target = cast.wallet_owner[payouts.payee]
    target = np.where(cast.is_role(target, "exchange", "mixer", "person"), -1, target)
    dealer = np.full(len(rows), -1)
    for on in (UTXO, TOKEN):
        traders = cast.on(on, "p2p_trader")
        dealer = np.where(chain == on, cast.main[pick_usual(rng, owner, traders), on], dealer)
    straight = payouts.take(np.sort(np.concatenate([ways[3], ways[4]])))
    other = np.isin(np.sort(np.concatenate([ways[3], ways[4]])), ways[3])
    straight = replace(
        straight,
        payee=np.where(other, dealer[np.sort(np.concatenate([ways[3], ways[4]]))], straight.payee),
        tag=np.where(other, -1, straight.tag),
    )
    swapped, crossed = payouts.take(ways[1]), payouts.take(ways[2])
    plans = [
        plan.take(~paying),
        *_split(rng, dials, straight),
        *_mix(rng, cast, payouts.take(ways[0]), owner[ways[0]]),
        *swap_and_pay(
            rng,
            cast,
            owner[ways[1]],
            time=swapped.time,
            share=swapped.share,
            target=target[ways[1]],
            hours=8.0 + 24.0 * dials.delay,
            first=_MARKS,
        ),
        *go_over(
            rng,
            cast,
            owner[ways[2]],
            chain=chain[ways[2]],
            time=crossed.time,
            share=crossed.share,
            target=target[ways[2]],
            apart=0.6,
            first=2 * _MARKS,
            blocks=blocks,
        ),
    ]
    return join_plans([_valid(part) for part in plans])


def _split(rng: np.random.Generator, dials: Dials, payouts: Plan) -> list[Plan]:
    """Split some payouts into two or three parts of the same balance, hours to days apart."""
    parts = np.where(rng.random(len(payouts)) < dials.split, 2 + (rng.random(len(payouts)) < 0.4), 1)
    rows = np.repeat(np.arange(len(payouts)), parts)
    nth = np.arange(len(rows)) - (np.cumsum(parts) - parts)[rows]
    share = 1.0 - (1.0 - payouts.share[rows]) ** (1.0 / parts[rows])
    whole = payouts.take(rows)
    waits = nth * draw_delays(rng, 9.0, 0.8, len(rows))
    return [replace(whole, share=np.clip(share, 0.01, 0.99), time=whole.time + waits)]


def _mix(rng: np.random.Generator, cast: Cast, payouts: Plan, owner: Ints) -> list[Plan]:
    """Lead payouts through the mixer to the wallet kept apart, and from there to whom they were meant for."""
    rows = len(payouts)
    mixer = int(cast.of("mixer")[0])
    mark = 3 * _MARKS + np.arange(rows)
    back = payouts.time + draw_delays(rng, 14.0, 0.9, rows)
    aside = cast.aside[owner, UTXO]
    return [
        make_plan(
            payouts.time,
            payouts.payer,
            np.full(rows, cast.deposit[mixer, UTXO]),
            share=payouts.share,
            tag=mark,
            mark=mark,
        ),
        make_plan(back, np.full(rows, cast.main[mixer, UTXO]), aside, link=mark, cut=MIXER_FEE),
        make_plan(
            back + draw_delays(rng, 40.0, 0.8, rows),
            aside,
            payouts.payee,
            share=rng.uniform(0.6, 0.99, rows),
            tag=np.where(payouts.tag >= 0, owner + cast.owners, -1),
        ),
    ]


def _receive_fresh(rng: np.random.Generator, dials: Dials, cast: Cast, plan: Plan) -> Plan:
    """Lead receipts of main wallets to the wallet in use at the time, which is emptied some time later."""
    payer, owner = cast.wallet_owner[plan.payer], cast.wallet_owner[plan.payee]
    chain = cast.wallet_chain[plan.payee]
    on = np.minimum(chain, TOKEN)
    hides = cast.hiding & (dials.fresh > 0.0)
    chance = np.where(hides[owner], dials.fresh, _HALF)
    chosen = (chain <= TOKEN) & (plan.payee == cast.main[owner, on]) & (cast.fresh_many[owner, on] > 0)
    chosen &= (payer != owner) & (plan.link < 0) & (plan.tag < 0) & (rng.random(len(plan)) < chance)
    rows = np.flatnonzero(chosen)
    owner, on, time = owner[rows], on[rows], plan.time[rows]
    many = cast.fresh_many[owner, on]
    days = np.where(hides[owner], dials.rotation, ROTATION)
    turn = ((time - cast.start[owner] * DAY) / (days * DAY)).astype(np.int64)
    wallet = cast.fresh[owner, on] + np.clip(turn, 0, many - 1)
    payee = plan.payee.copy()
    payee[rows] = wallet
    wait = draw_delays(rng, 14.0, 0.9, len(rows)) + _days(rng, dials.delay, len(rows)) * cast.hiding[owner]
    straight = rng.random(len(rows)) < _STRAIGHT
    service = pick_service(rng, cast, owner)
    emptied = make_plan(
        time + wait,
        wallet,
        np.where(straight, cast.deposit[service, on], cast.main[owner, on]),
        share=np.full(len(rows), 0.99),
        # Who hides has accounts at exchanges in the names of others: a tag beyond all owners.
        tag=np.where(straight, np.where(hides[owner], cast.owners * 8 + wallet, owner), -1),
    )
    return join_plans([replace(plan, payee=payee), emptied])


def _days(rng: np.random.Generator, mean: float, rows: int) -> Ints:
    seconds: Floats = rng.exponential(1.0, rows) * mean * DAY
    return seconds.astype(np.int64)


def _receipts(cast: Cast, plan: Plan) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Tell which rows are receipts of the trade, of a sum of their own: sales, orders, withdrawals."""
    return cast.trade[cast.wallet_owner[plan.payee]] & (plan.usd > 0.0) & (plan.link < 0)


def _valid(plan: Plan) -> Plan:
    return plan.take((plan.time >= 0) & (plan.time < END))


def _ordered(plan: Plan) -> Plan:
    """Put the rows in order of time again, those beyond the year left out."""
    plan = _valid(plan)
    return plan.take(np.argsort(plan.time, kind="stable"))
