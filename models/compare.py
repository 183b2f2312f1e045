"""Champion against challenger on the same rows, of owners that had no part in making either of them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chains.errors import FileError, ModelDamaged, ModelMissing, TooFewRows
from models.bootstrap import DRAWS, SEED, Interval, draw_owners, spread_of, spread_of_difference
from models.folds import Rows
from models.registry import Model, write_json

FOLDER = "comparisons"
OWNERS_NEEDED = 5
"""Least number of drug owners, and of other owners, that a comparison is made on."""

Verdict = Literal["better", "no worse", "worse"]
VERDICTS: tuple[Verdict, ...] = ("better", "no worse", "worse")
_VERSION = re.compile(r"m-[0-9a-f]{12}")


@dataclass(frozen=True)
class Comparison:
    """What came out of scoring the same rows with both models.

    PR-AUC is that of rows, an owner counting once. Intervals hold 95% of the draws of owners.
    """

    champion: str
    """Version."""
    challenger: str
    verdict: Verdict
    """`worse` and `better` only where the whole interval of the difference lies on one side of 0."""
    note: str
    """What else must be known to read the verdict; empty where nothing."""
    rows: int
    owners: int
    drug_owners: int
    left_out_owners: int
    """Owners of the rows given that one of the two had been trained or calibrated on."""
    moments: tuple[str, ...]
    """Moments of the rows, ISO 8601 with Z."""
    prevalence: float
    """Share of drug owners among them: the PR-AUC of chance."""
    champion_pr_auc: Interval | None
    """None where the champion cannot score: it was trained on other features."""
    challenger_pr_auc: Interval
    difference: Interval | None
    """Challenger less champion, on the same draws."""
    draws: int
    seed: int


def seen_owners(models_folder: Path, version: str) -> frozenset[str]:
    """Return the hashed names of the owners that a model was trained or calibrated on.

    Raises ModelMissing where there is no such model, ModelDamaged where it does not say.
    """
    folder = models_folder / version
    if not folder.is_dir():
        raise ModelMissing(folder)
    try:
        owners = json.loads((folder / "splits.json").read_text(encoding="utf-8"))["owners"]
        return frozenset(str(name) for fold in ("train", "valid") for name in owners[fold])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(folder, why="splits.json does not say which owners it was trained on") from error


def hash_owner(name: str) -> str:
    """Return the SHA-256 (hex) by which `splits.json` knows an owner."""
    return hashlib.sha256(name.encode()).hexdigest()


def without_owners(rows: Rows, hashed: Iterable[str]) -> Rows:
    """Return the rows of all owners but those whose hashed names are given."""
    known = frozenset(hashed)
    return pick_owners(rows, np.asarray([hash_owner(o.name) not in known for o in rows.owners], np.bool_))


def pick_owners(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    """Return the rows of the owners for which `kept` [owners] is true."""
    return pick_rows(rows, kept[rows.owner] if len(rows.owners) else np.zeros(0, np.bool_))


def pick_rows(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    """Return the rows for which `kept` [rows] is true; weights stay, so that an owner may count for less."""
    places = np.flatnonzero(kept)
    owners, owner = np.unique(rows.owner[places], return_inverse=True)
    picked: dict[str, Any] = {
        "owner": owner.astype(np.int64),
        "owners": tuple(rows.owners[i] for i in owners),
    }
    for column in fields(rows):
        if column.name not in picked:
            values = getattr(rows, column.name)
            picked[column.name] = (
                np.ascontiguousarray(values[places])
                if isinstance(values, np.ndarray)
                else tuple(values[i] for i in places)
            )
    return replace(rows, **picked)


def compare(
    champion: Model,
    challenger: Model,
    rows: Rows,
    *,
    seen: frozenset[str] = frozenset(),
    usable: bool = True,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Comparison:
    """Score the same rows with both models and say whether the challenger is worse beyond noise.

    `seen` are the hashed names (`seen_owners`) of owners that either was trained or calibrated on: their
    rows are left out. `usable` is false where the champion does not know these features. Then there is
    nothing to be worse than but chance: the challenger is `no worse` where its whole interval lies above
    the share of drug owners, and the note says so. Raises TooFewRows where too few owners are left.
    """
    left = without_owners(rows, seen)
    drug_owners = sum(owner.drug for owner in left.owners)
    for kind, found in (("drug", drug_owners), ("other", len(left.owners) - drug_owners)):
        if found < OWNERS_NEEDED:
            what = f"{kind} owners that neither model was trained or calibrated on, to compare them"
            raise TooFewRows(what=what, found=found, needed=OWNERS_NEEDED)
    drawn = draw_owners(left.owner, left.drug, left.weight, draws=draws, seed=seed)
    scores = challenger.log_odds(left.values)
    ours = spread_of(scores, drawn).pr_auc
    theirs = difference = None
    note = ""
    verdict: Verdict
    if usable:
        theirs_scores = champion.log_odds(left.values)
        theirs = spread_of(theirs_scores, drawn).pr_auc
        difference = spread_of_difference(scores, theirs_scores, drawn)["pr_auc"]
        verdict = judge(difference)
    else:
        verdict = "no worse" if ours.low > left.prevalence else "worse"
        note = (
            f"{champion.version} was trained on other features than those of today and cannot score: "
            "the challenger was compared with chance"
        )
    return Comparison(
        champion=champion.version,
        challenger=challenger.version,
        verdict=verdict,
        note=note,
        rows=len(left.accounts),
        owners=len(left.owners),
        drug_owners=drug_owners,
        left_out_owners=len(rows.owners) - len(left.owners),
        moments=tuple(f"{moment.isoformat()}Z" for moment in sorted(set(left.as_of))),
        prevalence=left.prevalence,
        champion_pr_auc=theirs,
        challenger_pr_auc=ours,
        difference=difference,
        draws=draws,
        seed=seed,
    )


def comparison_of(content: Mapping[str, Any]) -> Comparison:
    """Return the comparison that `asdict` made a dictionary of. Raises KeyError and TypeError for another."""
    intervals = {
        name: None if content[name] is None else Interval(**content[name])
        for name in ("champion_pr_auc", "challenger_pr_auc", "difference")
    }
    return Comparison(**(dict(content) | intervals | {"moments": tuple(content["moments"])}))


def judge(difference: Interval) -> Verdict:
    """Return the verdict on a challenger whose PR-AUC differs by this much from the champion's."""
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "no worse"


