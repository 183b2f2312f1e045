"""Who lives in this world: owners, their wallets on both chains, their groups and habits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.clock import DAYS, Floats, Ints, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.roles import NUMBER, ROLES, Habit

UTXO, TOKEN, WRAPPED = 0, 1, 2
"""The two chains, and the coin as a token of the token chain: the columns of the wallet tables."""

_HABITS = tuple(Habit.__dataclass_fields__)
_SHARES = ("rounded", "evening", "kept")
_ONE_ADDRESS = ("mining_pool", "bridge")  # services without deposit addresses of their customers
_PASSING = ("drop_account", "courier_payout")
_OTHER_CRIME = ("scam", "ransomware", "fraud_seller")
_MOST_FRESH = 60
ROTATION = 30.0
"""Days for which those who hide nothing use one wallet before they take the next."""

_GROUPED = ("drug_treasury", "employer")  # who heads a network or a business
_MEMBERS: Mapping[str, str] = {
    "vendor_shop": "drug_treasury",
    "social_network_shop": "drug_treasury",
    "drug_vendor": "drug_treasury",
    "courier_payout": "drug_treasury",
    "cash_out_exchanger": "drug_treasury",
    "drop_account": "drug_treasury",
    "merchant": "employer",
    "payroll_office": "employer",
    "remittance_agent": "employer",
    "family": "employer",
}


@dataclass(frozen=True)
class Cast:
    """Owners by number, wallets by number; −1 is none. `main[owner, chain]` is an owner's usual wallet.

    A wallet holds one asset. The one in column `WRAPPED` is the same account as that in `TOKEN`, whose number
    `wallet_account` gives. `deposit[owner, UTXO]` is where a service takes deposits, one address a customer;
    on the token chain a deposit address belongs to the service's main wallet. `aside` is kept apart from
    `main`; `fresh[owner, chain]` is the first of the `fresh_many` wallets that an owner takes into use one
    after the other. `hiding` are the owners whom evasion is about. `start` and `end` are days, `size` scales
    how often an owner trades, `habit[name]` holds one value an owner.
    """

    role: Ints
    group: Ints
    start: Floats
    end: Floats
    size: Floats
    home: Ints
    habit: Mapping[str, Floats]
    main: Ints
    deposit: Ints
    cold: Ints
    aside: Ints
    fresh: Ints
    fresh_many: Ints
    hiding: NDArray[np.bool_]
    wallet_owner: Ints
    wallet_chain: Ints
    wallet_account: Ints
    wallet_kind: tuple[str, ...]

    @property
    def owners(self) -> int:
        """Number of owners."""
        return len(self.role)

    @property
    def drug(self) -> NDArray[np.bool_]:
        """Whether an owner is in the drug trade, by owner."""
        return np.isin(self.role, [i for i, role in enumerate(ROLES) if role.drug])

    @property
    def trade(self) -> NDArray[np.bool_]:
        """Whether an owner is in the drug trade and no service, by owner."""
        return np.isin(self.role, [i for i, role in enumerate(ROLES) if role.drug and not role.service])

    def of(self, *names: str) -> Ints:
        """Return the owners of these roles, ascending."""
        return np.flatnonzero(np.isin(self.role, [NUMBER[name] for name in names]))

    def on(self, chain: int, *names: str) -> Ints:
        """Return the owners of these roles who have a wallet on `chain`, ascending."""
        owners = self.of(*names)
        present: Ints = owners[self.main[owners, chain] >= 0]
        return present

    def is_role(self, owners: Ints, *names: str) -> NDArray[np.bool_]:
        """Tell for each owner whether it has one of these roles."""
        return np.isin(self.role[owners], [NUMBER[name] for name in names])


def make_cast(seed: int, dials: Dials, scale: float) -> Cast:
    """Draw the owners of a world of `scale` × 157,000 transfers."""
    rng = make_generator(seed, "cast")
    counts = [_count_owners(role.count, scale, service=role.service or role.count == 1) for role in ROLES]
    role = np.repeat(np.arange(len(ROLES)), counts)
    owners = len(role)
    start, end = _draw_lives(rng, role)
    shops = np.array([r.habit is not None for r in ROLES])[role]
    size = np.where(shops, np.exp(rng.normal(-0.45, 0.6, owners)), 1.0)
    wallets = _Wallets()
    main, deposit, cold, aside = _open_wallets(rng, role, wallets)
    hiding = _draw_hiding(make_generator(seed, "hiding"), role, dials)
    fresh, fresh_many = _open_fresh(
        make_generator(seed, "rotating"),
        role,
        main,
        hides=hiding & (dials.fresh > 0.0),
        days=end - start,
        rotation=(dials.rotating, dials.rotation),
        wallets=wallets,
    )
    exchanges = np.flatnonzero(role == NUMBER["exchange"])
    popular = np.array([0.34, 0.26, 0.18, 0.13, 0.09])[: len(exchanges)]
    home = rng.choice(exchanges, size=owners, p=popular / popular.sum())
    return Cast(
        role=role,
        group=_draw_groups(rng, role),
        start=start,
        end=end,
        size=size,
        home=home,
        habit=_draw_habits(rng, role, dials),
        main=main,
        deposit=deposit,
        cold=cold,
        aside=aside,
        fresh=fresh,
        fresh_many=fresh_many,
        hiding=hiding,
        wallet_owner=np.array(wallets.owner),
        wallet_chain=np.array(wallets.chain),
        wallet_account=np.array(wallets.account),
        wallet_kind=tuple(wallets.kind),
    )


class _Wallets:
    """Wallets opened so far."""

    def __init__(self) -> None:
        self.owner: list[int] = []
        self.chain: list[int] = []
        self.kind: list[str] = []
        self.account: list[int] = []

    def open(self, owner: int, chain: int, kind: str, account: int = -1) -> int:
        self.owner.append(owner)
        self.chain.append(chain)
        self.kind.append(kind)
        self.account.append(account if account >= 0 else len(self.owner) - 1)
        return len(self.owner) - 1

    def open_both(self, owner: int, chain: int, kind: str, table: Ints) -> None:
        """Open a wallet, and with one on the token chain that for the second token."""
        table[owner, chain] = self.open(owner, chain, kind)
        if chain == TOKEN:
            table[owner, WRAPPED] = self.open(owner, WRAPPED, kind, int(table[owner, TOKEN]))


def _count_owners(count: int, scale: float, *, service: bool) -> int:
    return count if service else max(2, round(count * scale))


def _draw_lives(rng: np.random.Generator, role: Ints) -> tuple[Floats, Floats]:
    """Draw the first and last day of every owner: trades come and go, people and services stay."""
    owners = len(role)
    habit = np.array([r.habit is not None or r.reuse == 1.0 for r in ROLES])[role]
    lasting = np.array([r.service or r.count == 1 or r.name == "person" for r in ROLES])[role]
    start = np.where(habit & ~lasting, rng.random(owners) ** 2.0 * 210.0, 0.0)
    span = 60.0 + 330.0 * rng.beta(2.0, 1.4, owners)
    end = np.where(lasting, float(DAYS), np.minimum(start + span, float(DAYS)))
    return start, end


def _open_wallets(rng: np.random.Generator, role: Ints, wallets: _Wallets) -> tuple[Ints, Ints, Ints, Ints]:
    owners = len(role)
    main, deposit, cold, aside = (np.full((owners, 3), -1) for _ in range(4))
    draws = rng.random(owners)
    for owner in range(owners):
        kind = ROLES[role[owner]]
        utxo, token, _ = kind.chains
        on = (draws[owner] < utxo or draws[owner] >= utxo + token, draws[owner] >= utxo)
        for chain in (UTXO, TOKEN):
            if not on[chain]:
                continue
            wallets.open_both(owner, chain, "main", main)
            if kind.service:
                deposit[owner, chain] = main[owner, chain]
                if chain == UTXO and kind.name not in _ONE_ADDRESS:
                    deposit[owner, chain] = wallets.open(owner, chain, "deposit")
            if kind.name == "exchange":
                wallets.open_both(owner, chain, "cold", cold)
        deposit[owner, WRAPPED] = main[owner, WRAPPED] if kind.service else -1
        if kind.mix or kind.drug:
            for chain in (UTXO, TOKEN):
                wallets.open_both(owner, chain, "aside", aside)
    return main, deposit, cold, aside


def _draw_hiding(rng: np.random.Generator, role: Ints, dials: Dials) -> NDArray[np.bool_]:
    """Draw who hides what he does: the drug trade, other criminals, and some of the honest trades."""
    trade = [i for i, r in enumerate(ROLES) if r.drug and not r.service]
    others = [i for i, r in enumerate(ROLES) if r.mix and not r.drug and not r.service]
    crime = [NUMBER[name] for name in _OTHER_CRIME]
    honest = np.isin(role, others) & ~np.isin(role, crime)
    return np.isin(role, trade + crime) | honest & (rng.random(len(role)) < dials.imitated)


def _open_fresh(
    rng: np.random.Generator,
    role: Ints,
    main: Ints,
    *,
    hides: NDArray[np.bool_],
    days: Floats,
    rotation: tuple[float, float],
    wallets: _Wallets,
) -> tuple[Ints, Ints]:
    """Open the wallets that owners take into use one after the other: some of all trades, all who hide.

    `rotation` has the share of the former, and the days for which the latter use one.
    """
    first, many = np.full((len(role), 2), -1), np.zeros((len(role), 2), dtype=np.int64)
    trading = [i for i, r in enumerate(ROLES) if r.habit is not None and r.habit.per_day > 0]
    passing = np.isin(role, [NUMBER[name] for name in _PASSING])
    rotates = np.isin(role, trading) & (rng.random(len(role)) < rotation[0])
    hides = hides & ~passing
    for owner in np.flatnonzero(rotates | hides).tolist():
        length = rotation[1] if hides[owner] else ROTATION
        for chain in (UTXO, TOKEN):
            if main[owner, chain] < 0:
                continue
            many[owner, chain] = min(1 + int(days[owner] / length), _MOST_FRESH)
            opened = [wallets.open(owner, chain, "fresh") for _ in range(many[owner, chain])]
            first[owner, chain] = opened[0]
    return first, many


def _draw_groups(rng: np.random.Generator, role: Ints) -> Ints:
    """Number the networks and businesses, and give each member one: a skewed draw makes few big ones."""
    owners = len(role)
    group = np.full(owners, -1)
    first = 0
    heads: dict[str, Ints] = {}
    for name in _GROUPED:
        members = np.flatnonzero(role == NUMBER[name])
        heads[name] = np.arange(first, first + len(members))
        group[members] = heads[name]
        first += len(members)
    for name, head in _MEMBERS.items():
        members = np.flatnonzero(role == NUMBER[name])
        place = (len(heads[head]) * rng.random(len(members)) ** 1.3).astype(np.int64)
        group[members] = heads[head][place]
    return group


def _draw_habits(rng: np.random.Generator, role: Ints, dials: Dials) -> Mapping[str, Floats]:
    """Draw every owner's own habits: the row of its role, pulled to the mean of all trades, and spread."""
    table = [r.habit or Habit() for r in ROLES]
    crowds = np.array([r.habit is not None and r.habit.per_day > 0 for r in ROLES])
    drawn: dict[str, Floats] = {}
    for name in _HABITS:
        values = np.array([float(getattr(habit, name)) for habit in table])
        shares = name in _SHARES
        with np.errstate(divide="ignore"):
            scaled = np.log(values / (1.0 - values)) if shares else np.log(values)
        middle = scaled[crowds].mean()
        # A bulk supplier stays a bulk supplier: tickets and rates keep most of their distance.
        pull = dials.alike * (0.4 if name in {"ticket", "per_day"} else 1.0)
        pulled = np.where(crowds, middle + (scaled - middle) * (1.0 - pull), scaled)
        noise = dials.spread * (0.7 if name == "sigma" else 1.0)
        own = pulled[role] + rng.normal(0.0, noise, len(role))
        drawn[name] = 1.0 / (1.0 + np.exp(-own)) if shares else np.exp(own)
    drawn["sigma"] = np.clip(drawn["sigma"], 0.3, 1.3)
    drawn["menu"] = np.clip(np.round(drawn["menu"]), 1.0, 16.0)
    drawn["every"] = np.clip(drawn["every"], 3.0, 90.0)
    return drawn
