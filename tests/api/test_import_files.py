"""The command import over patterns, folders and the tables of one export."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from chains.errors import FileError
from tests.chains.evm_tables import BLOCK, receipt, save_csv, transfer, tx


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--dir", str(folder / "data")])


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    for name, rows in {
        "transactions": [tx("pay", 0), tx("failed", 1)],
        "receipts": [receipt("pay", 0), receipt("failed", 1, status=0)],
        "blocks": [BLOCK],
        "token_transfers": [transfer(0, 0)],
    }.items():
        (folder / name).mkdir(parents=True)
        save_csv(rows, folder / name / f"{name}.csv")
    return folder


def imported(folder: Path, *words: str) -> list[dict[str, Any]]:
    result = run(folder, "import", *words, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_folder_of_tables_is_one_export(tmp_path: Path, export: Path) -> None:
    result = run(tmp_path, "import", "ethereum-etl", str(export), "--chain", "ethereum")
    assert result.exit_code == 0, result.output
    assert "transactions.csv: 3 transfers, 6 legs from 2 rows" in result.stdout
    assert "2 rows moved nothing (receipts, which complete the transactions)" in result.stdout
    assert "taken as successful" not in result.stdout


def test_the_ledgers_own_files_in_a_folder_are_not_read(tmp_path: Path, export: Path) -> None:
    words = ("import", "ethereum-etl", str(export), "--chain", "ethereum", "--dir", str(export))
    for already in (0, 4):
        result = CliRunner().invoke(app, [*words, "--json"])
        assert result.exit_code == 0, result.output
        assert sum(one["already_imported"] for one in json.loads(result.stdout)) == already
    assert (export / "ledger.duckdb.status.json").is_file()


def test_patterns_that_the_shell_left_alone(tmp_path: Path, export: Path) -> None:
    words = ("ethereum-etl", str(export / "*" / "[bt]*.csv"), "--chain", "ethereum")
    found = imported(tmp_path, *words)
    assert [one["source"] for one in found] == ["blocks.csv", "token_transfers.csv", "transactions.csv"]
    assert [one["assumed"] for one in found] == [0, 0, 2]  # the receipts were not named
    deep = run(tmp_path, "import", "ethereum-etl", str(export / "**" / "*.csv"), "--chain", "ethereum")
    assert deep.exit_code == 1
    assert "read without receipts: 2 transactions were taken as successful" in deep.output
    forgotten = run(tmp_path, "ledger", "forget", "3", "--yes")
    assert forgotten.exit_code == 0, forgotten.output
    for again in (False, True):
        deep_found = imported(tmp_path, "ethereum-etl", str(export / "**" / "*.csv"), "--chain", "ethereum")
        assert [one["already_imported"] for one in deep_found] == [True, True, True, again]
        assert [one["assumed"] for one in deep_found] == [0, 0, 0, 0]


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path, export: Path) -> None:
    result = run(tmp_path, "import", "cryo", str(export / "*.parquet"), "--chain", "ethereum")
    assert isinstance(result.exception, FileError)  # the command line's outer edge makes one line of it
    assert "this pattern matches no file" in str(result.exception)


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path, export: Path) -> None:
    odd = export / "pay[1].csv"
    (export / "transactions" / "transactions.csv").rename(odd)
    found = imported(tmp_path, "ethereum-etl", str(odd), "--chain", "ethereum")
    assert [one["source"] for one in found] == ["pay[1].csv"]


def test_an_import_that_was_cut_short_goes_on_where_it_stood(tmp_path: Path, export: Path) -> None:
    broken = export / "transactions" / "transactions2.csv"
    broken.write_text("hash,nonce\n1,2,3\n", "utf-8")
    result = run(tmp_path, "import", "ethereum-etl", str(export), "--chain", "ethereum", "--json")
    assert result.exit_code == 1
    assert "transactions2.csv" in result.stderr
    broken.unlink()
    again = imported(tmp_path, "ethereum-etl", str(export), "--chain", "ethereum")
    assert all(one["already_imported"] for one in again)
    assert sum(one["transfers"] for one in again) == 4
