"""The SDN list of OFAC, the sanctions office of the United States Treasury, in its Advanced XML.

The file is read as a stream (over 100 MB unpacked), as it was published or packed with bzip2, gzip or zip.
A digital currency address is a feature of a profile: its type says the currency, its detail holds the
address. The programmes and the day of listing of a profile stand in the sanctions entries at the end.
Format: OFAC, Sanctions List Data Model (Advanced XML), versions 1 to 3.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from lxml import etree

from chains.address import Account
from chains.errors import LabelError
from datasets.sources.claims import Label, LabelList, RefusedError, Rejection, clean_text, shown
from datasets.sources.packed import open_packed
from datasets.sources.tickers import find_chains, place_account
from datasets.taxonomy import Taxonomy, entity_key, load_taxonomy

FEATURE = "Digital Currency Address - "
SOURCE = "OFAC SDN"
LICENCE = "public domain"
"""A work of the government of the United States (17 U.S.C. 105)."""
ENTRY_PAGE = "https://sanctionssearch.ofac.treas.gov/Details.aspx?id="

# Every repeated element of the file, wanted or not: each is dropped from memory as soon as it is read.
_REPEATED = ("DistinctParty", "SanctionsEntry", "Location", "IDRegDocument", "ProfileRelationship")


@dataclass(frozen=True)
class ListedAddress:
    """One digital currency address feature as the list has it."""

    feature: str
    currency: str
    address: str
    party: str  # the list's number of the person or organisation
    profile: str
    entity: str
    programmes: tuple[str, ...]
    listed_at: date | None


@dataclass(frozen=True)
class SanctionsIssue:
    """One issue of the list: its date and its digital currency addresses, in the list's order."""

    issued_at: datetime
    addresses: tuple[ListedAddress, ...]


def read_labels(path: Path) -> LabelList:
    """Return the claims of one issue: one label for each digital currency address feature.

    Nothing of a sanctions list is set aside for its form: an address that fits no chain is kept as
    written, on the chain of its currency, so that a screening of the same text still finds it. Only a
    currency without a known chain is rejected. Raises LabelError when the file cannot be read whole.
    """
    issue, taxonomy = read_issue(path), load_taxonomy()
    labels, rejected = [], []
    for listed in issue.addresses:
        position = f"profile {listed.profile} feature {listed.feature}"
        try:
            labels.append(_label(listed, position, issue.issued_at, taxonomy))
        except RefusedError as refused:
            rejected.append(Rejection(position, refused.reason, refused.detail))
    return LabelList(labels, rejected, issue.issued_at, covers=(SOURCE,))


def read_issue(path: Path) -> SanctionsIssue:
    """Read the digital currency addresses of an issue, in constant memory. Raises LabelError."""
    reader = _Reader()
    try:
        with open_packed(path, ".xml") as stream:
            for _, element in etree.iterparse(
                stream,
                events=("end",),
                tag=tuple(f"{{*}}{name}" for name in (*_REPEATED, "DateOfIssue", "ReferenceValueSets")),
                resolve_entities=False,
                load_dtd=False,
                no_network=True,
                huge_tree=False,
            ):
                reader.read(element)
    except (etree.XMLSyntaxError, EOFError, OSError, zlib.error, zipfile.BadZipFile, ValueError) as error:
        raise LabelError(path, why=f"not a whole SDN Advanced XML file ({_first_line(error)})") from error
    if reader.issued_at is None or not reader.saw_parties or not reader.saw_entries:
        raise LabelError(
            path, why="not an SDN Advanced XML file: it needs a date of issue, parties and sanctions entries"
        )
    return SanctionsIssue(reader.issued_at, tuple(reader.addresses()))


