"""Which addresses carry a category at a moment: the labels known then, spread over entities with care."""

from datetime import datetime
from importlib.resources import files

import duckdb
import pyarrow as pa

from datasets.taxonomy import load_taxonomy
from features.owners import CONFIDENCE

__all__ = ["CONFIDENCE", "mark_seeds"]

UNKNOWN_SERVICE = "unknown_service"
"""The category of entities that handle strangers' money and that no label names."""


def mark_seeds(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make the tables `unknown_service`, `deposit_of` and `seed(address, category, labelled)`.

    `category` is the number of the category whose money passes here, or -1. It comes from the address's
    own best label (by confidence; between equals by the order of the taxonomy, then by source), else from
    its entity when all labels inside agree on one category, else from its structure (`unknown_service.sql`)
    where no label says anything. Only labels published before `as_of`, and not withdrawn by then, count: a
    label without a date never does. `labelled` says that the address or its entity had any such label, of
    whatever category. `deposit_of(address, service, category, confidence, seq)` marks what a labelled
    custodial service gave to one customer (`deposits.sql`).
    """
    categories = load_taxonomy().categories
    table = pa.table(
        {
            "id": [c.id for c in categories],
            "number": pa.array([c.index for c in categories], pa.int16()),
            "seeds": [c.seeds for c in categories],
            "service": [c.service for c in categories],
        }
    )
    connection.register("taxonomy", table)
    connection.execute(
        """
        CREATE TEMP TABLE known AS
        SELECT l.address, c.id AS category, c.number, c.seeds, c.service, l.confidence, l.source,
            coalesce(
                nullif(lower(regexp_replace(l.entity, '[^\\p{L}\\p{N}]', '', 'g')), ''), l.address::VARCHAR
            ) AS owner
        FROM ledger.attributed_label AS l JOIN taxonomy AS c ON c.id = l.category
        WHERE l.published_at < $as_of AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
        """,
        {"as_of": as_of},
    )
    connection.execute(_read("unknown_service.sql"))
    connection.execute(_read("deposits.sql"), {"confidence": CONFIDENCE})
    connection.execute(
        """
        CREATE TABLE seed AS
        WITH own AS (
            SELECT m.address, m.entity, k.number
            FROM known AS k JOIN member AS m ON m.address = k.address
            WHERE k.seeds AND k.confidence >= $confidence
            QUALIFY row_number() OVER (
                PARTITION BY m.address ORDER BY k.confidence DESC, k.number, k.source
            ) = 1
        ),
        shared AS (
            SELECT entity, min(number) AS number FROM own GROUP BY entity HAVING min(number) = max(number)
        ),
        labelled AS (
            SELECT DISTINCT m.entity FROM known AS k JOIN member AS m ON m.address = k.address
        ),
        structural AS (
            SELECT u.entity, t.number FROM unknown_service AS u JOIN taxonomy AS t ON t.id = $unknown
        )
        SELECT
            m.address,
            CAST(coalesce(own.number, shared.number, structural.number, -1) AS SMALLINT) AS category,
            labelled.entity IS NOT NULL AS labelled
        FROM member AS m
        LEFT JOIN own ON own.address = m.address
        LEFT JOIN shared ON shared.entity = m.entity
        LEFT JOIN labelled ON labelled.entity = m.entity
        LEFT JOIN structural ON structural.entity = m.entity
        ORDER BY m.node
        """,
        {"confidence": CONFIDENCE, "unknown": UNKNOWN_SERVICE},
    )
    connection.execute("DROP TABLE known")
    connection.unregister("taxonomy")


def _read(name: str) -> str:
    return (files("features") / name).read_text(encoding="utf-8")
