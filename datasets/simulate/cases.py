"""Which owners are looked into, when their cases close, and how often the answer is wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.cast import TOKEN, Cast
from datasets.simulate.clock import DAY, Floats, Ints, draw_delays, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.roles import ROLES


@dataclass(frozen=True)
class Cases:
    """`closed[owner]` is the second at which its case becomes public, −1 for none; the rest are owners.

    `wrong` got the label of the other side; `stopped` trade no more; `seized` and `dusted` see what the
    public does next. `frozen[owner]` is the second from which the issuer of the dollar token holds its main
    account, −1 for never: later than the case, in the order of days.
    """

    closed: Ints
    wrong: Ints
    stopped: Ints
    seized: Ints
    dusted: Ints
    frozen: Ints

    def hold(self, cast: Cast, time: Ints, payer: Ints) -> NDArray[np.bool_]:
        """Tell which payments of wallets a freeze stops: those of dollars from the frozen account."""
        owner = cast.wallet_owner[payer]
        held = self.frozen[owner]
        stops: NDArray[np.bool_] = (held >= 0) & (time >= held) & (payer == cast.main[owner, TOKEN])
        return stops

    def allow(self, time: Ints, payer: Ints, payee: Ints) -> NDArray[np.bool_]:
        """Tell which payments between owners still take place: those who stopped neither pay nor are paid."""
        ends = np.full(len(self.closed), np.iinfo(np.int64).max)
        ends[self.stopped] = self.closed[self.stopped]
        return (time < ends[payer]) & (time < ends[payee])


def close_cases(seed: int, dials: Dials, cast: Cast) -> Cases:
    """Choose the cases: bigger owners are found more often, members of one network near each other."""
    rng = make_generator(seed, "cases")
    chance = np.array([role.cases for role in ROLES])[cast.role] * dials.drug_cases
    weight = np.maximum(_expected_turnover(cast), 1.0) ** dials.case_weight
    for number in range(len(ROLES)):
        members = cast.role == number
        if members.any():
            chance[members] *= weight[members] / weight[members].mean()
    found = rng.random(cast.owners) < np.minimum(chance, 0.97)
    day = _draw_days(rng, dials, cast.owners)
    groups = _draw_days(rng, dials, int(cast.group.max()) + 1)
    with_group = (cast.group >= 0) & (rng.random(cast.owners) < dials.network_pull)
    day = np.where(with_group, groups[cast.group] + rng.exponential(25.0, cast.owners), day)
    day = np.maximum(day, cast.start + 30.0 + rng.exponential(20.0, cast.owners))
    found &= day <= dials.closing_to
    closed = np.where(found, (day * DAY).astype(np.int64), -1)
    owners = np.flatnonzero(found)
    drug = owners[cast.drug[owners]]
    stopped = np.concatenate([drug[rng.random(len(drug)) < dials.stopped], owners[~cast.drug[owners]][::9]])
    seized = drug[rng.random(len(drug)) < dials.seized]
    dusted = owners[rng.random(len(owners)) < dials.dusted]
    wrong = owners[rng.random(len(owners)) < dials.label_error]
    left = drug[(cast.main[drug, TOKEN] >= 0) & ~np.isin(drug, seized)]
    held = left[rng.random(len(left)) < dials.frozen]
    frozen = np.full(cast.owners, -1)
    frozen[held] = closed[held] + draw_delays(rng, 72.0, 0.7, len(held))
    return Cases(
        closed=closed,
        wrong=wrong,
        stopped=np.sort(stopped),
        seized=seized,
        dusted=dusted,
        frozen=frozen,
    )


def _expected_turnover(cast: Cast) -> Floats:
    """Return what an owner would take in, in US dollars, from its habits; 1 where it has no crowd."""
    span = np.maximum(cast.end - cast.start, 1.0)
    return cast.habit["per_day"] * cast.habit["ticket"] * cast.size * span


def _draw_days(rng: np.random.Generator, dials: Dials, rows: int) -> Floats:
    return dials.closing_from + (dials.closing_to - dials.closing_from) * rng.random(rows) ** (
        1.0 / dials.closing_skew
    )
