"""Behaviour of every address at a moment, by the SQL files of the catalogue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE, read_sql
from features.columns import read_columns


@dataclass(frozen=True)
class Part:
    """The features of one SQL file: a row for each key, in no order; NaN where unknown."""

    key: str
    """What `keys` are: `entity` or `address`."""
    keys: NDArray[np.int64]
    features: dict[str, NDArray[np.float64]]


def behaviour_parts(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Part]:
    """Yield the behaviour features before `as_of` (naive UTC), one SQL file after the other.

    `connection` holds the work tables of a build. `progress` is told (files done, files).
    """
    behaviour = [feature for feature in CATALOGUE if feature.sql is not None]
    sql_files = list(dict.fromkeys(feature.sql for feature in behaviour if feature.sql is not None))
    for done, name in enumerate(sql_files, start=1):
        key = "address" if name.startswith("address_") else "entity"
        names = [feature.name for feature in behaviour if feature.sql == name]
        doubles = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" for name in names)
        query = f"SELECT {key}, {doubles} FROM ({read_sql(name)})"  # noqa: S608  (names of the catalogue)
        columns = read_columns(connection, query, {"as_of": as_of})
        yield Part(key, columns.pop(key).astype(np.int64), columns)
        if progress is not None:
            progress(done, len(sql_files))
