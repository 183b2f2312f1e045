"""Champion and challengers: what is refused, what the history says, and what survives a process that dies."""

import json
import os
import shutil
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chains.errors import FileError, InputError, ModelDamaged, ModelError
from models.bootstrap import Interval
from models.compare import Comparison, Verdict, comparison_path, write_comparison
from models.history import HISTORY
from models.promotion import find_model, promote, read_history, rollback
from models.registry import Model, current_version, save_model, set_current
from tests.models.test_registry import files_of

NOW = datetime.fromisoformat("2024-06-04T12:00:00")


@pytest.fixture
def folder(models_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the models folder that a test may break."""
    return Path(shutil.copytree(models_folder, tmp_path / "models"))


def another(folder: Path, model: Model, word: str) -> str:
    """Save the same model with another word in its card; return its version."""
    files = files_of(folder / model.version)
    return save_model(folder, files | {"card.md": files["card.md"] + word}).name


def compare(folder: Path, challenger: str, champion: str, verdict: Verdict = "no worse") -> None:
    spans = {"worse": (-0.2, -0.1), "no worse": (-0.1, 0.1), "better": (0.1, 0.2)}
    low, high = spans[verdict]
    interval = Interval((low + high) / 2, low, high)
    comparison = Comparison(
        champion=champion,
        challenger=challenger,
        verdict=verdict,
        note="",
        rows=100,
        owners=50,
        drug_owners=10,
        left_out_owners=0,
        moments=("2024-01-01T00:00:00Z",),
        prevalence=0.2,
        champion_pr_auc=Interval(0.5, 0.4, 0.6),
        challenger_pr_auc=Interval(0.5, 0.4, 0.6),
        difference=interval,
        draws=100,
        seed=1,
    )
    write_comparison(folder, comparison)


def agree(folder: Path, version: str, day: int = 0) -> None:
    promote(folder, version, by="Aigul", approved_by="Bakyt", now=NOW + timedelta(days=day))


@pytest.mark.parametrize("verdict", ["better", "no worse"])
def test_a_challenger_is_promoted_and_taken_back(model: Model, folder: Path, verdict: Verdict) -> None:
    version = another(folder, model, "2")
    assert current_version(folder) == model.version
    compare(folder, version, model.version, verdict)
    agree(folder, version)
    assert current_version(folder) == version
    change = rollback(folder, by="Chynara", now=NOW + timedelta(days=1), why="too many\nalarms")
    assert current_version(folder) == model.version
    first, second = read_history(folder)
    assert second == change
    assert (first.event, first.version, first.before) == ("promoted", version, model.version)
    assert (first.by, first.approved_by, first.verdict, first.at) == (
        "Aigul", "Bakyt", verdict, "2024-06-04T12:00:00Z",
    )  # fmt: skip
    assert len(first.comparison) == 64
    spans = {"no worse": (0.0, -0.1, 0.1), "better": (0.15, 0.1, 0.2)}
    assert first.difference is not None
    assert tuple(first.difference[key] for key in ("value", "low", "high")) == pytest.approx(spans[verdict])
    assert second.difference is None
    assert (second.event, second.version, second.why) == ("rolled back", model.version, "too many alarms")
    with pytest.raises(InputError, match="no promotion stands that could be taken back"):
        rollback(folder, by="Chynara", now=NOW)


def test_a_line_without_a_difference_is_read(model: Model, folder: Path) -> None:
    version = another(folder, model, "2")
    compare(folder, version, model.version)
    agree(folder, version)
    (line,) = (folder / HISTORY).read_text().splitlines()
    content = json.loads(line)
    del content["difference"]
    (folder / HISTORY).write_text(json.dumps(content) + "\n")
    (change,) = read_history(folder)
    assert (change.version, change.difference) == (version, None)


def test_what_must_not_be_promoted_is_not(model: Model, folder: Path) -> None:
    version, other = another(folder, model, "2"), another(folder, model, "3")
    with pytest.raises(ModelError, match=f"{version} was not compared with .*evaluate --model"):
        agree(folder, version)
    compare(folder, other, model.version)
    compare(folder, version, other)  # of other models
    with pytest.raises(ModelError, match="not compared"):
        agree(folder, version)
    compare(folder, version, model.version, "worse")
    with pytest.raises(ModelError, match=r"worse than .* \(difference of PR-AUC -0.200 to -0.100\)"):
        agree(folder, version)
    compare(folder, version, model.version)
    for second in ("Aigul", "aigul", " Aigul "):
        with pytest.raises(InputError, match="another person"):
            promote(folder, version, by="Aigul", approved_by=second, now=NOW)
    with pytest.raises(InputError, match="--approved-by must be"):
        promote(folder, version, by="Aigul", approved_by="", now=NOW)
    for name in ("m-000000000000", "../../etc", "m-\0", ""):
        with pytest.raises(InputError, match="there is no model"):
            agree(folder, name)
    with pytest.raises(InputError, match="is the champion already"):
        agree(folder, model.version)
    path = comparison_path(folder, challenger=version, champion=model.version)
    path.write_text(path.read_text().replace('"no worse"', '"better"'))
    with pytest.raises(FileError, match="does not have its recorded hash"):
        agree(folder, version)
    compare(folder, version, model.version)
    (folder / version / "model.txt").write_text("")
    with pytest.raises(ModelDamaged):
        agree(folder, version)
    assert current_version(folder) == model.version
    assert read_history(folder) == ()


def test_rollback_goes_back_as_far_as_promotions_went(model: Model, folder: Path) -> None:
    second, third = another(folder, model, "2"), another(folder, model, "3")
    compare(folder, second, model.version)
    agree(folder, second)
    compare(folder, third, second)
    agree(folder, third)
    assert rollback(folder, by="A", now=NOW).version == second
    agree(folder, third)  # the comparison still holds
    assert rollback(folder, by="A", now=NOW).version == second
    assert rollback(folder, by="A", now=NOW).version == model.version
    assert len(read_history(folder)) == 6
    with pytest.raises(InputError):
        rollback(folder, by="A", now=NOW)


def test_rollback_needs_no_whole_champion_but_a_whole_former_one(model: Model, folder: Path) -> None:
    version = another(folder, model, "2")
    compare(folder, version, model.version)
    agree(folder, version)
    (folder / version / "model.txt").unlink()
    former = (folder / model.version / "model.txt").read_bytes()
    (folder / model.version / "model.txt").write_bytes(former[:-1])
    with pytest.raises(ModelDamaged):
        rollback(folder, by="A", now=NOW)
    assert current_version(folder) == version
    (folder / model.version / "model.txt").write_bytes(former)
    assert rollback(folder, by="A", now=NOW).version == model.version


def test_a_torn_last_line_counts_for_nothing_and_a_damaged_one_is_told(model: Model, folder: Path) -> None:
    version = another(folder, model, "2")
    compare(folder, version, model.version)
    agree(folder, version)
    whole = (folder / HISTORY).read_bytes()
    (folder / HISTORY).write_bytes(whole + whole[: len(whole) // 2])
    assert len(read_history(folder)) == 1
    rollback(folder, by="A", now=NOW)
    lines = (folder / HISTORY).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["promoted", "rolled back"]
    assert (folder / HISTORY).read_bytes().startswith(whole)
    for wrong in (b"{}\n", b"no json\n", b'{"at": 1}\n'):
        (folder / HISTORY).write_bytes(wrong + whole)
        with pytest.raises(FileError, match="line 1 cannot be read"):
            read_history(folder)
        with pytest.raises(FileError):
            rollback(folder, by="A", now=NOW)


def promote_and_die(folder: Path, version: str, at: int) -> bool:
    """Promote in a child process that kills itself at its `at`-th step on the folder; say whether it died."""
    child = os.fork()
    if child == 0:
        steps = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal steps
            if event in {"open", "os.rename", "os.chmod", "os.truncate"} and str(folder) in str(arguments[0]):
                steps += 1
                if steps == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        agree(folder, version)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_promotion_that_is_killed_at_any_step_can_be_made_again(model: Model, folder: Path) -> None:
    """Whatever step it dies at, history and champion agree, and the next promotion and rollback work."""
    version = another(folder, model, "2")
    compare(folder, version, model.version)
    at, torn = 1, 0
    while promote_and_die(folder, version, at):
        done = current_version(folder) == version
        history = read_history(folder)
        assert len(history) == done
        written = (folder / HISTORY).read_bytes().count(b"\n") if (folder / HISTORY).exists() else 0
        torn += written > len(history)
        if not done:
            agree(folder, version)
            assert len(read_history(folder)) == 1
        assert rollback(folder, by="A", now=NOW).version == model.version
        (folder / HISTORY).unlink()
        at += 1
    assert at > 10
    assert torn > 0  # at one step at least the line stood there and the swap had not come


def test_what_was_made_current_by_hand_is_no_promotion(model: Model, folder: Path) -> None:
    version = another(folder, model, "2")
    compare(folder, version, model.version)
    agree(folder, version)
    set_current(folder, model.version)
    assert read_history(folder) == ()
    with pytest.raises(InputError):
        rollback(folder, by="A", now=NOW)


def test_a_damaged_champion_that_is_replaced_stays_in_the_history(model: Model, folder: Path) -> None:
    second = another(folder, model, "2")
    compare(folder, second, model.version)
    agree(folder, second)
    (folder / second / "model.txt").write_text("")
    files = files_of(folder / model.version)
    third = save_model(folder, files | {"card.md": files["card.md"] + "3"}).name
    assert current_version(folder) == third
    promoted, replaced = read_history(folder)
    assert (promoted.event, promoted.version, promoted.before) == ("promoted", second, model.version)
    assert (replaced.event, replaced.version, replaced.before, replaced.why, replaced.by) == (
        "replaced", third, second, "damaged", "",
    )  # fmt: skip
    # It stands where the damaged one stood: what that was promoted over is before it.
    assert rollback(folder, by="A", now=NOW).version == model.version
    assert [change.event for change in read_history(folder)] == ["promoted", "replaced", "rolled back"]


@pytest.mark.parametrize(
    ("harm", "why"), [("damaged", "damaged"), ("removed", "gone"), ("no pointer", "gone")]
)
def test_nothing_is_before_a_model_that_replaced_the_first(
    model: Model, folder: Path, harm: str, why: str
) -> None:
    files = files_of(folder / model.version)
    agreed = another(folder, model, "2")
    compare(folder, agreed, model.version)
    agree(folder, agreed)
    rollback(folder, by="A", now=NOW)
    if harm == "damaged":
        (folder / model.version / "model.txt").write_text("")
    elif harm == "removed":
        shutil.rmtree(folder / model.version)
    else:
        (folder / "CURRENT").unlink()
    third = save_model(folder, files | {"card.md": files["card.md"] + "3"}).name
    assert [change.event for change in read_history(folder)] == ["promoted", "rolled back", "replaced"]
    assert read_history(folder)[-1].why == why
    named = model.version if harm != "no pointer" else "the one before"
    with pytest.raises(InputError, match=f"{third} is in use, in place of {named}, which was {why}"):
        rollback(folder, by="A", now=NOW)


def test_a_champion_that_is_replaced_by_the_one_before_it_is_not_before_itself(
    model: Model, folder: Path
) -> None:
    second = another(folder, model, "2")
    compare(folder, second, model.version)
    agree(folder, second)
    files = files_of(folder / model.version)
    (folder / second / "model.txt").write_text("")
    save_model(folder, files)
    assert current_version(folder) == model.version
    with pytest.raises(InputError, match=f"in place of {second}, which was damaged"):
        rollback(folder, by="A", now=NOW)


def test_the_first_model_has_no_history(model: Model, folder: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "new", files_of(folder / model.version))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(["CURRENT", model.version])


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    assert read_history(tmp_path / "none") == ()
    with pytest.raises(ModelError, match="silkscreen train"):
        rollback(tmp_path / "none", by="A", now=NOW)
    with pytest.raises(InputError, match="models list"):
        find_model(tmp_path / "none", "m-000000000000")
    assert not (tmp_path / "none").exists()
