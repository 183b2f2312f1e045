"""The service over a real snapshot: answers keep their contract, the command line gives the same bytes."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from httpx import Client
from pydantic import TypeAdapter

from api import examples, schemas
from api.answers import answer_screening, describe_address, describe_transfer
from api.app import create_app
from api.commands.common import clean
from api.screening import screen
from api.serving import Served
from api.settings import Settings
from chains.address import find_chain, parse_account
from models.publish import publish
from tests.api.service import make_key, serving
from tests.api.test_cli import run
from tests.api.world import AS_OF, BANK, BITCOIN, COINS, LISTED, make_world

ODD = "50% of/it: ünïcode"


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    with serving(settings) as client:
        yield client


def accounts(served: Served) -> list[str]:
    known = [served.snapshot.account(row) for row in range(len(served.snapshot))]
    return [*known, f"eip155:1:{LISTED}", f"eip155:1:0x{'1' * 40}"]


def test_every_answer_is_what_openapi_says(client: Client, served: Served) -> None:
    for account in accounts(served):
        response = client.post("/v1/screenings", json={"address": account})
        assert response.status_code == 200
        answer = schemas.ScreeningAnswer.model_validate_json(response.content)
        assert answer.subject.account_id == account
        assert json.loads(answer.model_dump_json()) == response.json()
        again = client.post("/v1/screenings", json={"address": account})
        assert again.content == response.content


def test_the_command_line_gives_the_same_bytes(
    client: Client, served: Served, settings: Settings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    key, caller = make_key(settings, "both")
    for account in accounts(served)[:6]:
        answer = client.post("/v1/screenings", json={"address": account}, headers={"X-API-Key": key})
        code = run("screen", account, "--json", "--caller", caller, "--dir", str(settings.dir))
        assert (code, capfdbinary.readouterr().out) == (0, answer.content)


def test_an_address_is_described_in_facts(client: Client) -> None:
    response = client.get(f"/v1/addresses/{BANK}:alice", params={"transfers": 2})
    answer = schemas.AddressAnswer.model_validate_json(response.content)
    assert json.loads(answer.model_dump_json()) == response.json()
    assert answer.summary is not None
    assert (answer.summary.transfers_in, answer.summary.transfers_out) == (1, 2)
    assert (answer.summary.received, answer.summary.sent) == (2000.0, 1205.0)
    assert [(t.direction, t.value, t.counterparty) for t in answer.transfers] == [
        ("out", 5.0, f"{BANK}:fan"),
        ("out", 1200.0, f"{BANK}:bob"),
    ]
    assert "risk_level" not in response.json()
    cluster = client.get(f"/v1/addresses/{COINS[1]}").json()
    assert cluster["subject"]["entity_addresses"] == 2
    assert [label["account_id"] for label in cluster["entity_labels"]] == [f"{BITCOIN}:{COINS[0]}"]


def test_the_numbers_of_an_answer(client: Client) -> None:
    alice = client.post("/v1/screenings", json={"address": f"{BANK}:alice"}).json()
    assert (alice["risk_level"], alice["decided_by"], alice["risk_score"]) == ("HIGH", "rule", 99)
    assert [finding["id"] for finding in alice["findings"]] == ["drug_source_direct_high", "model_low"]
    # The bank's last payment is p37, on 24 January at 11:00: 7 days and 13 hours before the snapshot.
    assert alice["coverage"] == {
        "heights": {"first": None, "last": None},
        "history_share": 1.0,
        "staleness_seconds": (7 * 24 + 13) * 3600,
    }
    largest = alice["contributions"]["source"][0].pop("largest")
    assert largest["account_id"].endswith(":market")
    assert (largest["value"], bool(largest["hash"])) == (2000.0, True)
    assert alice["contributions"] == {
        "source": [
            {
                "category": "darknet_market",
                "name": "darknet market",
                "exposure_type": "DIRECT",
                "value": 2000.0,
                "symbol": "USD",
                "value_usd": 2000.0,
                "share": 1.0,
                "min_hops": 1,
                "label_source": None,
                "label_confidence": None,
            }
        ],
        "destination": [],
    }
    assert (alice["unattributed"]["share"], alice["unattributed"]["destination_share"]) == (0.0, 1.0)
    assert alice["drug_evidence"] == {
        "found": True,
        "source_share": 1.0,
        "source_direct_share": 1.0,
        "destination_share": 0.0,
        "destination_direct_share": 0.0,
        "labels": [],
    }
    fan = client.post("/v1/screenings", json={"address": f"{BANK}:fan"}).json()
    assert (fan["risk_level"], fan["decided_by"], fan["risk_score"]) == ("HIGH", "model", 100)
    # The behaviour model of this world counts receipts, as its model does, and has no other.
    assert fan["laundering_behaviour"]["score"] == 100
    [reason] = fan["laundering_behaviour"]["reasons"]
    assert (reason["feature"], reason["contribution"] > 0) == ("transfers_in", True)
    assert alice["laundering_behaviour"]["score"] < fan["laundering_behaviour"]["score"]
    unseen = client.post("/v1/screenings", json={"address": f"{BANK}:nobody"}).json()
    assert unseen["laundering_behaviour"] is None
    [line] = fan["contributions"]["source"]
    assert (line["exposure_type"], line["value"], line["value_usd"], line["min_hops"]) == (
        "INDIRECT",
        5.0,
        5.0,
        2,
    )
    assert line["share"] == pytest.approx(5 / 305)
    assert fan["unattributed"]["share"] == pytest.approx(300 / 305)
    assert fan["coverage"]["history_share"] is None
    assert [(r["feature"], r["value"]) for r in fan["reasons"]] == [("transfers_in", 13.0)]
    coin = client.post("/v1/screenings", json={"address": COINS[1]}).json()
    assert coin["as_of"] == {"height": 4, "time": "2023-02-01T00:00:00Z"}
    # The fifth block is of 1,673,002,400 seconds; the snapshot is of 1,675,209,600.
    assert coin["coverage"] == {
        "heights": {"first": 0, "last": 4},
        "history_share": 1.0,
        "staleness_seconds": 1_675_209_600 - 1_673_002_400,
    }


def test_a_payment_without_a_reference_has_no_hash(served: Served) -> None:
    row = served.snapshot.find(f"{BANK}:alice")
    assert row is not None
    [newest] = served.snapshot.transfers(row, 1)
    assert describe_transfer(newest)["hash"] == "p33"
    bare = describe_transfer(dataclasses.replace(newest, hash=""))
    assert bare["hash"] is None
    assert schemas.TransferShape.model_validate(bare).hash is None


def test_an_address_in_no_transfer_is_found_by_its_label_or_not_at_all(client: Client) -> None:
    listed = client.get(f"/v1/addresses/{LISTED}")
    assert listed.status_code == 200
    assert listed.json()["summary"] is None
    assert listed.json()["sanctions"][0]["listed_at"] == "2022-04-05"
    unknown = client.get(f"/v1/addresses/0x{'1' * 40}")
    assert unknown.status_code == 404
    answer = schemas.ErrorAnswer.model_validate_json(unknown.content)
    assert f"eip155:1:0x{'1' * 40}" in answer.message


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/addresses/0x12", 422, "address_error"),
        (f"/v1/addresses/{LISTED}?chain=nowhere", 422, "unknown_chain"),
        (f"/v1/addresses/{BANK}:alice?transfers=101", 422, "wrong_shape"),
        (f"/v1/addresses/{BANK}:alice?transfers=many", 422, "wrong_shape"),
        (f"/v1/addresses/{'a' * 301}", 422, "wrong_shape"),
        (f"/v1/addresses/{BANK}:alice/exposures", 404, "not_found"),
    ],
)
def test_a_wrong_question_about_an_address(client: Client, path: str, status: int, error: str) -> None:
    answer = schemas.ErrorAnswer.model_validate_json(client.get(path).content)
    assert (answer.status, answer.error) == (status, error)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"address": "0x12"}, "address_error", "40 hexadecimal digits"),
        ({"address": "1BoatSLRHtKNngkdXEeobR76b53LETtpyU"}, "address_error", "is not an address"),
        ({"address": "a\x00\x1b[31mb"}, "address_error", "\\x00\\x1b[31mb"),
        ({"address": LISTED, "chain": "moonchain"}, "unknown_chain", "'moonchain' is not a chain"),
        ({"address": COINS[0], "chain": "ethereum"}, "address_error", "ethereum"),
    ],
)
def test_a_broken_address_or_chain_is_named(
    client: Client, body: dict[str, str], error: str, said: str
) -> None:
    response = client.post("/v1/screenings", json=body)
    answer = schemas.ErrorAnswer.model_validate_json(response.content)
    assert (response.status_code, answer.error) == (422, error)
    assert said in answer.message


def test_an_account_with_any_characters_is_found_by_its_id(client: Client, served: Served) -> None:
    account = parse_account(ODD, parse_account(f"{BANK}:alice").chain).caip10
    assert served.snapshot.find(account) is not None
    found = client.get(f"/v1/addresses/{quote(account, safe='')}")
    assert found.status_code == 200, found.text
    assert found.json()["subject"] | {"entity_id": None} == {
        "account_id": account,
        "address": ODD,
        "chain": BANK,
        "entity_id": None,
        "entity_addresses": 1,
        "in_ledger": True,
        "deposit_of": None,
        "also_on": [],
    }


def test_hostile_text_of_a_label_stays_text(client: Client) -> None:
    response = client.post("/v1/screenings", json={"address": f"{BANK}:mallory"})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert b"\x1b" not in response.content
    assert b"\x07" not in response.content
    assert b"\r" not in response.content
    assert response.content.count(b"\n") == 1
    kept = response.json()["labels"][0]
    assert clean(kept["name"], 1000).startswith("</td>[bold red]paid")
    assert response.json()["risk_level"] == "MEDIUM"


def test_readiness_names_what_it_answers_from(client: Client, served: Served) -> None:
    ready = schemas.Readiness.model_validate_json(client.get("/readyz").content)
    assert served.model is not None
    assert (ready.ready, ready.snapshot, ready.model) == (True, served.snapshot.id, served.model.version)
    assert ready.as_of == "2023-02-01T00:00:00Z"


def test_a_new_snapshot_is_taken_up_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    settings = make_world(tmp_path / "w")
    question = {"address": f"{BANK}:alice"}
    with serving(settings) as client:
        first = client.post("/v1/screenings", json=question).json()["versions"]["snapshot"]
        later = AS_OF.replace(month=3)
        folder = publish(settings.ledger, settings.dir, as_of=later, code_version="test", threads=1)
        second = client.post("/v1/screenings", json=question).json()["versions"]["snapshot"]
        assert second == folder.name != first
        third = publish(settings.ledger, settings.dir, as_of=AS_OF.replace(month=4), code_version="test")
        whole = (third / "features.npy").read_bytes()
        (third / "features.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert client.post("/v1/screenings", json=question).json()["versions"]["snapshot"] == second
        ready = client.get("/readyz").json()
        assert (ready["ready"], ready["snapshot"]) == (True, second)
        assert "damaged" in ready["problems"][0]
    with serving(settings) as client:
        refused = client.post("/v1/screenings", json=question)
        assert (refused.status_code, refused.json()["error"]) == (503, "snapshot_damaged")
        assert "features.npy" in refused.json()["message"]
        shutil.rmtree(third)
        assert client.get("/readyz").status_code == 503


def test_openapi_has_examples_that_are_true(settings: Settings) -> None:
    app: FastAPI = create_app(settings)
    document: dict[str, Any] = app.openapi()
    assert set(document["paths"]) == {"/healthz", "/readyz", "/v1/screenings", "/v1/addresses/{account}"}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            if path != "/healthz":
                assert {"X-API-Key": []} in operation["security"]
                assert {"Token": []} in operation["security"]
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")) and path != "/readyz":
                    example = answer["content"]["application/json"]["example"]
                    assert schemas.ErrorAnswer.model_validate(example).status == int(status)
    parts = document["components"]["schemas"]
    for name in (
        "ScreeningRequest",
        "ScreeningAnswer",
        "AddressAnswer",
        "ErrorAnswer",
        "Readiness",
        "Health",
    ):
        shape = TypeAdapter(getattr(schemas, name))
        assert parts[name]["examples"]
        for example in parts[name]["examples"]:
            shape.validate_python(example)
    for request in examples.REQUESTS:
        chain = find_chain(request["chain"]) if "chain" in request else None
        assert parse_account(request["address"], chain)
    assert parse_account(examples.SCREENING["subject"]["account_id"]).chain.simulated


def test_the_shapes_say_all_that_the_answers_say(served: Served) -> None:
    screening = screen(f"{BANK}:fan", served.snapshot, served.model)
    assert set(json.loads(answer_screening(screening))) == set(schemas.ScreeningAnswer.model_fields)
    assert set(describe_address(screening, ())) == set(schemas.AddressAnswer.model_fields)
