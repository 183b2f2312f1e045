"""Files broken at random, by seed, and imported into one ledger: what may happen, and what may not.

    python -m tests.datasets.fuzzing LAYOUT FIRST COUNT [FOLDER]

runs the mutations FIRST to FIRST + COUNT - 1; the one that is tried lies in the folder meanwhile.

A file that cannot be read ends in one of our own errors, in one line that names it, and leaves the ledger
as it was. Whatever is read from a broken file, the ledger's invariants hold.
"""

import gzip
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chains.errors import FileError, LedgerConflict
from chains.files.beside import Beside
from datasets.check import check_ledger
from datasets.ingest import ImportResult, import_file
from datasets.store import Ledger
from tests.datasets.batches import digest, memory_ledger
from tests.datasets.samples import Row, Sample, samples, write_sample

A_LEDGER = 150
"""Files that are loaded into one ledger before its invariants are checked and a new one is begun."""

HOLD = (
    *("leg_without_transfer", "transfer_without_legs", "transfer_number_twice", "leg_twice"),
    *("amount_out_of_range", "sides", "value_created", "orphan_id", "address_twice", "address_key"),
    *("key_twice", "marks", "set_aside_too", "batch_counts", "provisional"),
)
"""Invariants that hold whatever a file says. (What it says of other transactions may be false.)"""

ONE_EACH = ("bitcoin-etl", "aws-btc", "payments")
"""Layouts of which each row makes one transfer or is set aside."""

