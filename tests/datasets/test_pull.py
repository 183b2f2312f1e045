"""Histories of addresses into the ledger: coverage, repetition, hops, and what else tells of the same."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chains.errors import BadAnswer, LedgerConflict, NodeUnavailable, RpcError
from chains.history import FoundFreeze, FoundLeg, FoundReject
from chains.ledger import Kind, Side
from datasets.check import check_ledger
from datasets.coverage import Coverage, read_coverage, write_coverage
from datasets.export import export_lines
from datasets.forget import forget_batch
from datasets.ingest import ingest_batches
from datasets.pull import PullOptions, PullResult, content_hash, pull_histories
from datasets.status import read_status
from datasets.store import open_ledger
from datasets.sync import SyncOptions, sync_chain
from datasets.writing import Source
from tests.datasets.indexed import (
    COIN,
    ETHEREUM,
    SPAM,
    START,
    TOKEN,
    MemoryIndexer,
    moved,
    name,
    pay,
)
from tests.datasets.memory_chain import MemoryChain, Pay

A, B, C, D, E = (f"0x{digit * 40}" for digit in "abcde")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


def pull(source: MemoryIndexer, path: Path, *addresses: str, **options: Any) -> PullResult:
    return pull_histories(
        source,
        path,
        addresses or (A,),
        options=PullOptions(**options),
        tell=lambda address, done, total: None,
        code_version="1",
    )


def coverage(path: Path, address: str = A) -> list[Coverage]:
    with open_ledger(path) as ledger:
        return read_coverage(ledger, ETHEREUM, address)


def export(path: Path) -> bytes:
    with open_ledger(path) as ledger:
        return export_lines(ledger)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with open_ledger(path) as ledger:
        return ledger.connection.execute(query).fetchall()


def faults(path: Path) -> list[str]:
    with open_ledger(path) as ledger:
        return [f"{found}" for result in check_ledger(ledger).results for found in result.first]


def test_a_history_comes_with_its_custody_record_and_coverage(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7), pay(9, C, A, 3, asset=TOKEN, kind=Kind.TOKEN, part=4)])
    (one,) = pull(source, path).addresses
    assert (one.added, one.known, one.hop, one.pending, one.unread) == (2, 0, 0, 0, ("its dreams",))
    assert coverage(path) == [Coverage(0, 100, complete=True, transfers=2)] == [one.coverage]
    batch = rows(path, "SELECT layout, source, mapping, sha256, first_height, last_height, loose FROM batch")
    assert batch[0][:2] == ("pull:memory", "http://memory")
    assert json.loads(batch[0][2])["address"] == A
    assert len(batch[0][3]) == 64
    assert batch[0][4:] == (5, 9, False)
    assert rows(path, "SELECT unread, pulled_at > '2024-01-01' FROM pulled") == [(["its dreams"], True)]
    assert rows(path, "SELECT provisional FROM transfer") == [(False,), (False,)]
    assert rows(path, "SELECT height, hash FROM block ORDER BY height") == [
        (5, name("block 5")),
        (9, name("block 9")),
    ]
    status = read_status(path)
    assert status is not None
    assert status.chains[0].transfers == 2


def test_pulling_twice_equals_pulling_once(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7), pay(9, C, A, 3)])
    pull(source, path)
    once, pulled = export(path), coverage(path)
    for again in (False, True):
        (one,) = pull(source, path, again=again).addresses
        assert one.added == 0
        assert (export(path), coverage(path)) == (once, pulled)
        assert rows(path, "SELECT count(*) FROM batch") == [(1,)]
    assert source.asked == [(A, 0), (A, 101), (A, 0)]


def test_a_later_run_goes_on_where_the_last_stopped(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7), pay(9, C, A, 3), pay(105, A, C, 1)])
    assert pull(source, path).addresses[0].pending == 1
    source.final = 110
    (one,) = pull(source, path).addresses
    assert (one.added, source.asked[-1]) == (1, (A, 101))
    assert coverage(path) == [Coverage(0, 110, complete=True, transfers=3)]
    source.final = 90  # it lags: nothing is taken back
    assert pull(source, path).addresses[0].added == 0
    assert coverage(path) == [Coverage(0, 110, complete=True, transfers=3)]
    assert rows(path, "SELECT count(*) FROM pulled") == [(1,)]


def test_two_addresses_share_their_transfers(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7), pay(9, B, C, 3)])
    first, second = pull(source, path, A, B, A).addresses
    assert (first.added, second.added, second.known) == (1, 1, 1)
    assert export(path).count(b"\n") == 2
    assert faults(path) == []


def test_a_service_is_cut_and_told_incomplete(path: Path) -> None:
    source = MemoryIndexer([pay(height, A, f"0x{height:040x}", 1) for height in range(1, 21)])
    result = pull(source, path, most_transfers=5, hops=1)
    (one,) = result.addresses  # it is not followed
    assert one.added == 5
    assert one.note == "it has too many"
    assert coverage(path) == [Coverage(0, 5, complete=False, transfers=5)]
    for _ in range(3):
        result = pull(source, path, most_transfers=5)
    assert coverage(path) == [Coverage(0, 100, complete=True, transfers=20)]
    assert result.addresses[0].note == ""


def test_what_an_indexer_is_not_sure_of_is_not_covered(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7)], doubt="it is still reading")
    (one,) = pull(source, path).addresses
    assert (one.added, one.note) == (1, "it is still reading")
    assert coverage(path) == [Coverage(0, -1, complete=False, transfers=1)]
    source.doubt = ""
    pull(source, path)
    assert source.asked[-1] == (A, 0)
    assert coverage(path) == [Coverage(0, 100, complete=True, transfers=2)]


def test_counterparties_are_read_breadth_first_and_only_once(path: Path) -> None:
    source = MemoryIndexer(
        [
            pay(1, A, B, 1),
            pay(2, A, B, 1, position=1),
            pay(3, C, A, 1),
            pay(4, B, D, 1),
            pay(5, D, E, 1),
        ]
    )
    result = pull(source, path, hops=2)
    assert [(one.address, one.hop) for one in result.addresses] == [(A, 0), (B, 1), (C, 1), (D, 2)]
    assert result.left_out == 0
    before = export(path)
    again = pull(source, path, hops=2)
    assert [one.address for one in again.addresses] == [one.address for one in result.addresses]
    assert export(path) == before


def test_what_anyone_can_write_makes_no_counterparty(path: Path) -> None:
    forged = "0x" + "12" * 20
    fee = moved(pay(8, A, "0x" + "34" * 20, 5), kind=Kind.FEE)
    source = MemoryIndexer(
        [
            pay(5, A, forged, 0, asset=TOKEN, kind=Kind.TOKEN),
            pay(6, forged, A, 10**20, asset=SPAM, kind=Kind.TOKEN),
            fee,
            pay(9, A, "script-" + "0" * 40, 9),
            pay(10, A, B, 1),
        ]
    )
    nothing = FoundLeg(Side.PAYEE, 1, C, 0)
    source.transfers[-1] = moved(source.transfers[-1], legs=(*source.transfers[-1].legs, nothing))
    assert [one.address for one in pull(source, path, hops=1).addresses] == [A, B]


def test_the_most_addresses_are_kept_to(path: Path) -> None:
    source = MemoryIndexer([pay(height, A, f"0x{height:040x}", 1) for height in range(1, 21)])
    result = pull(source, path, hops=1, most_addresses=6)
    assert len(result.addresses) == 6
    assert result.left_out == 15


def test_a_counterparty_that_fails_is_passed_over_and_an_address_asked_for_is_not(path: Path) -> None:
    source = MemoryIndexer([pay(1, A, B, 1), pay(2, A, C, 1)])

    def fail(address: str) -> None:
        if address == B:
            raise RpcError("http://memory", method="address", code=400, message="invalid\x1b[31m address")

    source.before = fail
    result = pull(source, path, hops=1)
    assert [(one.address, one.coverage is None) for one in result.addresses] == [
        (A, False),
        (B, True),
        (C, False),
    ]
    assert "invalid" in result.addresses[1].note
    with pytest.raises(RpcError):
        pull(source, path, B)
    source.before = lambda _: (_ for _ in ()).throw(NodeUnavailable("http://memory", why="gone", attempts=3))
    with pytest.raises(NodeUnavailable):
        pull(source, path, A, hops=1)
    assert coverage(path, C) == [Coverage(0, 100, complete=True, transfers=1)]


def test_an_error_leaves_the_ledger_as_it_was(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7)])
    pull(source, path)
    before = export(path)
    other = MemoryIndexer([pay(5, C, B, 9, branch="'"), pay(6, C, B, 1)], shown_url="http://other")
    with pytest.raises(LedgerConflict, match=r"http://other: block 5"):
        pull(other, path, C)
    assert export(path) == before
    assert coverage(path, C) == []
    assert rows(path, "SELECT count(*) FROM batch") == [(1,)]
    bad = MemoryIndexer([pay(7, D, B, 1)])
    bad.before = lambda _: (_ for _ in ()).throw(BadAnswer("http://memory", method="x", why="odd"))
    with pytest.raises(BadAnswer):
        pull(bad, path, D)
    assert export(path) == before


@pytest.mark.parametrize("moment", ["reading", "writing"])
def test_an_interrupt_ends_between_addresses(
    moment: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemoryIndexer([pay(1, A, B, 1), pay(2, C, D, 1)])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it

    def interrupt(address: str) -> None:
        if address == C and moment == "reading":
            os.kill(os.getpid(), signal.SIGINT)

    source.before = interrupt
    if moment == "writing":

        def cut(ledger: Any, *given: Any, **named: Any) -> None:
            if ledger.connection.execute("SELECT count(*) FROM batch").fetchall()[0][0]:
                os.kill(os.getpid(), signal.SIGINT)
            write_coverage(ledger, *given, **named)

        monkeypatch.setattr("datasets.pull.write_coverage", cut)
    result = pull(source, path, A, C, D)
    assert result.stopped
    assert [one.address for one in result.addresses] == [A]
    assert rows(path, "SELECT count(*) FROM transfer") == [(1,)]
    assert coverage(path, C) == []
    monkeypatch.undo()
    source.before = lambda _: None
    assert not pull(source, path, A, C, D).stopped
    assert rows(path, "SELECT count(*) FROM transfer") == [(2,)]


def test_what_a_node_told_whole_is_not_told_again(path: Path) -> None:
    node = MemoryChain()
    node.mine([], *([Pay(A, B, height)] for height in range(1, 10)))
    sync_chain(node, path, options=SyncOptions(last=9), tell=lambda _: None, code_version="1")
    before = export(path)
    source = MemoryIndexer(
        [pay(5, A, B, 99, position=7), pay(12, A, B, 1)],
        rejects={
            A: [FoundReject(6, name("r"), "too_large", "huge"), FoundReject(12, name("r"), "too_large", "x")]
        },
    )
    (one,) = pull(source, path).addresses
    assert (one.added, one.known, one.quarantined) == (1, 1, 1)
    assert before in export(path)
    assert rows(path, "SELECT height FROM quarantine") == [(12,)]
    assert faults(path) == []


@pytest.mark.parametrize("internal", ["none", "trace_block"])
def test_calls_are_taken_where_the_node_has_none(internal: str, path: Path) -> None:
    node = MemoryChain(internal=internal)
    node.mine([], *([Pay(A, B, height)] for height in range(1, 30)))
    sync_chain(node, path, options=SyncOptions(last=9), tell=lambda _: None, code_version="1")
    call = pay(5, B, A, 3, kind=Kind.INTERNAL, part=-9, position=None, hash_of="call")
    source = MemoryIndexer([call, pay(5, A, B, 99, position=7)])
    source.transfers = [moved(one, block_hash=None) for one in source.transfers]
    assert pull(source, path).addresses[0].added == (1 if internal == "none" else 0)
    assert faults(path) == []


def test_calls_are_taken_between_the_heights_that_were_traced(path: Path) -> None:
    blocks = ([], *([Pay(A, B, height)] for height in range(1, 30)))
    silent, tracing = MemoryChain(internal="none"), MemoryChain(internal="trace_block")
    silent.mine(*blocks)
    tracing.blocks = silent.blocks
    for node, first, last in ((tracing, 0, 3), (silent, 4, 6), (tracing, 7, 20)):
        options = SyncOptions(first=first, last=last)
        sync_chain(node, path, options=options, tell=lambda _: None, code_version="1")
    calls = [
        pay(height, B, A, 3, kind=Kind.INTERNAL, part=-height, position=None, hash_of=f"call {height}")
        for height in (5, 15)
    ]
    source = MemoryIndexer([moved(one, block_hash=None) for one in calls])
    assert pull(source, path).addresses[0].added == 1
    assert rows(path, "SELECT height FROM transfer WHERE kind = 'internal'") == [(5,)]


def test_who_shares_rows_with_a_reading_that_goes_is_read_again(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7), pay(6, B, C, 1), pay(7, A, B, 2)])
    pull(source, path, A, B)
    before = export(path)
    with open_ledger(path, write=True) as ledger:
        forget_batch(ledger, "1")
    assert coverage(path, B) == []
    pull(source, path, A, B)
    assert export(path) == before


def test_a_sync_over_pulled_heights_replaces_them(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7, position=3, branch="'"), pay(50, A, B, 1)])
    pull(source, path)
    node = MemoryChain()
    node.mine([], *([Pay(A, B, height)] for height in range(1, 10)))
    sync_chain(node, path, options=SyncOptions(last=9), tell=lambda _: None, code_version="1")
    assert rows(path, "SELECT transfers, replaced FROM batch WHERE layout = 'pull:memory'") == [(2, 1)]
    assert rows(path, "SELECT count(*) FROM transfer WHERE height = 5") == [(1,)]
    assert faults(path) == []


def test_what_was_taken_back_is_read_again(path: Path) -> None:
    source = MemoryIndexer([pay(5, A, B, 7)])
    pull(source, path)
    before = export(path)
    with open_ledger(path, write=True) as ledger:
        forget_batch(ledger, "1")
    assert coverage(path) == []
    assert rows(path, "SELECT count(*) FROM transfer") == [(0,)]
    assert pull(source, path).addresses[0].added == 1
    assert export(path) == before


def token(part: int, *, height: int = 5, amount: int = 7, hash_of: str = "t") -> Any:
    return pay(height, A, B, amount, asset=TOKEN, kind=Kind.TOKEN, part=part, hash_of=hash_of)


def parts(path: Path) -> list[int]:
    return [part for (part,) in rows(path, "SELECT part FROM transfer ORDER BY part")]


@pytest.mark.parametrize("placed_first", [True, False])
def test_transfers_without_a_place_give_way_to_those_with_one(placed_first: bool, path: Path) -> None:
    unplaced = MemoryIndexer(
        [token(-5), token(-6), token(-7, amount=8), token(-8, hash_of="u", height=6)], layout="pull:etherscan"
    )
    placed = MemoryIndexer([token(11), token(12), token(13)], layout="pull:logs")
    first, second = (placed, unplaced) if placed_first else (unplaced, placed)
    pull(first, path)
    (one,) = pull(second, path).addresses
    assert parts(path) == [-8, -7, 11, 12, 13]  # the two equal ones have their twins
    assert one.added == (2 if placed_first else 3)
    assert faults(path) == []
    before = export(path)
    pull(first, path, again=True)
    pull(second, path, again=True)
    assert export(path) == before


@pytest.mark.parametrize("placed_first", [True, False])
def test_equal_transfers_need_a_twin_each(placed_first: bool, path: Path) -> None:
    unplaced = MemoryIndexer([token(-5), token(-6), token(-7)], layout="pull:etherscan")
    placed = MemoryIndexer([token(11)], layout="pull:logs")
    for source in (placed, unplaced) if placed_first else (unplaced, placed):
        pull(source, path)
    assert len(parts(path)) == 3
    assert parts(path)[-1] == 11


def test_a_file_places_what_was_pulled_without_a_place(path: Path) -> None:
    pull(MemoryIndexer([token(-5), token(-6), token(-7, amount=8)], layout="pull:etherscan"), path)
    indexer = MemoryIndexer([token(11), token(12)])
    told = indexer.read_history(A, first=0, most=10).batch
    for name_of in ("a", "b"):
        with open_ledger(path, write=True) as ledger:
            source = Source(indexer.chain, "ethereum-etl", name_of, name_of)
            ingest_batches(ledger, [told], source=source, code_version="1")
        assert parts(path) == [-7, 11, 12]
    assert rows(path, "SELECT transfers, replaced, known FROM batch ORDER BY batch") == [
        (3, 2, 0),
        (2, 0, 0),
        (0, 0, 2),
    ]
    assert faults(path) == []


def test_freezes_and_what_is_set_aside_are_written_once(path: Path) -> None:
    freeze = FoundFreeze(7, 0, 2, START, name("f"), TOKEN.reference, A, frozen=True)
    reject = FoundReject(8, name("r"), "too_large", "token of more than 38 digits")
    source = MemoryIndexer([pay(5, A, B, 7)], freezes={A: [freeze]}, rejects={A: [reject]})
    assert pull(source, path).addresses[0].quarantined == 1
    source.transfers.append(pay(9, A, B, 1))
    assert pull(source, path, again=True).addresses[0].quarantined == 0
    assert rows(path, "SELECT height, frozen FROM freeze_event") == [(7, True)]
    assert rows(path, "SELECT height, reason FROM quarantine") == [(8, "too_large")]
    assert rows(path, "SELECT category FROM label") == [("frozen",)]
    assert faults(path) == []


def test_content_hashes_tell_contents_apart() -> None:
    one = MemoryIndexer([pay(5, A, B, 7), pay(9, A, B, 1)])
    same = MemoryIndexer(one.transfers[::-1])

    def read(source: MemoryIndexer) -> str:
        return content_hash(source.read_history(A, first=0, most=10).batch)

    assert read(one) == read(same)
    for other in (
        pay(5, A, B, 8),
        pay(5, A, C, 7),
        replace(pay(5, A, B, 7), part=1),
        pay(5, A, B, 7, asset=TOKEN),
        pay(5, A, B, 7, branch="'"),
    ):
        assert read(MemoryIndexer([other, one.transfers[1]])) != read(one)
    assert COIN.listed
