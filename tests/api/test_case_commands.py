"""Cases, review and models on the command line, from the first case to the label of the next build."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from api.serving import open_served
from api.settings import Settings
from chains.errors import InputError
from datasets.label_queries import label_rows
from datasets.sampling import draw_sample
from datasets.store import open_ledger
from models.compare import comparison_path
from models.registry import current_version, save_model
from tests.api.test_cli import run
from tests.api.world import BANK
from tests.models.test_promotion import compare
from tests.models.test_registry import files_of


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """Return a copy of the tiny world that a test may change, in which nobody has opened a case or a key."""
    no_records = shutil.ignore_patterns("records.sqlite*")
    return Path(shutil.copytree(settings.dir, tmp_path / "var", ignore=no_records))


def silkscreen(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    """Run a command that succeeds and return what it prints, parsed where that is JSON."""
    assert run(*words, "--dir", str(folder)) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    return json.loads(shown) if "--json" in words else shown


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> str:
    """Run a command that is refused and return its one line."""
    assert run(*words, "--dir", str(folder)) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    return shown.err


def test_a_case_from_opening_to_the_next_build(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(*words: str) -> Any:
        return silkscreen(capsys, folder, *words)

    opened = tell("cases", "open", f"{BANK}:bob", "--by", "Aigul", "--reason", "report", "--json")
    case_id = opened["id"]
    assert (opened["account"], opened["state"], opened["reason"]) == (f"{BANK}:bob", "open", "report")
    tell("cases", "note", case_id, "paid by the market's customer", "--by", "Aigul")
    words = ["--category", "drop_account", "--substance", "heroin", "--owner", "Ring\x1b[31m One"]
    shown = tell("cases", "decide", case_id, "confirmed", "--by", "Aigul", *words)
    assert f"silkscreen cases approve {case_id} --by NAME" in shown
    assert "another person must approve it" in refused(
        capsys, folder, "cases", "approve", case_id, "--by", "AIGUL"
    )
    (line,) = tell("cases", "list", "--state", "to approve", "--json")
    assert line["waiting"]["category"] == "drop_account"
    assert "confirmed as drop_account, by Aigul and Bakyt" in tell(
        "cases", "approve", case_id, "--by", "Bakyt"
    )
    shown = tell("cases", "show", case_id)
    assert "paid by the market's customer" in shown
    assert "\x1b" not in shown
    shown = tell("build")
    assert "1 decision taken over as labels; 1 hold" in shown
    answer = tell("screen", f"{BANK}:bob", "--json")
    assert (answer["risk_level"], answer["decided_by"]) == ("SEVERE", "label")
    assert "closed cases" not in tell("build")
    shown = tell("cases", "withdraw", case_id, "--by", "Chynara", "--why", "contested")
    assert shown == (
        f"case {case_id} is open again; what was withdrawn is no label from the next build or training on\n"
    )
    assert "1 of them no longer hold" in tell("build")
    assert tell("screen", f"{BANK}:bob", "--json")["risk_level"] != "SEVERE"
    with open_ledger(folder / "ledger.duckdb") as ledger:
        assert label_rows(ledger, sources=["closed cases"]).num_rows == 0


def test_withdrawing_says_what_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(*words: str) -> str:
        return str(silkscreen(capsys, folder, *words))

    silkscreen(capsys, folder, "cases", "open", f"{BANK}:bob", "--by", "Aigul")
    (case,) = silkscreen(capsys, folder, "cases", "list", "--json")
    case_id = case["id"]
    withdraw = ["cases", "withdraw", case_id, "--by", "Bakyt", "--why", "contested"]
    no_label = f"case {case_id} is open again; what was withdrawn gave no label\n"
    tell("cases", "decide", case_id, "confirmed", "--by", "Aigul")
    assert tell(*withdraw) == no_label  # it waited and never counted
    tell("cases", "decide", case_id, "inconclusive", "--by", "Aigul")
    assert tell(*withdraw) == no_label
    tell("cases", "decide", case_id, "cleared", "--by", "Aigul")
    tell("cases", "decide", case_id, "confirmed", "--by", "Aigul")
    shown = tell(*withdraw)
    assert "open again" not in shown
    assert shown.startswith(f"confirmed is withdrawn; case {case_id} is cleared as person, by Aigul; a label")
    (case,) = silkscreen(capsys, folder, "cases", "list", "--json")
    assert (case["state"], case["decision"]["outcome"]) == ("closed", "cleared")
    assert "is open again; what was withdrawn is no label" in tell(*withdraw)


def test_what_cannot_be_is_said_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["cases", "show", "c0"], "there are no cases"),
        (["review", "report"], "nothing was drawn yet"),
        (["cases", "open", "nothing", "--by", "A"], "'nothing' is not an address"),
        (["cases", "open", f"{BANK}:bob", "--by", "\x1b[31m"], "printable"),
        (["cases", "show", "c0"], "there is no case 'c0'"),
        (["cases", "list", "--state", "shut"], "--state shut"),
        (["review", "draw", "--size", "5000", "--seed", "1", "--by", "A"], "cannot be drawn: at most"),
        (["review", "draw", "--size", "1", "--seed", "1", "--by", " "], "who draws must be"),
        (["review", "report", "--draw", "d0"], "there is no draw d0"),
        (["models", "promote", "m-0", "--by", "A", "--approved-by", "B"], "there is no model 'm-0'"),
        (["models", "rollback", "--by", "A"], "no promotion stands"),
        (["models", "show", "m-0"], "there is no model 'm-0'"),
        (["models", "drift"], "keeps nothing to measure drift from"),
    ):
        assert said in refused(capsys, folder, *words)
    assert silkscreen(capsys, folder, "cases", "list", "--json") == []
    assert "opens one" in silkscreen(capsys, folder, "cases", "list")


def test_the_sample_below_the_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(*words: str) -> Any:
        return silkscreen(capsys, folder, *words)

    words = [
        "review",
        "draw",
        "--size",
        "6",
        "--blind-share",
        "0.5",
        "--above",
        "1",
        "--seed",
        "7",
        "--by",
        "A",
    ]
    drawn = tell(*words, "--json")
    assert (drawn["seed"], drawn["cases"], drawn["snapshot"]) == (7, 7, _snapshot(folder))
    assert len(drawn["strata"]) == 4  # the bank, Bitcoin, Ethereum and Polygon
    assert all(list(part) == ["chain"] for part in drawn["strata"])
    listed = tell("review", "list", "--json")
    assert [line["hidden"] for line in listed].count(True) == 4
    for line in listed:
        assert (line["level"] is None) == line["hidden"]
        assert (line["score"] is None, line["reasons"] == []) == (line["hidden"], line["hidden"])
    accounts = {line["account"] for line in listed}
    assert not accounts & {f"{BANK}:market", f"{BANK}:mallory", f"{BANK}:dave", f"{BANK}:alice"}
    blind = next(line for line in listed if line["hidden"])
    shown = tell("review", "list")
    assert "hidden" in shown
    case = tell("cases", "show", blind["case"], "--json")
    assert (case["log_odds"], case["blind"], case["reason"]) == (None, True, "blind")
    assert "the score is hidden" in tell("cases", "show", blind["case"])
    tell("cases", "decide", blind["case"], "cleared", "--by", "A")
    after = {line["case"]: line for line in tell("review", "list", "--all", "--json")}
    assert after[blind["case"]]["level"] is not None
    assert tell("cases", "show", blind["case"], "--json")["log_odds"] is not None
    assert blind["case"] not in {line["case"] for line in tell("review", "list", "--json")}
    found = tell("review", "report", "--json")["groups"]
    assert found["all"]["drawn"] == 6
    assert found["(mixed in from above)"]["drawn"] == 1
    assert found["blind"]["drawn"] == 3
    table = tell("review", "report")
    assert "95% interval" in table
    # Counts by chain would tell which blind case is the one above the line, until all are decided.
    assert not any(part["chain"] in table for part in drawn["strata"])
    assert set(found) == {"all", "blind", "with the score shown", "(mixed in from above)"}
    assert "once every case of the draw is decided" in table
    for line in tell("review", "list", "--json"):
        tell("cases", "decide", line["case"], "cleared", "--by", "A")
    report = tell("review", "report", "--json")
    (strata,) = (one["strata"] for one in report["draws"])
    assert sum(part["drawn"] for part in strata) == 6
    assert all(report["groups"][part["chain"]]["drawn"] == part["drawn"] >= 1 for part in strata)
    assert "once every case" not in tell("review", "report")
    # Whoever has a case is not drawn again, and the same seed goes on with those that are left.
    again = tell("review", "draw", "--size", "5", "--seed", "7", "--by", "A", "--json")
    assert again["cases"] == 5
    assert len({line["account"] for line in tell("review", "list", "--all", "--json")}) == 12


def test_a_blind_case_above_the_line_has_one_below_it_on_its_chain(
    settings: Settings,
) -> None:
    served = open_served(settings)
    assert served.model is not None
    line = served.model.thresholds.medium.log_odds
    assert line is not None
    alone = 0
    for seed in range(30):
        sample = draw_sample(served.snapshot, line=line, size=6, blind_share=0.34, seed=seed, above=1)
        blind = [owner for owner in sample.owners if owner.blind]
        assert len(blind) == 3
        (over,) = (owner for owner in blind if owner.log_odds > line)
        chain = over.account.rsplit(":", 1)[0]
        assert [o.account for o in blind if o.account.startswith(chain) and o.log_odds <= line]
        alone += len({owner.account.rsplit(":", 1)[0] for owner in blind}) > 1
    assert alone > 5
    with pytest.raises(InputError, match="raise the blind share"):
        draw_sample(served.snapshot, line=line, size=6, blind_share=0, seed=1, above=1)


def test_whom_a_rule_flags_is_not_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["review", "draw", "--seed", "1", "--by", "A", "--size"]
    assert "at most 11 can be" in refused(capsys, folder, *words, "12")
    assert silkscreen(capsys, folder, "review", "list", "--json") == []
    silkscreen(capsys, folder, *words, "11")
    for line in silkscreen(capsys, folder, "review", "list", "--json"):
        found = silkscreen(capsys, folder, "screen", line["account"], "--json")
        assert found["decided_by"] in {"model", "none"}


def test_the_same_seed_draws_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    found = []
    for place, seed in ((folder, "3"), (other, "3")):
        silkscreen(capsys, place, "review", "draw", "--size", "6", "--seed", seed, "--by", "A")
        lines = silkscreen(capsys, place, "review", "list", "--json")
        found.append(sorted((line["account"], line["hidden"]) for line in lines))
    assert found[0] == found[1]


def test_a_line_is_needed_to_draw_below_it(
    unscored: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(unscored.dir, tmp_path / "var"))
    words = ["review", "draw", "--size", "3", "--seed", "1", "--by", "A"]
    assert "has no scores" in refused(capsys, folder, *words)
    assert "has no scores" in refused(capsys, folder, "models", "drift")
    assert not (folder / "records.sqlite").exists()


def test_a_model_taken_over_challenges_the_one_in_use(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = current_version(folder / "models")
    assert champion is not None
    files = files_of(folder / "models" / champion)
    other = save_model(tmp_path / "elsewhere", files | {"card.md": "Another\x1b[31m card.\n"})
    shown = silkscreen(capsys, folder, "models", "add", str(other))
    assert f"{other.name} is a challenger" in shown
    other_in_use = folder / "models" / other.name
    assert f"silkscreen evaluate --model {other.name} --against {champion}" in shown
    assert current_version(folder / "models") == champion
    rows = silkscreen(capsys, folder, "models", "list", "--json")
    assert {row["version"]: (row["current"], row["verdict"]) for row in rows} == {
        champion: (True, None),
        other.name: (False, None),
    }
    assert silkscreen(capsys, folder, "models", "show", other.name) == "Another\\x1b[31m card.\n"
    assert silkscreen(capsys, folder, "models", "show") == "A model that counts receipts.\n"
    assert "not compared" in silkscreen(capsys, folder, "models", "list")
    compared = comparison_path(folder / "models", challenger=other.name, champion=champion)
    compared.parent.mkdir()
    compared.write_text("{}")
    assert "comparison damaged" in silkscreen(capsys, folder, "models", "list")
    compared.unlink()
    card = other_in_use / "card.md"
    whole = card.read_text()
    card.write_text("changed")
    rows = silkscreen(capsys, folder, "models", "list", "--json")
    assert {row["version"]: (row["current"], row["damaged"]) for row in rows} == {
        champion: (True, False),
        other.name: (False, True),
    }
    assert [f"{other.name}  damaged" in line for line in _lines(capsys, folder)].count(True) == 1
    assert [f"*  {champion}" in line for line in _lines(capsys, folder)].count(True) == 1
    card.write_text(whole)
    words = ["models", "promote", other.name, "--by", "A", "--approved-by", "B"]
    assert f"{other.name} was not compared with {champion}" in refused(capsys, folder, *words)
    assert "no model was promoted yet" in silkscreen(capsys, folder, "models", "history")
    compare(folder / "models", other.name, champion)
    shown = silkscreen(capsys, folder, *words)
    assert "PR-AUC on the same rows not shown to be worse: +0.000 [-0.100, +0.100]\n" in shown
    assert "no worse  +0.000 [-0.100, +0.100]" in silkscreen(capsys, folder, "models", "history")


def _lines(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    return str(silkscreen(capsys, folder, "models", "list")).splitlines()


def _snapshot(folder: Path) -> str:
    return (folder / "snapshots" / "CURRENT").read_text(encoding="utf-8").strip()
