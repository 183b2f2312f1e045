"""One address followed: where its money came from or went, under four rules, with the strongest paths.

Only the transfers that bear on the question are walked through. The rules are those that courts have argued
over: pro rata (haircut), first in first out, last in first out, and poison. They differ in what a balance
gives away when it holds money of several origins; none of them is a fact about coins.

Sources: Möser, Böhme, Breuker (2014) for haircut and poison on transaction graphs; Anderson, Shumailov,
Ahmed, "Making Bitcoin Legal" (2018) for FIFO after Clayton's case (1816).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.exposure import FloatArray, IntArray, LegColumns, find_flows
from features.exposure_kernel import FEE, SWAP, share_out, total_flows
from features.legs import ChainLegs
from features.rules_kernel import (
    find_ancestors,
    find_descendants,
    find_paths,
    follow_parcels,
    follow_poison,
    follow_shares,
)

RULES = ("haircut", "fifo", "lifo", "poison")
MOST_PATHS = 16
"""Paths kept in each balance: as many as can be asked for."""

RETURNED = -2
"""Category of what came back to the subject itself."""


@dataclass(frozen=True)
class Answer:
    """How much of one asset belongs to one category, under each rule that was asked for, in raw units.

    `category` counts as the taxonomy does; then come history not in the ledger and newly made value. For what
    was sent it may be RETURNED.
    """

    asset: int
    category: int
    values: dict[str, float]


@dataclass(frozen=True)
class Step:
    """One transfer of a path: nodes, amounts in raw units of `asset`, how much of the path's money it had.

    `amount` is what the payee got with this transfer, `carried` the part of it that came along the path.
    `swap` says that it gave one asset for another: then `carried` is in the asset received.
    """

    seq: int
    payer: int
    payee: int
    asset: int
    paid_asset: int
    paid: float
    amount: float
    carried: float
    swap: bool


@dataclass(frozen=True)
class Path:
    """A way that money took, transfer after transfer, forward in time.

    `category` is that of its labelled end, `survived` the share that arrived of what the first
    payment gave to others: change and fee are no part of it.
    """

    category: int
    value: float
    survived: float
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Followed:
    """What one question found. `totals` is what the subject received (or sent) of each asset, in raw units.

    `transfers` is how many transfers bore on it.
    """

    totals: dict[int, float]
    answers: tuple[Answer, ...]
    paths: tuple[Path, ...]
    transfers: int


@dataclass(frozen=True)
class _Question:
    """What is asked of a chain: see `rules_kernel` for `emit`, `keeps` and `watch`."""

    emit: NDArray[np.int16]
    keeps: NDArray[np.bool_]
    watch: NDArray[np.int32]
    flows: NDArray[np.bool_]
    marks: int
    origins: tuple[int, int]
    answers: int
    arriving: bool


def trace_sources(
    legs: ChainLegs,
    subject: NDArray[np.bool_],
    *,
    categories: int,
    rules: tuple[str, ...] = RULES,
    wanted: NDArray[np.bool_] | None = None,
    paths: int = 5,
) -> Followed:
    """Return where the money of the owners in `subject` (by owner) came from.

    `wanted` says which categories paths may start at; all by default. `paths` is how many at most.
    """
    flows = find_flows(legs.payers, legs.payees, legs.roles, legs.owner_entity)
    groups = _numbered(subject)
    watch = np.where(flows, groups[legs.payees.owner], -1).astype(np.int32)
    question = _Question(
        emit=legs.payers.seed,
        keeps=legs.payees.seed < 0,
        watch=watch,
        flows=flows,
        marks=categories + 2,
        origins=(categories, categories + 1),
        answers=int(subject.sum()),
        arriving=True,
    )
    chosen = find_ancestors(
        legs.payers, legs.payees, question.emit, question.keeps, question.watch, legs.holders
    )
    small, question, part = _cut(legs, question, chosen)
    assets = legs.owner_asset[subject]
    found = _follow(small, question, rules)
    answers = tuple(
        Answer(int(asset), mark, {rule: float(found[rule][group, mark]) for rule in rules})
        for group, asset in enumerate(assets)
        for mark in range(question.marks)
        if any(found[rule][group, mark] > 0 for rule in rules)
    )
    totals = _totals(legs, flows, subject, 0)
    starts = np.ones(categories, np.bool_) if wanted is None else wanted
    ways = _paths(small, part, question, np.append(starts, [False, False]), paths)
    ways_named = tuple(replace(way, category=int(small.payers.seed[leg])) for way, leg, _ in ways)
    return Followed(totals, answers, ways_named, int(chosen.sum()))


def trace_destinations(
    legs: ChainLegs,
    subject: NDArray[np.bool_],
    *,
    categories: int,
    rules: tuple[str, ...] = RULES,
    wanted: NDArray[np.bool_] | None = None,
    paths: int = 5,
) -> Followed:
    """Return where the money that the owners in `subject` (by owner) sent has arrived.

    It is followed until it reaches a labelled service or offender, or comes back to the subject. What is in
    no answer is still on its way, or went in fees.
    """
    flows = find_flows(legs.payers, legs.payees, legs.roles, legs.owner_entity)
    pays, gets = subject[legs.payers.owner], subject[legs.payees.owner]
    fee = np.repeat(legs.roles == FEE, np.diff(legs.payers.start))
    emit = np.where(pays & ~fee, 0, np.where(legs.payers.seed >= 0, 1, -1)).astype(np.int16)
    keeps = (legs.payees.seed < 0) & ~gets
    chosen, reached = find_descendants(legs.payers, legs.payees, emit, keeps, legs.holders)
    # Whoever was never reached pays with other money, whatever it is.
    holder = legs.payers.holder
    other = (emit < 0) & ((holder < 0) | ~reached[np.maximum(holder, 0)])
    emit = np.where(other, 1, emit).astype(np.int16)
    # A mark for each asset sent: what was exchanged on the way still counts in the units that set out.
    sent = np.unique(legs.owner_asset[legs.payers.owner[pays & ~fee]])
    mark = np.searchsorted(sent, legs.owner_asset[legs.payers.owner])
    emit = np.where(emit == 0, mark, np.where(emit == 1, sent.size, -1)).astype(np.int16)
    category = np.where(gets, RETURNED, legs.payees.seed)
    ends = flows & (gets | (legs.payees.seed >= 0))
    groups, group = np.unique(category[ends], return_inverse=True)
    watch = np.full(flows.size, -1, np.int32)
    watch[ends] = group.reshape(-1)
    marks = sent.size + 3
    origins = (marks - 2, marks - 1)
    question = _Question(emit, keeps, watch, flows, marks, origins, groups.size, arriving=False)
    small, question, part = _cut(legs, question, chosen)
    found = _follow(small, question, rules)
    totals = _totals(legs, flows, subject, 2)
    if "poison" in found:
        found["poison"] = _poisoned(found["poison"], small, question, legs, sent, totals)
    answers = tuple(
        Answer(int(asset), int(groups[g]), {rule: float(found[rule][g, m]) for rule in rules})
        for m, asset in enumerate(sent)
        for g in range(groups.size)
        if any(found[rule][g, m] > 0 for rule in rules)
    )
    ends_wanted = np.ones(categories, np.bool_) if wanted is None else wanted
    asked = np.array([c >= 0 and bool(ends_wanted[c]) for c in groups], np.bool_)
    narrowed = np.where(np.append(asked, [False])[question.watch], question.watch, -1).astype(np.int32)
    starts = np.arange(marks) < sent.size
    ways = _paths(small, part, replace(question, watch=narrowed), starts, paths)
    ways_named = tuple(replace(way, category=int(small.payees.seed[leg])) for way, _, leg in ways)
    return Followed(totals, answers, ways_named, int(chosen.sum()))


def _poisoned(  # noqa: PLR0917
    found: FloatArray,
    small: "_Small",
    question: _Question,
    legs: ChainLegs,
    sent: NDArray[np.int32],
    totals: dict[int, float],
) -> FloatArray:
    """Return what poison says in units of the assets sent: what arrived in another asset may be all of it."""
    here = legs.owner_asset[small.payees.owner]
    for m, asset in enumerate(sent):
        same = replace(question, watch=np.where(here == asset, question.watch, -1).astype(np.int32))
        alike = _follow(small, same, ("poison",))["poison"][:, m]
        found[:, m] = np.where(found[:, m] > alike, totals.get(int(asset), 0.0), alike)
    return found


def _numbered(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of each chosen place among the chosen, -1 for the others."""
    return np.where(chosen, np.cumsum(chosen) - 1, -1)


