import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models import metrics
from models.calibrate import probability_of


@pytest.mark.parametrize("seed", range(8))
def test_metrics_agree_with_scikit_learn_under_ties_and_weights(seed: int) -> None:
    random = np.random.default_rng(seed)
    drug = random.random(200) < 0.3
    score = np.round(random.normal(size=200) + drug, 1 if seed % 2 else 6)
    weight = random.uniform(0.1, 2, 200)
    assert metrics.roc_auc(drug, score, weight) == pytest.approx(
        roc_auc_score(drug, score, sample_weight=weight)
    )
    assert metrics.average_precision(drug, score, weight) == pytest.approx(
        average_precision_score(drug, score, sample_weight=weight)
    )
    p = probability_of(score)
    assert metrics.log_loss(drug, score, weight) == pytest.approx(log_loss(drug, p, sample_weight=weight))
    assert metrics.brier(drug, score, weight) == pytest.approx(
        brier_score_loss(drug, p, sample_weight=weight)
    )


def test_metrics_do_not_depend_on_the_order_of_rows() -> None:
    random = np.random.default_rng(3)
    drug, score = random.random(300) < 0.3, np.round(random.normal(size=300), 1)
    weight, mixed = np.ones(300), random.permutation(300)
    assert metrics.rank(drug, score, weight) == metrics.rank(drug[mixed], score[mixed], weight)


def test_recall_at_one_percent_allows_one_alarm_in_a_hundred_and_not_two() -> None:
    drug = np.asarray([True] * 4 + [False] * 100)
    score = np.concatenate([[9.0, 7.0, 5.0, 1.0], [8.0, 6.0], np.zeros(98)])
    weight = np.ones(104)
    assert metrics.recall_at(drug, score, weight) == 0.5
    assert metrics.recall_at(drug, score, weight, rate=0.02) == 1.0
    assert metrics.recall_at(drug, score, weight, rate=0.0) == 0.25


def test_a_tied_score_recalls_nothing() -> None:
    drug = np.asarray([True, True, False, False])
    assert metrics.recall_at(drug, np.zeros(4), np.ones(4)) == 0.0
    assert metrics.roc_auc(drug, np.zeros(4), np.ones(4)) == 0.5


def test_a_ranking_needs_both_classes_and_numbers() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="both classes"):
        metrics.roc_auc(np.asarray([True, True, True]), ones, ones)
    with pytest.raises(ValueError, match="NaN"):
        metrics.roc_auc(np.asarray([True, False, True]), np.asarray([1.0, np.nan, 2.0]), ones)


def test_the_best_single_feature_counts_absence_and_reversed_order() -> None:
    random = np.random.default_rng(1)
    drug = np.arange(100) < 30
    noise = random.normal(size=100)
    absent = np.where(drug, np.nan, noise)
    reverse = -noise - 1.5 * drug
    weight = np.ones(100)
    names = ("noise", "absent", "reverse")
    values = np.column_stack([noise, absent, reverse])
    assert metrics.best_single_feature(names, values, drug, weight) == ("absent", 1.0)
    found = metrics.best_single_feature(names[::2], values[:, ::2], drug, weight)
    assert found[0] == "reverse"
    assert found[1] > 0.8


def test_false_positives_are_counted_per_category() -> None:
    found = metrics.count_false_positives(
        ["scam", "person", "person"], np.asarray([3.0, 1.0, -1.0]), medium=0.0, high=2.0
    )
    assert found == (
        metrics.FalsePositives("person", 2, 1, 0),
        metrics.FalsePositives("scam", 1, 1, 1),
    )
    unattainable = metrics.count_false_positives(["person"], np.asarray([3.0]), medium=0.0, high=None)
    assert unattainable[0].high is None


def test_precision_falls_with_prevalence_and_never_claims_certainty() -> None:
    found = metrics.precision_at(recall=0.5, flagged=0, owners=99)
    assert found[0.01] == pytest.approx(0.5 * 0.01 / (0.5 * 0.01 + 0.01 * 0.99))
    assert list(found.values()) == sorted(found.values())
    assert max(found.values()) < 1
