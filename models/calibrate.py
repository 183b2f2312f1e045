"""From the raw score of the trees to log-odds that mean something, at a stated prevalence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLOPE_FLOOR = 0.05
"""A model that does not rank the validation owners gets this slope: nearly flat, never reversed."""


@dataclass(frozen=True)
class Calibration:
    """log-odds = slope * raw + offset. Affine, so that additive contributions stay additive."""

    slope: float
    intercept: float
    """Of the fit, at the prevalence of the fold that it was fitted on."""
    fold_prevalence: float
    """Share of drug owners in that fold."""
    prevalence: float
    """Share of drug owners that the log-odds are stated at."""

    @property
    def offset(self) -> float:
        """Intercept moved from the fold's prevalence to the stated one (Bayes' rule, in log-odds)."""
        return self.intercept + logit(self.prevalence) - logit(self.fold_prevalence)

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds of raw scores [n]."""
        return self.slope * raw + self.offset


def logit(probability: float) -> float:
    """Return the natural log-odds of a probability strictly between 0 and 1."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability between 0 and 1 is needed, not {probability}")
    return float(np.log(probability) - np.log1p(-probability))


def probability_of(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of log-odds, without overflow at either end."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


def fit_calibration(
    raw: NDArray[np.float64],
    drug: NDArray[np.bool_],
    weight: NDArray[np.float64],
    *,
    prevalence: float,
) -> Calibration:
    """Fit slope and intercept by weighted maximum likelihood, then state the result at `prevalence`.

    Targets are pulled in from 0 and 1 by one pseudo-owner a class, so that a fold which the score
    separates fully has a finite slope. Weights sum to the number of owners (an owner counts once).
    Source: Platt, Probabilistic outputs for support vector machines, 1999; Lin, Lin and Weng, 2007.
    """
    drug_weight, other_weight = float(np.sum(weight[drug])), float(np.sum(weight[~drug]))
    if drug_weight <= 0 or other_weight <= 0:
        raise ValueError("calibration needs rows of both classes")
    target = np.where(drug, (drug_weight + 1) / (drug_weight + 2), 1 / (other_weight + 2))
    # Newton's steps are scaled by the spread of the scores; a constant score leaves only the intercept.
    centre, spread = float(np.mean(raw)), float(np.std(raw))
    scaled = (raw - centre) / spread if spread > 0 else np.zeros_like(raw)
    slope, intercept = _fit_affine(scaled, target, weight)
    if spread == 0 or slope / spread < SLOPE_FLOOR:
        slope = SLOPE_FLOOR * spread
        _, intercept = _fit_affine(scaled, target, weight, slope=slope)
    true_slope = slope / spread if spread > 0 else SLOPE_FLOOR
    return Calibration(
        slope=true_slope,
        intercept=intercept - true_slope * centre,
        fold_prevalence=drug_weight / (drug_weight + other_weight),
        prevalence=prevalence,
    )


def _loss(margin: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    return float(np.sum(weight * (np.logaddexp(0.0, margin) - target * margin)))


def _fit_affine(
    x: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    slope: float | None = None,
) -> tuple[float, float]:
    """Minimise the log loss over (slope, intercept), or over the intercept alone where a slope is given."""
    fixed = slope is not None
    a, b = (slope if slope is not None else 1.0), 0.0
    loss = _loss(a * x + b, target, weight)
    for _ in range(200):
        p = probability_of(a * x + b)
        gradient, curvature = weight * (p - target), weight * p * (1 - p)
        # np.sum adds in a fixed order on one thread; a matrix product might not.
        gb, hbb = float(np.sum(gradient)), float(np.sum(curvature)) + 1e-12
        ga = 0.0 if fixed else float(np.sum(gradient * x))
        hab = 0.0 if fixed else float(np.sum(curvature * x))
        haa = 1.0 if fixed else float(np.sum(curvature * x * x)) + 1e-12
        determinant = haa * hbb - hab * hab
        if determinant <= 0:
            break
        step_a, step_b = (hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant
        scale = 1.0
        while scale > 1e-10:
            tried = _loss((a - scale * step_a) * x + b - scale * step_b, target, weight)
            if tried <= loss:
                break
            scale /= 2
        else:
            break
        a, b, gained, loss = a - scale * step_a, b - scale * step_b, loss - tried, tried
        if gained < 1e-12 * (1 + abs(loss)):
            break
    return a, b
