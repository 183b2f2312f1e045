"""Who does what: names as people write them, and whether two of them are one person."""

import re
import unicodedata

from chains.errors import InputError

NAME_LETTERS = 100


_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
"""Code points that show nothing although they are letters, marks or unassigned.

Source: Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, but for those of category Cf.
"""


def read_person(name: str, *, what: str = "a name") -> str:
    """Return the name in one spelling: composed letters, single spaces.

    Raises InputError where it is empty, too long or holds what is not printable.
    """
    if not name.isprintable() or len(name) > NAME_LETTERS:
        raise InputError(f"{what} must be 1 to {NAME_LETTERS} printable characters")
    found = " ".join(unicodedata.normalize("NFC", name).split())
    if not any(c.isalnum() for c in _INVISIBLE.sub("", found)):
        raise InputError(f"{what} must be 1 to {NAME_LETTERS} printable characters, letters among them")
    return found


def same_person(one: str, other: str) -> bool:
    """Return whether two names are one but for case, width, spaces, punctuation and what shows nothing."""
    return _key(one) == _key(other)


def _key(name: str) -> str:
    """Return the letters, digits and marks of a name: a vowel sign is a mark and tells names apart.

    Letters fold before and after they are composed: either can undo what the other did.
    """
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold()
    composed = unicodedata.normalize("NFKC", _INVISIBLE.sub("", folded)).casefold()
    kept = "".join(c for c in composed if c.isalnum() or unicodedata.category(c) in {"Mn", "Mc"})
    # The dot of a Turkish I comes and goes with case.
    return unicodedata.normalize("NFC", kept.replace("i\u0307", "i").replace("\u0131", "i"))
