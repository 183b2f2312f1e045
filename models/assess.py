"""The honest evaluation of one model: every figure of `silkscreen evaluate`, as data.

All figures stand on rows of the test moment, of owners that neither the model nor its baselines, nor the
model that it is compared with, was trained or calibrated on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chains.errors import ModelMismatch, TooFewRows
from features.catalogue import CATALOGUE, catalogue_hash, find_feature
from features.frame import FeatureFrame
from models.baselines import NAMES, fit_regression, score_rules
from models.bootstrap import (
    DRAWS,
    LEVEL,
    SEED,
    Draws,
    Figures,
    curve_band,
    describe_difference,
    describe_spread,
    draw_figures,
    draw_owners,
)
from models.calibrate import Calibration, logit, probability_of
from models.capacity import precision_at_capacity
from models.compare import compare, seen_owners, without_owners
from models.fit import fit_columns
from models.folds import Folds, Rows
from models.groups import break_down, count_flagged, measure_part
from models.leaks import Check, Evidence, audit_leaks
from models.levels import Threshold, owner_maxima
from models.metrics import PREVALENCES, brier, calibration_bins, calibration_error, log_loss, wilson
from models.prepare import Prepared
from models.rebuild import build_views, rebuild_from, rows_in_view
from models.registry import Model
from models.truth import Truth, measure_truth

Progress = Callable[[str, int, int], None]

OWNERS_NEEDED = 5
"""Least number of drug owners, and of other owners, that a model is evaluated on."""

LAST_DAYS = (0, 7, 30)
"""Days before the first public action that are left out, to see whether the model sees it coming earlier."""

RECALLS = np.linspace(0.02, 1.0, 50)
"""Recalls at which the precision-recall curve is drawn."""


@dataclass(frozen=True)
class Question:
    """What an evaluation is asked."""

    capacity: int
    truth: Truth | None = None
    draws: int = DRAWS
    seed: int = SEED


def assess(
    model: Model,
    prepared: Prepared,
    question: Question,
    *,
    models_folder: Path,
    ledger: Path | None,
    against: Model | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate `model`, compare it with `against`, and audit the rows; return all of it as JSON can hold it.

    Without a `ledger` the frames cannot be built again, and the audit says so. Raises ModelMismatch where
    the model was trained on other features, TooFewRows where too few owners are left that it never saw, and
    what `build_frame` raises.
    """
    tell = progress or (lambda _step, _done, _of: None)
    frame = prepared.test
    model.require(frame.names, catalogue_hash=catalogue_hash())
    seen = seen_owners(models_folder, model.version)
    both = seen if against is None else seen | seen_owners(models_folder, against.version)
    rows = without_owners(prepared.folds.test, both)
    _check_counts(rows)
    tell("train the baselines", 0, 4)
    scores = _score_all(model, prepared.folds, rows, frame.names)
    tell("measure", 1, 4)
    found = _measure(model, rows, scores, question, owners=len(np.unique(frame.entities)))
    found["rows"] |= {
        "left_out_owners": len(prepared.folds.test.owners) - len(rows.owners),
        "left_out_rows": dict(prepared.folds.left_out),
    }
    if ledger is not None:
        views = build_views(ledger, prepared, threads=threads)
        found["groups"]["view"] += list(_measure_views(model, rows, views, question))
    found["truth"] = None
    if question.truth is not None:
        found["truth"] = measure_truth(
            question.truth,
            frame,
            model.log_odds(frame.values),
            prepared.targets,
            seen=both,
            thresholds=model.thresholds,
            cases=found["capacity"]["cases"],
            draws=question.draws,
            seed=question.seed,
        )
    found["comparison"] = None
    if against is not None:
        found["comparison"] = asdict(
            compare(
                against,
                model,
                prepared.folds.test,
                seen=both,
                usable=_fits(against, frame.names),
                draws=question.draws,
                seed=question.seed,
            )
        )
    tell("leak audit", 2, 4)
    rebuild = None if ledger is None else rebuild_from(ledger, prepared, threads=threads)
    frames = (*prepared.train, prepared.valid, prepared.test)
    evidence = Evidence(frames, prepared.targets, prepared.folds, frame.names, rebuild)
    checks = audit_leaks(evidence, progress=lambda step, _done, _of: tell(step, 3, 4))
    found["audit"] = {
        "passed": not any(check.findings for check in checks),
        "checks": [_describe_check(check) for check in checks],
    }
    tell("leak audit", 4, 4)
    return found


def require_current(model: Model) -> None:
    """Raise ModelMismatch unless the model knows the features of today, in their meaning of today."""
    model.require(tuple(feature.name for feature in CATALOGUE), catalogue_hash=catalogue_hash())


def _check_counts(rows: Rows) -> None:
    drug = sum(owner.drug for owner in rows.owners)
    for kind, found in (("drug owners", drug), ("other owners", len(rows.owners) - drug)):
        if found < OWNERS_NEEDED:
            what = (
                f"{kind} at the test moment that the model was not trained or calibrated on, to evaluate it"
            )
            raise TooFewRows(what=what, found=found, needed=OWNERS_NEEDED)


