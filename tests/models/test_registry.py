import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from chains.errors import ModelDamaged, ModelMismatch, ModelMissing
from models.registry import (
    CURRENT,
    FILES,
    REFERENCE,
    Model,
    Population,
    current_model,
    current_version,
    list_models,
    load_model,
    read_reference,
    save_model,
    set_current,
)
from tests.models.population import CHAIN, NAMES, World


@pytest.fixture
def folder(models_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the models folder that a test may break."""
    return Path(shutil.copytree(models_folder, tmp_path / "models"))


def files_of(folder: Path) -> dict[str, str]:
    """Return the text of every file of a model but its manifest."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "manifest.json"}


def other_files(folder: Path, version: str) -> dict[str, str]:
    """Return the files of another version: the same model with another card."""
    files = files_of(folder / version)
    return files | {"card.md": files["card.md"] + "\nRead once more.\n"}


def some_rows(world: World, rows: int = 300) -> np.ndarray:
    return world.frames[4].values[:rows]


def test_what_is_saved_is_what_is_loaded(model: Model, folder: Path, world: World) -> None:
    again = load_model(folder / model.version)
    assert again.version == model.version
    assert again.names == NAMES
    assert again.thresholds == model.thresholds
    assert again.calibration == model.calibration
    assert again.population == Population(simulated=True, chains=(CHAIN,))
    assert again.log_odds(some_rows(world)).tobytes() == model.log_odds(some_rows(world)).tobytes()


def test_a_model_folder_works_under_another_name(model: Model, folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / model.version, tmp_path / "model")
    assert load_model(tmp_path / "model").version == model.version


def test_contributions_sum_to_the_log_odds(model: Model, world: World) -> None:
    rows = some_rows(world).copy()
    rows[0] = np.nan
    rows[1] = 1e12
    parts = model.contributions(rows)
    assert parts.shape == (len(rows), len(NAMES) + 1)
    assert np.abs(parts.sum(axis=1) - model.log_odds(rows)).max() < 1e-9
    assert np.ptp(parts[:, -1]) == 0
    assert np.abs(parts[:, NAMES.index("exposure_source_drug_share")]).max() > 0.1


def test_one_row_scores_as_it_does_among_many(model: Model, world: World) -> None:
    rows = some_rows(world, 40)
    alone = np.concatenate([model.log_odds(rows[i : i + 1]) for i in range(len(rows))])
    assert alone.tobytes() == model.log_odds(rows).tobytes()
    parts = np.concatenate([model.contributions(rows[i : i + 1]) for i in range(len(rows))])
    assert parts.tobytes() == model.contributions(rows).tobytes()


def test_no_rows_give_no_scores(model: Model) -> None:
    assert model.log_odds(np.empty((0, len(NAMES)))).shape == (0,)
    assert model.contributions(np.empty((0, len(NAMES)))).shape == (0, len(NAMES) + 1)


def test_the_score_is_the_probability_at_an_even_prior(model: Model) -> None:
    prior = float(np.log(0.01 / 0.99))
    assert model.calibration.prevalence == 0.01
    assert [model.score(prior + x) for x in (-50.0, 0.0, float(np.log(3)), 50.0)] == [0, 50, 75, 100]
    at = [prior + float(np.log(p / (1 - p))) for p in (0.7049, 0.7051)]
    assert [model.score(x) for x in at] == [70, 71]
    assert model.probability(np.asarray([prior]))[0] == pytest.approx(0.01)


def test_a_population_is_its_chains_and_its_kind() -> None:
    found = Population(simulated=True, chains=(CHAIN,))
    assert found.fits(CHAIN, simulated=True)
    assert not found.fits(CHAIN, simulated=False)
    assert not found.fits("eip155:1", simulated=True)


def test_other_features_are_refused(model: Model, world: World) -> None:
    model.require(NAMES, catalogue_hash="c" * 64)
    with pytest.raises(ModelMismatch, match=f"{model.version} .*without {NAMES[0]}.*silkscreen train"):
        model.require(NAMES[1:])
    with pytest.raises(ModelMismatch, match="does not know colour"):
        model.require((*NAMES, "colour"))
    with pytest.raises(ModelMismatch, match="their order differs"):
        model.require(NAMES[::-1])
    with pytest.raises(ModelMismatch, match="another meaning"):
        model.require(NAMES, catalogue_hash="e" * 64)
    with pytest.raises(ModelMismatch, match=f"knows {len(NAMES)} features"):
        model.log_odds(some_rows(world)[:, 1:].copy())
    with pytest.raises(ModelMismatch):
        model.contributions(np.zeros(len(NAMES)))


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("harm", ["absent", "cut", "changed", "empty", "a folder"])
def test_a_damaged_folder_is_refused(model: Model, folder: Path, name: str, harm: str) -> None:
    path = folder / model.version / name
    content = path.read_bytes()
    path.unlink()
    if harm == "a folder":
        path.mkdir()
    elif harm != "absent":
        place = len(content) // 2
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        path.write_bytes({"cut": content[:place], "changed": changed, "empty": b""}[harm])
    with pytest.raises(ModelDamaged, match=r"is damaged .*train it again"):
        current_model(folder)
    assert list_models(folder) == [model.version]


def test_a_manifest_that_was_changed_to_fit_is_refused(model: Model, folder: Path) -> None:
    path = folder / model.version / "card.md"
    path.write_text("It is fit for every purpose.")
    manifest = json.loads((path.parent / "manifest.json").read_text())
    import hashlib

    manifest["files"]["card.md"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelDamaged, match="hash of its version"):
        load_model(path.parent)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"format": 1, "version": 3, "files": []}', "\xff\xfe", "nul\0"]
)
def test_a_manifest_of_another_shape_is_refused(model: Model, folder: Path, text: str) -> None:
    (folder / model.version / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelDamaged):
        load_model(folder / model.version)


