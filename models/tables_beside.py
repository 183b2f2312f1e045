"""The tables that stand beside the figures of a model: truth, comparison, leak audit."""

from collections.abc import Mapping
from typing import Any

from models.table_cells import Section, flags, interval, say_audit


def list_truth(truth: Mapping[str, Any]) -> Section:
    """Return how a model ranks the owners of a simulated world."""
    figures, top = truth["figures"], truth["at_capacity"]
    lines = [
        ("real owners, labelled or not", f"{truth['owners']:,}"),
        ("of them drug owners", f"{truth['drug_owners']:,} ({truth['prevalence'] or 0:.1%})"),
        ("addresses", f"{truth['addresses']:,}"),
    ]
    if figures is not None:
        lines += [
            ("PR-AUC", interval(figures["pr_auc"])),
            ("ROC-AUC", interval(figures["roc_auc"])),
            ("recall at 0.1% FP", interval(figures["recall"]["0.001"], share=True)),
            ("recall at 1% FP", interval(figures["recall"]["0.01"], share=True)),
            (
                f"drug owners among the {top['cases']:,} highest",
                f"{top['drug_owners']:,} ({top['drug_owners'] / max(top['cases'], 1):.1%})",
            ),
        ]
    dials = ", ".join(f"{name} {value}" for name, value in sorted(truth["world"].get("dials", {}).items()))
    return Section(
        "truth",
        "Against the truth of the simulated world",
        (
            (
                "Every owner that the test moment shows, most of them never labelled. Left out are owners "
                "that the model was made from, addresses named by then, and drug owners after the first "
                "public action."
            ),
            "The truth had no part in the model, and there is none for real chains.",
            *((f"Dials of this world (docs/simulated-world.md): {dials}.",) if dials else ()),
        ),
        ("", "value"),
        tuple(lines),
    )


def list_roles(truth: Mapping[str, Any]) -> Section:
    """Return what the levels flag of each real role."""
    return Section(
        "truth_roles",
        "Against the truth, by role",
        (
            "Drug roles: owners caught. Other roles: owners flagged wrongly.",
            "An owner is flagged where one of its addresses is: an exchange has thousands.",
        ),
        ("role", "", "owners", "addresses", "at MEDIUM or above", "at HIGH", "note"),
        tuple(
            (
                line["name"],
                "drug" if line["drug"] else "other",
                f"{line['owners']:,}",
                f"{line['addresses']:,}",
                flags(line["medium"], line["medium_share"]),
                flags(line["high"], line["high_share"]),
                line["note"],
            )
            for line in sorted(truth["roles"], key=lambda line: (not line["drug"], line["name"]))
        ),
        words_first=2,
    )


def list_comparison(found: Mapping[str, Any]) -> Section:
    """Return how champion and challenger rank the same rows."""
    words = [
        f"{found['challenger']} is {found['verdict']}"
        + (" beyond noise" if found["verdict"] == "worse" else "")
        + f" than {found['champion']}."
        if found["verdict"] != "no worse"
        else f"{found['challenger']} is no worse than {found['champion']} beyond noise.",
        "Rows of owners that neither model was trained or calibrated on.",
    ]
    if found["note"]:
        words.append(found["note"] + ".")
    return Section(
        "comparison",
        "Champion and challenger",
        tuple(words),
        ("model", "PR-AUC"),
        (
            (f"champion {found['champion']}", interval(found["champion_pr_auc"])),
            (f"challenger {found['challenger']}", interval(found["challenger_pr_auc"])),
            (
                "challenger less champion",
                "n/a" if found["difference"] is None else interval(found["difference"], signed=True),
            ),
        ),
    )


def list_audit(audit: Mapping[str, Any]) -> Section:
    """Return every question of the leak audit with its answer."""
    return Section(
        "audit",
        "Leak audit",
        (say_audit(audit),),
        ("question", "answer", "measured"),
        tuple(
            (
                check["question"],
                "NOT ASKED" if check["skipped"] else "clean" if check["passed"] else "LEAK",
                check["skipped"] or "; ".join(check["findings"]) or check["said"],
            )
            for check in audit["checks"]
        ),
        words_first=3,
    )
