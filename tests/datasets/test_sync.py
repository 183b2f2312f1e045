"""Following a node: stretches, reorganisations, failures, freezes, and turns for others."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from chains.errors import BadAnswer, BranchChanged, InputError, NodeUnavailable, WrongChain
from chains.ledger import BLOCK_SCHEMA
from chains.registry import find_chain
from datasets.blocks import Stretch, read_profiles, read_stretches
from datasets.check import check_ledger
from datasets.export import export_lines
from datasets.ingest import ImportResult, ingest_batches
from datasets.labels import label_rows
from datasets.status import read_status
from datasets.store import Ledger, open_ledger
from datasets.sync import SyncEvent, SyncOptions, SyncResult, missing_heights, sync_chain
from datasets.writing import Source, list_assets
from tests.datasets.batches import EURO, Row, make_batches
from tests.datasets.memory_chain import ETHEREUM, TOKEN, Block, Freeze, MemoryChain, Pay, Reject, make_blocks

A, B, C = (f"0x{digit * 40}" for digit in "abc")


def sync(chain: MemoryChain, path: Path, **options: object) -> SyncResult:
    events: list[SyncEvent] = []
    given = SyncOptions(poll_seconds=0.0, **options)  # type: ignore[arg-type]
    result = sync_chain(chain, path, options=given, tell=events.append, code_version="1")
    assert events[0].what == "planned"
    return result


def export(path: Path) -> bytes:
    with open_ledger(path) as ledger:
        return export_lines(ledger)


def control(chain: MemoryChain, folder: Path) -> bytes:
    path = folder / "control.duckdb"
    path.unlink(missing_ok=True)
    sync(MemoryChain(blocks=list(chain.blocks)), path)
    return export(path)


@pytest.fixture
def chain() -> MemoryChain:
    made = MemoryChain()
    made.mine([], *([Pay(A, B, height), Pay(B, C, height, TOKEN, "token")] for height in range(1, 30)))
    return made


def stretches(path: Path) -> tuple[Stretch, ...]:
    with open_ledger(path) as ledger:
        return read_stretches(ledger, ETHEREUM)


def test_a_chain_arrives_whole_with_its_custody_record(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    result = sync(chain, path)
    assert (result.first, result.last, result.blocks, result.transfers, result.legs) == (0, 29, 30, 58, 116)
    assert stretches(path) == (Stretch(0, 29),)
    with open_ledger(path) as ledger:
        batch = ledger.connection.execute(
            "SELECT layout, source, first_height, last_height, source_rows, transfers, legs FROM batch"
        ).fetchall()
        blocks = ledger.connection.execute("SELECT count(*), count(parent_hash) FROM block").fetchall()
        provisional = ledger.connection.execute(
            "SELECT min(height), count(*) FROM transfer WHERE provisional"
        ).fetchall()
    assert batch == [("node", "http://127.0.0.1:1", 0, 29, 30, 58, 116)]
    assert blocks == [(30, 30)]
    assert provisional == [(24, 12)]  # final is 29 - 6


def test_a_second_run_changes_nothing_and_asks_little(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    before, chain.reads = export(path), []
    assert sync(chain, path).blocks == 0
    assert chain.reads == []
    assert export(path) == before


@pytest.mark.parametrize("legs_per_commit", [1, 7, 1000])
def test_the_size_of_commits_does_not_matter(
    chain: MemoryChain, tmp_path: Path, legs_per_commit: int
) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, legs_per_commit=legs_per_commit)
    assert export(path) == control(chain, tmp_path)


def test_gaps_are_filled_in_any_order(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=20, last=22)
    sync(chain, path, first=5, last=9)
    assert stretches(path) == (Stretch(5, 9), Stretch(20, 22))
    sync(chain, path, first=10, last=12)
    assert stretches(path) == (Stretch(5, 12), Stretch(20, 22))
    chain.reads = []
    sync(chain, path, first=0)
    assert stretches(path) == (Stretch(0, 29),)
    assert not any(first <= 7 <= last or first <= 21 <= last for first, last in chain.reads)
    assert export(path) == control(chain, tmp_path)


def test_negative_from_counts_back_and_the_default_goes_on(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=-10)
    assert stretches(path) == (Stretch(20, 29),)
    chain.mine([Pay(C, A, 1)], [])
    sync(chain, path)
    assert stretches(path) == (Stretch(20, 31),)


@pytest.mark.parametrize("depth", [1, 2, 9, 29])
def test_a_reorganisation_leaves_only_the_new_branch(chain: MemoryChain, tmp_path: Path, depth: int) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    chain.reorganise(depth, *((Pay(C, A, 100 + i), Reject()) for i in range(depth + 1)))
    result = sync(chain, path)
    assert result.reorganisations == 1
    assert result.removed == 2 * depth
    assert export(path) == control(chain, tmp_path)


def test_a_shorter_branch_and_the_same_height_are_seen(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    chain.reorganise(5, [Pay(C, A, 7)])
    sync(chain, path)
    assert stretches(path) == (Stretch(0, 25),)
    assert export(path) == control(chain, tmp_path)
    chain.reorganise(1, [Pay(C, A, 8)], salt=2)
    sync(chain, path)
    assert export(path) == control(chain, tmp_path)


def test_a_fork_below_a_gap_takes_the_upper_stretch_away(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=0, last=12)
    sync(chain, path, first=20)
    chain.reorganise(22, *([Pay(C, A, 100 + i)] for i in range(22)))
    sync(chain, path)
    sync(chain, path, first=0)
    assert stretches(path) == (Stretch(0, 29),)
    assert export(path) == control(chain, tmp_path)


def test_a_fork_right_below_the_first_block_is_found(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=20)
    chain.reorganise(10, *([Pay(C, A, 100 + i)] for i in range(10)))
    sync(chain, path)
    assert stretches(path) == (Stretch(20, 29),)


def test_a_node_of_another_past_is_refused(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=20)
    before = export(path)
    other = MemoryChain()
    other.mine([], *([Pay(B, A, height)] for height in range(1, 40)), salt=9)
    with pytest.raises(BadAnswer, match="none of the blocks 20 to 29"):
        sync(other, path)
    assert export(path) == before


def test_a_node_that_lags_takes_nothing_away(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    before = export(path)
    assert sync(MemoryChain(blocks=chain.blocks[:20]), path).blocks == 0
    assert export(path) == before


def test_a_reorganisation_while_reading_is_read_again(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"

    def reorganise_once(first: int, last: int) -> None:
        if last >= 10:
            chain.before_read = None
            chain.reorganise(25, *([Pay(C, A, 100 + i)] for i in range(26)))

    chain.before_read = reorganise_once
    sync(chain, path, legs_per_commit=1, readers=1)
    assert export(path) == control(chain, tmp_path)


def test_what_was_read_before_the_node_died_is_kept(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"

    def die(first: int, last: int) -> None:
        if first > 10:
            raise NodeUnavailable(chain.name, why="cut", attempts=1)

    chain.before_read = die
    with pytest.raises(NodeUnavailable):
        sync(chain, path, readers=1)
    assert stretches(path)[0].last >= 7
    chain.before_read = None
    sync(chain, path)
    assert export(path) == control(chain, tmp_path)


def test_a_node_that_contradicts_itself_is_given_up(chain: MemoryChain, tmp_path: Path) -> None:
    def lie(first: int, last: int) -> None:
        raise BranchChanged(chain.name, height=first)

    chain.before_read = lie
    with pytest.raises(BranchChanged):
        sync(chain, tmp_path / "ledger.duckdb")


def test_heights_that_make_no_sense_are_refused(chain: MemoryChain, tmp_path: Path) -> None:
    for options in (SyncOptions(last=30), SyncOptions(first=31), SyncOptions(first=9, last=8)):
        with pytest.raises(InputError, match=r"does not have block|above"):
            sync_chain(
                chain,
                tmp_path / "ledger.duckdb",
                options=options,
                tell=lambda event: None,
                code_version="1",
            )
    assert not (tmp_path / "ledger.duckdb").exists()


def test_a_freeze_is_a_label_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    chain = MemoryChain()
    chain.mine([], [Pay(A, B, 1, TOKEN, "token"), Freeze(B)], [Freeze(C)], [Freeze(C, frozen=False)], [])
    sync(chain, path)
    with open_ledger(path) as ledger:
        rows = label_rows(ledger).to_pylist()
        held = ledger.connection.execute(
            "SELECT account, withdrawn_at IS NULL FROM label JOIN address USING (address) ORDER BY account"
        ).fetchall()
    assert {row["category"] for row in rows} == {"frozen"}
    assert held == [(B, True), (C, False)]
    chain.reorganise(2, [], salt=3)
    sync(chain, path)
    with open_ledger(path) as ledger:
        held = ledger.connection.execute(
            "SELECT account, withdrawn_at IS NULL FROM label JOIN address USING (address) ORDER BY account"
        ).fetchall()
    assert held == [(B, True), (C, True)]


def test_following_takes_new_blocks_and_final_ones_are_settled(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    rounds = 0

    def tell(event: SyncEvent) -> None:
        nonlocal rounds
        if event.what == "following":
            rounds += 1
            if rounds == 4:
                raise KeyboardInterrupt
            chain.mine([Pay(C, A, rounds)])

    with pytest.raises(KeyboardInterrupt):
        sync_chain(
            chain,
            path,
            options=SyncOptions(follow=True, poll_seconds=0.0),
            tell=tell,
            code_version="1",
        )
    assert stretches(path) == (Stretch(0, 32),)
    assert export(path) == control(chain, tmp_path)
    with open_ledger(path) as ledger:
        lowest = ledger.connection.execute("SELECT min(height) FROM transfer WHERE provisional").fetchall()
    assert lowest == [(27,)]


def test_rows_of_files_at_the_same_heights_are_replaced(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with open_ledger(path, write=True) as ledger:
        batch = make_blocks(chain.blocks[3:6], 3)
        ingest_batches(ledger, [batch], source=Source(ETHEREUM, "aws-eth", "f", "00"), code_version="1")
    sync(chain, path)
    assert export(path) == control(chain, tmp_path)
    with open_ledger(path) as ledger:
        counts = ledger.connection.execute(
            "SELECT layout, transfers, replaced FROM batch ORDER BY batch"
        ).fetchall()
    assert counts == [("aws-eth", 6, 6), ("node", 58, 0)]


def test_status_tells_of_the_node(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, last=20)
    status = read_status(path)
    assert status is not None
    node = status.chains[0].node
    assert node is not None
    assert (node.height, node.final_height, node.url) == (29, 23, "http://127.0.0.1:1")
    assert status.chains[0].stretches == [[0, 20]]


def test_missing_heights_are_those_of_no_stretch() -> None:
    held = (Stretch(5, 9), Stretch(20, 22))
    assert missing_heights(held, 0, 25) == (Stretch(0, 4), Stretch(10, 19), Stretch(23, 25))
    assert missing_heights(held, 6, 21) == (Stretch(10, 19),)
    assert missing_heights(held, 5, 9) == ()
    assert missing_heights((), 3, 3) == (Stretch(3, 3),)


def test_two_chains_do_not_touch_each_other(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    other = MemoryChain(chain=find_chain("polygon"), blocks=list(chain.blocks))
    sync(other, path)
    chain.reorganise(9, *([Pay(C, A, 100 + i)] for i in range(9)))
    sync(chain, path)
    with open_ledger(path) as ledger:
        counts = ledger.connection.execute(
            "SELECT caip2, count(*) FROM transfer JOIN chain USING (chain) GROUP BY caip2 ORDER BY caip2"
        ).fetchall()
    assert counts == [("eip155:1", 49), ("eip155:137", 58)]


def loose_file(ledger: Ledger, rows: list[Row], name: str) -> ImportResult:
    source = Source(ETHEREUM, "payments", name, name)
    return ingest_batches(ledger, make_batches(rows), source=source, code_version="1")


def counting(path: Path) -> list[tuple[bool, int]]:
    """Whether each transfer that counts came from a block, with how many there are."""
    with open_ledger(path) as ledger:
        return ledger.connection.execute(
            "SELECT height IS NOT NULL, count(*) FROM transfer WHERE NOT duplicate GROUP BY 1 ORDER BY 1"
        ).fetchall()


@pytest.mark.parametrize("file_first", [True, False])
def test_a_payment_of_a_file_counts_once_beside_its_block(tmp_path: Path, file_first: bool) -> None:
    path = tmp_path / "ledger.duckdb"
    chain = MemoryChain(final_depth=0)
    chain.mine([], [Pay(A, B, 5, EURO), Pay(B, C, 6, EURO)], [])
    tx = [make_blocks(chain.blocks, 0).transfers["hash"][i].as_py() for i in (0, 1)]
    told = Row(((A, 5),), ((B, 5),), hash=tx[0], minute=9)
    rows = [told, told, replace(told, payees=((C, 5),)), replace(told, hash=b"\1" * 32)]
    for step in (0, 1) if file_first else (1, 0):
        if step == 0:
            with open_ledger(path, write=True) as ledger:
                loose_file(ledger, rows, "a")
        else:
            sync(chain, path)
    # Of two equal rows one is the block's; another payee or another hash is another payment.
    assert counting(path) == [(False, 3), (True, 2)]
    chain.reorganise(2, [], [])
    sync(chain, path)
    assert counting(path) == [(False, 4)]


def test_a_file_that_tells_more_often_than_an_earlier_one_adds_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    one = Row(hash=b"\1" * 32)
    with open_ledger(path, write=True) as ledger:
        first = loose_file(ledger, [one, one], "a")
        second = loose_file(ledger, [replace(one, minute=5)] * 3, "b")
        assert (first.duplicate, second.duplicate) == (0, 2)
        bank = [Row(hash=b"rent", minute=minute) for minute in (1, 2)]
        assert [loose_file(ledger, [row], str(i)).duplicate for i, row in enumerate(bank)] == [0, 0]


@pytest.mark.parametrize(("internal", "kept"), [("none", 2), ("callTracer", 1)])
def test_what_a_node_cannot_tell_is_kept_from_files(tmp_path: Path, internal: str, kept: int) -> None:
    path = tmp_path / "ledger.duckdb"
    chain = MemoryChain(internal=internal)
    chain.mine([Pay(A, B, 1)])
    told = [Pay(None, A, 9, kind="genesis"), Pay(A, C, 9, kind="internal"), Pay(B, C, 9)]
    write_file(path, [Block(tuple(told), b"", 0)], 0, named=False)
    sync(chain, path)
    assert held_of_files(path) == kept
    other = tmp_path / "other.duckdb"  # a file of another block 0 is of another branch: nothing of it stays
    write_file(other, [Block(tuple(told), b"", 0)], 0)
    sync(chain, other)
    assert held_of_files(other) == 0


def write_file(
    path: Path, blocks: list[Block], first: int, *, named: bool = True, name: str = "f", moved: int = 0
) -> ImportResult:
    """Import blocks as a file of them: with or without their hashes, transfers moved to other positions."""
    batch = make_blocks(blocks, first)
    place = batch.transfers.schema.get_field_index("position")
    positions = pc.add(batch.transfers["position"], moved).cast(batch.transfers.schema.field(place).type)
    batch = replace(batch, transfers=batch.transfers.set_column(place, "position", positions))
    if not named:
        place = batch.transfers.schema.get_field_index("block_hash")
        empty = pa.nulls(batch.transfers.num_rows, batch.transfers.schema.field(place).type)
        batch = replace(batch, transfers=batch.transfers.set_column(place, "block_hash", empty))
    with open_ledger(path, write=True) as ledger:
        source = Source(ETHEREUM, "file", name, name)
        return ingest_batches(
            ledger, [replace(batch, blocks=BLOCK_SCHEMA.empty_table())], source=source, code_version="1"
        )


def held_of_files(path: Path) -> int:
    with open_ledger(path) as ledger:
        query = "SELECT count(*) FROM transfer JOIN batch USING (batch) WHERE layout = 'file'"
        return int(ledger.connection.execute(query).fetchall()[0][0])


def test_a_reorganisation_leaves_what_files_say_beyond_it(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, last=10)
    write_file(path, chain.blocks[20:], 20)
    assert held_of_files(path) == 20
    fork = MemoryChain(blocks=list(chain.blocks))
    fork.reorganise(20, [Pay(C, A, 7)])
    sync(fork, path)
    assert held_of_files(path) == 20
    assert stretches(path) == (Stretch(0, 10),)


def test_a_file_adds_nothing_to_what_a_node_told_whole(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, last=10)
    before = export(path)
    same = write_file(path, [chain.blocks[5]], 5)
    assert (same.transfers, same.known, same.quarantined) == (0, 2, 0)
    forged = write_file(path, [chain.blocks[5]], 5, name="g", moved=77)
    assert (forged.transfers, forged.known, forged.quarantined) == (0, 0, 2)
    assert export(path) == before
    assert write_file(path, [chain.blocks[11]], 11, name="h").transfers == 2
    with open_ledger(path) as ledger:
        found = ledger.connection.execute("SELECT row, reason, detail FROM quarantine").fetchall()
        assert found == [
            (0, "not_in_block", "a node read block 5 whole, and no such native transfer is in it"),
            (1, "not_in_block", "a node read block 5 whole, and no such token transfer is in it"),
        ]
        faults = {result.check for result in check_ledger(ledger).results if result.found}
        assert not faults - {"negative_balance"}  # of nobody is it known what they began with


def unjudged(path: Path) -> list[str]:
    with open_ledger(path) as ledger:
        return [one.why for one in check_ledger(ledger).unjudged]


def test_blocks_read_without_calls_are_read_again_where_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    silent, tracing = MemoryChain(internal="none"), MemoryChain(internal="trace_block")
    silent.mine([], *([Pay(A, B, height)] for height in range(1, 20)))
    tracing.blocks = silent.blocks
    sync(silent, path, last=9)
    sync(tracing, path)
    assert not [span for span in tracing.reads if span[0] < 10]
    before = export(path)
    assert sync(tracing, path, first=5).blocks == 5
    assert "internal calls were not read" in unjudged(path)
    assert sync(tracing, path, first=0).blocks == 5
    assert "internal calls were not read" not in unjudged(path)
    assert sync(tracing, path, first=0).blocks == 0
    assert export(path) == before
    assert stretches(path) == (Stretch(0, 19),)


def test_an_end_below_the_last_stretch_is_no_silence(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, first=20)
    with pytest.raises(InputError, match="begins at block 20, above --to 10: say with --from"):
        sync(chain, path, last=10)


def test_tokens_of_the_ledger_are_listed_later(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    with open_ledger(path, write=True) as ledger:
        ledger.connection.execute("UPDATE asset SET listed = FALSE WHERE reference LIKE 'erc20:%'")
        word = TOKEN.reference.removeprefix("erc20:")
        assert [list_assets(ledger, ETHEREUM, [text]) for text in (word, word, C)] == [1, 0, 0]
        with pytest.raises(InputError, match="names no token of ethereum"):
            list_assets(ledger, ETHEREUM, ["TETHER"])
        query = "SELECT count(*) FROM asset WHERE NOT listed"
        assert ledger.connection.execute(query).fetchall() == [(0,)]


def test_a_node_with_another_first_block_serves_another_chain(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path)
    before = export(path)
    other = MemoryChain()
    other.mine([Pay(A, B, 1)], [Pay(A, B, 2)])
    with pytest.raises(WrongChain, match="begins with another block"):
        sync(other, path)
    assert export(path) == before


def test_an_event_profile_is_said_once(chain: MemoryChain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    sync(chain, path, last=3, profiles={A: "tether"})
    sync(chain, path, profiles={B: "weth"})
    with open_ledger(path) as ledger:
        assert read_profiles(ledger, ETHEREUM) == {A: "tether", B: "weth"}
        assert read_profiles(ledger, find_chain("polygon")) == {}
