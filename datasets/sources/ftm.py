"""OpenSanctions and other data in FollowTheMoney: entities as JSON, one a line.

A label comes from an entity of the schema CryptoWallet: its addresses stand in `publicKey` and
`cryptoAddress`, several of them in one text at times. Who holds it, on what ground it is sanctioned and
since when stand in entities of their own, named by their ids or nested inside. The file (gigabytes) is read
twice as a stream: first for the wallets, then for what they name. Format: FollowTheMoney 4.11, schemata
CryptoWallet, LegalEntity and Sanction; dates and datasets as OpenSanctions writes them.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from chains.address import Account, candidate_accounts
from chains.errors import AddressError, AmbiguousAddress, LabelError, UnknownChain
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
from datasets.sources.packed import open_packed
from datasets.sources.tickers import find_chains, place_account, refuse_nobody
from datasets.taxonomy import Taxonomy, entity_key, load_taxonomy

LICENCE = "CC-BY-NC-4.0"
"""Of the data of OpenSanctions, unless the import says otherwise: not open."""
CONFIDENCE = 0.9
"""What authorities published, at one remove."""
LONGEST_LINE = 16 * 2**20
"""Bytes of one line."""
MOST_WALLETS = 2_000_000
"""Wallets of one file, all of which are held until their holders are known."""
MOST_VALUES = 50
"""Values of one property that are made use of."""

_KEYS = ("publicKey", "cryptoAddress")
_LESSER = frozenset(("corp.disqual", "debarment", "export.control", "reg.action", "reg.warn"))
"""Topics of measures that are entities of the schema Sanction too, and are none."""
_UNREAD = ("not_json", "not_an_entity", "too_long")
_PARTS = re.compile(r"[,;\s]+")


@dataclass
class _Named:
    """What is gathered of an entity that a wallet names, or of the wallet itself."""

    caption: str = ""
    topics: set[str] = field(default_factory=set)
    programmes: set[str] = field(default_factory=set)
    grounds: set[str] = field(default_factory=set)  # the words of its sanctions
    listed_at: date | None = None
    standing: int = 0  # sanctions that hold
    ended: int = 0  # and that no longer do


@dataclass(frozen=True)
class _Wallet:
    position: str
    id: str
    keys: tuple[str, ...]
    currencies: tuple[str, ...]
    holders: tuple[str, ...]
    exchange: str
    reference: str
    datasets: tuple[str, ...]
    published_at: datetime | None


def read_labels(path: Path, *, licence: str | None = None) -> LabelList:
    """Return one claim for each address of a wallet and each dataset that has it; `line N` is its place.

    Raises LabelError when the file cannot be read whole, or has no line that is an entity.
    """
    reader = _Reader(load_taxonomy(), licence or LICENCE)
    try:
        for number, line in _lines(path):
            reader.read_wallets(number, line)
        if reader.entities and reader.wallets:
            for number, line in _lines(path):
                reader.read_named(number, line)
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise LabelError(path, why=f"not readable as a whole ({shown(error, 150)})") from error
    if not reader.entities:
        raise LabelError(path, why="no line of it is an entity of FollowTheMoney: give entities.ftm.json")
    if len(reader.wallets) > MOST_WALLETS:
        raise LabelError(path, why=f"it holds more than {MOST_WALLETS} wallets: split it")
    return reader.claims()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number the lines from 1; of one that is too long only as much as tells that it is."""
    with open_packed(path, ".json") as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            whole = line
            while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE + 1)  # the rest of a line that is passed over
                if not line:
                    break
            yield number, whole


