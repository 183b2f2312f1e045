"""The rows of a file that make no transfer, each with its reason."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.ledger import REJECT_SCHEMA


class Rejections:
    """The rejected rows of one batch of `count` rows; of several reasons the first given stands."""

    def __init__(self, count: int) -> None:
        """Start with every row accepted."""
        self._count = count
        self._reasons: dict[int, tuple[str, str]] = {}

    def add(self, row: int, reason: str, detail: str) -> None:
        """Reject a row of the batch, unless it is already."""
        self._reasons.setdefault(row, (reason, detail))

    def has(self, row: int) -> bool:
        """Whether a row is rejected."""
        return row in self._reasons

    def reason(self, row: int) -> tuple[str, str]:
        """Why a rejected row is: the word and what was found."""
        return self._reasons[row]

    def kept(self) -> NDArray[np.bool_]:
        """Which rows are not rejected."""
        kept = np.ones(self._count, np.bool_)
        kept[list(self._reasons)] = False
        return kept

    def table(self, first_row: int, numbers: NDArray[np.int64] | None = None) -> pa.Table:
        """The rejected rows by their number in the file, where the batch starts at `first_row`.

        `numbers` has each row's number where the batch is not in the file's order.
        """
        places = range(first_row, first_row + self._count) if numbers is None else numbers.tolist()
        found = [(places[i], *self._reasons[i]) for i in sorted(self._reasons, key=lambda i: places[i])]
        rows, reasons, details = zip(*found, strict=True) if found else ((), (), ())
        heights = pa.nulls(len(rows), pa.int64())
        columns = [pa.array(rows, pa.int64()), pa.array(reasons, pa.string()), pa.array(details, pa.string())]
        return pa.table([*columns, heights], schema=REJECT_SCHEMA)


def value_at(column: pa.Array | pa.ChunkedArray, row: int) -> object:
    """Return what stands in a row, for a message: bytes as hex, and as a number what Python cannot hold."""
    cell = column[row]
    try:
        value = cell.as_py()
    except (OverflowError, ValueError):  # a time before the year 1 or after 9999, or of nanoseconds
        return cell.value
    return value.hex() if isinstance(value, bytes) else value


def shown(value: object, limit: int = 60) -> str:
    """Quote a value of a file for a message: control characters escaped, cut at `limit` characters."""
    text = str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut) + "'"
