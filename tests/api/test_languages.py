"""Reasons in the language that is asked for, over HTTP and on the terminal; all else stays as it is."""

import dataclasses
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client
from rich.cells import cell_len

from api import schemas
from api.app import create_app
from api.card import write_card
from api.examples import SCREENING
from api.screening import Screening, screen
from api.serving import Served
from api.settings import Settings
from chains.errors import InputError
from features.catalogue import CATALOGUE, find_feature
from features.words.describe import describe_reason
from features.words.languages import LANGUAGES
from models.explain import Reason
from tests.api.service import make_key, serving
from tests.api.test_cli import run
from tests.api.world import BANK

FAN = f"{BANK}:fan"
SAID = {"en": "received 13 transfers", "ru": "получено переводов: 13", "zh": "收到转账13笔"}


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    with serving(settings) as client:
        yield client


def texts(answer: dict[str, Any]) -> list[str]:
    """Take the sentences out of an answer, those of the behaviour model last."""
    behaviour = answer["laundering_behaviour"]["reasons"]
    return [reason.pop("text") for reason in (*answer["reasons"], *behaviour)]


def test_only_the_reasons_speak_another_language(client: Client) -> None:
    english = client.post("/v1/screenings", json={"address": FAN})
    rest = english.json()
    assert texts(rest) == [SAID["en"]] * 2
    for language in LANGUAGES:
        response = client.post("/v1/screenings", params={"language": language}, json={"address": FAN})
        schemas.ScreeningAnswer.model_validate_json(response.content)
        answer = response.json()
        assert texts(answer) == [SAID[language]] * 2
        assert answer == rest
        assert (response.content == english.content) == (language == "en")
        assert response.headers["content-language"] == ("en" if language == "en" else f"en, {language}")
        assert response.headers["vary"] == "Accept-Language"


@pytest.mark.parametrize(
    ("accepted", "language", "said"),
    [
        ("zh-CN,zh;q=0.9", None, "zh"),
        ("kk, ru;q=0.5", None, "ru"),
        ("kk", None, "en"),
        ("\xff\xfe;q=", None, "en"),
        ("zh", "ru", "ru"),
        ("zh", "en", "en"),
    ],
)
def test_the_query_counts_before_the_header(
    client: Client, accepted: str, language: str | None, said: str
) -> None:
    response = client.post(
        "/v1/screenings",
        params={} if language is None else {"language": language},
        headers={b"Accept-Language": accepted.encode("latin-1")},
        json={"address": FAN},
    )
    assert texts(response.json()) == [SAID[said]] * 2


@pytest.mark.parametrize("language", ["kk", "", "RU", "ru-RU", "../ru"])
def test_a_language_without_words_is_refused(
    client: Client, served: Served, settings: Settings, language: str, capfd: pytest.CaptureFixture[str]
) -> None:
    response = client.post("/v1/screenings", params={"language": language}, json={"address": FAN})
    answer = schemas.ErrorAnswer.model_validate_json(response.content)
    assert (response.status_code, answer.error) == (422, "wrong_shape")
    assert "query.language" in answer.message
    assert "'en', 'ru' or 'zh'" in answer.message
    with pytest.raises(InputError, match="the languages are en, ru, zh"):
        screen(FAN, served.snapshot, served.model, language=language)
    for words in (["screen", FAN, "--dir", str(settings.dir)], ["features", "describe"]):
        assert run(*words, "--language", language) == 2
        assert "--language" in capfd.readouterr().err


def test_openapi_names_the_languages(settings: Settings) -> None:
    [operation] = create_app(settings).openapi()["paths"]["/v1/screenings"].values()
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert set(parameters) == {"language", "accept-language"}
    [choices] = [kind["enum"] for kind in parameters["language"]["schema"]["anyOf"] if "enum" in kind]
    assert tuple(choices) == LANGUAGES
    assert not any(parameter["required"] for parameter in parameters.values())


def test_the_example_speaks_as_the_catalogue_does() -> None:
    for reason in SCREENING["reasons"]:
        assert reason["text"] == describe_reason(find_feature(reason["feature"]), reason["value"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_command_line_says_what_the_service_says(
    client: Client, settings: Settings, language: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    key, caller = make_key(settings, "languages")
    answer = client.post(
        "/v1/screenings",
        json={"address": FAN},
        headers={"X-API-Key": key, "Accept-Language": language},
    )
    words = ["screen", FAN, "--caller", caller, "--dir", str(settings.dir), "--language", language]
    assert (run(*words, "--json"), capfdbinary.readouterr().out) == (0, answer.content)
    assert run(*words) == 0
    card = capfdbinary.readouterr().out.decode()
    assert f"score from   + {SAID[language]}\n" in card
    assert "decided by the model" in card


def show(screening: Screening) -> list[str]:
    out = io.StringIO()
    write_card(screening, out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", [1_234_567.891, math.nan])
def test_every_reason_fits_the_card_whole(served: Served, language: str, value: float) -> None:
    fan = screen(FAN, served.snapshot, served.model)
    for feature in CATALOGUE:
        text = describe_reason(feature, value, language)
        lines = show(dataclasses.replace(fan, reasons=(Reason(feature.name, value, 1.0, text),)))
        assert all(cell_len(line) <= 80 for line in lines)
        start = next(number for number, line in enumerate(lines) if line.startswith("score from"))
        end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith(" "))
        shown = [line[13:] for line in lines[start:end]]
        assert shown[0] != "+"
        assert not any(line.startswith(tuple("，。：；、）”")) for line in shown)
        assert "".join("".join(shown).split()) == "+" + "".join(text.split())
        assert not any("\\x" in line or "\xa0" in line for line in shown)


def test_features_are_described_in_a_language(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("features", "describe", "payers", "--language", "zh") == 0
    chinese = capfd.readouterr().out
    assert chinese.splitlines()[:2] == ["payers (交易对手; 实体)", "  向其付款的不同实体数"]
    assert run("features", "describe", "exposure_source_drug_min_hops", "--language", "ru", "--json") == 0
    [described] = json.loads(capfd.readouterr().out)
    assert described["unit"] == "hops"
    assert described["text"].startswith("кратчайший путь от адреса")
    assert described["unknown"].startswith("среди источников")
    assert run("features", "describe", "--language", "ru") == 0
    listed = capfd.readouterr().out
    assert all(f"\n{feature.name} " in f"\n{listed}" for feature in CATALOGUE)
    assert "Число разных кластеров, от которых поступали переводы" in listed