def _fits(model: Model, names: tuple[str, ...]) -> bool:
    try:
        model.require(names, catalogue_hash=catalogue_hash())
    except ModelMismatch:
        return False
    return True


def _score_all(
    model: Model, folds: Folds, rows: Rows, names: tuple[str, ...]
) -> dict[str, tuple[NDArray[np.float64], Calibration | None]]:
    """Return the score of each row by the model and each baseline; log-odds where there is a calibration."""
    prevalence = model.calibration.prevalence
    found: dict[str, tuple[NDArray[np.float64], Calibration | None]] = {
        "model": (model.log_odds(rows.values), model.calibration)
    }
    regression = fit_regression(folds, names, prevalence=prevalence)
    found["logistic_regression"] = (regression.log_odds(rows.values), regression.calibration)
    # As training made them for the model card.
    seed = int(model.card.get("seed", 1))
    monotone = [find_feature(name).monotone for name in names]
    for kind, group in (("exposure_alone", "exposure"), ("activity_alone", "activity")):
        columns = np.asarray(
            [i for i, name in enumerate(names) if find_feature(name).group == group], np.int64
        )
        if len(columns):
            fit = fit_columns(folds, columns, seed=seed, prevalence=prevalence, monotone=monotone)
            found[kind] = (fit.log_odds(rows.values), fit.calibration)
    found["rules_alone"] = (score_rules(names, rows.values), None)
    found["prevalence"] = (np.zeros(len(rows.accounts)), None)
    return found


def _measure(
    model: Model,
    rows: Rows,
    scores: Mapping[str, tuple[NDArray[np.float64], Calibration | None]],
    question: Question,
    *,
    owners: int,
) -> dict[str, Any]:
    drawn = draw_owners(rows.owner, rows.drug, rows.weight, draws=question.draws, seed=question.seed)
    drawn_figures = {kind: draw_figures(of_kind, drawn) for kind, (of_kind, _) in scores.items()}
    score = scores["model"][0]
    at_fold = _at_prevalence(score, model.calibration, rows.prevalence)
    bins = calibration_bins(rows.drug, probability_of(at_fold), rows.weight)
    highest = owner_maxima(score, rows.owner, np.arange(len(rows.owners)).tolist())
    of_drug = np.asarray([owner.drug for owner in rows.owners], dtype=np.bool_)
    kinds = [owner.category for owner in rows.owners]
    return {
        "format": 1,
        "model": model.version,
        "simulated": model.population.simulated,
        "interval": {"level": LEVEL, "draws": question.draws, "seed": question.seed, "of": "owners"},
        "rows": {
            "rows": len(rows.accounts),
            "owners": len(rows.owners),
            "drug_owners": int(of_drug.sum()),
            "licit_owners": sum(owner.licit for owner in rows.owners),
            "prevalence": rows.prevalence,
            "moments": [f"{moment.isoformat()}Z" for moment in sorted(set(rows.as_of))],
        },
        "scores": [
            _describe_score(kind, *scores[kind], rows, drawn_figures[kind])
            for kind in NAMES
            if kind in scores
        ],
        "ahead": [
            {"than": kind} | {name: asdict(gap) for name, gap in gaps.items()}
            for kind in NAMES
            if kind in scores and kind != "model"
            for gaps in [describe_difference(drawn_figures["model"], drawn_figures[kind])]
        ],
        "calibration": {
            "prevalence": rows.prevalence,
            "stated_prevalence": model.calibration.prevalence,
            "error": calibration_error(bins),
            "bins": [asdict(found) for found in bins],
        },
        "levels": [
            _describe_level(level, highest, rows)
            for level in (model.thresholds.medium, model.thresholds.high)
        ],
        "capacity": asdict(
            precision_at_capacity(
                of_drug,
                highest,
                per_day=question.capacity,
                owners=owners,
                draws=question.draws,
                seed=question.seed,
            )
        ),
        "groups": break_down(rows, score, draws=question.draws, seed=question.seed),
        "caught": _flag(kinds, highest, of_drug, model),
        "false_positives": _flag(kinds, highest, ~of_drug, model),
        "ahead_of_action": _ahead_of_action(rows, score, question),
        "curve": _describe_curve(score, drawn),
        "histogram": _describe_histogram(highest, of_drug, model),
    }


def _describe_score(
    kind: str, score: NDArray[np.float64], calibration: Calibration | None, rows: Rows, figures: Figures
) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "name": NAMES[kind]} | asdict(describe_spread(figures))
    if calibration is not None or kind == "prevalence":
        at_fold = (
            _at_prevalence(score, calibration, rows.prevalence)
            if calibration is not None
            else np.full(len(score), logit(rows.prevalence))
        )
        found["log_loss"] = log_loss(rows.drug, at_fold, rows.weight)
        found["brier"] = brier(rows.drug, at_fold, rows.weight)
    return found


