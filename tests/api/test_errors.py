"""Every answer that is not 2xx has the one shape, whatever was wrong."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Client, Response

from api.access import utc_now
from api.app import create_app
from api.schemas import ErrorAnswer
from api.settings import Settings
from datasets.records.keys import create_key, revoke_key
from datasets.records.store import open_records
from tests.api.service import serving

LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="module")
def client(settings: Settings, app: FastAPI) -> Iterator[Client]:
    with serving(settings, app) as client:
        yield client


def check(response: Response, status: int, error: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    answer = ErrorAnswer.model_validate_json(response.content)
    assert (answer.status, answer.error) == (status, error)
    assert answer.request_id == response.headers["x-request-id"]
    assert answer.message
    content: dict[str, Any] = response.json()
    return content


def test_an_unknown_path(client: Client) -> None:
    answer = check(client.get("/v2/ничего?x=1"), 404, "not_found")
    assert answer["path"] == "/v2/ничего"
    check(client.get("/v1/screenings/"), 404, "not_found")
    check(client.get("/docs"), 404, "not_found")


def test_a_wrong_method_names_the_right_one(client: Client) -> None:
    response = client.get("/v1/screenings")
    check(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_a_body_too_large_announced_or_not(client: Client, settings: Settings) -> None:
    body = b'{"address": "' + b"x" * settings.max_body_bytes + b'"}'
    headers = {"content-type": "application/json"}
    answer = check(client.post("/v1/screenings", content=body, headers=headers), 413, "body_too_large")
    assert str(settings.max_body_bytes) in answer["message"]
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    check(client.post("/v1/screenings", content=pieces, headers=headers), 413, "body_too_large")


def test_the_largest_allowed_body_is_read(client: Client, settings: Settings) -> None:
    body = b'{"address": "1"}'.ljust(settings.max_body_bytes)
    check(
        client.post("/v1/screenings", content=body, headers={"content-type": "application/json"}),
        503,
        "snapshot_missing",
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", ""]
)
def test_a_body_that_is_not_said_to_be_json(client: Client, kind: str) -> None:
    response = client.post("/v1/screenings", content=b'{"address": "1"}', headers={"content-type": kind})
    check(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: Field required"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'"1111111111111111111114oLvT2"', "body"),
        (b"{", "the body is not JSON"),
        (b'{"address": 1}', "body.address: Input should be a valid string"),
        (b'{"adress": "x"}', "body.address: Field required; body.adress: Extra inputs are not permitted"),
        (b'{"address": ""}', "body.address: String should have at least 1 character"),
        (b'{"address": "' + b"1" * 301 + b'"}', "body.address: String should have at most 300 characters"),
        (b'{"address": "x", "chain": ["eip155:1"]}', "body.chain: Input should be a valid string"),
        (b'{"address": "\\ud800"}', "body.address"),
        (b'{"address": "x", "\\u001b[31m\\u202e": 1}', "\\x1b[31m\\x202e: Extra inputs"),
    ],
)
def test_a_body_of_the_wrong_shape_names_the_field(client: Client, body: bytes, said: str) -> None:
    response = client.post("/v1/screenings", content=body, headers={"content-type": "application/json"})
    assert said in check(response, 422, "wrong_shape")["message"]


def test_a_body_that_is_no_text(client: Client) -> None:
    response = client.post(
        "/v1/screenings", content=b"\xff\xfe{}", headers={"content-type": "application/json"}
    )
    check(response, response.status_code, {400: "bad_request", 422: "wrong_shape"}[response.status_code])
    deep = b"[" * 30_000 + b"]" * 30_000
    response = client.post("/v1/screenings", content=deep, headers={"content-type": "application/json"})
    check(response, response.status_code, {400: "bad_request", 422: "wrong_shape"}[response.status_code])


@pytest.mark.parametrize(
    "path", ["/v1/screenings", "/readyz", "/openapi.json", "/nothing", "/v1/addresses/x"]
)
def test_without_a_key_nothing_is_answered(client: Client, path: str) -> None:
    response = client.get(path, headers={"X-API-Key": ""})
    check(response, 401, "key_missing")
    assert "X-API-Key" in response.headers["www-authenticate"]


def test_unknown_expired_and_revoked_keys(client: Client, settings: Settings) -> None:
    with open_records(settings.records) as records:
        expired, _ = create_key(
            records, "old", now=LONG_AGO, expires_at=datetime.fromisoformat("2020-02-01T00:00:00")
        )
        revoked, caller = create_key(records, "gone", now=utc_now())
        assert client.get("/openapi.json", headers={"X-API-Key": revoked}).status_code == 200
        revoke_key(records, caller.id, now=utc_now())
    for key, why in ((expired, "expired at 2020-02-01"), (revoked, "revoked"), ("sk_none", "unknown")):
        answer = check(client.get("/openapi.json", headers={"X-API-Key": key}), 403, "key_refused")
        assert why in answer["message"]
        assert key not in answer["message"]


def test_the_header_token_is_a_key_too(client: Client) -> None:
    key = client.headers["X-API-Key"]
    bare = {"X-API-Key": ""}
    assert client.get("/openapi.json", headers={**bare, "Token": key}).status_code == 200
    assert client.get("/openapi.json", headers=bare).status_code == 401


def test_without_a_snapshot_it_says_what_to_do(client: Client) -> None:
    for response in (
        client.post("/v1/screenings", json={"address": "1111111111111111111114oLvT2"}),
        client.get("/v1/addresses/1111111111111111111114oLvT2"),
    ):
        answer = check(response, 503, "snapshot_missing")
        assert "silkscreen build" in answer["message"]
        assert response.headers["retry-after"] == "30"
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert "silkscreen build" in ready.json()["problems"][0]


def test_health_needs_no_key_and_no_snapshot(client: Client) -> None:
    response = client.get("/healthz", headers={"X-API-Key": ""})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_fault_shows_nothing_of_itself(
    app: FastAPI, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("the password is swordfish")

    app.get("/fault")(fail)
    response = client.get("/fault")
    check(response, 500, "internal_error")
    assert "swordfish" not in response.text
    assert "swordfish" in capsys.readouterr().err


def test_a_request_id_is_taken_over_where_it_is_harmless(client: Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "bank-42"}).headers["x-request-id"] == "bank-42"
    for hostile in ("a b", "x" * 65, "<script>", ""):
        made = client.get("/healthz", headers={"X-Request-ID": hostile}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)
