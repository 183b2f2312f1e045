"""The figures for parts of the test rows: by chain, month and view; and whom the levels flag, by kind."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import DRAWS, SEED, draw_owners, spread_of
from models.compare import pick_rows
from models.folds import Rows
from models.levels import Thresholds
from models.metrics import wilson

OWNERS_NEEDED = 10
"""Drug owners, and other owners, below which a group's ranking is not reported."""

RATE_NEEDS = 5
"""Owners below which a share of them is not reported, only their number."""


@dataclass(frozen=True)
class Flagged:
    """How many owners of one kind reach each level, by the highest score of each."""

    name: str
    owners: int
    medium: int | None
    """Owners at MEDIUM or above; None where that level is not attainable."""
    high: int | None
    medium_share: tuple[float, float, float] | None
    """Share and its 95% interval (Wilson); None where there are too few owners, or no such level."""
    high_share: tuple[float, float, float] | None
    note: str


def count_flagged(
    kinds: Sequence[str], highest: NDArray[np.float64], thresholds: Thresholds
) -> tuple[Flagged, ...]:
    """Return what the levels flag of each kind, in order of its name; one entry an owner in both inputs."""
    named = np.asarray(kinds, dtype=object)
    found = []
    for name in sorted(set(kinds)):
        scores = highest[named == name]
        few = len(scores) < RATE_NEEDS
        counts = {
            level: None if begins is None else int(np.count_nonzero(scores > begins))
            for level, begins in (
                ("medium", thresholds.medium.log_odds),
                ("high", thresholds.high.log_odds),
            )
        }
        shares = {
            f"{level}_share": None if count is None or few else _share(count, len(scores))
            for level, count in counts.items()
        }
        note = f"too few owners: {len(scores)}" if few else ""
        found.append(
            Flagged(
                name,
                len(scores),
                counts["medium"],
                counts["high"],
                shares["medium_share"],
                shares["high_share"],
                note,
            )
        )
    return tuple(found)


def break_down(
    rows: Rows, score: NDArray[np.float64], *, draws: int = DRAWS, seed: int = SEED
) -> dict[str, list[dict[str, Any]]]:
    """Return the ranking figures of each part of the rows: by chain, month of the moment, and view.

    An owner keeps the weight of the rows that it has in the part. Parts with too few owners say so.
    """
    parts: Mapping[str, Sequence[str]] = {
        "chain": [":".join(account.split(":")[:2]) for account in rows.accounts],
        "month": [f"{moment:%Y-%m}" for moment in rows.as_of],
        "view": rows.view,
    }
    return {
        dimension: [
            {"name": name} | measure_part(rows, score, of_row == name, draws=draws, seed=seed)
            for name in sorted(set(names))
        ]
        for dimension, names in parts.items()
        for of_row in [np.asarray(names, dtype=object)]
    }


def measure_part(
    rows: Rows,
    score: NDArray[np.float64],
    kept: NDArray[np.bool_],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[str, Any]:
    """Return the ranking figures of the rows for which `kept` is true, or why there are none."""
    part = pick_rows(rows, kept)
    drug = sum(owner.drug for owner in part.owners)
    counted: dict[str, Any] = {
        "rows": len(part.accounts),
        "owners": len(part.owners),
        "drug_owners": drug,
        "prevalence": part.prevalence if part.accounts else None,
        "figures": None,
        "note": "",
    }
    for kind, count in (("drug owners", drug), ("other owners", len(part.owners) - drug)):
        if count < OWNERS_NEEDED:
            return counted | {"note": f"too few {kind}: {count}"}
    drawn = draw_owners(part.owner, part.drug, part.weight, draws=draws, seed=seed)
    return counted | {"figures": asdict(spread_of(score[kept], drawn))}


def _share(count: int, owners: int) -> tuple[float, float, float]:
    share = count / owners
    return (share, *wilson(share, owners))
