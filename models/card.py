"""The model card in words: what a model is, what it was trained on, how well it does, what it is not for."""

from collections.abc import Mapping
from typing import Any

SIMULATED = (
    "It was trained on a simulated world. The people in it were invented, and so was the way they use money. "
    "On any real chain its score may rank and explain, but it sets no level: sanctions, labels and exposure "
    "rules do."
)
REAL = (
    "Its thresholds hold for the chains named below and for owners like those it was validated on. Elsewhere "
    "its score may rank and explain, but it sets no level."
)
NOT_FOR = (
    (
        "To decide alone. A score is a reason to look, never a finding: a person decides, can see why, and "
        "can be contradicted."
    ),
    "To set a level outside the population named above.",
    (
        "To list or refuse people who buy small amounts, people in treatment, harm reduction services or the "
        "licit medical supply."
    ),
    "To refuse a person for where they live, or for sending money home.",
    "As evidence in court. The transfers and labels behind a score are evidence; the score is not.",
    "To say that an address is clean. A low score says only that nothing this model knows speaks against it.",
)
LIMITS = (
    "Labels are claims: some are wrong, and those found first are not a fair sample of those that exist.",
    "Drug owners were taken as they looked before the first public action against them, not after.",
    (
        "The bound on false alarms holds while licit owners stay as they were. The rate seen in the period "
        "after stands beside it; where the two differ, believe the second."
    ),
    "A feature that is empty in serving but was full in training makes the score less sure than it looks.",
)
NAMES = {
    "model": "**this model**",
    "exposure_alone": "baseline: exposure alone",
    "activity_alone": "baseline: activity alone",
    "prevalence": "baseline: prevalence only",
}
FOLDS = {"train": "training", "valid": "validation", "test": "test"}