def _at_prevalence(
    log_odds: NDArray[np.float64], calibration: Calibration, prevalence: float
) -> NDArray[np.float64]:
    """Return the log-odds as if `prevalence` of the owners were drug owners: that of the rows themselves."""
    return log_odds - logit(calibration.prevalence) + logit(prevalence)


def _describe_level(threshold: Threshold, highest: NDArray[np.float64], rows: Rows) -> dict[str, Any]:
    """Return what a level promised, and what it flags among owners that had no part in setting it."""
    found: dict[str, Any] = {
        "level": threshold.level,
        "alpha": threshold.alpha,
        "log_odds": threshold.log_odds,
        "set_on_owners": threshold.owners,
        "why": threshold.why,
        "licit": None,
        "drug": None,
        "precision": None,
    }
    if threshold.log_odds is None:
        return found
    for kind, wanted in (("licit", [o.licit for o in rows.owners]), ("drug", [o.drug for o in rows.owners])):
        scores = highest[np.asarray(wanted, dtype=np.bool_)]
        flagged = int(np.count_nonzero(scores > threshold.log_odds))
        share = flagged / len(scores) if len(scores) else 0.0
        low, high = wilson(share, len(scores))
        found[kind] = {"owners": len(scores), "flagged": flagged, "share": share, "low": low, "high": high}
    # No false alarm among few owners is no proof that there will be none: one more is counted than was seen.
    likely = (found["licit"]["flagged"] + 1) / (found["licit"]["owners"] + 1)
    found["precision"] = {
        f"{p:g}": {
            "value": _precision(p, found["drug"]["share"], likely),
            # The worst and the best of both intervals: wider than 95% for the precision itself.
            "low": _precision(p, found["drug"]["low"], found["licit"]["high"]),
            "high": _precision(p, found["drug"]["high"], found["licit"]["low"]),
        }
        for p in PREVALENCES
    }
    return found


def _precision(prevalence: float, recall: float, rate: float) -> float | None:
    flagged = prevalence * recall + (1 - prevalence) * rate
    return prevalence * recall / flagged if flagged > 0 else None


def _flag(
    kinds: list[str], highest: NDArray[np.float64], wanted: NDArray[np.bool_], model: Model
) -> list[dict[str, Any]]:
    places = np.flatnonzero(wanted).tolist()
    return [
        asdict(found)
        for found in count_flagged([kinds[i] for i in places], highest[wanted], model.thresholds)
    ]


def _measure_views(
    model: Model, rows: Rows, views: Mapping[str, FeatureFrame], question: Question
) -> Iterator[dict[str, Any]]:
    """Yield the figures on the same owners as users see them who have less than the whole ledger."""
    for name, frame in views.items():
        shown = rows_in_view(rows, frame)
        score = model.log_odds(shown.values)
        every = np.ones(len(score), dtype=np.bool_)
        figures = measure_part(shown, score, every, draws=question.draws, seed=question.seed)
        yield {"name": name} | figures


def _ahead_of_action(rows: Rows, score: NDArray[np.float64], question: Question) -> list[dict[str, Any]]:
    """Return the figures when drug owners whom somebody acted on within so many days are left out."""
    acted = [owner.acted_at for owner in rows.owners]
    found = []
    for days in LAST_DAYS:
        near = [
            acted[owner] - moment <= timedelta(days=days)
            for owner, moment in zip(rows.owner.tolist(), rows.as_of, strict=True)
        ]
        kept = ~(rows.drug & np.asarray(near, dtype=np.bool_))
        figures = measure_part(rows, score, kept, draws=question.draws, seed=question.seed)
        found.append({"days": days} | figures)
    return found


def _describe_curve(score: NDArray[np.float64], drawn: Draws) -> dict[str, Any]:
    value, low, high = curve_band(score, drawn, RECALLS)
    return {
        "recall": RECALLS.tolist(),
        "precision": value.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _describe_histogram(
    highest: NDArray[np.float64], drug: NDArray[np.bool_], model: Model, bins: int = 40
) -> dict[str, Any]:
    """Return how many owners have a highest score (0 to 100, as `Model.score` shows it) in each bin."""
    shown = 100 * probability_of(highest - logit(model.calibration.prevalence))
    edges = np.linspace(0, 100, bins + 1)
    counts = {
        kind: np.histogram(shown[mask], edges)[0].tolist()
        for kind, mask in (("drug", drug), ("other", ~drug))
    }
    begins = {
        t.level: None
        if t.log_odds is None
        else float(100 * probability_of(np.asarray([t.log_odds - logit(model.calibration.prevalence)]))[0])
        for t in (model.thresholds.medium, model.thresholds.high)
    }
    return {"edges": edges.tolist(), "begins": begins} | counts


def _describe_check(check: Check) -> dict[str, Any]:
    return asdict(check) | {"passed": not check.findings, "findings": list(check.findings)}
