"""Snapshots: what is published can be read back, is the same twice, and is never half there."""

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from chains.address import key_form
from chains.errors import SnapshotDamaged, SnapshotMissing
from datasets.snapshot import Snapshot, current_snapshot, open_snapshot
from models.publish import _form, publish
from tests.features.ledgers import BANK, BITCOIN, Spend, coin, import_claims, import_payments, import_spends

AS_OF = datetime.fromisoformat("2023-07-01T00:00:00")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledger = tmp_path / "ledger.duckdb"
    import_payments(
        ledger,
        [
            ("2023-01-01T10:00:00", "market", "alice", "100.00"),
            ("2023-01-02T10:00:00", "alice", "bob", "60.00"),
            ("2023-01-03T10:00:00", "alice", "bob", "1.50"),
        ],
    )
    import_spends(
        ledger,
        [
            Spend("mined", "2023-01-01T00:00:00", (), [("a1", 5000), ("a2", 3000)], height=7),
            Spend("pay", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("shop", 7900)], height=9),
        ],
    )
    import_claims(
        ledger,
        [
            (f"{BANK}:market", "darknet_market", "0.9", "2022-12-01T00:00:00Z"),
            (f"{BITCOIN}:{coin('a2')}", "exchange", "0.9", "2022-12-01T00:00:00Z"),
            (f"{BITCOIN}:{coin('never seen')}", "mixer", "0.8", ""),
        ],
    )
    import_claims(
        ledger,
        [(f"{BANK}:bob", "scam", "0.9", "2023-08-01T00:00:00Z")],
        name="later.csv",
        recorded_at=datetime.fromisoformat("2023-08-02T00:00:00"),
    )
    return tmp_path


def row_of(snapshot: Snapshot, account: str) -> int:
    row = snapshot.find(account)
    assert row is not None
    return row


def test_what_is_published_can_be_read_back(folder: Path) -> None:
    publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(folder)
    assert len(snapshot) == 6
    assert snapshot.manifest["heads"][BITCOIN] | {"name": ""} == {
        "name": "", "simulated": False, "first_height": 7, "height": 9,
        "time": "2023-01-02T00:00:00Z", "transfers": 2,
    }  # fmt: skip
    alice = row_of(snapshot, f"{BANK}:alice")
    summary = snapshot.summary(alice)
    assert (summary.transfers_in, summary.transfers_out, summary.received, summary.sent) == (
        1,
        2,
        100.0,
        61.5,
    )
    assert (summary.received_usd, summary.counterparties, summary.height) == (100.0, 2, None)
    assert summary.first_seen == datetime.fromisoformat("2023-01-01T10:00:00")
    newest = snapshot.transfers(alice, 2)
    assert [(t.direction, t.value, t.counterparty) for t in newest] == [
        ("out", 1.5, f"{BANK}:bob"),
        ("out", 60.0, f"{BANK}:bob"),
    ]
    assert newest[0].hash == "payments.csv-2"
    (source,) = [line for line in snapshot.exposures(alice) if line.direction == "source"]
    assert (source.category, source.direct, source.value, source.value_usd) == (
        "darknet_market",
        True,
        100.0,
        100.0,
    )
    assert snapshot.coverage(alice)["history_share"] == 1.0
    assert snapshot.log_odds(alice) is None
    assert snapshot.riskiest(3) == []

    a1 = row_of(snapshot, f"{BITCOIN}:{coin('a1')}")
    assert snapshot.entity_size(a1) == 2
    assert snapshot.entity(a1) in {f"{BITCOIN}:{coin('a1')}", f"{BITCOIN}:{coin('a2')}"}
    assert [label.category for label in snapshot.entity_labels(a1)] == ["exchange"]
    assert snapshot.labels(f"{BITCOIN}:{coin('a1')}") == ()
    assert snapshot.transfers(a1, 5)[0].counterparties == 1
    shop = row_of(snapshot, f"{BITCOIN}:{coin('shop')}")
    assert snapshot.summary(shop).height == 9


