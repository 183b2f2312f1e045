"""The file that an import reads: its hash, about how many rows, and that nobody writes to it meanwhile."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chains.errors import FileError
from chains.ledger import LegBatch


def hash_file(path: Path) -> tuple[str, int]:
    """Return SHA-256 and the number of line ends of a file; 0 lines where it is Parquet."""
    digest, lines = hashlib.sha256(), 0
    text: bool | None = None
    if path.exists() and not path.is_file():
        raise FileError(path, why="cannot be read (it is not a file)")
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                text = not block.startswith(b"PAR1") if text is None else text
                lines += block.count(b"\n") if text else 0
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or error})") from error
    return digest.hexdigest(), lines


def count_rows(path: Path, lines: int) -> int:
    """Return about how many rows a file has, for a progress bar; 0 where only reading it would tell."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return 0
    if magic != b"PAR1":
        return max(lines - 1, 0)
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException:
        return 0  # damaged: reading it will say how


def while_unchanged(path: Path, before: tuple[int, int], batches: Iterable[LegBatch]) -> Iterator[LegBatch]:
    """Pass the batches on; refuse a file that was written to since it was hashed."""
    yield from batches
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != before:
        raise FileError(path, why="was written to while it was read: import it again when it is complete")
