"""Claims and actors written into the ledger: what is new is added, what an issue no longer says is withdrawn.

Nothing is overwritten. An identical claim that the ledger holds already is not written again; one that a
newer issue of a list no longer makes gets `withdrawn_at`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from chains.errors import LabelError
from datasets.sources.actorpack import Actor
from datasets.sources.claims import Label, LabelList, Rejection
from datasets.store import Ledger, chain_number, intern_accounts, next_number, registered

_LABEL_SCHEMA = pa.schema(
    [
        ("position", pa.string()),
        ("category", pa.string()),
        ("entity", pa.string()),
        ("name", pa.string()),
        ("source", pa.string()),
        ("reference", pa.string()),
        ("confidence", pa.float64()),
        ("published_at", pa.timestamp("us")),
        ("licence", pa.string()),
        ("may_export", pa.bool_()),
        ("may_train", pa.bool_()),
        ("cluster_definer", pa.bool_()),
        ("programmes", pa.list_(pa.string())),
        ("listed_at", pa.date32()),
        ("actor", pa.string()),
        ("substances", pa.list_(pa.string())),
    ]
)

# What makes two claims the same. Their dates may differ: every issue of a list repeats what still holds.
_SAME_CLAIM = (
    "address",
    "category",
    "entity",
    "name",
    "source",
    "reference",
    "confidence",
    "licence",
    "may_export",
    "may_train",
    "cluster_definer",
    "programmes",
    "listed_at",
    "actor",
    "substances",
)

_ACTOR_SCHEMA = pa.schema(
    [
        ("position", pa.string()),
        ("actor", pa.string()),
        ("name", pa.string()),
        ("category", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("uri", pa.string()),
        ("jurisdictions", pa.list_(pa.string())),
        ("aliases", pa.list_(pa.string())),
        ("context", pa.string()),
        ("source", pa.string()),
        ("published_at", pa.timestamp("us")),
        ("licence", pa.string()),
        ("may_export", pa.bool_()),
        ("may_train", pa.bool_()),
    ]
)

_SAME_ACTOR = tuple(name for name in _ACTOR_SCHEMA.names if name not in {"position", "published_at"})

_FEW = 20
"""Addresses held of the sources of an issue below which it may lack any number of them."""


@dataclass(frozen=True)
class Written:
    """How many entries were added, how many were known already, and how many earlier ones were withdrawn."""

    added: int
    known: int
    withdrawn: int = 0


def write_labels(
    ledger: Ledger, path: Path, kind: str, *, number: int, claims: LabelList, recorded_at: datetime
) -> Written:
    """Write the claims of the label file `number`; call it in a transaction.

    Raises LabelError where an issue lacks so much of what is held that it is most likely not whole.
    """
    connection = ledger.connection
    issue = {"kind": kind, "issued_at": claims.issued_at}
    with registered(connection, claim=_claim_table(ledger, claims.labels)):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE new_claim AS
            WITH next_issue AS (
                SELECT covered.source, min(f.issued_at) AS issued_at
                FROM label_file AS f, unnest(f.covers) AS covered(source)
                WHERE f.kind = $kind AND f.issued_at > $issued_at
                GROUP BY covered.source
            )
            SELECT claim.*,
                   coalesce(bool_or({_holds("held", "$issued_at")}
                                    AND (held.published_at <= claim.published_at
                                         OR claim.published_at IS NULL)), false) AS known,
                   any_value(next_issue.issued_at) AS next_at,
                   coalesce(bool_or({_holds("held", "next_issue.issued_at")}), false) AS in_next,
                   max(coalesce(held.withdrawn_at, 'infinity'))
                       FILTER ({_holds("held", "next_issue.issued_at")}) AS next_until
            FROM claim
            LEFT JOIN ({_OF_KIND}) AS held ON {_same("claim", "held", _SAME_CLAIM)}
            LEFT JOIN next_issue ON next_issue.source = claim.source
            GROUP BY ALL
            """,  # noqa: S608  (column names of _SAME_CLAIM)
            issue,
        )
        withdrawn = _withdraw(connection, path, claims, issue)
        connection.execute(
            """
            INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source,
                               reference, confidence, published_at, recorded_at, withdrawn_at, licence,
                               may_export, may_train, cluster_definer, programmes, listed_at, actor,
                               substances)
            SELECT $start + row_number() OVER (ORDER BY n) - 1, $number, position, chain, address, category,
                   entity, name, source, reference, confidence, published_at, $recorded_at,
                   CASE WHEN in_next THEN nullif(next_until, 'infinity'::TIMESTAMP) ELSE next_at END,
                   licence, may_export, may_train, cluster_definer, programmes, listed_at, actor, substances
            FROM new_claim WHERE NOT known
            """,
            {"start": next_number(connection, "label"), "number": number, "recorded_at": recorded_at},
        )
    counts = connection.execute("SELECT count(*) FILTER (NOT known), count(*) FILTER (known) FROM new_claim")
    added, known = counts.fetchall()[0]
    connection.execute("DROP TABLE new_claim")
    return Written(int(added), int(known), withdrawn)


