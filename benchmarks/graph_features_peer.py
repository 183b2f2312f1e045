"""Peers of feature making on `edges.npy` (id, payer, payee, second, amount): run by the peers' Python.

Prints the seconds, without loading, and how many columns there are, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

BATCH = 128


def make_with_gfp(edges: np.ndarray) -> int:
    from snapml import GraphFeaturePreprocessor

    maker = GraphFeaturePreprocessor()
    maker.set_params(maker.get_params() | {"num_threads": 1, "vertex_stats_cols": [4], "fan": True})
    columns = 0
    for start in range(0, len(edges), BATCH):
        columns = maker.transform(edges[start : start + BATCH]).shape[1]
    return columns - edges.shape[1]


def make_with_networkx(edges: np.ndarray) -> int:
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_edges_from(edges[:, 1:3].astype(int).tolist())
    columns = (
        dict(graph.in_degree()),
        dict(graph.out_degree()),
        nx.average_neighbor_degree(graph, source="in", target="in"),
        nx.average_neighbor_degree(graph, source="out", target="out"),
    )
    return len(columns)


if __name__ == "__main__":
    table = np.load(Path(sys.argv[2]) / "edges.npy")
    started = time.perf_counter()
    made = {"gfp": make_with_gfp, "networkx": make_with_networkx}[sys.argv[1]](table)
    print(json.dumps({"seconds": time.perf_counter() - started, "columns": made}))
