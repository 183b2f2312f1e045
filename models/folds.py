"""Which labelled rows train, which validate and which test: apart in time and in owner."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from datasets.splits import UNNAMED
from datasets.taxonomy import load_taxonomy
from features.frame import FeatureFrame

FOLDS: Mapping[str, float] = {"train": 0.6, "valid": 0.2, "test": 0.2}
"""Shares by which an owner that could serve in several folds is dealt to one."""

TARGET_COLUMNS = ("account", "owner", "drug", "category", "published_at", "acted_at")


@dataclass(frozen=True)
class Moments:
    """When the frames of one training are taken (naive UTC, ascending)."""

    train: tuple[datetime, ...]
    valid: datetime
    test: datetime


@dataclass(frozen=True)
class Owner:
    """One owner of labelled accounts."""

    name: str
    drug: bool
    category: str
    acted_at: datetime
    """The first public action against it, or public word on it."""

    @property
    def illicit(self) -> bool:
        """Return whether it is in the drug trade or in another crime."""
        found = load_taxonomy().by_id.get(self.category)
        return self.drug or (found is not None and found.group == "crime")

    @property
    def licit(self) -> bool:
        """Return whether nothing illicit is said of it: neither drugs nor any other crime."""
        found = load_taxonomy().by_id.get(self.category)
        return not self.drug and found is not None and found.group in {"ordinary", "service"}


@dataclass(frozen=True)
class Rows:
    """The rows of one fold: frames in order of time, accounts ascending within each."""

    accounts: tuple[str, ...]
    as_of: tuple[datetime, ...]
    view: tuple[str, ...]
    """What was looked at of the ledger: "whole", or less."""
    values: NDArray[np.float64]
    """[rows, features], NaN where unknown."""
    owner: NDArray[np.int64]
    """[rows], places in `owners`."""
    owners: tuple[Owner, ...]
    """Ascending by name, each with at least one row."""
    drug: NDArray[np.bool_]
    illicit: NDArray[np.bool_]
    """Of an owner in the drug trade or in another crime."""
    weight: NDArray[np.float64]
    """Per frame the weights of one owner sum to 1."""

    @property
    def prevalence(self) -> float:
        """Share of drug owners, an owner counting once a frame."""
        return float(np.sum(self.weight[self.drug]) / np.sum(self.weight))


@dataclass(frozen=True)
class Folds:
    """Three folds that share no owner; what was left out of them, and why, in rows."""

    train: Rows
    valid: Rows
    test: Rows
    left_out: Mapping[str, int]


def plan_moments(first: datetime, last: datetime) -> Moments:
    """Place the moments of training between the first and the last transfer of a ledger.

    Labels come late. So the train moments lie well before the validation moment, which lies before the
    test moment, and 18% of the span remains after that for labels to become known.
    Raises ValueError unless `first` lies before `last`.
    """
    if first >= last:
        raise ValueError(f"the last transfer ({last}) must come after the first ({first})")
    span = last - first

    def at(share: float) -> datetime:
        moment = first + timedelta(seconds=round(span.total_seconds() * share))
        return moment.replace(microsecond=0)

    return Moments(train=(at(0.30), at(0.42), at(0.54)), valid=at(0.66), test=at(0.82))


def split_rows(
    train: Sequence[FeatureFrame], valid: FeatureFrame, test: FeatureFrame, targets: pa.Table
) -> Folds:
    """Deal the labelled rows of the frames to three folds.

    A row needs a target. Left out are seeded rows, rows of a drug owner after the first public action on it,
    rows of an entity in which accounts of several owners are mixed up, and owners said to be both drug and
    not. A label serves in training only if it was published before the validation moment, and in validation
    only if before the test moment: the model could have been made then. An owner that could serve in
    several folds goes to one of them by a stable hash of its name, 60 to 20 to 20.

    `targets` has one row an account with the columns of `TARGET_COLUMNS`. Raises ValueError where an
    account stands there twice, a time is absent, or the frames are not in order or have other features.
    """
    _check_frames(train, valid, test)
    table = _check_targets(targets)
    deadlines = {"train": valid.as_of, "valid": test.as_of, "test": None}
    frames = {"train": list(train), "valid": [valid], "test": [test]}
    left_out: Counter[str] = Counter()
    fold_of: dict[str, str] = {}
    owners, usable = {}, {}
    for fold, deadline in deadlines.items():
        # What was said after the deadline does not serve, and does not decide who else serves either.
        known = table if deadline is None else table.filter(pc.less(table.column("published_at"), deadline))
        owners[fold], mixed = _read_owners(known)
        later = list(FOLDS)[list(FOLDS).index(fold) :]
        found = {
            place: [_usable(frame, known, owners[fold], mixed) for frame in frames[place]] for place in later
        }
        usable[fold] = [kept for kept, _ in found[fold]]
        for _, why in found[fold]:
            left_out.update(why)
        left_out["known_too_late_for_the_fold"] += (table.num_rows - known.num_rows) * len(frames[fold])
        present = {place: {name for kept, _ in found[place] for _, name in kept} for place in later}
        for name in present[fold]:
            if name not in fold_of:
                fold_of[name] = _deal(name, [place for place in later if name in present[place]])
    dealt = {}
    for fold in FOLDS:
        parts = [[(row, name) for row, name in part if fold_of[name] == fold] for part in usable[fold]]
        left_out["owner_in_another_fold"] += sum(map(len, usable[fold])) - sum(map(len, parts))
        dealt[fold] = _gather(frames[fold], parts, owners[fold])
    counts = {reason: left_out[reason] for reason in sorted(left_out)}
    return Folds(train=dealt["train"], valid=dealt["valid"], test=dealt["test"], left_out=counts)


def stable_share(text: str) -> float:
    """Return a number from 0 up to 1 that depends on `text` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def _deal(name: str, possible: Sequence[str]) -> str:
    place = stable_share(f"fold:{name}") * sum(FOLDS[fold] for fold in possible)
    for fold in possible[:-1]:
        place -= FOLDS[fold]
        if place < 0:
            return fold
    return possible[-1]


