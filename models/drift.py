"""How far the addresses of today have moved from those that a model was trained among.

Beside a model stands how every feature and the score were spread over the whole frame of its last training
moment, labelled or not. Each build compares its own frame with that by the population stability index:
PSI = sum over bins of (q - p) ln(q / p), p the share of the bin then and q now. Source: Siddiqi, Credit Risk
Scorecards, 2006; his bands at 0.1 and 0.25 are conventions, no test. How large an index chance alone would
give follows a chi-square (Yurdakul and Naranjo, Statistical properties of the population stability index,
2020), so that few addresses do not look like a changed world.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.frame import FeatureFrame
from models.levels import Thresholds

FORMAT = 1
FILE = "drift.json"
"""Name of the file in a snapshot."""

MOVED, MOVED_MUCH = 0.1, 0.25
"""Bands of the index, by convention."""

BINS = 10
_Z99 = 2.3263478740408408  # 99% point of the standard normal distribution


def describe_reference(
    frame: FeatureFrame, log_odds: NDArray[np.float64], thresholds: Thresholds
) -> dict[str, Any]:
    """Return what drift will be measured from, as JSON can hold it: counts by bin, no addresses.

    `log_odds` are the model's for every row of `frame`. Bins of a feature end at the deciles of its known
    values (order statistics, each once); one more lies below the least value, and what is unknown is counted
    apart.
    """
    edges = _edges(log_odds)
    return {
        "format": FORMAT,
        "as_of": _shown(frame.as_of),
        "rows": len(frame.accounts),
        "features": {
            name: _spread(frame.values[:, column], _edges(frame.values[:, column]))
            for column, name in enumerate(frame.names)
        },
        "score": _spread(log_odds, edges),
        "chains": {
            chain: {"rows": len(rows), "score": _spread(log_odds[rows], edges)["counts"]}
            | _flagged(log_odds[rows], thresholds)
            for chain, rows in _rows_by_chain(frame.accounts).items()
        },
        "levels": _flagged(log_odds, thresholds),
    }


def measure_drift(
    reference: Mapping[str, Any],
    frame: FeatureFrame,
    log_odds: NDArray[np.float64],
    thresholds: Thresholds,
    *,
    model: str,
) -> dict[str, Any]:
    """Return how the rows of `frame` differ from the reference of `model`, as JSON can hold it.

    Every index stands with its band (`stable`, `moved`, `moved much`) and with `chance`, the index that 1 in
    100 draws of as many rows would exceed were nothing changed; below it nothing is said to have moved. Of a
    chain that the reference lacks, or that has no rows now, the index is null.
    """
    before, now = int(reference["rows"]), len(frame.accounts)
    features = {}
    for column, name in enumerate(frame.names):
        then = reference["features"][name]
        spread = _spread(frame.values[:, column], np.asarray(then["edges"], dtype=np.float64))
        features[name] = _index(_bins(then), _bins(spread)) | {
            "unknown_before": then["unknown"] / before,
            "unknown_now": spread["unknown"] / now,
        }
    edges = np.asarray(reference["score"]["edges"], dtype=np.float64)
    by_chain = _rows_by_chain(frame.accounts)
    chains = {}
    for chain in sorted({*reference["chains"], *by_chain}):
        rows = by_chain.get(chain, np.zeros(0, np.int64))
        old = reference["chains"].get(chain, {"rows": 0, "score": [], "MEDIUM": None, "HIGH": None})
        both = old["rows"] > 0 and len(rows) > 0
        counts = _spread(log_odds[rows], edges)["counts"]
        chains[chain] = {
            "rows_before": old["rows"],
            "rows_now": len(rows),
            "score": _index(old["score"], counts) if both else None,
            "levels": _shares(old, old["rows"], _flagged(log_odds[rows], thresholds), len(rows)),
        }
    return {
        "format": FORMAT,
        "model": model,
        "before": {"as_of": reference["as_of"], "rows": before},
        "now": {"as_of": _shown(frame.as_of), "rows": now},
        "bands": {"moved": MOVED, "moved much": MOVED_MUCH},
        "score": _index(reference["score"]["counts"], _spread(log_odds, edges)["counts"]),
        "features": features,
        "levels": _shares(reference["levels"], before, _flagged(log_odds, thresholds), now),
        "chains": chains,
    }


def write_drift(
    folder: Path,
    reference: Mapping[str, Any] | None,
    frame: FeatureFrame,
    log_odds: NDArray[np.float64],
    thresholds: Thresholds,
    *,
    model: str,
) -> None:
    """Write `drift.json` into a snapshot in the making; none where there is nothing to compare."""
    if reference is None or not reference["rows"] or not frame.accounts:
        return
    content = measure_drift(reference, frame, log_odds, thresholds, model=model)
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def read_drift(snapshot: Path) -> dict[str, Any] | None:
    """Return what the build of a snapshot (its folder, checked by `open_snapshot`) found, or None."""
    path = snapshot / FILE
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def moved_features(drift: Mapping[str, Any], band: str) -> list[str]:
    """Return the features of a band, the farthest first; equal ones by name."""
    found = drift["features"]
    return sorted(
        (name for name, entry in found.items() if entry["band"] == band),
        key=lambda name: (-found[name]["psi"], name),
    )


def summarise_drift(drift: Mapping[str, Any], *, named: int = 3) -> list[str]:
    """Return a line or two on what has moved; none where nothing has."""
    lines = []
    since = f"since the training of {drift['model']} ({drift['before']['as_of'][:10]})"
    parts = []
    for band in ("moved much", "moved"):
        names = moved_features(drift, band)
        if names:
            more = f" and {len(names) - named} more" if len(names) > named else ""
            shown = ", ".join(f"{n} {drift['features'][n]['psi']:.2f}" for n in names[:named])
            parts.append(f"{len(names)} {band} ({shown}{more})")
    if parts:
        lines.append(f"{since}, of {len(drift['features'])} features " + "; ".join(parts))
    chains = [
        f"{chain} {entry['score']['band']} ({entry['score']['psi']:.2f})"
        if entry["score"]
        else f"{chain} is {'new' if entry['rows_now'] else 'gone'}"
        for chain, entry in drift["chains"].items()
        if entry["score"] is None or entry["score"]["band"] != "stable"
    ]
    if drift["score"]["band"] != "stable" or chains:
        score = f"the score {drift['score']['band']} (PSI {drift['score']['psi']:.2f})"
        lines.append("; ".join([f"{since}, {score}" + _say_levels(drift["levels"]), *chains]))
    return lines


def _say_levels(levels: Mapping[str, Mapping[str, float | None]]) -> str:
    found = levels["MEDIUM"]
    if found["before"] is None or found["now"] is None:
        return ""
    return f", at MEDIUM or above {found['now']:.1%} of addresses, then {found['before']:.1%}"


def population_stability(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the PSI of two counts over the same bins.

    Each share is (count + 1/2) / (total + bins / 2), so that an empty bin gives no infinite index; bins that
    are empty in both do not count.
    """
    used = [(a, b) for a, b in zip(before, now, strict=True) if a + b > 0]
    bins, then, today = len(used), sum(before), sum(now)
    total = 0.0
    for a, b in used:
        p, q = (a + 0.5) / (then + 0.5 * bins), (b + 0.5) / (today + 0.5 * bins)
        total += (q - p) * math.log(q / p)
    return total


