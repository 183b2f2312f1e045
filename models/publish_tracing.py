"""What a trace needs of a snapshot: the legs of every chain in causal order, and what entities rest on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.snapshot import run_starts
from features.legs import ChainLegs, save_legs


@dataclass
class KeptChains:
    """The chains of a build as they were traced, written to a folder each while the build goes on."""

    folder: Path
    found: list[dict[str, Any]] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)

    def keep(self, legs: ChainLegs) -> None:
        """Write one chain's legs; nodes and assets are those of the build until `settle`."""
        save_legs(legs, self.folder / str(len(self.found)))
        self._numbers.append(legs.chain)
        self.found.append({"utxo": legs.utxo, "holders": legs.holders, "events": int(legs.roles.size)})

    def settle(
        self, connection: duckdb.DuckDBPyConnection, row_of_node: NDArray[np.int64]
    ) -> list[dict[str, Any]]:
        """Turn nodes into rows of the snapshot and assets into its numbers; return what the manifest says.

        The connection has the table `asset_number`. Transfers become rows too: from 0.
        """
        names = dict(connection.execute("SELECT chain, caip2 FROM ledger.chain").fetchall())
        numbers = dict(connection.execute("SELECT asset, number FROM asset_number").fetchall())
        for place, entry in enumerate(self.found):
            entry["chain"] = names[self._numbers[place]]
            here = self.folder / str(place)
            for name in ("payer_node", "payee_node", "owner_entity"):
                column = np.load(here / f"{name}.npy")
                np.save(here / f"{name}.npy", row_of_node[column].astype(np.int32), allow_pickle=False)
            assets = np.load(here / "owner_asset.npy")
            known, at = np.unique(assets, return_inverse=True)
            named = np.array([numbers[int(asset)] for asset in known], np.int32)
            np.save(here / "owner_asset.npy", named[at.reshape(-1)], allow_pickle=False)
            np.save(here / "seq.npy", np.load(here / "seq.npy") - 1, allow_pickle=False)
        return self.found


def arrange_refusals(
    connection: duckdb.DuckDBPyConnection, addresses: int
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the spends that joined nobody because labels name different owners, at both entities.

    Columns as of `arrange_merges`, and the two owners that the labels name.
    """
    return _by_entity(
        connection,
        """
        SELECT DISTINCT unnest([a.entity_row, b.entity_row]) AS entity,
            CAST(a.row AS INTEGER) AS address_a, CAST(b.row AS INTEGER) AS address_b,
            m.seq - 1 AS transfer, m.owner_a, m.owner_b
        FROM refused_merge AS m
        JOIN address_row AS a ON a.address = m.address_a
        JOIN address_row AS b ON b.address = m.address_b
        ORDER BY entity, transfer, address_a, address_b
        """,
        addresses,
    )


def arrange_merges(
    connection: duckdb.DuckDBPyConnection, addresses: int
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the merges that entities rest on, by the row of their entity, and where each entity's begin.

    Columns: the rows of two addresses that paid together, and the row of the transfer in which they did.
    """
    return _by_entity(
        connection,
        """
        SELECT a.entity_row AS entity,
            CAST(a.row AS INTEGER) AS address_a, CAST(b.row AS INTEGER) AS address_b,
            m.seq - 1 AS transfer
        FROM merge AS m
        JOIN address_row AS a ON a.address = m.address_a
        JOIN address_row AS b ON b.address = m.address_b
        ORDER BY entity, transfer, address_a, address_b
        """,
        addresses,
    )


def _by_entity(
    connection: duckdb.DuckDBPyConnection, query: str, addresses: int
) -> tuple[pa.Table, NDArray[np.int64]]:
    table = connection.sql(query).to_arrow_table()
    return table.drop_columns(["entity"]), run_starts(table.column("entity").to_numpy(), addresses)
