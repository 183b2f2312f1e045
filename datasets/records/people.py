"""Who does what: names as people write them, and whether two of them are one person."""

import unicodedata

from chains.errors import InputError

NAME_LETTERS = 100


def read_person(name: str, *, what: str = "a name") -> str:
    """Return the name in one spelling: composed letters, single spaces.

    Raises InputError where it is empty, too long or holds what is not printable.
    """
    if not name.isprintable() or len(name) > NAME_LETTERS:
        raise InputError(f"{what} must be 1 to {NAME_LETTERS} printable characters")
    found = " ".join(unicodedata.normalize("NFC", name).split())
    if not any(c.isalnum() for c in found):
        raise InputError(f"{what} must be 1 to {NAME_LETTERS} printable characters, letters among them")
    return found


def same_person(one: str, other: str) -> bool:
    """Return whether two names are one but for case, width, spaces and punctuation."""
    return _key(one) == _key(other)


def _key(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())
