"""An evaluation in words and tables: the same for the terminal and for the report."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from models.table_cells import Section, flags, interval, say_audit
from models.tables_beside import list_audit, list_comparison, list_roles, list_truth


def list_sections(found: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return the tables of an evaluation (`models.assess.assess`), in the order in which they are read."""
    sections = [
        _scores(found),
        _ahead(found),
        _levels(found),
        _precision(found),
        _capacity(found),
        _flagged(
            "caught",
            "Drug owners caught, by category",
            found["caught"],
            "A drug owner is caught where the highest score of its addresses is above the level's threshold.",
        ),
        _flagged(
            "false_positives",
            "Who is flagged wrongly",
            found["false_positives"],
            "Owners of the test moment that are not drug owners, by the category of their label.",
        ),
        _calibration(found),
        _groups(found),
        _action(found),
    ]
    if found["truth"] is not None:
        sections += [list_truth(found["truth"]), list_roles(found["truth"])]
    if found["comparison"] is not None:
        sections.append(list_comparison(found["comparison"]))
    sections.append(list_audit(found["audit"]))
    return tuple(sections)


def summarise(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the evaluation in a few sentences."""
    rows, scores = found["rows"], {score["kind"]: score for score in found["scores"]}
    best = max((s for k, s in scores.items() if k != "model"), key=lambda s: float(s["pr_auc"]["value"]))
    gap = next(gap for gap in found["ahead"] if gap["than"] == best["kind"])["pr_auc"]
    if gap["low"] > 0:
        said = "the model is better beyond noise"
    elif gap["high"] < 0:
        said = "the model is worse beyond noise"
    else:
        said = "the two cannot be told apart"
    lines = [
        (
            f"{rows['owners']:,} owners that the model never saw, {rows['drug_owners']:,} of them drug "
            f"owners ({rows['prevalence']:.1%}), at {', '.join(rows['moments'])}."
        ),
        (
            f"PR-AUC {interval(scores['model']['pr_auc'])}; the best baseline is {best['name']} with "
            f"{interval(best['pr_auc'])}: {said} (difference {interval(gap, signed=True)})."
        ),
        "Intervals hold 95% of the draws of a bootstrap over owners; an owner counts once.",
    ]
    if found["simulated"]:
        lines.append(
            "The owners are simulated. Good or bad, these figures say nothing of real addresses: they show "
            "that the machinery works."
        )
    lines.append(say_audit(found["audit"]))
    return tuple(lines)


def _scores(found: Mapping[str, Any]) -> Section:
    others = found["rows"]["owners"] - found["rows"]["drug_owners"]
    words = [
        "On the same rows. PR-AUC is read against the share of drug owners, which chance reaches.",
        "Log loss and Brier score are at the prevalence of these rows; rules have no probability.",
    ]
    if others < 1_000:
        words.append(
            f"With {others:,} owners outside the drug trade, 0.1% false positives is less than one owner: "
            "the recall there is what is found before the first false alarm."
        )
    return Section(
        "scores",
        "How well it ranks",
        tuple(words),
        ("score", "PR-AUC", "ROC-AUC", "recall at 0.1% FP", "recall at 1% FP", "log loss", "Brier"),
        tuple(
            (
                score["name"],
                interval(score["pr_auc"]),
                interval(score["roc_auc"]),
                interval(score["recall"]["0.001"], share=True),
                interval(score["recall"]["0.01"], share=True),
                f"{score['log_loss']:.4f}" if "log_loss" in score else "",
                f"{score['brier']:.4f}" if "brier" in score else "",
            )
            for score in found["scores"]
        ),
    )


def _ahead(found: Mapping[str, Any]) -> Section:
    names = {score["kind"]: score["name"] for score in found["scores"]}
    return Section(
        "ahead",
        "How far the model is ahead of each baseline",
        ("Both scores on the same draws of owners. An interval that holds 0 shows no difference.",),
        ("model less", "PR-AUC", "recall at 0.1% FP", "recall at 1% FP"),
        tuple(
            (
                names[gap["than"]],
                interval(gap["pr_auc"], signed=True),
                interval(gap["recall 0.001"], signed=True),
                interval(gap["recall 0.01"], signed=True),
            )
            for gap in found["ahead"]
        ),
    )


def _rate(found: Mapping[str, float] | None) -> str:
    if found is None or not found["owners"]:
        return "n/a"
    shares = f"{found['share']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"
    return f"{found['flagged']:,} of {found['owners']:,}: {shares}"


def _levels(found: Mapping[str, Any]) -> Section:
    words = [
        (
            "The bound was set on licit owners of the validation period and holds while owners stay like "
            "those; beside it stands what was seen at the test moment (Wilson intervals)."
        )
    ]
    words.append(
        "Only the score counts here. A screening says HIGH only with drug-specific evidence beside it "
        "(docs/rules.md), so it says HIGH less often than this."
    )
    words += [f"{level['level']} is {level['why']}." for level in found["levels"] if level["why"]]
    return Section(
        "levels",
        "What the levels flag",
        tuple(words),
        ("level", "bound", "licit owners flagged", "drug owners caught"),
        tuple(
            (level["level"], f"{level['alpha']:.0%}", _rate(level["licit"]), _rate(level["drug"]))
            for level in found["levels"]
        ),
    )


def _precision(found: Mapping[str, Any]) -> Section:
    shares = list(found["capacity"]["precision"])
    return Section(
        "precision",
        "How often a flagged owner would be a drug owner, if so many owners were",
        (
            (
                "Nobody knows the true share, so there is a column for each; these rows have "
                f"{found['rows']['prevalence']:.1%}, because closed cases are not a fair sample."
            ),
            "The ranges combine the worst and the best of both rates, and are wider than 95%.",
        ),
        ("level", *(f"{float(share):.1%}" for share in shares)),
        tuple(
            (level["level"], *(_range(level["precision"][share]) for share in shares))
            for level in found["levels"]
            if level["precision"] is not None
        ),
    )


def _range(found: Mapping[str, float | None]) -> str:
    if found["value"] is None:
        return "n/a"
    low, high = (found[end] if found[end] is not None else 0.0 for end in ("low", "high"))
    return f"{found['value']:.1%} [{low:.1%}, {high:.1%}]"


def _capacity(found: Mapping[str, Any]) -> Section:
    capacity = found["capacity"]
    others = found["rows"]["owners"] - found["rows"]["drug_owners"]
    words = (
        (
            f"{capacity['per_day']} cases a day for {capacity['days']} days are {capacity['cases']:,} of the "
            f"{capacity['owners']:,} owners that the test moment shows, the highest scores first."
        ),
        (
            "It is taken that the labelled owners stand for the others, and that the share of drug owners is "
            "the one in the first column. One more false alarm is counted than was seen, because none among "
            f"few proves none: that alone is {math.ceil(capacity['owners'] / (others + 1)):,} owners."
        ),
    )
    return Section(
        "capacity",
        "Precision at the analysts' capacity",
        words,
        ("if drug owners were", "of the cases would be drug owners", "of the drug owners would be found"),
        tuple(
            (
                f"{float(share):.1%}",
                interval(capacity["precision"][share], share=True),
                interval(capacity["recall"][share], share=True),
            )
            for share in capacity["precision"]
        ),
    )


def _flagged(id_: str, title: str, lines: Iterable[Mapping[str, Any]], words: str) -> Section:
    return Section(
        id_,
        title,
        (words,),
        ("category", "owners", "at MEDIUM or above", "at HIGH", "note"),
        tuple(
            (
                line["name"],
                f"{line['owners']:,}",
                flags(line["medium"], line["medium_share"]),
                flags(line["high"], line["high_share"]),
                line["note"],
            )
            for line in lines
        ),
    )


def _calibration(found: Mapping[str, Any]) -> Section:
    calibration = found["calibration"]
    return Section(
        "calibration",
        "Whether probabilities come true",
        (
            (
                f"Probabilities moved from the stated prevalence ({calibration['stated_prevalence']:.1%}) to "
                f"that of these rows ({calibration['prevalence']:.1%}): this checks their shape, not the "
                "stated share."
            ),
            f"Expected calibration error: {calibration['error']:.3f}, over bins of about equal weight.",
        ),
        ("probability", "said", "seen", "95% (Wilson)", "owners"),
        tuple(
            (
                f"{line['lowest']:.1%} to {line['highest']:.1%}",
                f"{line['said']:.1%}",
                f"{line['seen']:.1%}",
                f"{line['low']:.1%} to {line['high']:.1%}",
                f"{line['weight']:.0f}",
            )
            for line in calibration["bins"]
        ),
    )


def _part(line: Mapping[str, Any]) -> tuple[str, ...]:
    figures = line["figures"]
    return (
        f"{line['owners']:,}",
        f"{line['drug_owners']:,}",
        "" if line["prevalence"] is None else f"{line['prevalence']:.1%}",
        "" if figures is None else interval(figures["pr_auc"]),
        "" if figures is None else interval(figures["recall"]["0.01"], share=True),
        line["note"],
    )


_PART = ("owners", "drug owners", "prevalence", "PR-AUC", "recall at 1% FP", "note")


def _groups(found: Mapping[str, Any]) -> Section:
    return Section(
        "groups",
        "By chain, month and view",
        ("Each part has a prevalence of its own, so PR-AUC is not compared across parts without it.",),
        ("part", "", *_PART),
        tuple(
            (dimension, line["name"], *_part(line))
            for dimension, lines in found["groups"].items()
            for line in lines
        ),
        words_first=2,
    )


def _action(found: Mapping[str, Any]) -> Section:
    return Section(
        "action",
        "How early it sees a drug owner",
        (
            (
                "Drug owners on whom somebody publicly acted within so many days of the row are left out. A "
                "model that sees only the last days before has learnt the end of a case, not the trade."
            ),
        ),
        ("left out", *_PART),
        tuple((f"within {line['days']} days", *_part(line)) for line in found["ahead_of_action"]),
    )
