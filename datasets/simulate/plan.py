"""Payments that somebody means to make, before it is known whether the funds are there."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.cast import Cast
from datasets.simulate.clock import END, FIRST, Floats, Ints


@dataclass(frozen=True)
class Plan:
    """Payments by row: `time` in seconds, wallets, and either `usd` or a `share` of the payer's balance.

    `tag` names the customer whose own deposit address is paid, −1 for none. A payment with `link` ≥ 0 pays
    on what the payment with that `mark` paid, in its own asset and less the share `cut` (the payout of a
    mixer, a pool or a bridge). `cross` numbers a payment over the border of a region, −1 for none.
    """

    time: Ints
    payer: Ints
    payee: Ints
    usd: Floats
    share: Floats
    tag: Ints
    mark: Ints
    link: Ints
    cut: Floats
    cross: Ints

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def take(self, rows: Ints | NDArray[np.bool_]) -> "Plan":
        """Return these rows."""
        return Plan(**{f.name: getattr(self, f.name)[rows] for f in fields(Plan)})


@dataclass(frozen=True)
class Join:
    """A CoinJoin: these wallets each put in and take out `usd` worth of coins at `time`."""

    time: int
    wallets: tuple[int, ...]
    usd: float


def make_plan(
    time: Ints,
    payer: Ints,
    payee: Ints,
    *,
    usd: Floats | None = None,
    share: Floats | None = None,
    tag: Ints | None = None,
    mark: Ints | None = None,
    link: Ints | None = None,
    cut: Floats | float = 0.0,
    cross: Ints | None = None,
) -> Plan:
    """Make a plan of the rows whose wallets exist and differ and whose time lies in the year."""
    rows = len(time)
    none = np.full(rows, -1)
    plan = Plan(
        time=np.asarray(time, dtype=np.int64),
        payer=np.asarray(payer, dtype=np.int64),
        payee=np.asarray(payee, dtype=np.int64),
        usd=np.zeros(rows) if usd is None else usd,
        share=np.zeros(rows) if share is None else share,
        tag=none if tag is None else tag,
        mark=none if mark is None else mark,
        link=none if link is None else link,
        cut=np.full(rows, 1.0) * cut,
        cross=none if cross is None else cross,
    )
    good = (
        (plan.payer >= 0)
        & (plan.payee >= 0)
        & (plan.payer != plan.payee)
        & (plan.time >= FIRST)
        & (plan.time < END)
    )
    return plan.take(good)


def join_plans(plans: Sequence[Plan]) -> Plan:
    """Put plans together, ordered by time; ties keep the order of the plans."""
    whole = Plan(**{f.name: np.concatenate([getattr(p, f.name) for p in plans]) for f in fields(Plan)})
    return whole.take(np.argsort(whole.time, kind="stable"))


def pay_service(cast: Cast, service: Ints, chain: Ints, customer: Ints) -> tuple[Ints, Ints]:
    """Return the deposit wallets of services on the chains, and the tags of the customers."""
    return cast.deposit[service, chain], customer


def draw_tickets(
    rng: np.random.Generator, median: Floats, sigma: Floats, rounded: Floats, *, lists: Floats | None = None
) -> Floats:
    """Draw amounts in US dollars, some of them at a round price.

    A round price is a multiple of 5 below 100, of 10 below 500, of 50 above. `lists` gives the deviation of
    the price asked from the median, where that is from a price list.
    """
    deviation = rng.normal(0.0, 1.0, len(median))
    at_price = rng.random(len(median)) < rounded
    if lists is not None:
        deviation = np.where(at_price, lists, deviation)
    usd = np.maximum(median * np.exp(deviation * sigma), 2.0)
    step = np.where(usd < 100.0, 5.0, np.where(usd < 500.0, 10.0, 50.0))
    return np.where(at_price, np.maximum(np.round(usd / step), 1.0) * step, np.round(usd, 2))
