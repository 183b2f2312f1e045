"""TagPacks and ActorPacks written as GraphSense wants them: its fields, its words, one value once.

Every text is written in double quotes with what is not printable as an escape: whatever somebody chose for
a label stays a text, and never becomes a date, a tag, an alias or a second entry. A pack has no field for
the source, the licence, the sanctions programmes and the substances of a single tag: they go out in its
`context`, as JSON. Format: GraphSense, TagPack and ActorPack schemata, graphsense-lib 2.18.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import IO, Any
from urllib.parse import unquote

from chains.registry import find_chain
from datasets.taxonomy import Category, Taxonomy, load_taxonomy

# GraphSense's names of networks, where they are not our chains' own names in capitals.
NETWORKS: Mapping[str, str] = {
    "algorand": "ALGO",
    "arbitrum": "ARB",
    "bitcoin": "BTC",
    "bitcoin-cash": "BCH",
    "bitcoin-gold": "BTG",
    "bitcoin-sv": "BSV",
    "dash": "DASH",
    "eos": "EOSIO",
    "ethereum": "ETH",
    "ethereum-classic": "ETC",
    "litecoin": "LTC",
    "monero": "XMR",
    "optimism": "OP",
    "polygon": "MATIC",
    "ripple": "XRP",
    "tron": "TRX",
    "zcash": "ZEC",
}

# Levels of confidence that say how a claim was come by. Never one that is higher than the claim's own.
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "csv": ("forensic_investigation", "forensic", "heuristic", "unknown"),
    "ofac": ("authority_data", "heuristic", "unknown"),
    "ftm": ("authority_data", "heuristic", "unknown"),
    "events": ("ledger_immanent", "heuristic", "unknown"),
}
_OF_PACKS = (
    "ownership",
    "manual_transaction",
    "service_api",
    "authority_data",
    "trusted_provider",
    "untrusted_transaction",
    "web_crawl",
    "heuristic",
    "unknown",
)

_LISTS_OF_CONTEXT = ("uris", "refs", "images", "coingecko_ids", "defilama_ids")
_TEXTS_OF_CONTEXT = ("twitter_handle", "github_organisation", "legal_name")
_NOT_IN_IDS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class PackCounts:
    """How many entries were written, how many were merged into an equal one, how many fit no pack."""

    written: int
    merged: int = 0
    unfit: int = 0


def write_tagpack(
    file: IO[str], rows: Sequence[Mapping[str, Any]], *, title: str, creator: str, description: str
) -> PackCounts:
    """Write claims, rows of `label_rows`, as one TagPack.

    Accounts of payment systems and of the simulated world have no network there: they are `unfit`. Of claims
    that a TagPack cannot tell apart the most confident one goes out; one of another category goes out under
    a label that says the category too.
    """
    taxonomy = load_taxonomy()
    fit = [row for row in rows if _network(row["chain"])]
    written = 0
    _write_header(file, title=title, creator=creator, description=description)
    file.write("tags:\n")
    keyed = sorted(((_key(row, taxonomy), _rank(row), row) for row in fit), key=lambda one: one[:2])
    for _, of_key in groupby(keyed, key=lambda one: one[0]):
        taken: set[str] = set()
        for _, _, row in of_key:
            if row["category"] in taken:
                continue
            label = _label(row, taxonomy)
            if taken:
                label = f"{label} ({taxonomy.by_id[row['category']].name}, {len(taken) + 1})"
            taken.add(row["category"])
            _write_entry(file, _tag(row, label, taxonomy))
            written += 1
    return PackCounts(written, merged=len(fit) - written, unfit=len(rows) - len(fit))


def write_actorpack(
    file: IO[str], rows: Sequence[Mapping[str, Any]], *, title: str, creator: str, description: str
) -> PackCounts:
    """Write actors, rows of `datasets.actors.actor_rows`, as one ActorPack.

    GraphSense wants an address on the web of each, and ids that differ in letters and digits: actors without
    are `unfit`.
    """
    ids = {str(row["actor"]) for row in rows}
    fit = [row for row in rows if row["uri"] and _plain_id_is_free(str(row["actor"]), ids)]
    _write_header(file, title=title, creator=creator, description=description)
    file.write("actors:\n")
    for row in fit:
        _write_entry(file, _actor(row, {str(one["actor"]) for one in fit}))
    return PackCounts(len(fit), unfit=len(rows) - len(fit))


def concepts_of(category: Category, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return GraphSense's words for a category: the fields `category`, `abuse` and `concepts`."""
    drug = category.group == "drug"
    is_abuse = category.nearest in taxonomy.graphsense_abuses
    fields: dict[str, Any] = {}
    if not is_abuse:
        fields["category"] = category.nearest
    if drug or is_abuse:
        fields["abuse"] = "drugs" if drug else category.nearest
    fields["concepts"] = sorted({category.nearest, *(["drugs"] if drug else [])})
    return fields


def confidence_word(kind: str, confidence: float, taxonomy: Taxonomy) -> str:
    """Return the level of GraphSense that says how the claim was come by, and is not above its confidence."""
    levels = taxonomy.graphsense_confidence
    possible = _OF_KIND.get(kind, _OF_PACKS)
    return next((level for level in possible if levels[level] <= confidence), "unknown")


