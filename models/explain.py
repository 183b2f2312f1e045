"""Why an account has its score: the features that moved it, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.catalogue import find_feature
from features.words.describe import describe_reason
from features.words.languages import ENGLISH
from models.registry import Model, score_of


@dataclass(frozen=True)
class Reason:
    """One feature's part in one score."""

    feature: str
    value: float | None
    """In the unit of the catalogue; None where it is not known."""
    contribution: float
    """What it adds to the log-odds: above 0 raises the score, below 0 lowers it."""
    text: str


def explain(
    model: Model, row_values: NDArray[np.float64], top: int = 8, *, language: str = ENGLISH
) -> list[Reason]:
    """Return the `top` features that moved the score of one row [k] most, the strongest first.

    Their texts are in `language`: one of `features.words.languages.LANGUAGES`, else InputError.

    Features that moved nothing are left out. The contributions of all features and the base sum to the
    log-odds (`Model.contributions`); those left out here are the rest of that sum.
    """
    row = np.asarray(row_values, dtype=np.float64).reshape(1, -1)
    return _strongest(model.names, row[0], model.contributions(row)[0, :-1], top, language)


def explain_behaviour(
    model: Model, row_values: NDArray[np.float64], top: int = 3, *, language: str = ENGLISH
) -> tuple[int, list[Reason]] | None:
    """Return what the behaviour model says of one row [k], 0 to 100, and why; None where there is none."""
    if model.behaviour is None:
        return None
    row = np.asarray(row_values, dtype=np.float64).reshape(1, -1)
    score = score_of(float(model.behaviour.log_odds(row)[0]), model.behaviour.calibration)
    parts = model.behaviour.contributions(row)[0, :-1]
    return score, _strongest(model.names, row[0], parts, top, language)


def _strongest(
    names: Sequence[str], row: NDArray[np.float64], parts: NDArray[np.float64], top: int, language: str
) -> list[Reason]:
    moved = [i for i in range(len(names)) if parts[i] != 0]
    moved.sort(key=lambda i: (-abs(parts[i]), names[i]))
    return [_reason(names[i], float(row[i]), float(parts[i]), language) for i in moved[:top]]


def _reason(name: str, value: float, contribution: float, language: str) -> Reason:
    return Reason(
        feature=name,
        value=None if math.isnan(value) else value,
        contribution=contribution,
        text=describe_reason(find_feature(name), value, language),
    )
