from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.address import Chain
from chains.errors import FileError, LedgerConflict
from chains.ledger import Asset, LegBatch
from datasets.export import export_rows
from datasets.ingest import ingest_batches
from datasets.store import Ledger
from datasets.writing import Source
from tests.datasets.batches import (
    ASSETS,
    BANK,
    BITCOIN,
    COIN,
    SPAM,
    Bad,
    Row,
    dump,
    ingest,
    make_batches,
    memory_ledger,
)

BIG = 10**38 - 1


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with memory_ledger() as opened:
        yield opened


def marks(ledger: Ledger) -> list[tuple[int, int, bool, bool]]:
    """Return (batch, row, repeated, duplicate) of every transfer."""
    found = ledger.connection.execute(
        "SELECT batch, row, repeated, duplicate FROM transfer ORDER BY batch, row"
    ).fetchall()
    return [
        (int(batch), int(row), bool(repeated), bool(duplicate)) for batch, row, repeated, duplicate in found
    ]


def test_a_file_of_payments_arrives_whole(ledger: Ledger) -> None:
    rows: list[Row | Bad] = [
        Row(hash=b"ref 1"),
        Bad(),
        Row(minute=3, payees=(("c", 2), ("d", 3)), lossy=True),
        Bad("too_large"),
    ]
    result = ingest(ledger, rows)
    assert (result.source_rows, result.transfers, result.legs, result.quarantined) == (4, 2, 5, 2)
    assert (result.known, result.lossy, result.repeated, result.duplicate) == (0, 1, 0, 0)
    assert result.sums == {"iso4217:EUR": 10}
    assert result.chain == "payments:bank"
    assert not result.already_imported
    exported = export_rows(ledger).to_pylist()
    assert [row["hash"] for row in exported] == [b"ref 1", None]
    assert [(leg["side"], leg["account"], int(leg["amount"])) for leg in exported[1]["legs"]] == [
        ("payer", "a", 5),
        ("payee", "c", 2),
        ("payee", "d", 3),
    ]
    assert ledger.connection.execute(
        "SELECT row, reason, detail FROM quarantine ORDER BY row"
    ).fetchall() == [
        (1, "bad_amount", "found '\x1b'"),
        (3, "too_large", "found '\x1b'"),
    ]
    custody = ledger.connection.execute(
        "SELECT source, sha256, loose, first_height, first_time, last_time, code_version FROM batch"
    ).fetchall()
    first, last = exported[0]["time"], exported[1]["time"]
    assert custody == [("file", "file", True, None, first, last, "test")]


def test_the_largest_amounts_are_kept_and_added_up_exactly(ledger: Ledger) -> None:
    rows = [Row(minute=n, payers=(("a", BIG),), payees=(("b", BIG),)) for n in range(30)]
    assert ingest(ledger, rows).sums == {"iso4217:EUR": 30 * BIG}
    assert int(export_rows(ledger).to_pylist()[0]["legs"][0]["amount"]) == BIG


def test_a_file_without_a_single_row_is_remembered(ledger: Ledger) -> None:
    assert ingest(ledger, []).source_rows == 0
    assert ingest(ledger, []).already_imported


def test_the_same_file_again_changes_nothing(ledger: Ledger) -> None:
    rows: list[Row | Bad] = [Row(), Row(), Bad(), Row(minute=1, lossy=True)]
    first = ingest(ledger, rows)
    before = dump(ledger)
    again = ingest(ledger, rows)
    assert again == replace(first, already_imported=True)
    assert dump(ledger) == before


def test_the_same_bytes_under_another_mapping_or_chain_are_another_file(ledger: Ledger) -> None:
    ingest(ledger, [Row()])
    other = Source(BANK, "payments", "file", "file", mapping='{"time":"when"}')
    result = ingest_batches(ledger, make_batches([Row()]), source=other, code_version="test")
    assert not result.already_imported
    assert result.duplicate == 1
    assert not ingest(ledger, [Row(asset=COIN.reference)], chain=BITCOIN).already_imported


def test_exact_repeats_within_a_file_count(ledger: Ledger) -> None:
    row = Row(hash=b"r")
    result = ingest(ledger, [row, Row(minute=1), row, row])
    assert (result.transfers, result.repeated, result.duplicate) == (4, 2, 0)
    assert [mark[2] for mark in marks(ledger)] == [False, False, True, True]
    assert result.sums == {"iso4217:EUR": 20}


