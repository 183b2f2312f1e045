"""The invariants: each broken on purpose in a good ledger and seen named, each near miss let pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from chains.errors import LedgerError
from chains.registry import find_chain
from datasets.blocks import NodeRun, commit_blocks
from datasets.check import CHECKS, CHECKS_FOLDER, VIEWS, Finding, LedgerReport, check_ledger, read_query
from datasets.store import Ledger
from tests.datasets.batches import Bad, Row, dump, ingest, memory_ledger
from tests.datasets.breaks import BREAKS, NEAR_MISSES, OF
from tests.datasets.random_chains import EVM, GOOD, START, UTXO, RandomChain

HEIGHTS = 40
UTXO_CHAIN, EVM_CHAIN = RandomChain(UTXO).grow(HEIGHTS, 7), RandomChain(EVM).grow(HEIGHTS, 7)


def sync(ledger: Ledger, node: RandomChain, first: int = 0, last: int | None = None, *, run: int = 1) -> None:
    """Commit blocks as following a node does; runs of another number have a custody record of their own."""
    started = NodeRun(node.chain, node.facts, START + timedelta(minutes=run), "test")
    last = node.head().height if last is None else last
    commit_blocks(ledger, started, node.read_blocks(first, last), head=node.head())


def good_ledger() -> Ledger:
    """Return a ledger of payments with repeats and overlaps, a UTXO chain and an account chain."""
    ledger = memory_ledger()
    ingest(ledger, [Row(hash=b"r"), Row(), Row(), Bad(), Row(minute=3, lossy=True)], name="one.csv")
    ingest(ledger, [Row(), Row(), Row(), Row(hash=b"q")], name="two.csv")
    for node in (UTXO_CHAIN, EVM_CHAIN):
        sync(ledger, node)
    return ledger


@pytest.fixture(scope="module")
def good() -> Iterator[Ledger]:
    with good_ledger() as ledger:
        ledger.connection.execute("SET threads = 1")  # a few rows: more of them only wait for each other
        yield ledger


@contextmanager
def changed(ledger: Ledger, statements: str) -> Iterator[Ledger]:
    """Change a ledger, and take the change back afterwards."""
    for name, query in OF.items():
        statements = statements.replace(name, query)
    ledger.connection.begin()
    try:
        ledger.connection.execute(statements)
        yield ledger
    finally:
        ledger.connection.rollback()


def broken(report: LedgerReport) -> set[str]:
    return {result.check for result in report.results if result.found}


def findings(report: LedgerReport, check: str) -> tuple[Finding, ...]:
    (result,) = (result for result in report.results if result.check == check)
    return result.first


def test_a_good_ledger_has_nothing_broken_and_stays_as_it_is(good: Ledger) -> None:
    before = dump(good)
    report = check_ledger(good)
    assert broken(report) == set()
    assert report.broken == 0
    assert report.chains == (UTXO.caip2, EVM.caip2, "payments:bank")
    assert len(report.results) == len(CHECKS)
    assert dump(good) == before


def test_every_file_of_a_check_is_run_and_says_in_a_comment_what_holds() -> None:
    assert {file.stem for file in CHECKS_FOLDER.glob("*.sql")} == {*CHECKS, *VIEWS}
    assert all(read_query(name).startswith("-- ") for name in (*CHECKS, *VIEWS))


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(good: Ledger, name: str) -> None:
    statements, expected, words = BREAKS[name]
    with changed(good, statements):
        report = check_ledger(good, names=expected)
    assert broken(report) == set(expected)
    assert any(words in finding.what for finding in findings(report, expected[0]))


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named_by_no_other_check(good: Ledger, name: str) -> None:
    with changed(good, BREAKS[name][0]):
        assert broken(check_ledger(good)) == set(BREAKS[name][1])


def test_every_check_is_seen_to_find_something() -> None:
    assert {expected[0] for _, expected, _ in BREAKS.values()} == set(CHECKS)


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_only_looks_broken_is_let_pass(good: Ledger, name: str) -> None:
    with changed(good, NEAR_MISSES[name]):
        assert broken(check_ledger(good)) == set()


def test_findings_name_places_in_text_and_are_cut_but_counted(good: Ledger) -> None:
    statements = """
        UPDATE leg SET amount = amount - 1 WHERE side = 'payee' AND amount > 0
        AND transfer IN (SELECT transfer FROM transfer WHERE kind = 'native' AND chain = {evm})
    """
    with changed(good, statements):
        report = check_ledger(good, shown=3)
        everything = check_ledger(good, shown=10_000)
    (result,) = (result for result in report.results if result.check == "value_created")
    (whole,) = (result for result in everything.results if result.check == "value_created")
    assert result.found == whole.found == len(whole.first) > 3
    assert result.first == whole.first[:3]
    first = result.first[0]
    (height, moved) = next(
        (height, moved)
        for height, _, moved in EVM_CHAIN.rows()
        if moved.kind == "native" and moved.payees[0][1]
    )
    assert moved.hash is not None
    assert (first.chain, first.height) == (EVM.caip2, height)
    hashes = {f"0x{m.hash.hex()}" for h, _, m in EVM_CHAIN.rows() if h == height and m.hash}
    assert {finding.hash for finding in whole.first if finding.height == height} <= hashes


def test_one_chain_can_be_checked_alone(good: Ledger) -> None:
    with changed(good, BREAKS["a block that is missing"][0]):
        assert check_ledger(good, chain=EVM).broken == 0
        assert check_ledger(good, chain=EVM).chains == (EVM.caip2,)
        (finding,) = findings(check_ledger(good, chain=UTXO), "block_gap")
    assert finding == Finding(UTXO.caip2, 17, None, None, "the block is not there")
    with pytest.raises(LedgerError, match=r"holds nothing of eip155:1: "):
        check_ledger(good, chain=find_chain("ethereum"))


def unjudged(ledger: Ledger) -> set[tuple[str, str, str]]:
    return {(one.chain, one.what, one.why) for one in check_ledger(ledger).unjudged}


def test_what_cannot_be_judged_is_said_with_the_reason(good: Ledger) -> None:
    found = unjudged(good)
    assert (
        "payments:bank",
        "gaps in 2 imports",
        "rows without heights cannot show what is missing between them",
    ) in found
    assert ("payments:bank", "the value of 1 row", "set aside: bad_amount") in found
    assert any(chain == EVM.caip2 and why.startswith("the token is not listed") for chain, _, why in found)
    assert not any(chain == UTXO.caip2 for chain, _, _ in found)


@pytest.mark.parametrize(
    ("node", "first", "forget", "why"),
    [
        (RandomChain(EVM, internal="none").grow(9, 1), 0, "", "internal calls were not read"),
        (RandomChain(EVM, unread=("state syncs",)).grow(9, 1), 0, "", "the node did not tell state syncs"),
        (RandomChain(EVM).grow(9, 1), 0, "genesis", "what accounts began with is not known"),
        (RandomChain(EVM).grow(9, 1), 2, "", "blocks from 0 on were not read"),
        (RandomChain(UTXO).grow(9, 1), 2, "", "blocks from 0 on were not read"),
    ],
)
def test_balances_are_not_judged_where_a_part_of_them_was_not_read(
    node: RandomChain, first: int, forget: str, why: str
) -> None:
    with memory_ledger() as ledger:
        sync(ledger, node, first=first)
        if forget:
            ledger.connection.execute("UPDATE transfer SET kind = 'reward' WHERE kind = 'genesis'")
        report = check_ledger(ledger)
        assert "negative_balance" not in broken(report)
        assert "spend" not in broken(report)
        assert any(why in one.why for one in report.unjudged)
        # The token of the contract can be judged all the same where its events were all read.
        said = [one.what for one in report.unjudged if GOOD.reference in one.what]
        assert bool(said) == (first > 0 and node.chain is EVM)
