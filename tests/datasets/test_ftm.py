"""OpenSanctions in FollowTheMoney: wallets with their holders, line by line, and lines that lie."""

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chains.errors import LabelError
from datasets.labels import import_labels, label_rows
from datasets.sources.ftm import LONGEST_LINE, read_labels
from datasets.store import open_ledger
from tests.datasets.claimed import RECORDED, bitcoin, day, evm, tron

SEEN = {"first_seen": "2024-03-01T05:00:00", "last_seen": "2025-05-05T05:00:00", "last_change": "2024-09-09"}


def entity(identity: str, schema: str, datasets: Sequence[str] = ("us_ofac_sdn",), **properties: Any) -> str:
    listed = {name: value if isinstance(value, list) else [value] for name, value in properties.items()}
    said = {"id": identity, "caption": identity, "schema": schema, "properties": listed, "referents": []}
    return json.dumps({**said, "datasets": list(datasets), "target": True, **SEEN})


HOLDER = entity("NK-1", "Person", name=["DOE Jane", "DOE, Jane Q"], topics=["sanction", "role.pep"])
DRUGS = entity(
    "s-1",
    "Sanction",
    entity="NK-1",
    program="SDN List",
    provisions=["Block", "SDNTK"],
    listingDate="2019-08-21",
)
WALLET = entity("w-1", "CryptoWallet", publicKey=bitcoin(1), currency="XBT", holder="NK-1")


def write(path: Path, *lines: str | bytes) -> Path:
    texts = (line if isinstance(line, bytes) else line.encode() for line in lines)
    path.write_bytes(b"".join(text + b"\n" for text in texts))
    return path


def test_a_wallet_with_its_holder_and_the_ground_of_the_sanction(tmp_path: Path) -> None:
    # The holder and the sanction may stand before the wallet or after it.
    for lines in ([HOLDER, DRUGS, WALLET], [WALLET, DRUGS, HOLDER]):
        (label,) = read_labels(write(tmp_path / "e.json", *lines)).labels
        assert label.account.caip10 == f"bip122:000000000019d6689c085ae165831e93:{bitcoin(1)}"
        assert (label.category, label.entity) == ("drug_trafficking", "DOE Jane")
        assert label.source == "OpenSanctions us_ofac_sdn"
        assert label.programmes == ("SDN List", "SDNTK")
        assert str(label.listed_at) == "2019-08-21"
        assert label.published_at == day(2024, 3, 1, 5)
        assert (label.licence, label.may_export, label.may_train) == ("CC-BY-NC-4.0", False, False)
        assert label.confidence == 0.9
        assert label.reference == "w-1"


def test_a_licence_that_is_given_opens_them(tmp_path: Path) -> None:
    path = write(tmp_path / "e.json", WALLET)
    (label,) = read_labels(path, licence="CC-BY-4.0").labels
    assert (label.licence, label.may_export, label.may_train) == ("CC-BY-4.0", True, True)


def test_keys_that_were_joined_are_taken_apart(tmp_path: Path) -> None:
    joined = f"{evm(1)}, {evm(2)},{evm(1)}"
    line = entity(
        "w", "CryptoWallet", ("il", "eu"), publicKey=[joined], cryptoAddress=tron(3), currency=["ETH", "USDT"]
    )
    found = read_labels(write(tmp_path / "e.json", HOLDER, line))
    assert [(label.account.caip10, label.position, label.source) for label in found.labels] == [
        (f"eip155:1:{evm(1)}", "line 2 key 1", "OpenSanctions eu"),
        (f"eip155:1:{evm(1)}", "line 2 key 1", "OpenSanctions il"),
        (f"eip155:1:{evm(2)}", "line 2 key 2", "OpenSanctions eu"),
        (f"eip155:1:{evm(2)}", "line 2 key 2", "OpenSanctions il"),
        (f"tron:728126428:{tron(3)}", "line 2 key 3", "OpenSanctions eu"),
        (f"tron:728126428:{tron(3)}", "line 2 key 3", "OpenSanctions il"),
    ]
    # One of several may have been added to a wallet that was there before.
    assert {label.published_at for label in found.labels} == {day(2024, 9, 9)}