@pytest.mark.parametrize(
    "near",
    [
        {"minute": 1},
        {"hash": None},
        {"hash": b""},
        {"payees": (("c", 5),)},
        {"payees": (("b", 4),)},
        {"payees": (("b", 5), ("b", 5))},
        {"payers": (("b", 5),), "payees": (("a", 5),)},
        {"payers": ()},
        {"asset": SPAM.reference},
        {"kind": "token"},
        {"part": 1},
    ],
)
def test_near_repeats_are_no_repeats(ledger: Ledger, near: dict[str, Any]) -> None:
    row = Row(hash=b"r")
    other = replace(row, **near)
    assert ingest(ledger, [row, other, row, other]).repeated == 2
    result = ingest(ledger, [other, other, other, row, row, row], name="second")
    assert (result.repeated, result.duplicate) == (4, 4)


def test_an_overlapping_loose_file_adds_only_what_goes_beyond(ledger: Ledger) -> None:
    ingest(ledger, [Row(), Row(), Row(minute=1)], name="first")
    result = ingest(ledger, [Row(minute=2), Row(), Row(), Row()], name="second")
    assert (result.transfers, result.repeated, result.duplicate) == (4, 2, 2)
    assert result.sums == {"iso4217:EUR": 10}
    assert marks(ledger)[3:] == [
        (2, 0, False, False),
        (2, 1, False, True),
        (2, 2, True, True),
        (2, 3, True, False),
    ]
    third = ingest(ledger, [Row(), Row(), Row(), Row()], name="third")
    assert (third.duplicate, third.sums) == (3, {"iso4217:EUR": 5})


def test_the_order_of_the_legs_says_nothing(ledger: Ledger) -> None:
    row = Row(payees=(("c", 2), ("d", 3)))
    ingest(ledger, [row], name="first")
    turned = replace(row, payees=(("d", 3), ("c", 2)))
    crossed = replace(row, payees=(("c", 3), ("d", 2)))
    assert ingest(ledger, [turned, crossed], name="second").duplicate == 1
    assert marks(ledger)[1:] == [(2, 0, False, True), (2, 1, False, False)]


def test_the_same_payment_on_another_chain_is_no_duplicate(ledger: Ledger) -> None:
    ingest(ledger, [Row()], name="first")
    card = replace(BANK, caip2="payments:card", name="card")
    assert ingest(ledger, [Row()], name="second", chain=card).duplicate == 0


def block(height: int, *hashes: str, branch: str = "") -> list[Row]:
    """Return the transactions of one block, in order."""
    return [
        Row(
            height=height,
            position=place,
            hash=name.encode(),
            minute=10 * height,
            asset=COIN.reference,
            block_hash=f"block {height}{branch}".encode(),
            payees=((f"to {name}", 5),),
        )
        for place, name in enumerate(hashes)
    ]


def test_files_with_heights_that_overlap_make_their_union(ledger: Ledger) -> None:
    ingest(ledger, [*block(1, "a", "b"), *block(2, "c")], name="first", chain=BITCOIN)
    result = ingest(ledger, [*block(2, "c", "d"), *block(3, "e")], name="second", chain=BITCOIN)
    assert (result.transfers, result.known, result.legs, result.duplicate) == (2, 1, 4, 0)
    assert result.sums == {"slip44:0": 10}
    exported = export_rows(ledger).to_pylist()
    assert [(row["height"], row["hash"]) for row in exported] == [
        (1, b"a"),
        (1, b"b"),
        (2, b"c"),
        (2, b"d"),
        (3, b"e"),
    ]
    payees = [[leg["account"] for leg in row["legs"] if leg["side"] == "payee"] for row in exported]
    assert payees == [["to a"], ["to b"], ["to c"], ["to d"], ["to e"]]
    assert ledger.connection.execute("SELECT height, hash FROM block ORDER BY height").fetchall() == [
        (1, b"block 1"),
        (2, b"block 2"),
        (3, b"block 3"),
    ]


def test_a_row_with_a_height_that_comes_twice_in_one_file_is_there_once(ledger: Ledger) -> None:
    rows = [*block(1, "a", "b"), *block(1, "a")]
    assert ingest(ledger, rows, chain=BITCOIN, rows_per_batch=2).known == 1
    assert export_rows(ledger).num_rows == 2


