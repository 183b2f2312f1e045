"""Labels in the ledger: import a list whole, read the claims back, count them.

A claim is never overwritten. An identical claim that the ledger holds already is not written again; one
that a newer issue of a sanctions list no longer makes gets `withdrawn_at`. A file that was imported
before, told by its SHA-256, changes nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from chains.address import Account, find_chain, key_form
from chains.errors import FileError, InputError, LabelError
from datasets.sources import csvfile, ofac, tagpack
from datasets.sources.claims import Label, LabelList, Rejection
from datasets.store import Ledger, chain_number, intern_accounts, next_number, registered, transaction
from datasets.taxonomy import load_taxonomy

__all__ = ["KINDS", "Label", "LabelImport", "Rejection", "count_labels", "import_labels", "label_rows"]

KINDS = ("ofac", "tagpack", "csv")

COUNTABLE = ("source", "category", "kind", "chain", "licence", "entity")

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
)


@dataclass(frozen=True)
class LabelImport:
    """What became of one file: `labels` were added, `known` were there already, `rejected` became none.

    `withdrawn` counts the claims of earlier issues that this one no longer makes. With `already` the file
    had been imported before and nothing changed; the numbers are those of that import.
    """

    source: str
    already: bool
    labels: int
    rejected: list[Rejection]
    known: int = 0
    withdrawn: int = 0


def import_labels(
    ledger: Ledger,
    kind: str,
    path: Path,
    *,
    recorded_at: datetime,
    strict: bool = False,
    licence: str | None = None,
) -> LabelImport:
    """Import one file of labels in one transaction; `kind` is one of KINDS, `recorded_at` naive UTC.

    With `strict` a single rejected entry refuses the file. `licence` is that of a TagPack, or of the rows
    of a CSV file that name none. Raises FileError and LabelError; then the ledger is as it was.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of label file: it is one of {', '.join(KINDS)}")
    digest = _sha256(path)
    before = _earlier_import(ledger, kind, digest)
    if before is not None:
        return before
    claims = _settle_dates(kind, _read(kind, path, licence=licence), recorded_at)
    if strict and claims.rejected:
        first = claims.rejected[0]
        raise LabelError(
            path,
            why=f"{len(claims.rejected)} entries would be rejected, the first is {first.position} "
            f"({first.reason}: {first.detail}); nothing was imported",
        )
    if not claims.labels and not claims.rejected:
        raise LabelError(path, why="it holds no label")
    with transaction(ledger) as connection:
        number = next_number(connection, "label_file")
        added, known, withdrawn = _write_labels(
            ledger, path, kind, number=number, claims=claims, recorded_at=recorded_at
        )
        _write_rejections(connection, number, claims.rejected)
        connection.execute(
            "INSERT INTO label_file VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [number, kind, path.name, digest, claims.issued_at, added, len(claims.rejected), recorded_at],
        )
    return LabelImport(path.name, False, added, claims.rejected, known, withdrawn)


def label_rows(ledger: Ledger, *, published_before: datetime | None = None) -> pa.Table:
    """Return the claims that hold, in an order that does not depend on the order of imports.

    Columns: `caip10`, `key_form`, `address` (the ledger's number), `chain` (CAIP-2), `group`, `kind`, and
    those of the table `label`. With `published_before` (naive UTC) only claims that the world could know
    before that moment and that were not withdrawn by then; without it, all that are not withdrawn.
    """
    rows = ledger.connection.sql(
        """
        SELECT chain.caip2 AS chain, address.account, address.address, label_file.kind, label.position,
               label.category, label.entity, label.name, label.source, label.reference, label.confidence,
               label.published_at, label.recorded_at, label.withdrawn_at, label.licence, label.may_export,
               label.may_train, label.cluster_definer, label.programmes, label.listed_at
        FROM label
        JOIN address ON address.address = label.address
        JOIN chain ON chain.chain = label.chain
        JOIN label_file ON label_file.label_file = label.label_file
        WHERE CASE WHEN $before::TIMESTAMP IS NULL THEN label.withdrawn_at IS NULL
                   ELSE label.published_at < $before::TIMESTAMP
                        AND coalesce(label.withdrawn_at > $before::TIMESTAMP, true) END
        ORDER BY chain.caip2, address.account, label_file.kind, label_file.source, label_file.sha256,
                 label.position, label.category
        """,
        params={"before": published_before},
    ).to_arrow_table()
    groups = {category.id: category.group for category in load_taxonomy().categories}
    caip10, keys = _account_columns(rows["chain"].to_pylist(), rows["account"].to_pylist())
    by_category = [groups[category] for category in rows["category"].to_pylist()]
    rows = rows.drop_columns(["account"])
    rows = rows.add_column(0, "caip10", pa.array(caip10, pa.string()))
    rows = rows.add_column(1, "key_form", pa.array(keys, pa.string()))
    return rows.add_column(2, "group", pa.array(by_category, pa.string()))


