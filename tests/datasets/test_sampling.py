"""The sample below the line: exact intervals, shares of chains, and what counts as a miss."""

from datetime import datetime
from pathlib import Path

import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]

from chains.errors import InputError
from datasets.records.cases import approve_case, decide_case, list_cases
from datasets.records.draws import list_draws, write_draw
from datasets.records.store import open_records
from datasets.sampling import Drawn, Sample, Stratum, _share_out, count_misses, exact_interval

NOW = datetime.fromisoformat("2024-06-04T12:00:00")


@pytest.mark.parametrize(
    ("found", "of"), [(0, 1), (1, 1), (0, 60), (1, 60), (3, 40), (39, 40), (17, 2000), (1000, 2000), (5, 7)]
)
def test_the_interval_is_that_of_clopper_and_pearson(found: int, of: int) -> None:
    exact = binomtest(found, of).proportion_ci(0.95, method="exact")
    assert exact_interval(found, of) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_nothing_looked_at_says_nothing() -> None:
    assert exact_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="2 of 1"):
        exact_interval(2, 1)


@pytest.mark.parametrize(
    ("eligible", "size", "shares"),
    [
        ({"a": 100, "b": 50}, 6, {"a": 4, "b": 2}),
        ({"a": 100, "b": 50}, 7, {"a": 5, "b": 2}),
        ({"a": 10_000, "b": 3, "c": 1}, 5, {"a": 3, "b": 1, "c": 1}),
        ({"a": 5, "b": 5}, 10, {"a": 5, "b": 5}),
        ({"a": 5, "b": 0}, 1, {"a": 1}),
        ({"a": 7, "b": 7, "c": 7}, 5, {"a": 1, "b": 2, "c": 2}),
    ],
)
def test_every_chain_gives_its_share_and_at_least_one(
    eligible: dict[str, int], size: int, shares: dict[str, int]
) -> None:
    assert _share_out(eligible, size) == shares


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2, one a chain"):
        _share_out({"a": 5, "b": 5}, 1)
    with pytest.raises(InputError, match="at most 10"):
        _share_out({"a": 5, "b": 5}, 11)


def test_a_draw_is_kept_whole_or_not_at_all_and_its_misses_counted(tmp_path: Path) -> None:
    owners = tuple(Drawn(f"payments:bank:{name}", -3.0, name < "c") for name in "abcdef")
    sample = Sample(owners, (Stratum("payments:bank", 90, 6),))
    words = {"by": "Aigul", "now": NOW, "seed": 7, "snapshot": "s", "model": "m-1", "line": -1.0}
    with open_records(tmp_path / "r.sqlite") as records:
        draw = write_draw(records, sample, **words)  # type: ignore[arg-type]
        assert list_draws(records) == (draw,)
        with pytest.raises(InputError, match="not closed yet"):
            write_draw(records, Sample((Drawn("payments:bank:z", 0, False), *owners), ()), **words)  # type: ignore[arg-type]
        cases = list_cases(records, drawn=True)
        assert list_draws(records) == (draw,)
        assert len(cases) == 6
        assert {case.reason for case in cases} == {"blind", "below_the_line"}
        assert [case.shows_score for case in cases] == [not case.blind for case in cases]
        ids = [case.id for case in cases]
        for case_id, outcome in zip(ids, ["confirmed", "confirmed", "cleared", "inconclusive"], strict=False):
            decide_case(records, case_id, outcome, by="Aigul", now=NOW)
        approve_case(records, ids[0], by="Bakyt", now=NOW)
        found = count_misses(list_cases(records, draw=draw.id))
        assert all(case.shows_score for case in list_cases(records) if case.id in ids[:4])
    assert (found.drawn, found.confirmed, found.cleared, found.inconclusive, found.unread) == (
        6,
        1,
        1,
        1,
        2 + 1,
    )
    assert found.rate == 0.5
    assert (found.low, found.high) == exact_interval(1, 2)
    assert found.most == exact_interval(2, 3)[1]