def test_a_transaction_without_its_position_is_known_by_its_hash(ledger: Ledger) -> None:
    (placed,) = block(1, "a")
    ingest(ledger, [placed], name="first", chain=BITCOIN)
    other = replace(placed, position=None, hash=b"z")
    result = ingest(ledger, [replace(placed, position=None), other], name="second", chain=BITCOIN)
    assert (result.transfers, result.known) == (1, 1)
    assert ingest(ledger, [replace(other, position=4)], name="third", chain=BITCOIN).known == 1


@pytest.mark.parametrize("rows_per_batch", [1, 10])
def test_another_block_at_a_height_is_a_conflict_and_changes_nothing(
    ledger: Ledger, rows_per_batch: int
) -> None:
    ingest(ledger, block(5, "a"), name="first", chain=BITCOIN)
    before = dump(ledger)
    rows = [*block(4, "n"), *block(5, "a", branch="'")]
    with pytest.raises(LedgerConflict) as caught:
        ingest(ledger, rows, name="second.parquet", chain=BITCOIN, rows_per_batch=rows_per_batch)
    assert caught.value.height == 5
    assert caught.value.ledger_hash == b"block 5".hex()
    assert caught.value.file_hash == b"block 5'".hex()
    assert str(caught.value).startswith("second.parquet: block 5 of bitcoin is")
    assert dump(ledger) == before


@pytest.mark.parametrize("rows_per_batch", [1, 10])
def test_two_blocks_at_one_height_within_a_file_are_a_conflict(ledger: Ledger, rows_per_batch: int) -> None:
    before = dump(ledger)
    with pytest.raises(LedgerConflict):
        ingest(
            ledger, [*block(5, "a"), *block(5, "a", branch="'")], chain=BITCOIN, rows_per_batch=rows_per_batch
        )
    assert dump(ledger) == before


@pytest.mark.parametrize("rows_per_batch", [1, 10])
def test_another_hash_under_a_key_is_a_conflict(ledger: Ledger, rows_per_batch: int) -> None:
    bare = [replace(row, block_hash=None) for row in block(5, "a", "b")]
    ingest(ledger, bare, name="first", chain=BITCOIN)
    before = dump(ledger)
    other = [*block(4, "n"), replace(bare[1], hash=b"x")]
    with pytest.raises(LedgerConflict) as caught:
        ingest(ledger, other, name="second", chain=BITCOIN, rows_per_batch=rows_per_batch)
    assert (caught.value.height, caught.value.ledger_hash) == (5, f"{b'b'.hex()} at position 1")
    assert dump(ledger) == before


def test_a_bitcoin_transaction_counts_once_whether_its_height_is_known_or_not() -> None:
    placed = block(1, "a", "b")
    placed[1] = replace(placed[1], position=None)
    loose = [replace(row, height=None, position=None, block_hash=None) for row in [*placed, *block(2, "c")]]
    exports = []
    for files in ([placed, loose, loose[1:]], [loose[1:], loose, placed]):
        with memory_ledger() as ledger:
            for number, rows in enumerate(files):
                ingest(ledger, rows, name=f"file {number}", chain=BITCOIN)
            exports.append(export_rows(ledger))
    assert exports[0].equals(exports[1])
    assert [(row["height"], row["hash"]) for row in exports[0].to_pylist()] == [
        (1, b"a"),
        (1, b"b"),
        (None, b"c"),
    ]


def test_an_error_in_mid_stream_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    ingest(ledger, [Row()], name="first")
    before = dump(ledger)

    def broken() -> Iterator[LegBatch]:
        yield from make_batches([Row(minute=9, payers=(("new", 1),)), Bad()], rows_per_batch=1)
        raise FileError("second", why="ends in the middle of a row")

    with pytest.raises(FileError, match="in the middle"):
        ingest_batches(ledger, broken(), source=Source(BANK, "payments", "second", "2"), code_version="test")
    assert dump(ledger) == before
    assert ingest(ledger, [Row(minute=9)], name="second").transfers == 1


