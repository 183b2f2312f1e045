import math

import numpy as np
import pytest

from chains.errors import ModelMismatch
from features.catalogue import find_feature
from features.words.describe import describe_reason
from models.explain import explain
from models.registry import Model
from models.score import score_frame
from tests.models.population import NAMES, SILENT, START, World, make_frame


def test_scores_do_not_depend_on_the_chunks(model: Model, world: World) -> None:
    frame = world.frames[4]
    whole = score_frame(model, frame)
    assert whole.accounts == frame.accounts
    assert whole.model == model.version
    assert len(set(whole.log_odds.tolist())) > 100
    for rows in (1, 7, 1000):
        assert score_frame(model, frame, chunk_rows=rows).log_odds.tobytes() == whole.log_odds.tobytes()


def test_scores_rank_the_drug_owners_of_the_test_period(model: Model, world: World) -> None:
    frame = world.frames[4]
    drug = dict(zip(world.targets["account"].to_pylist(), world.targets["drug"].to_pylist(), strict=True))
    scores = score_frame(model, frame).log_odds
    marks = np.asarray([drug[name] for name in frame.accounts])
    assert np.median(scores[marks]) > np.quantile(scores[~marks], 0.7)


def test_a_frame_with_other_features_is_not_scored(model: Model) -> None:
    for names in (NAMES[:2], NAMES[::-1]):
        frame = make_frame(START, ["a"], np.zeros((1, len(names))), names=names)
        with pytest.raises(ModelMismatch):
            score_frame(model, frame)


def test_an_empty_frame_has_no_scores(model: Model) -> None:
    assert score_frame(model, make_frame(START, [])).log_odds.shape == (0,)


def test_reasons_are_the_strongest_features_in_the_words_of_the_catalogue(model: Model, world: World) -> None:
    row = world.frames[4].values[3].copy()
    row[NAMES.index("transfers_in")] = math.nan
    reasons = explain(model, row, top=len(NAMES))
    sizes = [abs(reason.contribution) for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    base = float(model.contributions(row[None, :])[0, -1])
    assert sum(r.contribution for r in reasons) + base == pytest.approx(
        float(model.log_odds(row[None, :])[0])
    )
    assert explain(model, row, top=3) == reasons[:3]
    for reason in reasons:
        value = float(row[NAMES.index(reason.feature)])
        assert reason.text == describe_reason(find_feature(reason.feature), value)
        assert reason.value == (None if math.isnan(value) else value)
    unknown = next(reason for reason in reasons if reason.feature == "transfers_in")
    assert unknown.value is None


def test_a_feature_that_moves_nothing_is_no_reason(model: Model, world: World) -> None:
    reasons = explain(model, world.frames[4].values[0], top=len(NAMES))
    assert SILENT not in {reason.feature for reason in reasons}
    assert len(reasons) > 5
