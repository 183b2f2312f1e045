from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chains.errors import FileError
from datasets.status import LabelStatus, ledger_status, read_status, status_path, write_status
from datasets.store import Ledger, newest_schema, open_ledger
from tests.datasets.batches import BITCOIN, COIN, START, Bad, Row, ingest
from tests.datasets.test_store import end, hold


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as opened:
        yield opened


def fill(ledger: Ledger) -> None:
    ingest(ledger, [Row(), Row(), Row(minute=5, lossy=True), Bad(), Bad(), Bad("too_large")], name="first")
    ingest(ledger, [Row(), Row(minute=7, payees=(("c", 2), ("d", 3)))], name="second")
    ingest(ledger, [Row(height=9, position=0, hash=b"x", asset=COIN.reference)], name="third", chain=BITCOIN)


def test_an_empty_ledger_holds_nothing(ledger: Ledger) -> None:
    status = ledger_status(ledger)
    assert (status.chains, status.batches, status.labels, status.prices) == ((), (), (), 0)
    assert (status.quarantine, status.label_rejections) == ({}, {})
    assert status.schema_version == newest_schema()


def test_everything_is_counted_by_chain_batch_and_reason(ledger: Ledger) -> None:
    fill(ledger)
    status = ledger_status(ledger)
    bitcoin, bank = status.chains
    assert (bitcoin.caip2, bitcoin.name, bitcoin.simulated) == (BITCOIN.caip2, "bitcoin", False)
    assert (bitcoin.transfers, bitcoin.legs, bitcoin.addresses) == (1, 2, 2)
    assert (bitcoin.first_height, bitcoin.last_height) == (9, 9)
    assert (bank.transfers, bank.legs, bank.addresses) == (5, 11, 4)
    assert (bank.first_height, bank.first_time, bank.last_time) == (None, START, START + timedelta(minutes=7))
    assert (bank.lossy, bank.repeated, bank.duplicate, bank.provisional) == (1, 1, 1, 0)
    assert status.quarantine == {"bad_amount": 2, "too_large": 1}
    first, second, third = status.batches
    assert (first.source, first.chain, first.source_rows, first.quarantined) == (
        "first",
        "payments:bank",
        6,
        3,
    )
    assert (second.duplicate, second.transfers, second.loose) == (1, 2, True)
    assert (third.chain, third.first_height, third.loose) == (BITCOIN.caip2, 9, False)
    assert abs(third.imported_at - status.counted_at) < timedelta(minutes=5)


def test_labels_are_counted_by_source_and_category(ledger: Ledger) -> None:
    for number, (source, category, withdrawn) in enumerate(
        [
            ("list", "mixer", None),
            ("list", "mixer", START),
            ("list", "exchange", None),
            ("other", "mixer", None),
        ]
    ):
        ledger.connection.execute(
            """
            INSERT INTO label (label, label_file, position, chain, address, category, entity, name, source,
                               reference, confidence, recorded_at, withdrawn_at, licence, may_export,
                               may_train, cluster_definer, programmes)
            VALUES ($1, 1, '', 1, 1, $2, '', '', $3, '', 1, $4, $5, '', TRUE, TRUE, FALSE, [])
            """,
            [number, category, source, START, withdrawn],
        )
    assert ledger_status(ledger).labels == (
        LabelStatus("list", "exchange", 1, 0),
        LabelStatus("list", "mixer", 2, 1),
        LabelStatus("other", "mixer", 1, 0),
    )


def test_the_status_file_gives_back_what_was_counted(ledger: Ledger) -> None:
    assert read_status(ledger.path) is None
    fill(ledger)
    written = write_status(ledger)
    assert read_status(ledger.path) == written
    assert replace(ledger_status(ledger), counted_at=written.counted_at) == written
    names = {file.name for file in ledger.path.parent.iterdir()}
    assert names <= {"ledger.duckdb", "ledger.duckdb.wal", "ledger.duckdb.status.json"}
    assert '"first_time": "2023-01-01T00:00:00Z"' in status_path(ledger.path).read_text()


def test_the_status_is_readable_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with open_ledger(path, write=True) as ledger:
        fill(ledger)
        written = write_status(ledger)
    holder = hold(path, write=True, seconds=60)
    try:
        assert read_status(path) == written
    finally:
        end(holder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"counted_at": 3}', b'{"chains": [], "counted_at": "x"}']
)
def test_a_damaged_status_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.duckdb.status.json").write_bytes(content)
    with pytest.raises(FileError, match=r"ledger\.duckdb\.status\.json: is no ledger status"):
        read_status(tmp_path / "ledger.duckdb")


def test_times_are_naive_utc(ledger: Ledger) -> None:
    fill(ledger)
    write_status(ledger)
    status = read_status(ledger.path)
    assert status is not None
    assert isinstance(status.counted_at, datetime)
    assert status.counted_at.tzinfo is None
    assert status.chains[1].first_time == START
