"""One build: everything that can be said of every address from what the ledger knew at a moment.

The same code makes the rows that a model is trained on and the rows that it scores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import Account, find_chain
from chains.errors import LedgerError
from datasets.taxonomy import load_taxonomy
from features.behaviour import behaviour_parts
from features.catalogue import CATALOGUE
from features.exposure import sum_by
from features.frame import FeatureFrame
from features.seeds import UNKNOWN_SERVICE, mark_seeds
from features.seen import checkpoint_folder, see, spill_folder
from features.tracing import DESTINATION, SOURCE, Keep, trace_all
from features.view import WHOLE, View

Progress = Callable[[str, int, int], None]
"""Called with (step, done, total) between the steps of long work."""

STEPS = ("order transfers", "mark labels", "trace exposure", "measure behaviour")


@dataclass(frozen=True)
class Build:
    """What was built, with its connection still open for whoever publishes it.

    `frame` has one row an address, `nodes` the address's number in the tables of the connection
    (`member.node`), `exposures` the lines behind the exposure features, by entity.
    """

    frame: FeatureFrame
    nodes: NDArray[np.int64]
    exposures: pa.Table
    connection: duckdb.DuckDBPyConnection


@contextmanager
def build_features(
    ledger: Path,
    as_of: datetime,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
    view: View = WHOLE,
) -> Iterator[Build]:
    """Build entities, exposure and features of every address that `view` shows before `as_of` (naive UTC).

    `keep` is called with the legs of each chain, whose nodes are those of the build. Nothing after `as_of`,
    and no label published after it, has any effect. Raises what `see` raises, and
    LedgerError where memory and disk do not suffice.
    """

    def tell(step: int) -> None:
        if progress is not None:
            progress(STEPS[step], step, len(STEPS))

    with _told_apart(ledger):
        tell(0)
        connection = see(ledger, as_of, threads=threads, view=view)
    try:
        with _told_apart(ledger):
            tell(1)
            mark_seeds(connection, as_of)
            tell(2)
            exposures = trace_all(
                connection,
                threads=threads,
                spill=spill_folder(ledger),
                checkpoints=checkpoint_folder(ledger),
                keep=keep,
            )
            tell(3)
            build = _assemble(connection, as_of, exposures, view)
        yield build
    finally:
        connection.close()


@contextmanager
def _told_apart(ledger: Path) -> Iterator[None]:
    """Turn DuckDB's errors of full memory or disk into a message for a person."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        reason = str(error).strip().partition("\n")[0]
        message = (
            f"the build of {ledger} found too little memory, or disk under {spill_folder(ledger)}, for what "
            f"it sets aside ({reason}): make room, or take a larger machine; the ledger is as it was"
        )
        raise LedgerError(message) from error


def build_frame(
    ledger: Path,
    as_of: datetime,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    view: View = WHOLE,
) -> FeatureFrame:
    """Build the features of what `view` shows at `as_of` and keep nothing else open."""
    with build_features(ledger, as_of, threads=threads, progress=progress, view=view) as build:
        return build.frame