class _Reader:
    """What is kept of the file while it streams by."""

    def __init__(self, taxonomy: Taxonomy, licence: str) -> None:
        self.entities = 0
        self.wallets: list[_Wallet] = []
        self._taxonomy, self._licence, self._open = taxonomy, licence, is_open_licence(licence)
        self._rejected: list[Rejection] = []
        self._wallet_ids: set[str] = set()  # the same one may be nested in several of its holders
        self._named: dict[str, _Named] = {}
        self._seen_at: datetime | None = None
        self._datasets: set[str] = set()

    def read_wallets(self, number: int, line: bytes) -> None:
        """Keep the wallets of a line, and set aside what is no entity."""
        if not line.strip():
            return
        position = f"line {number}"
        try:
            entity = _decode(line)
        except RefusedError as refused:
            self._rejected.append(Rejection(position, refused.reason, refused.detail))
            return
        self.entities += 1
        self._date(entity)
        for found, holder in _walk(entity):
            if found.get("schema") != "CryptoWallet":
                continue
            try:
                self._keep(_read_wallet(found, entity, holder, position))
            except RefusedError as refused:
                self._rejected.append(Rejection(position, refused.reason, refused.detail))

    def _date(self, entity: Mapping[str, Any]) -> None:
        self._datasets.update(_texts(entity.get("datasets")))
        for name in ("last_seen", "last_change"):
            seen = _time(entity.get(name))
            if seen is not None and (self._seen_at is None or seen > self._seen_at):
                self._seen_at = seen

    def _keep(self, wallet: _Wallet) -> None:
        if len(self.wallets) <= MOST_WALLETS and wallet.id not in self._wallet_ids:
            self._wallet_ids.add(wallet.id)
            self.wallets.append(wallet)
            for named in (wallet.id, *wallet.holders):
                self._named.setdefault(named, _Named())

    def read_named(self, _number: int, line: bytes) -> None:
        """Gather what a line says of the wallets and of those they name."""
        try:
            entity = _decode(line)
        except RefusedError:
            return  # set aside in the first reading
        for found, around in _walk(entity):
            properties = found.get("properties")
            if not isinstance(properties, dict):
                continue
            identity = found.get("id")
            named = self._named.get(identity) if isinstance(identity, str) else None
            if named is not None:
                named.topics.update(_texts(properties.get("topics")))
                named.caption = named.caption or _first(properties.get("name")) or _text(found.get("caption"))
            if found.get("schema") == "Sanction":
                for of in _texts(properties.get("entity")) or [around]:
                    if of in self._named:
                        self._sanction(self._named[of], properties)

    def _sanction(self, named: _Named, properties: Mapping[str, Any]) -> None:
        ends = _texts(properties.get("endDate"))
        if ends and self._seen_at is not None and all(_is_past(day, self._seen_at) for day in ends):
            named.ended += 1
            return
        named.standing += 1
        programmes = _texts(properties.get("programId")) or _texts(properties.get("program"))
        provisions = _texts(properties.get("provisions"))
        codes = [text for text in provisions if text in self._taxonomy.drug_programmes]
        named.programmes.update((*programmes, *codes))
        for name in ("program", "programId", "provisions", "reason"):
            named.grounds.update(text.casefold() for text in _texts(properties.get(name)))
        listed = _texts(properties.get("listingDate")) or _texts(properties.get("startDate"))
        for day in (time.date() for time in map(_time, listed) if time):
            named.listed_at = min(named.listed_at or day, day)

    def claims(self) -> LabelList:
        """Return what the wallets claim, in the order of the file."""
        labels: list[Label] = []
        for wallet in self.wallets:
            try:
                said = self._said(wallet)
            except RefusedError as refused:
                self._rejected.append(Rejection(wallet.position, refused.reason, refused.detail))
                continue
            for place, key in enumerate(wallet.keys, start=1):
                position = wallet.position + (f" key {place}" if len(wallet.keys) > 1 else "")
                try:
                    account = _account(key, wallet.currencies)
                except RefusedError as refused:
                    self._rejected.append(Rejection(position, refused.reason, refused.detail))
                    continue
                labels += (
                    Label(position=position, account=account, source=source_of(dataset), **said)
                    for dataset in wallet.datasets
                )
        rejected = sorted(self._rejected, key=lambda rejection: int(rejection.position.split()[1]))
        covers = tuple(source_of(dataset) for dataset in sorted(self._datasets))
        if any(rejection.reason in _UNREAD for rejection in rejected):
            covers = ()  # a line that cannot be read may be one of what seems to have gone
        return LabelList(labels, rejected, self._seen_at, covers=covers)

    def _said(self, wallet: _Wallet) -> dict[str, Any]:
        """Return the fields that the claims of a wallet have in common."""
        of = [self._named[name] for name in (wallet.id, *wallet.holders)]
        sanctioned = any(named.standing for named in of)
        if not sanctioned and any(named.ended for named in of):
            raise RefusedError("ended", "every sanction that named it or its holder has ended")
        holder = next((named.caption for named in of[1:] if named.caption), "")
        topics = {topic for named in of for topic in named.topics}
        lesser = bool(topics & _LESSER) and "sanction" not in topics
        texts = {clean_text(text, "programme") for named in of for text in named.programmes}
        programmes = [] if lesser else sorted(texts)
        days = [] if lesser else [named.listed_at for named in of if named.listed_at]
        return {
            "category": self._category(of, holder),
            "entity": clean_text(holder, "holder"),
            "name": clean_text(" ".join(part for part in (of[0].caption, wallet.exchange) if part), "name"),
            "reference": wallet.reference,
            "confidence": CONFIDENCE,
            "published_at": wallet.published_at,
            "licence": self._licence,
            "may_export": self._open,
            "may_train": self._open,
            "cluster_definer": False,
            "programmes": tuple(programmes[:MOST_VALUES]),
            "listed_at": min(days, default=None),
        }

    def _category(self, of: Iterable[_Named], holder: str) -> str:
        """A known role first, then the ground of a sanction, then the weightiest topic."""
        taxonomy, named = self._taxonomy, list(of)
        role = taxonomy.known_entities.get(entity_key(holder))
        if role:
            return role
        grounds = " ".join(ground for one in named for ground in sorted(one.grounds))
        programmes = {programme for one in named for programme in one.programmes}
        if programmes & taxonomy.drug_programmes or any(word in grounds for word in taxonomy.drug_words):
            return "drug_trafficking"
        topics = {topic for one in named for topic in one.topics}
        found = next((category for topic, category in taxonomy.ftm_topics.items() if topic in topics), None)
        sanctioned = programmes and not topics & _LESSER
        return found or ("sanctioned" if sanctioned else "unspecified")