def count_labels(ledger: Ledger, by: Sequence[str] = ("source", "category")) -> pa.Table:
    """Return the number of claims that hold, with the columns `by` (of COUNTABLE) and `labels`, sorted."""
    for column in by:
        if column not in COUNTABLE:
            raise InputError(f"labels are not counted by {column!r}: choose of {', '.join(COUNTABLE)}")
    names = {"kind": "label_file.kind", "chain": "chain.caip2"}
    chosen = ", ".join(f"{names.get(column, 'label.' + column)} AS {column}" for column in by)
    grouped = ", ".join(by)
    return ledger.connection.sql(
        f"""
        SELECT {grouped}, count(*) AS labels
        FROM (SELECT {chosen} FROM label JOIN chain USING (chain) JOIN label_file USING (label_file)
              WHERE label.withdrawn_at IS NULL)
        GROUP BY {grouped} ORDER BY {grouped}
        """  # noqa: S608  (column names of COUNTABLE)
    ).to_arrow_table()


def _read(kind: str, path: Path, *, licence: str | None) -> LabelList:
    if kind == "ofac":
        return ofac.read_labels(path)
    if kind == "tagpack":
        return tagpack.read_labels(path, licence=licence)
    return csvfile.read_labels(path, licence=licence)


def _settle_dates(kind: str, claims: LabelList, recorded_at: datetime) -> LabelList:
    """Let nothing be published after it was recorded.

    In a CSV file that is an error of the row; elsewhere the world knew at the moment of recording.
    """
    labels, rejected = [], list(claims.rejected)
    for label in claims.labels:
        if label.published_at is None or label.published_at <= recorded_at:
            labels.append(label)
        elif kind == "csv" and label.published_at > recorded_at + timedelta(days=1):
            found = f"published_at is {label.published_at:%Y-%m-%d}, which has not come yet"
            rejected.append(Rejection(label.position, "future_date", found))
        else:
            labels.append(replace(label, published_at=recorded_at))
    return LabelList(labels, rejected, claims.issued_at)


def _earlier_import(ledger: Ledger, kind: str, digest: str) -> LabelImport | None:
    rows = ledger.connection.execute(
        "SELECT label_file, source, labels FROM label_file WHERE kind = $1 AND sha256 = $2", [kind, digest]
    ).fetchall()
    if not rows:
        return None
    number, source, labels = rows[0]
    rejected = ledger.connection.execute(
        "SELECT position, reason, detail FROM label_rejection WHERE label_file = $1 ORDER BY rowid", [number]
    ).fetchall()
    return LabelImport(source, True, int(labels), [Rejection(*row) for row in rejected])


