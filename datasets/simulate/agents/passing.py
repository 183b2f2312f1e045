"""Accounts that only pass money on: drop accounts of drug networks, and families who cash out remittances."""

import numpy as np

from datasets.simulate.agents.targets import pick_member, pick_service, pick_target
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import Floats, Ints, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.plan import Plan, make_plan

_HOURS = (("drop_account", 6.0), ("family", 20.0))
_MIDDLE_HOURS = 11.0
_TO_HEAD, _TO_DEALER = (
    0.38,
    0.22,
)  # shares of receipts passed to the own group's head, and to a dealer in coins


def pass_on(seed: int, dials: Dials, cast: Cast, plan: Plan) -> list[Plan]:
    """Plan how drop accounts and families pass on what `plan` pays them, most of it, within hours or days.

    Both have a way of their own that they keep to: a drop account its treasury or an exchanger, a family its
    agent or a trader, and either a deposit address at an exchange.
    """
    rng = make_generator(seed, "passing")
    plans: list[Plan] = []
    pace = np.exp(rng.normal(0.0, dials.spread, cast.owners))
    habit = rng.random(cast.owners)
    owners = cast.wallet_owner[plan.payee]
    for name, hours in _HOURS:
        median = _MIDDLE_HOURS * (hours / _MIDDLE_HOURS) ** (1.0 - dials.alike)
        rows = np.flatnonzero(cast.is_role(owners, name) & (rng.random(len(owners)) < 0.9))
        payer, wallet = owners[rows], plan.payee[rows]
        way = np.where(rng.random(len(rows)) < 0.8, habit[payer], rng.random(len(rows)))
        if name == "drop_account":
            way = np.where(rng.random(len(rows)) < dials.spill / 2.0, 1.0, way)
        payee = _find_payees(rng, cast, name, payer=payer, wallet=wallet, way=way)
        to_service = payee < 0
        service = pick_service(rng, cast, payer)
        plans.append(
            make_plan(
                plan.time[rows] + draw_delays(rng, median * pace[payer], 0.8, len(rows)),
                wallet,
                np.where(to_service, cast.deposit[service, cast.wallet_chain[wallet]], payee),
                share=np.where(rng.random(len(rows)) < 0.75, 0.99, rng.uniform(0.5, 0.98, len(rows))),
                tag=np.where(to_service, payer, -1),
            )
        )
    return plans


def _find_payees(
    rng: np.random.Generator, cast: Cast, name: str, *, payer: Ints, wallet: Ints, way: Floats
) -> Ints:
    """Return the wallets that the accounts pass on to; −1 means the own exchange."""
    payee = np.full(len(payer), -1)
    for chain in (UTXO, TOKEN):
        if name == "drop_account":
            head = pick_member(rng, cast, payer, chain, "drug_treasury")
            dealer = pick_target(rng, cast, "exchanger", payer, chain)
        else:
            head = pick_member(rng, cast, payer, chain, "employer", "remittance_agent")
            dealer = pick_target(rng, cast, "trader", payer, chain)
        chosen = np.where(way < _TO_HEAD, head, np.where(way < _TO_HEAD + _TO_DEALER, dealer, -1))
        here = (cast.wallet_chain[wallet] == chain) & (chosen >= 0)
        payee = np.where(here, cast.main[chosen, chain], payee)
    return payee
