"""Whom an owner pays: its own network, its usual traders, a service, or somebody."""

import numpy as np

from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import Ints
from datasets.simulate.roles import ROLES

_CROWDS = {
    "employers": ("employer", "payroll_office", "merchant", "charity"),
    "traders": ("merchant", "wholesaler", "employer"),
    "victims": ("fraud_victim",),
    "hit": ("ransom_victim",),
}
_USUAL = 3  # how many traders or shops an owner comes back to


def draw_chains(rng: np.random.Generator, cast: Cast, owners: Ints) -> Ints:
    """Draw for each row a chain on which its owner has a wallet."""
    token = rng.random(len(owners)) < 0.5
    has_utxo = cast.main[owners, UTXO] >= 0
    has_token = cast.main[owners, TOKEN] >= 0
    return np.where(has_utxo & (~has_token | ~token), UTXO, TOKEN)


def pick_usual(rng: np.random.Generator, owners: Ints, pool: Ints) -> Ints:
    """Pick for each owner one of a few members of `pool` that it always comes back to."""
    if not len(pool):
        return np.full(len(owners), -1)
    nth = (_USUAL * rng.random(len(owners)) ** 2).astype(np.int64)
    picked: Ints = pool[(owners * 2_654_435_761 + nth * 40_503_001) % len(pool)]
    return picked


def pick_member(
    rng: np.random.Generator, cast: Cast, owners: Ints, chain: int, *roles: str, turn: Ints | None = None
) -> Ints:
    """Pick for each owner a member of its own group with one of these roles on `chain`; −1 where none is.

    With `turn`, members take turns instead of being drawn.
    """
    members = cast.on(chain, *roles)
    if not len(members):
        return np.full(len(owners), -1)
    members = members[np.argsort(cast.group[members], kind="stable")]
    groups = cast.group[members]
    first = np.searchsorted(groups, cast.group[owners], side="left")
    many = np.searchsorted(groups, cast.group[owners], side="right") - first
    drawn = (rng.random(len(owners)) * many).astype(np.int64)
    place = first + (drawn if turn is None else turn % np.maximum(many, 1))
    found = (many > 0) & (cast.group[owners] >= 0)
    return np.where(found, members[np.minimum(place, len(members) - 1)], -1)


def pick_service(rng: np.random.Generator, cast: Cast, owners: Ints) -> Ints:
    """Pick each owner's own exchange, now and then another one."""
    exchanges = cast.of("exchange")
    other = exchanges[(rng.random(len(owners)) * len(exchanges)).astype(np.int64)]
    return np.where(rng.random(len(owners)) < 0.85, cast.home[owners], other)


def pick_target(rng: np.random.Generator, cast: Cast, kind: str, owners: Ints, chain: int) -> Ints:
    """Return whom each owner pays on `chain` for a target of this kind; −1 where it has none there."""
    drug = cast.drug[owners]
    if kind == "treasury":
        picked = pick_member(rng, cast, owners, chain, "drug_treasury", "employer")
    elif kind == "hands":
        picked = pick_member(rng, cast, owners, chain, "courier_payout", "payroll_office")
    elif kind == "drop":
        picked = pick_member(rng, cast, owners, chain, "drop_account")
    elif kind == "family":
        own = pick_member(rng, cast, owners, chain, "family")
        picked = np.where(own >= 0, own, pick_usual(rng, owners, cast.on(chain, "family")))
    elif kind == "supplier":
        precursors = pick_usual(rng, owners, cast.on(chain, "precursor_supplier"))
        picked = np.where(drug, precursors, pick_usual(rng, owners, cast.on(chain, "wholesaler")))
    elif kind == "exchanger":
        own = pick_member(rng, cast, owners, chain, "cash_out_exchanger")
        usual = pick_usual(rng, owners, cast.on(chain, "cash_out_exchanger"))
        picked = np.where((own >= 0) & (rng.random(len(owners)) < 0.5), own, usual)
    elif kind == "trader":
        picked = pick_usual(rng, owners, cast.on(chain, "p2p_trader"))
    elif kind == "merchant":
        picked = pick_usual(rng, owners, cast.on(chain, "merchant"))
    elif kind == "mixer":
        picked = np.full(len(owners), cast.of("mixer")[0] if chain == UTXO else -1)
    else:
        people = cast.on(chain, "person")
        picked = people[(rng.random(len(owners)) * len(people)).astype(np.int64)]
    return np.where(picked == owners, -1, picked)


def list_crowd(cast: Cast, kind: str, chain: int) -> Ints:
    """Return the owners of the crowd of this kind who have a wallet on `chain`."""
    crowd = cast.on(chain, *_CROWDS.get(kind, ()))
    if len(crowd):
        return crowd
    people = cast.on(chain, "person")
    if kind == "buyers":
        return people[cast.habit["evening"][people] > np.quantile(cast.habit["evening"][people], 0.82)]
    if kind == "migrants":
        return people[cast.habit["payday"][people] > np.quantile(cast.habit["payday"][people], 0.75)]
    return people


def mix_of(role: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the kinds of targets of a role and their weights, which sum to 1."""
    mix = ROLES[role].mix
    whole = sum(mix.values())
    return tuple(mix), tuple(weight / whole for weight in mix.values())
