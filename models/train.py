"""Train one model: trees on the training fold, calibration and thresholds on the validation fold, a card."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.errors import TooFewRows
from features.catalogue import find_feature
from features.frame import FeatureFrame
from features.view import WHOLE
from models.behaviour import behaviour_columns, pack_behaviour
from models.card import LIMITS, NOT_FOR, describe_reach, write_card
from models.drift import describe_reference
from models.evaluate import evaluate_fits, find_thresholds
from models.fit import PARAMETERS, Fit, fit_columns
from models.folds import Folds, Moments, Rows, plan_moments, split_rows
from models.metrics import rank
from models.registry import Model, Population, load_model, pack_files, save_model
from models.trees import load_trees

__all__ = ["Moments", "Population", "plan_moments", "train_model"]

PREVALENCE = 0.01
"""Share of drug owners that log-odds are stated at, unless another is given: an assumption, not a finding."""

OWNERS_NEEDED: Mapping[str, int] = {"train": 10, "valid": 5, "test": 5}
"""Least number of drug owners, and of other owners, in each fold."""


def train_model(
    train: Sequence[FeatureFrame],
    valid: FeatureFrame,
    test: FeatureFrame,
    targets: pa.Table,
    *,
    population: Population,
    catalogue_hash: str,
    label_hash: str,
    ledger_heads: Mapping[str, Any],
    out: Path,
    seed: int = 1,
    prevalence: float = PREVALENCE,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Train a model, save it under `out`, and return it as loaded from there.

    `targets` has one row an account, as `datasets.splits` makes it. Which rows serve for what is told at
    `split_rows`; frames of narrower views than the whole ledger serve for training only. Trees are added
    until the loss on owners left out of growing them falls no more (cross-validation inside the training
    fold), so that the validation fold has no part in the trees: the bound on false alarms needs owners that
    the trees never saw. `progress` is told (done, of) steps.
    Raises TooFewRows where a fold has too few drug owners or other owners; nothing is written then.
    """
    folds = split_rows(train, valid, test, targets)
    _check_counts(folds)
    names = test.names
    monotone = [find_feature(name).monotone for name in names]
    kinds = {"model": np.arange(len(names))}
    for baseline, group in (("exposure_alone", "exposure"), ("activity_alone", "activity")):
        kinds[baseline] = np.asarray([i for i, n in enumerate(names) if find_feature(n).group == group], int)
    steps = len(kinds) + 1
    fits = {}
    for step, (kind, columns) in enumerate(kinds.items()):
        if len(columns):
            fits[kind] = fit_columns(folds, columns, seed=seed, prevalence=prevalence, monotone=monotone)
        if progress is not None:
            progress(step + 1, steps)
    model = fits["model"]
    behaviour = fit_columns(
        folds,
        behaviour_columns(names),
        seed=seed,
        prevalence=prevalence,
        monotone=monotone,
        illicit=True,
    )
    if progress is not None:
        progress(steps, steps)
    thresholds = find_thresholds(model, folds)
    metrics = evaluate_fits(fits, folds, names, thresholds) | {
        "laundering_behaviour": asdict(
            rank(folds.test.illicit, behaviour.log_odds(folds.test.values), folds.test.weight)
        )
    }
    whole = [frame for frame in train if frame.view == WHOLE.name]
    moments = Moments(tuple(frame.as_of for frame in whole), valid.as_of, test.as_of)
    card = {
        "format": 1,
        "target": "drug-related laundering",
        "views": sorted({frame.view for frame in train}),
        "reach": describe_reach(simulated=population.simulated),
        "not_for": list(NOT_FOR),
        "limits": list(LIMITS),
        "trained_on": {
            "moments": _describe_moments(moments),
            "folds": {name: _describe_fold(rows) for name, rows in _by_name(folds).items()},
            "left_out_rows": dict(folds.left_out),
            "ledger_heads": _plain(ledger_heads),
            "label_hash": label_hash,
            "catalogue_hash": catalogue_hash,
        },
        "trees": model.rounds,
        "behaviour_trees": behaviour.rounds,
        "monotone": {name: way for name, way in zip(names, monotone, strict=True) if way},
        "parameters": dict(PARAMETERS),
        "seed": seed,
        "lightgbm": lgb.__version__,
        "calibration": asdict(model.calibration) | {"offset": model.calibration.offset},
        "thresholds": asdict(thresholds),
        "metrics": metrics,
        "strongest_features": _strongest(model, names),
        "population": asdict(population),
    }
    folder = save_model(
        out,
        pack_files(
            trees=model.trees,
            names=names,
            catalogue_hash=catalogue_hash,
            calibration=model.calibration,
            thresholds=thresholds,
            population=population,
            splits=_describe_splits(folds, moments),
            metrics=metrics,
            card=card,
            card_text=write_card(card),
            reference=describe_reference(whole[-1], model.log_odds(whole[-1].values), thresholds),
            behaviour=pack_behaviour(
                behaviour.trees, [names[column] for column in behaviour.columns], behaviour.calibration
            ),
        ),
    )
    return load_model(folder)


