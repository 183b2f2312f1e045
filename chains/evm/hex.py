"""Values in the answers of an Ethereum node, read by hand and strictly: quantities, hashes, addresses.

Source: Ethereum's JSON-RPC specification (execution-apis), "hex value encoding". A node is not trusted:
what does not have the form of its field raises `Misread`, which the adapters turn into a `BadAnswer`.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from chains.rejections import shown

_ADDRESS = re.compile("0x[0-9a-f]{40}")
_LONGEST_QUANTITY = 66
MAX_HEIGHT = 2**48
MAX_TIME = 253_402_300_799
"""Seconds since 1970 of the last moment of the year 9999."""


class Fields(Protocol):
    """A record of an answer, whose fields are asked for by the names that the node gives them."""

    def get(self, field: str, /) -> Any:
        """Return what stands in a field, None where it is not there."""

    def __getitem__(self, field: str, /) -> Any:
        """Return what stands in a field."""


class Misread(Exception):
    """A field of an answer that has not the form it must have; never leaves the adapters."""

    def __init__(self, field: str, found: object, wanted: str) -> None:
        self.field, self.found, self.wanted = field, found, wanted
        super().__init__(field)

    def inside(self, place: str) -> "Misread":
        """The same, said of a field of a part of the answer."""
        return Misread(f"{place}.{self.field}" if self.field else place, self.found, self.wanted)

    def __str__(self) -> str:
        """What was found and what should be there, for a person."""
        if isinstance(self.found, str | int | float | None):
            found = "absent or null" if self.found is None else shown(self.found)
        else:
            found = f"a {type(self.found).__name__}"
        return f"{self.field} is {found}, and must be {self.wanted}"


class NotPlain(Exception):
    """Something that only the careful reading of a block can judge; never leaves the adapters."""


class OtherBranch(Exception):
    """Parts of the answer are of another block at this height; never leaves the adapters."""

    def __init__(self, height: int) -> None:
        self.height = height
        super().__init__(height)


@lru_cache(maxsize=1 << 16)
def _number(text: str) -> int:
    """Number of a quantity, -1 where it is none. Most of a block's were seen before: a cache is faster."""
    try:
        fits = text[:2] == "0x" and len(text) > 2 and text.isalnum() and text.isascii()
        return int(text, 16) if fits else -1
    except ValueError:
        return -1


def as_quantity(text: object, field: str) -> int:
    """Return the number of a quantity: 0x and up to 64 hexadecimal digits."""
    number = _number(text) if type(text) is str and len(text) <= _LONGEST_QUANTITY else -1
    if number < 0:
        raise Misread(field, text, "a quantity (0x and hexadecimal digits)")
    return number


def read_quantity(record: Fields, field: str) -> int:
    """Return the number in a field of a record."""
    return as_quantity(record.get(field), field)


def read_optional(record: Fields, field: str) -> int:
    """Return the number in a field that only some chains or hard forks have; 0 where it is not there."""
    text = record.get(field)
    return 0 if text is None else as_quantity(text, field)


def read_hash(record: Fields, field: str) -> bytes:
    """Return the 32 bytes of a hash."""
    return as_hash(record.get(field), field)


def as_hash(text: object, field: str) -> bytes:
    """Return the 32 bytes of a hash."""
    if type(text) is str and len(text) == 66 and text[:2] == "0x":
        try:
            found = bytes.fromhex(text[2:])
        except ValueError:
            found = b""
        if len(found) == 32:
            return found
    raise Misread(field, text, "a hash of 32 bytes")


def read_address(record: Fields, field: str) -> str:
    """Return an address in canonical form: 0x and 40 small hexadecimal digits."""
    return as_address(record.get(field), field)


@lru_cache(maxsize=1 << 16)
def _account(text: str) -> str | None:
    lower = text.lower()
    return lower if _ADDRESS.fullmatch(lower) else None


def as_address(text: object, field: str) -> str:
    """Return an address in canonical form: 0x and 40 small hexadecimal digits."""
    account = _account(text) if type(text) is str and len(text) == 42 else None
    if account is None:
        raise Misread(field, text, "an address of 20 bytes")
    return account


def is_hash(text: object, wanted: str) -> bool:
    """Whether a field holds the hash `wanted`, which has been read before; raises `Misread` for no hash."""
    return text == wanted or as_hash(text, "hash") == as_hash(wanted, "hash")


def as_record(value: object, field: str) -> dict[str, Any]:
    """Return a value that must be an object."""
    if isinstance(value, dict):
        return value
    raise Misread(field, value, "an object")


def as_list(value: object, field: str) -> list[Any]:
    """Return a value that must be a list."""
    if isinstance(value, list):
        return value
    raise Misread(field, value, "a list")


def read_height(record: Fields, field: str) -> int:
    """Return a block's height; larger ones than any chain will have are refused."""
    height = as_quantity(record.get(field), field)
    if height >= MAX_HEIGHT:
        raise Misread(field, record.get(field), "a block's height")
    return height


def read_seconds(record: Fields, field: str) -> int:
    """Return a time in seconds since 1970, up to the year 9999."""
    seconds = as_quantity(record.get(field), field)
    if seconds > MAX_TIME:
        raise Misread(field, record.get(field), "a time in seconds, before the year 10000")
    return seconds


def read_quantities(texts: Sequence[str]) -> list[int]:
    """Return the numbers of a whole column; raises `NotPlain` where one is no quantity."""
    joined = "".join(texts)
    if texts:
        plain = joined.isalnum() and joined.isascii() and joined.count("x") == len(texts)
        if not plain or max(map(len, texts)) > _LONGEST_QUANTITY:
            raise NotPlain
    try:
        # Digits and letters alone, one x in each: int() then takes 0x and digits, and nothing else.
        return [int(text, 16) for text in texts]
    except ValueError:
        raise NotPlain from None


def read_hashes(texts: Sequence[str]) -> list[bytes]:
    """Return the 32 bytes of each hash of a column; raises `NotPlain` where one is none."""
    data = _read_fixed(texts, 66)
    return [data[place : place + 32] for place in range(0, len(data), 32)]


def read_addresses(texts: Sequence[str]) -> list[str]:
    """Return the canonical forms of a column of addresses; raises `NotPlain` where one is none."""
    small = [text.lower() for text in texts]
    _read_fixed(small, 42)
    return small


def _read_fixed(texts: Sequence[str], width: int) -> bytes:
    """The bytes of texts of one width, without the 0x that each begins with."""
    joined = "".join(texts)
    if (
        set(map(len, texts)) - {width}
        or joined[::width] + joined[1::width] != len(texts) * "0" + len(texts) * "x"
    ):
        raise NotPlain
    try:
        data = bytes.fromhex(joined.replace("0x", ""))
    except ValueError:
        raise NotPlain from None
    if 2 * len(data) != len(texts) * (width - 2):  # it passes over spaces
        raise NotPlain
    return data
