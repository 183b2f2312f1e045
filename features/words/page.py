"""The pages of `docs/` that list every feature, one for each language."""

from features.catalogue import CATALOGUE, GROUPS, UNITS
from features.words.describe import read_words
from features.words.languages import ENGLISH


def write_page(language: str = ENGLISH) -> str:
    """Return the catalogue as Markdown: `docs/features.md`, or `docs/features.<language>.md`.

    Raises InputError for a language without words.
    """
    words = read_words(language)
    lines = [words.page.head.replace("{count}", str(len(CATALOGUE))).rstrip()]
    columns = f"| {' | '.join(words.page.columns)} |"
    for group in GROUPS:
        lines += ["", f"## {words.groups[group]}", "", columns, "|---|---|---|---|"]
        lines += [
            f"| `{f.name}` | {f.unit} | {words.levels[f.level]} | {words.meanings[f.name]} |"
            for f in CATALOGUE
            if f.group == group
        ]
    lines += ["", f"## {words.page.units}", "", "| | |", "|---|---|"]
    lines += [f"| `{unit}` | {words.units[unit]} |" for unit in UNITS]
    return "\n".join(lines) + "\n"
