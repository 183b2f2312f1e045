"""The sanctions list: every address of it becomes a label, under its programme, on the chain of its form."""

import bz2
import contextlib
import csv
import gzip
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import LabelError
from datasets.label_queries import claim_history
from datasets.labels import count_labels, import_labels, label_rows
from datasets.sources.ofac import read_issue, read_labels
from datasets.store import Ledger, open_ledger
from datasets.taxonomy import category, load_taxonomy
from tests.datasets.claimed import RECORDED, Party, bitcoin, day, evm, sdn_xml, tron, write_sdn
from tests.shared_data import shared_data

TRAFFICKER = Party("DOE|Jane Q", ["SDNTK", "SDGT"], [("XBT", bitcoin(7)), ("USDT", evm(7))], "2019-08-21")
MARKET = Party("Hydra|Market", ["CYBER2"], [("XBT", bitcoin(8))])
NOBODY = Party("NOBODY", ["CYBER2"], [])
OTHER = Party("ROE|Richard", ["CYBER2"], [("ETH", evm(9)), ("USDT", tron(9)), ("USDT", bitcoin(9))])


def test_an_entry_with_everything(tmp_path: Path) -> None:
    labels = read_labels(write_sdn(tmp_path / "sdn.xml", [TRAFFICKER])).labels
    first = labels[0]
    assert len(labels) == 2
    assert first.account.caip10 == f"bip122:000000000019d6689c085ae165831e93:{bitcoin(7)}"
    assert first.entity == "DOE Jane Q"
    assert first.name == "Digital Currency Address - XBT"
    assert first.category == "drug_trafficking"
    assert first.programmes == ("SDGT", "SDNTK")
    assert first.listed_at == date(2019, 8, 21)
    assert first.published_at == day(2026, 1, 15)
    assert first.confidence == 1.0
    assert first.reference.endswith("id=500")
    assert first.position == "profile 500 feature 5000"
    assert (first.may_export, first.may_train, first.cluster_definer) == (True, True, False)


def event(listed: str) -> str:
    year, month, number = listed.split("-")
    return (
        f"<EntryEvent><Date><Year>{year}</Year><Month>{month}</Month><Day>{number}</Day></Date></EntryEvent>"
    )


@pytest.mark.parametrize("days", [("2019-08-21", "2021-03-02"), ("2021-03-02", "2019-08-21")])
def test_the_day_of_listing_is_the_first_of_all_entries(tmp_path: Path, days: tuple[str, str]) -> None:
    text = sdn_xml([TRAFFICKER])
    old = text[text.index("<EntryEvent>") : text.index("</EntryEvent>") + len("</EntryEvent>")]
    both = "".join(map(event, days))
    apart = f'{event(days[0])}</SanctionsEntry><SanctionsEntry ProfileID="500">{event(days[1])}'
    for name, events in (("one_entry", both), ("two_entries", apart)):
        path = tmp_path / f"{name}.xml"
        path.write_text(text.replace(old, events), encoding="utf-8")
        labels = read_labels(path).labels
        assert {label.listed_at for label in labels} == {date(2019, 8, 21)}
        assert {label.programmes for label in labels} == {("SDGT", "SDNTK")}


def test_a_known_role_and_other_grounds(tmp_path: Path) -> None:
    labels = read_labels(write_sdn(tmp_path / "sdn.xml", [MARKET, OTHER])).labels
    assert [label.category for label in labels] == [
        "darknet_market",
        "sanctioned",
        "sanctioned",
        "sanctioned",
    ]
    assert all(label.programmes == ("CYBER2",) for label in labels)


def test_the_chain_comes_from_the_form_of_the_address(tmp_path: Path) -> None:
    addresses = [("USDT", tron(1)), ("USDT", bitcoin(1)), ("USDT", evm(1)), ("BSC", evm(1)), ("XBT", evm(2))]
    labels = read_labels(write_sdn(tmp_path / "sdn.xml", [Party("A", ["X"], addresses)])).labels
    assert [label.account.chain.name for label in labels] == [
        "tron",
        "bitcoin",
        "ethereum",
        "bsc",
        "ethereum",
    ]