def _check_frames(train: Sequence[FeatureFrame], valid: FeatureFrame, test: FeatureFrame) -> None:
    frames = [*train, valid, test]
    if not train:
        raise ValueError("training needs at least one frame")
    if any(frame.names != test.names for frame in frames):
        raise ValueError("all frames must have the same features")
    if any(a.as_of > b.as_of for a, b in pairwise(train)) or not (train[-1].as_of < valid.as_of < test.as_of):
        raise ValueError("the moments of the frames must ascend: train, then validation, then test")


def _check_targets(targets: pa.Table) -> pa.Table:
    table = targets.select(list(TARGET_COLUMNS)).combine_chunks()
    if any(table.column(name).null_count for name in TARGET_COLUMNS):
        raise ValueError(f"a target needs {', '.join(TARGET_COLUMNS)}")
    if pc.count_distinct(table.column("account")).as_py() != table.num_rows:
        raise ValueError("an account must not have two targets")
    return table


def _read_owners(table: pa.Table) -> tuple[dict[str, Owner], frozenset[str]]:
    """Return the owners by name, ascending, and the names of those said to be both drug and not drug.

    The account that was published first names the category of its owner.
    """
    owners: dict[str, Owner] = {}
    mixed = set()
    order = table.sort_by([("published_at", "ascending"), ("account", "ascending")])
    columns = (order.column(name).to_pylist() for name in ("owner", "drug", "category", "acted_at"))
    for name, drug, category, acted_at in zip(*columns, strict=True):
        had = owners.setdefault(name, Owner(name, drug, category, acted_at))
        if had.drug != drug:
            mixed.add(name)
        if acted_at < had.acted_at:
            owners[name] = replace(had, acted_at=acted_at)
    return dict(sorted(owners.items())), frozenset(mixed)


def _usable(
    frame: FeatureFrame, known: pa.Table, owners: Mapping[str, Owner], mixed: frozenset[str]
) -> tuple[list[tuple[int, str]], Counter[str]]:
    """Return (row, owner) of the rows of `frame` that may be learnt from, ascending; and count the others."""
    places = pc.index_in(known.column("account"), value_set=pa.array(frame.accounts, pa.string()))
    names = known.column("owner").to_pylist()
    found = sorted(
        (row, name) for row, name in zip(places.to_pylist(), names, strict=True) if row is not None
    )
    holders: dict[int, set[str]] = {}
    for row, name in found:
        holders.setdefault(int(frame.entities[row]), set()).add(name)
    # Addresses of one cluster that no label names have one owner: whom the cluster has a name for, if anyone.
    sole = {entity: _one_owner(names_of, owners) for entity, names_of in holders.items()}
    kept = []
    left_out: Counter[str] = Counter()
    for row, said in found:
        name = sole[int(frame.entities[row])] or said
        if frame.seeded[row]:
            left_out["seeded"] += 1
        elif name in mixed:
            left_out["owner_both_drug_and_not"] += 1
        elif owners[name].drug and owners[name].acted_at <= frame.as_of:
            left_out["after_the_first_public_action"] += 1
        elif sole[int(frame.entities[row])] is None:
            left_out["entity_of_several_owners"] += 1
        else:
            kept.append((row, name))
    return kept, left_out


def _one_owner(names: set[str], owners: Mapping[str, Owner]) -> str | None:
    """Return the one owner of a cluster that labels say is of `names`; None where they are several."""
    named = {name for name in names if not name.startswith(UNNAMED)}
    if len(named) > 1 or len({owners[name].drug for name in names}) > 1:
        return None
    return min(named or names)


def _gather(
    frames: Sequence[FeatureFrame], parts: Sequence[Sequence[tuple[int, str]]], owners: Mapping[str, Owner]
) -> Rows:
    names = sorted({name for part in parts for _, name in part})
    number = {name: i for i, name in enumerate(names)}
    owner = np.asarray([number[name] for part in parts for _, name in part], dtype=np.int64)
    weights = []
    for part in parts:
        of_part = np.asarray([number[name] for _, name in part], dtype=np.int64)
        counts = np.bincount(of_part, minlength=max(len(names), 1))
        weights.append(1.0 / counts[of_part])
    rows = [np.asarray([row for row, _ in part], dtype=np.int64) for part in parts]
    kept = tuple(owners[name] for name in names)
    return Rows(
        accounts=tuple(f.accounts[row] for f, r in zip(frames, rows, strict=True) for row in r.tolist()),
        as_of=tuple(f.as_of for f, r in zip(frames, rows, strict=True) for _ in range(len(r))),
        view=tuple(f.view for f, r in zip(frames, rows, strict=True) for _ in range(len(r))),
        values=np.ascontiguousarray(np.concatenate([f.values[r] for f, r in zip(frames, rows, strict=True)])),
        owner=owner,
        owners=kept,
        drug=np.asarray([o.drug for o in kept], dtype=np.bool_)[owner],
        illicit=np.asarray([o.illicit for o in kept], dtype=np.bool_)[owner],
        weight=np.concatenate(weights),
    )
