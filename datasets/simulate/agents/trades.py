"""Trades: receipts from a crowd and payouts, the same code for a drug shop and for its honest doubles."""

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.agents.swaps import go_over, swap_and_pay
from datasets.simulate.agents.targets import (
    draw_chains,
    list_crowd,
    mix_of,
    pick_member,
    pick_service,
    pick_target,
)
from datasets.simulate.blocks import Blocks
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, Floats, Ints, draw_delays, draw_times, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, draw_tickets, make_plan
from datasets.simulate.roles import ROLES

_LONGEST_LIST = 16
_MARKS = 1 << 36
_LURED = 0.1  # share of payments to a fraud of which a part comes back first, to win trust
_OTHERS = {"buyers": "anyone", "migrants": "anyone", "victims": "anyone", "hit": "employers"}
"""Who else pays into a trade of this crowd."""
MIXER_FEE = 0.025
_TURN = 35 * DAY  # how long a network uses one drop account before the next takes its turn
_HONEST_TARGETS = ("trader", "exchange", "merchant", "person", "family")


def collect_receipts(seed: int, dials: Dials, cast: Cast) -> list[Plan]:
    """Plan what the crowds pay: each trade has its own circle of payers, some of whom come back."""
    rng = make_generator(seed, "receipts")
    prices = rng.normal(0.0, 1.0, (cast.owners, _LONGEST_LIST))
    plans: list[Plan] = []
    for role in (r for r in ROLES if r.crowd):
        for chain in (UTXO, TOKEN):
            owners = cast.on(chain, role.name)
            if not len(owners):
                continue
            both = (cast.main[owners, UTXO] >= 0) & (cast.main[owners, TOKEN] >= 0)
            span = cast.end[owners] - cast.start[owners]
            rate = cast.habit["per_day"][owners] * cast.size[owners] * np.where(both, 0.5, 1.0)
            counts = np.minimum(rng.poisson(np.clip(rate * span, 1.0, 260.0)), 260)
            rows = np.repeat(owners, counts)
            payers = _draw_payers(
                rng, cast, role.crowd, chain, owners=owners, counts=counts, covered=dials.covered
            )
            nth = (cast.habit["menu"][rows] * rng.random(len(rows)) ** 1.6).astype(np.int64)
            usd = draw_tickets(
                rng,
                cast.habit["ticket"][rows],
                cast.habit["sigma"][rows],
                cast.habit["rounded"][rows],
                lists=prices[rows, np.minimum(nth, _LONGEST_LIST - 1)],
            )
            time = draw_owner_times(rng, cast, rows)
            payees = cast.main[rows, chain]
            if role.name in {"social_network_shop", "vendor_shop", "remittance_agent"}:
                helper = "family" if role.name == "remittance_agent" else "drop_account"
                direct = pick_member(
                    rng, cast, rows, chain, helper, turn=time // _TURN if helper == "drop_account" else None
                )
                moved = (direct >= 0) & (rng.random(len(rows)) < dials.dispersed)
                payees = np.where(moved, cast.main[direct, chain], payees)
            plans.append(make_plan(time, cast.main[payers, chain], payees, usd=usd))
            if role.name == "scam":
                lured = np.flatnonzero(rng.random(len(rows)) < _LURED)
                plans.append(
                    make_plan(
                        time[lured] + draw_delays(rng, 60.0, 0.7, len(lured)),
                        payees[lured],
                        cast.main[payers[lured], chain],
                        usd=np.maximum(usd[lured] * rng.uniform(0.1, 0.5, len(lured)), 2.0),
                    )
                )
    return plans


def pay_out(seed: int, dials: Dials, cast: Cast, blocks: Blocks) -> list[Plan]:
    """Plan the payouts of every trade: shares of its balance, every few days, to the targets of its row."""
    rng = make_generator(seed, "payouts")
    plans: list[Plan] = []
    mark = 0
    for number, role in enumerate(ROLES):
        if not role.mix:
            continue
        owners = np.flatnonzero(cast.role == number)
        events = rng.poisson((cast.end[owners] - cast.start[owners]) / cast.habit["every"][owners])
        batch = np.repeat(owners, events)
        times = draw_owner_times(rng, cast, batch)
        chains = draw_chains(rng, cast, batch)
        several = 1 + rng.poisson(np.clip(cast.habit["payments"][batch] - 1.0, 0.1, 4.0))
        rows = np.repeat(np.arange(len(batch)), several)
        payer, chain = batch[rows], chains[rows]
        time = times[rows] + (rng.random(len(rows)) * 7_200).astype(np.int64)
        kept = np.clip(cast.habit["kept"][payer], 0.02, 0.9)
        share = (1.0 - kept ** (1.0 / several[rows])) * rng.uniform(0.7, 1.25, len(rows))
        kinds, weights = mix_of(number)
        chosen = np.searchsorted(np.cumsum(weights)[:-1], rng.random(len(rows)), side="right")
        names = np.array(kinds)[chosen]
        if role.drug:
            astray = rng.random(len(rows)) < dials.spill
            honest = np.array(_HONEST_TARGETS)[
                (rng.random(len(rows)) * len(_HONEST_TARGETS)).astype(np.int64)
            ]
            names = np.where(astray, honest, names)
        share = np.clip(np.where(names == "person", share * 0.3, share), 0.02, 0.98)
        over = (names == "bridge") | ((names == "swap") & (chain == UTXO))
        swaps = (names == "swap") & (chain == TOKEN)
        own = np.flatnonzero(over)
        plans += go_over(
            rng,
            cast,
            payer[own],
            chain=chain[own],
            time=time[own],
            share=share[own],
            target=np.full(len(own), -1),
            apart=0.4,
            first=_MARKS + 4 * mark,
            blocks=blocks,
        )
        own = np.flatnonzero(swaps)
        plans += swap_and_pay(
            rng,
            cast,
            payer[own],
            time=time[own],
            share=share[own],
            target=np.full(len(own), -1),
            hours=20.0 if role.drug else 60.0,
            first=2 * _MARKS + 4 * mark,
        )
        rest = np.flatnonzero(~over & ~swaps)
        plan, mark = _aim(
            rng,
            cast,
            names[rest],
            payer=payer[rest],
            chain=chain[rest],
            time=time[rest],
            share=share[rest],
            mark=mark + len(rows),
        )
        plans += plan
    return plans


