"""One region of the world: its people, what they do in the year, and what becomes known of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from datasets.simulate.agents.evasion import change_habits, hide_payments, split_receipts
from datasets.simulate.agents.markets import trade_on_markets
from datasets.simulate.agents.passing import pass_on
from datasets.simulate.agents.people import gamble, join_coins, live, pay_wages
from datasets.simulate.agents.services import pay_miners, process_payments, react_to_cases, sweep_deposits
from datasets.simulate.agents.swaps import sell_wrapped, speculate
from datasets.simulate.agents.trades import collect_receipts, pay_out
from datasets.simulate.blocks import Blocks
from datasets.simulate.cases import Cases, close_cases
from datasets.simulate.cast import Cast, make_cast
from datasets.simulate.clock import DAY, Floats
from datasets.simulate.crossings import Crossings, plan_crossings
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, join_plans
from datasets.simulate.roles import ROLES
from datasets.simulate.settle import Payments, settle_plan
from datasets.simulate.tokens import TokenChain, build_transfers
from datasets.simulate.truth import list_truth
from datasets.simulate.utxo import UtxoChain, build_chain

FULL = 157_000
"""Transfers of the world that the table of roles is written for."""


@dataclass(frozen=True)
class Shared:
    """What all regions of a world have in common. `transfers` is that of one region."""

    dials: Dials
    transfers: int
    prices: Floats
    blocks: Blocks
    crossings: Crossings


@dataclass(frozen=True)
class Region:
    """A region simulated to the end of the year; `number` counts from 0."""

    number: int
    seed: int
    cast: Cast
    cases: Cases
    payments: Payments
    utxo: UtxoChain
    tokens: TokenChain

    def truth(self, first_owner: int) -> Iterator[str]:
        """Yield the lines of the truth about its addresses."""
        return list_truth(
            self.cast, self.cases, self.payments, self.utxo, self.tokens, first_owner=first_owner
        )

    def count_roles(self) -> dict[str, int]:
        """Return the number of owners of each role."""
        return {
            role.name: int((self.cast.role == i).sum())
            for i, role in enumerate(ROLES)
            if role.name != "elsewhere"
        }


def simulate_region(seed: int, number: int, shared: Shared, tell: Callable[[], None]) -> Region:
    """Simulate the year of one region; `tell` is called four times, after each part of the work."""
    dials = shared.dials
    scale = shared.transfers / FULL
    cast = make_cast(seed, dials, scale)
    cases = close_cases(seed, dials, cast)
    tell()
    plan = _plan_year(seed, number, cast, cases, shared)
    tell()
    settled = settle_plan(seed, cast, plan, shared.prices, shared.crossings.amount)
    joins = join_coins(seed, dials, cast, max(3, int(120 * scale)))
    tell()
    utxo = build_chain(
        seed,
        cast,
        settled,
        joins=joins,
        prices=shared.prices,
        blocks=shared.blocks,
        region=number,
        fresh=dials.fresh,
        crossings=shared.crossings,
    )
    tokens = build_transfers(seed, cast, settled, region=number, crossings=shared.crossings)
    tell()
    return Region(number, seed, cast, cases, settled.payments, utxo, tokens)


def stretch_blocks(transfers: int) -> int:
    """Return how much longer the blocks of a small world are, and how much rarer its sweeps.

    Otherwise these would outnumber the payments.
    """
    return int(np.clip(FULL / transfers, 1.0, 12.0))


def _plan_year(seed: int, number: int, cast: Cast, cases: Cases, shared: Shared) -> Plan:
    """Put together what everybody means to do, less what those whose case is public no longer do."""
    dials, transfers, blocks = shared.dials, shared.transfers, shared.blocks
    plans = [
        *collect_receipts(seed, dials, cast),
        *pay_out(seed, dials, cast, blocks),
        *pay_wages(seed, cast),
        *live(seed, cast, int(transfers * 0.025)),
        *speculate(seed, cast, int(transfers * 0.004), blocks),
        *gamble(seed, cast),
        *trade_on_markets(seed, dials, cast),
        *process_payments(seed, cast),
        *pay_miners(seed, cast),
        *sweep_deposits(seed, cast, min(stretch_blocks(transfers), 7) * DAY),
    ]
    plan = change_habits(seed, dials, cast, join_plans(plans))
    plan = split_receipts(seed, dials, cast, plan)
    plan = join_plans([plan, *pass_on(seed, dials, cast, plan)])
    plan = hide_payments(seed, dials, cast, plan, blocks)
    plan = join_plans([plan, sell_wrapped(seed, dials, cast, plan)])
    owner = cast.wallet_owner
    plan = plan.take(cases.allow(plan.time, owner[plan.payer], owner[plan.payee]))
    after = react_to_cases(seed, cast, closed=cases.closed, seized=cases.seized, dusted=cases.dusted)
    plan = join_plans([plan, *after, plan_crossings(cast, shared.crossings, number, shared.blocks)])
    return plan.take(~cases.hold(cast, plan.time, plan.payer))
