"""People: wages, friends, selling coins, gambling, and a few who join their coins for privacy."""

import numpy as np

from datasets.simulate.agents.targets import draw_chains, pick_service, pick_usual
from datasets.simulate.agents.trades import draw_owner_times
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, DAYS, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Join, Plan, draw_tickets, make_plan
from datasets.simulate.roles import HIRED

_INTERVALS = (7.0, 14.0, 30.0)
_INTERVAL_CHANCES = {
    "courier_payout": (0.25, 0.55, 0.2),
    "payroll_office": (0.3, 0.4, 0.3),
    "employer": (0.05, 0.15, 0.8),
}


def pay_wages(seed: int, cast: Cast) -> list[Plan]:
    """Plan wages: the same hands on the same paydays, weekly or monthly, at nearly the same sums."""
    rng = make_generator(seed, "wages")
    plans: list[Plan] = []
    for name, (hands, wage) in HIRED.items():
        for chain in (UTXO, TOKEN):
            payers = cast.on(chain, name)
            every = rng.choice(np.array(_INTERVALS), size=len(payers), p=np.array(_INTERVAL_CHANCES[name]))
            pay = wage * np.exp(rng.normal(0.0, 0.45, len(payers))) * (every / 7.0) ** 0.5
            hired = 2 + rng.poisson(hands * np.clip(cast.size[payers], 0.3, 2.0))
            paydays = np.maximum(((cast.end[payers] - cast.start[payers]) / every).astype(np.int64), 1)
            # One row a payer, then one a hand, then one a hand and payday.
            payer_of_hand = np.repeat(np.arange(len(payers)), hired)
            hand = rng.choice(cast.on(chain, "person"), size=len(payer_of_hand))
            usual = pay[payer_of_hand] * np.exp(rng.normal(0.0, 0.25, len(hand)))
            row = np.repeat(np.arange(len(hand)), paydays[payer_of_hand])
            nth = np.arange(len(row)) - (np.cumsum(paydays[payer_of_hand]) - paydays[payer_of_hand])[row]
            worked = rng.random(len(row)) < 0.9
            row, nth = row[worked], nth[worked]
            payer = payer_of_hand[row]
            hour = rng.uniform(5.0, 15.0, len(payers))
            slip = rng.integers(0, 2, size=(len(payers), DAYS))
            day = np.floor(cast.start[payers[payer]] + (nth + 0.6) * every[payer]) + slip[payer, nth]
            time = (day * DAY + hour[payer] * 3600.0 + rng.random(len(row)) * 1800.0).astype(np.int64)
            changed = np.where(rng.random(len(row)) < 0.7, 1.0, rng.uniform(0.6, 1.3, len(row)))
            usd = np.round(usual[row] * changed, 0)
            plans.append(
                make_plan(time, cast.main[payers[payer], chain], cast.main[hand[row], chain], usd=usd)
            )
    return plans


def live(seed: int, cast: Cast, payments: int) -> list[Plan]:
    """Plan `payments` small payments between people, and half as many sales of coins to an exchange."""
    rng = make_generator(seed, "people")
    people = cast.of("person", "fraud_victim")
    payer = people[(len(people) * rng.random(payments) ** 1.4).astype(np.int64)]
    chain = draw_chains(rng, cast, payer)
    friend = np.where(
        chain == UTXO,
        pick_usual(rng, payer, cast.on(UTXO, "person")),
        pick_usual(rng, payer, cast.on(TOKEN, "person")),
    )
    full = np.ones(payments)
    gifts = make_plan(
        draw_owner_times(rng, cast, payer),
        cast.main[payer, chain],
        cast.main[friend, chain],
        usd=draw_tickets(rng, 45.0 * full, full, 0.4 * full),
    )
    sellers = people[(rng.random(payments // 2) * len(people)).astype(np.int64)]
    on = draw_chains(rng, cast, sellers)
    service = pick_service(rng, cast, sellers)
    sales = make_plan(
        draw_owner_times(rng, cast, sellers),
        cast.main[sellers, on],
        cast.deposit[service, on],
        share=rng.uniform(0.3, 0.95, len(sellers)),
        tag=sellers,
    )
    return [gifts, sales]


def gamble(seed: int, cast: Cast) -> list[Plan]:
    """Plan stakes and winnings: a winner's receipts look like sales."""
    rng = make_generator(seed, "gambling")
    people = cast.of("person")
    houses = cast.of("gambling")
    players = people[rng.random(len(people)) < 0.06]
    player = np.repeat(players, rng.poisson(7.0, len(players)))
    chain = draw_chains(rng, cast, player)
    house = houses[player % len(houses)]
    full = np.ones(len(player))
    usd = draw_tickets(rng, 40.0 * full, 0.9 * full, 0.6 * full)
    time = draw_owner_times(rng, cast, player)
    stakes = make_plan(time, cast.main[player, chain], cast.deposit[house, chain], usd=usd, tag=player)
    won = rng.random(len(player)) < 0.45
    later = time + draw_delays(rng, 9.0, 0.7, len(player))
    winnings = make_plan(
        later[won],
        cast.main[house, chain][won],
        cast.main[player, chain][won],
        usd=usd[won] * rng.uniform(1.2, 2.6, int(won.sum())),
    )
    return [stakes, winnings]


def join_coins(seed: int, dials: Dials, cast: Cast, joins: int) -> list[Join]:
    """Plan CoinJoins: five to twelve wallets of people, traders, vendors, each taking out the same amount."""
    rng = make_generator(seed, "joins")
    dealers = cast.on(UTXO, "drug_vendor", "cash_out_exchanger", "vendor_shop")
    circle = np.concatenate(
        [
            cast.on(UTXO, "person")[::7],
            cast.on(UTXO, "freelancer", "p2p_trader", "fraud_seller")[::4],
            dealers[rng.random(len(dealers)) < dials.joined],
        ]
    )
    planned: list[Join] = []
    for time in np.sort(rng.integers(20 * DAY, DAYS * DAY, size=joins)).tolist():
        size = min(int(rng.integers(5, 13)), len(circle))
        members = rng.choice(circle, size=size, replace=False)
        usd = float(rng.choice(np.array([50.0, 100.0, 250.0])))
        planned.append(Join(int(time), tuple(cast.main[members, UTXO].tolist()), usd))
    return planned
