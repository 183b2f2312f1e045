"""One thing wrong in one answer of a node: a leaf changed in a way that looks right, or into junk.

`Liar(pick)` is a `Faults.lie`: it spoils one place of one of the next answers, and remembers where.
"""

import copy
import random
from typing import Any

import orjson

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**64 - 1, 1e40, 1.5, "", "\x00\x1b[31m", "0x", "0xzz", "zz" * 32, "0x" + "f" * 70,
    orjson.Fragment(b"1" + b"0" * 400), [], {}, [[]],
)  # fmt: skip


class Liar:
    """Tells one lie; `where` is its place (method, then keys), '' until it was told."""

    def __init__(self, pick: random.Random, *, junk: bool) -> None:
        self.where = ""
        self._pick, self._junk = pick, junk
        self._wait = pick.randrange(4)

    def __call__(self, method: str, params: Any, result: Any) -> Any:
        """Return the result, spoiled if it is this one's turn."""
        del params  # a place is as good as any other
        if self.where or not isinstance(result, dict | list | str):
            return result
        if self._wait:
            self._wait -= 1
            return result
        spoiled = {"": copy.deepcopy(result)}
        path = self._spoil(spoiled)
        self.where = ".".join([method, *path])
        return spoiled[""]

    def _spoil(self, root: dict[str, Any]) -> list[str]:
        """Walk down to a random place and change what stands there; return the names on the way."""
        holder: Any = root
        key: Any = ""
        path: list[str] = []
        while (
            isinstance(holder[key], dict | list) and holder[key] and (not path or self._pick.random() < 0.9)
        ):
            holder = holder[key]
            key = self._pick.choice(sorted(holder)) if isinstance(holder, dict) else self._index(holder)
            path.append(key if isinstance(key, str) else "[]")
        action = self._pick.random()
        if path and action < 0.15:
            del holder[key]
            path.append("(gone)")
        elif self._junk:
            holder[key] = self._pick.choice(JUNK)
        else:
            holder[key] = self._other(holder[key])
        return path

    def _index(self, items: list[Any]) -> int:
        return self._pick.randrange(len(items))

    def _other(self, value: Any) -> Any:
        """Return something of the same form that is not the same."""
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return value + self._pick.choice((-1, 1))
        if isinstance(value, orjson.Fragment):
            sat = int(bytes(_contents(value)).replace(b".", b"")) + 1
            return orjson.Fragment(f"{sat // 10**8}.{sat % 10**8:08d}")
        if isinstance(value, str):
            return self._other_text(value)
        if isinstance(value, list) and len(value) > 1:
            return value[::-1]
        return None

    def _other_text(self, text: str) -> str:
        places = [place for place, digit in enumerate(text) if digit in "0123456789abcdef" and place > 1]
        if not places:
            return text + "x"
        place = self._pick.choice(places)
        digit = "0123456789abcdef"[(int(text[place], 16) + self._pick.randint(1, 15)) % 16]
        return text[:place] + digit + text[place + 1 :]


def _contents(fragment: orjson.Fragment) -> bytes:
    return orjson.dumps(fragment)
