"""Services: sweeping deposit addresses, paying miners, and what an open case does to wallets afterwards."""

import numpy as np

from datasets.simulate.agents.trades import draw_owner_times
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, DAYS, Ints, draw_delays, make_generator
from datasets.simulate.plan import Plan, draw_tickets, make_plan


def sweep_deposits(seed: int, cast: Cast, every: int) -> list[Plan]:
    """Plan how services gather deposits into their main wallets on the UTXO chain, every `every` seconds."""
    rng = make_generator(seed, "sweeps")
    plans: list[Plan] = []
    for owner in np.flatnonzero((cast.deposit[:, UTXO] >= 0) & (cast.deposit[:, UTXO] != cast.main[:, UTXO])):
        time = np.arange(every, DAYS * DAY, every) + rng.integers(0, every // 4)
        rows = len(time)
        plans.append(
            make_plan(
                time,
                np.full(rows, cast.deposit[owner, UTXO]),
                np.full(rows, cast.main[owner, UTXO]),
                share=np.ones(rows),
            )
        )
    return plans


def pay_miners(seed: int, cast: Cast) -> list[Plan]:
    """Plan the pool's payouts to its miners, once a week."""
    rng = make_generator(seed, "miners")
    miners = cast.of("miner")
    times = np.arange(3.0 * DAY, DAYS * DAY, 7.0 * DAY).astype(np.int64)
    part = rng.dirichlet(np.full(len(miners), 1.5))
    owner = np.tile(miners, len(times))
    pool = np.full(len(owner), cast.main[cast.of("mining_pool")[0], UTXO])
    usd = np.tile(part, len(times)) * 18_000.0 * rng.uniform(0.8, 1.2, len(owner))
    return [make_plan(np.repeat(times, len(miners)), pool, cast.main[owner, UTXO], usd=usd)]


def process_payments(seed: int, cast: Cast) -> list[Plan]:
    """Plan sales that merchants and freelancers take through a processor, settled once a week."""
    rng = make_generator(seed, "processor")
    plans: list[Plan] = []
    processor = int(cast.of("payment_processor")[0])
    for chain in (UTXO, TOKEN):
        sellers = cast.on(chain, "merchant", "freelancer", "vendor_shop", "charity")
        sellers = sellers[rng.random(len(sellers)) < 0.3]
        counts = rng.poisson(10.0, len(sellers))
        rows = np.repeat(sellers, counts)
        people = cast.on(chain, "person")
        payer = people[(rng.random(len(rows)) * len(people)).astype(np.int64)]
        time = draw_owner_times(rng, cast, rows)
        full = np.ones(len(rows))
        usd = draw_tickets(rng, 60.0 * full, 0.8 * full, 0.3 * full)
        wallet = np.full(len(rows), cast.deposit[processor, chain])
        plans.append(
            make_plan(
                time, cast.main[payer, chain], wallet, usd=usd, tag=np.arange(len(rows)) + cast.owners * 4
            )
        )
        week = time // (7 * DAY)
        order = np.lexsort((time, week, rows))
        rows, week, usd = rows[order], week[order], usd[order]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (rows[1:] != rows[:-1]) | (week[1:] != week[:-1])
        first = np.flatnonzero(new)
        if not len(first):
            continue
        paid = (week[first] + 1) * 7 * DAY + 6 * 3600
        hot = np.full(len(first), cast.main[processor, chain])
        plans.append(
            make_plan(paid, hot, cast.main[rows[first], chain], usd=np.add.reduceat(usd, first) * 0.99)
        )
    return plans


def react_to_cases(seed: int, cast: Cast, *, closed: Ints, seized: Ints, dusted: Ints) -> list[Plan]:
    """Plan what follows a public case: the authority sweeps wallets, and strangers send dust.

    `closed` is the second at which each owner's case became public (−1: never); `seized` and `dusted` are
    owners. None of it happens before the case is public.
    """
    rng = make_generator(seed, "aftermath")
    authority = int(cast.of("authority")[0])
    plans: list[Plan] = []
    for chain in (UTXO, TOKEN):
        swept = seized[cast.main[seized, chain] >= 0]
        time = closed[swept] + draw_delays(rng, 30.0, 0.5, len(swept))
        plans.append(
            make_plan(
                time,
                cast.main[swept, chain],
                np.full(len(swept), cast.main[authority, chain]),
                share=np.ones(len(swept)),
            )
        )
        target = np.repeat(dusted[cast.main[dusted, chain] >= 0], 2)
        people = cast.on(chain, "person")
        curious = people[(rng.random(len(target)) * len(people)).astype(np.int64)]
        later = closed[target] + draw_delays(rng, 40.0, 0.7, len(target))
        plans.append(
            make_plan(
                later,
                cast.main[curious, chain],
                cast.main[target, chain],
                usd=rng.uniform(0.35, 0.9, len(target)),
            )
        )
    return plans
