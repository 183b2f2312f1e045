import numpy as np
import pytest

from models.levels import conformal_threshold, owner_maxima, set_thresholds


@pytest.mark.parametrize(("owners", "alpha"), [(19, 0.05), (37, 0.05), (150, 0.05), (99, 0.01), (250, 0.01)])
def test_the_bound_holds_over_many_draws(owners: int, alpha: float) -> None:
    """Draw the owners and one more, many times: at most alpha of the time the one more is above."""
    random = np.random.default_rng(78284)
    draws = 20_000
    above = 0
    for _ in range(draws):
        scores = random.standard_t(2, owners + 1)
        found = conformal_threshold(scores[:-1], alpha)
        assert found is not None
        above += int(scores[-1] > found)
    expected = int(alpha * (owners + 1) + 1e-9) / (owners + 1)
    error = np.sqrt(alpha * (1 - alpha) / draws)
    assert above / draws < alpha + 4 * error
    # It is not bought by flagging nobody: the share is the largest that the bound leaves.
    assert above / draws > expected - 4 * error


def test_the_bound_holds_with_many_equal_scores() -> None:
    random = np.random.default_rng(2)
    above = 0
    for _ in range(20_000):
        scores = random.integers(0, 3, 40).astype(np.float64)
        found = conformal_threshold(scores[:-1], 0.05)
        assert found is not None
        above += int(scores[-1] > found)
    assert above / 20_000 <= 0.05


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 19), (0.01, 99)])
def test_too_few_owners_give_no_threshold(alpha: float, needed: int) -> None:
    scores = np.arange(needed, dtype=np.float64)
    assert conformal_threshold(scores[:-1], alpha) is None
    # With just enough, nobody among them is above it.
    assert conformal_threshold(scores, alpha) == needed - 1


def test_the_count_of_allowed_alarms_is_exact() -> None:
    # 0.29 * 100 is a whole number that doubles miss by a hair.
    assert conformal_threshold(np.arange(99.0), 0.29) == 70.0
    assert conformal_threshold(np.arange(299.0), 0.01) == 296.0
    assert conformal_threshold(np.arange(59.0), 0.05) == 56.0


def test_levels_follow_the_thresholds() -> None:
    found = set_thresholds(np.arange(199.0), np.asarray([150.0, 189.0, 190.0, 198.0]))
    assert found.medium.log_odds == 189.0
    assert found.high.log_odds == 197.0
    assert [found.level(s) for s in (189.0, 189.5, 197.0, 197.5)] == ["LOW", "MEDIUM", "MEDIUM", "HIGH"]
    assert (found.medium.later_flagged, found.high.later_flagged) == (2, 1)
    assert found.medium.later_rate == pytest.approx(2 / 4)
    assert found.medium.why is None


def test_an_unattainable_level_says_so_and_is_never_given() -> None:
    found = set_thresholds(np.arange(50.0), np.asarray([1e9]))
    assert found.high.log_odds is None
    assert found.high.why == "not attainable: a bound of 1% needs 99 licit owners, and there are 50"
    assert found.high.later_rate is None
    assert found.level(1e12) == "MEDIUM"
    nothing = set_thresholds(np.arange(18.0), np.empty(0))
    assert nothing.level(1e12) is None
    assert nothing.medium.why == "not attainable: a bound of 5% needs 19 licit owners, and there are 18"


def test_an_owner_counts_once_with_its_highest_score() -> None:
    scores, owner = np.asarray([1.0, 5.0, -2.0, -3.0]), np.asarray([0, 0, 2, 2])
    assert owner_maxima(scores, owner, [2, 0]).tolist() == [-2.0, 5.0]
    assert owner_maxima(np.empty(0), np.empty(0, dtype=np.int64), []).tolist() == []
