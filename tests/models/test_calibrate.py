import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.calibrate import SLOPE_FLOOR, fit_calibration, logit, probability_of


def test_the_fit_finds_the_affine_map_that_made_the_data() -> None:
    random = np.random.default_rng(4)
    raw = 3 * random.normal(size=200_000) - 1
    drug = random.random(len(raw)) < probability_of(0.7 * raw - 1.5)
    found = fit_calibration(raw, drug, np.ones(len(raw)), prevalence=float(drug.mean()))
    assert found.slope == pytest.approx(0.7, abs=0.02)
    assert found.offset == pytest.approx(-1.5, abs=0.03)


def test_the_fit_is_the_weighted_optimum() -> None:
    random = np.random.default_rng(8)
    raw, drug = random.normal(size=4_000), random.random(4_000) < 0.3
    raw[drug] += 1
    weight = random.uniform(0.2, 3, 4_000)
    found = fit_calibration(raw, drug, weight, prevalence=0.5)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        raw[:, None], drug, sample_weight=weight
    )
    assert found.slope == pytest.approx(float(peer.coef_[0, 0]), rel=5e-3)
    assert found.intercept == pytest.approx(float(peer.intercept_[0]), rel=5e-3)


@pytest.mark.parametrize("prevalence", [0.001, 0.01, 0.2])
def test_probabilities_hold_at_the_stated_prevalence(prevalence: float) -> None:
    """Fit where one in four is a drug row, then meet a population where `prevalence` of them are."""
    random = np.random.default_rng(6)
    drug = np.arange(200_000) < 50_000
    raw = random.normal(size=len(drug)) + 1.5 * drug
    found = fit_calibration(raw, drug, np.ones(len(drug)), prevalence=prevalence)
    assert found.fold_prevalence == 0.25
    weight = np.where(drug, prevalence / 0.25, (1 - prevalence) / 0.75)
    p = probability_of(found.apply(raw))
    assert float(np.sum(weight * p) / np.sum(weight)) == pytest.approx(prevalence, rel=0.03)
    top = p > np.quantile(p, 0.9)
    share = float(np.sum((weight * drug)[top]) / np.sum(weight[top]))
    assert float(np.sum((weight * p)[top]) / np.sum(weight[top])) == pytest.approx(share, rel=0.05)


def test_a_score_that_separates_fully_has_a_finite_slope() -> None:
    drug = np.arange(40) < 20
    found = fit_calibration(np.where(drug, 5.0, -5.0), drug, np.ones(40), prevalence=0.5)
    p = probability_of(found.apply(np.asarray([5.0, -5.0])))
    assert p == pytest.approx([21 / 22, 1 / 22], abs=1e-6)


@pytest.mark.parametrize("scores", ["reversed", "constant"])
def test_a_score_that_does_not_rank_is_flattened_and_never_turned_round(scores: str) -> None:
    drug = np.arange(100) < 25
    raw = np.where(drug, -3.0, 3.0) if scores == "reversed" else np.full(100, 2.0)
    found = fit_calibration(raw, drug, np.ones(100), prevalence=0.25)
    assert found.slope == pytest.approx(SLOPE_FLOOR)
    mean = float(np.mean(probability_of(found.apply(raw))))
    assert mean == pytest.approx(0.25, abs=0.01)


def test_probabilities_do_not_overflow() -> None:
    assert probability_of(np.asarray([-1e308, -800.0, 0.0, 800.0, 1e308])).tolist() == [
        0.0,
        0.0,
        0.5,
        1.0,
        1.0,
    ]
    with pytest.raises(ValueError, match="between 0 and 1"):
        logit(1.0)
    with pytest.raises(ValueError, match="both classes"):
        fit_calibration(np.zeros(3), np.zeros(3, dtype=np.bool_), np.ones(3), prevalence=0.5)
