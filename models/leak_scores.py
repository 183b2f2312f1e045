"""Leaks that show in what ranks: a feature alone, the time, the order of rows, labels that mean nothing."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from models.fit import fit_columns
from models.folds import Folds, Rows
from models.leak_evidence import Check, Evidence, by_name, count_kinds, places_of
from models.metrics import roc_auc

Scorer = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SINGLE_LIMIT = 0.97
"""ROC-AUC that no feature may reach alone: the address itself would have to say what it is."""

SINGLE_NEEDS = 20
"""Owners of each kind below which a single feature may separate them by chance."""

TIME_LIMIT = 0.995
"""Rank correlation with a calendar time at which a feature is that time."""

CHANCE_ERRORS = 3.0
"""Standard errors by which chance may be exceeded: one honest audit in some hundred would fail at less."""

CHANCE_SLACK = 0.02
"""ROC-AUC above one half that is not worth calling a leak, however many owners show it."""

SHUFFLES = 3
"""How often the labels are shuffled."""

DAY_ZERO = datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC)


def check_single_features(evidence: Evidence) -> Check:
    """Find features that alone tell drug owners from others."""
    parts = [evidence.folds.test]
    if min(count_kinds(evidence.folds.test)) < SINGLE_NEEDS:
        parts = list(by_name(evidence.folds).values())
    drug, weight = (np.concatenate([getattr(rows, name) for rows in parts]) for name in ("drug", "weight"))
    values = np.concatenate([rows.values for rows in parts])
    owners = tuple(map(sum, zip(*(count_kinds(rows) for rows in parts), strict=True)))
    question = f"Does any feature alone reach a ROC-AUC of {SINGLE_LIMIT}?"
    if min(owners) < SINGLE_NEEDS:
        why = (
            f"too few owners: {owners[0]} drug owners, {owners[1]} others; {SINGLE_NEEDS} of each are needed"
        )
        return Check("single_feature", question, "", skipped=why)
    areas = {name: _area_alone(values[:, k], drug, weight) for k, name in enumerate(evidence.names)}
    best = max(sorted(areas), key=lambda name: areas[name])
    found = tuple(
        f"`{name}` alone ranks with ROC-AUC {area:.3f}"
        for name, area in areas.items()
        if area >= SINGLE_LIMIT
    )
    return Check("single_feature", question, f"the best is `{best}` with {areas[best]:.3f}", found)


def check_absolute_time(evidence: Evidence) -> Check:
    """Find features that are a calendar time: the moment, or when an address was first or last seen."""
    parts = list(by_name(evidence.folds).values())
    moments = np.asarray(
        [(moment - DAY_ZERO).total_seconds() / 86_400 for rows in parts for moment in rows.as_of], np.float64
    )
    values = np.concatenate([rows.values for rows in parts])
    question = "Is any feature an absolute time?"
    if len(np.unique(moments)) < 2:
        return Check("absolute_time", question, "", skipped="all rows are of one moment")
    clocks = {"the moment of the row": moments}
    for feature, clock in (
        ("age_days", "when it was first seen"),
        ("dormancy_days", "when it was last seen"),
        ("address_age_days", "when its address was first seen"),
    ):
        if feature in evidence.names:
            clocks[clock] = moments - values[:, evidence.names.index(feature)]
    findings, highest = [], (0.0, "", "")
    for k, name in enumerate(evidence.names):
        for clock, times in clocks.items():
            found = _rank_correlation(values[:, k], times)
            highest = max(highest, (found, name, clock))
            if found >= TIME_LIMIT:
                findings.append(f"`{name}` is {clock} (rank correlation {found:.4f})")
    said = f"the nearest is `{highest[1]}` to {highest[2]}, with a rank correlation of {highest[0]:.3f}"
    return Check("absolute_time", question, said, tuple(findings))


def check_time_only(evidence: Evidence) -> Check:
    """Find out whether a model of nothing but the moment and the place of a row ranks owners."""
    folds = evidence.folds
    frames = {frame.as_of: frame for frame in reversed(evidence.frames)}
    place = {moment: places_of(frame) for moment, frame in frames.items()}
    size = {moment: max(len(frame.accounts), 1) for moment, frame in frames.items()}
    first = min(frame.as_of for frame in evidence.frames)

    def blind(rows: Rows) -> Rows:
        values = np.asarray(
            [
                [(moment - first).days, place[moment].get(account, 0) / size[moment], number]
                for number, (account, moment) in enumerate(zip(rows.accounts, rows.as_of, strict=True))
            ],
            dtype=np.float64,
        )
        return replace(rows, values=values)

    blinded = Folds(blind(folds.train), blind(folds.valid), blind(folds.test), {})
    score = _fit(blinded, evidence.seed)(blinded.test.values)
    area, error = _area_within(folds.test, score)
    return Check(
        "time_only",
        "Does a model rank by the moment and the place of a row alone?",
        f"ROC-AUC {area:.3f} ± {error:.3f} within one moment, chain and kind of address; chance is 0.5",
        _above_chance(area, error, "the order of the rows ranks owners"),
    )


def check_shuffled_labels(evidence: Evidence) -> Check:
    """Find out whether a model learns anything when it is told lies: owners get each other's labels."""
    folds = evidence.folds
    names = sorted({owner.name for rows in by_name(folds).values() for owner in rows.owners})
    drug_of = {o.name: o.drug for rows in by_name(folds).values() for o in rows.owners}
    areas = []
    for shuffle in range(SHUFFLES):
        random = np.random.default_rng([evidence.seed, shuffle])
        mixed = np.asarray([drug_of[name] for name in names])[random.permutation(len(names))]
        lied = dict(zip(names, mixed.tolist(), strict=True))
        shuffled = Folds(_tell(folds.train, lied), _tell(folds.valid, lied), _tell(folds.test, lied), {})
        if any(min(count_kinds(rows)) == 0 for rows in by_name(shuffled).values()):
            continue
        score = _fit(shuffled, evidence.seed)(shuffled.test.values)
        areas.append(roc_auc(shuffled.test.drug, score, shuffled.test.weight))
    question = "Does a model trained on shuffled labels rank no better than chance?"
    if not areas:
        return Check("shuffled_labels", question, "", skipped="too few owners to shuffle")
    area = float(np.mean(areas))
    error = _chance_error(*count_kinds(folds.test)) / float(np.sqrt(len(areas)))
    each = ", ".join(f"{found:.3f}" for found in areas)
    return Check(
        "shuffled_labels",
        question,
        f"ROC-AUC {area:.3f} ± {error:.3f} over {len(areas)} shuffles of owners ({each}); chance is 0.5",
        _above_chance(area, error, "it ranks owners by labels that mean nothing"),
    )


