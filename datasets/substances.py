"""Controlled substances: one name for each in every country, with the convention and schedule that holds it.

The data stand in `substances.toml`; this file reads and checks them. A group ("opioids of the fentanyl
kind") may be named like a substance where a case does not say more.
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

SCHEDULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"1961": ("I", "II", "III", "IV"), "1971": ("I", "II", "III", "IV"), "1988": ("I", "II")}
)
"""The schedules of the conventions of 1961 and 1971, and the tables of that of 1988."""


@dataclass(frozen=True)
class Substance:
    """One substance or group of substances.

    `group` is the id of its group, '' for a group itself. `control` holds pairs of a convention and a
    schedule or table, empty where no convention names it; `since` is the year in which it came under the
    control that holds now, None where that is not known. `names` are by language: en, ru, zh.
    """

    id: str
    group: str
    names: Mapping[str, str]
    control: tuple[tuple[str, str], ...]
    since: int | None
    note: str
    basis: tuple[str, ...]

    @property
    def controlled(self) -> str:
        """The control in words: `1961 I, IV`, or `not under international control`."""
        words = []
        for convention in SCHEDULES:
            parts = [schedule for named, schedule in self.control if named == convention]
            if parts:
                kind = "Table" if convention == "1988" else "Schedule"
                words.append(f"{convention} {kind} {' and '.join(parts)}")
        if words:
            return "; ".join(words)
        return "" if not self.group else "not under international control"


@dataclass(frozen=True)
class Vocabulary:
    """All groups and substances in their order, and where the facts are from."""

    substances: tuple[Substance, ...]
    by_id: Mapping[str, Substance]
    sources: Mapping[str, str]


@cache
def load_substances() -> Vocabulary:
    """Read the vocabulary of this installation; ValueError where its data contradict themselves."""
    text = files("datasets").joinpath("substances.toml").read_text(encoding="utf-8")
    return build_vocabulary(tomllib.loads(text))


def build_vocabulary(data: Mapping[str, Any]) -> Vocabulary:
    """Check parsed data and return them as a `Vocabulary`; ValueError names what is wrong."""
    sources = dict(data["sources"])
    found: dict[str, Substance] = {}
    for fields in (*data["group"], *data["substance"]):
        substance = _read(fields)
        if substance.id in found:
            raise ValueError(f"substance {substance.id} stands there twice")
        if substance.group and (substance.group not in found or found[substance.group].group):
            raise ValueError(f"substance {substance.id} is of the unknown group {substance.group}")
        for convention, schedule in substance.control:
            if schedule not in SCHEDULES.get(convention, ()):
                raise ValueError(f"substance {substance.id}: there is no {convention} {schedule}")
        for basis in substance.basis:
            if basis not in sources:
                raise ValueError(f"substance {substance.id} rests on the unknown source {basis}")
        if substance.group and not substance.basis:
            raise ValueError(f"substance {substance.id} names no source")
        found[substance.id] = substance
    order = [one for one in found.values() if not one.group]
    listed = tuple(
        entry for group in order for entry in (group, *(s for s in found.values() if s.group == group.id))
    )
    return Vocabulary(listed, MappingProxyType(found), MappingProxyType(sources))


def _read(fields: Mapping[str, Any]) -> Substance:
    names = {language: fields[language] for language in ("en", "ru", "zh")}
    if not all(isinstance(name, str) and name for name in names.values()):
        raise ValueError(f"substance {fields['id']} lacks a name")
    control = tuple((convention, schedule) for convention, schedule in fields.get("control", ()))
    return Substance(
        id=fields["id"],
        group=fields.get("group", ""),
        names=MappingProxyType(names),
        control=control,
        since=fields.get("since"),
        note=fields.get("note", ""),
        basis=tuple(fields.get("basis", ())),
    )


def render_table() -> str:
    """Return the vocabulary as the Markdown table of docs/labels.md."""
    lines = [
        "| Id | English | Russian | Chinese | Control | Since | Source |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in load_substances().substances:
        name = one.names["en"] if one.group else f"**{one.names['en']}**"
        name += f" ({one.note})" if one.note else ""
        cells = [f"`{one.id}`", name, one.names["ru"], one.names["zh"], one.controlled, str(one.since or "")]
        lines.append("| " + " | ".join([*cells, ", ".join(one.basis)]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_table())