def quoted(text: str) -> str:
    """Return a text as a double-quoted scalar of YAML 1.1: one line, printable, never anything else."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable() and character != "\ufeff":
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _network(caip2: str) -> str:
    chain = find_chain(caip2)
    if chain.simulated or chain.family == "payments":
        return ""
    return NETWORKS.get(chain.name, chain.name.upper() if chain.name != caip2 else caip2)


def _label(row: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    return str(row["name"] or row["actor_name"] or row["entity"] or taxonomy.by_id[row["category"]].name)


def _reference(row: Mapping[str, Any]) -> str:
    return str(row["reference"] or row["source"] or "not stated")


def _key(row: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[str, str, str, str]:
    """What GraphSense tells two tags of a pack apart by."""
    address = _address(row)
    if address.startswith(("0x", "0X")):
        address = address.lower()
    return _network(row["chain"]), address, _label(row, taxonomy), _reference(row)


def _address(row: Mapping[str, Any]) -> str:
    return unquote(str(row["caip10"]).split(":", 2)[2])


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    published = row["published_at"] or datetime.max  # noqa: DTZ901  (naive UTC)
    return -row["confidence"], published, row["source"], row["category"], row["licence"], row["position"]


def _tag(row: Mapping[str, Any], label: str, taxonomy: Taxonomy) -> Iterator[tuple[str, str]]:
    category = taxonomy.by_id[row["category"]]
    network = _network(row["chain"])
    yield "address", quoted(_address(row))
    yield "label", quoted(label)
    yield "source", quoted(_reference(row))
    yield "currency", quoted(find_chain(row["chain"]).symbol or network)
    yield "network", quoted(network)
    for name, value in concepts_of(category, taxonomy).items():
        yield name, quoted(value) if isinstance(value, str) else _list(value)
    yield "confidence", quoted(confidence_word(row["kind"], row["confidence"], taxonomy))
    if row["actor"]:
        yield "actor", quoted(row["actor"])
    if row["cluster_definer"]:
        yield "is_cluster_definer", "true"
    if row["published_at"] is not None:
        yield "lastmod", _moment(row["published_at"])
    context = {
        "category": row["category"],
        "confidence": row["confidence"],
        "entity": row["entity"],
        "licence": row["licence"],
        "listed_at": row["listed_at"].isoformat() if row["listed_at"] else "",
        "programmes": list(row["programmes"]),
        "source": row["source"],
        "substances": list(row["substances"]),
    }
    said = {name: value for name, value in context.items() if value not in ("", [])}
    yield "context", quoted(json.dumps(said, ensure_ascii=False, sort_keys=True))


def _actor(row: Mapping[str, Any], ids: set[str]) -> Iterator[tuple[str, str]]:
    taxonomy = load_taxonomy()
    actor = str(row["actor"])
    words = [word for word in row["categories"] if word in taxonomy.graphsense_concepts]
    nearest = taxonomy.by_id[row["category"]].nearest
    day = row["published_at"] or row["recorded_at"]
    yield "id", quoted(actor)
    yield "uri", quoted(row["uri"])
    yield "label", quoted(row["name"])
    yield "lastmod", _moment(day)
    yield "categories", _list(dict.fromkeys(words) if words else [nearest])
    yield "jurisdictions", _list(code for code in row["jurisdictions"] if code in taxonomy.countries)
    context = _known_context(json.loads(row["context"]) if row["context"] else {})
    plain = _NOT_IN_IDS.sub("", actor.lower())
    aliases = {*row["aliases"], *([plain] if plain != actor else [])} - ids
    if aliases:
        context["aliases"] = sorted(aliases)
    if context:
        yield "context", quoted(json.dumps(context, ensure_ascii=False, sort_keys=True))


def _plain_id_is_free(actor: str, ids: set[str]) -> bool:
    plain = _NOT_IN_IDS.sub("", actor.lower())
    return bool(plain) and (plain == actor or plain not in ids)


def _known_context(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a context has of GraphSense's fields, in their form; what else it has stays here."""
    known: dict[str, Any] = {}
    for name in _LISTS_OF_CONTEXT:
        values = context.get(name)
        if isinstance(values, list):
            known[name] = [value for value in values if isinstance(value, str) and value.strip()]
    for name in _TEXTS_OF_CONTEXT:
        value = context.get(name)
        if isinstance(value, str) and value.strip():
            known[name] = value
    return {name: value for name, value in known.items() if value}


def _moment(moment: datetime) -> str:
    """Return a date, or a time where it is not the start of the day, as YAML writes them."""
    is_day = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return date.isoformat(moment.date()) if is_day else moment.isoformat()


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


def _write_header(file: IO[str], *, title: str, creator: str, description: str) -> None:
    file.write(f"title: {quoted(title)}\ncreator: {quoted(creator)}\ndescription: {quoted(description)}\n")


def _write_entry(file: IO[str], fields: Iterable[tuple[str, str]]) -> None:
    for place, (name, value) in enumerate(fields):
        file.write(f"{'- ' if place == 0 else '  '}{name}: {value}\n")
