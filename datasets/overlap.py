"""What the ledger already says about what a file says: known rows, conflicting blocks, loose repeats."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.errors import FileError, LedgerConflict
from datasets.store import registered

KEYED = "(height IS NOT NULL AND (position IS NOT NULL OR hash IS NOT NULL))"
"""SQL of a transfer with a natural key; any other is loose."""


def loose_rows(transfers: pa.Table) -> NDArray[np.bool_]:
    """Return which transfers have no natural key (the same rule as KEYED)."""
    no_key = pc.and_(pc.is_null(transfers["position"]), pc.is_null(transfers["hash"]))
    found: NDArray[np.bool_] = pc.or_(pc.is_null(transfers["height"]), no_key).to_numpy()
    return found


def find_known(
    connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table, *, source: str, chain_name: str
) -> NDArray[np.bool_]:
    """Return which transfers the ledger, or an earlier row of these, holds under the same key."""
    known = np.zeros(transfers.num_rows, dtype=np.bool_)
    keyed = transfers.select(["height", "position", "kind", "part", "hash"])
    keyed = keyed.append_column("place", pa.array(np.arange(transfers.num_rows)))
    keyed = keyed.filter(pa.array(~loose_rows(transfers)))
    if not keyed.num_rows:
        return known
    span = pc.min_max(keyed["height"]).as_py()
    if _ascends(keyed):  # then no row repeats another, and only what the ledger holds at its heights matters
        held = _highest(connection, chain, span["min"], span["max"])
        keyed = keyed.filter(pc.less_equal(keyed["height"], held)) if held is not None else keyed.slice(0, 0)
        if not keyed.num_rows:
            return known
    with registered(connection, incoming=keyed):
        found = connection.sql(
            _FIND_KNOWN, params={"chain": chain, "lowest": span["min"], "highest": span["max"]}
        ).to_arrow_table()
    conflict = found.filter(found["conflict"]).sort_by([("height", "ascending"), ("place", "ascending")])
    if conflict.num_rows:
        row = conflict.slice(0, 1).to_pylist()[0]
        raise LedgerConflict(
            source,
            chain=chain_name,
            height=row["height"],
            ledger_hash=f"{_hash_text(row['held_hash'])} at position {row['position']}",
            file_hash=f"{_hash_text(row['hash'])} at position {row['position']}",
        )
    known[found["place"].to_numpy()] = True
    return known


def _ascends(keyed: pa.Table) -> bool:
    """Whether each row stands behind the one before it, by height and position."""
    if keyed["position"].null_count:
        return False
    heights, positions = keyed["height"].to_numpy(), keyed["position"].to_numpy()
    later = (heights[1:] > heights[:-1]) | ((heights[1:] == heights[:-1]) & (positions[1:] > positions[:-1]))
    return bool(later.all())


def _highest(connection: duckdb.DuckDBPyConnection, chain: int, lowest: int, highest: int) -> int | None:
    """Highest height within bounds at which the ledger holds a transfer of a chain."""
    query = "SELECT max(height) FROM transfer WHERE chain = $1 AND height BETWEEN $2 AND $3"
    found = connection.execute(query, [chain, lowest, highest]).fetchall()[0][0]
    return None if found is None else int(found)


def find_known_genesis(
    connection: duckdb.DuckDBPyConnection,
    chain: int,
    batch: int,
    transfers: pa.Table,
    legs: pa.Table,
    *,
    source: str,
) -> NDArray[np.bool_]:
    """Return which transfers are of a genesis that the ledger has from another import.

    Those are known by their accounts: files number them in their own ways, and some leave the empty ones out.
    Raises FileError where an account began with another amount there.
    """
    first = pc.and_(pc.equal(transfers["kind"], "genesis"), pc.equal(transfers["height"], 0))
    known: NDArray[np.bool_] = pc.fill_null(first, fill_value=False).to_numpy()
    if not known.any():
        return known
    held = {
        account: (int(amount), other)
        for account, amount, other in connection.execute(
            """
            SELECT account, amount, t.batch
            FROM transfer AS t JOIN leg USING (transfer) JOIN address USING (address)
            WHERE t.chain = $1 AND t.kind = 'genesis' AND t.height = 0 AND t.batch <> $2
            """,
            [chain, batch],
        ).fetchall()
    }
    if not held:
        return np.zeros(transfers.num_rows, np.bool_)
    numbers = transfers["transfer"].filter(pa.array(known)).combine_chunks()
    mine = legs.filter(pc.is_in(legs["transfer"], value_set=numbers)).select(["account", "amount"])
    earliest = min(other for _, other in held.values())
    for leg in mine.to_pylist():
        amount, other = held.get(leg["account"], (0, earliest))
        if int(leg["amount"]) != amount:
            why = (
                f"{leg['account']} begins with {int(leg['amount'])} here and with {amount} in the ledger, "
                f"by the genesis of import {other}: `silkscreen ledger forget {other}` takes that one back"
            )
            raise FileError(source, why=why)
    return known


_FIND_KNOWN = """
    WITH held AS (
        SELECT -1 AS place, height, position, kind::VARCHAR AS kind, part, hash
        FROM transfer
        WHERE chain = $chain AND height BETWEEN $lowest AND $highest
        UNION ALL
        SELECT place, height, position, kind, part, hash FROM incoming
    ),
    same_position AS (
        SELECT incoming.*, held.hash AS held_hash
        FROM incoming JOIN held USING (height, position, kind, part)
        WHERE held.place < incoming.place
    ),
    same_hash AS (
        SELECT incoming.*, held.hash AS held_hash
        FROM incoming JOIN held USING (height, hash, kind, part)
        WHERE held.place < incoming.place AND (incoming.position IS NULL OR held.position IS NULL)
    )
    SELECT place, height, position, hash, held_hash, coalesce(hash <> held_hash, FALSE) AS conflict
    FROM (FROM same_position UNION ALL BY NAME FROM same_hash)