def write_actors(ledger: Ledger, *, number: int, actors: Sequence[Actor], recorded_at: datetime) -> Written:
    """Write the actors of the label file `number`; one that was last described alike is known already."""
    connection = ledger.connection
    table = pa.table(
        {
            field.name: pa.array([getattr(actor, field.name) for actor in actors], field.type)
            for field in _ACTOR_SCHEMA
        },
        schema=_ACTOR_SCHEMA,
    ).append_column("n", pa.array(np.arange(len(actors))))
    with registered(connection, described=table):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE new_actor AS
            WITH latest AS (
                SELECT * FROM actor
                QUALIFY row_number() OVER (
                    PARTITION BY actor, source
                    ORDER BY coalesce(published_at, recorded_at) DESC, recorded_at DESC, position
                ) = 1
            )
            SELECT described.*, latest.actor IS NOT NULL
                   AND coalesce(latest.published_at <= described.published_at, described.published_at IS NULL)
                   AS known
            FROM described LEFT JOIN latest ON {_same("described", "latest", _SAME_ACTOR)}
            """  # noqa: S608  (column names of _SAME_ACTOR)
        )
    connection.execute(
        """
        INSERT INTO actor (label_file, position, actor, name, category, categories, uri, jurisdictions,
                           aliases, context, source, published_at, recorded_at, licence, may_export,
                           may_train)
        SELECT $number, position, actor, name, category, categories, uri, jurisdictions, aliases,
               context, source, published_at, $recorded_at, licence, may_export, may_train
        FROM new_actor WHERE NOT known ORDER BY n
        """,
        {"number": number, "recorded_at": recorded_at},
    )
    counts = connection.execute("SELECT count(*) FILTER (NOT known), count(*) FILTER (known) FROM new_actor")
    added, known = counts.fetchall()[0]
    connection.execute("DROP TABLE new_actor")
    return Written(int(added), int(known))


def write_rejections(
    connection: duckdb.DuckDBPyConnection, number: int, rejections: Sequence[Rejection]
) -> None:
    """Write what the label file `number` got wrong."""
    table = pa.table(
        {
            "position": pa.array([rejection.position for rejection in rejections], pa.string()),
            "reason": pa.array([rejection.reason for rejection in rejections], pa.string()),
            "detail": pa.array([rejection.detail for rejection in rejections], pa.string()),
        }
    )
    with registered(connection, rejection=table):
        connection.execute(
            "INSERT INTO label_rejection SELECT $1, position, reason, detail FROM rejection", [number]
        )


_OF_KIND = "SELECT label.* FROM label JOIN label_file USING (label_file) WHERE label_file.kind = $kind"


def _holds(row: str, moment: str) -> str:
    """SQL: whether a claim of a list held in the issue of a moment; without one, whether it holds at all."""
    return (
        f"({row}.label IS NOT NULL AND coalesce({row}.withdrawn_at > {moment}::TIMESTAMP, "
        f"{row}.withdrawn_at IS NULL) AND coalesce({row}.published_at <= {moment}::TIMESTAMP, true))"
    )


def _same(one: str, other: str, columns: Sequence[str]) -> str:
    return " AND ".join(f"{one}.{column} IS NOT DISTINCT FROM {other}.{column}" for column in columns)


def _withdraw(
    connection: duckdb.DuckDBPyConnection, path: Path, claims: LabelList, issue: Mapping[str, object]
) -> int:
    """Mark what an issue no longer says of the sources it covers, from its date on; return how many claims.

    What issues after it said again stands again from the first of them: so the same issues leave the same
    history in whatever order they come.
    """
    if claims.issued_at is None or not claims.covers:
        return 0
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE alive AS
        SELECT held.label, bool_and(claim.n IS NULL) AS gone, any_value(held.withdrawn_at) AS until,
               any_value(held.source) AS source
        FROM ({_OF_KIND}) AS held LEFT JOIN claim ON {_same("claim", "held", _SAME_CLAIM)}
        WHERE list_contains($covers::VARCHAR[], held.source) AND {_holds("held", "$issued_at")}
        GROUP BY held.label
        """,  # noqa: S608  (column names of _SAME_CLAIM)
        {**issue, "covers": list(claims.covers)},
    )
    counts = connection.execute("SELECT count(*) FILTER (gone), count(*) FROM alive").fetchall()
    gone, held = counts[0]
    if held >= _FEW and gone > held / 2:
        # Most likely another list or part of one: to take sanctions off by mistake is the worse error.
        what = "the whole SDN list" if issue["kind"] == "ofac" else "the whole of its data sets"
        raise LabelError(path, why=f"it lacks {gone} of the {held} claims held of its sources: is it {what}?")
    connection.execute(
        f"""
        INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source,
                           reference, confidence, published_at, recorded_at, withdrawn_at, licence,
                           may_export, may_train, cluster_definer, programmes, listed_at, actor, substances)
        WITH again AS (
            SELECT a.label, a.until, f.label_file, f.issued_at, f.recorded_at
            FROM alive AS a
            JOIN label_file AS f
                ON f.kind = $kind AND f.issued_at > $issued_at AND list_contains(f.covers, a.source)
                AND (a.until IS NULL OR f.issued_at < a.until)
            WHERE a.gone
            QUALIFY row_number() OVER (PARTITION BY a.label ORDER BY f.issued_at, f.sha256) = 1
        )
        SELECT $start + row_number() OVER (ORDER BY l.label) - 1, again.label_file,
               l.position || ' of ' || f.source, l.chain, l.address, l.category, l.entity, l.name, l.source,
               l.reference, l.confidence, again.issued_at, again.recorded_at, again.until, l.licence,
               l.may_export, l.may_train, l.cluster_definer, l.programmes, l.listed_at, l.actor, l.substances
        FROM again
        JOIN label AS l ON l.label = again.label
        JOIN label_file AS f ON f.label_file = l.label_file
        WHERE NOT EXISTS (
            SELECT 1 FROM ({_OF_KIND}) AS o
            WHERE o.label <> l.label AND {_same("o", "l", _SAME_CLAIM)} AND {_holds("o", "again.issued_at")}
        )
        """,  # noqa: S608  (column names of _SAME_CLAIM)
        {**issue, "start": next_number(connection, "label")},
    )
    connection.execute(
        "UPDATE label SET withdrawn_at = $1 WHERE label IN (SELECT label FROM alive WHERE gone)",
        [claims.issued_at],
    )
    connection.execute("DROP TABLE alive")
    return int(gone)


def _claim_table(ledger: Ledger, labels: list[Label]) -> pa.Table:
    """Return the claims as a table with `n` (their order) and the ledger's numbers of chain and address."""
    table = pa.table(
        {
            field.name: pa.array([getattr(label, field.name) for label in labels], field.type)
            for field in _LABEL_SCHEMA
        },
        schema=_LABEL_SCHEMA,
    )
    places: dict[str, list[int]] = {}
    for n, label in enumerate(labels):
        places.setdefault(label.account.chain.caip2, []).append(n)
    chains = np.zeros(len(labels), dtype=np.int16)
    addresses = np.zeros(len(labels), dtype=np.int64)
    for caip2 in sorted(places):
        of_chain = places[caip2]
        number = chain_number(ledger, labels[of_chain[0]].account.chain)
        accounts = pa.array([labels[n].account.address for n in of_chain], pa.string())
        chains[of_chain] = number
        addresses[of_chain] = intern_accounts(ledger, number, accounts).to_numpy()
    table = table.append_column("n", pa.array(np.arange(len(labels))))
    return table.append_column("chain", pa.array(chains)).append_column("address", pa.array(addresses))