def _totals(
    legs: ChainLegs, flows: NDArray[np.bool_], subject: NDArray[np.bool_], column: int
) -> dict[int, float]:
    """Return what the subject received (column 0) or paid (2) of each asset, as `total_flows` has it."""
    owners = np.flatnonzero(subject)
    total = total_flows(legs.payers, legs.payees, flows, legs.roles, subject.size)[owners, column]
    some = total > 0
    return dict(zip(legs.owner_asset[owners[some]].tolist(), total[some].tolist(), strict=True))


def _cut(
    legs: ChainLegs, question: _Question, chosen: NDArray[np.bool_]
) -> tuple["_Small", _Question, "_Part"]:
    """Return the chosen events alone, with holders numbered anew, and where their legs stood."""
    events = np.flatnonzero(chosen)
    payer_legs, payee_legs = (_legs_of(side.start, events) for side in (legs.payers, legs.payees))
    payers, payees = _pick(legs.payers, events, payer_legs), _pick(legs.payees, events, payee_legs)
    known, place = np.unique(np.concatenate([payers.holder, payees.holder]), return_inverse=True)
    place = place.reshape(-1) - int(known.size > 0 and known[0] < 0)  # -1 stays -1
    holders = int(known.size)
    small = _Small(
        payers._replace(holder=place[: payers.holder.size].astype(np.int32)),
        payees._replace(holder=place[payers.holder.size :].astype(np.int32)),
        legs.roles[events],
        max(holders, 1),
    )
    cut = _Question(
        question.emit[payer_legs],
        question.keeps[payee_legs],
        question.watch[payee_legs],
        question.flows[payee_legs],
        question.marks,
        question.origins,
        question.answers,
        question.arriving,
    )
    return small, cut, _Part(legs, events, payer_legs, payee_legs)