@pytest.mark.parametrize(
    ("properties", "category"),
    [
        ({"topics": ["sanction", "crime.traffick.drug"]}, "drug_trafficking"),
        ({"topics": ["sanction", "crime.terror"]}, "terrorism_financing"),
        ({"topics": ["sanction"]}, "sanctioned"),
        ({"topics": ["crime.cyber"]}, "crime_other"),
        ({"topics": ["role.pep"]}, "unspecified"),
        ({"topics": []}, "unspecified"),
        ({"name": "HYDRA market", "topics": "sanction"}, "darknet_market"),
        ({"name": "Garantex", "topics": "sanction"}, "exchange"),
    ],
)
def test_what_topics_and_names_say(tmp_path: Path, properties: dict[str, Any], category: str) -> None:
    holder = entity("NK-1", "Organization", **{"name": "X", **properties})
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, holder)).labels
    assert label.category == category


def test_a_reason_in_words_tells_that_drugs_are_the_ground(tmp_path: Path) -> None:
    reason = "Executive Order 14059 (Illicit Drugs)"
    sanction = entity("s", "Sanction", entity="NK-1", program="SDN List", reason=reason)
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, HOLDER, sanction)).labels
    assert label.category == "drug_trafficking"


def test_a_debarment_is_no_sanction(tmp_path: Path) -> None:
    holder = entity("NK-1", "Company", name="Builders", topics=["debarment"])
    measure = entity("s", "Sanction", entity="NK-1", program="Excluded from tenders", startDate="2020-02-02")
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, holder, measure)).labels
    assert (label.category, label.programmes, label.listed_at) == ("unspecified", (), None)
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, HOLDER, measure)).labels
    assert (label.category, label.programmes) == ("sanctioned", ("Excluded from tenders",))


def test_entities_inside_each_other(tmp_path: Path) -> None:
    wallet = {"id": "w", "schema": "CryptoWallet", "properties": {"publicKey": [evm(4)], "currency": ["ETH"]}}
    sanction = {"id": "s", "schema": "Sanction", "properties": {"program": ["X"], "startDate": ["2020"]}}
    holder = entity("NK-9", "Person", name="ROE Richard", cryptoWallets=[wallet], sanctions=[sanction])
    turned = json.loads(entity("w-2", "CryptoWallet", publicKey=evm(5), currency="ETH"))
    turned["properties"]["holder"] = [json.loads(holder)]
    found = read_labels(write(tmp_path / "e.json", holder, json.dumps(turned)))
    assert [(label.entity, label.programmes) for label in found.labels] == [("ROE Richard", ("X",))] * 2
    assert {label.source for label in found.labels} == {"OpenSanctions us_ofac_sdn"}
    assert {str(label.listed_at) for label in found.labels} == {"2020-01-01"}


