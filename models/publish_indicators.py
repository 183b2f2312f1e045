"""What the indicators found, as a snapshot holds it: by row of the entity, with rows of transfers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from datasets.snapshot import run_starts


def arrange_indicators(found: pa.Table, row_of_node: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the lines in the order of their entities' rows, and where each row's run begins.

    `found` is what `find_indicators` returns, `row_of_node` the snapshot's row of each node. Columns:
    `indicator`, `strength` (0 to 1), `evidence` (rows of transfers.arrow, ascending), `evidence_count`,
    `values` (JSON). Lines of one entity keep their order. There is one offset more than there are rows.
    """
    entity = row_of_node[found.column("entity").to_numpy()] if found.num_rows else np.zeros(0, np.int64)
    order = np.argsort(entity, kind="stable")
    evidence = found.column("evidence").combine_chunks()
    transfers = pc.subtract(evidence.flatten(), 1)  # the first transfer seen is number 1, and stands in row 0
    counts = pc.list_value_length(evidence).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    table = pa.table(
        {
            "indicator": found.column("indicator"),
            "strength": found.column("strength"),
            "evidence": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), transfers),
            "evidence_count": found.column("evidence_count"),
            "values": found.column("values"),
        }
    ).take(pa.array(order))
    return table, run_starts(entity, row_of_node.size)