@dataclass(frozen=True)
class _Small:
    payers: LegColumns
    payees: LegColumns
    roles: NDArray[np.int8]
    holders: int


@dataclass(frozen=True)
class _Part:
    """Where the legs of a cut stand in the whole."""

    legs: ChainLegs
    events: IntArray
    payer_legs: IntArray
    payee_legs: IntArray


def _legs_of(start: IntArray, events: IntArray) -> IntArray:
    counts = start[events + 1] - start[events]
    ends = np.cumsum(counts)
    return np.repeat(start[events] - (ends - counts), counts) + np.arange(ends[-1] if ends.size else 0)


def _pick(side: LegColumns, events: IntArray, legs: IntArray) -> LegColumns:
    counts = side.start[events + 1] - side.start[events]
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    columns: dict[str, Any] = {name: np.asarray(getattr(side, name)[legs]) for name in side._fields[1:]}
    return LegColumns(start=start, **columns)


def _fraction(small: _Small, question: _Question) -> FloatArray:
    """Return what each payment takes of its balance; money that starts anew takes none."""
    payers = small.payers._replace(seed=question.emit)
    payees = small.payees._replace(seed=np.where(question.keeps, -1, 0).astype(np.int16))
    fraction = np.zeros(payers.holder.size)
    share_out(payers, payees, np.zeros(small.holders), fraction, 0, small.roles.size)
    return fraction


