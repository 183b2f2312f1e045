"""What nodes told whole: the heights at which they gave every transfer of a kind.

There nothing else adds to that kind. What a node cannot tell, such as calls inside transactions where it
traces none, may come from files and indexers at the same heights.
"""

from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.ledger import REJECT_SCHEMA, Kind


def add_stretches(
    connection: duckdb.DuckDBPyConnection, chain: int, kinds: Iterable[Kind], first: int, last: int
) -> None:
    """Note that blocks are in, whole but for the kinds of transfers that are not named."""
    _lengthen(connection, "synced", (chain,), first, last)
    for kind in kinds:
        _lengthen(connection, "told", (chain, kind.value), first, last)


def cut_stretches(connection: duckdb.DuckDBPyConnection, chain: int, above: int) -> None:
    """Let no stretch reach above a height any more."""
    for table in ("told", "synced"):
        connection.execute(f"DELETE FROM {table} WHERE chain = $1 AND first_height > $2", [chain, above])  # noqa: S608
        connection.execute(
            f"UPDATE {table} SET last_height = least(last_height, $2) WHERE chain = $1",  # noqa: S608
            [chain, above],
        )


def _lengthen(
    connection: duckdb.DuckDBPyConnection, table: str, key: tuple[int | str, ...], first: int, last: int
) -> None:
    """Add heights to the stretches of a table; those that touch or overlap become one."""
    names = ("chain", "kind")[: len(key)]
    same = "".join(f"{name} = ${place + 3} AND " for place, name in enumerate(names))
    found = connection.execute(
        f"DELETE FROM {table} WHERE {same}first_height - 1 <= $2 AND last_height + 1 >= $1 "  # noqa: S608
        "RETURNING first_height, last_height",
        [first, last, *key],
    ).fetchall()
    bounds = [min([first, *(row[0] for row in found)]), max([last, *(row[1] for row in found)])]
    marks = ", ".join(f"${place + 1}" for place in range(len(key) + 2))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}, first_height, last_height) VALUES ({marks})",  # noqa: S608
        [*key, *bounds],
    )


def whole_stretches(
    connection: duckdb.DuckDBPyConnection, chain: int, kinds: Iterable[Kind]
) -> list[tuple[int, int]]:
    """Return the heights, lowest first, at which all of these kinds were told whole."""
    whole = _stretches(connection, "synced", "TRUE", chain)
    for kind in kinds:
        told = _stretches(connection, "told", f"kind = '{kind.value}'", chain)
        pairs = ((max(a, c), min(b, d)) for a, b in whole for c, d in told)
        whole = [(first, last) for first, last in pairs if first <= last]
    return whole


def _stretches(
    connection: duckdb.DuckDBPyConnection, table: str, which: str, chain: int
) -> list[tuple[int, int]]:
    return connection.execute(
        f"SELECT first_height, last_height FROM {table} WHERE chain = $1 AND {which} ORDER BY 1",  # noqa: S608
        [chain],
    ).fetchall()


def find_told(connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table) -> NDArray[np.bool_]:
    """Return which transfers stand at heights at which a node told every transfer of their kind."""
    told = np.zeros(transfers.num_rows, np.bool_)
    span = pc.min_max(transfers["height"]).as_py()
    if span["min"] is None:
        return told
    stretches = connection.execute(
        """
        SELECT kind::VARCHAR, first_height, last_height FROM told
        WHERE chain = $1 AND first_height <= $3 AND last_height >= $2
        """,
        [chain, span["min"], span["max"]],
    ).fetchall()
    if stretches:
        heights = pc.fill_null(transfers["height"], -1).to_numpy()
        kinds = transfers["kind"].to_numpy()
        for kind, first, last in stretches:
            told |= (kinds == kind) & (heights >= first) & (heights <= last)
    return told


def set_aside_told(transfers: pa.Table, rows: NDArray[np.bool_]) -> pa.Table:
    """Return the rejections of a file's transfers that the node did not tell which read their blocks."""
    found: dict[int, str] = {}
    for one in transfers.filter(pa.array(rows)).select(["row", "height", "kind"]).to_pylist():
        what = f"a node read block {one['height']} whole, and no such {one['kind']} transfer is in it"
        found.setdefault(one["row"], what)
    count = len(found)
    columns = [pa.array(list(found)), pa.repeat("not_in_block", count), pa.array(list(found.values()))]
    return pa.Table.from_arrays([*columns, pa.nulls(count, pa.int64())], schema=REJECT_SCHEMA)