def test_an_address_of_no_form_is_kept_as_written(tmp_path: Path) -> None:
    party = Party("A", ["SDNTK"], [("XBT", "1NotAnAddress"), ("QQQ", "whatever"), ("ETH", evm(1))])
    found = read_labels(write_sdn(tmp_path / "sdn.xml", [party]))
    assert [label.account.address for label in found.labels] == ["1NotAnAddress", evm(1)]
    assert found.labels[0].account.chain.name == "bitcoin"
    assert [(rejection.reason, rejection.position) for rejection in found.rejected] == [
        ("unknown_chain", "profile 500 feature 5001")
    ]


def test_an_entry_without_a_programme_is_still_a_sanction(tmp_path: Path) -> None:
    labels = read_labels(write_sdn(tmp_path / "sdn.xml", [Party("A", [], [("ETH", evm(1))])])).labels
    assert labels[0].programmes == ("SDN",)


@pytest.mark.parametrize("packing", ["plain", "bz2", "gz", "zip"])
def test_packed_files_are_told_by_their_first_bytes(tmp_path: Path, packing: str) -> None:
    text = sdn_xml([TRAFFICKER], namespace="http://example.org/other").encode()
    path = tmp_path / "list.download"
    if packing == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("SDN_ADVANCED.XML", text)
            archive.writestr("readme.txt", "nothing")
    else:
        packers: dict[str, Callable[[bytes], bytes]] = {
            "bz2": bz2.compress,
            "gz": gzip.compress,
            "plain": bytes,
        }
        path.write_bytes(packers[packing](text))
    assert [listed.address for listed in read_issue(path).addresses] == [bitcoin(7), evm(7)]


@pytest.mark.parametrize(
    "content",
    [
        sdn_xml([TRAFFICKER]).encode()[:-200],
        bz2.compress(sdn_xml([TRAFFICKER]).encode())[:-20],
        gzip.compress(sdn_xml([TRAFFICKER]).encode())[:-20],
        b"PK\x03\x04 not a zip",
        b"account,category\n",
        b"",
        b"<Sanctions/>",
        sdn_xml([TRAFFICKER]).split("<SanctionsEntries>")[0].encode() + b"</Sanctions>",
        sdn_xml([TRAFFICKER], issued="2026-13-40").encode(),
    ],
)
def test_a_damaged_list_is_refused_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sdn.xml"
    path.write_bytes(content)
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        with pytest.raises(LabelError, match=r"sdn\.xml"):
            import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        assert label_rows(ledger).num_rows == 0


def test_a_file_that_would_unfold_without_end_is_not_unfolded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {new} "{("&" + old + ";") * 10}">'
        for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )
    text = sdn_xml([Party("A &j; B", ["X"], [("ETH", evm(1))])])
    path = tmp_path / "sdn.xml"
    path.write_text(text.replace("?>", "?>" + bomb + "]>", 1), encoding="utf-8")
    with contextlib.suppress(LabelError):
        assert len(read_issue(path).addresses[0].entity) < 20


def test_hostile_names_are_one_short_line(tmp_path: Path) -> None:
    party = Party("A\n\u202eB\u0085 &lt;b&gt;", ["X"], [("ETH", evm(1))])
    labels = read_labels(write_sdn(tmp_path / "sdn.xml", [party])).labels
    assert labels[0].entity == "A B <b>"


