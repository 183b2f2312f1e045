"""Peers of clustering, each on its own kind of input: run by the peers' Python, not by ours.

Reads names of peers from standard input, one a line, and answers each with seconds and how many clusters
there are. Input stands in the folder given: `spends.arrow` (lists of nodes from 1), `pairs.npy` (pairs of
nodes from 0).
"""

import sys
import time
from pathlib import Path

import igraph
import numpy as np
import pyarrow as pa
from gs_clustering import Clustering
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def cluster_with_graphsense(spends: pa.ChunkedArray, nodes: int) -> pa.RecordBatch:
    clustering = Clustering(max_address_id=nodes + 1)
    for chunk in spends.chunks:
        clustering.process_transactions_arrow(chunk)
    return clustering.get_mapping_min(skip_singletons=True)


def cluster_with_scipy(pairs: np.ndarray, nodes: int) -> int:
    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    return int(connected_components(graph.tocsr(), directed=False)[0])


def cluster_with_igraph(pairs: np.ndarray, nodes: int) -> int:
    return len(igraph.Graph(n=nodes, edges=pairs).connected_components())


def main() -> None:
    folder, nodes = Path(sys.argv[1]), int(sys.argv[2])
    with pa.OSFile(str(folder / "spends.arrow")) as source:
        spends = pa.ipc.open_file(source).read_all().column("nodes")
    pairs = np.load(folder / "pairs.npy")
    peers = {
        "graphsense": (cluster_with_graphsense, spends),
        "scipy": (cluster_with_scipy, pairs),
        "igraph": (cluster_with_igraph, pairs),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        work, data = peers[line.strip()]
        started = time.perf_counter()
        found = work(data, nodes)
        seconds = time.perf_counter() - started
        if not isinstance(found, int):  # a mapping, without who is alone
            found = nodes - found.num_rows + len(np.unique(found["cluster_id"].to_numpy()))
        print(seconds, found, flush=True)


if __name__ == "__main__":
    main()
