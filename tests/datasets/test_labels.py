"""Labels in the ledger: CSV files, whole files or nothing, the same file twice, what is read back."""

from pathlib import Path

import duckdb
import pytest

from chains.errors import ColumnError, FileError, InputError, LabelError
from datasets.labels import StrictError, count_labels, import_label_files, import_labels, label_rows
from datasets.sources.csvfile import read_labels
from datasets.store import SCHEMA_FOLDER, Ledger, migrate, open_ledger
from tests.datasets.claimed import RECORDED, bitcoin, day, evm, tron, write_csv

COLUMNS = "account,category,entity,name,source,reference,confidence,published_at"
BITCOIN = "bip122:000000000019d6689c085ae165831e93"


def everything(ledger: Ledger) -> list[tuple[object, ...]]:
    tables = ("label_file", "label", "label_rejection", "address", "chain")
    return [row for name in tables for row in ledger.connection.sql(f"FROM {name}").fetchall()]


def test_a_row_with_everything(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv",
        f"{COLUMNS},licence,may_export,may_train,cluster_definer",
        f"eip155:137:{evm(1).upper().replace('X', 'x')},Drug_Vendor,Owner 7,the green shop,Police,"
        "case 12/24,0.9,2024-05-31T12:00:00+05:00,CC0-1.0,no,yes,true",
    )
    (label,) = read_labels(path).labels
    assert label.account.caip10 == f"eip155:137:{evm(1)}"
    assert (label.category, label.entity, label.name) == ("drug_vendor", "Owner 7", "the green shop")
    assert (label.source, label.reference, label.confidence) == ("Police", "case 12/24", 0.9)
    assert label.published_at == day(2024, 5, 31, 7)
    assert (label.licence, label.may_export, label.may_train, label.cluster_definer) == (
        "CC0-1.0",
        False,
        True,
        True,
    )


def test_a_row_with_the_least(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv", "category,account", f"exchange,{bitcoin(1)}", "", f"person,{tron(1)}"
    )
    first, second = read_labels(path).labels
    assert (first.confidence, first.published_at, first.entity) == (0.5, None, "")
    assert (first.licence, first.may_export, first.may_train) == ("own", False, True)
    assert (second.position, second.account.chain.name) == ("row 3", "tron")


def test_accounts_of_a_payment_system(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", "account,category", "payments:bank:KZ12%20%2F7,drop_account")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "csv", path, recorded_at=RECORDED)
        assert label_rows(ledger)["caip10"].to_pylist() == ["payments:bank:KZ12%20%2F7"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{bitcoin(1)[:-1]},exchange,,,,,,", "bad_address"),
        (f"{evm(1)},exchange,,,,,,", "ambiguous_address"),
        (f"nochain:{evm(1)},exchange,,,,,,", "bad_address"),
        (f"eip155:0:{evm(1)},exchange,,,,,,", "unknown_chain"),
        (f"eip155:1:0x{'0' * 40},exchange,,,,,,", "nobodys_address"),
        (",exchange,,,,,,", "bad_address"),
        (f"{bitcoin(1)},drugs,,,,,,", "unknown_category"),
        (f"{bitcoin(1)},exchange,,,,,1.5,", "bad_confidence"),
        (f"{bitcoin(1)},exchange,,,,,nan,", "bad_confidence"),
        (f"{bitcoin(1)},exchange,,,,,high,", "bad_confidence"),
        (f"{bitcoin(1)},exchange,,,,,,31.05.2024", "bad_date"),
        (f"{bitcoin(1)},exchange,,,,,,1024-05-31", "bad_date"),
        (f"{bitcoin(1)},exchange,,,,,,2204-05-31", "future_date"),
        (f"{bitcoin(1)},exchange,,{'x' * 501},,,,", "too_long"),
        (f"{bitcoin(1)},exchange", "bad_row"),
    ],
)
def test_a_bad_row_is_set_aside_and_its_neighbours_are_not(tmp_path: Path, row: str, reason: str) -> None:
    good = f"{bitcoin(2)},exchange,,,,,0.7,2024-05-31"
    path = write_csv(tmp_path / "own.csv", COLUMNS, good, row, good.replace(bitcoin(2), bitcoin(3)))
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        result = import_labels(ledger, "csv", path, recorded_at=RECORDED)
        assert result.labels == 2
        assert [(rejection.position, rejection.reason) for rejection in result.rejected] == [
            ("row 2", reason)
        ]
        held = ledger.connection.sql("SELECT position, reason, detail FROM label_rejection").fetchall()
        assert held == [("row 2", reason, result.rejected[0].detail)]
    with open_ledger(tmp_path / "strict.duckdb", write=True) as ledger:
        before = everything(ledger)
        with pytest.raises(LabelError, match=f"row 2 \\({reason}"):
            import_labels(ledger, "csv", path, recorded_at=RECORDED, strict=True)
        assert everything(ledger) == before


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("account,kind", "'category': missing"),
        ("category,name", "'account': missing"),
        ("account,category,confidense", "'confidense': no column"),
        ("account,category,account", "'account': stands there twice"),
        ("", "'account': missing"),
    ],
)
def test_a_wrong_column_refuses_the_file(tmp_path: Path, header: str, message: str) -> None:
    path = write_csv(tmp_path / "own.csv", header, f"{bitcoin(1)},exchange")
    with pytest.raises(ColumnError, match=message):
        read_labels(path)


