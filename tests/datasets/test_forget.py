"""Imports taken back: the ledger is as if they had never been made."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.address import Chain
from chains.errors import LedgerError
from datasets.check import check_ledger
from datasets.export import export_rows
from datasets.forget import Forgotten, forget_batch
from datasets.ingest import ingest_batches
from datasets.status import ledger_status
from datasets.store import Ledger
from datasets.writing import Source
from tests.datasets.batches import BANK, BITCOIN, COIN, Bad, Row, dump, ingest, make_batches, memory_ledger
from tests.datasets.random_chains import EVM, UTXO, RandomChain, as_file
from tests.datasets.test_check import sync

Rows = Sequence[Row | Bad]

STRUCTURE = (
    "orphan_id",
    "transfer_without_legs",
    "marks",
    "batch_counts",
    "stretch",
    "block_gap",
    "key_twice",
)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with memory_ledger() as opened:
        opened.connection.execute("SET threads = 1")
        yield opened


def ledger_of(*files: tuple[str, Rows, Chain]) -> Ledger:
    ledger = memory_ledger()
    ledger.connection.execute("SET threads = 1")
    for name, rows, chain in files:
        ingest(ledger, rows, name=name, chain=chain)
    return ledger


def assert_alike(one: Ledger, other: Ledger) -> None:
    """The ledgers hold the same transfers, texts, counts and blocks; their numbers may differ."""
    assert export_rows(one).equals(export_rows(other))
    for query in (
        "SELECT caip2, account FROM address JOIN chain USING (chain)",
        "SELECT caip2, reference, symbol, decimals FROM asset JOIN chain USING (chain)",
        "SELECT caip2 FROM chain",
        "SELECT source, row, reason FROM quarantine JOIN batch USING (batch)",
        "SELECT source, t.repeated, t.duplicate, row FROM transfer AS t JOIN batch USING (batch)",
        "SELECT * EXCLUDE (batch, chain, imported_at) FROM batch",
        "SELECT caip2, height, hash FROM block JOIN chain USING (chain)",
        "SELECT caip2, synced.* EXCLUDE (chain) FROM synced JOIN chain USING (chain)",
    ):
        rows = [each.connection.execute(f"FROM ({query}) ORDER BY ALL").fetchall() for each in (one, other)]
        assert rows[0] == rows[1], query
    assert check_ledger(one, names=STRUCTURE).broken == 0


def chain_rows(*places: tuple[int, int], loose: bool = False) -> list[Row]:
    """Return Bitcoin transactions at (height, position), with or without saying where they stand."""
    rows = []
    for height, position in places:
        name = f"{height}.{position}".encode().ljust(32, b"-")
        row = Row(
            height=height,
            position=position,
            hash=name,
            minute=height,
            asset=COIN.reference,
            block_hash=f"block {height}".encode(),
            payers=(),
            payees=((f"to {height}.{position}", 5),),
            kind="reward",
        )
        rows.append(replace(row, height=None, position=None, block_hash=None) if loose else row)
    return rows


FIRST: Rows = [Row(hash=b"r"), Row(), Row(), Bad(), Row(minute=5, payees=(("only one", 5),))]
OTHER: Rows = [Row(), Row(), Row(), Row(hash=b"q"), Bad("too_large"), Row(minute=9, payers=(("x", 5),))]
PAIRS: dict[str, tuple[tuple[Rows, Chain], tuple[Rows, Chain]]] = {
    "payments that overlap": ((FIRST, BANK), (OTHER, BANK)),
    "payments of two chains": ((FIRST, BANK), (OTHER, replace(BANK, caip2="payments:card", name="card"))),
    "files apart": ((chain_rows((1, 0), (2, 0)), BITCOIN), (chain_rows((2, 1), (4, 0)), BITCOIN)),
    "blocks, and the same without heights": (
        (chain_rows((1, 0), (2, 0), (2, 1)), BITCOIN),
        (chain_rows((2, 0), (2, 1), (3, 0), loose=True), BITCOIN),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_import_taken_back_leaves_the_other_as_if_alone(name: str, order: tuple[int, int]) -> None:
    pair = [(f"file {number}", *PAIRS[name][number]) for number in order]
    for kept, gone in ((0, 1), (1, 0)):
        with ledger_of(*pair) as ledger, ledger_of(pair[kept]) as alone:
            # The one made last is import 2.
            forgotten = forget_batch(ledger, str(gone + 1))
            assert forgotten.source == pair[gone][0]
            assert_alike(ledger, alone)


def test_what_is_taken_back_is_counted_and_can_be_imported_again(ledger: Ledger) -> None:
    ingest(ledger, FIRST, name="first")
    ingest(ledger, OTHER, name="second")
    before = export_rows(ledger)
    done = forget_batch(ledger, "1")
    assert done == Forgotten(1, "payments:bank", "payments", "first", 4, 8, 1, 2, None, ())
    assert not ingest(ledger, FIRST, name="first").already_imported
    assert export_rows(ledger).equals(before)
    for batch in ("2", "3"):
        forget_batch(ledger, batch)
    assert all(not rows for table, rows in dump(ledger).items() if table != "schema_version")


def test_an_import_is_found_by_its_number_or_by_the_beginning_of_its_hash(ledger: Ledger) -> None:
    for name in ("aabbcc01", "aabbcc02"):
        source = Source(BANK, "payments", "x.csv", name)
        ingest_batches(ledger, [], source=source, code_version="test")
    before = dump(ledger)
    with pytest.raises(
        LedgerError, match=r"several imports begin with 'AABBCC': .* 1 \(payments:bank, payments\), 2"
    ):
        forget_batch(ledger, "AABBCC")
    for text in ("7", "aab", "x.csv", ""):
        with pytest.raises(LedgerError, match="no import"):
            forget_batch(ledger, text)
    assert dump(ledger) == before
    assert forget_batch(ledger, "aabbcc02").batch == 2


def test_a_file_that_a_later_one_rests_on_cannot_go_first(ledger: Ledger) -> None:
    ingest(ledger, chain_rows((1, 0), (2, 0)), name="first", chain=BITCOIN)
    ingest(ledger, chain_rows((2, 0), (3, 0)), name="second", chain=BITCOIN)
    before = dump(ledger)
    with pytest.raises(
        LedgerError, match=r"import 2 \(second\) left out 1 transfers .*: forget import 2 first"
    ):
        forget_batch(ledger, "1")
    assert dump(ledger) == before
    forget_batch(ledger, "2")
    forget_batch(ledger, "1")
    ingest(ledger, chain_rows((2, 0), (3, 0)), name="second", chain=BITCOIN)
    with ledger_of(("second", chain_rows((2, 0), (3, 0)), BITCOIN)) as alone:
        assert_alike(ledger, alone)


def test_the_newest_run_of_a_node_is_cut_off_and_an_older_one_stays(ledger: Ledger) -> None:
    node = RandomChain(UTXO).grow(9, 3)
    sync(ledger, node, 0, 4)
    sync(ledger, node, 5, 8, run=2)
    before = dump(ledger)
    with pytest.raises(LedgerError, match="import 2 reaches up to block 8: a stretch of blocks gets no hole"):
        forget_batch(ledger, "1")
    assert dump(ledger) == before
    done = forget_batch(ledger, "2")
    assert (done.blocks_to, done.lost) == (4, ())
    with memory_ledger() as alone:
        sync(alone, node, 0, 4)
        assert_alike(ledger, alone)
    sync(ledger, node, 5, 8, run=3)  # goes on from there
    assert check_ledger(ledger).broken == 0
    for batch in ("2", "1"):
        forget_batch(ledger, batch)
    assert all(not rows for table, rows in dump(ledger).items() if table != "schema_version")


def test_a_pulled_history_is_no_longer_said_to_be_read(ledger: Ledger) -> None:
    rows = [Row(hash=b"r" * 32, height=5, position=0)]
    for address in ("a", "b"):
        source = Source(BANK, "pull:logs", "http://127.0.0.1:1", address, f'{{"address":"{address}"}}')
        ingest_batches(ledger, make_batches(rows), source=source, code_version="test")
        ledger.connection.execute(
            """
            INSERT INTO pulled
            SELECT chain, address, 'pull:logs', 'http://127.0.0.1:1', 0, 9, TRUE, 1, [], now()
            FROM address WHERE account = $1
            """,
            [address],
        )
    forget_batch(ledger, "2")
    left = "SELECT account FROM pulled JOIN address USING (address)"
    assert ledger.connection.execute(left).fetchall() == [("a",)]
    forget_batch(ledger, "1")
    assert all(not rows for table, rows in dump(ledger).items() if table != "schema_version")


def test_files_whose_rows_a_node_replaced_are_named(ledger: Ledger) -> None:
    node = RandomChain(EVM).grow(6, 3)
    rows = [row for row in node.rows() if row[0] in (2, 3)]
    ingest_batches(
        ledger, as_file(rows), source=Source(EVM, "cryo", "lost.parquet", "a"), code_version="test"
    )
    sync(ledger, node)
    assert forget_batch(ledger, "2").lost == ("lost.parquet",)
    assert check_ledger(ledger).broken == 0


names = st.sampled_from(["a", "b", "c"])
loose_rows = st.builds(
    Row,
    payers=st.tuples(st.tuples(names, st.sampled_from([1, 7]))),
    payees=st.tuples(st.tuples(names, st.just(1))),
    minute=st.integers(0, 1),
    hash=st.sampled_from([None, b"r", b"x" * 32]),
)
loose_files = st.lists(st.one_of(loose_rows, st.builds(Bad)), max_size=6)


@settings(max_examples=10, deadline=None)
@given(files=st.lists(loose_files, min_size=2, max_size=4), gone=st.integers(0, 3))
def test_any_of_several_overlapping_files_can_go(files: list[list[Row | Bad]], gone: int) -> None:
    gone %= len(files)
    made = [(f"file {number}", rows, BANK) for number, rows in enumerate(files)]
    rest = [file for number, file in enumerate(made) if number != gone]
    with ledger_of(*made) as ledger, ledger_of(*rest) as alone:
        forget_batch(ledger, str(gone + 1))
        assert export_rows(ledger).equals(export_rows(alone))
        assert check_ledger(ledger, names=["marks", "batch_counts", "orphan_id"]).broken == 0


@settings(max_examples=8, deadline=None)
@given(
    places=st.lists(st.lists(st.sampled_from([(1, 0), (1, 1), (2, 0)]), max_size=4), min_size=2, max_size=3),
    loose=st.lists(st.booleans(), min_size=3, max_size=3),
    gone=st.integers(0, 2),
)
def test_transactions_with_and_without_heights_count_once_whichever_file_goes(
    places: list[list[tuple[int, int]]], loose: list[bool], gone: int
) -> None:
    gone %= len(places)
    made = [
        (f"file {number}", chain_rows(*each, loose=loose[number]), BITCOIN)
        for number, each in enumerate(places)
    ]
    rest = [file for number, file in enumerate(made) if number != gone]
    with ledger_of(*made) as ledger, ledger_of(*rest) as alone:
        if any(batch.known for batch in ledger_status(ledger).batches[gone + 1 :]):
            with suppress(LedgerError):  # whether it is refused has a test of its own
                forget_batch(ledger, str(gone + 1))
            return
        forget_batch(ledger, str(gone + 1))
        assert export_rows(ledger).equals(export_rows(alone))
        assert check_ledger(ledger, names=["marks", "batch_counts", "key_twice"]).broken == 0