def test_what_the_next_issue_leaves_out_is_withdrawn(tmp_path: Path) -> None:
    first = write_sdn(tmp_path / "1.xml", [TRAFFICKER, MARKET], issued="2025-01-01")
    second = write_sdn(tmp_path / "2.xml", [TRAFFICKER, OTHER], issued="2025-06-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        assert import_labels(ledger, "ofac", first, recorded_at=RECORDED).labels == 3
        result = import_labels(ledger, "ofac", second, recorded_at=RECORDED)
        assert (result.labels, result.known, result.withdrawn) == (3, 2, 1)
        rows = label_rows(ledger).to_pylist()
        assert {row["entity"] for row in rows} == {"DOE Jane Q", "ROE Richard"}
        # What an earlier issue had already keeps the earlier date.
        assert {row["published_at"] for row in rows if row["entity"] == "DOE Jane Q"} == {day(2025, 1, 1)}
        in_march = label_rows(ledger, published_before=day(2025, 3, 1)).to_pylist()
        assert {row["entity"] for row in in_march} == {"DOE Jane Q", "Hydra Market"}
        assert import_labels(ledger, "ofac", first, recorded_at=RECORDED).already
        assert label_rows(ledger).num_rows == 5


def test_an_older_issue_gives_dates_and_revives_nobody(tmp_path: Path) -> None:
    newer = write_sdn(tmp_path / "2.xml", [TRAFFICKER], issued="2025-06-01")
    older = write_sdn(tmp_path / "1.xml", [TRAFFICKER, MARKET], issued="2025-01-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "ofac", newer, recorded_at=RECORDED)
        result = import_labels(ledger, "ofac", older, recorded_at=RECORDED)
        assert (result.labels, result.withdrawn) == (3, 0)
        rows = label_rows(ledger).to_pylist()
        assert {row["entity"] for row in rows} == {"DOE Jane Q"}
        assert min(row["published_at"] for row in rows) == day(2025, 1, 1)
        in_march = label_rows(ledger, published_before=day(2025, 3, 1)).to_pylist()
        assert {row["entity"] for row in in_march} == {"DOE Jane Q", "Hydra Market"}


def test_who_is_listed_again_is_sanctioned_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for number, parties in enumerate(([TRAFFICKER, MARKET], [TRAFFICKER], [TRAFFICKER, MARKET]), start=1):
            path = write_sdn(tmp_path / f"{number}.xml", parties, issued=f"2025-0{number}-01")
            import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        rows = label_rows(ledger).to_pylist()
        assert [row["published_at"] for row in rows if row["entity"] == "Hydra Market"] == [day(2025, 3, 1)]
        in_february = label_rows(ledger, published_before=day(2025, 2, 15)).to_pylist()
        assert {row["entity"] for row in in_february} == {"DOE Jane Q"}


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
def test_the_same_issues_leave_the_same_history_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    present = [[TRAFFICKER, MARKET], [TRAFFICKER], [TRAFFICKER, MARKET], [NOBODY, MARKET, OTHER]]
    paths = [
        write_sdn(tmp_path / f"{number}.xml", parties, issued=f"2025-0{number + 1}-10")
        for number, parties in enumerate(present)
    ]
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for number in order:
            import_labels(ledger, "ofac", paths[number], recorded_at=RECORDED)
        for number, parties in enumerate(present):
            shown = label_rows(ledger, published_before=day(2025, number + 1, 20)).to_pylist()
            named = {party.name.replace("|", " ") for party in parties if party.addresses}
            assert {row["entity"] for row in shown} == named
        rows = label_rows(ledger).to_pylist()
        assert {row["entity"] for row in rows} == {"Hydra Market", "ROE Richard"}
        # An address is published in the first issue that has it, and anew after one that lacks it.
        again = {row["published_at"] for row in rows if row["entity"] == "Hydra Market"}
        assert min(again) == day(2025, 3, 10)
        first = ledger.connection.execute("SELECT entity, min(published_at) FROM label GROUP BY 1").fetchall()
        assert dict(first) == {
            "DOE Jane Q": day(2025, 1, 10),
            "Hydra Market": day(2025, 1, 10),
            "ROE Richard": day(2025, 4, 10),
        }


def import_issues(ledger: Ledger, folder: Path, issues: dict[str, list[Party]], order: list[str]) -> None:
    for issued in order:
        path = write_sdn(folder / f"{issued}.xml", issues[issued], issued=issued[:10])
        import_labels(ledger, "ofac", path, recorded_at=RECORDED)


def history(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Every row of the table, but for the ledger's numbers and the moments of import."""
    return ledger.connection.execute(
        """
        SELECT account, f.issued_at, label.* EXCLUDE (label, label_file, address, recorded_at)
        FROM label JOIN address USING (address) JOIN label_file AS f USING (label_file) ORDER BY ALL
        """
    ).fetchall()


ADDRESSES = {("A", 1): ["SDNTK"], ("A", 2): ["SDNTK"], ("B", 3): ["CYBER2"], ("B", 4): ["CYBER2"]}


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, list[Party]], list[str]]:
    """Issues of random subsets of few addresses, an address at times twice or under another programme."""
    issues: dict[str, list[Party]] = {}
    for number in range(draw(st.integers(3, 5))):
        parties = []
        for name in draw(st.permutations("AB")):
            of_party = [("ETH", evm(key)) for owner, key in ADDRESSES if owner == name]
            listed = draw(st.lists(st.sampled_from(of_party), max_size=3))
            programmes = draw(st.sampled_from([["SDNTK"], ["SDNTK"], ["CYBER2"]]))
            parties.append(Party(name, programmes, listed))
        issues[f"2022-{number + 1:02}-01"] = [*parties, OTHER]
    return issues, draw(st.permutations(list(issues)))


@settings(max_examples=20, deadline=None)
@given(histories())
def test_any_issues_in_any_order_are_the_same_periods(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[dict[str, list[Party]], list[str]]
) -> None:
    issues, order = drawn
    dates = sorted(issues)
    folder = tmp_path_factory.mktemp("issues")
    with open_ledger(folder / "ledger.duckdb", write=True) as ledger:
        import_issues(ledger, folder, issues, dates)
        expected = history(ledger)
    with open_ledger(folder / "other.duckdb", write=True) as ledger:
        import_issues(ledger, folder, issues, order)
        assert history(ledger) == expected
        for date_of_issue in dates:
            year, month, _ = map(int, date_of_issue.split("-"))
            held = label_rows(ledger, published_before=day(year, month, 15)).to_pylist()
            said = read_labels(folder / f"{date_of_issue}.xml").labels
            assert sorted(
                (row["caip10"], row["entity"], row["category"], row["programmes"]) for row in held
            ) == sorted(
                (*key, list(programmes))
                for *key, programmes in {
                    (label.account.caip10, label.entity, label.category, label.programmes) for label in said
                }
            )


def test_what_an_issue_says_twice_it_says_once(tmp_path: Path) -> None:
    twice = Party("Mixer", ["CYBER2"], [("XBT", bitcoin(8)), ("XBT", bitcoin(8))])
    path = write_sdn(tmp_path / "1.xml", [twice], issued="2025-01-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        result = import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        assert (result.labels, result.known) == (1, 1)
        (row,) = label_rows(ledger).to_pylist()
        assert row["position"] == "profile 500 feature 5000"


@pytest.mark.parametrize("order", list(permutations(["2022-01-01", "2022-02-01", "2022-03-01"])))
def test_one_period_is_one_claim(tmp_path: Path, order: tuple[str, ...]) -> None:
    issues = {
        "2022-01-01": [MARKET],
        "2022-02-01": [MARKET, TRAFFICKER],
        "2022-03-01": [MARKET, OTHER],
    }
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_issues(ledger, tmp_path, issues, list(order))
        (row,) = claim_history(ledger, bitcoin(8)).to_pylist()
        assert (row["published_at"], row["withdrawn_at"]) == (day(2022, 1, 1), None)
        assert (row["file"], row["recorded_at"]) == ("2022-01-01.xml", RECORDED)
        (row,) = claim_history(ledger, bitcoin(7)).to_pylist()
        assert (row["published_at"], row["withdrawn_at"]) == (day(2022, 2, 1), day(2022, 3, 1))
        counted = count_labels(ledger, ["category"]).to_pylist()
        assert {one["category"]: one["labels"] for one in counted} == {"darknet_market": 1, "sanctioned": 3}


def test_a_period_is_first_heard_of_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for issued, recorded_at in (("2022-02-01", day(2023, 1, 1)), ("2022-01-01", RECORDED)):
            path = write_sdn(tmp_path / f"{issued}.xml", [MARKET], issued=issued)
            import_labels(ledger, "ofac", path, recorded_at=recorded_at)
        (row,) = claim_history(ledger, bitcoin(8)).to_pylist()
        assert (row["published_at"], row["recorded_at"]) == (day(2022, 1, 1), day(2023, 1, 1))


@pytest.mark.parametrize(
    "order", list(permutations(["2022-01-01", "2022-02-01", "2022-02-01 again", "2022-03-01"]))[::2]
)
def test_issues_of_one_date_count_as_one(tmp_path: Path, order: tuple[str, ...]) -> None:
    issues = {
        "2022-01-01": [MARKET],
        "2022-02-01": [NOBODY, TRAFFICKER],
        "2022-02-01 again": [MARKET, TRAFFICKER],
        "2022-03-01": [MARKET],
    }
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_issues(ledger, tmp_path, issues, list(order))
        rows = ledger.connection.execute(
            "SELECT entity, published_at, withdrawn_at FROM label ORDER BY ALL"
        ).fetchall()
        assert rows == [
            ("DOE Jane Q", day(2022, 2, 1), day(2022, 3, 1)),
            ("DOE Jane Q", day(2022, 2, 1), day(2022, 3, 1)),
            ("Hydra Market", day(2022, 1, 1), None),
        ]


def test_a_list_that_lacks_most_of_them_withdraws_nothing(tmp_path: Path) -> None:
    crowd = Party("CROWD", ["CYBER2"], [("ETH", evm(n)) for n in range(1, 31)])
    first = write_sdn(tmp_path / "1.xml", [crowd], issued="2025-01-01")
    other = write_sdn(tmp_path / "2.xml", [TRAFFICKER], issued="2025-06-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "ofac", first, recorded_at=RECORDED)
        before = label_rows(ledger).to_pylist()
        with pytest.raises(LabelError, match=r"2\.xml: it lacks 30 of the 30"):
            import_labels(ledger, "ofac", other, recorded_at=RECORDED)
        assert label_rows(ledger).to_pylist() == before


def test_a_long_list_is_read_in_little_memory(tmp_path: Path) -> None:
    nobody = Party("N|" + "x" * 400, ["CYBER2"], [])
    path = write_sdn(tmp_path / "sdn.xml", [nobody] * 30_000)
    program = (
        "import resource, sys; from pathlib import Path; from datasets.sources.ofac import read_issue; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; read_issue(Path(sys.argv[1])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    assert path.stat().st_size > 30_000_000
    assert int(grown) * 1024 < 20_000_000


@pytest.mark.shared
def test_the_real_list_row_by_row(tmp_path: Path) -> None:
    folder = shared_data() / "labels" / "ofac"
    with (folder / "addresses_by_program.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # One address stands there twice under the same entity and currency.
    expected = list({tuple(row.values()): row for row in rows}.values())
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        path = folder / "sdn_advanced_2025-11-19.xml.bz2"
        result = import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        assert (result.labels, result.known, result.rejected) == (760, 1, [])
        labels = (
            ledger.connection.sql("SELECT * FROM label JOIN address USING (address) ORDER BY label")
            .to_arrow_table()
            .to_pylist()
        )
    assert len(labels) == 760
    for label, row in zip(labels, expected, strict=True):
        assert label["name"] == f"Digital Currency Address - {row['currency']}"
        written = row["address"].lower() if row["address"].startswith("0x") else row["address"]
        assert label["account"] == written
        assert label["entity"] == row["entity"]
        assert label["programmes"] == row["programs"].split(";")
        assert str(label["listed_at"]) == row["listed_date"]
        assert label["published_at"] == day(2025, 11, 19)
        drug = category(label["category"]).group == "drug"
        assert drug == (row["is_drug"] == "1" or row["entity"] == "Hydra Market")
    drugs = load_taxonomy().drug_programmes
    assert sum(bool(drugs & set(label["programmes"])) for label in labels) == 163