def _write_labels(
    ledger: Ledger, path: Path, kind: str, *, number: int, claims: LabelList, recorded_at: datetime
) -> tuple[int, int, int]:
    """Write the claims of file `number`; return how many were added, known already, and withdrawn."""
    connection = ledger.connection
    with registered(connection, claim=_claim_table(ledger, claims.labels)):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE new_claim AS
            SELECT claim.*, coalesce(bool_or(held.label IS NOT NULL), false) AS held,
                   coalesce(bool_or(held.published_at <= claim.published_at
                                    OR held.label IS NOT NULL AND claim.published_at IS NULL), false) AS known
            FROM claim LEFT JOIN ({_HELD}) AS held
            ON {" AND ".join(f"claim.{column} IS NOT DISTINCT FROM held.{column}" for column in _SAME_CLAIM)}
            GROUP BY ALL
            """,  # noqa: S608  (column names of _SAME_CLAIM)
            {"kind": kind},
        )
        withdrawn = _withdraw(connection, path, kind, claims.issued_at)
        connection.execute(
            """
            INSERT INTO label
            SELECT $start + row_number() OVER (ORDER BY n) - 1, $number, position, chain, address, category,
                   entity, name, source, reference, confidence, published_at, $recorded_at,
                   CASE WHEN NOT held THEN $gone_at::TIMESTAMP END,
                   licence, may_export, may_train, cluster_definer, programmes, listed_at
            FROM new_claim WHERE NOT known
            """,
            {
                "start": next_number(connection, "label"),
                "number": number,
                "recorded_at": recorded_at,
                "gone_at": _next_issue(connection, kind, claims.issued_at),
            },
        )
    counts = connection.execute("SELECT count(*) FILTER (NOT known), count(*) FILTER (known) FROM new_claim")
    added, known = counts.fetchall()[0]
    connection.execute("DROP TABLE new_claim")
    return int(added), int(known), withdrawn


_HELD = """
    SELECT label.* FROM label JOIN label_file USING (label_file)
    WHERE label_file.kind = $kind AND label.withdrawn_at IS NULL
"""


_FEW = 20
"""Sanctioned addresses held below which an issue may lack any number of them."""


def _withdraw(
    connection: duckdb.DuckDBPyConnection, path: Path, kind: str, issued_at: datetime | None
) -> int:
    """Mark what the newest issue of a sanctions list no longer says; an older issue withdraws nothing."""
    if kind != "ofac" or issued_at is None or _next_issue(connection, kind, issued_at) is not None:
        return 0
    same = " AND ".join(f"claim.{column} IS NOT DISTINCT FROM held.{column}" for column in _SAME_CLAIM)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE gone AS
        SELECT held.label FROM ({_HELD}) AS held ANTI JOIN claim ON {same}
        """,  # noqa: S608  (column names of _SAME_CLAIM)
        {"kind": kind},
    )
    counts = connection.execute(
        f"SELECT (SELECT count(*) FROM gone), count(*) FROM ({_HELD})",  # noqa: S608
        {"kind": kind},
    )
    gone, held = counts.fetchall()[0]
    if held >= _FEW and gone > held / 2:
        # Most likely another list or part of one: to take sanctions off by mistake is the worse error.
        raise LabelError(
            path, why=f"it lacks {gone} of the {held} sanctioned addresses held: is it the whole SDN list?"
        )
    connection.execute(
        "UPDATE label SET withdrawn_at = $1 WHERE label IN (SELECT label FROM gone)", [issued_at]
    )
    connection.execute("DROP TABLE gone")
    return int(gone)


def _next_issue(
    connection: duckdb.DuckDBPyConnection, kind: str, issued_at: datetime | None
) -> datetime | None:
    """Return the date of the first imported issue after this one; None when this is the newest."""
    rows = connection.execute(
        "SELECT min(issued_at) FROM label_file WHERE kind = 'ofac' AND kind = $1 AND issued_at > $2",
        [kind, issued_at],
    ).fetchall()
    found = rows[0][0]
    return found if isinstance(found, datetime) else None


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


def _write_rejections(
    connection: duckdb.DuckDBPyConnection, number: int, rejections: list[Rejection]
) -> None:
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


def _account_columns(chains: list[str], accounts: list[str]) -> tuple[list[str], list[str]]:
    """Return CAIP-10 ids and key forms, each worked out once for each account."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in zip(chains, accounts, strict=True):
        if pair not in known:
            known[pair] = _account_texts(*pair)
    found = [known[pair] for pair in zip(chains, accounts, strict=True)]
    return [pair[0] for pair in found], [pair[1] for pair in found]


def _account_texts(caip2: str, address: str) -> tuple[str, str]:
    """Return CAIP-10 id and key form; the short ways out spare most of the base58 arithmetic."""
    chain = find_chain(caip2)
    plain = address.isascii() and address.isalnum()
    caip10 = f"{caip2}:{address}" if plain else Account(chain, address).caip10
    own_form = chain.family == "evm" or chain.name == "bitcoin"
    return caip10, address if own_form else key_form(address)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or type(error).__name__})") from error
