"""What issuers froze of their tokens, as labels: dated claims, read from the chain itself."""

from chains.assets import find_asset
from chains.ledger import LegBatch
from chains.registry import Chain
from datasets.store import Ledger, chain_number, intern_accounts, next_number, registered
from datasets.writing import Writing, number_assets

CATEGORY = "frozen"
KIND = "events"  # of a label file: the chain's own events


def write_freezes(run: Writing, batch: LegBatch) -> None:
    """Write down who was frozen and released in blocks."""
    freezes = batch.freezes
    if not freezes.num_rows:
        return
    # A token may be frozen in blocks in which nobody moves it.
    unmoved = (find_asset(run.source.chain, reference) for reference in freezes["asset"].unique().to_pylist())
    assets = number_assets(run, (*batch.assets, *unmoved), freezes["asset"])
    numbered = freezes.append_column("asset_number", assets)
    numbered = numbered.append_column("address", intern_accounts(run.ledger, run.chain, freezes["account"]))
    with registered(run.ledger.connection, added_freeze=numbered):
        run.ledger.connection.execute(
            """
            INSERT INTO freeze_event
                (batch, chain, height, position, part, time, hash, asset, address, frozen)
            SELECT $batch, $chain, height, position, part, time, hash, asset_number, address, frozen
            FROM added_freeze ORDER BY height, position, part
            """,
            {"batch": run.batch, "chain": run.chain},
        )


def write_frozen_labels(ledger: Ledger, chain: Chain) -> None:
    """Make the labels of a chain's freezes anew from its events.

    A freeze is published when its block is, and withdrawn when the issuer releases the account. It says
    nothing of why: it is never a row to train on.
    """
    connection = ledger.connection
    number = chain_number(ledger, chain)
    found = connection.execute(
        "SELECT label_file FROM label_file WHERE kind = $1 AND sha256 = $2", [KIND, chain.caip2]
    ).fetchall()
    events = connection.execute("SELECT count(*) FROM freeze_event WHERE chain = $1", [number]).fetchall()
    if found:
        label_file = int(found[0][0])
    elif not events[0][0]:
        return
    else:
        label_file = next_number(connection, "label_file")
        connection.execute(
            """
            INSERT INTO label_file
                (label_file, kind, source, sha256, issued_at, labels, rejected, recorded_at)
            SELECT $1, $2, $3, $4, NULL, 0, 0, now()::TIMESTAMPTZ AT TIME ZONE 'UTC'
            """,
            [label_file, KIND, f"events of {chain.name}", chain.caip2],
        )
    connection.execute("DELETE FROM label WHERE label_file = $1", [label_file])
    connection.execute(
        _LABELS, {"chain": number, "label_file": label_file, "next": next_number(connection, "label")}
    )
    connection.execute(
        """
        UPDATE label_file SET labels = (SELECT count(*) FROM label WHERE label_file = $1)
        WHERE label_file = $1
        """,
        [label_file],
    )


_LABELS = f"""
    WITH told AS (
        SELECT *, lag(frozen) OVER (PARTITION BY asset, address ORDER BY height, position, part) AS was_frozen
        FROM freeze_event WHERE chain = $chain
    ),
    -- An account that is frozen twice is frozen until it is released.
    held AS (SELECT * FROM told WHERE NOT coalesce(was_frozen = frozen, FALSE)),
    until AS (
        SELECT *, lead(time) OVER (PARTITION BY asset, address ORDER BY height, position, part) AS released_at
        FROM held
    )
    INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source, reference,
                       confidence, published_at, recorded_at, withdrawn_at, licence, may_export, may_train,
                       cluster_definer, programmes, listed_at)
    SELECT $next + row_number() OVER (ORDER BY u.height, u.position, u.part) - 1, $label_file,
           concat_ws('/', u.height, u.position, u.part), u.chain, u.address, '{CATEGORY}', '',
           'its ' || a.symbol || ' is frozen by the issuer', 'issuer of ' || a.reference,
           '0x' || lower(hex(u.hash)),
           1, u.time, b.imported_at, u.released_at, 'public record', TRUE, FALSE, FALSE, [], NULL
    FROM until AS u
    JOIN asset AS a ON a.asset = u.asset
    JOIN batch AS b ON b.batch = u.batch
    WHERE u.frozen
"""  # noqa: S608  (a constant)