STRANGE: tuple[Any, ...] = (
    *(
        "",
        " ",
        "\0",
        "\x1b[31mred",
        "line\nbreak",
        "null",
        "None",
        "NaN",
        "inf",
        "-1",
        "-0",
        "+5",
        "1e400",
        "1e-400",
    ),
    *(
        "9" * 400,
        "9" * 38,
        "1" + "0" * 38,
        "0x",
        "0xzz",
        "0x" + "f" * 64,
        "0x" + "f" * 65,
        "1_000",
        "1,5",
        "٣",
    ),
    *("2023-13-45T99:99:99", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31", "0"),
    *(
        "x" * 70_000,
        "'; DROP TABLE transfer; --",
        "\u202eright to left",
        "é\u0301",
        "\ufeffmark",
        "{}",
        "[",
        "[[]]",
    ),
    *(None, True, False, -1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 2**256, -(2**31), -(2**63)),
    *(0.5, -0.0, 1e15, 1e300, -1e300, 5e-324, math.nan, math.inf, -math.inf, b"", b"\xff\xfe", b"\0" * 40),
    *([], [None], [[]], {}, {"a": 1}, datetime.max, datetime(1, 1, 1), datetime(2262, 4, 12, tzinfo=UTC)),  # noqa: DTZ001, DTZ901
)


class FuzzFailure(AssertionError):
    """A broken file did what it may not."""


_NEEDLESS = ",".join(
    (
        *("join_order", "statistics_propagation", "compressed_materialization", "join_filter_pushdown"),
        *("column_lifetime", "build_side_probe_side", "cte_inlining", "late_materialization"),
    )
)
"""Steps of planning that cost more than they save where tables have a few rows."""


@dataclass
class Tally:
    """What became of the mutations."""

    mutations: int = 0
    loaded: int = 0
    set_aside: int = 0  # of these, files of which some rows were set aside
    refused: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def run_mutations(layout: str, first: int, count: int, folder: Path) -> Tally:
    """Import mutations of a layout's samples; a fault is named by the number that repeats it."""
    tally, started = Tally(), time.monotonic()
    originals = samples(layout)
    number, loaded = first, 0
    while number < first + count:
        with memory_ledger() as ledger:
            ledger.connection.execute(f"SET threads = 1; SET disabled_optimizers = '{_NEEDLESS}'")
            until = tally.loaded + A_LEDGER
            counted = _count(ledger)
            while number < first + count and tally.loaded < until:
                with collecting(tally, layout, number):
                    _try_one(ledger, originals, number, folder, tally, counted)
                number += 1
                if tally.loaded != loaded:
                    loaded, counted = tally.loaded, _count(ledger)
            with collecting(tally, layout, number):
                _check_invariants(ledger)
    tally.seconds = round(time.monotonic() - started, 1)
    return tally


@contextmanager
def collecting(tally: Tally, layout: str, number: int) -> Iterator[None]:
    """Write down what went wrong, and go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (whatever a broken file makes is what is looked for)
        tally.faults.append(f"{layout} {number}: {type(error).__name__}: {str(error)[:400]}")


def mutation(originals: list[Sample], number: int) -> tuple[Sample, bytes]:
    """Return one broken file; the number alone decides which."""
    chance = random.Random(f"{originals[0].layout} {number}")  # noqa: S311  (repeatable on purpose)
    sample = chance.choice(originals)
    names, rows = list(sample.rows.schema.names), sample.rows.to_pylist()
    packed = sample.suffix.endswith(".gz")
    how = chance.randrange(4)
    if how:
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            chance.choice(CHANGES)(chance, rows, names)
    data = write_sample(sample, rows, names)
    if how in (0, 3):
        inside = packed and chance.random() < 0.6
        data = gzip.decompress(data) if inside else data
        for _ in range(chance.choice((1, 1, 2, 5))):
            data = chance.choice(SPOILS)(chance, data)
        data = gzip.compress(data, 1) if inside else data
    return sample, data


def _try_one(
    ledger: Ledger, originals: list[Sample], number: int, folder: Path, tally: Tally, counted: Any
) -> None:
    """Import one broken file and look at what happened; `counted` is how many rows the ledger has."""
    sample, data = mutation(originals, number)
    path = folder / f"broken {number}{sample.suffix}"
    path.write_bytes(data)
    tally.mutations += 1
    before = digest(ledger) if number % 50 == 0 else None
    try:
        result = _load(ledger, sample, path, number)
    except (FileError, LedgerConflict) as error:
        tally.refused += not isinstance(error, LedgerConflict)
        tally.conflicts += isinstance(error, LedgerConflict)
        _check_message(str(error), path)
        if _count(ledger) != counted or (before is not None and digest(ledger) != before):
            raise FuzzFailure("the file was refused, and the ledger is another") from error
        return
    finally:
        path.unlink()
    tally.loaded += 1
    tally.set_aside += result.quarantined > 0
    _check_counts(sample, result)


def _load(ledger: Ledger, sample: Sample, path: Path, number: int) -> ImportResult:
    if sample.main is None:
        return import_file(
            ledger, sample.layout, path, chain=sample.chain, mapping=sample.mapping, code_version="test"
        )
    rows = [row | {"value": str(number)} for row in sample.main.rows.to_pylist()]
    main = path.with_name(f"whole beside broken {number}{sample.main.suffix}")
    main.write_bytes(write_sample(sample.main, rows))
    try:
        with Beside(sample.chain, {sample.table: [path]}, sample.layout) as beside:
            return import_file(
                ledger, sample.layout, main, chain=sample.chain, beside=beside, code_version="test"
            )
    finally:
        main.unlink()


def _count(ledger: Ledger) -> Any:
    """Return how many rows the tables have that an import writes."""
    return ledger.connection.execute(_COUNTS).fetchall()


_TABLES = ("transfer", "leg", "batch", "quarantine", "address", "asset", "block", "chain")
_COUNTS = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in _TABLES)  # noqa: S608


def _check_message(text: str, path: Path) -> None:
    if not text.isprintable() or not 10 < len(text) < 1000:
        raise FuzzFailure(f"no clear line: {text!r}")
    if path.stem.partition(".")[0] not in text:
        raise FuzzFailure(f"the file is not named: {text!r}")


def _check_counts(sample: Sample, result: ImportResult) -> None:
    told = result.transfers + result.known + result.quarantined
    if not result.already_imported and sample.layout in ONE_EACH and told != result.source_rows:
        raise FuzzFailure(f"{result.source_rows} rows, of which {told} are told of")


def _check_invariants(ledger: Ledger) -> None:
    report = check_ledger(ledger, names=HOLD, shown=2)
    if report.broken:
        found = [(result.check, result.first) for result in report.results if result.found]
        raise FuzzFailure(f"invariants are broken: {found}")


Chance = random.Random
Change = Callable[[Chance, list[Row], list[str]], None]
Spoil = Callable[[Chance, bytes], bytes]


def _drop_column(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if names:
        del names[chance.randrange(len(names))]


def _rename_column(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if names:
        names[chance.randrange(len(names))] = chance.choice(("", "hash", "value", "\x1b[2J", "x" * 3000, "é"))


def _double_column(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if names:
        names.append(chance.choice(names))


def _swap_columns(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if len(names) > 1:
        one, other = chance.sample(names, 2)
        for row in rows:
            row[one], row[other] = row.get(other), row.get(one)


def _retype_column(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if not names:
        return
    name = chance.choice(names)
    make = chance.choice((str, repr, _as_double, _as_count, _as_list, _as_record, bool, _as_bytes))
    for row in rows:
        row[name] = make(row.get(name))


def _as_double(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        return 1.5


def _as_count(value: Any) -> int:
    return int(_as_double(value)) if math.isfinite(_as_double(value)) else 0


def _as_list(value: Any) -> list[Any]:
    return [value]


def _as_record(value: Any) -> dict[str, Any]:
    return {"value": value}


def _as_bytes(value: Any) -> bytes:
    return str(value).encode()


def _strange_cell(chance: Chance, rows: list[Row], names: list[str]) -> None:
    """Put something strange into a cell, or deep inside one."""
    if not rows or not names:
        return
    place: Any = chance.choice(rows)
    key: Any = chance.choice(names)
    while isinstance(place.get(key) if isinstance(place, dict) else place[key], list | dict):
        inner = place[key]
        if not inner or chance.random() < 0.15:
            break
        place, key = inner, chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
    place[key] = chance.choice(STRANGE)


def _strange_column(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if names:
        name, value = chance.choice(names), chance.choice(STRANGE)
        for row in rows:
            row[name] = value


def _lose_cells(chance: Chance, rows: list[Row], names: list[str]) -> None:
    if names:
        name = chance.choice(names)
        for row in rows:
            if chance.random() < 0.5:
                row[name] = None


def _lose_field(chance: Chance, rows: list[Row], names: list[str]) -> None:
    """Take a field out of the records inside a column, of one row or of all."""
    nested = [name for name in names if rows and isinstance(rows[-1].get(name), list)]
    if not nested:
        return
    name = chance.choice(nested)
    lists = [row[name] for row in rows if isinstance(row.get(name), list)]
    records = [record for inside in lists for record in inside if isinstance(record, dict)]
    if not records:
        return
    lost = chance.choice(list(records[0]) or [""])
    for record in records if chance.random() < 0.7 else records[:1]:
        record.pop(lost, None)


def _repeat_rows(chance: Chance, rows: list[Row], names: list[str]) -> None:
    rows += [dict(row) for row in chance.choices(rows, k=chance.choice((1, 3, 40)))] if rows else []


def _shuffle_rows(chance: Chance, rows: list[Row], names: list[str]) -> None:
    chance.shuffle(rows)


def _lose_rows(chance: Chance, rows: list[Row], names: list[str]) -> None:
    del rows[chance.randrange(len(rows) + 1) :]


CHANGES: tuple[Change, ...] = (
    *(_strange_cell,) * 8,
    *(_drop_column, _rename_column, _double_column, _swap_columns, _retype_column, _retype_column),
    *(_strange_column, _lose_cells, _lose_field, _repeat_rows, _shuffle_rows, _lose_rows),
)


def _flip(chance: Chance, data: bytes) -> bytes:
    spoiled = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20)) if spoiled else 0):
        spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def _cut(chance: Chance, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _insert(chance: Chance, data: bytes) -> bytes:
    junk = chance.choice(
        (
            b"\0",
            b"\r",
            b"\n",
            b'"',
            b"\x1b[31m",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"9" * 5000,
            b"{",
            b",,,,",
            b"\xc3(",
        )
    )
    at = chance.randrange(len(data) + 1)
    return data[:at] + junk + data[at:]


def _remove(chance: Chance, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.choice((1, 4, 50)) :]


def _repeat(chance: Chance, data: bytes) -> bytes:
    at, size = chance.randrange(len(data) + 1), chance.choice((1, 30, 500))
    return data[: at + size] + data[at:]


def _blank(chance: Chance, data: bytes) -> bytes:
    at, size = chance.randrange(len(data) + 1), chance.choice((1, 8, 100))
    return data[:at] + chance.choice((b"\0", b"\xff", b" ")) * size + data[at + size :]


def _append(chance: Chance, data: bytes) -> bytes:
    return data + chance.choice((b"\0" * 9, b"\n", b"junk", data[:200], data))


SPOILS: tuple[Spoil, ...] = (_flip, _flip, _cut, _insert, _remove, _repeat, _blank, _append)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="silkscreen-fuzz-") as spare:
        asked = run_mutations(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path([*sys.argv, spare][4]))
    sys.stdout.write(json.dumps(asdict(asked)) + "\n")
