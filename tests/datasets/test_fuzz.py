"""Broken files of every layout: no crash, no partial load, a clear line. `fuzzing` says what is looked at."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chains.errors import FileError
from datasets.ingest import ImportResult, import_file
from tests.datasets.batches import dump, memory_ledger
from tests.datasets.fuzzing import Tally, mutation, run_mutations
from tests.datasets.samples import LAYOUTS, Row, Sample, samples, write_sample

PROCESSES = 2
MANY = {**dict.fromkeys(LAYOUTS, 5000), "beside": 1000}


def check(tally: Tally) -> None:
    assert not tally.faults, "\n".join(tally.faults[:20])
    # The mutations are worth something: some load, some load in part, some are refused.
    assert tally.loaded > tally.mutations // 20
    assert tally.refused > tally.mutations // 20
    assert tally.set_aside > 0


@pytest.mark.parametrize("layout", MANY)
def test_broken_files_are_refused_or_read_and_never_by_halves(layout: str, tmp_path: Path) -> None:
    tally = run_mutations(layout, 0, MANY[layout] // 50, tmp_path)
    assert tally.mutations == MANY[layout] // 50
    check(tally)


@pytest.mark.slow
@pytest.mark.parametrize("layout", MANY)
def test_thousands_of_broken_files(layout: str, tmp_path: Path) -> None:
    share = MANY[layout] // PROCESSES
    runs = []
    for number in range(PROCESSES):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = [sys.executable, "-X", "faulthandler", "-m", "tests.datasets.fuzzing"]
        words += [layout, str(1000 + share * number), str(share), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        pipe = subprocess.PIPE
        runs.append((folder, subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=environment)))
    told = [(folder, process, *process.communicate()) for folder, process in runs]
    for folder, process, out, error in told:
        assert process.returncode == 0, (
            f"it died at {[file.name for file in folder.iterdir()]}: {error[-3000:]}"
        )
        tally = Tally(**json.loads(out))
        assert tally.mutations == share
        check(tally)


@pytest.mark.parametrize("layout", MANY)
def test_the_unbroken_files_load_whole_and_mutations_repeat(layout: str, tmp_path: Path) -> None:
    originals = samples(layout)
    assert mutation(originals, 7) == mutation(originals, 7)
    assert len({mutation(originals, number)[1] for number in range(20)}) > 15
    if layout == "beside":
        return
    for sample in originals:
        assert load(sample, sample.rows.to_pylist(), tmp_path).quarantined == 0


def load(sample: Sample, rows: list[Row], folder: Path) -> ImportResult:
    path = folder / f"file{sample.suffix}"
    path.write_bytes(write_sample(sample, rows))
    with memory_ledger() as ledger:
        return import_file(
            ledger, sample.layout, path, chain=sample.chain, mapping=sample.mapping, code_version="test"
        )


def set_place(name: str, value: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[1][name] = value

    return change


def set_leg(side: str, name: str, value: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[1][side][-1][name] = value

    return change


BEYOND = 2**31
ROWS_SET_ASIDE: dict[str, tuple[str, Callable[[list[Row]], None]]] = {
    "a position beyond 31 bits": ("bad_position", set_place("index", BEYOND)),
    "a position below 0": ("bad_position", set_place("index", -1)),
    "a height below 0": ("bad_height", set_place("block_number", -1)),
    "an output's index beyond 31 bits": ("bad_index", set_leg("outputs", "index", BEYOND)),
    "an output's index below 0": ("bad_index", set_leg("outputs", "index", -(2**63))),
    "two outputs of one index": ("bad_index", set_leg("outputs", "index", 0)),
    "a spent output's index beyond 31 bits": (
        "bad_input",
        set_leg("inputs", "spent_output_index", 2**63 - 1),
    ),
}


@pytest.mark.parametrize("name", ROWS_SET_ASIDE)
@pytest.mark.parametrize("layout", ["bitcoin-etl", "aws-btc"])
def test_a_number_that_fits_nothing_costs_its_row_alone(layout: str, name: str, tmp_path: Path) -> None:
    reason, change = ROWS_SET_ASIDE[name]
    for sample in samples(layout):
        rows = sample.rows.to_pylist()
        change(rows)
        path = tmp_path / f"file{sample.suffix}"
        path.write_bytes(write_sample(sample, rows))
        with memory_ledger() as ledger:
            result = import_file(ledger, layout, path, chain=sample.chain, code_version="test")
            found = ledger.connection.execute("SELECT row, reason FROM quarantine").fetchall()
        assert found == [(1, reason)], sample.suffix
        assert result.transfers == len(rows) - 1


def test_unsigned_columns_are_read_as_far_as_they_fit(tmp_path: Path) -> None:
    sample = samples("bitcoin-etl")[0]
    rows = sample.rows.to_pylist()
    rows[2]["block_timestamp"] = 2**64 - 1
    place = sample.rows.schema.get_field_index("block_timestamp")
    kinds = sample.rows.schema.set(place, pa.field("block_timestamp", pa.uint64()))
    unsigned = Sample(sample.layout, ".parquet", sample.chain, pa.Table.from_pylist(rows, kinds))
    result = load(unsigned, rows, tmp_path)
    assert (result.transfers, result.quarantined) == (7, 1)


def test_text_that_is_no_utf8_in_a_parquet_file_is_refused(tmp_path: Path) -> None:
    sample = samples("aws-btc")[0]
    data = write_sample(sample, sample.rows.to_pylist())
    name = sample.rows["block_hash"][0].as_py().encode()
    path = tmp_path / "damaged.parquet"
    path.write_bytes(data.replace(name[:10], b"\xff" * 10))
    with memory_ledger() as ledger:
        before = dump(ledger)
        with pytest.raises(FileError, match=r"damaged\.parquet: is truncated, damaged or not a Parquet file"):
            import_file(ledger, "aws-btc", path, chain=sample.chain, code_version="test")
        assert dump(ledger) == before


@pytest.mark.parametrize(
    "line", [b'{"hash": 99999999999999999999999}\n', b'{"hash": ' + b"[" * 100_000 + b"\n"]
)
def test_a_first_line_that_no_type_holds_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    path.write_bytes(line)
    with (
        memory_ledger() as ledger,
        pytest.raises(FileError, match=r"huge\.jsonl: is truncated, damaged, not JSON"),
    ):
        import_file(ledger, "bitcoin-etl", path, chain=samples("bitcoin-etl")[0].chain, code_version="test")
