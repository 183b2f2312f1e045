"""The languages that reasons are written in."""

from typing import Literal, TypeGuard, get_args

from chains.errors import InputError

Language = Literal["en", "ru", "zh"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
ENGLISH: Language = "en"


def is_language(name: str) -> TypeGuard[Language]:
    """Return whether there are words in the language of that code (ISO 639-1, small letters)."""
    return name in LANGUAGES


def require_language(name: str) -> Language:
    """Return `name` as a language that there are words in; raises InputError."""
    if not is_language(name):
        shown = "".join(c if c.isprintable() else "?" for c in str(name)[:40])
        raise InputError(f"there are no words in {shown!r}: the languages are {', '.join(LANGUAGES)}")
    return name


def choose_language(accepted: str) -> Language:
    """Return the language that a header Accept-Language likes best (RFC 9110, 12.5.4), else English.

    A language counts whatever its region: `zh-CN` is Chinese, simplified. `*` is English. What cannot be read
    is passed over.
    """
    ranked: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accepted[:1000].split(",")):
        tag, *parameters = (piece.strip().lower() for piece in part.split(";"))
        name = ENGLISH if tag == "*" else tag.partition("-")[0]
        weight = _read_weight(parameters)
        if is_language(name) and weight > 0:
            ranked.append((-weight, place, name))
    return min(ranked)[2] if ranked else ENGLISH


def _read_weight(parameters: list[str]) -> float:
    """Return the weight (0 to 1) of `q=…`: 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.strip() == "q":
            digits = number.strip()
            fits = digits.isascii() and digits.replace(".", "", 1).isdecimal() and len(digits) <= 5
            return float(digits) if fits and float(digits) <= 1 else 0.0
    return 1.0
