"""Darknet markets: orders into escrow, withdrawals by sellers of drugs and of other things, refunds."""

import numpy as np

from datasets.simulate.agents.targets import list_crowd
from datasets.simulate.agents.trades import draw_owner_times
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, END, Floats, Ints, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, draw_tickets, make_plan

_COMMISSION = 0.05
_TOURISTS = ("freelancer", "p2p_trader", "merchant", "remittance_agent", "scam", "family", "payroll_office")


def trade_on_markets(seed: int, dials: Dials, cast: Cast) -> list[Plan]:
    """Plan orders, the sellers' withdrawals and refunds of all markets on both chains.

    An order waits in escrow for some days; what was released since the last withdrawal is then paid out,
    less the market's commission. Customers who are not in the trade withdraw now and then as well.
    """
    rng = make_generator(seed, "markets")
    markets = cast.of("darknet_market")
    plans: list[Plan] = []
    for chain in (UTXO, TOKEN):
        sellers = np.concatenate([cast.on(chain, "drug_vendor"), cast.on(chain, "fraud_seller")])
        # The first market is the biggest; a seller stays with one, some open on a second.
        share = np.array([0.4, 0.33, 0.27])[: len(markets)]
        first = rng.choice(len(markets), size=len(sellers), p=share / share.sum())
        second = np.where(rng.random(len(sellers)) < 0.25, rng.choice(len(markets), size=len(sellers)), first)
        rate = cast.habit["per_day"][sellers] * cast.size[sellers]
        span = cast.end[sellers] - cast.start[sellers]
        counts = np.minimum(rng.poisson(np.clip(rate * span, 2.0, 120.0)), 120)
        which = np.repeat(np.arange(len(sellers)), counts)
        seller = sellers[which]
        market = markets[np.where(rng.random(len(which)) < 0.75, first[which], second[which])]
        buyers = list_crowd(cast, "buyers", chain)
        buyer = buyers[(len(buyers) * rng.random(len(which)) ** 1.3).astype(np.int64)]
        usd = draw_tickets(
            rng, cast.habit["ticket"][seller], cast.habit["sigma"][seller], cast.habit["rounded"][seller]
        )
        time = draw_owner_times(rng, cast, seller)
        order = np.arange(len(which))
        plans.append(
            make_plan(
                time,
                cast.main[buyer, chain],
                cast.deposit[market, chain],
                usd=usd,
                tag=order + cast.owners * 2,
            )
        )
        refunded = rng.random(len(which)) < dials.market_refunds
        kept = ~refunded
        back = time + draw_delays(rng, 90.0, 0.5, len(which))
        plans.append(
            make_plan(
                back[refunded],
                cast.main[market, chain][refunded],
                cast.main[buyer, chain][refunded],
                usd=usd[refunded] * rng.uniform(0.5, 1.0, int(refunded.sum())),
            )
        )
        plans.append(
            _withdraw(
                rng,
                cast,
                chain,
                seller=seller[kept],
                market=market[kept],
                time=time[kept],
                usd=usd[kept],
            )
        )
        plans.append(_visit(rng, cast, chain, tourists=dials.market_tourists))
    return plans


def _withdraw(
    rng: np.random.Generator, cast: Cast, chain: int, *, seller: Ints, market: Ints, time: Ints, usd: Floats
) -> Plan:
    """Plan one withdrawal per seller, market and period, of all orders released in it."""
    released = time + draw_delays(rng, 80.0, 0.4, len(time))
    every = np.clip(cast.habit["every"], 2.0, 30.0)
    period = (released / (every[seller] * DAY)).astype(np.int64)
    if not len(seller):
        return make_plan(time, seller, market)
    order = np.lexsort((released, period, market, seller))
    seller, market, period, released, usd = (
        seller[order],
        market[order],
        period[order],
        released[order],
        usd[order],
    )
    new = np.ones(len(seller), dtype=bool)
    new[1:] = (seller[1:] != seller[:-1]) | (market[1:] != market[:-1]) | (period[1:] != period[:-1])
    first = np.flatnonzero(new)
    sums = np.add.reduceat(usd, first)
    last = np.append(first[1:], len(seller)) - 1
    due = released[last] + draw_delays(rng, 12.0, 0.9, len(first))
    return make_plan(
        np.minimum(due, END),
        cast.main[market[first], chain],
        cast.main[seller[first], chain],
        usd=sums * (1.0 - _COMMISSION),
    )


def _visit(rng: np.random.Generator, cast: Cast, chain: int, *, tourists: float) -> Plan:
    """Plan withdrawals to owners outside the trade, who took a market's coins for a sale or a debt."""
    owners = cast.on(chain, *_TOURISTS)
    some = owners[rng.random(len(owners)) < tourists]
    owner = np.repeat(some, 1 + rng.poisson(2.0, len(some)))
    markets = cast.of("darknet_market")
    market = markets[(rng.random(len(owner)) * len(markets)).astype(np.int64)]
    full = np.ones(len(owner))
    return make_plan(
        draw_owner_times(rng, cast, owner),
        cast.main[market, chain],
        cast.main[owner, chain],
        usd=draw_tickets(rng, 160.0 * full, 0.9 * full, 0.4 * full),
    )