def test_a_newer_format_is_refused(model: Model, folder: Path) -> None:
    path = folder / model.version / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ModelDamaged, match="format is 2, this version knows 1"):
        load_model(path.parent)


def test_trees_that_are_no_trees_are_refused(model: Model, folder: Path) -> None:
    files = other_files(folder, model.version) | {"model.txt": "not trees"}
    saved = save_model(folder, files)
    with pytest.raises(ModelDamaged, match="content cannot be read"):
        load_model(saved)


def test_no_model_yet(tmp_path: Path) -> None:
    assert current_model(tmp_path / "models") is None
    assert list_models(tmp_path / "models") == []
    with pytest.raises(ModelMissing, match="silkscreen train"):
        load_model(tmp_path / "models" / "m-000000000000")


@pytest.mark.parametrize("text", ["", "m-000000000000", "../../etc", "m-\0", "\n", "x" * 5000])
def test_a_pointer_that_names_no_model_is_refused(folder: Path, text: str) -> None:
    (folder / CURRENT).write_text(text)
    with pytest.raises(ModelDamaged, match="names no model"):
        current_model(folder)


def test_a_new_model_is_a_challenger_until_it_is_made_current(model: Model, folder: Path) -> None:
    saved = save_model(folder, other_files(folder, model.version))
    assert current_version(folder) == model.version != saved.name
    assert {m.version for m in list_models(folder) if isinstance(m, Model)} == {model.version, saved.name}
    set_current(folder, saved.name)
    found = current_model(folder)
    assert found is not None
    assert found.version == saved.name
    with pytest.raises(ModelMissing):
        set_current(folder, "m-000000000000")


def test_saving_a_damaged_model_again_mends_it(model: Model, folder: Path, models_folder: Path) -> None:
    (folder / model.version / "model.txt").unlink()
    assert save_model(folder, files_of(models_folder / model.version)).name == model.version
    assert load_model(folder / model.version).version == model.version


def test_what_drift_is_measured_from_is_part_of_the_version(model: Model, folder: Path) -> None:
    files = files_of(folder / model.version)
    files.pop(REFERENCE, None)
    plain = save_model(folder, files)
    assert read_reference(plain) is None
    kept = save_model(folder, files | {REFERENCE: '{"rows": 1}'})
    assert kept.name != plain.name
    assert read_reference(kept) == {"rows": 1}
    assert load_model(kept).version == kept.name
    (kept / REFERENCE).write_text('{"rows": 2}')
    with pytest.raises(ModelDamaged, match=r"reference\.json does not have its recorded hash"):
        read_reference(kept)
    (kept / REFERENCE).unlink()
    with pytest.raises(ModelDamaged, match=r"reference\.json is absent"):
        load_model(kept)
    with pytest.raises(ModelMissing):
        read_reference(folder / "m-000000000000")


@pytest.mark.parametrize("harm", ["no pointer", "a pointer to nothing", "a broken model"])
def test_a_new_model_takes_the_place_of_a_champion_that_cannot_be_used(
    model: Model, folder: Path, harm: str
) -> None:
    files = other_files(folder, model.version)
    if harm == "no pointer":
        (folder / CURRENT).unlink()
    elif harm == "a pointer to nothing":
        (folder / CURRENT).write_text("m-000000000000\n")
    else:
        (folder / model.version / "model.txt").write_text("")
    assert current_version(folder) == (model.version if harm == "a broken model" else None)
    saved = save_model(folder, files)
    assert current_version(folder) == saved.name != model.version


def test_a_folder_with_other_files_is_not_saved(folder: Path, model: Model) -> None:
    files = other_files(folder, model.version)
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match="a model folder holds"):
        save_model(folder, files | {"notes.txt": ""})
    assert sorted(folder.rglob("*")) == before


def save_and_die(folder: Path, files: dict[str, str], at: int) -> bool:
    """Save in a child process that kills itself at its `at`-th step on the folder; say whether it died."""
    child = os.fork()
    if child == 0:
        steps = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal steps
            # Files and folders are opened, made, renamed; each is a step.
            if event in {"open", "os.mkdir", "os.rename", "os.chmod"} and str(folder) in str(arguments[0]):
                steps += 1
                if steps == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        set_current(folder, save_model(folder, files).name)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_save_that_is_killed_at_any_step_leaves_the_old_model(model: Model, folder: Path) -> None:
    files = other_files(folder, model.version)
    at, seen = 1, set()
    while save_and_die(folder, files, at):
        found = current_model(folder)
        assert found is not None
        seen.add(found.version)
        assert not any(isinstance(m, str) for m in list_models(folder))
        at += 1
        set_current(folder, model.version)
        for left in folder.glob("m-*"):
            if left.name != model.version:
                shutil.rmtree(left)
    assert at > 20
    assert model.version in seen
    found = current_model(folder)
    assert found is not None
    assert found.version != model.version
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]
