"""The plots of an evaluation, as the data and layout that plotly draws in a browser."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

MODEL, OTHER, DRUG, GREY = "#1f5f8b", "#8a949c", "#c2571a", "#d5dade"
BAND = "rgba(31, 95, 139, 0.18)"
LEVELS = {"MEDIUM": "#d49a1c", "HIGH": "#b3261e"}

Plot = dict[str, Any]


def list_plots(found: Mapping[str, Any]) -> dict[str, Plot]:
    """Return the plots of an evaluation (`models.assess.assess`), by the id of the section they stand in."""
    plots = {
        "scores": _plot_scores(found),
        "curve": _plot_curve(found),
        "calibration": _plot_calibration(found),
        "precision": _plot_precision(found),
        "caught": _plot_flagged(found["caught"]),
        "false_positives": _plot_flagged(found["false_positives"]),
        "histogram": _plot_histogram(found),
    }
    if found["truth"] is not None and found["truth"]["roles"]:
        roles = sorted(found["truth"]["roles"], key=lambda line: (not line["drug"], line["name"]))
        plots["truth_roles"] = _plot_flagged(roles)
    return plots


def _layout(
    title: str, x: Mapping[str, Any], y: Mapping[str, Any], *, height: int = 360, **more: Any
) -> Plot:
    axis = {"gridcolor": "#e7eaed", "zeroline": False, "automargin": True, "fixedrange": True}
    return {
        "title": {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"},
        "xaxis": axis | dict(x),
        "yaxis": axis | dict(y),
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 48, "b": 50},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#22303a"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "y": 1.0, "x": 1, "xanchor": "right", "yanchor": "bottom"},
        **more,
    }


def _errors(values: Sequence[Mapping[str, float]], *, scale: float = 1.0) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * (v["high"] - v["value"]) for v in values],
        "arrayminus": [scale * (v["value"] - v["low"]) for v in values],
        "thickness": 1.4,
        "width": 4,
    }


def _plot_scores(found: Mapping[str, Any]) -> Plot:
    scores = [score for score in found["scores"] if score["kind"] != "prevalence"][::-1]
    areas = [score["pr_auc"] for score in scores]
    chance = found["rows"]["prevalence"]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [area["value"] for area in areas],
        "y": [score["name"] for score in scores],
        "error_x": _errors(areas),
        "marker": {
            "size": 10,
            "color": [MODEL if score["kind"] == "model" else OTHER for score in scores],
        },
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    line = {"type": "line", "x0": chance, "x1": chance, "yref": "paper", "y0": 0, "y1": 1}
    note = {"x": chance, "y": 1, "yref": "paper", "text": "chance", "showarrow": False, "yanchor": "bottom"}
    return {
        "data": [trace],
        "layout": _layout(
            "PR-AUC with 95% owner-bootstrap intervals",
            {"title": {"text": "PR-AUC"}, "range": [0, 1]},
            {},
            height=300,
            shapes=[line | {"line": {"color": GREY, "dash": "dash"}}],
            annotations=[note | {"font": {"color": OTHER}}],
            showlegend=False,
        ),
    }


def _plot_curve(found: Mapping[str, Any]) -> Plot:
    curve, chance = found["curve"], found["rows"]["prevalence"]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [*curve["recall"], *curve["recall"][::-1]],
        "y": [*curve["high"], *curve["low"][::-1]],
        "fill": "toself",
        "fillcolor": BAND,
        "line": {"width": 0},
        "name": "95% at each recall",
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": curve["recall"],
        "y": curve["precision"],
        "line": {"color": MODEL, "width": 2.5},
        "name": "model",
        "hovertemplate": "recall %{x:.0%}: precision %{y:.0%}<extra></extra>",
    }
    base = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [chance, chance],
        "line": {"color": OTHER, "dash": "dash"},
        "name": "chance",
        "hoverinfo": "skip",
    }
    return {
        "data": [band, line, base],
        "layout": _layout(
            "Precision and recall at the prevalence of these rows",
            {"title": {"text": "recall"}, "range": [0, 1.005], "tickformat": ".0%"},
            {"title": {"text": "precision"}, "range": [0, 1.02], "tickformat": ".0%"},
        ),
    }


def _plot_calibration(found: Mapping[str, Any]) -> Plot:
    bins = found["calibration"]["bins"]
    points = [{"value": b["seen"], "low": b["low"], "high": b["high"]} for b in bins]
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": OTHER, "dash": "dash"},
        "name": "as said",
        "hoverinfo": "skip",
    }
    seen = {
        "type": "scatter",
        "mode": "markers+lines",
        "x": [b["said"] for b in bins],
        "y": [b["seen"] for b in bins],
        "error_y": _errors(points),
        "marker": {"color": MODEL, "size": 8},
        "line": {"color": MODEL, "width": 1},
        "name": "seen",
        "text": [f"{b['weight']:.0f} owners" for b in bins],
        "hovertemplate": "said %{x:.1%}, seen %{y:.1%}, %{text}<extra></extra>",
    }
    return {
        "data": [diagonal, seen],
        "layout": _layout(
            "Calibration: bins of about equal numbers of owners",
            {"title": {"text": "probability said"}, "range": [0, 1], "tickformat": ".0%"},
            {"title": {"text": "share seen"}, "range": [0, 1.02], "tickformat": ".0%"},
        ),
    }


def _plot_precision(found: Mapping[str, Any]) -> Plot:
    capacity = found["capacity"]["precision"]
    lines = [("at capacity", MODEL, capacity)]
    lines += [
        (level["level"], LEVELS[level["level"]], level["precision"])
        for level in found["levels"]
        if level["precision"] is not None
    ]
    data = []
    for number, (name, colour, points) in enumerate(lines):
        known = [(float(share), v) for share, v in points.items() if v["value"] is not None]
        values = [
            {
                "value": v["value"],
                "low": v["low"] if v["low"] is not None else 0.0,
                "high": v["high"] if v["high"] is not None else v["value"],
            }
            for _, v in known
        ]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                # A little apart, so that the ranges of one share do not hide each other.
                "x": [share * (1 + 0.06 * (number - 1)) for share, _ in known],
                "y": [v["value"] for v in values],
                "error_y": _errors(values),
                "line": {"color": colour},
                "marker": {"size": 7},
                "name": name,
                "hovertemplate": "%{y:.1%}<extra>" + name + "</extra>",
            }
        )
    shares = [float(share) for share in capacity]
    return {
        "data": data,
        "layout": _layout(
            "Precision, if so many owners were drug owners",
            {
                "title": {"text": "assumed share of drug owners"},
                "type": "log",
                "tickvals": shares,
                "ticktext": [f"{share:.1%}" for share in shares],
            },
            {"title": {"text": "precision"}, "range": [0, 1.02], "tickformat": ".0%"},
        ),
    }


def _plot_flagged(lines: Sequence[Mapping[str, Any]]) -> Plot:
    shown = [line for line in lines if line["medium_share"] is not None or line["high_share"] is not None][
        ::-1
    ]
    data = []
    for level, key in (("HIGH", "high_share"), ("MEDIUM", "medium_share")):
        known = [line for line in shown if line[key] is not None]
        if not known:
            continue
        values = [dict(zip(("value", "low", "high"), line[key], strict=True)) for line in known]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": [v["value"] for v in values],
                "y": [f"{line['name']} ({line['owners']:,})" for line in known],
                "error_x": _errors(values) | {"color": "#55606a"},
                "marker": {"color": LEVELS[level]},
                "name": "HIGH" if level == "HIGH" else "MEDIUM or above",
                "hovertemplate": "%{y}: %{x:.1%}<extra>" + level + "</extra>",
            }
        )
    return {
        "data": data,
        "layout": _layout(
            "Share of owners flagged, with Wilson intervals (number of owners)",
            {"range": [0, 1], "tickformat": ".0%"},
            {"showgrid": False},
            height=140 + 44 * max(len(shown), 1),
            barmode="group",
            bargap=0.3,
        )
        | {
            "legend": {
                "traceorder": "reversed",
                "orientation": "h",
                "y": -40 / (140 + 44 * max(len(shown), 1)),
            }
        },
    }


def _plot_histogram(found: Mapping[str, Any]) -> Plot:
    histogram = found["histogram"]
    edges = histogram["edges"]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    data = []
    for kind, name, colour in (("other", "other owners", OTHER), ("drug", "drug owners", DRUG)):
        total = max(sum(histogram[kind]), 1)
        data.append(
            {
                "type": "bar",
                "x": middles,
                "y": [count / total for count in histogram[kind]],
                "text": [str(count) for count in histogram[kind]],
                "textposition": "none",
                "marker": {"color": colour},
                "opacity": 0.7,
                "name": f"{name} ({sum(histogram[kind]):,})",
                "hovertemplate": "%{text} owners<extra>" + name + "</extra>",
            }
        )
    begins = [(level, at) for level, at in histogram["begins"].items() if at is not None]
    return {
        "data": data,
        "layout": _layout(
            "Highest score of each owner, and where the levels begin",
            {"title": {"text": "score"}, "range": [0, 100]},
            {"title": {"text": "share of the owners"}, "tickformat": ".0%"},
            barmode="overlay",
            bargap=0,
            shapes=[
                {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 0.94}
                | {"line": {"color": LEVELS[level], "width": 2, "dash": "dot"}}
                for level, at in begins
            ],
            annotations=[
                {"x": at, "y": 0.94, "yref": "paper", "text": level, "showarrow": False}
                | {"yanchor": "bottom", "font": {"color": LEVELS[level]}}
                for level, at in begins
            ],
        ),
    }
