"""The report: one file that asks nobody for anything, and runs nothing but its own."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from models.plots import list_plots
from models.report import render_report, write_report
from models.tables import list_sections

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


def make_interval(value: float = 0.5) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def make_line(name: str, owners: int = 40) -> dict[str, Any]:
    few = owners < 5
    return {
        "name": name,
        "owners": owners,
        "medium": 4,
        "high": None if few else 1,
        "medium_share": None if few else [0.1, 0.05, 0.2],
        "high_share": None if few else [0.02, 0.0, 0.1],
        "note": f"too few owners: {owners}" if few else "",
    }


def make_evaluation() -> dict[str, Any]:
    """An evaluation as `assess` returns it, with hostile names wherever a name may come from outside."""
    figures = {
        "pr_auc": make_interval(),
        "roc_auc": make_interval(),
        "recall": {"0.001": make_interval(), "0.01": make_interval()},
    }
    part = {
        "rows": 3,
        "owners": 3,
        "drug_owners": 1,
        "prevalence": 0.3,
        "figures": None,
        "note": "too few drug owners: 1",
    }
    shares = ("0.001", "0.01", "0.1")
    level = {
        "alpha": 0.05,
        "set_on_owners": 40,
        "why": None,
        "licit": {"owners": 40, "flagged": 2, "share": 0.05, "low": 0.01, "high": 0.1},
        "drug": {"owners": 20, "flagged": 9, "share": 0.45, "low": 0.3, "high": 0.6},
        "precision": {s: {"value": 0.1, "low": None, "high": 0.3} for s in shares},
    }
    audit = {
        "passed": False,
        "checks": [
            {
                "id": "look_ahead",
                "question": "q",
                "said": "s",
                "findings": [HOSTILE],
                "skipped": "",
                "passed": False,
            },
            {
                "id": "own_label",
                "question": "q",
                "said": "s",
                "findings": [],
                "skipped": "no ledger",
                "passed": True,
            },
        ],
    }
    return {
        "model": "m-0123456789ab",
        "simulated": True,
        "rows": {"owners": 60, "drug_owners": 20, "prevalence": 0.33, "moments": ["2023-10-27T00:00:00Z"]},
        "scores": [
            {"kind": k, "name": n} | figures for k, n in (("model", "model"), ("rules_alone", HOSTILE))
        ],
        "ahead": [
            {
                "than": "rules_alone",
                "pr_auc": make_interval(0.2),
                "recall 0.001": make_interval(),
                "recall 0.01": make_interval(),
            }
        ],
        "calibration": {
            "prevalence": 0.33,
            "stated_prevalence": 0.01,
            "error": 0.02,
            "bins": [
                {
                    "lowest": 0.1,
                    "highest": 0.2,
                    "said": 0.15,
                    "seen": 0.2,
                    "low": 0.1,
                    "high": 0.3,
                    "weight": 6.0,
                    "rows": 9,
                }
            ],
        },
        "levels": [
            level | {"level": "MEDIUM", "log_odds": -3.0},
            level
            | {
                "level": "HIGH",
                "log_odds": None,
                "why": "not attainable: few",
                "licit": None,
                "drug": None,
                "precision": None,
            },
        ],
        "capacity": {
            "per_day": 10,
            "days": 30,
            "cases": 300,
            "owners": 1_000,
            "precision": {s: make_interval() for s in shares},
            "recall": {s: make_interval() for s in shares},
        },
        "groups": {
            "chain": [{"name": HOSTILE} | part],
            "view": [{"name": "whole"} | part | {"figures": figures, "note": ""}],
        },
        "caught": [make_line("drug_vendor"), make_line(HOSTILE, 3)],
        "false_positives": [make_line(HOSTILE), make_line("scam")],
        "ahead_of_action": [{"days": 7} | part],
        "curve": {"recall": [0.1, 1.0], "precision": [0.9, 0.3], "low": [0.8, 0.3], "high": [1.0, 0.4]},
        "histogram": {
            "edges": [0, 50, 100],
            "drug": [5, 15],
            "other": [30, 10],
            "begins": {"MEDIUM": 70.0, "HIGH": None},
        },
        "truth": {
            "world": {"seed": 1, "dials": {"alike": 0.1}},
            "owners": 10,
            "drug_owners": 2,
            "prevalence": 0.2,
            "addresses": 30,
            "figures": figures,
            "at_capacity": {"cases": 4, "drug_owners": 2},
            "roles": [make_line(HOSTILE) | {"drug": True, "addresses": 60}],
        },
        "comparison": {
            "champion": "m-aaaaaaaaaaaa",
            "challenger": "m-0123456789ab",
            "verdict": "worse",
            "note": HOSTILE,
            "champion_pr_auc": make_interval(),
            "challenger_pr_auc": make_interval(),
            "difference": make_interval(-0.3),
        },
        "audit": audit,
    }


class Reader(HTMLParser):
    """What a browser would see: elements with what they would run or fetch, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._inside = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def page() -> Reader:
    reader = Reader()
    reader.feed(render_report(make_evaluation()))
    return reader


def test_nothing_is_fetched_and_no_name_becomes_an_element(page: Reader) -> None:
    assert {tag for tag, _ in page.tags} <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "p",
        "nav",
        "a",
        "section",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "footer",
        "script",
    }
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#"), tag
    assert len(page.scripts) == 3


def test_the_policy_lets_only_its_own_two_scripts_run(page: Reader) -> None:
    policy = next(str(a["content"]) for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = policy.split("script-src ")[1].split(";")[0]
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in page.scripts[1:]
    ]
    assert scripts.split() == hashes
    assert "connect-src" not in policy
    assert "http" not in policy.replace("http-equiv", "")


def test_every_plot_has_a_place_and_every_place_a_plot(page: Reader) -> None:
    plots = json.loads(page.scripts[0])
    places = [
        a["id"].removeprefix("plot-") for _, a in page.tags if str(a.get("class")) == "plot" and a["id"]
    ]
    assert sorted(places) == sorted(plots) == sorted(list_plots(make_evaluation()))
    assert "<" not in page.scripts[0]
    # plotly reads markup in names: theirs is shown as text.
    assert "&lt;/script&gt;" in json.dumps(plots)
    assert "<img" not in json.dumps(plots)


def test_every_figure_of_the_tables_is_on_the_page() -> None:
    found = make_evaluation()
    text = render_report(found)
    body = re.sub(r"<[^>]+>", "\n", text.split("<script")[0])
    for section in list_sections(found):
        for row in section.rows:
            for cell in row:
                if "<" not in cell and "&" not in cell and "'" not in cell:
                    assert cell in body
    assert "THE LEAK AUDIT FOUND 1 LEAK; 1 of its questions could not be asked" in body
    assert "HIGH is not attainable: few." in body
    assert "too few owners: 3" in body
    assert 'class="leak"' in text


def test_a_report_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, make_evaluation())
    first = path.read_bytes()
    write_report(path, make_evaluation())
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    broken = make_evaluation()
    del broken["curve"]
    with pytest.raises(KeyError):
        write_report(path, broken)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
