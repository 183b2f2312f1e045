from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from features.frame import FeatureFrame

GOOD: dict[str, Any] = {
    "as_of": datetime(2023, 5, 1),  # noqa: DTZ001  (naive UTC)
    "accounts": ("a", "b", "c"),
    "entities": np.asarray([0, 0, 2], dtype=np.int64),
    "seeded": np.zeros(3, dtype=np.bool_),
    "names": ("x", "y"),
    "values": np.zeros((3, 2)),
}
BAD: dict[str, dict[str, Any]] = {
    "naive UTC": {"as_of": datetime(2023, 5, 1, tzinfo=UTC)},
    "accounts must be": {"accounts": ("a", "c", "b")},
    "accounts must be strictly": {"accounts": ("a", "b", "b")},
    "names must differ": {"names": ("x", "x")},
    r"entities must be int64 \[3\], not int32": {"entities": np.asarray([0, 0, 2], dtype=np.int32)},
    "from 0 to 2": {"entities": np.asarray([0, 0, 3], dtype=np.int64)},
    r"seeded must be bool \[3\]": {"seeded": np.zeros(2, dtype=np.bool_)},
    r"values must be float64 \(3, 2\), not float64 \(2, 3\)": {"values": np.zeros((2, 3))},
    "values must be float64": {"values": np.zeros((3, 2), dtype=np.float32)},
    "C order": {"values": np.zeros((3, 2), order="F")},
}


def test_a_frame_whose_columns_fit_is_taken() -> None:
    assert FeatureFrame(**GOOD).accounts == ("a", "b", "c")
    empty = {"accounts": (), "entities": np.empty(0, dtype=np.int64), "seeded": np.empty(0, dtype=np.bool_)}
    assert FeatureFrame(**GOOD | empty | {"values": np.empty((0, 2))}).values.shape == (0, 2)


@pytest.mark.parametrize("message", BAD)
def test_a_frame_whose_columns_do_not_fit_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureFrame(**GOOD | BAD[message])