def test_who_was_taken_off_is_not_sanctioned(tmp_path: Path) -> None:
    over = entity("s", "Sanction", entity="w-1", program="ASO 1/21", endDate="2022-01-01")
    found = read_labels(write(tmp_path / "e.json", WALLET, over))
    assert [(one.position, one.reason) for one in found.rejected] == [("line 1", "ended")]
    still = entity("s2", "Sanction", entity="w-1", program="ASO 2/25", endDate="2025")  # seen in May 2025
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, over, still)).labels
    assert label.programmes == ("ASO 2/25",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b"\xff\xfe{}", "not_json"),
        (b'{"schema": "CryptoWallet", "properties": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
        (b'{"id": "w", "schema": "\\ud800"}', "not_json"),
        (WALLET.encode()[:-20], "not_json"),
        (b'["CryptoWallet"]', "not_an_entity"),
        (b"12345678901234567890123456789", "not_an_entity"),
        (b'{"id": 1, "schema": 7}', "not_an_entity"),
        (b'{"id": "w", "schema": "CryptoWallet", "properties": [1]}', "not_an_entity"),
        (entity("w", "CryptoWallet").encode(), "no_address"),
        (entity("w", "CryptoWallet", publicKey=[7, {"a": 1}, None]).encode(), "no_address"),
        (entity("w", "CryptoWallet", publicKey=[1e400]).encode(), "not_json"),
        (entity("w", "CryptoWallet", publicKey=[7]).replace("7", "1e999").encode(), "not_json"),
        (entity("", "CryptoWallet", publicKey=bitcoin(1)).encode(), "no_id"),
        (entity("w", "CryptoWallet", publicKey="nonsense").encode(), "bad_address"),
        (entity("w", "CryptoWallet", publicKey=bitcoin(1)[:-1], currency="XBT").encode(), "bad_address"),
        (entity("w", "CryptoWallet", publicKey="0x" + "0" * 40, currency="ETH").encode(), "nobodys_address"),
        (WALLET.replace("2024-03-01T05:00:00", "99999-01-01").encode(), "bad_date"),
        (entity("w", "CryptoWallet", publicKey=bitcoin(2), sourceUrl="x" * 501).encode(), "too_long"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_its_neighbours_go_in(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    good = entity("good", "CryptoWallet", publicKey=bitcoin(5), currency="XBT", holder="NK-1")
    found = read_labels(write(tmp_path / "e.json", HOLDER, b"", line, good))
    assert [(one.position, one.reason) for one in found.rejected] == [("line 3", reason)]
    assert [(label.position, label.entity) for label in found.labels] == [("line 4", "DOE Jane")]
    assert all(one.detail.isprintable() and len(one.detail) < 300 for one in found.rejected)


def test_hostile_names_are_one_short_line(tmp_path: Path) -> None:
    holder = entity("NK-1", "Person", name="A\n\u202eB\x1b[31m")
    (label,) = read_labels(write(tmp_path / "e.json", WALLET, holder)).labels
    assert label.entity == "A B [31m"
    holder = entity("NK-1", "Person", name="A" * 501)
    found = read_labels(write(tmp_path / "e.json", WALLET, holder))
    assert [(one.position, one.reason) for one in found.rejected] == [("line 1", "too_long")]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense\n", b"account,category\n", b"\x1f\x8bnothing", b"PK\x03\x04"]
)
def test_what_is_no_such_file_is_refused_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.json"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"e\.json"):
        read_labels(path)


def test_a_packed_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress((WALLET + "\n").encode() * 2000)
    path = tmp_path / "e.json.gz"
    path.write_bytes(packed)
    assert len(read_labels(path).labels) == 1
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LabelError, match="not readable as a whole"):
        read_labels(path)


def test_a_newer_issue_withdraws_what_its_data_sets_no_longer_say(tmp_path: Path) -> None:
    other = entity("w-2", "CryptoWallet", ("eu_fsf",), publicKey=bitcoin(2), currency="XBT")
    third = entity("w-3", "CryptoWallet", ("us_ofac_sdn",), publicKey=bitcoin(3), currency="XBT")
    first = write(tmp_path / "1.json", WALLET, other, third)
    later = third.replace("2025-05-05", "2025-06-06")
    second = write(tmp_path / "2.json", later)
    third_file = write(tmp_path / "3.json", later, b"{")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        assert import_labels(ledger, "ftm", first, recorded_at=RECORDED).labels == 3
        done = import_labels(ledger, "ftm", second, recorded_at=RECORDED)
        assert (done.labels, done.known, done.withdrawn) == (0, 1, 1)
        # The second file is no issue of eu_fsf, so it says nothing against what that has.
        rows = label_rows(ledger).to_pylist()
        assert {row["caip10"].rpartition(":")[2] for row in rows} == {bitcoin(2), bitcoin(3)}
        gone = ledger.connection.sql(
            "SELECT withdrawn_at FROM label WHERE withdrawn_at IS NOT NULL"
        ).fetchall()
        assert gone == [(day(2025, 6, 6, 5),)]
    with open_ledger(tmp_path / "other.duckdb", write=True) as ledger:
        import_labels(ledger, "ftm", first, recorded_at=RECORDED)
        # What cannot be read may be what seems to have gone.
        assert import_labels(ledger, "ftm", third_file, recorded_at=RECORDED).withdrawn == 0


def test_a_long_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    filler = entity("p", "Person", name="N", notes="x" * 3000).encode() + b"\n"
    with path.open("wb") as file:
        for _ in range(20_000):
            file.write(filler)
        file.write(b"x" * (LONGEST_LINE + 5) + b"\n" + WALLET.encode() + b"\n" + HOLDER.encode())
    program = (
        "import resource, sys; from pathlib import Path; from datasets.sources.ftm import read_labels; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "found = read_labels(Path(sys.argv[1])); "
        "assert [label.entity for label in found.labels] == ['DOE Jane']; "
        "assert [one.reason for one in found.rejected] == ['too_long']; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(path)]
    grown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout
    assert path.stat().st_size > 60_000_000
    assert int(grown) * 1024 < 4 * LONGEST_LINE