def _follow(small: _Small, question: _Question, rules: tuple[str, ...]) -> dict[str, FloatArray]:
    fraction = _fraction(small, question)
    # Few marks occur in any one question, and state has a place for each.
    present = np.union1d(question.emit[question.emit >= 0], question.origins)
    number = np.full(question.marks + 1, -1, np.int16)
    number[present] = np.arange(present.size)
    origins = (int(number[question.origins[0]]), int(number[question.origins[1]]))
    emit = number[question.emit]
    given = (small.payers, small.payees, small.roles, fraction, emit, question.keeps, question.watch)
    sizes = (origins, present.size, question.answers, small.holders)
    found: dict[str, FloatArray] = {}
    for rule in rules:
        if rule == "haircut":
            few = follow_shares(*given, *sizes, question.arriving)
        elif rule == "poison":
            few = follow_poison(*given, *sizes)
        else:
            few = follow_parcels(*given, *sizes, question.arriving, rule == "lifo")
        found[rule] = np.zeros((question.answers, question.marks))
        found[rule][:, present] = few
    return found


def _rank(small: _Small, question: _Question, legs: ChainLegs) -> FloatArray:
    """Return what a unit is worth at each payee leg, so that paths in several assets can be compared.

    In dollars of the day; an asset without a price comes after all that have one. Where none has a price,
    assets are compared by the share that a path is of all that arrived in its own.
    """
    amount, usd = small.payees.amount, small.payees.usd
    asset = legs.owner_asset[small.payees.owner]
    arrived = np.bincount(asset, np.where(question.watch >= 0, amount, 0.0), minlength=1)[asset]
    with np.errstate(divide="ignore", invalid="ignore"):
        worth, share = usd / amount, np.where(arrived > 0, 1.0 / arrived, 0.0)
    priced = (worth > 0) & (question.watch >= 0)
    if not priced.any():
        return np.asarray(share, np.float64)
    return np.asarray(np.where(worth > 0, worth, share * 1e-30), np.float64)


def _paths(
    small: _Small, part: _Part, question: _Question, wanted: NDArray[np.bool_], most: int
) -> list[tuple[Path, int, int]]:
    """Return the strongest paths with the numbers of their first payer leg and last payee leg in the cut."""
    if most < 1 or not small.roles.size:
        return []
    ends, (from_leg, to_leg, earlier, arrived, survived) = find_paths(
        small.payers,
        small.payees,
        small.roles,
        _fraction(small, question),
        question.emit,
        question.keeps,
        question.watch,
        wanted,
        small.holders,
        question.flows,
        _rank(small, question, part.legs),
        min(most, MOST_PATHS),
    )
    found = []
    for end in ends:
        chain = [int(end)]
        while earlier[chain[-1]] >= 0:
            chain.append(int(earlier[chain[-1]]))
        chain.reverse()
        steps = tuple(
            _step(part, small, int(from_leg[at]), int(to_leg[at]), float(arrived[at])) for at in chain
        )
        path = Path(-1, float(arrived[end]), float(survived[end]), steps)
        found.append((path, int(from_leg[chain[0]]), int(to_leg[chain[-1]])))
    return found


def _step(part: _Part, small: _Small, payer: int, payee: int, carried: float) -> Step:
    legs = part.legs
    payer_leg, payee_leg = int(part.payer_legs[payer]), int(part.payee_legs[payee])
    event = int(np.searchsorted(legs.payees.start, payee_leg, side="right")) - 1
    return Step(
        seq=int(legs.seq[event]),
        payer=int(legs.payer_node[payer_leg]),
        payee=int(legs.payee_node[payee_leg]),
        asset=int(legs.owner_asset[legs.payees.owner[payee_leg]]),
        paid_asset=int(legs.owner_asset[legs.payers.owner[payer_leg]]),
        paid=float(small.payers.amount[payer]),
        amount=float(small.payees.amount[payee]),
        carried=carried,
        swap=bool(legs.roles[event] == SWAP),
    )
