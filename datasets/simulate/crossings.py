"""Payments between the regions of a big world: agreed on before either of the two is simulated.

Each crossing has its time, its amount, its transaction's hash and the address that is paid, so that the two
regions can be made one after the other and still fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.addresses import draw_programs
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, END, FIRST, Floats, Ints, make_generator
from datasets.simulate.plan import Plan, join_plans, make_plan
from datasets.simulate.roles import NUMBER, ROLES
from datasets.simulate.settle import COIN_UNIT, TOKEN_UNIT

_EXCHANGES = ROLES[NUMBER["exchange"]].count
_MOST_DOORS = 24
_REMITTANCES = 0.002  # for each transfer of a region
_LAST = END - 3 * DAY
_SETTLED_USD, _SENT_USD = 6_000.0, 150.0


@dataclass(frozen=True)
class Crossings:
    """Payments over borders by row: an exchange of the region `source` pays in the region `target`.

    `payer` numbers the exchange, `payee` an exchange (`settling`) or one of the people there. `amount` is in
    raw units. `doors[region, n]` is the account on the token chain of exchange n, or of person n − exchanges.
    """

    time: Ints
    chain: Ints
    source: Ints
    target: Ints
    payer: Ints
    payee: Ints
    settling: NDArray[np.bool_]
    amount: Ints
    hash: NDArray[np.uint8]
    program: NDArray[np.uint8]
    doors: NDArray[np.uint8]


def draw_crossings(seed: int, *, regions: int, transfers: int, prices: Floats) -> Crossings:
    """Draw what crosses the borders of `regions` regions of `transfers` transfers each; none with one region.

    Every exchange settles with one of another region each week, on both chains, and people send money home.
    """
    rng = make_generator(seed, "crossings")
    people = min(_MOST_DOORS, max(1, transfers // 1_500))
    weeks = np.arange(10 * DAY, _LAST, 7 * DAY)
    settled = np.tile(np.arange(2 * _EXCHANGES), len(weeks))
    sent = int(transfers * _REMITTANCES) if regions > 1 else 0
    each = (len(settled) if regions > 1 else 0) + sent
    rows = each * regions
    source = np.repeat(np.arange(regions), each)
    target = (source + 1 + (rng.random(rows) * (regions - 1)).astype(np.int64)) % regions
    settling = np.tile(np.arange(each) < each - sent, regions)
    place = np.tile(np.concatenate([settled, np.zeros(sent, dtype=np.int64)])[:each], regions)
    chain = np.where(settling, place % 2, rng.random(rows) < 0.5)
    week = np.tile(np.concatenate([np.repeat(weeks, 2 * _EXCHANGES), np.zeros(sent)])[:each], regions)
    time = np.where(settling, week + rng.integers(0, DAY, rows), rng.integers(FIRST + DAY, _LAST, rows))
    time = time.astype(np.int64)
    usd = np.where(settling, _SETTLED_USD, _SENT_USD) * np.exp(rng.normal(0.0, 0.7, rows))
    coins = usd / prices[time // DAY] * COIN_UNIT
    payee = np.where(settling, rng.random(rows) * _EXCHANGES, rng.random(rows) * people).astype(np.int64)
    doors = draw_programs(rng, regions * (_EXCHANGES + people)).reshape(regions, -1, 20)
    program = draw_programs(rng, rows).copy()
    on_token = chain == TOKEN
    at = np.where(settling, payee, _EXCHANGES + payee)
    program[on_token] = doors[target[on_token], at[on_token]]
    return Crossings(
        time=time,
        chain=chain.astype(np.int64),
        source=source,
        target=target,
        payer=np.where(settling, place // 2, rng.random(rows) * _EXCHANGES).astype(np.int64),
        payee=payee,
        settling=settling,
        amount=np.where(on_token, np.round(usd, 2) * TOKEN_UNIT, coins).round().astype(np.int64),
        hash=np.frombuffer(rng.bytes(32 * rows), dtype=np.uint8).reshape(rows, 32),
        program=program,
        doors=doors,
    )


def plan_crossings(cast: Cast, crossings: Crossings, region: int, blocks: Blocks) -> Plan:
    """Plan what one region pays to the others, and what they pay it: that a block or a second later."""
    exchanges = cast.of("exchange")
    elsewhere = int(cast.of("elsewhere")[0])
    plans: list[Plan] = []
    for chain in (UTXO, TOKEN):
        outside = int(cast.main[elsewhere, chain])
        out = np.flatnonzero((crossings.source == region) & (crossings.chain == chain))
        plans.append(
            make_plan(
                crossings.time[out],
                cast.main[exchanges[crossings.payer[out]], chain],
                np.full(len(out), outside),
                cross=out,
            )
        )
        into = np.flatnonzero((crossings.target == region) & (crossings.chain == chain))
        time = crossings.time[into]
        people = list_doors(cast, chain, crossings)
        owner = np.where(
            crossings.settling[into],
            exchanges[np.minimum(crossings.payee[into], len(exchanges) - 1)],
            people[np.minimum(crossings.payee[into], len(people) - 1)],
        )
        plans.append(
            make_plan(
                time + 1 if chain == TOKEN else blocks.seen(time) + 1,
                np.full(len(into), outside),
                cast.main[owner, chain],
                cross=into,
            )
        )
    return join_plans(plans)


def list_doors(cast: Cast, chain: int, crossings: Crossings) -> Ints:
    """Return the people of a region whom others may pay on a chain: families first."""
    people = np.concatenate([cast.on(chain, "family"), cast.on(chain, "person")])
    return people[: crossings.doors.shape[1] - _EXCHANGES]


def name_doors(cast: Cast, crossings: Crossings, region: int) -> dict[int, NDArray[np.uint8]]:
    """Return the account on the token chain of each wallet of a region that others pay, by wallet."""
    if not len(crossings.time):
        return {}
    owners = np.concatenate([cast.of("exchange"), list_doors(cast, TOKEN, crossings)])
    wallets = cast.main[owners, TOKEN].tolist()
    return dict(zip(wallets, crossings.doors[region], strict=True))