def check_labels(targets: pa.Table, moments: Moments) -> None:
    """Raise TooFewRows where no dealing of owners could fill the folds: it takes no build to know that.

    `targets` as for `train_model`. Enough here may still be too few of them seen in the ledger.
    """
    ends = {
        "train": (moments.train[0], moments.valid),
        "valid": (moments.valid, moments.test),
        "test": (moments.test, None),
    }
    for fold, (begin, end) in ends.items():
        told = pc.greater_equal(targets.column("published_at"), begin)
        if end is not None:
            told = pc.and_(told, pc.less(targets.column("published_at"), end))
        within = targets.filter(told)
        for kind, drug in (("drug owners", True), ("owners that are not drug owners", False)):
            owners = within.filter(pc.equal(within.column("drug"), drug)).column("owner")
            found = pc.count_distinct(owners).as_py()
            if found < OWNERS_NEEDED[fold]:
                until = "" if end is None else f" and before {_shown(end)}"
                what = f"{kind} in the {fold} fold (with labels published from {_shown(begin)} on{until})"
                raise TooFewRows(what=what, found=found, needed=OWNERS_NEEDED[fold])


def _check_counts(folds: Folds) -> None:
    known = {
        "train": "labels published after the first training moment and before the validation moment",
        "valid": "labels published between the validation and the test moment",
        "test": "labels published after the test moment",
    }
    for fold, rows in _by_name(folds).items():
        drug = sum(owner.drug for owner in rows.owners)
        kinds = (("drug owners", drug), ("owners that are not drug owners", len(rows.owners) - drug))
        for kind, found in kinds:
            if found < OWNERS_NEEDED[fold]:
                what = f"{kind} in the {fold} fold (those with {known[fold]}, seen in the ledger by then)"
                raise TooFewRows(what=what, found=found, needed=OWNERS_NEEDED[fold])


def _by_name(folds: Folds) -> dict[str, Rows]:
    return {"train": folds.train, "valid": folds.valid, "test": folds.test}


def _describe_moments(moments: Moments) -> dict[str, Any]:
    return {
        "train": [_shown(moment) for moment in moments.train],
        "valid": _shown(moments.valid),
        "test": _shown(moments.test),
    }


def _describe_fold(rows: Rows) -> dict[str, Any]:
    drug = [owner for owner in rows.owners if owner.drug]
    return {
        "rows": len(rows.accounts),
        "drug_rows": int(np.count_nonzero(rows.drug)),
        "owners": len(rows.owners),
        "drug_owners": len(drug),
        "licit_owners": sum(owner.licit for owner in rows.owners),
        "prevalence": rows.prevalence,
    }


def _describe_splits(folds: Folds, moments: Moments) -> dict[str, Any]:
    """Return which owner served where, by hash: the file can be shown without naming anyone."""
    return {
        "moments": _describe_moments(moments),
        "owners": {
            name: sorted(hashlib.sha256(owner.name.encode()).hexdigest() for owner in rows.owners)
            for name, rows in _by_name(folds).items()
        },
        "folds": {name: _describe_fold(rows) for name, rows in _by_name(folds).items()},
        "left_out_rows": dict(folds.left_out),
    }


def _strongest(fit: Fit, names: Sequence[str], top: int = 15) -> list[dict[str, Any]]:
    """Return the features with most total gain, as shares of all gain."""
    gain = load_trees(fit.trees).feature_importance(importance_type="gain")
    total = float(np.sum(gain))
    order = sorted(range(len(gain)), key=lambda i: (-gain[i], names[i]))
    return [{"feature": names[i], "gain_share": float(gain[i]) / total} for i in order[:top] if gain[i] > 0]


def _plain(value: object) -> Any:
    """Return `value` as JSON can hold it: times in ISO 8601 with Z."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return _shown(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _shown(moment: datetime) -> str:
    return moment.isoformat() + "Z"
