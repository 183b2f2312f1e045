"""Every feature, as data: name, group, unit, level, meaning, and the words of a reason.

`python -m features.catalogue` prints `docs/features.md`.
"""

import hashlib
import json
import math
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

GROUPS = ("activity", "amounts", "counterparties", "timing", "flow_through", "structure", "exposure")
LEVELS = ("entity", "address")
UNITS = {
    "count": "a whole number",
    "share": "0 to 1",
    "ratio": "a number without a unit",
    "usd": "US dollars at the day's price",
    "days": "days",
    "hours": "hours of the day, 1 to 24",
    "seconds": "seconds",
    "hops": "transfers on the way, 1 when direct",
}


@dataclass(frozen=True)
class Feature:
    """One number about an address at a moment.

    `level` says whether the number belongs to the address or to its whole entity, `text` is the reason
    a person reads (`{value}` stands for the number), `sql` is the file under `features/sql` that computes it;
    None where it comes from tracing.
    """

    name: str
    group: str
    unit: str
    level: str
    meaning: str
    text: str
    sql: str | None


def _read_catalogue() -> Iterator[Feature]:
    entries = tomllib.loads((files("features") / "catalogue.toml").read_text(encoding="utf-8"))
    for group in GROUPS:
        for entry in entries[group]:
            level = entry.get("level", "entity")
            sql = None if group == "exposure" else f"{'address_' if level == 'address' else ''}{group}.sql"
            yield Feature(entry["name"], group, entry["unit"], level, entry["meaning"], entry["text"], sql)


CATALOGUE: tuple[Feature, ...] = tuple(_read_catalogue())


def read_sql(name: str) -> str:
    """Return the text of the file `name` under `features/sql`."""
    return (files("features") / "sql" / name).read_text(encoding="utf-8")


@cache
def find_feature(name: str) -> Feature:
    """Return the feature called `name`; KeyError where the catalogue has none."""
    for feature in CATALOGUE:
        if feature.name == name:
            return feature
    raise KeyError(name)


MEANING = (
    "clustering_kernel.py",
    "deposits.sql",
    "entities.py",
    "exposure.py",
    "exposure_kernel.py",
    "legs.py",
    "numbering_kernel.py",
    "order.py",
    "owners.py",
    "seeds.py",
    "seen.py",
    "tracing.py",
    "unknown_service.sql",
)


@cache
def catalogue_hash() -> str:
    """Return the SHA-256 (hex) of all that gives a feature its meaning: it changes whenever one may have.

    That is the catalogue, its SQL, the steps before it, clustering, seeding and tracing, and the taxonomy.
    """
    package = files("features")
    sources = {name: read_sql(name) for name in sorted({f.sql for f in CATALOGUE if f.sql is not None})}
    steps = (path for path in (package / "steps").iterdir() if path.name.endswith(".sql"))
    sources |= {path.name: path.read_text(encoding="utf-8") for path in steps}
    sources |= {name: (package / name).read_text(encoding="utf-8") for name in MEANING}
    sources["taxonomy.toml"] = (files("datasets") / "taxonomy.toml").read_text(encoding="utf-8")
    content = json.dumps([[asdict(f) for f in CATALOGUE], sources], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def describe_value(feature: Feature, value: float) -> str:
    """Write `value` with its unit as a person reads it; NaN is "unknown"."""
    if math.isnan(value):
        return "unknown"
    return _WRITERS.get(feature.unit, "{:,.2f}".format)(value)


def describe_reason(feature: Feature, value: float) -> str:
    """Put `value` (in the feature's unit) into the feature's words; NaN says that it is not known."""
    if math.isnan(value):
        return f"not known: {feature.meaning[0].lower()}{feature.meaning[1:]}"
    shown = describe_value(feature, value)
    text = feature.text.format(value=shown)
    if shown == "1":
        for plural, singular in _SINGULAR.items():
            text = text.replace(f"1 {plural}", f"1 {singular}").replace(
                f"1 different {plural}", f"1 {singular}"
            )
    return text


_SINGULAR = {
    "transfers": "transfer",
    "payments": "payment",
    "days": "day",
    "assets": "asset",
    "counterparties": "counterparty",
    "addresses": "address",
}


def _describe_share(share: float) -> str:
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def _describe_usd(usd: float) -> str:
    return f"{usd:,.2f} USD" if abs(usd) < 100 else f"{usd:,.0f} USD"


def _describe_seconds(seconds: float) -> str:
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return _count_words(f"{seconds / size:,.1f}".removesuffix(".0"), word)
    return _count_words(f"{seconds:.0f}", "second")


def _count_words(number: str, word: str) -> str:
    return f"{number} {word}" if number == "1" else f"{number} {word}s"


_WRITERS: dict[str, Callable[[float], str]] = {
    "share": _describe_share,
    "usd": _describe_usd,
    "seconds": _describe_seconds,
    "days": lambda days: _describe_seconds(86_400 * days),
    "hours": lambda hours: _count_words(f"{hours:.1f}".removesuffix(".0"), "hour"),
    "hops": lambda hops: _count_words(f"{hops:.0f}", "hop"),
    "count": "{:,.0f}".format,
}

_HEAD = """# Features

One row of {count} numbers for each address at a moment, `as_of`. Only transfers before that moment count.
An address carries the numbers of its entity, except where the level says `address`.
A number that cannot be known is empty, never 0.
The main asset is the one in which the entity made most transfers (a tie goes to the one it used first);
shares and ratios of amounts stay inside it, so that they need no prices. Amounts in US dollars cover the
transfers whose value is known. Amounts above 10^31 raw units count as 10^31.

Some transfers stay in the ledger and count for nobody, because strangers can write them into any history:
amounts of 0, tokens that nobody listed, outputs of at most 1,000 satoshi that nobody spent, and cents from
payers with whom an address has no other dealing (`docs/decisions/0009-what-is-unsolicited.md`). A fee leaves
its payer's balance and is no payment (`docs/decisions/0012-fees-are-no-payments.md`). An address with nothing
else has no row.

Each group but exposure is a file under `features/sql` that can be pasted into DuckDB.

This page is made from `features/catalogue.toml` by `python -m features.catalogue`.
"""


def write_page() -> str:
    """Return the catalogue as the Markdown of `docs/features.md`."""
    lines = [_HEAD.format(count=len(CATALOGUE)).rstrip()]
    for group in GROUPS:
        lines += [
            "",
            f"## {group.replace('_', '-').capitalize()}",
            "",
            "| Feature | Unit | Level | Meaning |",
        ]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{f.name}` | {f.unit} | {f.level} | {f.meaning} |" for f in CATALOGUE if f.group == group
        ]
    lines += ["", "## Units", "", "| Unit | |", "|---|---|"]
    lines += [f"| {unit} | {meaning} |" for unit, meaning in UNITS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_page())
