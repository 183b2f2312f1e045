"""A feature's value, the reason that it gives, and its meaning, as a person reads them in their language.

The sentences are data: English in `features/catalogue.toml`, the others in `features/words/<language>.toml`,
numbers and units of each in the latter. `{value}` stands for the number with its unit. `[day|days]` is
one word in its forms, of which the number before it chooses: two in English (1, other), three in Russian
(день, дня, дней); Chinese needs none. No word here counts for a model.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from features.catalogue import CATALOGUE, Feature
from features.words.languages import ENGLISH, Language, require_language


@dataclass(frozen=True)
class Page:
    """The words around the list of features in `docs/`; in `head`, `{count}` stands for their number."""

    head: str
    columns: tuple[str, ...]
    units: str


@dataclass(frozen=True)
class Words:
    """All words of one language: by feature, unit, group and level, and how it writes numbers."""

    language: Language
    decimal: str
    thousands: str
    values: Mapping[str, str]
    """Numbers with their unit: `{value} USD`; `share_under` and the like say what no number shows."""
    units: Mapping[str, str]
    groups: Mapping[str, str]
    levels: Mapping[str, str]
    unknown: str
    not_known: str
    meanings: Mapping[str, str]
    texts: Mapping[str, str]
    unknown_texts: Mapping[str, str]
    """Where a number that is not known says more than that."""
    page: Page


@cache
def read_words(language: str) -> Words:
    """Return the words of a language; raises InputError where there are none."""
    known = require_language(language)
    data = tomllib.loads((files("features") / "words" / f"{known}.toml").read_text(encoding="utf-8"))
    if known == ENGLISH:
        meanings = {feature.name: feature.meaning for feature in CATALOGUE}
        texts = {feature.name: feature.text for feature in CATALOGUE}
        unknown_texts = {f.name: f.unknown for f in CATALOGUE if f.unknown is not None}
    else:
        entries = data["feature"]
        meanings = {name: entry["meaning"] for name, entry in entries.items()}
        texts = {name: entry["text"] for name, entry in entries.items()}
        unknown_texts = {name: entry["unknown"] for name, entry in entries.items() if "unknown" in entry}
    page = data["page"]
    return Words(
        language=known,
        decimal=data["number"]["decimal"],
        thousands=data["number"]["thousands"],
        values=data["value"],
        units=data["unit"],
        groups=data["group"],
        levels=data["level"],
        unknown=data["unknown"]["value"],
        not_known=data["unknown"]["reason"],
        meanings=meanings,
        texts=texts,
        unknown_texts=unknown_texts,
        page=Page(page["head"], tuple(page["columns"]), page["units"]),
    )


LARGEST = 1e40
"""No ledger gives a larger number: beyond it stands a fault, and what is true is not known."""


def describe_meaning(feature: Feature, language: str = ENGLISH) -> str:
    """Return what `feature` measures, without a full stop; raises InputError for a language without words."""
    return read_words(language).meanings[feature.name]


def describe_value(feature: Feature, value: float, language: str = ENGLISH) -> str:
    """Write `value` with its unit; NaN, and what is beyond `LARGEST`, is "unknown".

    Raises InputError for a language without words.
    """
    words = read_words(language)
    return _write_value(feature.unit, value, words) if abs(value) <= LARGEST else words.unknown


def describe_reason(feature: Feature, value: float, language: str = ENGLISH) -> str:
    """Put `value` (in the feature's unit) into the feature's sentence.

    NaN, and what is beyond `LARGEST`, is said not to be known. Raises InputError for a language
    without words.
    """
    words = read_words(language)
    if not abs(value) <= LARGEST:  # so that NaN is caught too
        if feature.name in words.unknown_texts:
            return words.unknown_texts[feature.name]
        return words.not_known.replace("{meaning}", _begin_small(words.meanings[feature.name]))
    return _put_in(words.texts[feature.name], _write_value(feature.unit, value, words), words)


def _write_value(unit: str, value: float, words: Words) -> str:
    writer = _WRITERS.get(unit)
    if writer is not None:
        return writer(value, words)
    number = _write_number(value, 1, words).removesuffix(f"{words.decimal}0")
    return _put_in(words.values.get(unit, "{value}"), number, words)


def _write_share(share: float, words: Words) -> str:
    if 0 < share < 0.01:
        return words.values["share_under"]
    if 0.99 < share < 1:
        return words.values["share_over"]
    return _put_in(words.values["share"], _write_number(100 * share, 0, words), words)


def _write_usd(usd: float, words: Words) -> str:
    if 0 < usd < 0.01:
        return words.values["usd_under"]
    return _put_in(words.values["usd"], _write_number(usd, 2 if abs(usd) < 100 else 0, words), words)


def _write_span(seconds: float, words: Words) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= size:
            number = _write_number(seconds / size, 1, words).removesuffix(f"{words.decimal}0")
            return _put_in(words.values[unit], number, words)
    if 0 < seconds < 1:
        return words.values["seconds_under"]
    return _put_in(words.values["seconds"], _write_number(seconds, 0, words), words)


def _write_number(value: float, digits: int, words: Words) -> str:
    """Write a finite number as the language does; nothing is ever minus 0."""
    signs = {ord(","): words.thousands, ord("."): words.decimal}
    return f"{value:z,.{digits}f}".translate(signs)


_WRITERS: Mapping[str, Callable[[float, Words], str]] = {
    "share": _write_share,
    "usd": _write_usd,
    "seconds": _write_span,
    "days": lambda days, words: _write_span(86_400 * days, words),
    "ratio": lambda ratio, words: _write_number(ratio, 2, words),
}

_FORMS = re.compile(r"\[([^\[\]]*)\]")


def _put_in(template: str, shown: str, words: Words) -> str:
    """Put `shown` in for `{value}`, and each `[one|other]` in the form that it asks for."""
    return _FORMS.sub(lambda found: _choose_form(found[1].split("|"), shown, words), template).replace(
        "{value}", shown
    )


def _choose_form(forms: list[str], shown: str, words: Words) -> str:
    """Return the form after the number `shown` (Unicode CLDR, plural rules of cardinal numbers)."""
    if words.language != "ru":
        return forms[0] if shown == "1" else forms[-1]
    if words.decimal in shown:
        return forms[1]
    number = int(re.sub(r"\D", "", shown))
    if number % 10 == 1 and number % 100 != 11:
        return forms[0]
    return forms[1] if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else forms[2]


def _begin_small(sentence: str) -> str:
    """Return a sentence as it stands after a colon: abbreviations (CoinJoin, UTC) keep their letters."""
    first = re.match(r"\w+", sentence)
    return sentence[0].lower() + sentence[1:] if first and first[0].istitle() else sentence
