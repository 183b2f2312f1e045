"""Simulate a year of two chains, their labels and prices, and write it all as files that can be imported."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from chains.assets import SIMULATED_TOKEN
from chains.errors import InputError
from datasets.simulate.agents.markets import trade_on_markets
from datasets.simulate.agents.passing import pass_on
from datasets.simulate.agents.people import gamble, join_coins, live, pay_wages
from datasets.simulate.agents.services import pay_miners, process_payments, react_to_cases, sweep_deposits
from datasets.simulate.agents.trades import collect_receipts, pay_out
from datasets.simulate.cases import Cases, close_cases
from datasets.simulate.cast import Cast, make_cast
from datasets.simulate.clock import DAY
from datasets.simulate.dials import Dials
from datasets.simulate.files import TOKEN_MAPPING, write_tokens, write_utxo
from datasets.simulate.labels import list_receipts, write_labels, write_truth
from datasets.simulate.plan import Plan, join_plans
from datasets.simulate.prices import make_prices, write_prices
from datasets.simulate.roles import ROLES
from datasets.simulate.settle import settle_plan
from datasets.simulate.tokens import build_transfers
from datasets.simulate.utxo import build_chain

FULL = 138_000
"""Transfers of the world that the table of roles is written for."""

SMALLEST = 1_000
"""Transfers below which there is no world worth the name."""

_STEPS = 8
_BLOCK_SECONDS = 7_200


@dataclass(frozen=True)
class World:
    """The files of a simulated world and how to import them; `counts` says how much is in them."""

    folder: Path
    seed: int
    utxo: Path
    tokens: Path
    token_mapping: tuple[str, ...]
    labels: Path
    prices: Path
    truth: Path
    description: Path
    counts: dict[str, int]
    utxo_chain: str = "simulated-utxo"
    token_chain: str = "simulated-token"  # noqa: S105  (the name of a chain)
    token_contract: str = SIMULATED_TOKEN


def simulate_world(
    out: Path,
    *,
    seed: int,
    transfers: int = 120_000,
    dials: Dials | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> World:
    """Write a world of about `transfers` transfers under `out`: ledgers, labels, prices, truth, description.

    The same seed, size and dials give the same bytes. `truth.csv` is for evaluation and never imported;
    `world.json` is written last. Raises InputError for a negative seed or a size below `SMALLEST`.
    """
    if seed < 0 or transfers < SMALLEST:
        raise InputError(
            f"a world needs a seed of 0 or more and at least {SMALLEST} transfers: "
            f"this was seed {seed}, {transfers} transfers"
        )
    dials = dials or Dials()
    scale = transfers / FULL
    tell = progress or (lambda _done, _whole: None)
    out.mkdir(parents=True, exist_ok=True)
    tell(0, _STEPS)
    cast = make_cast(seed, dials, scale)
    cases = close_cases(seed, dials, cast)
    prices = make_prices(seed)
    # A small world has longer blocks and rarer sweeps, so that these do not outnumber the payments.
    stretch = int(np.clip(1.0 / scale, 1.0, 12.0))
    tell(1, _STEPS)
    plan = _plan_year(seed, dials, cast, cases, transfers=transfers, sweep_seconds=min(stretch, 7) * DAY)
    tell(2, _STEPS)
    settled = settle_plan(seed, cast, plan, prices)
    tell(3, _STEPS)
    joins = join_coins(seed, cast, max(3, int(120 * scale)))
    utxo = build_chain(
        seed, cast, settled, joins=joins, prices=prices, block_seconds=_BLOCK_SECONDS * stretch
    )
    tell(4, _STEPS)
    tokens = build_transfers(seed, cast, settled)
    write_tokens(out / "tokens.parquet", tokens)
    tell(5, _STEPS)
    write_utxo(out / "utxo.parquet", utxo)
    tell(6, _STEPS)
    receipts = list_receipts(utxo, tokens)
    counts = write_labels(
        out / "labels.csv", seed=seed, dials=dials, cast=cast, cases=cases, receipts=receipts
    )
    tell(7, _STEPS)
    counts["addresses"] = write_truth(out / "truth.csv", cast, utxo, tokens)
    write_prices(out / "prices.csv", prices)
    counts |= {
        "utxo_transfers": len(utxo.block),
        "token_transfers": len(tokens.time),
        "owners": cast.owners,
        "drug_owners": int(cast.drug.sum()),
        "blocks": len(utxo.time),
    }
    description = {
        "seed": seed,
        "transfers": transfers,
        "dials": asdict(dials),
        "counts": counts,
        "owners_by_role": {role.name: int((cast.role == i).sum()) for i, role in enumerate(ROLES)},
        "token": {"contract": SIMULATED_TOKEN, "mapping": TOKEN_MAPPING},
        "note": "Invented. No address, owner or payment of this world exists anywhere else.",
    }
    text = json.dumps(description, indent=1, sort_keys=True)
    (out / "world.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    tell(_STEPS, _STEPS)
    return World(
        folder=out,
        seed=seed,
        utxo=out / "utxo.parquet",
        tokens=out / "tokens.parquet",
        token_mapping=TOKEN_MAPPING,
        labels=out / "labels.csv",
        prices=out / "prices.csv",
        truth=out / "truth.csv",
        description=out / "world.json",
        counts=counts,
    )


def _plan_year(
    seed: int, dials: Dials, cast: Cast, cases: Cases, *, transfers: int, sweep_seconds: int
) -> Plan:
    """Put together what everybody means to do, less what those whose case is public no longer do."""
    plans = [
        *collect_receipts(seed, dials, cast),
        *pay_out(seed, dials, cast),
        *pay_wages(seed, cast),
        *live(seed, cast, int(transfers * 0.025)),
        *gamble(seed, cast),
        *trade_on_markets(seed, dials, cast),
        *process_payments(seed, cast),
        *pay_miners(seed, cast),
        *sweep_deposits(seed, cast, sweep_seconds),
    ]
    plan = join_plans(plans)
    plan = join_plans([plan, *pass_on(seed, dials, cast, plan)])
    owner = cast.wallet_owner
    plan = plan.take(cases.allow(plan.time, owner[plan.payer], owner[plan.payee]))
    after = react_to_cases(seed, cast, closed=cases.closed, seized=cases.seized, dusted=cases.dusted)
    return join_plans([plan, *after])
