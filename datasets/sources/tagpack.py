"""GraphSense TagPacks: YAML files of attribution tags with their sources.

A field at the top of a pack holds for every tag that does not set its own. The vocabulary (categories,
abuses, concepts, confidence) is mapped in `datasets/taxonomy.toml`. A pack carries no licence: without
one that is given at the import its tags may neither be passed on nor learnt from.
Format: GraphSense, TagPack schema; an ActorPack, which names actors and tags nothing, is refused by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chains.address import Account
from chains.errors import LabelError
from datasets.sources.claims import (
    Label,
    LabelList,
    RefusedError,
    Rejection,
    clean_text,
    is_open_licence,
    read_time,
    shown,
)
from datasets.sources.plainyaml import Repeated, read_plain
from datasets.sources.tickers import place_account, refuse_nobody
from datasets.taxonomy import Taxonomy, entity_key, load_taxonomy

NOT_STATED = "not stated"
_HEADER = ("title", "creator", "description", "tags")  # of the pack itself, never of a tag
_TRUE = ("true", "yes", "on")
_CLAIM_FIELDS = (
    "label",
    "actor",
    "creator",
    "source",
    "category",
    "abuse",
    "concepts",
    "confidence",
    "lastmod",
    "is_cluster_definer",
)
LARGEST = 200_000_000
"""Bytes of a pack: it is held in memory whole."""


def read_labels(path: Path, *, licence: str | None = None) -> LabelList:
    """Return the claims of one pack; each tag is a label or a rejection under its number, from 1.

    Raises LabelError when the file is not a TagPack that can be read as a whole.
    """
    pack, reader = _load(path), _Reader(load_taxonomy(), licence or NOT_STATED)
    header = {key: value for key, value in pack.items() if key not in _HEADER}
    header["creator"] = pack.get("creator") or pack.get("title") or path.name
    labels: list[Label] = []
    rejected: list[Rejection] = []
    for number, tag in enumerate(pack["tags"], start=1):
        position = f"tag {number}"
        try:
            if not isinstance(tag, dict):
                raise RefusedError("not_a_tag", f"it is {shown(tag)}, not fields with values")
            refuse_repeated(tag)
            labels.append(reader.read({**header, **tag, "creator": header["creator"]}, position))
        except RefusedError as refused:
            rejected.append(Rejection(position, refused.reason, refused.detail))
    return LabelList(labels, rejected)


def refuse_repeated(entry: Mapping[str, Any]) -> None:
    """Raise RefusedError for an entry of a pack with a field that stands twice: which one is meant?"""
    if entry.__class__ is Repeated:
        raise RefusedError("duplicate_key", f"the field {shown(entry.field)} stands there twice")


def _load(path: Path) -> dict[str, Any]:
    pack = load_pack(path, "a TagPack")
    if "actors" in pack and "tags" not in pack:
        why = "an ActorPack, not a TagPack: it tags no address; import it as actorpack"
        raise LabelError(path, why=why)
    if not isinstance(pack.get("tags"), list):
        raise LabelError(path, why="not a TagPack: it has no list of tags")
    return pack


def load_pack(path: Path, what: str) -> dict[str, Any]:
    """Return the fields of a pack, those under `header` moved up; LabelError when it cannot be read whole."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise LabelError(path, why=f"{size} bytes are too many for one file: split it")
        pack = read_plain(path.read_bytes())
    except (ValueError, OSError) as error:
        raise LabelError(path, why=f"not readable as {what}: {shown(error, 200)}") from error
    if not isinstance(pack, dict):
        raise LabelError(path, why=f"not {what}: the file must have fields at its top")
    header = pack.pop("header", None)
    return {**pack, **header} if isinstance(header, dict) else pack


@dataclass(frozen=True)
class _Claim:
    """What a tag says apart from its address: the same for thousands of tags of a pack."""

    category: str
    entity: str
    actor: str
    name: str
    source: str
    reference: str
    confidence: float
    published_at: datetime | None
    cluster_definer: bool


