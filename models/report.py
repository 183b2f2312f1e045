"""An evaluation as one HTML file that needs nothing but itself: no host is asked for anything."""

import base64
import hashlib
import html
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.plots import list_plots
from models.table_cells import Section
from models.tables import list_sections, summarise

BESIDE = {"scores": ("scores", "curve"), "levels": ("histogram",)}
"""Plots that stand in a section of another name, or with others."""

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #22303a; background: #f6f7f8; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 8px 0; }
h2 { font-size: 19px; margin: 0 0 8px; }
section { background: #fff; border: 1px solid #e3e7ea; border-radius: 6px; }
section { padding: 18px 22px; margin: 18px 0; }
p { margin: 6px 0; max-width: 75ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 12px; font-size: 13.5px; }
th, td { padding: 5px 20px 5px 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e9ecee; }
th { color: #55606a; font-weight: 600; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.clean, .leak { border-left: 5px solid #2e7d4f; padding: 10px 16px; background: #eef6f0; margin: 12px 0; }
.leak { border-color: #b3261e; background: #fbeceb; font-weight: 600; }
nav a { margin-right: 14px; color: #1f5f8b; white-space: nowrap; }
.plot { width: 100%; }
footer { color: #6b767f; font-size: 13px; }
"""

_SCRIPT = """
const plots = JSON.parse(document.getElementById("plots").textContent);
for (const [id, plot] of Object.entries(plots)) {
  Plotly.newPlot("plot-" + id, plot.data, plot.layout, {displayModeBar: false, responsive: true});
}
"""


def write_report(path: Path, found: Mapping[str, Any]) -> None:
    """Write the report of an evaluation (`models.assess.assess`) to `path`, whole or not at all."""
    written = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with written.open("wb") as file:
            file.write(render_report(found).encode())
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def render_report(found: Mapping[str, Any]) -> str:
    """Return the report as HTML.

    Every text is escaped, and a policy inside the page lets only its own two scripts run and nothing be
    fetched: a label that carries markup is shown as text.
    """
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs()
    plots = list_plots(found)
    sections = list_sections(found)
    policy = (
        f"default-src 'none'; script-src {_hash_script(library)} {_hash_script(_SCRIPT)}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    audit = "clean" if found["audit"]["passed"] else "leak"
    *lines, last = summarise(found)
    head = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    links = " ".join(f'<a href="#{s.id}">{html.escape(s.title)}</a>' for s in sections)
    body = "".join(_render_section(section, plots) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Evaluation of {html.escape(found['model'])}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Evaluation of {html.escape(found['model'])}</h1>\n{head}\n"
        f'<p class="{audit}">{html.escape(last)}</p>\n<nav>{links}</nav>\n{body}\n'
        "<footer>A score never decides alone: a person does, can see why, and can be contradicted.</footer>\n"
        f'</main>\n<script id="plots" type="application/json">{_embed(plots)}</script>\n'
        f"<script>{library}</script>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _render_section(section: Section, plots: Mapping[str, Any]) -> str:
    words = "".join(f"<p>{html.escape(line)}</p>" for line in section.words)
    names = BESIDE.get(section.id, (section.id,))
    drawn = "".join(f'<div class="plot" id="plot-{name}"></div>' for name in names if name in plots)
    return (
        f'<section id="{section.id}"><h2>{html.escape(section.title)}</h2>{words}{drawn}'
        f"{_render_table(section)}</section>\n"
    )


def _render_table(section: Section) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        made = []
        for place, cell in enumerate(cells):
            words = place < section.words_first or section.columns[place] == "note"
            kind = "" if words else ' class="number"'
            made.append(f"<{tag}{kind}>{html.escape(cell)}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    head = row(section.columns, "th")
    body = "".join(row(cells, "td") for cells in section.rows)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _embed(plots: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in; plotly reads markup, so names lose theirs."""
    text = json.dumps(_escape_texts(plots), allow_nan=False, sort_keys=True, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _escape_texts(value: Any) -> Any:
    """Return the plot with every text escaped, but for plotly's own tag for what a pointer shows beside."""
    if isinstance(value, Mapping):
        return {
            str(key): item if key == "hovertemplate" else _escape_texts(item) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_escape_texts(item) for item in value]
    return html.escape(value, quote=False) if isinstance(value, str) else value


def _hash_script(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