@pytest.mark.parametrize(
    "content",
    [
        b"account,category\n\xff\xfe,exchange\n",
        b'account,category\n"unclosed,exchange\n',
        b"account,category\nx," + b"y" * 200_000 + b"\n",
        b"account,category\n",
    ],
)
def test_what_is_no_csv_refuses_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        before = everything(ledger)
        with pytest.raises(LabelError, match=r"own\.csv"):
            import_labels(ledger, "csv", path, recorded_at=RECORDED)
        assert everything(ledger) == before


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (f"{bitcoin(3)},scam,".encode() + b"\xd0", "line 4 is not text in UTF-8"),
        (f"{bitcoin(3)},scam,{'x' * 131_073}".encode(), "line 4 is not readable as CSV .*field larger"),
        (f'{bitcoin(3)},scam,"never\nclosed'.encode(), "line 4 is not readable as CSV"),
    ],
)
def test_a_file_that_is_refused_for_one_line_names_it(tmp_path: Path, row: bytes, why: str) -> None:
    path = tmp_path / "own.csv"
    rows = [b"account,category,name", f'{bitcoin(1)},scam,"two\nlines"'.encode(), row]
    path.write_bytes(b"\n".join([*rows, *[f"{bitcoin(4)},scam,".encode()] * 50]))
    with pytest.raises(LabelError, match=rf"own\.csv: {why}"):
        read_labels(path)


