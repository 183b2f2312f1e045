"""Swaps at a pool and crossings of a bridge, and what the owner then does with the money."""

from typing import TypeVar

import numpy as np

from datasets.simulate.agents.targets import pick_service
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import TOKEN, UTXO, WRAPPED, Cast
from datasets.simulate.clock import END, FIRST, Floats, Ints, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, draw_tickets, join_plans, make_plan

SWAP_FEE = 0.003
BRIDGE_FEE = 0.002
_HOLDERS = ("person", "fraud_victim", "freelancer", "p2p_trader")
_BACK = 0.6  # share of those who swapped for themselves who swap back
_AWAY = 0.7  # share of what came over a bridge as wrapped coins that is swapped for dollars
_Column = TypeVar("_Column", Ints, Floats)
_SETTLING = ("dex", "bridge", "exchange")


def swap(
    cast: Cast,
    time: Ints,
    *,
    token: Ints,
    wrapped: Ints,
    pool: Ints,
    mark: Ints,
    back: bool = False,
    share: Floats | None = None,
    usd: Floats | None = None,
) -> Plan:
    """Plan swaps: what goes in and what comes out stand in two rows, one after the other, at one time.

    `token` and `wrapped` are the two wallets of one account. It pays dollars, or with `back` wrapped coins.
    """
    first, second = (wrapped, token) if back else (token, wrapped)
    asset, other = (WRAPPED, TOKEN) if back else (TOKEN, WRAPPED)
    none, nothing = np.full(len(time), -1), np.zeros(len(time))
    return make_plan(
        _pair(time, time),
        _pair(first, cast.main[pool, other]),
        _pair(cast.main[pool, asset], second),
        share=None if share is None else _pair(share, nothing),
        usd=None if usd is None else _pair(usd, nothing),
        mark=_pair(mark, none),
        link=_pair(none, mark),
        cut=_pair(nothing, nothing + SWAP_FEE),
    )


def cross(
    rng: np.random.Generator,
    cast: Cast,
    time: Ints,
    *,
    source: Ints,
    target: Ints,
    house: Ints,
    from_utxo: bool,
    share: Floats,
    mark: Ints,
    blocks: Blocks,
) -> tuple[Plan, Ints]:
    """Plan crossings by a bridge, and return them with the times at which they came out.

    The bridge pays minutes to hours after it was paid: after the block, where that was on the UTXO chain.
    """
    into, out = (UTXO, WRAPPED) if from_utxo else (WRAPPED, UTXO)
    seen = blocks.seen(time) if from_utxo else time
    later = seen + 300 + np.minimum(draw_delays(rng, 0.7, 0.9, len(time)), 20 * 3600)
    paid = make_plan(time, source, cast.main[house, into], share=share, mark=mark)
    got = make_plan(later, cast.main[house, out], target, link=mark, cut=BRIDGE_FEE)
    return join_plans([paid, got]), later