"""


def write_blocks(
    connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table, *, source: str, chain_name: str
) -> None:
    """Write down the blocks that a batch names; another hash at a height is a LedgerConflict."""
    named = transfers.select(["height", "block_hash", "time"]).filter(
        pc.and_(pc.is_valid(transfers["height"]), pc.is_valid(transfers["block_hash"]))
    )
    if not named.num_rows:
        return
    named = named.group_by(["height", "block_hash"]).aggregate([("time", "min")])
    span = pc.min_max(named["height"]).as_py()
    parameters = {"chain": chain, "lowest": span["min"], "highest": span["max"]}
    with registered(connection, named_block=named):
        conflict = connection.execute(
            """
            WITH held AS (
                SELECT height, hash FROM block WHERE chain = $chain AND height BETWEEN $lowest AND $highest
            ),
            said AS (
                SELECT height, hash, TRUE AS ours FROM held
                UNION ALL SELECT height, block_hash, FALSE FROM named_block
            )
            SELECT height, coalesce(max(hash) FILTER (ours), min(hash)), min(hash), max(hash)
            FROM said GROUP BY height HAVING min(hash) <> max(hash) ORDER BY height LIMIT 1
            """,
            parameters,
        ).fetchall()
        if conflict:
            height, held, lowest, highest = conflict[0]
            raise LedgerConflict(
                source,
                chain=chain_name,
                height=height,
                ledger_hash=_hash_text(held),
                file_hash=_hash_text(lowest if held == highest else highest),
            )
        connection.execute(
            """
            INSERT INTO block (chain, height, hash, time)
            SELECT $chain, height, block_hash, time_min FROM named_block
            WHERE height NOT IN (
                SELECT height FROM block WHERE chain = $chain AND height BETWEEN $lowest AND $highest
            )
            ORDER BY height
            """,
            parameters,
        )


def mark_repeats(connection: duckdb.DuckDBPyConnection, chain: int, batch: int) -> None:
    """Mark the loose transfers of the newest batch that say what was said before.

    Two transfers say the same when hash, time, asset, kind, part and the legs (side, address, amount)
    are equal; the comparison is of the values themselves, since a hash of text that strangers write
    could be made to collide. The second and later ones of one file are `repeated`, and count: two equal
    payments do occur. The k-th is a `duplicate` where at least k of them count already: files that
    overlap add up to the most that any one of them says, whatever their order.
    """
    connection.execute(_MARK_REPEATS, {"chain": chain, "batch": batch})


_MARK_REPEATS = f"""
    WITH mine AS (
        SELECT transfer, TRUE AS mine, time, asset, kind, part, hash
        FROM transfer WHERE batch = $batch AND NOT {KEYED}
    ),
    earlier AS (
        SELECT transfer, FALSE AS mine, time, asset, kind, part, hash
        FROM transfer
        WHERE chain = $chain AND batch < $batch AND NOT duplicate AND NOT {KEYED}
          AND time BETWEEN (SELECT min(time) FROM mine) AND (SELECT max(time) FROM mine)
    ),
    loose AS (FROM mine UNION ALL FROM earlier),
    crowded AS (  -- cheap first: what is alone by all but its legs repeats nothing
        SELECT time, asset, kind, part, hash FROM loose GROUP BY ALL HAVING count(*) > 1
    ),
    suspect AS (
        SELECT loose.*
        FROM loose SEMI JOIN crowded
          ON loose.time = crowded.time AND loose.asset = crowded.asset AND loose.kind = crowded.kind
         AND loose.part = crowded.part AND loose.hash IS NOT DISTINCT FROM crowded.hash
    ),
    content AS (
        SELECT transfer, array_to_string(list_sort(list(
            concat_ws(' ', side, address, amount)
        )), ',') AS legs
        FROM leg SEMI JOIN suspect USING (transfer)
        GROUP BY transfer
    ),
    same AS (
        SELECT list(transfer ORDER BY transfer) FILTER (mine) AS said, count(*) FILTER (NOT mine) AS held
        FROM suspect LEFT JOIN content USING (transfer)
        GROUP BY time, asset, kind, part, hash, legs
        HAVING count(*) > 1 AND bool_or(mine)
    ),
    counted AS (
        SELECT unnest(said) AS transfer, generate_subscripts(said, 1) AS occurrence, held FROM same
    )
    UPDATE transfer
    SET repeated = occurrence > 1, duplicate = occurrence <= held
    FROM counted
    WHERE transfer.transfer = counted.transfer AND (occurrence > 1 OR occurrence <= held)
"""  # noqa: S608  (KEYED is a constant)


def _hash_text(value: bytes | None) -> str:
    return "without a hash" if value is None else value.hex()