def chance_index(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the PSI that 1 in 100 pairs of samples of one distribution would exceed, approximately.

    That is (1/n + 1/m) times the 99% point of chi-square with one degree less than there are bins in use; the
    point by Wilson and Hilferty's cube (1931), within 3% from one degree on.
    """
    used = sum(a + b > 0 for a, b in zip(before, now, strict=True))
    if used < 2:
        return 0.0
    degrees = used - 1
    point = degrees * (1 - 2 / (9 * degrees) + _Z99 * math.sqrt(2 / (9 * degrees))) ** 3
    return (1 / sum(before) + 1 / sum(now)) * point


def _index(before: Sequence[int], now: Sequence[int]) -> dict[str, Any]:
    psi, chance = population_stability(before, now), chance_index(before, now)
    band = "stable"
    if psi >= MOVED and psi > chance:
        band = "moved much" if psi >= MOVED_MUCH else "moved"
    return {"psi": psi, "chance": chance, "band": band}


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper ends of all bins but the last: just under the least value, then the deciles."""
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return np.zeros(0)
    places = [-(-known.size * k // BINS) - 1 for k in range(1, BINS)]
    return np.unique(np.concatenate([[np.nextafter(known[0], -np.inf)], known[places]]))


def _spread(values: NDArray[np.float64], edges: NDArray[np.float64]) -> dict[str, Any]:
    """Return how many values lie in each bin, ends included above, and how many are unknown."""
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "unknown": int(values.size - known.size),
    }


def _bins(spread: Mapping[str, Any]) -> list[int]:
    return [*spread["counts"], spread["unknown"]]


def _flagged(log_odds: NDArray[np.float64], thresholds: Thresholds) -> dict[str, int | None]:
    """Return how many rows the model puts at each level or above it; None where it sets none."""
    return {
        threshold.level: None
        if threshold.log_odds is None
        else int(np.count_nonzero(log_odds > threshold.log_odds))
        for threshold in (thresholds.medium, thresholds.high)
    }


def _shares(
    before: Mapping[str, int | None], rows_before: int, now: Mapping[str, int | None], rows_now: int
) -> dict[str, dict[str, float | None]]:
    def share(count: int | None, rows: int) -> float | None:
        return None if count is None or not rows else count / rows

    return {
        level: {"before": share(before[level], rows_before), "now": share(now[level], rows_now)}
        for level in ("MEDIUM", "HIGH")
    }


def _rows_by_chain(accounts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each chain (CAIP-2), ascending."""
    places: dict[str, list[int]] = {}
    for row, account in enumerate(accounts):
        namespace, reference, _ = account.split(":", 2)
        places.setdefault(f"{namespace}:{reference}", []).append(row)
    return {chain: np.asarray(places[chain], dtype=np.int64) for chain in sorted(places)}


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
