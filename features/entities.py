"""Entities: our estimate of which addresses share an owner.

On a UTXO chain whoever spends several outputs in one transaction holds the keys of all of them
(common-input ownership, Nakamoto 2008, section 10; Meiklejohn et al. 2013). CoinJoins are left out:
there several owners sign one transaction. On account chains an address is an entity of its own.
"""

import duckdb
import pyarrow as pa
from gs_clustering import Clustering


def cluster_entities(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `member(address, node, entity)` for every address seen.

    `node` numbers the addresses seen from 0, by first appearance and then by text, so that the numbers
    do not depend on the order of imports; `entity` is the lowest node of the cluster: its earliest member.
    """
    connection.execute(
        """
        CREATE TABLE node AS
        SELECT f.address, row_number() OVER (ORDER BY f.first_seq, c.caip2, a.account) - 1 AS node
        FROM (SELECT address, min(seq) AS first_seq FROM seen_leg GROUP BY address) AS f
        JOIN ledger.address AS a ON a.address = f.address
        JOIN ledger.chain AS c ON c.chain = a.chain
        """
    )
    count = connection.execute("SELECT count(*) FROM node").fetchall()[0][0]
    spends = connection.sql(
        """
        SELECT list(DISTINCT CAST(n.node + 1 AS UINTEGER)) AS nodes
        FROM seen_leg AS l
        JOIN seen_transfer AS t ON t.seq = l.seq AND NOT t.coinjoin
        JOIN node AS n ON n.address = l.address
        WHERE l.side = 'payer' AND l.spent_seq IS NOT NULL
        GROUP BY l.seq
        HAVING count(DISTINCT l.address) > 1
        """
    ).to_arrow_table()
    clustering = Clustering(max_address_id=count + 1)  # ids start at 1: the union-find keeps 0 for itself
    for chunk in spends.column("nodes").chunks:
        clustering.process_transactions_arrow(chunk.cast(pa.list_(pa.uint32())))
    clusters = pa.Table.from_batches([clustering.get_mapping_min(skip_singletons=True)])
    connection.register("clusters", clusters)
    connection.execute(
        """
        CREATE TABLE member AS
        SELECT n.address, n.node, coalesce(CAST(c.cluster_id AS BIGINT) - 1, n.node) AS entity
        FROM node AS n LEFT JOIN clusters AS c ON c.address_id = n.node + 1
        ORDER BY n.node
        """
    )
    connection.unregister("clusters")
    connection.execute("DROP TABLE node")
