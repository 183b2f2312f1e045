"""What the model says of a whole simulated world, labelled or not, against who really owns each address.

The truth is for looking at a model, never for making one: nothing of it reaches a feature, a fold or a
threshold.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from chains.errors import ColumnError, FileError
from features.frame import FeatureFrame
from models.bootstrap import DRAWS, SEED, draw_owners, spread_of
from models.compare import hash_owner
from models.groups import count_flagged
from models.levels import Thresholds

COLUMNS = ("account", "owner", "role", "drug")


@dataclass(frozen=True)
class Truth:
    """Who really owns every address of a simulated world."""

    accounts: pa.Array
    """CAIP-10, each once."""
    owner: NDArray[np.object_]
    role: NDArray[np.object_]
    drug: NDArray[np.bool_]
    world: Mapping[str, Any]
    """What `world.json` beside it says of the world: seed, dials; empty where there is none."""


def read_truth(path: Path) -> Truth:
    """Read the `truth.csv` of a simulated world and the `world.json` beside it.

    Raises FileError where a file cannot be read, ColumnError where a column is absent or has no truth in it.
    """
    if not path.is_file():
        raise FileError(path, why="there is no such file: give the truth.csv of a simulated world")
    try:
        options = pc_csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
        table = pc_csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise FileError(path, why=f"it cannot be read as CSV ({str(error)[:200]})") from error
    for name in COLUMNS:
        if name not in table.column_names:
            raise ColumnError(
                path, column=name, why="it is absent: this is no truth.csv of a simulated world"
            )
    said = table.column("drug").combine_chunks()
    if not pc.all(pc.is_in(said, pa.array(["true", "false"]))).as_py():
        raise ColumnError(path, column="drug", why="it must be true or false everywhere")
    accounts = table.column("account").combine_chunks()
    if pc.count_distinct(accounts).as_py() != len(accounts):
        raise ColumnError(path, column="account", why="an account stands there twice")
    return Truth(
        accounts=accounts,
        owner=np.asarray(table.column("owner").to_pylist(), dtype=object),
        role=np.asarray(table.column("role").to_pylist(), dtype=object),
        drug=np.asarray(pc.equal(said, "true").to_numpy(zero_copy_only=False), dtype=np.bool_),
        world=_read_world(path.with_name("world.json")),
    )


def _read_world(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"seed": found["seed"], "transfers": found["transfers"], "dials": dict(found["dials"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(path, why="it is no description of a simulated world") from error


def measure_truth(
    truth: Truth,
    frame: FeatureFrame,
    score: NDArray[np.float64],
    targets: pa.Table,
    *,
    seen: frozenset[str],
    thresholds: Thresholds,
    cases: int,
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[str, Any]:
    """Return how the scores of all of `frame` rank real owners, most of whom no label ever names.

    Left out are owners that the model was trained or calibrated on (`seen`, hashed), addresses that a label
    had named by then, and drug owners after the first public action on them. An owner counts with the
    highest score of its addresses. `cases` is how many of them analysts open in one period.
    """
    place = pc.index_in(pa.array(frame.accounts, pa.string()), value_set=truth.accounts)
    known = np.asarray(place.fill_null(-1).to_numpy(), dtype=np.int64)
    spoken = _spoken_for(truth, targets, seen=seen, as_of=frame.as_of)
    kept = (known >= 0) & ~frame.seeded
    kept[kept] &= ~np.isin(truth.owner[known[kept]], list(spoken))
    places, scores = known[kept], score[kept]
    owners, owner = np.unique(truth.owner[places].astype(str), return_inverse=True)
    highest = np.full(len(owners), -np.inf)
    np.maximum.at(highest, owner, scores)
    role = np.empty(len(owners), dtype=object)
    role[owner] = truth.role[places]
    drug = np.zeros(len(owners), dtype=np.bool_)
    drug[owner] = truth.drug[places]
    found: dict[str, Any] = {
        "world": dict(truth.world),
        "as_of": f"{frame.as_of.isoformat()}Z",
        "owners": len(owners),
        "drug_owners": int(drug.sum()),
        "addresses": len(places),
        "left_out_addresses": int(np.count_nonzero(known >= 0) - len(places)),
        "unknown_addresses": int(np.count_nonzero(known < 0)),
        "prevalence": float(drug.mean()) if len(drug) else None,
        "figures": None,
        "at_capacity": None,
        "roles": [],
    }
    if not drug.any() or drug.all():
        return found
    drawn = draw_owners(np.arange(len(owners)), drug, np.ones(len(owners)), draws=draws, seed=seed)
    top = np.lexsort((owners, -highest))[:cases]
    found["figures"] = asdict(spread_of(highest, drawn))
    found["at_capacity"] = {"cases": len(top), "drug_owners": int(drug[top].sum())}
    addresses = dict(zip(*np.unique(role[owner].astype(str), return_counts=True), strict=True))
    is_drug = dict(zip(role.tolist(), drug.tolist(), strict=True))
    found["roles"] = [
        asdict(line) | {"drug": is_drug[line.name], "addresses": int(addresses[line.name])}
        for line in count_flagged(role.tolist(), highest, thresholds)
    ]
    return found


def _spoken_for(truth: Truth, targets: pa.Table, *, seen: frozenset[str], as_of: Any) -> Sequence[str]:
    """Return the real owners of whom the model, or the world, knew something by then."""
    place = pc.index_in(targets.column("account"), value_set=truth.accounts).to_pylist()
    columns = (targets.column(name).to_pylist() for name in ("owner", "drug", "acted_at"))
    spoken = set()
    for where, name, drug, acted_at in zip(place, *columns, strict=True):
        if where is not None and (hash_owner(name) in seen or (drug and acted_at <= as_of)):
            spoken.add(str(truth.owner[where]))
    return sorted(spoken)
