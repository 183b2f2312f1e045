"""Scores of every account of a frame."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.frame import FeatureFrame
from models.registry import Model

CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Scores:
    """One score an account, in the order of the frame that it was computed from."""

    model: str
    """Version of the model."""
    as_of: datetime
    accounts: tuple[str, ...]
    log_odds: NDArray[np.float64]


def score_frame(model: Model, frame: FeatureFrame, *, chunk_rows: int = CHUNK_ROWS) -> Scores:
    """Score every row of `frame`; the same bytes whatever the chunk size and the number of threads.

    Raises ModelMismatch where the frame has other features than the model.
    """
    model.require(frame.names)
    log_odds = np.empty(len(frame.accounts), dtype=np.float64)
    for start in range(0, len(log_odds), chunk_rows):
        log_odds[start : start + chunk_rows] = model.log_odds(frame.values[start : start + chunk_rows])
    return Scores(model=model.version, as_of=frame.as_of, accounts=frame.accounts, log_odds=log_odds)
