"""Genesis files: what the first block gave to whom."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from chains.errors import FileError
from chains.files.layouts import read_layout
from chains.registry import Chain, find_chain
from tests.chains.legs import Read, gather, legs_of, reasons

ETHEREUM = find_chain("ethereum")
A, B, C = ("0x" + digit * 40 for digit in "abc")


def save(folder: Path, content: Any) -> Path:
    path = folder / "genesis.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def read(path: Path, chain: Chain = ETHEREUM) -> Read:
    return gather(read_layout("genesis", path, chain=chain))


def test_each_endowed_account_is_a_transfer_by_nobody(tmp_path: Path) -> None:
    alloc = {
        B[2:]: {"balance": "0x10"},
        A: {"balance": "12345678901234567890123", "code": "0x60"},
        C.upper().replace("0X", "0x"): {"balance": 7},
        "0x" + "d" * 40: {"balance": "0x0"},
        "0x" + "e" * 40: {"nonce": "0x1"},
    }
    config = {"chainId": 1}
    found = read(save(tmp_path, {"config": config, "timestamp": "0x6553f100", "alloc": alloc}))
    assert [(t["row"], t["height"], t["position"], t["kind"], t["part"]) for t in found.transfers] == [
        (0, 0, 1, "genesis", 0),
        (1, 0, 0, "genesis", 0),
        (2, 0, 2, "genesis", 0),
    ]
    assert [legs_of(found, i) for i in range(3)] == [
        [("payee", 0, B, 16)],
        [("payee", 0, A, 12_345_678_901_234_567_890_123)],
        [("payee", 0, C, 7)],
    ]
    assert {t["hash"] for t in found.transfers} == {None}
    assert {t["time"] for t in found.transfers} == {datetime(2023, 11, 14, 22, 13, 20)}  # noqa: DTZ001
    assert (found.idle, found.counts, found.rejected) == ({"no_balance": 2}, [0, 5], [])


def test_accounts_and_balances_that_are_none_are_set_aside(tmp_path: Path) -> None:
    alloc = {
        A: {"balance": "0x1"},
        A[2:]: {"balance": "0x2"},
        "0x12": {"balance": "0x1"},
        B: {"balance": "-1"},
        C: {"balance": str(10**38)},
        "0x" + "d" * 40: {"balance": "1_000"},
        "0x" + "e" * 40: [],
    }
    found = read(save(tmp_path, {"alloc": alloc}))
    assert reasons(found) == {
        1: "repeated_account",
        2: "bad_address",
        3: "bad_amount",
        4: "too_large",
        5: "bad_amount",
        6: "bad_amount",
    }
    assert [t["row"] for t in found.transfers] == [0]
    assert found.transfers[0]["time"] == datetime(1970, 1, 1)  # noqa: DTZ001  (as Geth: none is 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON"),
        ("[]", "no accounts under `alloc`"),
        ('{"alloc": []}', "no accounts under `alloc`"),
        ('{"alloc": {}, "alloc": {}}', "twice"),
        ('{"alloc": {}, "timestamp": "soon"}', "is no time"),
        ('{"alloc": {}, "config": {"chainId": 5}}', "eip155:'5'"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, why: str) -> None:
    with pytest.raises(FileError, match=why):
        read(save(tmp_path, content))


def test_absent_files_folders_and_other_chains_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(FileError, match="folder"):
        read(tmp_path)
    with pytest.raises(FileError, match="bitcoin is not one"):
        read(save(tmp_path, {"alloc": {}}), chain=find_chain("bitcoin"))