def test_hostile_words_become_one_line(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", COLUMNS, f'{bitcoin(1)},scam,,"a\x1b[31m\n\u202eb\u200b",,,,')
    assert read_labels(path).labels[0].name == "a [31m b"


def test_a_file_twice_changes_nothing(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv", COLUMNS, f"{bitcoin(1)},exchange,,,,,,2024-01-01", "bad,scam,,,,,,"
    )
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        first = import_labels(ledger, "csv", path, recorded_at=RECORDED)
        before = everything(ledger)
        again = import_labels(ledger, "csv", path, recorded_at=day(2027, 1, 1))
        assert everything(ledger) == before
    assert (first.already, again.already) == (False, True)
    assert (again.labels, again.rejected) == (first.labels, first.rejected)


def test_a_claim_held_already_is_not_written_again(tmp_path: Path) -> None:
    row, later = f"{bitcoin(1)},exchange,A,,,,0.7", f"{bitcoin(2)},exchange,A,,,,0.7,2024-02-01"
    first = write_csv(tmp_path / "1.csv", COLUMNS, f"{row},2024-01-01")
    second = write_csv(tmp_path / "2.csv", COLUMNS, f"{row},2024-02-01", later)
    earlier = write_csv(tmp_path / "3.csv", COLUMNS, f"{row},2023-12-01")
    other = write_csv(tmp_path / "4.csv", COLUMNS, f"{row.replace('0.7', '0.8')},2024-01-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        results = [
            import_labels(ledger, "csv", path, recorded_at=RECORDED)
            for path in (first, second, earlier, other)
        ]
    assert [(result.labels, result.known) for result in results] == [(1, 0), (1, 1), (1, 0), (1, 0)]


def test_two_equal_rows_of_one_file_are_two_labels(tmp_path: Path) -> None:
    row = f"{bitcoin(1)},exchange,A,,,,0.7,2024-01-01"
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        path = write_csv(tmp_path / "1.csv", COLUMNS, row, row)
        assert import_labels(ledger, "csv", path, recorded_at=RECORDED).labels == 2


def test_an_unknown_kind_and_an_absent_file(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        with pytest.raises(InputError, match="'opensanctions' is no kind"):
            import_labels(ledger, "opensanctions", tmp_path / "x", recorded_at=RECORDED)
        with pytest.raises(FileError, match="absent"):
            import_labels(ledger, "csv", tmp_path / "absent.csv", recorded_at=RECORDED)
        with pytest.raises(FileError, match="cannot be read"):
            import_labels(ledger, "csv", tmp_path, recorded_at=RECORDED)


def test_claims_read_back_do_not_depend_on_the_order_of_imports(tmp_path: Path) -> None:
    paths = [
        write_csv(
            tmp_path / "b.csv", COLUMNS, *(f"{bitcoin(n)},exchange,,,,,,2024-01-01" for n in range(1, 6))
        ),
        write_csv(tmp_path / "a.csv", COLUMNS, *(f"{tron(n)},scam,,,,,,2024-01-01" for n in range(5, 0, -1))),
        write_csv(tmp_path / "c.csv", COLUMNS, f"{bitcoin(3)},mixer,,,,,,2024-01-01"),
    ]
    found = []
    for order in (paths, paths[::-1]):
        with open_ledger(tmp_path / f"{order[0].stem}.duckdb", write=True) as ledger:
            for path in order:
                import_labels(ledger, "csv", path, recorded_at=RECORDED)
            found.append(label_rows(ledger).drop_columns(["address"]).to_pylist())
    assert found[0] == found[1]
    assert len(found[0]) == 11
    assert found[0][0]["group"] == "service"


def test_key_forms_are_those_of_the_address_module(tmp_path: Path) -> None:
    from chains.address import key_form

    texts = [f"{BITCOIN}:{bitcoin(1)}", f"eip155:1:{evm(1)}", f"tron:728126428:{tron(1)}", "payments:b:x-1"]
    path = write_csv(tmp_path / "a.csv", "account,category", *(f"{text},scam" for text in texts))
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "csv", path, recorded_at=RECORDED)
        rows = label_rows(ledger).to_pylist()
    assert {row["caip10"]: row["key_form"] for row in rows} == {
        text: key_form(text.split(":", 2)[2]) for text in texts
    }


def test_only_what_the_world_knew_then(tmp_path: Path) -> None:
    rows = [
        f"{bitcoin(n)},exchange,,,,,,{date}" for n, date in enumerate(("2024-01-01", "2024-02-01", ""), 1)
    ]
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "csv", write_csv(tmp_path / "a.csv", COLUMNS, *rows), recorded_at=RECORDED)
        assert label_rows(ledger).num_rows == 3
        assert label_rows(ledger, published_before=day(2024, 2, 1)).num_rows == 1
        assert label_rows(ledger, published_before=day(2024, 2, 1, 1)).num_rows == 2
        ledger.connection.execute("UPDATE label SET withdrawn_at = '2024-03-01'")
        assert label_rows(ledger).num_rows == 0
        assert label_rows(ledger, published_before=day(2024, 2, 15)).num_rows == 2
        assert label_rows(ledger, published_before=day(2024, 3, 1)).num_rows == 0


def test_counts(tmp_path: Path) -> None:
    rows = (f"{bitcoin(1)},scam,,,Z,,,", f"{bitcoin(2)},scam,,,Z,,,", f"{tron(1)},exchange,,,A,,,")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "csv", write_csv(tmp_path / "a.csv", COLUMNS, *rows), recorded_at=RECORDED)
        assert count_labels(ledger).to_pylist() == [
            {
                "source": "A",
                "category": "exchange",
                "labels": 1,
                "addresses": 1,
                "may_export": 0,
                "may_train": 1,
            },
            {"source": "Z", "category": "scam", "labels": 2, "addresses": 2, "may_export": 0, "may_train": 2},
        ]
        assert count_labels(ledger, by=["kind", "chain"])["labels"].to_pylist() == [2, 1]
        only = count_labels(ledger, by=["category"], chains=[BITCOIN], sources=["Z", "A"]).to_pylist()
        assert [(row["category"], row["labels"]) for row in only] == [("scam", 2)]
        assert count_labels(ledger, categories=["mixer"]).num_rows == 0
        with pytest.raises(InputError, match="'colour'"):
            count_labels(ledger, by=["colour"])


