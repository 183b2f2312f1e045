"""Behaviour of every address at a moment, by the SQL files of the catalogue."""

from collections.abc import Callable
from datetime import datetime

import duckdb
import pyarrow as pa

from features.catalogue import CATALOGUE, read_sql


def behaviour_features(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[str, ...], pa.Table]:
    """Return the behaviour features' names and one row of them for each address that moved before `as_of`.

    `connection` holds the work tables of a build; `as_of` is naive UTC. The table has the column `address`
    and one float64 column per name, in catalogue order, sorted by address; null means unknown.
    An address carries the numbers of its entity next to its own. `progress` is told (files done, files).
    """
    behaviour = tuple(feature for feature in CATALOGUE if feature.sql is not None)
    names = tuple(feature.name for feature in behaviour)
    sql_files = tuple(dict.fromkeys(feature.sql for feature in behaviour if feature.sql is not None))
    parts = {name: f"behaviour_{name.removesuffix('.sql')}" for name in sql_files}
    joins = []
    try:
        for done, name in enumerate(sql_files):
            part = connection.sql(read_sql(name), params={"as_of": as_of}).to_arrow_table()
            connection.register(parts[name], part)
            key = part.column_names[0]
            joins.append(f"LEFT JOIN {parts[name]} ON {parts[name]}.{key} = seen.{key}")
            if progress is not None:
                progress(done + 1, len(sql_files))
        columns = ", ".join(
            f"CAST({parts[feature.sql]}.{feature.name} AS DOUBLE) AS {feature.name}"
            for feature in behaviour
            if feature.sql is not None
        )
        table = connection.sql(
            f"""
            WITH seen AS (
                SELECT member.address, member.entity
                FROM member
                JOIN {parts["address_activity.sql"]} USING (address)
            )
            SELECT seen.address, {columns}
            FROM seen
            {" ".join(joins)}
            ORDER BY seen.address
            """  # noqa: S608  (every name is of the catalogue)
        ).to_arrow_table()
    finally:
        for part_name in parts.values():
            connection.unregister(part_name)
    return names, table
