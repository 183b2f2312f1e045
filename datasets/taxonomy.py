"""The taxonomy: categories of addresses, and how other vocabularies map to them.

The data stand in `taxonomy.toml`; this file reads and checks them. INTERPOL's terms are those of its Dark
Web and Virtual Assets Taxonomy (entities 0.3, abuses 0.1), GraphSense's those of its concepts and TagPacks.
"""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, get_args

from chains.errors import InputError

Group = Literal["drug", "service", "crime", "ordinary"]
ServiceKind = Literal["custodial", "mixer", "convert", "bridge", "unknown", "none"]


@dataclass(frozen=True)
class Category:
    """One category of addresses.

    `seeds`: tracing follows funds from and to it. `target`: a model may learn from it. `index` is its
    number in snapshots, by its place in the file.
    """

    index: int
    id: str
    group: Group
    name: str
    definition: str
    service: ServiceKind
    seeds: bool
    target: bool
    interpol: str
    nearest: str
    graphsense: tuple[str, ...]

    @property
    def importable(self) -> bool:
        """Whether a source may say it: what is found by structure alone is not imported."""
        return self.service != "unknown"


@dataclass(frozen=True)
class Taxonomy:
    """All categories in their order, with the tables that lead to them."""

    categories: tuple[Category, ...]
    by_id: Mapping[str, Category]
    by_graphsense: Mapping[str, str]  # GraphSense term → category id
    graphsense_confidence: Mapping[str, float]  # GraphSense confidence id → 0 to 1
    known_entities: Mapping[str, str]  # entity_key(name) → category id
    drug_programmes: frozenset[str]
    drug_words: tuple[str, ...]
    graphsense_drug: Mapping[str, str]  # GraphSense term beside "drugs" → category id
    graphsense_abuses: frozenset[str]
    graphsense_concepts: frozenset[str]  # all that a pack may use, abuses among them
    countries: frozenset[str]  # ISO 3166-1 alpha-2
    ftm_topics: Mapping[str, str]  # FollowTheMoney topic → category id, the weightiest first


def entity_key(name: str) -> str:
    """Return the letters and digits of `name`, case folded: how two spellings of one entity are compared."""
    return "".join(c for c in name.casefold() if c.isalnum())


@cache
def load_taxonomy() -> Taxonomy:
    """Read the taxonomy of this installation.

    Raises ValueError when the data contradict themselves: a category twice, a GraphSense term at two
    categories, an entity with an unknown category, a group or kind of service outside the lists.
    """
    data = tomllib.loads(files("datasets").joinpath("taxonomy.toml").read_text(encoding="utf-8"))
    return build_taxonomy(data)


def build_taxonomy(data: Mapping[str, Any]) -> Taxonomy:
    """Check parsed taxonomy data and return them as a `Taxonomy`; ValueError names what is wrong."""
    categories = tuple(
        Category(**{**fields, "index": index, "graphsense": tuple(fields["graphsense"])})
        for index, fields in enumerate(_tables(data, "category"))
    )
    by_id, by_graphsense = _read_categories(categories)
    known: dict[str, str] = {}
    for table in _tables(data, "known_entity"):
        if table["category"] not in by_id:
            raise ValueError(f"known entities of unknown category {table['category']}")
        for name in table["names"]:
            if known.setdefault(entity_key(name), table["category"]) != table["category"]:
                raise ValueError(f"known entity {name} has two categories")
    confidence = data["graphsense_confidence"]
    programmes = data["drug_programmes"]
    if not isinstance(confidence, dict) or not isinstance(programmes, list):
        raise ValueError("graphsense_confidence must be a table and drug_programmes a list")
    abuses = frozenset(data["graphsense_concepts"]["abuse"])
    concepts = abuses | frozenset(data["graphsense_concepts"]["other"])
    for category_ in categories:
        if category_.nearest not in concepts:
            raise ValueError(f"category {category_.id}: {category_.nearest} is no concept of GraphSense")
    return Taxonomy(
        categories=categories,
        by_id=MappingProxyType(by_id),
        by_graphsense=MappingProxyType(by_graphsense),
        graphsense_confidence=MappingProxyType({key: float(value) for key, value in confidence.items()}),
        known_entities=MappingProxyType(known),
        drug_programmes=frozenset(programmes),
        drug_words=tuple(data["drug_words"]),
        graphsense_drug=_leading(data, "graphsense_drug", by_id),
        graphsense_abuses=abuses,
        graphsense_concepts=concepts,
        countries=frozenset(data["countries"]),
        ftm_topics=_leading(data, "ftm_topics", by_id),
    )


def _read_categories(categories: Sequence[Category]) -> tuple[dict[str, Category], dict[str, str]]:
    by_id: dict[str, Category] = {}
    by_graphsense: dict[str, str] = {}
    for category_ in categories:
        if category_.group not in get_args(Group) or category_.service not in get_args(ServiceKind):
            raise ValueError(f"category {category_.id}: unknown group or kind of service")
        if by_id.setdefault(category_.id, category_) is not category_:
            raise ValueError(f"category {category_.id} stands there twice")
        if category_.graphsense and not category_.importable:
            raise ValueError(f"category {category_.id} is never imported: no GraphSense term may lead to it")
        for term in category_.graphsense:
            if by_graphsense.setdefault(term, category_.id) != category_.id:
                raise ValueError(f"GraphSense term {term} stands at two categories")
    return by_id, by_graphsense


def _leading(data: Mapping[str, Any], name: str, by_id: Mapping[str, Category]) -> Mapping[str, str]:
    for word, to in data[name].items():
        if to not in by_id:
            raise ValueError(f"{name}: {word} leads to the unknown category {to}")
    return MappingProxyType(dict(data[name]))


def category(category_id: str) -> Category:
    """Return the category of that id; InputError where there is none."""
    found = load_taxonomy().by_id.get(category_id)
    if found is None:
        raise InputError(f"{category_id!r} is not a category: see docs/labels.md for the list")
    return found


def render_table() -> str:
    """Return the categories as the Markdown table of docs/labels.md."""
    lines = [
        "| Category | Group | Meaning | Service | Traced | Learnt from | INTERPOL | GraphSense |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in load_taxonomy().categories:
        read = ", ".join(f"`{term}`" for term in entry.graphsense)
        graphsense = read or f"(nearest: `{entry.nearest}`)"
        service = "" if entry.service == "none" else entry.service
        flags = ["yes" if flag else "no" for flag in (entry.seeds, entry.target)]
        lines.append(
            f"| `{entry.id}` | {entry.group} | **{entry.name}.** {entry.definition} | {service} | {flags[0]} "
            f"| {flags[1]} | `{entry.interpol}` | {graphsense} |"
        )
    return "\n".join(lines) + "\n"


def _tables(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    tables = data.get(name)
    if not isinstance(tables, list):
        raise ValueError(f"the taxonomy has no [[{name}]]")
    return tables


if __name__ == "__main__":
    sys.stdout.write(render_table())