def _fit(folds: Folds, seed: int) -> Scorer:
    columns = np.arange(folds.train.values.shape[1])
    return fit_columns(folds, columns, seed=seed, prevalence=0.01).log_odds


def _tell(rows: Rows, drug_of: Mapping[str, bool]) -> Rows:
    """Return the rows with other labels of their owners."""
    owners = tuple(replace(owner, drug=drug_of[owner.name]) for owner in rows.owners)
    return replace(rows, owners=owners, drug=np.asarray([o.drug for o in owners], np.bool_)[rows.owner])


def _area_alone(column: NDArray[np.float64], drug: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Return the ROC-AUC of one feature, in whichever direction it ranks and at whichever end NaN stands."""
    areas = []
    for absent in (-np.inf, np.inf):
        area = roc_auc(drug, np.where(np.isnan(column), absent, column), weight)
        areas += [area, 1 - area]
    return max(areas)


def _rank_correlation(one: NDArray[np.float64], clock: NDArray[np.float64]) -> float:
    """Return Spearman's correlation where both are known; 0 where one never varies or too few are known.

    It is a share of what numbers without ties could reach: noise inside one moment hides no moment.
    """
    known = ~(np.isnan(one) | np.isnan(clock))
    if np.count_nonzero(known) < SINGLE_NEEDS:
        return 0.0
    times = _ranks(clock[known])
    reached = _correlation(_ranks(one[known]), times)
    possible = _correlation(np.arange(1.0, len(times) + 1), np.sort(times))
    return min(1.0, abs(reached) / possible) if possible > 0 else 0.0


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - np.mean(a), b - np.mean(b)
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 0 else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, same, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[same])


def _area_within(rows: Rows, score: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ROC-AUC of pairs within one moment, chain and kind of address, and its error at chance."""
    groups = [
        f"{moment} {account.rpartition(':')[0]} {_address_kind(account)}"
        for account, moment in zip(rows.accounts, rows.as_of, strict=True)
    ]
    named = np.asarray(groups, dtype=object)
    total = squared = summed = 0.0
    for group in sorted(set(groups)):
        ours = named == group
        drug, weight = rows.drug[ours], rows.weight[ours]
        if drug.all() or not drug.any():
            continue
        owners = rows.owner[ours]
        counts = len(np.unique(owners[drug])), len(np.unique(owners[~drug]))
        pairs = float(counts[0] * counts[1])
        total += pairs
        summed += pairs * roc_auc(drug, score[ours], weight)
        squared += (pairs * _chance_error(*counts)) ** 2
    return (summed / total, float(np.sqrt(squared)) / total) if total else (0.5, 0.5)


def _address_kind(account: str) -> str:
    """Return how the address begins, as kinds of script and of accounts do: the order of text is theirs."""
    found = re.match(r"[a-z]+1.|0x|.", account.rpartition(":")[2])
    return found.group() if found else ""


def _chance_error(drug: int, other: int) -> float:
    """Return the standard error of a ROC-AUC that ranks by chance (Mann and Whitney, 1947)."""
    return float(np.sqrt((drug + other + 1) / (12 * drug * other)))


def _above_chance(area: float, error: float, words: str) -> tuple[str, ...]:
    if area - 0.5 <= max(CHANCE_ERRORS * error, CHANCE_SLACK):
        return ()
    return (f"{words}: ROC-AUC {area:.3f}, chance would stay below {0.5 + CHANCE_ERRORS * error:.3f}",)
