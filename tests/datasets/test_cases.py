"""Cases: who decides, what counts and from when, nothing overwritten, and what the ledger is told."""

import hashlib
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic import command

from chains.errors import AmbiguousAddress, InputError
from datasets.casework import SOURCE, copy_cases
from datasets.label_queries import claim_history, count_labels, label_rows
from datasets.records import store
from datasets.records.cases import (
    Case,
    add_note,
    approve_case,
    decide_case,
    find_case,
    list_cases,
    open_case,
    withdraw_decision,
)
from datasets.records.keys import create_key, list_keys
from datasets.records.people import read_person, same_person
from datasets.records.store import Records, open_records
from datasets.splits import resolve_targets
from datasets.store import open_ledger

NOW = datetime.fromisoformat("2024-06-04T12:00:00")
A, B = "payments:bank:a", "payments:bank:b"


def day(number: int) -> datetime:
    return NOW + timedelta(days=number)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return open_records(tmp_path / "records.sqlite")


def new_case(records: Records, account: str = A) -> str:
    return open_case(records, account, by="Aigul", now=NOW).id


def decide(records: Records, case_id: str, outcome: str, at: datetime = NOW, **more: str) -> Case:
    return decide_case(records, case_id, outcome, by="Aigul", now=at, category_id=more.get("category"))


def test_a_confirmation_counts_when_a_second_person_agrees(records: Records) -> None:
    case_id = new_case(records)
    assert find_case(records, case_id).state == "open"
    case = decide_case(
        records,
        case_id,
        "confirmed",
        by="Aigul",
        now=day(1),
        category_id="drug_vendor",
        substances=["methamphetamine", "heroin", "heroin"],
        owner="Vendor One",
    )
    assert (case.state, case.decision) == ("to approve", None)
    for again in ("Aigul", " aigul ", "AIGUL.", "Ａｉｇｕｌ"):
        with pytest.raises(InputError, match="another person"):
            approve_case(records, case_id, by=again, now=day(2))
    case = approve_case(records, case_id, by="Bakyt", now=day(3))
    found = case.decision
    assert case.state == "closed"
    assert found is not None
    assert (found.category, found.owner, found.substances) == (
        "drug_vendor",
        "Vendor One",
        ("heroin", "methamphetamine"),
    )
    assert (found.decided_at, found.counted_at, found.approved_by) == (day(1), day(3), "Bakyt")
    with pytest.raises(InputError, match="no confirmation that waits"):
        approve_case(records, case_id, by="Bakyt", now=day(4))


