"""The behaviour model: does an owner act like those in any crime, whatever its money's source?

It sees no exposure, so that `laundering_behaviour` and `drug_evidence` are two separate things to look at.
Its target is the drug trade and every other crime of the taxonomy. It sets no level.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalogue import find_feature
from models.calibrate import Calibration
from models.trees import contributions_raw, load_trees, predict_raw

FILE = "behaviour.json"
"""Name of the file in a model folder; models from before have none."""


def behaviour_columns(names: Sequence[str]) -> NDArray[np.int64]:
    """Return which of the features `names` tell how an owner acts, not whom its money comes from."""
    return np.asarray([i for i, name in enumerate(names) if find_feature(name).group != "exposure"], np.int64)


@dataclass(frozen=True)
class BehaviourModel:
    """Trees over some columns of the features [all names], and their calibration."""

    columns: NDArray[np.int64]
    calibration: Calibration
    trees: Any

    def log_odds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated log-odds [n] of crime, of feature rows [n, all features]."""
        return self.calibration.apply(predict_raw(self.trees, self._picked(values)))

    def contributions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [n, all features + 1] that sum to the log-odds; 0 for what it does not know, base last."""
        parts = self.calibration.slope * contributions_raw(self.trees, self._picked(values))
        found = np.zeros((len(values), values.shape[1] + 1))
        found[:, self.columns] = parts[:, :-1]
        found[:, -1] = parts[:, -1] + self.calibration.offset
        return found

    def _picked(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ascontiguousarray(values[:, self.columns], dtype=np.float64)


def pack_behaviour(trees: str, names: Sequence[str], calibration: Calibration) -> dict[str, Any]:
    """Return the content of `FILE`; `names` are the features of the trees, in order."""
    return {"names": list(names), "calibration": asdict(calibration), "trees": trees}


def read_behaviour(text: str, names: Sequence[str]) -> BehaviourModel:
    """Return the model of a file's text; `names` are all features, in order.

    Raises ValueError, KeyError or TypeError where the text is none.
    """
    content = json.loads(text)
    place = {name: column for column, name in enumerate(names)}
    trees = load_trees(content["trees"])
    columns = np.asarray([place[name] for name in content["names"]], np.int64)
    if trees.num_feature() != len(columns):
        raise ValueError(f"the trees know {trees.num_feature()} features, not {len(columns)}")
    return BehaviourModel(columns, Calibration(**content["calibration"]), trees)
