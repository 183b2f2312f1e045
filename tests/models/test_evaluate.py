"""Parts of an evaluation (calibration bins, capacity, groups, truth), and the whole of it on known rows."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chains.errors import ColumnError, FileError, ModelMismatch, TooFewRows
from models import assess as assessing
from models.assess import Question, assess
from models.capacity import precision_at_capacity
from models.compare import hash_owner, pick_owners
from models.folds import Moments, split_rows
from models.groups import break_down, count_flagged
from models.levels import Threshold, Thresholds
from models.metrics import average_precision, calibration_bins, calibration_error, wilson
from models.prepare import Prepared
from models.rebuild import rows_in_view
from models.registry import Model
from models.tables import list_sections, summarise
from models.truth import measure_truth, read_truth
from tests.models.population import CHAIN, MOMENTS, World, make_frame

QUESTION = Question(capacity=1, draws=60)


@pytest.fixture(scope="module")
def prepared(world: World) -> Prepared:
    return Prepared(
        moments=Moments(MOMENTS[:3], MOMENTS[3], MOMENTS[4]),
        train=world.frames[:3],
        valid=world.frames[3],
        test=world.frames[4],
        targets=world.targets,
        folds=split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets),
        heads={},
        simulated=True,
    )


@pytest.fixture
def known_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The invented features are those of today."""
    monkeypatch.setattr(assessing, "catalogue_hash", lambda: "c" * 64)


def make_thresholds(medium: float | None, high: float | None) -> Thresholds:
    return Thresholds(
        *(
            Threshold(level, alpha, value, 100, None if value is not None else "not attainable: few", 0, 0)
            for level, alpha, value in (("MEDIUM", 0.05, medium), ("HIGH", 0.01, high))
        )
    )


def test_calibration_bins_hold_about_as_many_owners_each_and_all_rows_once() -> None:
    random = np.random.default_rng(0)
    probability = np.round(random.random(1_000), 2)
    drug = random.random(1_000) < probability
    weight = random.choice([0.25, 0.5, 1.0], 1_000)
    bins = calibration_bins(drug, probability, weight)
    assert len(bins) == 10
    assert sum(b.rows for b in bins) == 1_000
    assert sum(b.weight for b in bins) == pytest.approx(weight.sum())
    assert max(b.weight for b in bins) < 1.5 * weight.sum() / 10
    for one, other in pairwise(bins):
        assert one.highest < other.lowest
    inside = (probability >= bins[3].lowest) & (probability <= bins[3].highest)
    assert bins[3].seen == pytest.approx(np.average(drug[inside], weights=weight[inside]))
    assert bins[3].said == pytest.approx(np.average(probability[inside], weights=weight[inside]))
    assert sum(b.low <= b.said <= b.high for b in bins) >= 8
    assert calibration_error(bins) < 0.05


def test_calibration_error_is_what_was_said_less_what_was_seen() -> None:
    drug = np.asarray([True, False, False, False] * 25)
    bins = calibration_bins(drug, np.full(100, 0.75), np.ones(100))
    assert len(bins) == 1
    assert calibration_error(bins) == pytest.approx(0.5)


def test_wilson_is_never_certain() -> None:
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_capacity_counts_cases_from_the_top_at_each_assumed_share() -> None:
    """Worked by hand: 10 drug owners on top, 99 others below; 100 cases of 10,000 owners."""
    drug = np.arange(109) < 10
    found = precision_at_capacity(drug, -np.arange(109.0), per_day=10, days=10, owners=10_000, draws=50)
    assert (found.cases, found.owners) == (100, 10_000)
    # At 1%: all 100 drug owners rank above all others but for the one false alarm counted in 100,
    # which stands for 99 owners at the first score: of 10 + 99 owners there, 10 are drug owners.
    assert found.precision["0.01"].value == pytest.approx(10 / 109)
    assert found.recall["0.01"].value == pytest.approx(100 * (10 / 109) / 100)
    assert found.precision["0.1"].value > found.precision["0.01"].value
    for share, precision in found.precision.items():
        assert 0 <= precision.low <= precision.high <= 1
        assert precision.value * found.cases == pytest.approx(
            found.recall[share].value * 10_000 * float(share)
        )
    blind = precision_at_capacity(drug, np.zeros(109), per_day=10, days=10, owners=10_000, draws=20)
    assert blind.precision["0.05"].value == pytest.approx(0.05)
    few = precision_at_capacity(drug, np.zeros(109), per_day=10, days=10, owners=40, draws=20)
    assert few.cases == 40