class _Reader:
    """What is kept of the file while it streams by."""

    def __init__(self) -> None:
        self.issued_at: datetime | None = None
        self.saw_parties = self.saw_entries = False
        self._currencies: dict[str, str] = {}  # feature type → currency
        self._program_type = "1"
        self._found: list[tuple[str, str, str, str, str, str]] = []
        self._programmes: dict[str, set[str]] = {}
        self._listed: dict[str, date] = {}

    def read(self, element: etree._Element) -> None:
        name = etree.QName(element).localname
        if name == "DateOfIssue":
            if self.issued_at is None:
                day = _read_date(element)
                self.issued_at = datetime(day.year, day.month, day.day) if day else None  # noqa: DTZ001
        elif name == "ReferenceValueSets":
            self._read_references(element)
        elif name == "DistinctParty":
            self.saw_parties = True
            self._read_party(element)
        elif name == "SanctionsEntry":
            self.saw_entries = True
            self._read_entry(element)
        if name != "DateOfIssue":
            element.clear()
            while element.getprevious() is not None:
                parent = element.getparent()
                if parent is None:
                    break
                del parent[0]

    def addresses(self) -> Iterator[ListedAddress]:
        for feature, currency, address, party, profile, entity in self._found:
            programmes = tuple(sorted(self._programmes.get(profile, ())))
            listed = self._listed.get(profile)
            yield ListedAddress(feature, currency, address, party, profile, entity, programmes, listed)

    def _read_references(self, element: etree._Element) -> None:
        for kind in element.iterfind(".//{*}FeatureType"):
            text = (kind.text or "").strip()
            if text.startswith(FEATURE):
                self._currencies[kind.get("ID", "")] = text.removeprefix(FEATURE).strip()
        for kind in element.iterfind(".//{*}SanctionsType"):
            if (kind.text or "").strip() == "Program":
                self._program_type = kind.get("ID", "")

    def _read_party(self, element: etree._Element) -> None:
        for profile in element.iterfind("{*}Profile"):
            entity: str | None = None
            for feature in profile.iterfind("{*}Feature"):
                currency = self._currencies.get(feature.get("FeatureTypeID", ""))
                if currency is None:
                    continue
                entity = _primary_name(profile) if entity is None else entity
                address = "".join(
                    (detail.text or "").strip()
                    for detail in feature.iterfind("{*}FeatureVersion/{*}VersionDetail")
                )
                self._found.append(
                    (
                        feature.get("ID", ""),
                        currency,
                        address,
                        element.get("FixedRef", ""),
                        profile.get("ID", ""),
                        entity,
                    )
                )

    def _read_entry(self, element: etree._Element) -> None:
        profile = element.get("ProfileID", "")
        for measure in element.iterfind("{*}SanctionsMeasure"):
            programme = (measure.findtext("{*}Comment") or "").strip()
            if programme and measure.get("SanctionsTypeID") == self._program_type:
                self._programmes.setdefault(profile, set()).add(programme)
        days = [day for day in map(_read_date, element.iterfind("{*}EntryEvent/{*}Date")) if day]
        if days:
            self._listed[profile] = min(self._listed.get(profile, date.max), *days)


def _label(listed: ListedAddress, position: str, issued_at: datetime, taxonomy: Taxonomy) -> Label:
    programmes = tuple(clean_text(programme, "programme") for programme in listed.programmes)
    role = taxonomy.known_entities.get(entity_key(listed.entity))
    drug = any(programme in taxonomy.drug_programmes for programme in programmes)
    return Label(
        position=position,
        account=_account(listed),
        category=role or ("drug_trafficking" if drug else "sanctioned"),
        entity=clean_text(listed.entity, "entity"),
        name=clean_text(FEATURE + listed.currency, "name"),
        source=SOURCE,
        reference=ENTRY_PAGE + clean_text(listed.party, "reference"),
        confidence=1.0,
        published_at=issued_at,
        licence=LICENCE,
        may_export=True,
        may_train=True,
        cluster_definer=False,
        programmes=programmes or ("SDN",),  # the list itself, where an entry names no programme
        listed_at=listed.listed_at,
    )


def _account(listed: ListedAddress) -> Account:
    text = clean_text(listed.address, "address")
    if not text:
        raise RefusedError("bad_address", "the feature has no address")
    try:
        return place_account(text, listed.currency)
    except RefusedError as refused:
        chains = find_chains(listed.currency)
        if refused.reason != "bad_address" or not chains:
            raise
        return Account(chains[0], text)


def _primary_name(profile: etree._Element) -> str:
    for alias in profile.iterfind("{*}Identity[@Primary='true']/{*}Alias[@Primary='true']"):
        for name in alias.iterfind("{*}DocumentedName"):
            parts = name.iterfind("{*}DocumentedNamePart/{*}NamePartValue")
            text = " ".join((part.text or "").strip() for part in parts).strip()
            if text:
                return text
    return ""


def _read_date(element: etree._Element) -> date | None:
    year, month, day = (element.findtext(f"{{*}}{part}") for part in ("Year", "Month", "Day"))
    if not year:
        return None
    return date(int(year), int(month or 1), int(day or 1))


def _first_line(error: BaseException) -> str:
    return shown(str(error).splitlines()[0] if str(error) else type(error).__name__, 150)
