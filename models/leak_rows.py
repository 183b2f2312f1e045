"""Leaks in how rows came to be: whose they are, when their labels were known, what they were built from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue import find_feature
from features.frame import FeatureFrame
from features.view import WHOLE
from models.compare import pick_rows
from models.folds import Rows
from models.leak_evidence import Check, Evidence, by_name, columns_of, count_words, list_some, places_of


def check_owners_apart(evidence: Evidence) -> Check:
    """Find owners, accounts and clusters that stand on both sides of a split."""
    folds = by_name(evidence.folds)
    findings = []
    for kind, of_fold in (
        ("owner", {name: {owner.name for owner in rows.owners} for name, rows in folds.items()}),
        ("account", {name: set(rows.accounts) for name, rows in folds.items()}),
    ):
        for one, other in _pairs(folds):
            both = sorted(of_fold[one] & of_fold[other])
            if both:
                findings.append(f"{count_words(both, kind)} in {one} and {other}: {list_some(both)}")
    frames = {frame.as_of: frame for frame in reversed(evidence.frames)}
    place = {moment: places_of(frame) for moment, frame in frames.items()}
    fold_of = {account: name for name, rows in folds.items() for account in rows.accounts}
    for name, rows in list(folds.items())[1:]:
        mixed = set()
        for moment in sorted(set(rows.as_of)):
            if moment not in frames:
                continue
            entities, where = frames[moment].entities, place[moment]
            earlier = {
                int(entities[where[account]])
                for account, fold in fold_of.items()
                if account in where and list(folds).index(fold) < list(folds).index(name)
            }
            mixed |= {
                account
                for account, at in zip(rows.accounts, rows.as_of, strict=True)
                if at == moment and account in where and int(entities[where[account]]) in earlier
            }
        if mixed:
            found = sorted(mixed)
            findings.append(
                f"{count_words(found, 'account')} of the {name} fold in one cluster with those of an earlier "
                f"fold: {list_some(found)}"
            )
    owners = sum(len(rows.owners) for rows in folds.values())
    return Check(
        "shared_owner",
        "Is any owner on both sides of a split?",
        f"{owners:,} owners in three folds, compared by name, account and cluster",
        tuple(findings),
    )


def check_label_dates(evidence: Evidence) -> Check:
    """Find rows that learnt from a label of a later period, and moments out of order."""
    folds, findings = evidence.folds, []
    published = dict(zip(*columns_of(evidence.targets, "account", "published_at"), strict=True))
    moments = {name: sorted(set(rows.as_of)) for name, rows in by_name(folds).items()}
    for (name, rows), later in (
        (("train", folds.train), moments["valid"]),
        (("valid", folds.valid), moments["test"]),
    ):
        if not later:
            continue
        late = sorted({a for a in rows.accounts if a in published and published[a] >= later[0]})
        if late:
            findings.append(
                f"{count_words(late, 'account')} of the {name} fold named by a label of {later[0]:%Y-%m-%d} "
                f"or later: {list_some(late)}"
            )
        if moments[name] and moments[name][-1] >= later[0]:
            findings.append(f"a row of the {name} fold is of {moments[name][-1]}, not before {later[0]}")
    nameless = sorted({a for rows in by_name(folds).values() for a in rows.accounts if a not in published})
    if nameless:
        findings.append(f"{count_words(nameless, 'account')} without a target: {list_some(nameless)}")
    return Check(
        "late_label",
        "Was every label of training public before the next fold began?",
        f"{len(published):,} labelled accounts, by the day on which their label was published",
        tuple(findings),
    )


def check_after_action(evidence: Evidence) -> Check:
    """Find rows of drug owners from after the first public action against them."""
    acted = _first_actions(evidence.targets)
    findings, checked = [], 0
    for name, rows in by_name(evidence.folds).items():
        late = set()
        for account, moment, owner, drug in zip(
            rows.accounts, rows.as_of, rows.owner.tolist(), rows.drug.tolist(), strict=True
        ):
            checked += drug
            known = min(acted.get(rows.owners[owner].name, moment), rows.owners[owner].acted_at)
            if drug and known <= moment:
                late.add(account)
        if late:
            findings.append(
                f"{count_words(sorted(late), 'account')} of the {name} fold: {list_some(sorted(late))}"
            )
    return Check(
        "after_action",
        "Was every drug owner taken as it looked before the first public action against it?",
        f"{checked:,} rows of drug owners, compared with the first label or listing of their owner",
        tuple(findings),
    )


def check_own_labels(evidence: Evidence) -> Check:
    """Find rows whose exposure comes from a label of their own owner."""
    findings, checked = [], 0
    for frame, rows in _frames_with_rows(evidence):
        place = places_of(frame)
        seeded = sorted({a for a in rows.accounts if a in place and frame.seeded[place[a]]})
        if seeded:
            findings.append(
                f"{count_words(seeded, 'account')} of {_say(frame)} that a label of their own "
                f"had named: {list_some(seeded)}"
            )
        owners = {rows.owners[i].name for i in rows.owner[rows.drug].tolist()}
        checked += int(np.count_nonzero(rows.drug))
        if evidence.rebuild is None:
            continue
        own = _known_accounts(evidence.targets, owners, before=frame.as_of)
        without = evidence.rebuild(frame, own)
        higher = _raised(
            frame, without, [a for a, drug in zip(rows.accounts, rows.drug, strict=True) if drug]
        )
        if higher:
            accounts, features = higher
            findings.append(
                f"{count_words(accounts, 'account')} of drug owners at {_say(frame)} whose exposure "
                f"differs without labels of their owner ({list_some(features)}): {list_some(accounts)}"
            )
    said = f"{checked:,} rows of drug owners"
    if evidence.rebuild is None:
        said += "; exposure was not built again: there is no ledger"
    else:
        said += ", their exposure built again without any label of their owners"
    return Check("own_label", "Does any address owe its exposure to its own label?", said, tuple(findings))


def check_look_ahead(evidence: Evidence) -> Check:
    """Find values that change when everything from their moment on is taken out of the ledger."""
    question = "Are all rows the same, bit for bit, when the ledger ends at their moment?"
    if evidence.rebuild is None:
        return Check("look_ahead", question, "", skipped="there is no ledger to build the frames from again")
    findings, compared = [], 0
    for frame in evidence.frames:
        again = evidence.rebuild(frame, frozenset())
        compared += len(frame.accounts)
        if again.accounts != frame.accounts:
            other = sorted(set(again.accounts) ^ set(frame.accounts))
            findings.append(
                f"at {_say(frame)} {count_words(other, 'account')} came or went: {list_some(other)}"
            )
            continue
        changed = ~_same(frame.values, again.values)
        if changed.any():
            features = [frame.names[k] for k in np.flatnonzero(changed.any(axis=0))]
            rows = int(np.count_nonzero(changed.any(axis=1)))
            findings.append(
                f"at {_say(frame)} {rows:,} of {len(frame.accounts):,} rows differ, in "
                f"{count_words(features, 'feature')}: {list_some(features)}"
            )
        for name, one, other_ in (
            ("entities", frame.entities, again.entities),
            ("seeds", frame.seeded, again.seeded),
        ):
            if (one != other_).any():
                findings.append(f"at {_say(frame)} the {name} of {np.count_nonzero(one != other_):,} differ")
    return Check(
        "look_ahead",
        question,
        f"{compared:,} rows of {len(evidence.frames)} frames, built again from a ledger cut at each moment",
        tuple(findings),
    )


def _pairs(folds: Mapping[str, Rows]) -> Iterator[tuple[str, str]]:
    names = list(folds)
    return ((one, other) for number, one in enumerate(names) for other in names[number + 1 :])


def _first_actions(targets: pa.Table) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for owner, acted_at in zip(*columns_of(targets, "owner", "acted_at"), strict=True):
        found[owner] = min(found.get(owner, acted_at), acted_at)
    return found


def _known_accounts(targets: pa.Table, owners: set[str], *, before: datetime) -> frozenset[str]:
    """Return the accounts of some owners that a label had named by then."""
    columns = columns_of(targets, "account", "owner", "published_at")
    return frozenset(a for a, owner, at in zip(*columns, strict=True) if owner in owners and at < before)


def _frames_with_rows(evidence: Evidence) -> Iterator[tuple[FeatureFrame, Rows]]:
    for frame in evidence.frames:
        for rows in by_name(evidence.folds).values():
            shown = zip(rows.as_of, rows.view, strict=True)
            kept = np.asarray([each == (frame.as_of, frame.view) for each in shown], dtype=np.bool_)
            if kept.any():
                yield frame, pick_rows(rows, kept)


def _say(frame: FeatureFrame) -> str:
    return f"{frame.as_of:%Y-%m-%d}" + ("" if frame.view == WHOLE.name else f" ({frame.view})")


def _raised(
    frame: FeatureFrame, without: FeatureFrame, accounts: Sequence[str]
) -> tuple[list[str], list[str]] | None:
    """Return the accounts, and the exposure features, whose values are not the same in both frames."""
    exposure = [k for k, name in enumerate(frame.names) if _group_of(name) == "exposure"]
    ours, theirs = places_of(frame), places_of(without)
    both = sorted({a for a in accounts if a in ours and a in theirs})
    if not both or not exposure:
        return None
    one = frame.values[np.ix_([ours[a] for a in both], exposure)]
    other = without.values[np.ix_([theirs[a] for a in both], exposure)]
    changed = ~_same(one, other)
    if not changed.any():
        return None
    rows = [both[i] for i in np.flatnonzero(changed.any(axis=1))]
    return rows, [frame.names[exposure[k]] for k in np.flatnonzero(changed.any(axis=0))]


def _group_of(name: str) -> str:
    try:
        return find_feature(name).group
    except KeyError:
        return ""


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))