def comparison_path(models_folder: Path, *, challenger: str, champion: str) -> Path:
    """Return where the comparison of two versions is kept."""
    return models_folder / FOLDER / f"{challenger}-against-{champion}.json"


def write_comparison(models_folder: Path, comparison: Comparison) -> Path:
    """Keep a comparison, in place of an earlier one of the same two versions; return its path.

    It is written and synced under a temporary name first.
    """
    path = comparison_path(models_folder, challenger=comparison.challenger, champion=comparison.champion)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(json.dumps(asdict(comparison)))
    written = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with written.open("wb") as file:
            file.write(write_json({"comparison": content, "sha256": _hash(content)}).encode())
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    return path


def read_comparison(models_folder: Path, *, challenger: str, champion: str) -> Comparison | None:
    """Return the comparison that was kept of two versions, or None where there is none.

    Raises FileError where it cannot be read, was changed by hand, or speaks of other versions.
    """
    path = comparison_path(models_folder, challenger=challenger, champion=champion)
    again = f"compare again with `silkscreen evaluate --model {challenger} --against {champion}`"
    if not (_VERSION.fullmatch(challenger) and _VERSION.fullmatch(champion)):
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileError(path, why=f"it cannot be read: {again}") from error
    try:
        kept = json.loads(text)
        content = kept["comparison"]
        if kept["sha256"] != _hash(content):
            raise FileError(path, why=f"it does not have its recorded hash: {again}")
        found = comparison_of(content)
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(path, why=f"it is no comparison of two models: {again}") from error
    if (found.challenger, found.champion) != (challenger, champion) or found.verdict not in VERDICTS:
        raise FileError(path, why=f"it speaks of {found.challenger} against {found.champion}: {again}")
    return found


def _hash(content: Any) -> str:
    return hashlib.sha256(write_json(content).encode()).hexdigest()
