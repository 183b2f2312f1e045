"""Query results as numpy columns, without a second copy of the whole result in between."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS_AT_ONCE = 200_000


def read_columns(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: Mapping[str, object] | None = None,
    *,
    spill: Path | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the result of a query, a numpy array a column; NULL is NaN, so only doubles may be NULL.

    With `spill` the arrays lie in files of that folder, which vanish with them.
    """
    reader = connection.sql(query, params=dict(params or {})).to_arrow_reader(ROWS_AT_ONCE)
    return _in_files(reader, spill) if spill is not None else _in_memory(reader)


def _in_memory(reader: pa.RecordBatchReader) -> dict[str, NDArray[Any]]:
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


def _in_files(reader: pa.RecordBatchReader, folder: Path) -> dict[str, NDArray[Any]]:
    files: dict[str, IO[bytes]] = {}
    try:
        for name in reader.schema.names:
            files[name] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed below, read through a map)
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            for name, column in zip(reader.schema.names, batch.columns, strict=True):
                column.to_numpy(zero_copy_only=False).tofile(files[name])
        columns: dict[str, NDArray[Any]] = {}
        for name, kind in zip(reader.schema.names, reader.schema.types, strict=True):
            dtype = np.dtype(kind.to_pandas_dtype())
            files[name].flush()
            columns[name] = np.asarray(
                np.memmap(files[name], dtype, "c", shape=(rows,)) if rows else np.zeros(0, dtype)
            )
        return columns
    finally:
        for file in files.values():
            file.close()
