from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from models.bootstrap import (
    Draws,
    curve_band,
    draw_owners,
    spread_of,
    spread_of_difference,
)
from models.metrics import recall_at


def make_draws(*, seed: int = 1, owners: int = 60, draws: int = 40) -> tuple[Draws, np.ndarray]:
    """Return draws over owners of one to four rows, and a score with ties that says a little."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(owners), random.integers(1, 5, owners))
    drug = (random.random(owners) < 0.3)[owner]
    score = np.round(random.normal(size=len(owner)) + drug, 1)
    weight = 1.0 / np.bincount(owner)[owner]
    return draw_owners(owner, drug, weight, draws=draws, seed=9), score


@pytest.mark.parametrize("seed", range(3))
def test_each_draw_has_the_figures_of_rows_repeated_as_often_as_their_owner(seed: int) -> None:
    """A slow exact reference: scikit-learn on the weights of one draw after the other."""
    draws, score = make_draws(seed=seed)
    found = spread_of(score, draws)
    times = draws.counts(0, 41)
    areas, precisions, recalls = [], [], []
    for number in range(41):
        weight = times[number][draws.owner] * draws.weight
        areas.append(roc_auc_score(draws.drug, score, sample_weight=weight))
        precisions.append(average_precision_score(draws.drug, score, sample_weight=weight))
        recalls.append(recall_at(draws.drug, score, weight, rate=0.01))
    for interval, values in (
        (found.roc_auc, areas),
        (found.pr_auc, precisions),
        (found.recall["0.01"], recalls),
    ):
        assert interval.value == pytest.approx(values[0])
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values[1:], [0.025, 0.975])))


def test_an_owner_is_drawn_with_all_of_its_rows_and_each_kind_keeps_its_number() -> None:
    draws, _ = make_draws()
    times = draws.counts(0, 41)
    kind = np.zeros(60, dtype=np.bool_)
    kind[draws.owner[draws.drug]] = True
    assert (times[0] == 1).all()
    assert (times[:, kind].sum(axis=1) == kind.sum()).all()
    assert (times[:, ~kind].sum(axis=1) == (~kind).sum()).all()
    assert times.max() > 1
    assert len({row.tobytes() for row in times}) == 41


def test_draws_are_the_same_whatever_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draws, score = make_draws()
    whole = spread_of(score, draws)
    monkeypatch.setattr("models.bootstrap._CELLS", 7 * len(score))
    assert spread_of(score, draws) == whole
    assert (draws.counts(3, 9) == draws.counts(0, 41)[3:9]).all()
    assert spread_of(score, replace(draws, seed=10)) != whole


def test_a_difference_of_paired_scores_is_surer_than_two_intervals() -> None:
    draws, score = make_draws(owners=200, draws=200)
    better = score + 0.5 * draws.drug
    found = spread_of_difference(better, score, draws)["pr_auc"]
    assert found.low > 0
    assert found.value == pytest.approx(
        spread_of(better, draws).pr_auc.value - spread_of(score, draws).pr_auc.value
    )
    apart = spread_of(better, draws).pr_auc.low - spread_of(score, draws).pr_auc.high
    assert apart < found.low
    assert spread_of_difference(score, score, draws)["roc_auc"].high == 0


def test_rows_of_one_owner_make_an_interval_no_narrower() -> None:
    """Nine copies of every row are no new evidence."""
    draws, score = make_draws(draws=300)
    copied = draw_owners(
        np.tile(draws.owner, 9), np.tile(draws.drug, 9), np.tile(draws.weight, 9), draws=300, seed=9
    )
    one, many = spread_of(score, draws).pr_auc, spread_of(np.tile(score, 9), copied).pr_auc
    assert (one.value, one.low, one.high) == pytest.approx((many.value, many.low, many.high))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """The ROC-AUC of two normals one apart is known; 95% intervals of 120 owners hold it most times."""
    truth = 0.7602
    held = 0
    for seed in range(60):
        random = np.random.default_rng([5, seed])
        drug = np.arange(120) < 40
        score = random.normal(size=120) + drug
        found = spread_of(score, draw_owners(np.arange(120), drug, np.ones(120), draws=200)).roc_auc
        held += found.low <= truth <= found.high
    assert 51 <= held <= 60


def test_the_band_of_a_curve_holds_the_curve() -> None:
    draws, score = make_draws(owners=150, draws=100)
    recalls = np.linspace(0.05, 1, 20)
    value, low, high = curve_band(score, draws, recalls)
    assert ((low <= value + 1e-12) & (value <= high + 1e-12)).mean() > 0.9
    assert value[-1] == pytest.approx(
        draws.weight[draws.drug & (score >= score[draws.drug].min())].sum()
        / draws.weight[score >= score[draws.drug].min()].sum()
    )


def test_what_cannot_be_drawn_is_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="either a drug owner or not"):
        draw_owners(np.asarray([0, 0, 1]), np.asarray([True, False, False]), ones)
    with pytest.raises(ValueError, match="both kinds"):
        draw_owners(np.arange(3), np.asarray([True, True, True]), ones)
    draws = draw_owners(np.arange(3), np.asarray([True, False, False]), ones)
    with pytest.raises(ValueError, match="NaN"):
        spread_of(np.asarray([1.0, np.nan, 0.0]), draws)
