"""Answers of indexers with something in them changed at random, by seed."""

import random
from copy import deepcopy
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63 - 1,
    1.5,
    1e300,
    "",
    "0x",
    "0x0",
    "-5",
    "9" * 90,
    "\x1b[31mred\x07",
    "0x" + "f" * 64,
    "ab" * 32,
    "é" * 40,
    [],
    {},
    [[]],
    ["x"] * 3,
    {"hash": {}},
)


def mangle(answer: Any, seed: int | str) -> Any:
    """Return the answer with one to three values, names or places of it changed."""
    chance = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    changed = deepcopy(answer)
    for _ in range(chance.randint(1, 3)):
        changed = _change(changed, chance)
    return changed


def _change(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {key: value[key] for key in value if key != name}
        return value | {name: _change(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        if chance.random() < 0.2:
            return value[:place] + value[place + 1 :] + [value[place]] * chance.randint(0, 2)
        return [*value[:place], _change(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)
