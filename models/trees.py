"""LightGBM's trees: read from their text, and asked, on one thread."""

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray


def load_trees(text: str) -> lgb.Booster:
    """Return the booster of LightGBM's own text."""
    return lgb.Booster(model_str=text)


def predict_raw(booster: lgb.Booster, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the raw scores [n] of rows [n, k], on one thread."""
    if len(values) == 0:
        return np.empty(0)
    return np.asarray(booster.predict(values, raw_score=True, num_threads=1), dtype=np.float64)


def contributions_raw(booster: lgb.Booster, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [n, k + 1]: what each feature adds to the raw score, and last the base; each row sums to it.

    Source: TreeSHAP (Lundberg et al., From local explanations to global understanding with explainable AI for
    trees, 2020), exact.
    """
    if len(values) == 0:
        return np.empty((0, booster.num_feature() + 1))
    return np.asarray(booster.predict(values, pred_contrib=True, num_threads=1), dtype=np.float64)
