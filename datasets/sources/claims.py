"""What every label source hands over: claims about accounts, and the entries that could not become any."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from chains.address import Account
from chains.errors import InputError

LONGEST_TEXT = 500
"""Characters kept of a name, an entity, a source or a reference; longer ones are rejected, not cut."""

OPEN_LICENCES = frozenset(
    {"apache-2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odbl-1.0", "public domain"}
)
"""Licences, in lower case, under which a label may be passed on and learnt from."""

NOBODY = frozenset(
    {f"0x{number:040x}" for number in range(1024)}  # the zero address and the range of precompiled contracts
    | {"0x" + "dead".rjust(40, "0"), "0x" + "dead" + "0" * 32 + "dead", "0x" + "f" * 40, "0x" + "e" * 40}
    | {"T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"}  # TRON's zero address
    | {"1111111111111111111114oLvT2", "1BitcoinEaterAddressDontSendf59kuE"}
    | {"1CounterpartyXXXXXXXXXXXXXXXUWLpVr"}
)
"""Addresses without an owner, to which value is burnt: a label on one would spread to everybody."""


@dataclass(frozen=True)
class Label:
    """One claim that an account belongs to a category: the fields of the table `label`.

    `position` says where in the file it stands, `published_at` when the world could know (naive UTC, None
    unknown), `confidence` lies in 0 to 1, `entity` is '' where the source names no owner, `programmes` is
    empty where this is no sanction, `listed_at` is the day on which the sanctioned entity was listed, `actor`
    the id of an actor that an ActorPack may describe, and `substances` are ids of datasets/substances.toml.
    """

    position: str
    account: Account
    category: str
    entity: str
    name: str
    source: str
    reference: str
    confidence: float
    published_at: datetime | None
    licence: str
    may_export: bool
    may_train: bool
    cluster_definer: bool
    programmes: tuple[str, ...] = ()
    listed_at: date | None = None
    actor: str = ""
    substances: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejection:
    """An entry that became no label: where it stands, a short stable reason, and what was found."""

    position: str
    reason: str
    detail: str


@dataclass(frozen=True)
class LabelList:
    """What one file claims: every entry is in `labels` or in `rejected`.

    `issued_at` is the list's own date and `covers` the sources for which it is a whole issue: what they no
    longer say in the newest issue is withdrawn.
    """

    labels: list[Label]
    rejected: list[Rejection]
    issued_at: datetime | None = None
    covers: tuple[str, ...] = ()


class RefusedError(InputError):
    """One entry becomes no label; a source puts it among its rejections and goes on."""

    def __init__(self, reason: str, detail: str) -> None:
        """Take a short stable word, and what was found."""
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


def clean_text(value: object, field_name: str) -> str:
    """Return the text of a field on one line, without control and invisible format characters.

    Raises RefusedError when it is longer than LONGEST_TEXT, or no text but a list or a mapping.
    """
    if isinstance(value, (list, dict, set, tuple)):
        raise RefusedError("not_text", f"{field_name} is {shown(value)}, not a text")
    text = "" if value is None else str(value)
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    if len(text) > LONGEST_TEXT:
        raise RefusedError(
            "too_long", f"{field_name} has {len(text)} characters, at most {LONGEST_TEXT} are kept"
        )
    return text


def read_time(value: object, field_name: str) -> datetime | None:
    """Return an ISO 8601 date or time as naive UTC; a date alone is the start of that day, '' is None.

    A time without an offset is taken as UTC. Raises RefusedError for anything else, and before 1970.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            time = value
        elif isinstance(value, date):
            time = datetime(value.year, value.month, value.day)  # noqa: DTZ001  (naive UTC)
        else:
            time = datetime.fromisoformat(str(value).strip())
        if time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        why = f"{field_name} is {shown(value)}: write 2024-05-31 or 2024-05-31T12:00:00Z"
        raise RefusedError("bad_date", why) from None
    if time.year < 1970:
        raise RefusedError("bad_date", f"{field_name} is {shown(value)}, before 1970")
    return time


def is_open_licence(licence: str) -> bool:
    """Whether labels under `licence` may be passed on and learnt from."""
    return licence.strip().casefold() in OPEN_LICENCES


def shown(value: object, limit: int = 80) -> str:
    """Return a value of a file as it may stand in a message: one line, quoted, cut."""
    if isinstance(value, (list, dict, set, tuple)):  # may be nested beyond any length
        return f"a {type(value).__name__} of {len(value)}"
    text = "".join(c if c.isprintable() else "\ufffd" for c in str(value)[: limit + 1])
    return repr(text if len(text) <= limit else text[:limit] + "…")
