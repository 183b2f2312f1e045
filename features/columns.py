"""Query results as numpy columns, without a second copy of the whole result in between."""

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 200_000


def read_columns(
    connection: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, object] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the result of a query, a numpy array a column; NULL is NaN, so only doubles may be NULL."""
    reader = connection.sql(query, params=dict(params or {})).to_arrow_reader(ROWS_AT_ONCE)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in reader.schema.names}
    kinds = dict(zip(reader.schema.names, reader.schema.types, strict=True))
    for batch in reader:
        for name, column in zip(reader.schema.names, batch.columns, strict=True):
            parts[name].append(column.to_numpy(zero_copy_only=False))
    columns = {}
    for name, kind in kinds.items():
        found = parts.pop(name)
        columns[name] = np.concatenate(found) if found else np.zeros(0, kind.to_pandas_dtype())
    return columns
