"""Claims and actors written into the ledger: what is new is added, what an issue no longer says is withdrawn.

A claim that the ledger holds already is not written again; one that a newer issue of a list no longer makes
gets `withdrawn_at`.

Of a list that comes in issues, a row is one unbroken period in which a claim holds. Its `label_file` is the
first issue of the period, `published_at` the date that this one gives, `withdrawn_at` that of the first issue
which lacks the claim. So the rows follow from the issues alone: an issue that comes late cuts a period in two
or moves its beginning back, and `recorded_at` still says when this installation first heard of it. Issues of
one date count as one, which says what any of them says. What an issue says twice it says once.
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
        held, same = f"({_OF_KIND})", _same("said", "held", _SAME_CLAIM)
        withdrawn, once = 0, ""
        if claims.issued_at is not None:
            once = f"QUALIFY row_number() OVER (PARTITION BY {_CLAIM} ORDER BY n) = 1"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE said AS FROM claim {once}")
        if claims.issued_at is not None and claims.covers:
            withdrawn = _withdraw(connection, path, {**issue, "covers": list(claims.covers)})
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE new_claim AS
            WITH around AS (
                SELECT covered.source, max(f.issued_at) FILTER (f.issued_at < $issued_at) AS previous_at,
                       min(f.issued_at) FILTER (f.issued_at > $issued_at) AS next_at
                FROM label_file AS f, unnest(f.covers) AS covered(source)
                WHERE f.kind = $kind
                GROUP BY covered.source
            ),
            placed AS (
                SELECT said.n, any_value(around.previous_at) AS previous_at,
                       any_value(around.next_at) AS next_at,
                       coalesce(bool_or({_KNOWN}), false) AS known,
                       arg_min(held.label, held.since)
                           FILTER (held.until = $issued_at AND held.since < $issued_at) AS earlier,
                       arg_min(held.label, held.since)
                           FILTER (held.since > $issued_at AND coalesce(held.since <= around.next_at, true))
                           AS later
                FROM said
                LEFT JOIN {held} AS held ON {same}
                LEFT JOIN around ON around.source = said.source
                GROUP BY said.n
            )
            SELECT said.* REPLACE (
                       CASE WHEN said.published_at <= placed.previous_at
                            THEN least($issued_at::TIMESTAMP, $recorded_at::TIMESTAMP)
                            ELSE said.published_at END AS published_at),
                   placed.next_at, placed.known, placed.earlier, placed.later
            FROM said JOIN placed USING (n)
            """,  # noqa: S608  (column names of _SAME_CLAIM)
            {**issue, "recorded_at": recorded_at},
        )
        added = _write_new(connection, number=number, recorded_at=recorded_at)
    if kind in _LASTING_PLACES:
        _settle_positions(connection, number=number, issue=issue)
    for table in ("new_claim", "said"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    return Written(added, len(claims.labels) - added, withdrawn)


def _write_new(connection: duckdb.DuckDBPyConnection, *, number: int, recorded_at: datetime) -> int:
    """Write the claims of `new_claim` that are not known; return how many.

    One that held in the next issue too begins the period of that one; one that an issue of the same date
    had ended goes on.
    """
    connection.execute(
        """
        UPDATE label SET withdrawn_at = CASE WHEN goes_on.later IS NULL THEN goes_on.next_at
                                             ELSE goes_on.until END
        FROM (
            SELECT c.earlier, c.later, c.next_at, l.withdrawn_at AS until
            FROM new_claim AS c LEFT JOIN label AS l ON l.label = c.later
            WHERE NOT c.known AND c.earlier IS NOT NULL
        ) AS goes_on
        WHERE label.label = goes_on.earlier
        """
    )
    connection.execute(
        """
        DELETE FROM label
        WHERE label IN (
            SELECT later FROM new_claim WHERE NOT known AND earlier IS NOT NULL AND later IS NOT NULL
        )
        """
    )
    connection.execute(
        """
        UPDATE label SET label_file = $number, position = c.position, published_at = c.published_at
        FROM new_claim AS c
        WHERE label.label = c.later AND c.earlier IS NULL AND NOT c.known
        """,
        {"number": number},
    )
    connection.execute(
        """
        INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source,
                           reference, confidence, published_at, recorded_at, withdrawn_at, licence,
                           may_export, may_train, cluster_definer, programmes, listed_at, actor,
                           substances)
        SELECT $start + row_number() OVER (ORDER BY n) - 1, $number, position, chain, address, category,
               entity, name, source, reference, confidence, published_at, $recorded_at, next_at,
               licence, may_export, may_train, cluster_definer, programmes, listed_at, actor, substances
        FROM new_claim WHERE NOT known AND earlier IS NULL AND later IS NULL
        """,
        {"start": next_number(connection, "label"), "number": number, "recorded_at": recorded_at},
    )
    return int(connection.execute("SELECT count(*) FILTER (NOT known) FROM new_claim").fetchall()[0][0])


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


_OF_KIND = """
    SELECT label.*, coalesce(label_file.issued_at, '-infinity'::TIMESTAMP) AS since,
           coalesce(label.withdrawn_at, 'infinity'::TIMESTAMP) AS until
    FROM label JOIN label_file USING (label_file) WHERE label_file.kind = $kind
"""
"""Labels of a kind, each with the issues in which it holds: from `since` to before `until`."""

_CLAIM = ", ".join(_SAME_CLAIM)

_KNOWN = """
    held.label IS NOT NULL AND CASE
        WHEN $issued_at::TIMESTAMP IS NULL
        THEN held.withdrawn_at IS NULL
             AND (held.published_at <= said.published_at OR said.published_at IS NULL)
        ELSE held.since <= $issued_at AND held.until > $issued_at
             AND (held.published_at IS NOT NULL OR said.published_at IS NULL) END
"""

_LASTING_PLACES = ("ofac",)
"""Lists in which a claim's position is made of ids that stay from issue to issue."""


def _same(one: str, other: str, columns: Sequence[str]) -> str:
    return " AND ".join(f"{one}.{column} IS NOT DISTINCT FROM {other}.{column}" for column in columns)


def _withdraw(connection: duckdb.DuckDBPyConnection, path: Path, issue: Mapping[str, object]) -> int:
    """Mark what an issue no longer says of the sources it covers, from its date on; return how many claims.

    What issues after it said again stands again from the first of them.
    """
    moment = [issue["issued_at"]]
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE lacked AS
        WITH told AS (
            SELECT DISTINCT covered.source
            FROM label_file AS f, unnest(f.covers) AS covered(source)
            WHERE f.kind = $kind AND f.issued_at = $issued_at
        )
        SELECT held.label, held.source, held.since, held.withdrawn_at AS until,
               held.since <= $issued_at AND held.until > $issued_at AS alive,
               held.since < $issued_at AND held.until > $issued_at
               AND held.source NOT IN (SELECT source FROM told) AND said.n IS NULL AS gone,
               said.n IS NULL AS unsaid
        FROM ({_OF_KIND}) AS held LEFT JOIN said ON {_same("said", "held", _SAME_CLAIM)}
        WHERE list_contains($covers::VARCHAR[], held.source)
        """,  # noqa: S608  (column names of _SAME_CLAIM)
        issue,
    )
    counts = connection.execute(
        """
        SELECT count(*) FILTER (gone), count(*) FILTER (alive AND unsaid), count(*) FILTER (alive) FROM lacked
        """
    ).fetchall()
    gone, lacking, held = counts[0]
    if held >= _FEW and lacking > held / 2:
        # Most likely another list or part of one: to take sanctions off by mistake is the worse error.
        what = "the whole SDN list" if issue["kind"] == "ofac" else "the whole of its data sets"
        raise LabelError(
            path, why=f"it lacks {lacking} of the {held} claims held of its sources: is it {what}?"
        )
    place = "l.position" if issue["kind"] in _LASTING_PLACES else "l.position || ' of ' || f.source"
    connection.execute(
        f"""
        INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source,
                           reference, confidence, published_at, recorded_at, withdrawn_at, licence,
                           may_export, may_train, cluster_definer, programmes, listed_at, actor, substances)
        WITH again AS (
            SELECT a.label, a.until, f.label_file, f.issued_at, f.recorded_at
            FROM lacked AS a
            JOIN label_file AS f
                ON f.kind = $kind AND f.issued_at > $issued_at AND list_contains(f.covers, a.source)
                AND (a.until IS NULL OR f.issued_at < a.until)
            WHERE a.gone
            QUALIFY row_number() OVER (PARTITION BY a.label ORDER BY f.issued_at, f.sha256) = 1
        )
        SELECT $start + row_number() OVER (ORDER BY l.label) - 1, again.label_file, {place}, l.chain,
               l.address, l.category, l.entity, l.name, l.source, l.reference, l.confidence,
               least(again.issued_at, again.recorded_at), again.recorded_at, again.until, l.licence,
               l.may_export, l.may_train, l.cluster_definer, l.programmes, l.listed_at, l.actor, l.substances
        FROM again
        JOIN label AS l ON l.label = again.label
        JOIN label_file AS f ON f.label_file = l.label_file
        """,  # noqa: S608  (one of two expressions)
        {"kind": issue["kind"], "issued_at": issue["issued_at"], "start": next_number(connection, "label")},
    )
    connection.execute(
        "UPDATE label SET withdrawn_at = $1 WHERE label IN (SELECT label FROM lacked WHERE gone)",
        moment,
    )
    # An entity may be older than what is said of it: that is not public while an issue lacks it.
    connection.execute(
        """
        UPDATE label SET published_at = least(lacked.since, label.recorded_at)
        FROM lacked
        WHERE label.label = lacked.label AND lacked.unsaid AND lacked.since > $1 AND label.published_at <= $1
        """,
        moment,
    )
    connection.execute("DROP TABLE lacked")
    return int(gone)


def _settle_positions(
    connection: duckdb.DuckDBPyConnection, *, number: int, issue: Mapping[str, object]
) -> None:
    """Give all periods of a claim the position that the first issue with it has."""
    # The file of this issue is written after its labels.
    connection.execute(
        f"""
        UPDATE label SET position = placed.first
        FROM (
            SELECT label, position, first_value(position) OVER (
                PARTITION BY {_CLAIM} ORDER BY file.issued_at
            ) AS first
            FROM label JOIN (
                SELECT label_file, issued_at FROM label_file WHERE kind = $kind
                UNION ALL SELECT $number, $issued_at
            ) AS file USING (label_file)
        ) AS placed
        WHERE label.label = placed.label AND placed.position <> placed.first
        """,  # noqa: S608  (column names of _SAME_CLAIM)
        {**issue, "number": number},
    )


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
