"""The model and its plain baselines on the same rows of the test fold, which had no part in any of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibrate import logit
from models.fit import Fit
from models.folds import Folds
from models.levels import Threshold, Thresholds, owner_maxima, set_thresholds
from models.metrics import (
    best_single_feature,
    brier,
    count_false_positives,
    log_loss,
    precision_at,
    rank,
)


def find_thresholds(fit: Fit, folds: Folds) -> Thresholds:
    """Set the thresholds on licit owners of the validation fold; count what they flag in the test fold."""
    licit, later = (
        owner_maxima(
            fit.log_odds(rows.values), rows.owner, [i for i, owner in enumerate(rows.owners) if owner.licit]
        )
        for rows in (folds.valid, folds.test)
    )
    return set_thresholds(licit, later)


def evaluate_fits(
    fits: Mapping[str, Fit], folds: Folds, names: Sequence[str], thresholds: Thresholds
) -> dict[str, Any]:
    """Return the metrics of the model and its baselines on the same rows of the test fold."""
    test = folds.test
    scores: dict[str, Any] = {}
    # Log loss and Brier score are stated at the prevalence of the test fold itself.
    base = logit(test.prevalence)
    for kind, fit in fits.items():
        log_odds = fit.log_odds(test.values)
        at_test = log_odds - logit(fit.calibration.prevalence) + base
        scores[kind] = asdict(rank(test.drug, log_odds, test.weight)) | {
            "log_loss": log_loss(test.drug, at_test, test.weight),
            "brier": brier(test.drug, at_test, test.weight),
            "trees": fit.rounds,
        }
    constant = np.zeros(len(test.drug))
    scores["prevalence"] = asdict(rank(test.drug, constant, test.weight)) | {
        "log_loss": log_loss(test.drug, constant + base, test.weight),
        "brier": brier(test.drug, constant + base, test.weight),
    }
    feature, area = best_single_feature(names, test.values, test.drug, test.weight)
    highest = owner_maxima(
        fits["model"].log_odds(test.values), test.owner, np.arange(len(test.owners)).tolist()
    )
    drug = np.asarray([owner.drug for owner in test.owners], dtype=np.bool_)
    alarms = count_false_positives(
        [owner.category for owner in test.owners if not owner.drug],
        highest[~drug],
        medium=thresholds.medium.log_odds,
        high=thresholds.high.log_odds,
    )
    return {
        "scores": scores,
        "best_single_feature": {"feature": feature, "roc_auc": area},
        "owners": asdict(rank(drug, highest, np.ones(len(drug)))),
        "levels": {t.level: _describe_level(t, highest[drug]) for t in (thresholds.medium, thresholds.high)},
        "false_positives": [asdict(alarm) for alarm in alarms],
    }


def _describe_level(threshold: Threshold, drug: NDArray[np.float64]) -> dict[str, Any]:
    """Return what a level catches among drug owners (their highest log-odds), and how sure a hit is."""
    if threshold.log_odds is None:
        return {"attainable": False}
    recall = float(np.count_nonzero(drug > threshold.log_odds)) / len(drug)
    precision = precision_at(recall=recall, flagged=threshold.later_flagged, owners=threshold.later_owners)
    return {
        "attainable": True,
        "recall": recall,
        "false_positive_rate": threshold.later_rate,
        "precision_at_prevalence": {f"{p:g}": value for p, value in precision.items()},
    }
