"""What was ever said of an address, and on whom sources disagree."""

from pathlib import Path

import pytest

from chains.errors import AddressError
from datasets.label_queries import claim_history, find_conflicts
from datasets.labels import import_labels
from datasets.store import Ledger, open_ledger
from tests.datasets.claimed import RECORDED, Party, bitcoin, day, evm, write_csv, write_sdn

COLUMNS = "account,category,entity,source,confidence,published_at,licence,substances"


def add(ledger: Ledger, folder: Path, *rows: str) -> None:
    name = f"{len(list(folder.glob('*.csv')))}.csv"
    import_labels(ledger, "csv", write_csv(folder / name, COLUMNS, *rows), recorded_at=RECORDED)


def test_the_history_of_an_address_has_what_was_withdrawn_too(tmp_path: Path) -> None:
    listed = Party("DOE|Jane", ["SDNTK"], [("XBT", bitcoin(1))])
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for month, parties in ((1, [listed]), (2, [Party("ROE", ["X"], [("XBT", bitcoin(2))])])):
            path = write_sdn(tmp_path / f"{month}.xml", parties, issued=f"2025-0{month}-01")
            import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        add(
            ledger,
            tmp_path,
            f"{bitcoin(1)},drug_vendor,Jane,Police,0.9,2024-05-05,MIT,heroin",
            f"{bitcoin(1)},exchange,,Rumour,0.1,,,",
            f"{bitcoin(3)},scam,,Rumour,0.1,,,",
        )
        rows = claim_history(ledger, bitcoin(1)).to_pylist()
        assert [(row["source"], row["category"]) for row in rows] == [
            ("Police", "drug_vendor"),
            ("OFAC SDN", "drug_trafficking"),
            ("Rumour", "exchange"),
        ]
        police, ofac, rumour = rows
        assert (police["confidence"], police["licence"], police["substances"]) == (0.9, "MIT", ["heroin"])
        assert (police["kind"], police["file"], police["position"]) == ("csv", "0.csv", "row 1")
        assert (ofac["published_at"], ofac["withdrawn_at"]) == (day(2025, 1, 1), day(2025, 2, 1))
        assert (ofac["programmes"], ofac["recorded_at"]) == (["SDNTK"], RECORDED)
        assert (rumour["published_at"], rumour["withdrawn_at"], rumour["may_export"]) == (None, None, False)
        assert claim_history(ledger, "bitcoin:" + bitcoin(1)).num_rows == 3
        assert claim_history(ledger, bitcoin(9)).num_rows == 0


def test_a_bare_address_is_looked_for_on_every_chain_it_fits(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        rows = [f"eip155:{number}:{evm(1)},scam,,S,,,," for number in (1, 56, 137)]
        add(ledger, tmp_path, *rows, f"eip155:1:{evm(2)},scam,,S,,,,")
        found = claim_history(ledger, evm(1).upper().replace("X", "x"))["caip10"].to_pylist()
        assert found == [f"eip155:1:{evm(1)}", f"eip155:137:{evm(1)}", f"eip155:56:{evm(1)}"]
        assert claim_history(ledger, f"eip155:56:{evm(1)}").num_rows == 1


def test_what_a_list_wrote_is_found_as_it_is_written(tmp_path: Path) -> None:
    path = write_sdn(tmp_path / "sdn.xml", [Party("DOE", ["X"], [("XBT", "1NotAnAddress")])])
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        assert claim_history(ledger, " 1NotAnAddress ").num_rows == 1
        with pytest.raises(AddressError):
            claim_history(ledger, "1NotAnAddressEither")


def test_sources_that_disagree(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        add(
            ledger,
            tmp_path,
            f"{bitcoin(1)},drug_vendor,,A,,,,",
            f"{bitcoin(1)},exchange,,B,,,,",
            f"{bitcoin(2)},drug_vendor,,A,,,,",  # the same group
            f"{bitcoin(2)},vendor_shop,,B,,,,",
            f"{bitcoin(3)},scam,Corner-Shop,A,,,,",  # another owner
            f"{bitcoin(3)},phishing,Round Shop,B,,,,",
            f"{bitcoin(4)},scam,Corner-Shop,A,,,,",  # the same owner, spelt otherwise
            f"{bitcoin(4)},phishing,CORNER SHOP,B,,,,",
            f"{bitcoin(5)},scam,,A,,,,",  # one source alone
            f"{bitcoin(5)},exchange,,A,,,,",
            f"{bitcoin(6)},unspecified,,A,,,,",  # says nothing against
            f"{bitcoin(6)},exchange,,B,,,,",
            f"{bitcoin(8)},scam,,A,,,,",  # a source that contradicts itself, and one that says nothing
            f"{bitcoin(8)},exchange,,A,,,,",
            f"{bitcoin(8)},unspecified,,B,,,,",
            f"{bitcoin(7)},person,P,A,,,,",
            f"{bitcoin(7)},scam,Q,B,,,,",
            f"{bitcoin(7)},scam,,C,,,,",
        )
        found = find_conflicts(ledger)
        assert [(one.account.rpartition(":")[2], one.over) for one in found] == [
            (bitcoin(1), ("group",)),
            (bitcoin(3), ("entity",)),
            (bitcoin(7), ("group", "entity")),
        ]
        assert [claim["source"] for claim in found[2].claims] == ["A", "B", "C"]


def test_who_was_withdrawn_disagrees_with_nobody_and_actors_have_two_names(tmp_path: Path) -> None:
    tags = "title: T\ncreator: Tags\ncurrency: BTC\nsource: s\nlabel: l\ntags:\n"
    tags += f"- {{address: {bitcoin(2)}, actor: corner1}}\n"
    (tmp_path / "t.yaml").write_text(tags, "utf-8")
    actors = "title: T\ncreator: A\nactors:\n- {id: corner1, label: Corner, categories: [exchange]}\n"
    (tmp_path / "a.yaml").write_text(actors, "utf-8")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for month, number in ((1, 1), (2, 9)):
            parties = [Party("DOE", ["X"], [("XBT", bitcoin(number))])]
            path = write_sdn(tmp_path / f"{month}.xml", parties, issued=f"2025-0{month}-01")
            import_labels(ledger, "ofac", path, recorded_at=RECORDED)
        import_labels(ledger, "tagpack", tmp_path / "t.yaml", recorded_at=RECORDED)
        add(ledger, tmp_path, f"{bitcoin(1)},exchange,Else,B,,,,", f"{bitcoin(2)},exchange,Corner,B,,,,")
        assert [one.over for one in find_conflicts(ledger)] == [("entity",)]
        import_labels(ledger, "actorpack", tmp_path / "a.yaml", recorded_at=RECORDED)
        assert find_conflicts(ledger) == []