def source_of(dataset: str) -> str:
    """Return the source of a label that stands in a dataset of OpenSanctions."""
    return f"OpenSanctions {dataset}" if dataset else "FollowTheMoney"


def _decode(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise RefusedError("too_long", f"the line has more than {LONGEST_LINE} bytes")
    try:
        entity = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RefusedError("not_json", f"the line is no JSON ({shown(error, 80)})") from None
    if not isinstance(entity, dict) or not isinstance(entity.get("schema"), str):
        raise RefusedError("not_an_entity", f"it is {shown(entity)}, not an entity with a schema")
    return entity


def _walk(entity: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Return an entity and those nested in its properties, each with the id of the one around it."""
    yield entity, ""
    properties = entity.get("properties")
    if not isinstance(properties, dict):
        return
    around = entity.get("id")
    for values in properties.values():
        for value in values if isinstance(values, list) else ():
            if isinstance(value, dict) and isinstance(value.get("schema"), str):
                yield value, around if isinstance(around, str) else ""


def _read_wallet(found: Mapping[str, Any], top: Mapping[str, Any], around: str, position: str) -> _Wallet:
    properties, identity = found.get("properties"), found.get("id")
    if not isinstance(properties, dict):
        raise RefusedError("not_an_entity", "the wallet has no properties")
    if not isinstance(identity, str) or not identity:
        raise RefusedError("no_id", "the wallet has no id")
    texts = (text for name in _KEYS for text in _texts(properties.get(name)))
    keys = tuple(dict.fromkeys(part for text in texts for part in _PARTS.split(text) if part))
    if not keys:
        raise RefusedError("no_address", "the wallet has no public key")
    currencies = (
        text for name in ("currency", "currencySymbol", "blockchain") for text in _texts(properties.get(name))
    )
    dated = {
        **{name: top.get(name) for name in ("first_seen", "last_seen", "last_change", "datasets")},
        **found,
    }
    holders = [*_texts(properties.get("holder")), *([around] if around else [])]
    return _Wallet(
        position=position,
        id=identity,
        keys=keys,
        currencies=tuple(currencies),
        holders=tuple(dict.fromkeys(holders)),
        exchange=_first(properties.get("managingExchange")),
        reference=clean_text(_first(properties.get("sourceUrl")) or identity, "reference"),
        datasets=tuple(sorted({clean_text(name, "dataset") for name in _texts(dated["datasets"])})) or ("",),
        published_at=_published(dated, several=len(keys) > 1),
    )


def _published(entity: Mapping[str, Any], *, several: bool) -> datetime | None:
    """Return when the world could know: an entity's first day is not that of an address added to it later."""
    names = ("last_change", "last_seen") if several else ("first_seen", "last_change", "last_seen")
    for name in names:
        if entity.get(name):
            return read_time(entity[name], name)
    return None


def _account(key: str, currencies: Iterable[str]) -> Account:
    """Return the account of a key; its form comes first, the wallet's currencies decide between chains."""
    text = clean_text(key, "publicKey")
    why: RefusedError | None = None
    for currency in currencies:
        if not find_chains(currency):
            continue
        try:
            return refuse_nobody(place_account(text, currency))
        except RefusedError as refused:
            why = why or refused
    if why is not None:
        raise why
    try:
        return refuse_nobody(candidate_accounts(text)[0])
    except (AddressError, AmbiguousAddress, UnknownChain) as error:
        raise RefusedError("bad_address", f"{shown(text)} is no address of a chain known here") from error


def _texts(value: object) -> list[str]:
    """Return the texts of a property; ids of entities that are nested count as their ids."""
    values = value if isinstance(value, list) else [value]
    texts = []
    for one in values[: MOST_VALUES * 20]:
        text = one.get("id") if isinstance(one, dict) else one
        if isinstance(text, str) and text:
            texts.append(text)
    return texts


def _is_past(text: str, seen_at: datetime) -> bool:
    """Whether a day, month or year is over at a moment: a year is not until its end."""
    seen = seen_at.date().isoformat()[: len(text)]
    return text[:10] <= seen if len(text) >= 10 else text < seen


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _first(value: object) -> str:
    return next(iter(_texts(value)), "")


def _time(value: object) -> datetime | None:
    """Return a date or time, of which the day or month may be absent; None where it is none."""
    text = _text(value)
    try:
        return read_time(text + "-01-01"[3 * (text.count("-")) :] if len(text) < 8 else text, "date")
    except RefusedError:
        return None