@pytest.mark.parametrize(
    "hidden",
    [
        0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180E, 0x180F, 0x200B, 0x200D,
        0x2060, 0x2065, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xE0001, 0xE0100, 0xE01EF,
    ],
)  # fmt: skip
def test_what_shows_nothing_makes_no_other_person(hidden: int) -> None:
    mark = chr(hidden)
    for name in (mark + "Aigul", f"Ai{mark}gul", f"aigul{mark}", f"É{mark}"):
        assert same_person(name, name.replace(mark, ""))
    with pytest.raises(InputError):
        read_person(mark)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("राम", "रोम", False),
        ("राम", "राम", True),
        ("กา", "กิ", False),
        ("Émile", "E\u0301mile", True),
        ("Émile", "Emile", False),
        ("ΑΪ́", "αΐ", True),
        ("Straße", "STRASSE", True),
        ("İbrahim", "ibrahim", True),
        ("IŞIK", "ışık", True),
        ("Ａｉｇｕｌ", "aigul.", True),
        ("Aigul", "Aigul 2", False),
    ],
)
def test_marks_tell_people_apart_and_spelling_does_not(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same


def test_the_other_outcomes_count_at_once_and_have_defaults(records: Records) -> None:
    cleared = decide(records, new_case(records), "cleared", day(1)).decision
    assert cleared is not None
    assert (cleared.category, cleared.counted_at) == ("person", day(1))
    waiting = decide(records, new_case(records, B), "confirmed").waiting
    assert waiting is not None
    assert waiting.category == "drug_trafficking"
    unsure = decide(records, new_case(records, "payments:bank:c"), "inconclusive")
    assert unsure.state == "closed"
    assert unsure.decision is not None
    assert unsure.decision.category is None


def test_a_later_decision_takes_the_place_of_an_earlier_one_when_it_counts(records: Records) -> None:
    case_id = new_case(records)
    decide(records, case_id, "cleared", day(1))
    case = decide(records, case_id, "confirmed", day(2))
    assert case.decision is not None
    assert (case.decision.outcome, case.state) == ("cleared", "to approve")
    case = approve_case(records, case_id, by="Bakyt", now=day(3))
    assert [(d.outcome, d.counted_at, d.ended_at) for d in case.decisions] == [
        ("cleared", day(1), day(3)),
        ("confirmed", day(3), None),
    ]
    case = withdraw_decision(records, case_id, by="Chynara", now=day(4), why="contested")
    assert (case.state, case.decision, case.decisions[1].ended_at) == ("open", None, day(4))
    with pytest.raises(InputError, match="no decision to withdraw"):
        withdraw_decision(records, case_id, by="Chynara", now=day(5), why="again")
    assert [step.kind for step in case.steps] == ["decided", "decided", "approved", "withdrawn"]


def test_a_decision_that_waited_is_replaced_and_cannot_be_approved(records: Records) -> None:
    case_id = new_case(records)
    decide(records, case_id, "confirmed", day(1))
    case = decide(records, case_id, "cleared", day(2))
    assert [d.counted_at for d in case.decisions] == [None, day(2)]
    with pytest.raises(InputError, match="no confirmation"):
        approve_case(records, case_id, by="Bakyt", now=day(3))


def test_notes_stay_and_steps_follow_each_other_even_if_the_clock_goes_back(records: Records) -> None:
    case_id = new_case(records)
    add_note(records, case_id, "first\nline \x1b[31m", by="Aigul", now=day(2))
    case = add_note(records, case_id, "second", by="Bakyt", now=day(1))
    assert [(s.number, s.at, s.text) for s in case.steps] == [
        (1, day(2), "first\nline  [31m"),
        (2, day(2), "second"),
    ]


def test_a_second_case_waits_until_the_first_is_closed(records: Records) -> None:
    first = new_case(records)
    with pytest.raises(InputError, match=f"case {first} on that account is not closed"):
        new_case(records)
    decide(records, first, "cleared")
    second = new_case(records)
    assert [case.id for case in list_cases(records)] == sorted([first, second])


@pytest.mark.parametrize(
    ("outcome", "more", "said"),
    [
        ("guilty", {}, "no outcome"),
        ("confirmed", {"category_id": "scam"}, "no category of a case that is confirmed"),
        ("confirmed", {"category_id": "nonsense"}, "not a category"),
        ("cleared", {"category_id": "drug_vendor"}, "no category of a case that is cleared"),
        ("cleared", {"category_id": "unknown_service"}, "no category"),
        ("cleared", {"category_id": "unspecified"}, "no category"),
        ("cleared", {"substances": ["heroin"]}, "names no substance"),
        ("confirmed", {"substances": ["sugar"]}, "'sugar' is no substance"),
        ("inconclusive", {"category_id": "person"}, "has no category"),
        ("inconclusive", {"owner": "X"}, "says nothing of the owner"),
        ("confirmed", {"owner": "x" * 501}, "at most 500"),
        ("cleared", {"by": " . "}, "who decides it must be"),
        ("cleared", {"why": "x" * 20_001}, "a note has at most"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_step(
    records: Records, outcome: str, more: dict[str, object], said: str
) -> None:
    case_id = new_case(records)
    words: dict[str, object] = {"by": "Aigul", "now": NOW, **more}
    with pytest.raises(InputError, match=said):
        decide_case(records, case_id, outcome, **words)  # type: ignore[arg-type]
    assert find_case(records, case_id).steps == ()


@pytest.mark.parametrize(
    "account", ["", "nothing", "0x" + "00" * 20, "payments:bank:" + "x" * 600, "eip155:1:0x" + "0" * 40]
)
def test_an_account_that_cannot_be_used_opens_no_case(records: Records, account: str) -> None:
    with pytest.raises(InputError):
        open_case(records, account, by="Aigul", now=NOW)
    with pytest.raises(AmbiguousAddress):
        open_case(records, "0x" + "c1" * 20, by="Aigul", now=NOW)
    with pytest.raises(InputError, match="no reason"):
        open_case(records, A, by="Aigul", now=NOW, reason="blind")
    assert list_cases(records) == ()


def test_two_people_at_once_leave_whole_steps(records: Records) -> None:
    case_id = new_case(records)
    failures: list[Exception] = []

    def write(name: str) -> None:
        try:
            for number in range(10):
                add_note(records, case_id, f"{name} {number}", by=name, now=NOW)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("Aigul", "Bakyt")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [step.number for step in find_case(records, case_id).steps] == list(range(1, 21))


def test_the_tables_come_and_go_and_keys_stay(tmp_path: Path) -> None:
    with open_records(tmp_path / "records.sqlite") as records:
        create_key(records, "bank", now=NOW)
        new_case(records)
        config = store._config()
        with records.write() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0001")
            tables = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")}
        assert not {"casefile", "case_step", "case_draw", "case_stratum"} & tables
    with open_records(tmp_path / "records.sqlite") as records:
        assert len(list_keys(records)) == 1
        assert list_cases(records) == ()
        new_case(records)


def test_closed_cases_become_labels_and_stop_being_ones(records: Records, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    open_ledger(path, write=True).close()
    untouched = hashlib.sha256(path.read_bytes()).hexdigest()
    first, second, third = (new_case(records, f"payments:bank:{name}") for name in "abc")
    decide(records, third, "inconclusive", day(1))
    decide(records, first, "confirmed", day(1), category="drug_vendor")
    # Nothing counts yet, so the ledger is not even opened for writing.
    with open_ledger(path):
        assert copy_cases(records, path, now=day(2)).added == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == untouched

    approve_case(records, first, by="Bakyt", now=day(3))
    decide(records, second, "cleared", day(4), category="merchant")
    done = copy_cases(records, path, now=day(10))
    assert (done.added, done.withdrawn, done.holding) == (2, 0, 2)
    written = hashlib.sha256(path.read_bytes()).hexdigest()
    with open_ledger(path):  # held for reading: it could not be opened for writing
        assert copy_cases(records, path, now=day(11), wait_seconds=0.1).added == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == written
    with open_ledger(path) as ledger:
        rows = label_rows(ledger).to_pylist()
        targets = resolve_targets(ledger, known_before=None).table.to_pylist()
        assert label_rows(ledger, published_before=day(3)).num_rows == 0
    assert [(r["caip10"], r["category"], r["published_at"], r["recorded_at"], r["source"]) for r in rows] == [
        (A, "drug_vendor", day(3), day(3), SOURCE),
        (B, "merchant", day(4), day(4), SOURCE),
    ]
    assert all(r["may_train"] and not r["may_export"] and r["kind"] == "cases" for r in rows)
    assert [(t["account"], t["drug"]) for t in targets] == [(A, True), (B, False)]

    decide(records, first, "cleared", day(12))
    withdraw_decision(records, second, by="Chynara", now=day(13), why="wrong account")
    assert copy_cases(records, path, now=day(11)).added == 0  # neither had happened by then
    done = copy_cases(records, path, now=day(14))
    assert (done.added, done.withdrawn, done.holding) == (1, 2, 1)
    with open_ledger(path) as ledger:
        rows = label_rows(ledger).to_pylist()
        past = label_rows(ledger, published_before=day(11)).to_pylist()
        told = claim_history(ledger, A).to_pylist()
        (counted,) = count_labels(ledger, by=["kind"]).to_pylist()
    assert [(r["caip10"], r["category"]) for r in rows] == [(A, "person")]
    assert [(r["caip10"], r["category"]) for r in past] == [(A, "drug_vendor"), (B, "merchant")]
    assert [r["withdrawn_at"] for r in told] == [day(12), None]
    assert (counted["kind"], counted["labels"], counted["may_export"]) == ("cases", 1, 0)


def test_the_newest_case_of_an_account_holds(records: Records, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    open_ledger(path, write=True).close()
    first = new_case(records)
    decide(records, first, "confirmed", day(1))
    approve_case(records, first, by="Bakyt", now=day(1))
    second = new_case(records)
    decide(records, second, "cleared", day(5))
    assert copy_cases(records, path, now=day(6)).holding == 1
    with open_ledger(path) as ledger:
        (row,) = label_rows(ledger).to_pylist()
    assert (row["category"], row["reference"]) == ("person", f"case {second}, step 1")


def test_a_newer_inconclusive_case_ends_the_label_of_an_earlier_one(records: Records, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    open_ledger(path, write=True).close()
    first = new_case(records)
    decide(records, first, "confirmed", day(1))
    approve_case(records, first, by="Bakyt", now=day(1))
    assert copy_cases(records, path, now=day(2)).holding == 1
    second = new_case(records)
    decide(records, second, "inconclusive", day(5))
    done = copy_cases(records, path, now=day(6))
    assert (done.added, done.withdrawn, done.holding) == (0, 1, 0)
    with open_ledger(path) as ledger:
        assert label_rows(ledger).num_rows == 0
        (past,) = label_rows(ledger, published_before=day(4)).to_pylist()
        (told,) = claim_history(ledger, A).to_pylist()
    assert (past["category"], told["withdrawn_at"]) == ("drug_trafficking", day(5))
    # A later decision of either case holds again.
    decide(records, first, "cleared", day(7))
    assert copy_cases(records, path, now=day(8)).holding == 1