def test_an_asset_becomes_listed_but_never_changes_its_decimals(ledger: Ledger) -> None:
    ingest(ledger, [Row(asset=SPAM.reference)], name="first")
    listed = replace(SPAM, listed=True)
    (batch,) = make_batches([Row(asset=SPAM.reference, minute=1)])

    def import_as(asset: Asset, name: str) -> None:
        changed = replace(batch, assets=(asset,))
        ingest_batches(ledger, [changed], source=Source(BANK, "payments", name, name), code_version="test")

    import_as(listed, "second")
    assert ledger.connection.execute("SELECT reference, decimals, listed FROM asset").fetchall() == [
        (SPAM.reference, 18, True)
    ]
    import_as(SPAM, "third")
    assert ledger.connection.execute("SELECT listed FROM asset").fetchall() == [(True,)]
    before = dump(ledger)
    with pytest.raises(FileError, match=r"6 decimals here, 18 in the ledger"):
        import_as(replace(listed, decimals=6), "fourth")
    assert dump(ledger) == before


def test_progress_counts_source_rows(ledger: Ledger) -> None:
    seen: list[tuple[int, int]] = []
    ingest_batches(
        ledger,
        make_batches([Row(minute=n) for n in range(5)] + [Bad()], rows_per_batch=2),
        source=Source(BANK, "payments", "file", "1"),
        total_rows=6,
        progress=lambda done, total: seen.append((done, total)),
        code_version="test",
    )
    assert seen == [(2, 6), (4, 6), (6, 6)]


accounts = st.sampled_from(["a", "b", "c", "x\x00'"])
parties = st.lists(st.tuples(accounts, st.sampled_from([0, 1, 7, BIG])), min_size=0, max_size=3).map(tuple)
loose_rows = st.builds(
    Row,
    payers=parties,
    payees=parties,
    minute=st.integers(0, 2),
    hash=st.sampled_from([None, b"", b"r"]),
    asset=st.sampled_from([asset.reference for asset in ASSETS]),
    kind=st.sampled_from(["native", "token"]),
)
loose_files = st.lists(st.one_of(loose_rows, st.builds(Bad)), max_size=8)


@st.composite
def height_files(draw: st.DrawFn) -> list[list[Row]]:
    """Draw a small chain and several files that each hold some of its transactions, in any order."""
    known: list[Row] = []
    for height in range(draw(st.integers(1, 3))):
        names = [f"{height}.{place}" for place in range(draw(st.integers(1, 3)))]
        payers = tuple(draw(st.lists(st.tuples(accounts, st.integers(1, 9)), max_size=2)))
        known += [replace(row, payers=payers) for row in block(height, *names)]
    return draw(st.lists(st.lists(st.sampled_from(known), max_size=8), min_size=1, max_size=3))


def chain_of(rows: list[Row | Bad]) -> Chain:
    return BITCOIN if any(isinstance(row, Row) and row.height is not None for row in rows) else BANK


def import_all(
    files: list[list[Row | Bad]], order: list[int], rows_per_batch: int, legs_at_once: int = 1
) -> Ledger:
    ledger = memory_ledger()
    for number in order:
        rows = files[number]
        ingest(
            ledger,
            rows,
            name=f"file {number}",
            chain=chain_of(rows),
            rows_per_batch=rows_per_batch,
            legs_at_once=legs_at_once,
        )
    return ledger


any_files = st.one_of(st.lists(loose_files, min_size=1, max_size=3), height_files())


@settings(max_examples=12, deadline=None)
@given(files=any_files, cut=st.integers(1, 4), data=st.data())
def test_cuts_order_and_second_imports_never_matter(
    files: list[list[Row | Bad]], cut: int, data: st.DataObject
) -> None:
    order = list(range(len(files)))
    whole = import_all(files, order, 1000)
    pieces = import_all(files, order, cut, legs_at_once=data.draw(st.integers(1, 9)))
    moved = import_all(files, data.draw(st.permutations(order)), cut)
    with whole, pieces, moved:
        times = {"schema_version", "batch"}
        assert dump(pieces, times) == dump(whole, times)
        custody = "FROM (SELECT * EXCLUDE imported_at FROM batch) ORDER BY ALL"
        assert pieces.connection.execute(custody).fetchall() == whole.connection.execute(custody).fetchall()
        assert export_rows(moved).equals(export_rows(whole))
        once = dump(whole)
        for number in order:
            assert ingest(
                whole, files[number], name=f"file {number}", chain=chain_of(files[number])
            ).already_imported
        assert dump(whole) == once