def test_small_groups_say_so_and_give_no_share() -> None:
    highest = np.asarray([3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.5])
    kinds = ["shop"] * 6 + ["scam"]
    shop, scam = reversed(count_flagged(kinds, highest, make_thresholds(0.5, 2.0)))
    assert (shop.name, shop.owners, shop.medium, shop.high, shop.note) == ("shop", 6, 2, 1, "")
    assert shop.medium_share is not None
    assert shop.medium_share[0] == pytest.approx(2 / 6)
    assert (scam.high, scam.high_share, scam.note) == (1, None, "too few owners: 1")
    unattainable = count_flagged(kinds, highest, make_thresholds(0.5, None))[1]
    assert (unattainable.high, unattainable.high_share) == (None, None)


def test_parts_are_measured_on_their_own_rows(prepared: Prepared, model: Model) -> None:
    rows = prepared.folds.test
    score = model.log_odds(rows.values)
    parts = break_down(rows, score, draws=30)
    assert [line["name"] for line in parts["chain"]] == [CHAIN]
    assert [line["name"] for line in parts["month"]] == ["2023-10"]
    assert parts["view"][0]["name"] == "whole"
    whole = parts["chain"][0]["figures"]["pr_auc"]["value"]
    assert whole == pytest.approx(average_precision(rows.drug, score, rows.weight))
    kept = np.asarray([owner.drug for owner in rows.owners])
    kept[np.flatnonzero(~kept)[:3]] = True
    few = pick_owners(rows, kept)
    line = break_down(few, model.log_odds(few.values), draws=30)["chain"][0]
    assert (line["figures"], line["note"]) == (None, "too few other owners: 3")


def test_an_evaluation_holds_every_figure_and_no_nan(
    prepared: Prepared, model: Model, models_folder: Path, known_catalogue: None
) -> None:
    found = run(prepared, model, models_folder)
    json.dumps(found, allow_nan=False)
    assert found["audit"]["passed"]
    scores = {score["kind"]: score for score in found["scores"]}
    assert list(scores) == [
        "model", "logistic_regression", "exposure_alone", "activity_alone", "rules_alone", "prevalence",
    ]  # fmt: skip
    card = model.card["metrics"]["scores"]
    for kind in ("model", "exposure_alone", "activity_alone", "prevalence"):
        for name in ("pr_auc", "roc_auc"):
            assert scores[kind][name]["value"] == pytest.approx(card[kind][name])
        assert scores[kind]["brier"] == pytest.approx(card[kind]["brier"])
    assert scores["model"]["recall"]["0.01"]["value"] == pytest.approx(card["model"]["recall"])
    for gap in found["ahead"]:
        ours, theirs = scores["model"]["pr_auc"], scores[gap["than"]]["pr_auc"]
        assert gap["pr_auc"]["value"] == pytest.approx(ours["value"] - theirs["value"])
    for level in found["levels"]:
        if level["log_odds"] is not None:
            of_card = model.card["metrics"]["levels"][level["level"]]
            assert level["drug"]["share"] == pytest.approx(of_card["recall"])
    assert sum(line["owners"] for line in found["caught"]) == found["rows"]["drug_owners"]
    assert sum(found["histogram"]["drug"]) == found["rows"]["drug_owners"]
    assert found["comparison"] is None
    sections = list_sections(found)
    assert all(len(row) == len(section.columns) for section in sections for row in section.rows)
    assert len({section.id for section in sections}) == len(sections)
    words = " ".join(summarise(found))
    assert f"{found['rows']['owners']:,} owners that the model never saw" in words
    assert "say nothing of real addresses" in words
    assert "1 of its questions could not be asked" in words


def run(prepared: Prepared, model: Model, models_folder: Path, against: Model | None = None) -> dict:  # type: ignore[type-arg]
    return assess(model, prepared, QUESTION, models_folder=models_folder, ledger=None, against=against)


def test_a_leak_is_said_loudly(
    prepared: Prepared, model: Model, models_folder: Path, known_catalogue: None
) -> None:
    told = dict(zip(*(prepared.targets[c].to_pylist() for c in ("account", "drug")), strict=True))
    frames = []
    for frame in (*prepared.train, prepared.valid, prepared.test):
        values = frame.values.copy()
        values[:, 1] = [float(told[a]) for a in frame.accounts]
        frames.append(replace(frame, values=values))
    leaky = replace(
        prepared,
        train=tuple(frames[:3]), valid=frames[3], test=frames[4],
        folds=split_rows(frames[:3], frames[3], frames[4], prepared.targets),
    )  # fmt: skip
    found = run(leaky, model, models_folder)
    assert not found["audit"]["passed"]
    assert "THE LEAK AUDIT FOUND 1 LEAK" in summarise(found)[-1]


