"""Files that may be packed: bzip2, gzip, or a zip with one file of the wanted kind."""

import bz2
import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


@contextmanager
def open_packed(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    """Open a file that may be packed, told by its first bytes; a zip must hold one file named `*suffix`.

    Raises OSError and zipfile.BadZipFile; what is broken further inside shows while it is read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(b"BZh"):
            with bz2.open(file) as stream:
                yield stream
        elif magic.startswith(b"\x1f\x8b"):
            with gzip.open(file) as stream:
                yield cast(IO[bytes], stream)
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if name.casefold().endswith(suffix)]
                if len(names) != 1:
                    raise zipfile.BadZipFile(f"the archive holds {len(names)} {suffix} files, it must be one")
                with archive.open(names[0]) as stream:
                    yield stream
        else:
            yield file