def test_one_bad_entry_anywhere_refuses_the_lot(tmp_path: Path) -> None:
    good, bad = f"{bitcoin(1)},scam,,,A,,,", f"{bitcoin(2)},drugs,,,A,,,"
    worse = f"{bitcoin(3)},scam,,,A,,2,"
    paths = [
        write_csv(tmp_path / f"{number}.csv", COLUMNS, *rows)
        for number, rows in enumerate(([good], [good, bad], [bad.replace("A", "B"), worse]))
    ]
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        before = everything(ledger)
        with pytest.raises(
            StrictError, match=r"1\.csv: 3 entries would be rejected in 2 files, .*row 2"
        ) as caught:
            import_label_files(ledger, "csv", paths, recorded_at=RECORDED, strict=True)
        assert everything(ledger) == before
        told = [(path.name, [entry.position for entry in found]) for path, found in caught.value.rejected]
        assert told == [("1.csv", ["row 2"]), ("2.csv", ["row 1", "row 2"])]
        (tmp_path / "3.csv").write_bytes(b"\xff")
        with pytest.raises(LabelError, match=r"3\.csv"):
            import_label_files(
                ledger, "csv", [paths[0], tmp_path / "3.csv"], recorded_at=RECORDED, strict=True
            )
        assert everything(ledger) == before
        done = import_label_files(ledger, "csv", paths, recorded_at=RECORDED)
        assert [(one.labels, len(one.rejected)) for one in done] == [(1, 0), (0, 1), (0, 2)]
        # A file that is in already, and had bad entries then, is no better now.
        with pytest.raises(StrictError, match=r"1\.csv"):
            import_label_files(ledger, "csv", paths[:2], recorded_at=RECORDED, strict=True)


def test_what_only_structure_tells_is_not_imported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", "account,category", f"{bitcoin(1)},unknown_service")
    found = read_labels(path)
    assert [entry.reason for entry in found.rejected] == ["unknown_category"]
    assert "found by structure" in found.rejected[0].detail


def test_substances_by_their_ids(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv",
        "account,category,substances",
        f"{bitcoin(1)},drug_vendor,mephedrone; Alpha_PVP;mephedrone",
        f"{bitcoin(2)},precursor_supplier,fentanyl_precursors",
        f"{bitcoin(3)},drug_vendor,meow meow",
    )
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        (rejection,) = import_labels(ledger, "csv", path, recorded_at=RECORDED).rejected
        assert (rejection.position, rejection.reason) == ("row 3", "unknown_substance")
        rows = label_rows(ledger).to_pylist()
    assert {row["caip10"].rpartition(":")[2]: row["substances"] for row in rows} == {
        bitcoin(1): ["alpha_pvp", "mephedrone"],
        bitcoin(2): ["fentanyl_precursors"],
    }


def test_an_older_ledger_learns_of_actors_and_issues(tmp_path: Path) -> None:
    folder = tmp_path / "schema"
    folder.mkdir()
    for file in SCHEMA_FOLDER.glob("*.sql"):
        if int(file.name[:4]) < 7:
            (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    path = tmp_path / "ledger.duckdb"
    with duckdb.connect(str(path)) as connection:
        migrate(connection, folder)
        connection.execute(
            """
            INSERT INTO chain VALUES (1, 'eip155:1', 'ethereum', FALSE, FALSE);
            INSERT INTO address VALUES (1, 1, 0, '0x' || repeat('ab', 20));
            INSERT INTO label_file VALUES
                (1, 'tagpack', 'a.yaml', 'x', NULL, 2, 0, '2024-01-01'),
                (2, 'ofac', 'sdn.xml', 'y', '2024-01-01', 1, 0, '2024-01-01');
            INSERT INTO label
            SELECT n, file, '', 1, 1, 'unspecified', entity, name, 'S', '', 1, '2023-01-01', '2024-01-01',
                   NULL, 'MIT', TRUE, TRUE, definer, [], NULL
            FROM (VALUES (1, 1, 'binance', 'hot wallet', FALSE), (2, 1, 'Corner', 'Corner', TRUE),
                         (3, 2, 'DOE', 'list', FALSE)) AS t(n, file, entity, name, definer)
            """
        )
    with open_ledger(path, write=True) as ledger:
        rows = ledger.connection.sql("SELECT actor, substances FROM label ORDER BY label").fetchall()
        assert rows == [("binance", []), ("", []), ("", [])]
        covers = ledger.connection.sql("SELECT covers FROM label_file ORDER BY label_file").fetchall()
        assert covers == [([],), (["OFAC SDN"],)]
        assert label_rows(ledger).num_rows == 3
