"""The main job through the command line: real files with their sums, and a demo the same to the byte."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shared_data import shared_data

BTC = "slip44:0"
USDT = "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
USD = "iso4217:USD"
TRON_MAP = (
    "time=timestamp:ms payer=from_address payee=to_address amount=quant:units currency=token_id "
    "decimals=token_decimal symbol=token_abbr reference=tx_id"
)
THEFTS = "ethereum_laundering"
THEFT_MAP = "time=Timestamp payer=From payee=To amount=Value_in_USD currency=@USD reference=Tx_hash"
BANK_MAP = "time=time payer=from_account payee=to_account amount=amount currency=currency reference=tx_id"

# File, layout, chain, mapping, transfers, raw units paid to payees by asset (worked out from the files
# without this program: sums of round(value * 1e8), of `quant`, and of cents rounded half to even).
REAL = [
    ("bitcoin_coinjoin/transactions.parquet", "aws-btc", "bitcoin", "", 6003, {BTC: 4_333_536_839_564}),
    ("tron_usdt/transfers.csv", "payments", "tron", TRON_MAP, 5764, {USDT: 27_152_478_450_919}),
    (f"{THEFTS}/harmony/transfers.csv", "payments", "ethereum", THEFT_MAP, 3887, {USD: 70_438_487_783}),
    (f"{THEFTS}/atomic/transfers.csv", "payments", "ethereum", THEFT_MAP, 1080, {USD: 5_070_095_696}),
    (f"{THEFTS}/xscam/transfers.csv", "payments", "ethereum", THEFT_MAP, 1307, {USD: 386_639_425}),
    (
        "generated_payments/amlsim/transfers.parquet", "payments", "payments:amlsim", BANK_MAP, 231_134,
        {USD: 12_704_237_407},
    ),
    (
        "generated_payments/amlgentex/transfers.parquet", "payments", "payments:amlgentex", BANK_MAP, 233_082,
        {"iso4217:SEK": 14_026_886_613},
    ),
]  # fmt: skip


def silkscreen(*words: str, folder: Path, threads: int = 2, code: int = 0) -> str:
    """Run the program as a user would, and return what it prints on standard output."""
    done = subprocess.run(
        [sys.executable, "-c", "from api.cli import main; main()", *words, "--dir", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "SILKSCREEN_THREADS": str(threads)},
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "layout", "chain", "mapping", "rows", "sums"),
    REAL,
    ids=[entry[0].rpartition("/")[0] for entry in REAL],
)
def test_real_files_import_whole_and_only_once(
    tmp_path: Path, name: str, layout: str, chain: str, mapping: str, rows: int, sums: dict[str, int]
) -> None:
    path = shared_data() / "ledgers" / name
    words = ["import", layout, str(path), "--chain", chain, "--json"]
    words += [f"--map={item}" for item in mapping.split()]
    (first,) = json.loads(silkscreen(*words, folder=tmp_path))
    assert (first["source_rows"], first["transfers"], first["quarantined"]) == (rows, rows, 0)
    assert {asset: int(first["sums"][asset]) for asset in sums} == sums
    assert set(first["sums"]) == set(sums) or chain == "tron"
    before = digest(tmp_path / "ledger.duckdb")
    (again,) = json.loads(silkscreen(*words, folder=tmp_path))
    assert again["already_imported"]
    assert digest(tmp_path / "ledger.duckdb") == before


@pytest.mark.shared
def test_tokens_that_nobody_lists_stay_in_the_ledger_and_count_for_nothing(tmp_path: Path) -> None:
    path = shared_data() / "ledgers" / "tron_usdt" / "transfers.csv"
    words = [f"--map={item}" for item in TRON_MAP.split()]
    silkscreen("import", "payments", str(path), "--chain", "tron", *words, folder=tmp_path)
    built = json.loads(silkscreen("build", "--json", folder=tmp_path))
    # Of 5,764 rows 40 are of other tokens, and 98 are a cent at most from a stranger (counted in the file).
    assert built["heads"]["tron:728126428"]["transfers"] == 5764 - 40 - 98


def bytes_of(folder: Path) -> dict[str, str]:
    kept = ("models", "snapshots", "world")
    return {
        str(path.relative_to(folder)): digest(path)
        for part in kept
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


def test_two_demos_give_the_same_bytes_with_one_and_two_threads(tmp_path: Path) -> None:
    """World, model, features, scores, labels: every file of models and snapshots, and the snapshot's id."""
    files = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        shown = silkscreen(
            "demo", "--no-serve", "--transfers", "20000", "--seed", "1", folder=folder, threads=threads
        )
        assert "riskiest" in shown
        files.append(bytes_of(folder / "demo"))
    assert any(name.endswith("features.npy") for name in files[0])
    assert any(name.endswith("model.txt") for name in files[0])
    assert files[0] == files[1]
    _check_model(tmp_path / "1" / "demo" / "models")


def _check_model(models: Path) -> None:
    """The world is hard, and the model beats what one number or one view could do, even on a small world."""
    version = (models / "CURRENT").read_text(encoding="utf-8").strip()
    metrics: dict[str, Any] = json.loads((models / version / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["best_single_feature"]["roc_auc"] < 0.95
    assert 0.5 < metrics["scores"]["model"]["roc_auc"] < 0.999
    assert set(metrics["scores"]) >= {"model", "exposure_alone", "activity_alone"}
