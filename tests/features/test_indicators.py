"""Each indicator on its small ledger: who shows it, by which transfers, and who only nearly does."""

from pathlib import Path
from typing import Any

import pytest

from tests.features.indicated import find_all, make_ledger
from tests.features.indicator_cases import CASES
from tests.features.indicator_misses import NEARLY, NEARLY_LABELS


@pytest.mark.parametrize("indicator", CASES)
def test_who_shows_it_and_who_only_nearly(tmp_path: Path, indicator: str) -> None:
    case = CASES[indicator]
    nearly = [move for moves in NEARLY.get(indicator, {}).values() for move in moves]
    labels = [*case.labels, *NEARLY_LABELS.get(indicator, [])]
    ledger = make_ledger(tmp_path / "l", [*case.moves, *nearly], labels)
    found = find_all(ledger).get(indicator, {})
    shown: dict[str, Any] = {who: (line.strength, line.evidence, line.count) for who, line in found.items()}
    assert shown == {who: (pytest.approx(s), e, n) for who, (s, e, n) in case.expected.items()}
    for line in found.values():
        assert {name: line.values[name] for name in case.values} == pytest.approx(case.values)
