"""Find the indicators: every query over all entities of a build, put together as one table."""

from datetime import datetime
from importlib.resources import files

import duckdb
import pyarrow as pa

from datasets.taxonomy import load_taxonomy
from features.indicators.catalogue import INDICATORS, Indicator, read_query
from features.seeds import CONFIDENCE

SCHEMA = pa.schema(
    [
        ("indicator", pa.string()),
        ("entity", pa.int64()),
        ("strength", pa.float64()),
        ("evidence", pa.list_(pa.int64())),
        ("evidence_count", pa.int64()),
        ("values", pa.string()),
    ]
)


def find_indicators(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> pa.Table:
    """Return what the indicators find, in the order of their list and then of the entities.

    `connection` holds the tables of a build after `mark_seeds`, `as_of` (naive UTC) is its moment: neither
    transfers nor labels from then on count. The columns are
    `indicator` (id), `entity` (node), `strength` (0 to 1), `evidence` (`seq` of at most 20 transfers,
    ascending), `evidence_count` (how many there are in all), `values` (JSON: what the sentence says). An
    entity has at most one row an indicator. The tables of `features/indicators/tables` are left behind.
    """
    make_tables(connection, as_of)
    found = [_find(connection, indicator) for indicator in INDICATORS]
    return pa.concat_tables(found).combine_chunks()


def make_tables(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make the tables and views that the queries read beside those of the build."""
    categories = load_taxonomy().categories
    table = pa.table(
        {
            "number": pa.array([c.index for c in categories], pa.int16()),
            "id": [c.id for c in categories],
            "service": [c.service for c in categories],
        }
    )
    connection.register("categories", table)
    connection.execute("CREATE TABLE category AS SELECT * FROM categories")
    connection.unregister("categories")
    connection.execute(_table("0_party"), {"as_of": as_of, "confidence": CONFIDENCE})
    connection.execute(_table("1_payment"))
    connection.execute(_table("2_relay"))


def _table(name: str) -> str:
    return files("features").joinpath("indicators", "tables", f"{name}.sql").read_text(encoding="utf-8")


def _find(connection: duckdb.DuckDBPyConnection, indicator: Indicator) -> pa.Table:
    given = connection.sql(read_query(indicator.id), params=indicator.parameters)
    described = [name for name in given.columns if name not in SCHEMA.names]
    values = ", ".join(f"'{name}': {name}" for name in described)
    query = f"""
        SELECT '{indicator.id}' AS indicator, CAST(entity AS BIGINT) AS entity, strength,
            CAST(evidence AS BIGINT[]) AS evidence, CAST(evidence_count AS BIGINT) AS evidence_count,
            CAST(to_json({{{values}}}) AS VARCHAR) AS values
        FROM ({read_query(indicator.id)})
        ORDER BY entity
    """  # noqa: S608  (names of the list and of our own queries)
    found = connection.sql(query, params=indicator.parameters).to_arrow_table()
    return found.cast(SCHEMA)
