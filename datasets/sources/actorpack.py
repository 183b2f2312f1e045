"""GraphSense ActorPacks: YAML files that say who the actors are whom tags refer to.

An actor tags no address. Its categories are a set, of which the weightiest makes its category: crime before
service, who holds money before what only swaps it, and that it is an organisation last. Format: GraphSense,
ActorPack schema.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chains.errors import LabelError
from datasets.sources.claims import RefusedError, Rejection, clean_text, is_open_licence, read_time, shown
from datasets.sources.tagpack import NOT_STATED, find_category, load_pack, refuse_repeated
from datasets.taxonomy import Taxonomy, load_taxonomy

MOST_ENTRIES = 1000
"""Entries of one list of an actor, as its aliases."""
LONGEST_CONTEXT = 50_000
"""Characters of an actor's context as JSON."""


@dataclass(frozen=True)
class Actor:
    """One description of an actor: the fields of the table `actor`. `context` is JSON, or ''."""

    position: str
    actor: str
    name: str
    category: str
    categories: tuple[str, ...]
    uri: str
    jurisdictions: tuple[str, ...]
    aliases: tuple[str, ...]
    context: str
    source: str
    published_at: datetime | None
    licence: str
    may_export: bool
    may_train: bool


@dataclass(frozen=True)
class ActorList:
    """What one file describes: every entry is in `actors` or in `rejected`."""

    actors: list[Actor]
    rejected: list[Rejection]


def read_actors(path: Path, *, licence: str | None = None) -> ActorList:
    """Return the actors of one pack; each is described or rejected under its number, from 1.

    Raises LabelError when the file is not an ActorPack that can be read as a whole.
    """
    pack = load_pack(path, "an ActorPack")
    if "tags" in pack and "actors" not in pack:
        raise LabelError(path, why="a TagPack, not an ActorPack: import it as tagpack")
    entries = pack.get("actors")
    if not isinstance(entries, list):
        raise LabelError(path, why="not an ActorPack: it has no list of actors")
    try:
        source = clean_text(pack.get("creator") or pack.get("title") or path.name, "creator")
    except RefusedError as refused:
        raise LabelError(path, why=str(refused)) from refused
    actors: list[Actor] = []
    rejected: list[Rejection] = []
    taken: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        position = f"actor {number}"
        try:
            if not isinstance(entry, dict):
                raise RefusedError("not_an_actor", f"it is {shown(entry)}, not fields with values")
            refuse_repeated(entry)
            fields = {"lastmod": pack.get("lastmod"), **entry}
            actor = _read(fields, position, source, licence or NOT_STATED, load_taxonomy())
            if actor.actor in taken:
                raise RefusedError(
                    "repeated_id", f"{shown(actor.actor)} is the id of {taken[actor.actor]} too"
                )
        except RefusedError as refused:
            rejected.append(Rejection(position, refused.reason, refused.detail))
            continue
        taken[actor.actor] = position
        actors.append(actor)
    return ActorList(actors, rejected)


def _read(fields: Mapping[str, Any], position: str, source: str, licence: str, taxonomy: Taxonomy) -> Actor:
    actor, name = clean_text(fields.get("id"), "id"), clean_text(fields.get("label"), "label")
    if not actor:
        raise RefusedError("no_id", "the actor has no id")
    categories = _texts(fields.get("categories"), "categories")
    context = _context(fields.get("context"))
    aliases = (*_texts(fields.get("aliases"), "aliases"), *_texts(context.get("aliases"), "aliases"))
    kept = json.dumps(context, ensure_ascii=False, sort_keys=True) if context else ""
    if len(kept) > LONGEST_CONTEXT:
        raise RefusedError(
            "too_long", f"context has {len(kept)} characters, at most {LONGEST_CONTEXT} are kept"
        )
    return Actor(
        position=position,
        actor=actor,
        name=name or actor,
        category=find_category(_by_weight(categories, taxonomy), (name, actor), taxonomy),
        categories=categories,
        uri=clean_text(fields.get("uri"), "uri"),
        jurisdictions=_texts(fields.get("jurisdictions"), "jurisdictions"),
        aliases=tuple(sorted(set(aliases) - {actor})),
        context=kept,
        source=source,
        published_at=read_time(fields.get("lastmod"), "lastmod"),
        licence=licence,
        may_export=is_open_licence(licence),
        may_train=is_open_licence(licence),
    )


def _by_weight(categories: tuple[str, ...], taxonomy: Taxonomy) -> list[str]:
    """Return the words of a set of categories, the weightiest first; equals stay in the pack's order.

    Packs call a decentralised exchange an exchange too: beside `defi_dex` that word alone says nothing of
    custody. With another custodial service beside it, it does.
    """
    words = [word.lower() for word in categories]
    kinds = {word: taxonomy.by_id[taxonomy.by_graphsense.get(word, "unspecified")] for word in words}
    custodial = {word for word in words if kinds[word].service == "custodial" and word != "service"}

    def weight(word: str) -> int:
        category = kinds[word]
        if category.id in {"organisation", "unspecified"}:
            return len(_WEIGHTS)
        if word == "service" or (word == "exchange" and "defi_dex" in words and custodial == {"exchange"}):
            return _WEIGHTS.index("none")
        return _WEIGHTS.index(category.service if category.group == "service" else category.group)

    return sorted(words, key=weight)


_WEIGHTS = ("drug", "crime", "mixer", "custodial", "bridge", "convert", "none", "unknown", "ordinary")
"""Groups of categories and, of services, their kinds."""


def _texts(value: object, field: str) -> tuple[str, ...]:
    """Return the entries of a list of texts that are not empty."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RefusedError("not_a_list", f"{field} is {shown(value)}, not a list")
    if len(value) > MOST_ENTRIES:
        raise RefusedError("too_long", f"{field} has {len(value)} entries, at most {MOST_ENTRIES} are kept")
    return tuple(text for text in (clean_text(entry, field) for entry in value) if text)


def _context(value: object) -> dict[str, Any]:
    """Return the context of an actor, which a pack may give as fields or as a text of JSON."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value[: LONGEST_CONTEXT + 1])
        except (ValueError, RecursionError) as error:
            raise RefusedError("bad_context", f"context is no JSON ({shown(error, 80)})") from None
    if not isinstance(value, dict):
        raise RefusedError("bad_context", f"context is {shown(value)}, not fields with values")
    return value
