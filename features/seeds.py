"""Which addresses carry a category at a moment: the labels known then, spread over entities with care."""

from datetime import datetime

import duckdb
import pyarrow as pa

from datasets.taxonomy import load_taxonomy

CONFIDENCE = 0.5
"""A label below this confidence is shown, but marks nobody's money."""


def mark_seeds(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make the table `seed(address, category, labelled)` for every address seen.

    `category` is the number of the category whose money passes here, or -1. It comes from the address's
    own best label (by confidence; between equals by the order of the taxonomy, then by source), else from
    its entity when all labels inside agree on one category. Only labels published before `as_of`, and not
    withdrawn by then, count: a label without a date never does. `labelled` says that the address or its
    entity had any such label, of whatever category.
    """
    categories = load_taxonomy().categories
    table = pa.table(
        {
            "id": [c.id for c in categories],
            "number": pa.array([c.index for c in categories], pa.int16()),
            "seeds": [c.seeds for c in categories],
        }
    )
    connection.register("taxonomy", table)
    connection.execute(
        """
        CREATE TABLE seed AS
        WITH known AS (
            SELECT l.address, c.number, c.seeds, l.confidence, l.source
            FROM ledger.label AS l JOIN taxonomy AS c ON c.id = l.category
            WHERE l.published_at < $as_of AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
        ),
        own AS (
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
        )
        SELECT
            m.address,
            CAST(coalesce(own.number, shared.number, -1) AS SMALLINT) AS category,
            labelled.entity IS NOT NULL AS labelled
        FROM member AS m
        LEFT JOIN own ON own.address = m.address
        LEFT JOIN shared ON shared.entity = m.entity
        LEFT JOIN labelled ON labelled.entity = m.entity
        ORDER BY m.node
        """,
        {"as_of": as_of, "confidence": CONFIDENCE},
    )
    connection.unregister("taxonomy")
