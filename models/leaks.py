"""The leak audit: what would make a model look better than it is, looked for in the rows that made it.

A leak is found, never excused: where a check finds one, the figures of the model mean nothing.
"""

from collections.abc import Callable

from models.leak_evidence import Check, Evidence, Rebuild
from models.leak_rows import (
    check_after_action,
    check_label_dates,
    check_look_ahead,
    check_own_labels,
    check_owners_apart,
)
from models.leak_scores import (
    check_absolute_time,
    check_shuffled_labels,
    check_single_features,
    check_time_only,
)

__all__ = ["Check", "Evidence", "Rebuild", "audit_leaks"]


def audit_leaks(
    evidence: Evidence, *, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Check, ...]:
    """Ask every question of the audit, the quick ones first. `progress` is told (question, done, of)."""
    checks: tuple[Callable[[Evidence], Check], ...] = (
        check_owners_apart,
        check_label_dates,
        check_after_action,
        check_single_features,
        check_absolute_time,
        check_time_only,
        check_shuffled_labels,
        check_own_labels,
        check_look_ahead,
    )
    found = []
    for number, check in enumerate(checks):
        if progress is not None:
            progress(
                f"leak audit: {check.__name__.removeprefix('check_').replace('_', ' ')}", number, len(checks)
            )
        found.append(check(evidence))
    return tuple(found)
