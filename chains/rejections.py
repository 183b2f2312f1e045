"""The rows of a file that make no transfer, each with its reason."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.ledger import REJECT_SCHEMA


class Rejections:
    """The rejected rows of one batch of `count` rows; of several reasons the first given stands."""

    def __init__(self, count: int) -> None:
        """Start with every row accepted."""
        self._reasons: list[tuple[str, str] | None] = [None] * count

    def add(self, row: int, reason: str, detail: str) -> None:
        """Reject a row of the batch, unless it is already."""
        if self._reasons[row] is None:
            self._reasons[row] = (reason, detail)

    def has(self, row: int) -> bool:
        """Whether a row is rejected."""
        return self._reasons[row] is not None

    def kept(self) -> NDArray[np.bool_]:
        """Which rows are not rejected."""
        return np.array([reason is None for reason in self._reasons], np.bool_)

    def table(self, first_row: int) -> pa.Table:
        """The rejected rows by their number in the file, where the batch starts at `first_row`."""
        found = [(first_row + i, *reason) for i, reason in enumerate(self._reasons) if reason is not None]
        rows, reasons, details = zip(*found, strict=True) if found else ((), (), ())
        heights = pa.nulls(len(rows), pa.int64())
        columns = [pa.array(rows, pa.int64()), pa.array(reasons, pa.string()), pa.array(details, pa.string())]
        return pa.table([*columns, heights], schema=REJECT_SCHEMA)


def shown(value: object, limit: int = 60) -> str:
    """Quote a value of a file for a message: control characters escaped, cut at `limit` characters."""
    text = str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut) + "'"
