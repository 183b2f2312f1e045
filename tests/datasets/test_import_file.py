import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chains.errors import ColumnError, FileError
from chains.files.layouts import PaymentMapping
from chains.registry import find_chain
from datasets.export import export_rows
from datasets.ingest import ImportResult, import_file
from datasets.store import SCHEMA_FOLDER, Ledger, open_ledger
from tests.datasets.batches import BANK, Row, dump, ingest, memory_ledger

HEADER = "when,from,to,sum,note\n"
ROWS = (
    "2023-01-01T10:00:00Z,alice,bob,10.50,rent\n"
    "2023-01-01T10:00:00Z,alice,bob,10.50,rent\n"
    "2023-01-02T09:30:00Z,bob,carol,0.01,\n"
    "2023-01-02T09:31:00Z,bob,carol,minus one,\n"
)
MAPPING = PaymentMapping.parse(
    ["time=when", "payer=from", "payee=to", "amount=sum", "currency=@EUR", "reference=note"]
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as opened:
        yield opened


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def load(ledger: Ledger, path: Path, mapping: PaymentMapping | None = MAPPING) -> ImportResult:
    return import_file(ledger, "payments", path, chain=BANK, mapping=mapping, code_version="test")


def test_a_payment_file_arrives_with_its_custody_record(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path / "pay.csv", HEADER + ROWS)
    result = load(ledger, path)
    assert (result.source, result.source_rows, result.transfers, result.legs) == ("pay.csv", 4, 3, 6)
    assert (result.repeated, result.quarantined) == (1, 1)
    assert result.sums == {"iso4217:EUR": 2101}
    custody = ledger.connection.execute("SELECT source, length(sha256), mapping FROM batch").fetchall()
    assert custody == [("pay.csv", 64, MAPPING.as_json())]
    (reason,) = ledger.connection.execute("SELECT row, reason FROM quarantine").fetchall()
    assert reason == (3, "bad_amount")
    first = export_rows(ledger).to_pylist()[0]
    assert [(leg["side"], leg["account"], int(leg["amount"])) for leg in first["legs"]] == [
        ("payer", "alice", 1050),
        ("payee", "bob", 1050),
    ]


def test_the_same_bytes_under_another_name_change_nothing(ledger: Ledger, tmp_path: Path) -> None:
    first = load(ledger, write(tmp_path / "pay.csv", HEADER + ROWS))
    before = dump(ledger)
    again = load(ledger, write(tmp_path / "copy.csv", HEADER + ROWS))
    assert again == replace(first, source="copy.csv", already_imported=True)
    assert dump(ledger) == before


def test_a_longer_edition_of_a_file_adds_only_its_new_rows(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, write(tmp_path / "pay.csv", HEADER + ROWS))
    more = "2023-01-03T08:00:00Z,carol,dave,2,\n"
    result = load(ledger, write(tmp_path / "pay2.csv", HEADER + more + ROWS))
    assert (result.transfers, result.duplicate, result.sums) == (4, 3, {"iso4217:EUR": 200})
    with open_ledger(tmp_path / "other.duckdb", write=True) as other:
        load(other, tmp_path / "pay2.csv")
        load(other, tmp_path / "pay.csv")
        assert export_rows(other).equals(export_rows(ledger))


def test_progress_ends_at_the_number_of_rows(ledger: Ledger, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = write(tmp_path / "pay.csv", HEADER + ROWS)
    import_file(
        ledger,
        "payments",
        path,
        chain=BANK,
        mapping=MAPPING,
        progress=lambda done, total: seen.append((done, total)),
        code_version="test",
    )
    assert seen[-1] == (4, 4)


def test_files_that_cannot_be_read_are_named_and_change_nothing(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, write(tmp_path / "pay.csv", HEADER + ROWS))
    before = dump(ledger)
    with pytest.raises(FileError, match=r"absent\.csv"):
        load(ledger, tmp_path / "absent.csv")
    with pytest.raises(FileError, match="cannot be read"):
        load(ledger, tmp_path)
    with pytest.raises(ColumnError, match="sum"):
        load(ledger, write(tmp_path / "wrong.csv", HEADER.replace("sum", "amount") + ROWS))
    table = pa.table(
        {"when": ["2023-01-01T10:00:00Z"], "from": ["a"], "to": ["b"], "sum": ["1"], "note": ["x"]}
    )
    whole = tmp_path / "whole.parquet"
    pq.write_table(table, whole)
    (tmp_path / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(FileError, match=r"cut\.parquet"):
        load(ledger, tmp_path / "cut.parquet")
    assert dump(ledger) == before
    assert load(ledger, whole).transfers == 1


def test_a_file_that_breaks_off_in_mid_stream_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, write(tmp_path / "pay.csv", HEADER + ROWS))
    before = dump(ledger)
    lines = "".join(f"2023-02-01T10:00:00Z,alice,bob,{n}.5,\n" for n in range(200_000))
    packed = gzip.compress((HEADER + lines).encode(), compresslevel=1)
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(packed[: len(packed) * 9 // 10])
    seen: list[int] = []
    with pytest.raises(FileError, match=r"cut\.csv\.gz"):
        import_file(
            ledger,
            "payments",
            path,
            chain=BANK,
            mapping=MAPPING,
            progress=lambda done, total: seen.append(done),
            code_version="test",
        )
    assert dump(ledger) == before


def test_a_file_that_changes_while_it_is_read_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path / "pay.csv", HEADER + ROWS)
    before = dump(ledger)

    def append(done: int, total: int) -> None:
        with path.open("a") as file:
            file.write("2023-01-05T08:00:00Z,carol,dave,2,\n")

    with pytest.raises(FileError, match="written to while it was read"):
        import_file(
            ledger, "payments", path, chain=BANK, mapping=MAPPING, progress=append, code_version="test"
        )
    assert dump(ledger) == before


IMPORT = """
    import os, resource, signal
    from pathlib import Path
    from chains.address import find_chain
    from chains.errors import LedgerError
    from chains.files.layouts import PaymentMapping, read_layout
    from datasets.ingest import ingest_batches
    from datasets.writing import Source
    from datasets.store import open_ledger

    chain = find_chain("payments:bank")
    mapping = PaymentMapping(MAPPING)
    batches = read_layout("payments", Path(CSV), chain=chain, mapping=mapping, rows_per_batch=100_000)

    def write(batches):
        source = Source(chain, "payments", "pay.csv", "hash")
        with open_ledger(Path(LEDGER), write=True) as ledger:
            ingest_batches(ledger, batches, source=source, code_version="test", legs_at_once=1)
"""

KILLED = """
    def die_late():
        yield next(batches)
        print(Path(LEDGER).stat().st_size, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    write(die_late())
"""

FULL = """
    room = Path(LEDGER).stat().st_size + 1_000_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        write(batches)
    except LedgerError as error:
        print(error)
"""


def import_elsewhere(script: str, ledger: Path, csv: Path) -> "subprocess.CompletedProcess[str]":
    """Run an import in a process of its own, by a script that goes on from IMPORT."""
    names = f"LEDGER, CSV, MAPPING = {str(ledger)!r}, {str(csv)!r}, {dict(MAPPING.columns)!r}\n"
    code = names + textwrap.dedent(IMPORT) + textwrap.dedent(script)
    environment = {**os.environ, "PYTHONPATH": str(SCHEMA_FOLDER.parents[1])}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


def write_large(path: Path) -> Path:
    """Write more rows than DuckDB keeps back before it writes into the ledger's file."""
    line = "2023-02-01T10:00:00Z,payer {},payee {},{}.5,note {}\n".format
    return write(path, HEADER + "".join(line(n % 999, n % 997, n, n) for n in range(110_000)))


def test_a_killed_import_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    path, csv = tmp_path / "ledger.duckdb", write_large(tmp_path / "pay.csv")
    with open_ledger(path, write=True) as ledger:
        ingest(ledger, [Row()], name="first")
        before = dump(ledger)
    size = path.stat().st_size
    run = import_elsewhere(KILLED, path, csv)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert int(run.stdout) > size  # rows were on their way to the disk
    with open_ledger(path) as ledger:
        assert dump(ledger) == before
    with open_ledger(path, write=True) as ledger:
        assert load(ledger, csv).transfers == 110_000


def test_a_full_disk_is_named_and_the_ledger_is_as_it_was(tmp_path: Path) -> None:
    path, csv = tmp_path / "ledger.duckdb", write_large(tmp_path / "pay.csv")
    with open_ledger(path, write=True) as ledger:
        ingest(ledger, [Row()], name="first")
        before = dump(ledger)
    run = import_elsewhere(FULL, path, csv)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"the ledger {path} could not be written (")
    assert "File too large" in run.stdout
    with open_ledger(path) as ledger:
        assert dump(ledger) == before


def test_a_file_read_another_way_is_refused_and_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path / "pay.csv", HEADER + ROWS)
    load(ledger, path)
    before = dump(ledger)
    swapped = dict(MAPPING.columns)
    swapped["payer"], swapped["payee"] = swapped["payee"], swapped["payer"]
    with pytest.raises(FileError, match="count twice"):
        load(ledger, path, PaymentMapping(swapped))
    assert dump(ledger) == before


def test_a_genesis_is_known_by_its_accounts(tmp_path: Path) -> None:
    """Files number the accounts in their own ways: one names empty ones, another does not."""
    ethereum = find_chain("ethereum")

    def genesis(name: str, **amounts: int) -> Path:
        alloc = {"0x" + account * 40: {"balance": amount} for account, amount in amounts.items()}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"alloc": alloc}), "utf-8")
        return path

    with memory_ledger() as ledger:

        def imported(path: Path) -> tuple[int, int]:
            done = import_file(ledger, "genesis", path, chain=ethereum, code_version="test")
            return done.transfers, done.known

        assert imported(genesis("first", a=100, b=0, c=300)) == (2, 0)
        assert imported(genesis("same", a=100, c=300)) == (0, 2)
        before = dump(ledger)
        for name, other in (("more", {"a": 100, "b": 200, "c": 300}), ("less", {"a": 1, "c": 300})):
            with pytest.raises(FileError, match=f"{name}.json: .*silkscreen ledger forget 1"):
                imported(genesis(name, **other))
            assert dump(ledger) == before