def exposure_features(exposures: pa.Table, entities: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the exposure features by entity node; NaN where nothing was received (or sent)."""
    by_id = load_taxonomy().by_id
    encoded = exposures.column("category").combine_chunks().dictionary_encode()
    vocabulary, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    entity, direction, direct, share, hops = (
        exposures.column(name).to_numpy() for name in ("entity", "direction", "direct", "share", "hops")
    )

    def among(test: Callable[[str], bool]) -> NDArray[np.bool_]:
        fits = np.array([test(word) for word in vocabulary], np.bool_)
        return np.asarray(fits[codes], np.bool_)

    drug = among(lambda word: word in by_id and by_id[word].group == "drug")
    mixer = among(
        lambda word: word in by_id and by_id[word].service == "mixer" and by_id[word].group == "service"
    )
    unknown = among(lambda word: word == UNKNOWN_SERVICE)
    groups = {
        "drug_share": drug,
        "drug_direct_share": drug & direct,
        "mixer_share": mixer,
        "service_share": among(lambda word: word in by_id and by_id[word].group == "service")
        & ~mixer
        & ~unknown,
        "crime_share": among(lambda word: word in by_id and by_id[word].group == "crime"),
        "unattributed_share": among(lambda word: word.startswith("unattributed:")) | unknown,
    }
    for number, word in ((SOURCE, "source"), (DESTINATION, "destination")):
        ours = direction == number
        any_flow = np.bincount(entity[ours], minlength=entities) > 0
        for name, wanted in groups.items():
            rows = ours & wanted
            total = sum_by(entity[rows], share[rows], entities)
            yield f"exposure_{word}_{name}", np.where(any_flow, np.minimum(total, 1.0), np.nan)
        least = np.full(entities, np.inf)
        rows = ours & drug
        np.minimum.at(least, entity[rows], hops[rows].astype(np.float64))
        yield f"exposure_{word}_drug_min_hops", np.where(np.isfinite(least), least, np.nan)


def _assemble(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, exposures: pa.Table, view: View
) -> Build:
    """Put behaviour and exposure side by side, one row an address, in the order of the accounts' text.

    The matrix is filled a column at a time, and each SQL file's result is let go before the next.
    """
    people = connection.sql(
        """
        SELECT m.address, m.node, m.entity, s.labelled, c.caip2, a.account
        FROM member AS m
        JOIN seed AS s ON s.address = m.address
        JOIN ledger.address AS a ON a.address = m.address
        JOIN ledger.chain AS c ON c.chain = a.chain
        ORDER BY m.node
        """
    ).to_arrow_table()
    accounts = pa.array(
        caip10_texts(people.column("caip2").to_pylist(), people.column("account").to_pylist()), pa.string()
    )
    people = people.drop_columns(["caip2", "account"])
    order = pc.array_sort_indices(accounts)
    accounts, people = accounts.take(order), people.take(order)
    nodes, entity_node, addresses = (
        people.column(name).to_numpy().astype(np.int64) for name in ("node", "entity", "address")
    )
    values = np.empty((nodes.size, len(CATALOGUE)), np.float64)
    column_of = {feature.name: k for k, feature in enumerate(CATALOGUE)}
    for name, column in exposure_features(exposures, nodes.size):
        values[:, column_of[name]] = column[entity_node]
    for part in behaviour_parts(connection, as_of):
        rows = _find_rows(part.keys, entity_node if part.key == "entity" else addresses)
        for name in list(part.features):
            column = part.features.pop(name)
            values[:, column_of[name]] = np.where(rows >= 0, column[rows], np.nan) if column.size else np.nan
    row_of_node = np.empty(nodes.size, np.int64)
    row_of_node[nodes] = np.arange(nodes.size)
    frame = FeatureFrame(
        as_of=as_of,
        accounts=tuple(accounts.to_pylist()),
        entities=row_of_node[entity_node],
        seeded=people.column("labelled").to_numpy().astype(np.bool_),
        names=tuple(column_of),
        values=values,
        view=view.name,
    )
    return Build(frame=frame, nodes=nodes, exposures=exposures, connection=connection)


def _find_rows(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each wanted key stands among `keys` (each of them once); -1 where it does not."""
    if not keys.size:
        return np.full(wanted.size, -1, np.int64)
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), keys.size - 1)
    rows = order[place]
    return np.where(keys[rows] == wanted, rows, -1)


def caip10_texts(chains: list[str], accounts: list[str]) -> list[str]:
    """Return the CAIP-10 id of each account; the chains are few, the accounts many."""
    known = {caip2: find_chain(caip2) for caip2 in set(chains)}
    return [Account(known[c], a).caip10 for c, a in zip(chains, accounts, strict=True)]
