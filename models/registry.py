"""Trained models on disk: one folder a version, named by the hash of what is in it.

models/
├── CURRENT                 the version in use, the champion; swapped by an atomic rename
├── HISTORY                 who promoted what, and who took it back (models/history.py)
├── comparisons/            champion against challenger (models/compare.py)
└── m-<12 hex>/
    ├── manifest.json       SHA-256 of every other file; the version is the hash of this list
    ├── model.txt           the trees, in LightGBM's text
    ├── calibration.json    slope, offset, prevalences, thresholds
    ├── features.json       names in order, catalogue hash
    ├── splits.json         moments, hashed owners per fold, what was left out
    ├── metrics.json        the model and its baselines on the test fold
    ├── reference.json      distributions that drift is measured from (models/drift.py); older models lack it
    ├── behaviour.json      the behaviour model (models/behaviour.py); older models lack it
    └── card.json, card.md  what it is, what it was trained on, what it must not be used for
No file of a version holds a wall-clock time, so that the same input gives the same version.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from chains.errors import ModelDamaged, ModelMismatch, ModelMissing
from models.behaviour import FILE as BEHAVIOUR
from models.behaviour import BehaviourModel, read_behaviour
from models.calibrate import Calibration, logit, probability_of
from models.history import HISTORY, Change, append_line, lock_history, show_moment
from models.levels import Threshold, Thresholds
from models.trees import contributions_raw, load_trees, predict_raw

FORMAT = 1
CURRENT = "CURRENT"
FILES = (
    "calibration.json",
    "card.json",
    "card.md",
    "features.json",
    "metrics.json",
    "model.txt",
    "splits.json",
)
REFERENCE = "reference.json"
OPTIONAL = (BEHAVIOUR, REFERENCE)
_VERSION = re.compile(r"m-[0-9a-f]{12}")


@dataclass(frozen=True)
class Population:
    """Whom a model speaks of: the chains (CAIP-2) that it was trained on, and whether they are simulated."""

    simulated: bool
    chains: tuple[str, ...]

    def fits(self, chain: str, *, simulated: bool) -> bool:
        """Return whether the thresholds hold for an address of `chain` (CAIP-2)."""
        return chain in self.chains and simulated == self.simulated


class Model:
    """One trained model, held open: trees, calibration, thresholds and card.

    Scores are natural log-odds of drug-related laundering at the prevalence of `calibration.prevalence`.
    """

    def __init__(
        self,
        *,
        version: str,
        trees: str,
        names: tuple[str, ...],
        catalogue_hash: str,
        calibration: Calibration,
        thresholds: Thresholds,
        population: Population,
        card: Mapping[str, Any],
        behaviour: BehaviourModel | None = None,
    ) -> None:
        """Load the trees from LightGBM's text once; every score then uses the same booster."""
        self.version = version
        self.names = names
        self.catalogue_hash = catalogue_hash
        self.calibration = calibration
        self.thresholds = thresholds
        self.population = population
        self.card = card
        self.behaviour = behaviour
        self._booster = load_trees(trees)
        if self._booster.num_feature() != len(names):
            raise ValueError(f"the trees know {self._booster.num_feature()} features, not {len(names)}")

    def require(self, names: Sequence[str], *, catalogue_hash: str | None = None) -> None:
        """Raise ModelMismatch unless these are the features, of the meaning, that it was trained on."""
        if tuple(names) != self.names:
            missing = [n for n in self.names if n not in set(names)]
            added = [n for n in names if n not in set(self.names)]
            why = "their order differs"
            if missing or added:
                parts = [f"without {_shorten(missing)}"] if missing else []
                parts += [f"it does not know {_shorten(added)}"] if added else []
                why = "; ".join(parts)
            raise ModelMismatch(model=self.version, why=why)
        if catalogue_hash is not None and catalogue_hash != self.catalogue_hash:
            raise ModelMismatch(model=self.version, why="the catalogue has given them another meaning since")

    def log_odds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated log-odds [n] of feature rows [n, k]."""
        return self.calibration.apply(predict_raw(self._booster, self._rows(values)))

    def contributions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [n, k + 1]: what each feature adds to the log-odds, and last the base they start from.

        Each row sums to its `log_odds`: TreeSHAP is exact, and calibration is affine and keeps the sum.
        """
        parts = self.calibration.slope * contributions_raw(self._booster, self._rows(values))
        parts[:, -1] += self.calibration.offset
        return parts

    def probability(self, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of drug-related laundering at the prevalence that the card states."""
        return probability_of(np.asarray(log_odds, dtype=np.float64))

    def score(self, log_odds: float) -> int:
        """Return 0 to 100: 100 times the probability if one owner in two were a drug owner.

        At the stated prevalence most probabilities are near 0, where a person cannot tell them apart;
        the order is the same. 50 means that the evidence neither raises nor lowers the prior.
        """
        return score_of(log_odds, self.calibration)

    def _rows(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ModelMismatch(
                model=self.version, why=f"it knows {len(self.names)} features, the values are {values.shape}"
            )
        return np.ascontiguousarray(values, dtype=np.float64)


def score_of(log_odds: float, calibration: Calibration) -> int:
    """Return 0 to 100: 100 times the probability that these log-odds mean at a prevalence of one in two."""
    even = np.asarray(log_odds - logit(calibration.prevalence))
    return int(np.floor(100 * float(probability_of(even)) + 0.5))


def write_json(content: Mapping[str, Any]) -> str:
    """Return the one text of `content`: keys sorted, doubles in full, NaN refused."""
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def pack_files(
    *,
    trees: str,
    names: Sequence[str],
    catalogue_hash: str,
    calibration: Calibration,
    thresholds: Thresholds,
    population: Population,
    splits: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: Mapping[str, Any],
    card_text: str,
    reference: Mapping[str, Any] | None = None,
    behaviour: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the text of every file of a model folder.

    `reference` is what `models.drift` made of a frame, `behaviour` what `models.behaviour` packed.
    """
    fitted = asdict(calibration) | {"offset": calibration.offset}
    more = {REFERENCE: reference, BEHAVIOUR: behaviour}
    return {name: write_json(content) for name, content in more.items() if content is not None} | {
        "model.txt": trees,
        "calibration.json": write_json({"calibration": fitted, "thresholds": asdict(thresholds)}),
        "features.json": write_json({"names": list(names), "catalogue_hash": catalogue_hash}),
        "splits.json": write_json(splits),
        "metrics.json": write_json(metrics),
        "card.json": write_json(dict(card) | {"population": asdict(population)}),
        "card.md": card_text,
    }


def save_model(models_folder: Path, files: Mapping[str, str]) -> Path:
    """Write a model folder and return it: a challenger, or the champion where there is none to use.

    Everything is written and synced under a temporary name first: whenever the process dies, `CURRENT`
    names a whole model. Saving what is there already changes nothing.
    """
    if sorted(set(files) - set(OPTIONAL)) != sorted(FILES):
        raise ValueError(f"a model folder holds {FILES}, not {sorted(files)}")
    sums = {name: _sha256(files[name].encode()) for name in sorted(files)}
    version = _version_of(sums)
    folder = models_folder / version
    models_folder.mkdir(parents=True, exist_ok=True)
    _sweep(models_folder)
    if not _is_whole(folder):
        written = Path(tempfile.mkdtemp(prefix=f".{version}-{os.getpid()}-", dir=models_folder))
        try:
            for name in sorted(files):
                _write_synced(written / name, files[name])
            manifest = {"format": FORMAT, "version": version, "files": sums}
            _write_synced(written / "manifest.json", write_json(manifest))
            written.chmod(0o755)
            _sync_folder(written)
            if folder.exists():
                shutil.rmtree(folder)
            written.rename(folder)
        except BaseException:
            shutil.rmtree(written, ignore_errors=True)
            raise
        _sync_folder(models_folder)
    if not _has_champion(models_folder):
        _replace_champion(models_folder, version)
    return folder


def _has_champion(models_folder: Path) -> bool:
    champion = current_version(models_folder)
    return champion is not None and _is_whole(models_folder / champion)


def _replace_champion(models_folder: Path, version: str) -> None:
    """Put a model in the place of a champion that cannot be used; the history names both.

    Where there was none ever, there is nothing to tell.
    """
    pointer = models_folder / CURRENT
    if not pointer.is_file() and not (models_folder / HISTORY).is_file():
        set_current(models_folder, version)
        return
    with lock_history(models_folder) as file:
        if _has_champion(models_folder):  # another process was faster
            return
        named = pointer.read_text(encoding="utf-8", errors="replace").strip() if pointer.is_file() else ""
        before = named if _VERSION.fullmatch(named) else ""
        why = "damaged" if before and (models_folder / before).is_dir() else "gone"
        if before != version:
            change = Change(
                at=show_moment(datetime.now(UTC)),
                event="replaced",
                version=version,
                before=before,
                by="",
                approved_by="",
                verdict="",
                comparison="",
                why=why,
            )
            append_line(file, change)
        set_current(models_folder, version)


def set_current(models_folder: Path, version: str) -> None:
    """Make `version` the model in use. Raises ModelMissing where there is none of that name."""
    if not (models_folder / version / "manifest.json").is_file():
        raise ModelMissing(models_folder / version)
    handle, name = tempfile.mkstemp(prefix=f".{CURRENT}-{os.getpid()}-", dir=models_folder)
    os.close(handle)
    _write_synced(Path(name), version + "\n")
    Path(name).replace(models_folder / CURRENT)
    _sync_folder(models_folder)


def current_model(models_folder: Path) -> Model | None:
    """Return the model in use, or None where none has been trained.

    Raises ModelDamaged where `CURRENT` names no model, or a broken one.
    """
    if not (models_folder / CURRENT).is_file():
        return None
    version = current_version(models_folder)
    if version is None:
        raise ModelDamaged(models_folder / CURRENT, why="it names no model of this folder")
    return load_model(models_folder / version)


def current_version(models_folder: Path) -> str | None:
    """Return the version that `CURRENT` names, whole or not; None where it names no model of the folder."""
    pointer = models_folder / CURRENT
    if not pointer.is_file():
        return None
    version = pointer.read_text(encoding="utf-8", errors="replace").strip()
    return version if is_version(models_folder, version) else None


def is_version(models_folder: Path, version: str) -> bool:
    """Return whether the folder holds a model of that version, whole or not."""
    return _VERSION.fullmatch(version) is not None and (models_folder / version).is_dir()


def list_models(models_folder: Path) -> list[Model | str]:
    """Return all models of the folder, by version; of a broken one its version alone."""
    if not models_folder.is_dir():
        return []
    found: list[Model | str] = []
    for folder in sorted(f for f in models_folder.iterdir() if f.is_dir() and _VERSION.fullmatch(f.name)):
        try:
            found.append(load_model(folder))
        except ModelDamaged:
            found.append(folder.name)
    return found


def add_model(models_folder: Path, folder: Path) -> Model:
    """Take over a model that was trained elsewhere: a challenger, or the champion where there is none.

    Raises ModelMissing and ModelDamaged as `load_model` does; then nothing has changed.
    """
    load_model(folder)
    _, files = _read_files(folder)
    return load_model(save_model(models_folder, files))


def read_reference(folder: Path) -> dict[str, Any] | None:
    """Return what drift of the model of `folder` is measured from, or None where it has none.

    Raises ModelMissing and ModelDamaged as `load_model` does.
    """
    if not folder.is_dir():
        raise ModelMissing(folder)
    text = _read_files(folder)[1].get(REFERENCE)
    return None if text is None else cast(dict[str, Any], json.loads(text))


def load_model(folder: Path) -> Model:
    """Return the model of `folder`, after checking every file against its recorded hash.

    Raises ModelMissing where there is no such folder, ModelDamaged where a file is absent, changed or
    of a format that this version does not know.
    """
    if not folder.is_dir():
        raise ModelMissing(folder)
    version, files = _read_files(folder)
    try:
        features = json.loads(files["features.json"])
        fitted = json.loads(files["calibration.json"])
        card = json.loads(files["card.json"])
        recorded = dict(fitted["calibration"])
        recorded.pop("offset")
        levels = {name: Threshold(**fitted["thresholds"][name]) for name in ("medium", "high")}
        population = card["population"]
        return Model(
            version=version,
            trees=files["model.txt"],
            names=tuple(features["names"]),
            catalogue_hash=features["catalogue_hash"],
            calibration=Calibration(**recorded),
            thresholds=Thresholds(**levels),
            population=Population(population["simulated"], tuple(population["chains"])),
            card=card,
            behaviour=read_behaviour(files[BEHAVIOUR], features["names"]) if BEHAVIOUR in files else None,
        )
    except (KeyError, TypeError, ValueError, lgb.basic.LightGBMError) as error:
        raise ModelDamaged(folder, why=f"its content cannot be read: {type(error).__name__}") from error


def _read_files(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the version and the text of each file; ModelDamaged unless every hash is right."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        form, recorded = manifest["format"], dict(manifest["files"])
        version = cast(str, manifest["version"])
    except FileNotFoundError:
        raise ModelDamaged(folder, why="manifest.json is absent") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(folder, why="manifest.json cannot be read") from error
    if form != FORMAT:
        raise ModelDamaged(folder, why=f"its format is {form!s:.20}, this version knows {FORMAT}")
    files = {}
    names = (*FILES, *(name for name in OPTIONAL if name in recorded))
    for name in names:
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            raise ModelDamaged(folder, why=f"{name} is absent") from None
        except OSError as error:
            raise ModelDamaged(folder, why=f"{name} cannot be read") from error
        if _sha256(content) != recorded.get(name):
            raise ModelDamaged(folder, why=f"{name} does not have its recorded hash")
        files[name] = content.decode()
    if sorted(recorded) != sorted(names) or version != _version_of({name: recorded[name] for name in names}):
        raise ModelDamaged(folder, why="manifest.json does not have the hash of its version")
    return version, files


def _is_whole(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        _read_files(folder)
    except ModelDamaged:
        return False
    return True


def _version_of(sums: Mapping[str, str]) -> str:
    listing = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return "m-" + _sha256(f"format {FORMAT}\n{listing}".encode())[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _shorten(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _sweep(models_folder: Path) -> None:
    """Remove what a save that was killed left behind; a process that still runs keeps its own."""
    for left in (*models_folder.glob(".m-*-*-*"), *models_folder.glob(f".{CURRENT}-*-*")):
        if Path("/proc", left.name.split("-")[-2]).exists():
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _write_synced(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o644)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