def test_owners_that_the_model_was_made_from_are_left_out(
    prepared: Prepared,
    model: Model,
    models_folder: Path,
    known_catalogue: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [owner.name for owner in prepared.folds.test.owners]
    monkeypatch.setattr(assessing, "seen_owners", lambda *_: frozenset(map(hash_owner, names[:7])))
    found = run(prepared, model, models_folder)
    assert found["rows"]["left_out_owners"] == 7
    assert found["rows"]["owners"] == len(names) - 7
    monkeypatch.setattr(assessing, "seen_owners", lambda *_: frozenset(map(hash_owner, names)))
    with pytest.raises(TooFewRows, match="not trained or calibrated on"):
        run(prepared, model, models_folder)


def test_a_model_of_other_features_is_refused(prepared: Prepared, model: Model, models_folder: Path) -> None:
    with pytest.raises(ModelMismatch, match="another meaning"):
        run(prepared, model, models_folder)


def test_a_model_against_itself_by_another_name_is_no_worse(
    prepared: Prepared, model: Model, models_folder: Path, known_catalogue: None
) -> None:
    found = run(prepared, model, models_folder, against=model)
    assert found["comparison"]["verdict"] == "no worse"
    assert any(section.id == "comparison" for section in list_sections(found))


def write_truth(folder: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    path = folder / "truth.csv"
    path.write_text("account,owner,role,drug\n" + "".join(",".join(row) + "\n" for row in rows))
    return path


def test_the_truth_ranks_real_owners_and_leaves_out_whom_the_model_knew(tmp_path: Path) -> None:
    rows = [
        (f"{CHAIN}:0x{n:040x}", f"real-{n // 2}", "shop" if n < 20 else "person", str(n < 20).lower())
        for n in range(60)
    ]
    truth = read_truth(write_truth(tmp_path, rows))
    assert truth.world == {}
    frame = make_frame(MOMENTS[4], [row[0] for row in rows] + [f"{CHAIN}:0x{'f' * 40}"])
    score = np.asarray([float(n % 2 == 1 and n < 20) for n in range(61)])
    targets = pa.table(
        {
            "account": [rows[0][0], rows[2][0], rows[50][0]],
            "owner": ["A", "B", "C"],
            "drug": [True, True, False],
            "acted_at": pa.array([MOMENTS[0], None, None], pa.timestamp("us")).fill_null(MOMENTS[4]),
        }
    )
    found = measure_truth(
        truth, frame, score, targets,
        seen=frozenset([hash_owner("C")]), thresholds=make_thresholds(0.5, None), cases=4, draws=20,
    )  # fmt: skip
    # 30 owners; left out: one acted on before, one on the day itself, one that the model was made from.
    assert (found["owners"], found["drug_owners"], found["unknown_addresses"]) == (27, 8, 1)
    assert found["left_out_addresses"] == 6
    assert found["figures"]["pr_auc"]["value"] == 1.0
    assert found["at_capacity"] == {"cases": 4, "drug_owners": 4}
    assert {(r["name"], r["owners"], r["medium"], r["drug"]) for r in found["roles"]} == {
        ("shop", 8, 8, True), ("person", 19, 0, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("account,owner,role\na,b,c\n", ColumnError, "column 'drug': it is absent"),
        ("account,owner,role,drug\na,b,c,maybe\n", ColumnError, "true or false"),
        ("account,owner,role,drug\na,b,c,true\na,b,c,true\n", ColumnError, "stands there twice"),
        ("", FileError, "cannot be read as CSV"),
    ],
)
def test_a_truth_that_is_none_is_refused(
    tmp_path: Path, text: str, error: type[FileError], words: str
) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(error, match=words):
        read_truth(path)
    with pytest.raises(FileError, match="there is no such file"):
        read_truth(tmp_path / "other.csv")


def test_the_world_beside_the_truth_is_read_or_refused(tmp_path: Path) -> None:
    path = write_truth(tmp_path, [("a", "b", "c", "true")])
    (tmp_path / "world.json").write_text('{"seed": 3, "transfers": 9, "dials": {"alike": 0.1}}')
    assert read_truth(path).world == {"seed": 3, "transfers": 9, "dials": {"alike": 0.1}}
    (tmp_path / "world.json").write_text("[]")
    with pytest.raises(FileError, match="no description"):
        read_truth(path)


def test_rows_in_a_view_are_those_it_shows_and_each_owner_counts_once(prepared: Prepared) -> None:
    rows, test = prepared.folds.test, prepared.test
    seeded = np.asarray([account == rows.accounts[1] for account in test.accounts])
    shown = [i for i, account in enumerate(test.accounts) if account != rows.accounts[0]]
    narrow = make_frame(
        test.as_of, [test.accounts[i] for i in shown], test.values[shown] + 1.0, seeded=seeded[shown]
    )
    found = rows_in_view(rows, replace(narrow, view="last week"))
    assert found.accounts == rows.accounts[2:]
    assert found.values.tobytes() == (rows.values[2:] + 1.0).tobytes()
    assert set(found.view) == {"last week"}
    assert np.allclose(np.bincount(found.owner, found.weight), 1)
    assert [found.owners[i].name for i in found.owner] == [rows.owners[i].name for i in rows.owner[2:]]