def draw_owner_times(rng: np.random.Generator, cast: Cast, rows: Ints) -> Ints:
    """Draw one moment a row in the life of the row's owner, after its habits."""
    return draw_times(
        rng,
        cast.start[rows],
        cast.end[rows],
        weekend=cast.habit["weekend"][rows],
        payday=cast.habit["payday"][rows],
        evening=cast.habit["evening"][rows],
    )


def _draw_payers(
    rng: np.random.Generator,
    cast: Cast,
    crowd: str,
    chain: int,
    *,
    owners: Ints,
    counts: Ints,
    covered: float,
) -> Ints:
    """Draw the payer of each receipt from a circle of its own per owner, the regulars first."""
    members = list_crowd(cast, crowd, chain)
    anyone = list_crowd(cast, _OTHERS.get(crowd, crowd), chain)
    circle = np.maximum((counts / np.maximum(cast.habit["loyalty"][owners], 1.0)).astype(np.int64), 1)
    first = np.concatenate([[0], np.cumsum(circle)[:-1]])
    total = int(circle.sum())
    strangers = rng.random(total) < covered
    known = np.where(
        strangers,
        anyone[(rng.random(total) * len(anyone)).astype(np.int64)],
        members[(rng.random(total) * len(members)).astype(np.int64)],
    )
    which = np.repeat(np.arange(len(owners)), counts)
    place = (circle[which] * rng.random(len(which)) ** 1.5).astype(np.int64)
    return known[first[which] + place]


def _aim(
    rng: np.random.Generator,
    cast: Cast,
    names: NDArray[np.str_],
    *,
    payer: Ints,
    chain: Ints,
    time: Ints,
    share: Floats,
    mark: int,
) -> tuple[list[Plan], int]:
    """Turn kinds of targets into wallets; a kind that the owner does not have becomes its exchange."""
    rows = len(payer)
    payee = np.full(rows, -1)
    tag = np.full(rows, -1)
    for on in (UTXO, TOKEN):
        for kind in sorted(set(names.tolist()) - {"exchange"}):
            here = np.flatnonzero((chain == on) & (names == kind))
            target = pick_target(rng, cast, str(kind), payer[here], on)
            wallets = cast.deposit if kind == "mixer" else cast.main
            payee[here] = np.where(target >= 0, wallets[target, on], -1)
            if kind == "mixer":
                tag[here] = np.arange(len(here)) + mark  # a fresh deposit address each time
    mixed = (payee >= 0) & (names == "mixer")
    service = pick_service(rng, cast, payer)
    lacking = payee < 0
    payee = np.where(lacking, cast.deposit[service, chain], payee)
    tag = np.where(lacking, payer, tag)
    marks = np.where(mixed, mark + np.cumsum(mixed), -1)
    plans = [make_plan(time, cast.main[payer, chain], payee, share=share, tag=tag, mark=marks)]
    if mixed.any():
        plans += _mix_out(rng, cast, payer[mixed], time[mixed], marks[mixed])
    return plans, mark + rows + 1


def _mix_out(rng: np.random.Generator, cast: Cast, owners: Ints, time: Ints, marks: Ints) -> list[Plan]:
    """Plan what the mixer pays out to a wallet that the owner keeps apart, and what becomes of it."""
    mixer = int(cast.main[cast.of("mixer")[0], UTXO])
    aside = cast.aside[owners, UTXO]
    back = time + draw_delays(rng, 14.0, 0.9, len(owners))
    spend = back + draw_delays(rng, 60.0, 0.8, len(owners))
    service = pick_service(rng, cast, owners)
    out = make_plan(back, np.full(len(owners), mixer), aside, link=marks, cut=MIXER_FEE)
    # The customer of record of what was mixed is somebody else: a tag beyond all owners.
    sold = make_plan(
        spend,
        aside,
        cast.deposit[service, UTXO],
        share=rng.uniform(0.6, 0.99, len(owners)),
        tag=owners + cast.owners,
    )
    return [out, sold]
