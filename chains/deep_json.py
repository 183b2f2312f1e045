"""JSON nested deeper than ordinary decoders go: traces of calls are trees of up to 1,024 levels of calls.

orjson stops at 1,024 levels of JSON and Python's own decoder at its stack's limit, which cannot be raised
safely: what is nested in another's answer would then decide whether the process lives.
"""

import json
import re
from collections.abc import Callable
from json import decoder
from typing import Any

import orjson

MAX_DEPTH = 5_000

_read_text: Callable[[str, int], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null", re.ASCII)


def decode_json(data: bytes) -> Any:
    """Decode JSON as fast as can be, and what is nested too deep for that by the slower way.

    Raises ValueError for what is no JSON, or is nested more than 5,000 deep.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "depth" not in str(error):
            raise
    return decode_deep(data.decode())


def decode_exact(data: bytes | str, **hooks: Any) -> Any:
    """Decode JSON through Python's own decoder, whose hooks keep numbers exact; raises ValueError.

    What is nested over 1,024 deep is refused first: how deep Python's decoder may go is one limit for the
    whole process, and some libraries raise it beyond what the stack holds.
    """
    orjson.loads(data)
    return json.loads(data, **hooks)


def decode_deep(text: str) -> Any:
    """Decode JSON without recursion; of a name that stands twice in an object the last counts.

    Raises ValueError for what is no JSON, or is nested more than 5,000 deep.
    """
    open_ones: list[Any] = []  # objects and arrays that are not closed yet
    names: list[str] = []  # the name under which each open one's next value goes; '' in arrays
    place = _skip(text, 0)
    while True:
        value: Any
        mark = text[place : place + 1]
        if mark in ("{", "["):
            value = {} if mark == "{" else []
            after = _skip(text, place + 1)
            if text[after : after + 1] != ("}" if mark == "{" else "]"):
                if len(open_ones) == MAX_DEPTH:
                    raise ValueError(f"nested more than {MAX_DEPTH} deep")
                open_ones.append(value)
                names.append("")
                place = _read_name(text, after, names) if mark == "{" else after
                continue
            place = _skip(text, after + 1)
        else:
            value, place = _read_plain(text, place)
            place = _skip(text, place)
        while True:
            if not open_ones:
                if place != len(text):
                    raise ValueError(f"more after the end, at {place}")
                return value
            holder = open_ones[-1]
            if isinstance(holder, dict):
                holder[names[-1]] = value
            else:
                holder.append(value)
            mark = text[place : place + 1]
            if mark == ",":
                place = _skip(text, place + 1)
                place = _read_name(text, place, names) if isinstance(holder, dict) else place
                break
            if mark != ("}" if isinstance(holder, dict) else "]"):
                raise ValueError(f"neither an end nor a comma at {place}")
            value = open_ones.pop()
            names.pop()
            place = _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found is not None else place


def _read_name(text: str, place: int, names: list[str]) -> int:
    if text[place : place + 1] != '"':
        raise ValueError(f"no name at {place}")
    names[-1], place = _read_text(text, place + 1)
    place = _skip(text, place)
    if text[place : place + 1] != ":":
        raise ValueError(f"no colon at {place}")
    return _skip(text, place + 1)


def _read_plain(text: str, place: int) -> tuple[Any, int]:
    if text[place : place + 1] == '"':
        return _read_text(text, place + 1)
    found = _PLAIN.match(text, place)
    if found is None:
        raise ValueError(f"no value at {place}")
    return json.loads(found[0]), found.end()
