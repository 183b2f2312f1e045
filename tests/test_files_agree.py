"""One chain read from a node, and from the files that others make of it: the same keys, the same legs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chains.evm.node import EvmNode
from chains.files.beside import find_beside
from chains.files.layouts import read_layout
from chains.ledger import LegBatch
from chains.registry import find_chain
from tests.nodes.anvil import Anvil, run_anvil
from tests.nodes.exports import Answers, ask_all, export_cryo, export_etl

CHAIN = find_chain("eip155:31337")
Told = dict[tuple[Any, ...], tuple[Any, ...]]


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as running:
        yield running


@pytest.fixture(scope="module")
def answers(node: Anvil) -> Answers:
    return ask_all(node)


@pytest.fixture(scope="module")
def said_by_node(node: Anvil) -> Told:
    with EvmNode(node.url, CHAIN) as source:
        return tell([source.read_blocks(0, node.height)])


def tell(batches: Iterable[LegBatch]) -> Told:
    """What each key says: time, hash, block, asset, and the legs in order; and each rejection, numbered."""
    found: Told = {}
    for batch in batches:
        legs: dict[int, list[tuple[Any, ...]]] = {}
        for leg in batch.legs.to_pylist():
            row = (leg["side"] == "payee", leg["index"], leg["account"], int(leg["amount"]))
            legs.setdefault(leg["transfer"], []).append(row)
        for row in batch.transfers.to_pylist():
            key = (row["height"], row["position"], row["kind"], row["part"])
            assert key not in found
            said = (row["time"], row["hash"], row["block_hash"], row["asset"], row["lossy"])
            found[key] = (*said, sorted(legs.get(row["transfer"], [])))
        for row in batch.rejected.to_pylist():
            number = sum(key[0] == "rejected" for key in found)
            found["rejected", row["reason"], "row", number] = ()
    return found


def read_all(layout: str, paths: Mapping[str, Path], rows_per_batch: int) -> Told:
    with find_beside(layout, list(paths.values()), CHAIN) as beside:
        return tell(
            batch
            for path in paths.values()
            for batch in read_layout(layout, path, chain=CHAIN, beside=beside, rows_per_batch=rows_per_batch)
        )


@pytest.mark.parametrize("rows_per_batch", [7, 100_000])
def test_tables_of_ethereum_etl_say_what_the_node_says(
    answers: Answers, said_by_node: Told, tmp_path: Path, rows_per_batch: int
) -> None:
    found = read_all("ethereum-etl", export_etl(answers, tmp_path), rows_per_batch)
    assert {key[2] for key in found} >= {"native", "internal", "token", "fee"}
    assert found == said_by_node


def test_tables_of_cryo_say_what_the_node_says(answers: Answers, said_by_node: Told, tmp_path: Path) -> None:
    found = read_all("cryo", export_cryo(answers, tmp_path), 100_000)
    unindexed = said_by_node.keys() - found.keys()
    # cryo keeps Transfer events with both parties indexed only, and no withdrawals or blob fees.
    assert {key[2] for key in unindexed} <= {"token", "withdrawal"}
    assert found == {key: said for key, said in said_by_node.items() if key not in unindexed}
