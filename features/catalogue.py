"""Every feature, as data: name, group, unit, level, meaning, and the words of a reason.

`python -m features.catalogue` prints `docs/features.md`; with `ru` or `zh`, the page in that language.
`features/words` puts numbers into the words, in each language.
"""

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

GROUPS = (
    "activity",
    "amounts",
    "counterparties",
    "timing",
    "flow_through",
    "structure",
    "recent",
    "exposure",
)
LEVELS = ("entity", "address")
UNITS = ("count", "share", "ratio", "usd", "days", "hours", "seconds", "hops")
"""What each means, in words: `features/words/<language>.toml`."""


@dataclass(frozen=True)
class Feature:
    """One number about an address at a moment.

    `level` says whether the number belongs to the address or to its whole entity. `text` is the reason that
    a person reads, in English: `{value}` stands for the number, `[day|days]` for one or several. `unknown` is
    what they read where the number is not known; None where that is all there is to say. `monotone` is 1 (-1)
    where more of it can never lower (raise) the score, else 0. `sql` is the file under `features/sql` that
    computes it; None where it comes from tracing.
    """

    name: str
    group: str
    unit: str
    level: str
    meaning: str
    text: str
    unknown: str | None
    monotone: int
    sql: str | None


def _read_catalogue() -> Iterator[Feature]:
    entries = tomllib.loads((files("features") / "catalogue.toml").read_text(encoding="utf-8"))
    for group in GROUPS:
        for entry in entries[group]:
            level = entry.get("level", "entity")
            sql = None if group == "exposure" else f"{'address_' if level == 'address' else ''}{group}.sql"
            yield Feature(
                name=entry["name"],
                group=group,
                unit=entry["unit"],
                level=level,
                meaning=entry["meaning"],
                text=entry["text"],
                unknown=entry.get("unknown"),
                monotone=entry.get("monotone", 0),
                sql=sql,
            )


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
    "view.py",
)


@cache
def catalogue_hash() -> str:
    """Return the SHA-256 (hex) of all that gives a feature its meaning: it changes whenever one may have.

    That is the catalogue, its SQL, the steps before it, clustering, seeding and tracing, and the taxonomy.
    What a person reads (`text`, `meaning`, translations) is left out: a better word makes no other number.
    """
    package = files("features")
    sources = {name: read_sql(name) for name in sorted({f.sql for f in CATALOGUE if f.sql is not None})}
    steps = (path for path in (package / "steps").iterdir() if path.name.endswith(".sql"))
    sources |= {path.name: path.read_text(encoding="utf-8") for path in steps}
    sources |= {name: (package / name).read_text(encoding="utf-8") for name in MEANING}
    sources["taxonomy.toml"] = (files("datasets") / "taxonomy.toml").read_text(encoding="utf-8")
    features = [[f.name, f.group, f.unit, f.level, f.sql] for f in CATALOGUE]
    content = json.dumps([features, sources], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


if __name__ == "__main__":
    from chains.errors import InputError
    from features.words.page import write_page  # it reads this catalogue

    try:
        sys.stdout.write(write_page(*sys.argv[1:2]))
    except InputError as error:
        sys.exit(f"features.catalogue: {error}")