def speculate(seed: int, cast: Cast, payments: int, blocks: Blocks) -> list[Plan]:
    """Plan `payments` swaps and half as many crossings of ordinary people, for their own purposes."""
    rng = make_generator(seed, "swaps")
    holders = cast.on(TOKEN, *_HOLDERS)
    owner = holders[(len(holders) * rng.random(payments) ** 1.4).astype(np.int64)]
    time = rng.integers(FIRST, END, payments)
    full = np.ones(payments)
    mark = (1 << 32) + np.arange(payments)
    usd = draw_tickets(rng, 140.0 * full, 0.9 * full, 0.4 * full)
    plans = [
        swap(
            cast,
            time,
            token=cast.main[owner, TOKEN],
            wrapped=cast.main[owner, WRAPPED],
            pool=_pick_house(rng, cast, "dex", owner),
            usd=usd,
            mark=mark,
        ),
        *_spend(rng, cast, owner, time, hours=90.0, mark=mark + (1 << 31)),
    ]
    both = cast.on(UTXO, *_HOLDERS)
    both = both[cast.main[both, TOKEN] >= 0]
    if len(both):
        owner = both[(len(both) * rng.random(payments // 2) ** 1.2).astype(np.int64)]
        chain = np.where(rng.random(len(owner)) < 0.5, UTXO, TOKEN)
        plans += go_over(
            rng,
            cast,
            owner,
            chain=chain,
            time=rng.integers(FIRST, END, len(owner)),
            share=rng.uniform(0.3, 0.9, len(owner)),
            target=np.full(len(owner), -1),
            apart=0.0,
            first=1 << 33,
            blocks=blocks,
        )
    return plans


def swap_and_pay(
    rng: np.random.Generator,
    cast: Cast,
    owner: Ints,
    *,
    time: Ints,
    share: Floats,
    target: Ints,
    hours: float,
    first: int,
) -> list[Plan]:
    """Plan swaps into wrapped coins that then go to the owner `target`; −1: back again, or to the exchange.

    Marks are taken from `first` on, three a row.
    """
    mark = first + np.arange(len(owner))
    swapped = swap(
        cast,
        time,
        token=cast.main[owner, TOKEN],
        wrapped=cast.main[owner, WRAPPED],
        pool=_pick_house(rng, cast, "dex", owner),
        share=share,
        mark=mark,
    )
    known = np.flatnonzero((target >= 0) & (cast.main[target, WRAPPED] >= 0))
    rest = np.setdiff1d(np.arange(len(owner)), known)
    when = time + draw_delays(rng, hours, 1.0, len(owner))
    paid = make_plan(
        when[known],
        cast.main[owner[known], WRAPPED],
        cast.main[target[known], WRAPPED],
        share=rng.uniform(0.9, 0.99, len(known)),
    )
    own = _spend(rng, cast, owner[rest], time[rest], hours=hours, mark=mark[rest] + len(owner))
    return [swapped, paid, *own]


def go_over(
    rng: np.random.Generator,
    cast: Cast,
    owner: Ints,
    *,
    chain: Ints,
    time: Ints,
    share: Floats,
    target: Ints,
    apart: float,
    first: int,
    blocks: Blocks,
) -> list[Plan]:
    """Plan crossings to an own wallet on the other chain, from which `target` (−1: an exchange) is paid.

    Who has a usual wallet there uses it, but for a share `apart`. Marks are taken from `first` on, four each.
    """
    plans: list[Plan] = []
    rows = np.arange(len(owner))
    mark = first + 4 * rows
    house = _pick_house(rng, cast, "bridge", owner)
    away = rng.random(len(owner)) < apart
    for start in (UTXO, TOKEN):
        other = TOKEN if start == UTXO else UTXO
        near = cast.main[owner, other] >= 0
        kept = away & (cast.aside[owner, other] >= 0) | ~near
        here = np.flatnonzero((chain == start) & (near | (cast.aside[owner, other] >= 0)))
        if not len(here):
            continue
        who, moment, hidden = owner[here], time[here], kept[here]
        lands = np.where(hidden[:, None], cast.aside[who], cast.main[who])
        if start == TOKEN:
            plans.append(
                swap(
                    cast,
                    moment,
                    token=cast.main[who, TOKEN],
                    wrapped=cast.main[who, WRAPPED],
                    pool=_pick_house(rng, cast, "dex", who),
                    share=share[here],
                    mark=mark[here],
                )
            )
            moment = moment + draw_delays(rng, 1.5, 1.0, len(here))
        crossed, out = cross(
            rng,
            cast,
            moment,
            source=cast.main[who, UTXO if start == UTXO else WRAPPED],
            target=lands[:, WRAPPED if start == UTXO else UTXO],
            house=house[here],
            from_utxo=start == UTXO,
            share=share[here] if start == UTXO else np.full(len(here), 0.98),
            mark=mark[here] + 1,
            blocks=blocks,
        )
        plans.append(crossed)
        asset = np.full(len(here), other)
        if start == UTXO:
            changed = rng.random(len(here)) < _AWAY
            asset = np.where(changed, TOKEN, WRAPPED)
            plans.append(
                swap(
                    cast,
                    out[changed] + draw_delays(rng, 2.0, 1.0, int(changed.sum())),
                    token=lands[changed, TOKEN],
                    wrapped=lands[changed, WRAPPED],
                    pool=_pick_house(rng, cast, "dex", who[changed]),
                    share=np.full(int(changed.sum()), 0.98),
                    back=True,
                    mark=mark[here][changed] + 2,
                )
            )
        service = pick_service(rng, cast, who)
        goal = np.where(target[here] >= 0, cast.main[target[here], asset], -1)
        # The customer of record of a wallet kept apart is somebody else: a tag beyond all owners.
        plans.append(
            make_plan(
                out + draw_delays(rng, 40.0, 0.8, len(here)) + 6 * 3600,
                lands[np.arange(len(here)), asset],
                np.where(goal >= 0, goal, cast.deposit[service, asset]),
                share=rng.uniform(0.6, 0.99, len(here)),
                tag=np.where(goal >= 0, -1, np.where(hidden, who + cast.owners, who)),
            )
        )
    return plans


def sell_wrapped(seed: int, dials: Dials, cast: Cast, plan: Plan) -> Plan:
    """Plan how those who were paid in wrapped coins sell them at their exchange within days."""
    rng = make_generator(seed, "wrapped")
    payer, payee = cast.wallet_owner[plan.payer], cast.wallet_owner[plan.payee]
    paid = (cast.wallet_chain[plan.payee] == WRAPPED) & (payer != payee)
    paid &= ~cast.is_role(payer, *_SETTLING) & ~cast.is_role(payee, *_SETTLING)
    rows = np.flatnonzero(paid)
    owner = payee[rows]
    service = pick_service(rng, cast, owner)
    return make_plan(
        plan.time[rows] + draw_delays(rng, 30.0 + 24.0 * dials.delay, 0.8, len(rows)),
        plan.payee[rows],
        cast.deposit[service, WRAPPED],
        share=np.full(len(rows), 0.98),
        tag=owner,
    )


def _spend(
    rng: np.random.Generator, cast: Cast, owner: Ints, time: Ints, *, hours: float, mark: Ints
) -> list[Plan]:
    """Plan what becomes of wrapped coins that were swapped for: back into dollars, or to the exchange."""
    when = time + draw_delays(rng, hours, 1.1, len(owner))
    back = rng.random(len(owner)) < _BACK
    share = rng.uniform(0.8, 0.99, len(owner))
    swapped = swap(
        cast,
        when[back],
        token=cast.main[owner[back], TOKEN],
        wrapped=cast.main[owner[back], WRAPPED],
        pool=_pick_house(rng, cast, "dex", owner[back]),
        share=share[back],
        back=True,
        mark=mark[back],
    )
    service = pick_service(rng, cast, owner)
    sold = make_plan(
        when[~back],
        cast.main[owner[~back], WRAPPED],
        cast.deposit[service[~back], WRAPPED],
        share=share[~back],
        tag=owner[~back],
    )
    return [swapped, sold]


def _pick_house(rng: np.random.Generator, cast: Cast, name: str, owner: Ints) -> Ints:
    """Pick a pool or a bridge for each row: the first is the bigger one."""
    houses = cast.of(name)
    picked: Ints = houses[(len(houses) * rng.random(len(owner)) ** 1.6).astype(np.int64)]
    return picked


def _pair(one: _Column, other: _Column) -> _Column:
    """Put two columns in turn: the first row of one, the first of the other, the second of one…"""
    return np.stack([one, other], axis=1).ravel()
