"""Invented addresses, and small label files to import: each test writes its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chains.encoding import encode_base58check


def day(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """Naive UTC, as everywhere inside."""
    return datetime(year, month, day, hour)  # noqa: DTZ001


RECORDED = day(2026, 2, 1, 12)


def bitcoin(number: int) -> str:
    return encode_base58check(b"\x00" + number.to_bytes(20, "big"))


def tron(number: int) -> str:
    return encode_base58check(b"\x41" + number.to_bytes(20, "big"))


def evm(number: int) -> str:
    return f"0xa0{number:038x}"


@dataclass(frozen=True)
class Party:
    """One party of an invented sanctions list."""

    name: str
    programmes: Sequence[str]
    addresses: Sequence[tuple[str, str]]  # currency, address
    listed: str = "2024-05-06"


CURRENCIES = {"XBT": 344, "ETH": 345, "USDT": 887, "XMR": 444, "BSC": 1008, "QQQ": 4000}


def sdn_xml(parties: Sequence[Party], *, issued: str = "2026-01-15", namespace: str = "urn:sdn") -> str:
    """Return a small SDN list in Advanced XML, in the order in which the real one has its parts."""
    types = "".join(
        f'<FeatureType ID="{number}">Digital Currency Address - {currency}</FeatureType>'
        for currency, number in CURRENCIES.items()
    )
    people, entries = "", ""
    for number, party in enumerate(parties, start=500):
        words = "".join(
            f"<DocumentedNamePart><NamePartValue>{word}</NamePartValue></DocumentedNamePart>"
            for word in party.name.split("|")
        )
        features = "".join(
            f'<Feature ID="{number}{place}" FeatureTypeID="{CURRENCIES[currency]}"><FeatureVersion>'
            f"<VersionDetail>{address}</VersionDetail></FeatureVersion></Feature>"
            for place, (currency, address) in enumerate(party.addresses)
        )
        people += (
            f'<DistinctParty FixedRef="{number}"><Profile ID="{number}"><Identity Primary="true">'
            '<Alias Primary="false"><DocumentedName><DocumentedNamePart><NamePartValue>Alias'
            "</NamePartValue></DocumentedNamePart></DocumentedName></Alias>"
            f'<Alias Primary="true"><DocumentedName>{words}</DocumentedName></Alias></Identity>'
            '<Feature ID="1" FeatureTypeID="8"><FeatureVersion><VersionDetail>1977</VersionDetail>'
            f"</FeatureVersion></Feature>{features}</Profile></DistinctParty>"
        )
        measures = "".join(
            f'<SanctionsMeasure SanctionsTypeID="1"><Comment>{programme}</Comment></SanctionsMeasure>'
            for programme in party.programmes
        )
        entries += (
            f'<SanctionsEntry ProfileID="{number}"><EntryEvent><Date>{_day(party.listed)}</Date></EntryEvent>'
            f'<SanctionsMeasure SanctionsTypeID="1705"><Comment>Block</Comment></SanctionsMeasure>{measures}'
            "</SanctionsEntry>"
        )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Sanctions xmlns="{namespace}">'
        f"<DateOfIssue>{_day(issued)}</DateOfIssue><ReferenceValueSets><FeatureTypeValues>"
        f'<FeatureType ID="8">Birthdate</FeatureType>{types}</FeatureTypeValues><SanctionsTypeValues>'
        '<SanctionsType ID="1705">Block</SanctionsType><SanctionsType ID="1">Program</SanctionsType>'
        "</SanctionsTypeValues></ReferenceValueSets><Locations><Location ID='1'/></Locations>"
        f"<DistinctParties>{people}</DistinctParties><SanctionsEntries>{entries}</SanctionsEntries></Sanctions>"
    )


def write_sdn(path: Path, parties: Sequence[Party], *, issued: str = "2026-01-15") -> Path:
    path.write_text(sdn_xml(parties, issued=issued), encoding="utf-8")
    return path


def write_csv(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def _day(text: str) -> str:
    year, month, day = text.split("-")
    return f"<Year>{year}</Year><Month>{int(month)}</Month><Day>{int(day)}</Day>"
