"""The list of indicators, as data: what each looks for, who describes it, its thresholds and its sentence.

`python -m features.indicators.catalogue` prints `docs/indicators.md`; with an id, that query for pasting.
"""

import math
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

ENGLISH = "en"


@dataclass(frozen=True)
class Threshold:
    """One parameter of an indicator's query, with the reason for its value."""

    name: str
    value: float
    unit: str
    why: str


@dataclass(frozen=True)
class Indicator:
    """One typology. `names` and `texts` stand by language, `values` gives the unit of each value in the text.

    `hypothesis`: expected and not shown; it is marked wherever it appears, and nothing is computed from it.
    `weak`: those named in `also` show it about as often, so that it says little alone.
    """

    id: str
    hypothesis: bool
    source: str
    meaning: str
    near_miss: str
    also: str
    weak: bool
    names: Mapping[str, str]
    texts: Mapping[str, str]
    values: Mapping[str, str]
    thresholds: tuple[Threshold, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """Return the thresholds as the parameters of the query; dollars as doubles, which cannot overflow."""
        return {t.name: float(t.value) if t.unit == "usd" else t.value for t in self.thresholds}

    def name(self, language: str = ENGLISH) -> str:
        """Return its name in a language, in English where that has none."""
        return self.names.get(language, self.names[ENGLISH])

    def describe(self, values: Mapping[str, Any], language: str = ENGLISH) -> str:
        """Return its sentence with the values of one finding put in; a value that is missing is "unknown"."""
        known: dict[str, Any] = {**self.parameters, **values}
        shown = {
            name: describe_value(unit, known.get(name), language, precise=name not in self.parameters)
            for name, unit in self.values.items()
        }
        return self.texts.get(language, self.texts[ENGLISH]).format_map(shown)


@cache
def _data() -> dict[str, Any]:
    text = files("features").joinpath("indicators", "indicators.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _read() -> tuple[Indicator, ...]:
    data = _data()
    return tuple(
        Indicator(
            id=entry["id"],
            hypothesis=entry["hypothesis"],
            source=f"{data['source'][entry['source']]['title']}: {entry['place']}",
            meaning=entry["meaning"],
            near_miss=entry["near_miss"],
            also=entry["also"],
            weak=entry["weak"],
            names=MappingProxyType(entry["name"]),
            texts=MappingProxyType(entry["text"]),
            values=MappingProxyType(entry["values"]),
            thresholds=tuple(Threshold(name, **given) for name, given in entry["thresholds"].items()),
        )
        for entry in data["indicator"]
    )


INDICATORS: tuple[Indicator, ...] = _read()
BY_ID: Mapping[str, Indicator] = MappingProxyType({indicator.id: indicator for indicator in INDICATORS})


def find_indicator(name: str) -> Indicator:
    """Return the indicator with that id; one that this version does not know is called by its id."""
    found = BY_ID.get(name)
    if found is not None:
        return found
    text = {ENGLISH: "not known to this version"}
    return Indicator(name, True, "", "", "", "", True, {ENGLISH: name}, text, {}, ())


def read_query(indicator: str) -> str:
    """Return the text of the query of the indicator with that id."""
    return files("features").joinpath("indicators", f"{indicator}.sql").read_text(encoding="utf-8")


def paste_query(indicator: Indicator) -> str:
    """Return the query with its thresholds put in, ready for the tables of a build."""
    known = indicator.parameters
    return re.sub(r"\$(\w+)", lambda found: repr(known[found[1]]), read_query(indicator.id))


def describe_value(unit: str, value: Any, language: str = ENGLISH, *, precise: bool = True) -> str:
    """Write a value with its unit as a person reads it; None is "unknown"."""
    if value is None:
        return "unknown"
    if unit in ("text", "word"):
        words = _data()["words"]
        return str({**words[ENGLISH], **words.get(language, {})}.get(value, value))
    number = float(value)
    if unit == "share":
        return "over 99 %" if 0.99 < number < 1 else f"{100 * number:.0f} %"
    if unit == "usd":
        return f"{number:,.2f} USD" if abs(number) < 100 and precise else f"{number:,.0f} USD"
    return _describe_span(number * _SECONDS[unit]) if unit in _SECONDS else f"{number:,.0f}"


_SECONDS = {"minutes": 60.0, "hours": 3_600.0, "days": 86_400.0}


def _describe_span(seconds: float) -> str:
    for word, size in reversed(_SECONDS.items()):
        if seconds >= size and (word != "days" or seconds > 2 * size or seconds % size == 0):
            number = f"{math.floor(10 * seconds / size + 0.5) / 10:,.1f}".removesuffix(".0")
            return f"{number} {word[:-1] if number == '1' else word}"
    return "less than a minute"


_HEAD = """# Indicators

{count} typologies of laundering. Each is one query over all entities (`features/indicators/<id>.sql`),
and each finding names the transfers that show it. An indicator is a lead for a person: it says what the
chain shows, not what it was for. Nothing here feeds the score or the level. A **hypothesis** is a pattern
that is expected and that no source has shown; it says so wherever it appears.

- A finding is about one entity: on account chains that is one address, on UTXO chains a cluster.
- `strength` is measure / (measure + threshold): 0.5 at the threshold, 0.67 at twice it, towards 1 far
  beyond. For a span of time it is threshold / (span + threshold): 1 at once, 0.5 at the threshold.
- `evidence` names up to 20 transfers in their order, the most telling ones; `evidence_count` says how
  many there are in all.
- Only what counts as a payment is read: no transfers of nothing, no tokens that nobody listed, no unasked
  dust. Sums in US dollars need a price; what has none triggers nothing that asks for one.
- "Private" means: no label and no structure of a service, and no deposit address of one. An exchange that
  nobody labelled looks private; then what its customers do may look like one owner's doing.
- **Weak alone**: ordinary people and firms show it about as often as those in the drug trade (in the
  simulated world, or by common sense where that has no such pattern). It counts together with others.
- Not computed: payments to an unregistered foreign service. No label says who is registered where.

`python -m features.indicators.catalogue ID` prints a query with its thresholds put in, for pasting into
DuckDB. It reads the tables of a build and those that `features/indicators/tables` adds: `party` (who each
entity is), `payment` and `movement` (views of `edge` and `flow`), `relay` (each payment beside the
receipts before it).

This page is made from `features/indicators/indicators.toml` by `python -m features.indicators.catalogue`.
"""


def write_page() -> str:
    """Return the list of indicators as the Markdown of `docs/indicators.md`."""
    lines = [_HEAD.format(count=len(INDICATORS)).rstrip()]
    for hypothesis, title in ((False, "Described by others"), (True, "Hypotheses")):
        lines += ["", f"## {title}"]
        for indicator in INDICATORS:
            if indicator.hypothesis is hypothesis:
                lines += ["", *_describe(indicator)]
    return "\n".join(lines) + "\n"


def _describe(indicator: Indicator) -> list[str]:
    lines = [
        f"### {indicator.name()}",
        "",
        f"`{indicator.id}`. {indicator.meaning}.",
        "",
        f"- Near miss, left out: {indicator.near_miss}.",
        f"- Shown too by: {indicator.also}.{' **Weak alone.**' * indicator.weak}",
        f'- Says: "{indicator.texts[ENGLISH]}"',
        f"- Source: {indicator.source}.",
        "",
        "| Threshold | Value | Why |",
        "|---|---|---|",
    ]
    for t in indicator.thresholds:
        unit = {"count": "", "share": "", "usd": " USD"}.get(t.unit, f" {t.unit}")
        lines.append(f"| `{t.name}` | {t.value:,g}{unit} | {t.why} |")
    return lines


if __name__ == "__main__":
    chosen = sys.argv[1:]
    sys.stdout.write(paste_query(BY_ID[chosen[0]]) if chosen else write_page())
