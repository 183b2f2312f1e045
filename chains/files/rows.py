"""Rows of a file, whatever its format: Parquet, CSV and TSV, JSON lines, the text ones also under gzip.

Every column of a CSV is text here: amounts must not pass through a double. Reading is a stream; what
cannot be read raises `FileError`, with the place where the file broke off where it is known.
"""

import gzip
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pa_parquet

from chains.deep_json import decode_exact
from chains.errors import ColumnError, FileError

_BLOCK_BYTES = 8 << 20
_PARQUET = (".parquet", ".pq")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_JSON = (".json", ".jsonl", ".ndjson")


def file_format(path: Path) -> str:
    """Return parquet, csv or json by the file's name (`.gz` set aside); raises `FileError` for another."""
    suffix = _suffix(path)
    if suffix in _PARQUET:
        return "parquet"
    if suffix in _SEPARATORS:
        return "csv"
    if suffix in _JSON:
        return "json"
    raise FileError(
        path, why="its name must end in .parquet, .csv, .tsv or .jsonl (the text ones also in .gz)"
    )


def file_schema(path: Path) -> pa.Schema:
    """Return the columns of a file: their types in Parquet, text in CSV, those of the first line in JSON.

    Raises `FileError` where it is absent, empty, truncated or of another format, `ColumnError` where two
    columns have one name.
    """
    if not path.exists():
        raise FileError(path, why="there is no such file")
    if path.is_dir():
        raise FileError(path, why="is a folder: name the files in it")
    kind = file_format(path)
    with _reading(path):
        if path.stat().st_size == 0:
            raise FileError(path, why="is empty")
        if kind == "parquet":
            with pa_parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
        elif kind == "csv":
            with _text_stream(path) as stream, _csv_reader(path, stream, None) as reader:
                schema = pa.schema([(name, pa.string()) for name in reader.schema.names])
        else:
            schema = _first_line_schema(path)
    doubled = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if doubled is not None:
        raise ColumnError(path, column=doubled, why="stands there twice: give each column its own name")
    return schema


def read_rows(
    path: Path, columns: Sequence[str], *, rows_per_batch: int, types: pa.Schema | None = None
) -> Generator[pa.RecordBatch, None, None]:
    """Read the named columns in the file's order, `rows_per_batch` rows at a time (the last may have fewer).

    `columns` are top-level names or dotted paths of fields inside structs and lists of structs; CSV has
    top-level ones only. `types` are the types to read JSON as. Raises `FileError` where the file breaks off.
    """
    kind = file_format(path)
    with _reading(path):
        if kind == "parquet":
            with pa_parquet.ParquetFile(path, pre_buffer=False) as file:
                wanted = _parquet_leaves(file, columns)
                yield from _rechunk(
                    _whole(file.iter_batches(batch_size=rows_per_batch, columns=wanted)), rows_per_batch
                )
        elif kind == "csv":
            with _text_stream(path) as stream, _csv_reader(path, stream, columns) as reader:
                yield from _rechunk(reader, rows_per_batch)
        else:
            with _text_stream(path) as stream:
                reader = pa_json.open_json(
                    stream,
                    read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES),
                    parse_options=pa_json.ParseOptions(
                        explicit_schema=types, unexpected_field_behavior="ignore"
                    ),
                )
                yield from _rechunk(_whole(reader), rows_per_batch)


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return "." + name.rpartition(".")[2] if "." in name else ""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the readers raise into a `FileError`, whose text does not quote the file as theirs may."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(path, why="is truncated or not a gzip file") from error
    except PermissionError as error:
        raise FileError(path, why="may not be read by this user") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        raise FileError(path, why=_why(path, str(error))) from error


def _why(path: Path, text: str) -> str:
    kind = file_format(path)
    if kind == "parquet":
        return "is truncated, damaged or not a Parquet file"
    if kind == "json":
        return "is truncated, damaged, not JSON lines, or holds another type of value than its layout"
    if "UTF8" in text or "utf-8" in text:
        return "is not UTF-8 text"
    if "Empty CSV file" in text:
        return "is empty"
    found = re.search("Expected ([0-9]+) columns, got ([0-9]+)", text)
    if found is not None:
        return f"is truncated or damaged: a row has {found[2]} columns, the header {found[1]}"
    return "is truncated, damaged or not a CSV file"


@contextmanager
def _text_stream(path: Path) -> Iterator[pa.NativeFile]:
    # Arrow's own inflater takes a cut gzip file for a whole one; Python's raises EOFError.
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as raw:
            yield pa.PythonFile(raw, mode="r")
    else:
        with pa.OSFile(str(path)) as stream:
            yield stream


def _csv_reader(
    path: Path, stream: pa.NativeFile, columns: Sequence[str] | None
) -> "pa_csv.CSVStreamingReader":
    types = {name: pa.string() for name in columns} if columns is not None else None
    return pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(delimiter=_SEPARATORS[_suffix(path)], newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            include_columns=list(columns) if columns is not None else None,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _first_line_schema(path: Path) -> pa.Schema:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        line = stream.readline(_BLOCK_BYTES)
    row = decode_exact(line)
    if not isinstance(row, dict):
        raise FileError(path, why="is not JSON lines: each line must be one object")
    return pa.Table.from_pylist([row]).schema


def _parquet_leaves(file: pa_parquet.ParquetFile, columns: Sequence[str]) -> list[str]:
    """Paths of the stored columns under the wanted ones: writers name the steps inside lists differently."""
    steps = {"list", "element", "item", "array", "bag", "array_element"}
    leaves = []
    for i in range(len(file.schema)):
        path = file.schema.column(i).path
        head, *tail = path.split(".")
        short = ".".join([head, *(step for step in tail if step not in steps)])
        if any(short == column or short.startswith(column + ".") or path == column for column in columns):
            leaves.append(path)
    return leaves


def _whole(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, each looked through first: a damaged file may hold text that is no UTF-8."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _rechunk(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`, but for the last."""
    kept: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        kept.append(batch)
        held += batch.num_rows
        while held >= rows:
            table = pa.Table.from_batches(kept)
            yield _one_batch(table.slice(0, rows))
            kept, held = table.slice(rows).to_batches(), held - rows
    if held:
        yield _one_batch(pa.Table.from_batches(kept))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