def test_labels_of_addresses_outside_the_ledger_and_of_the_future(folder: Path) -> None:
    publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(folder)
    unseen = f"{BITCOIN}:{coin('never seen')}"
    assert snapshot.find(unseen) is None
    assert [label.category for label in snapshot.labels(unseen)] == ["mixer"]
    assert snapshot.labels(f"{BANK}:bob") == ()  # published after as_of
    assert snapshot.accounts_on_any_chain(key_form(coin("shop"))) == (f"{BITCOIN}:{coin('shop')}",)
    assert snapshot.find(f"{BANK}:nobody") is None
    assert snapshot.sanctions(coin("shop")) == ()


def test_the_same_ledger_gives_the_same_bytes_and_id(folder: Path) -> None:
    first = publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1", threads=1)
    before = {path.name: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    inode = first.stat().st_ino
    again = publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1", threads=2)
    assert again == first
    assert again.stat().st_ino == inode  # it was there already and stays
    assert {path.name: path.read_bytes() for path in again.rglob("*") if path.is_file()} == before
    other = publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="2")
    assert other != first
    assert current_snapshot(folder).id == other.name
    assert open_snapshot(first).id == first.name


@pytest.mark.parametrize("name", ["features.npy", "labels.arrow", "address_index_keys.npy", "manifest.json"])
def test_an_altered_file_is_found(folder: Path, name: str) -> None:
    published = publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1")
    path = published / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SnapshotDamaged, match="damaged"):
        open_snapshot(published)
    path.unlink()
    with pytest.raises((SnapshotDamaged, SnapshotMissing)):
        open_snapshot(published)


def test_a_snapshot_as_a_frame_of_pandas(folder: Path) -> None:
    publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(folder)
    frame = snapshot.to_pandas()
    assert list(frame.columns) == ["account", "entity", *snapshot.feature_names]
    assert frame.loc[frame["account"] == f"{BANK}:alice", "exposure_source_drug_share"].tolist() == [1.0]
    assert frame["exposure_source_drug_share"].isna().any()
    assert set(frame["entity"]) <= set(frame["account"])


def test_nothing_published_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SnapshotMissing, match="silkscreen build"):
        current_snapshot(tmp_path)


def test_a_ledger_of_labels_alone_publishes(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    import_claims(ledger, [(f"{BITCOIN}:{coin('a')}", "mixer", "0.9", "")])
    publish(ledger, tmp_path, as_of=AS_OF, code_version="1")
    snapshot = current_snapshot(tmp_path)
    assert len(snapshot) == 0
    assert [label.category for label in snapshot.labels(f"{BITCOIN}:{coin('a')}")] == ["mixer"]


def test_a_killed_publication_leaves_the_one_in_use(folder: Path) -> None:
    """Killed at several moments: what CURRENT names is always whole, and what was left is swept away."""
    publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="1")
    kept = current_snapshot(folder).id
    program = (
        "import sys, pathlib, datetime; from models import publish as p\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def stop(step, done, total):\n"
        "    if done == int(sys.argv[2]): print('here', flush=True); sys.stdin.read()\n"
        "as_of = datetime.datetime(2023, 7, 1)\n"
        "p.publish(folder / 'ledger.duckdb', folder, as_of=as_of, code_version='2', progress=stop)\n"
    )
    for step in ("2", "5"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, "-c", program, str(folder), step],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
            process.send_signal(signal.SIGKILL)
        assert list((folder / "snapshots").glob(".writing-*"))
        assert current_snapshot(folder).id == kept
    other = publish(folder / "ledger.duckdb", folder, as_of=AS_OF, code_version="2")
    assert current_snapshot(folder).id == other.name != kept
    assert not list((folder / "snapshots").glob(".*"))


@pytest.mark.parametrize(
    "address",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "bc1pfeessrawgf",
        "script-0123456789012345678901234567890123456789",
    ],
)
def test_bitcoins_own_addresses_are_their_key_form(address: str) -> None:
    assert _form(f"{BITCOIN}:{address}") == key_form(address) == address