class _Reader:
    """What holds for all tags of a pack, and what has been read of it: addresses and claims repeat."""

    def __init__(self, taxonomy: Taxonomy, licence: str) -> None:
        self._taxonomy, self._licence = taxonomy, licence
        self._open = is_open_licence(licence)
        self._accounts: dict[tuple[str, str], Account | RefusedError] = {}
        self._claims: dict[tuple[Any, ...], _Claim] = {}

    def read(self, tag: Mapping[str, Any], position: str) -> Label:
        account, claim = self._account(tag), self._claim(tag)
        return Label(
            position=position,
            account=account,
            category=claim.category,
            entity=claim.entity,
            name=claim.name,
            source=claim.source,
            reference=claim.reference,
            confidence=claim.confidence,
            published_at=claim.published_at,
            licence=self._licence,
            may_export=self._open,
            may_train=self._open,
            cluster_definer=claim.cluster_definer,
            actor=claim.actor,
        )

    def _claim(self, tag: Mapping[str, Any]) -> _Claim:
        key = tuple(map(tag.get, _CLAIM_FIELDS))
        if any(value.__class__ is list or value.__class__ is dict for value in key):
            return _read_claim(tag, self._taxonomy)
        found = self._claims.get(key)
        if found is None:
            found = self._claims[key] = _read_claim(tag, self._taxonomy)
        return found

    def _account(self, tag: Mapping[str, Any]) -> Account:
        key = (_one_line(tag.get("address")), _one_line(tag.get("network") or tag.get("currency")))
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = _place(*key)
        if isinstance(found, RefusedError):
            raise found
        return found


def _read_claim(tag: Mapping[str, Any], taxonomy: Taxonomy) -> _Claim:
    name = clean_text(tag.get("label"), "label")
    actor = clean_text(tag.get("actor"), "actor")
    definer = _one_line(tag.get("is_cluster_definer")).lower() in _TRUE
    return _Claim(
        category=_category(tag, name, actor, taxonomy),
        entity=actor or (name if definer else ""),
        actor=actor,
        name=name,
        source=clean_text(tag["creator"], "creator"),
        reference=clean_text(tag.get("source"), "source"),
        confidence=_confidence(tag.get("confidence"), taxonomy),
        published_at=read_time(tag.get("lastmod"), "lastmod"),
        cluster_definer=definer,
    )


def _place(text: str, word: str) -> Account | RefusedError:
    if not text:
        return RefusedError("no_address", "the tag has no address")
    if not word:
        return RefusedError("unknown_chain", "neither the tag nor its pack says the currency")
    try:
        return refuse_nobody(place_account(text, word))
    except RefusedError as refused:
        return refused


def _category(tag: Mapping[str, Any], name: str, actor: str, taxonomy: Taxonomy) -> str:
    concepts = tag.get("concepts")
    terms = [tag.get("abuse"), tag.get("category"), *(concepts if isinstance(concepts, list) else ())]
    return find_category([_one_line(term).lower() for term in terms], (name, actor), taxonomy)


def find_category(terms: Sequence[str], names: Sequence[str], taxonomy: Taxonomy) -> str:
    """Return the category of what GraphSense `terms` say, the weightiest first: abuse before category.

    So a scam that calls itself an exchange is a scam. An entity whose role is known by one of its `names`
    outranks what says less, never an abuse with a category of its own.
    """
    found = [category for category in map(taxonomy.by_graphsense.get, terms) if category]
    named = next(
        (taxonomy.known_entities[key] for key in map(entity_key, names) if key in taxonomy.known_entities),
        None,
    )
    first = taxonomy.by_id[found[0]] if found else None
    is_crime = first is not None and first.group == "crime"
    if named and not (first and is_crime and first.target):
        return named
    if "drugs" in terms and not is_crime:
        kinds = (taxonomy.graphsense_drug[term] for term in terms if term in taxonomy.graphsense_drug)
        return next(kinds, taxonomy.by_graphsense["drugs"])
    return next((category for category in found if category != "unspecified"), "unspecified")


def _confidence(level: object, taxonomy: Taxonomy) -> float:
    known = taxonomy.graphsense_confidence
    word = _one_line(level) or "unknown"
    if word not in known:
        raise RefusedError("bad_confidence", f"{shown(word)} is no level of confidence of a TagPack")
    return known[word]


def _one_line(value: object) -> str:
    return clean_text(value, "a field")