def write_card(card: Mapping[str, Any]) -> str:
    """Return the Markdown of a card; `card` has the content of card.json."""
    sections = (
        _write_head(card),
        _write_training(card),
        _write_prevalence(card),
        _write_metrics(card),
        _write_behaviour(card),
        _write_levels(card),
        _write_false_positives(card),
        _write_features(card),
        ["## What it must not be used for", "", *(f"- {item}" for item in NOT_FOR)],
        ["## Limits", "", *(f"- {item}" for item in LIMITS)],
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def describe_reach(*, simulated: bool) -> str:
    """Return where the levels of a model hold."""
    return SIMULATED if simulated else REAL


def _write_head(card: Mapping[str, Any]) -> list[str]:
    population = card["population"]
    chains = ", ".join(f"`{chain}`" for chain in population["chains"])
    return [
        "# Model card",
        "",
        (
            f"Ranks addresses by {card['target']}. {card['trees']} trees of LightGBM {card['lightgbm']}, "
            f"calibrated in log-odds; seed {card['seed']}."
        ),
        "",
        f"**{describe_reach(simulated=population['simulated'])}**",
        "",
        f"Population: {'simulated' if population['simulated'] else 'real'} owners on {chains}.",
    ]


def _write_training(card: Mapping[str, Any]) -> list[str]:
    trained = card["trained_on"]
    bound = ", ".join(f"`{name}`" for name in card["monotone"]) or "none"
    moments = trained["moments"]
    lines = [
        "## Trained on",
        "",
        (
            f"Frames of {', '.join(moments['train'])} (training), {moments['valid']} (validation) and "
            f"{moments['test']} (test). No owner is in two folds. Training labels were published before the "
            "validation moment, validation labels before the test moment."
        ),
        "",
        (
            f"Training rows show the ledger in these views: {', '.join(card['views'])}. More of these (or "
            f"fewer hops) never lowers the score: {bound}."
        ),
        "",
        "| Fold | Rows | Owners | Drug owners | Licit owners | Prevalence |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for fold, name in FOLDS.items():
        found = trained["folds"][fold]
        lines.append(
            f"| {name} | {found['rows']} | {found['owners']} | {found['drug_owners']} | "
            f"{found['licit_owners']} | {found['prevalence']:.1%} |"
        )
    left_out = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in trained["left_out_rows"].items())
    lines += [
        "",
        f"Labelled rows left out: {left_out or 'none'}.",
        "",
        f"Labels `{trained['label_hash']}`, catalogue `{trained['catalogue_hash']}`.",
        "",
        "| Ledger | Head |",
        "|---|---|",
    ]
    for chain, head in sorted(trained["ledger_heads"].items()):
        shown = ", ".join(f"{k} {v}" for k, v in head.items()) if isinstance(head, Mapping) else str(head)
        lines.append(f"| `{chain}` | {shown} |")
    return lines


def _write_prevalence(card: Mapping[str, Any]) -> list[str]:
    calibration = card["calibration"]
    return [
        "## Prevalence",
        "",
        (
            f"Probabilities are stated as if {calibration['prevalence']:.2%} of owners were drug owners. "
            f"That is an assumption: among the labelled owners of the validation fold it was "
            f"{calibration['fold_prevalence']:.1%}, because closed cases are not a fair sample "
            "of all owners. The score from 0 to 100 is the probability if it were one in two."
        ),
        "",
        f"log-odds = {calibration['slope']:.4f} × raw score + {calibration['offset']:.4f}",
    ]


def _write_metrics(card: Mapping[str, Any]) -> list[str]:
    metrics = card["metrics"]
    lines = [
        "## How well it ranks",
        "",
        "On the test fold, which had no part in training, calibration or thresholds. An owner counts once.",
        "",
        "| | PR-AUC | ROC-AUC | Recall at 1% false positives | Log loss | Brier |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, name in NAMES.items():
        if kind in metrics["scores"]:
            s = metrics["scores"][kind]
            lines.append(
                f"| {name} | {s['pr_auc']:.3f} | {s['roc_auc']:.3f} | {s['recall']:.1%} | "
                f"{s['log_loss']:.4f} | {s['brier']:.4f} |"
            )
    best, owners = metrics["best_single_feature"], metrics["owners"]
    lines += [
        "",
        (
            f"The best single feature is `{best['feature']}`, with ROC-AUC {best['roc_auc']:.3f}. By the "
            f"highest score of each owner: PR-AUC {owners['pr_auc']:.3f}, ROC-AUC {owners['roc_auc']:.3f}, "
            f"recall at 1% false positives {owners['recall']:.1%}."
        ),
    ]
    return lines


def _write_behaviour(card: Mapping[str, Any]) -> list[str]:
    found = card["metrics"]["laundering_behaviour"]
    return [
        "## Behaviour model",
        "",
        (
            f"`laundering_behaviour` comes from {card['behaviour_trees']} trees of their own that see no "
            f"exposure. They rank any crime, drugs or not, on the same test rows with PR-AUC "
            f"{found['pr_auc']:.3f} and ROC-AUC {found['roc_auc']:.3f}. They set no level."
        ),
    ]


def _write_levels(card: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Levels",
        "",
        (
            "The bound is on the share of licit owners flagged at a level or above, and holds for a finite "
            "number of owners. Beside it stands what was seen in the test fold."
        ),
        "",
        "| Level | Bound | Licit owners | Begins at log-odds | Seen later | Drug owners caught |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    reasons = []
    for t in (card["thresholds"]["medium"], card["thresholds"]["high"]):
        measured = card["metrics"]["levels"][t["level"]]
        if t["log_odds"] is None:
            lines.append(f"| {t['level']} | {t['alpha']:.0%} | {t['owners']} | not attainable | | |")
            reasons.append(f"{t['level']}: {t['why']}.")
        else:
            later = f"{t['later_flagged']} of {t['later_owners']}"
            lines.append(
                f"| {t['level']} | {t['alpha']:.0%} | {t['owners']} | {t['log_odds']:.3f} | {later} | "
                f"{measured['recall']:.1%} |"
            )
    lines += ["", *reasons] if reasons else []
    measured = {k: v for k, v in card["metrics"]["levels"].items() if v["attainable"]}
    if measured:
        shares = list(next(iter(measured.values()))["precision_at_prevalence"])
        lines += [
            "",
            "How often a flagged owner would be a drug owner, if so many owners were:",
            "",
            "| Level | " + " | ".join(f"{float(p):.1%}" for p in shares) + " |",
            "|---|" + "---:|" * len(shares),
        ]
        for level, found in measured.items():
            cells = " | ".join(f"{found['precision_at_prevalence'][p]:.1%}" for p in shares)
            lines.append(f"| {level} | {cells} |")
    return lines


def _write_false_positives(card: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Who is flagged wrongly",
        "",
        "Owners of the test fold that are not drug owners, by category.",
        "",
        "| Category | Owners | At MEDIUM or above | At HIGH |",
        "|---|---:|---:|---:|",
    ]
    for found in card["metrics"]["false_positives"]:
        medium, high = ("n/a" if found[k] is None else found[k] for k in ("medium", "high"))
        lines.append(f"| {found['category']} | {found['owners']} | {medium} | {high} |")
    return lines


def _write_features(card: Mapping[str, Any]) -> list[str]:
    lines = ["## Strongest features", "", "| Feature | Share of gain |", "|---|---:|"]
    lines += [f"| `{f['feature']}` | {f['gain_share']:.1%} |" for f in card["strongest_features"]]
    return lines
