"""Features in words: every feature in every language, numbers as each language writes them."""

import math
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chains.errors import InputError
from features.catalogue import CATALOGUE, GROUPS, LEVELS, UNITS, Feature, find_feature
from features.words.describe import LARGEST, describe_meaning, describe_reason, describe_value, read_words
from features.words.languages import LANGUAGES, choose_language, require_language
from features.words.page import write_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {"en": "features.md", "ru": "features.ru.md", "zh": "features.zh.md"}
PLAIN = {0xA0: "~", 0x202F: "_"}
"""Shows the spaces at which no line may break."""

FORMS = {"en": 2, "ru": 3}
CYRILLIC, HAN = re.compile(r"[а-яё]", re.I), re.compile(r"[一-鿿]")


def some(unit: str) -> Feature:
    return next(feature for feature in CATALOGUE if feature.unit == unit)


def shown(unit: str, value: float, language: str) -> str:
    return describe_value(some(unit), value, language).translate(PLAIN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_feature_has_its_words_and_no_other_has(language: str) -> None:
    words = read_words(language)
    names = {feature.name for feature in CATALOGUE}
    assert set(words.texts) == set(words.meanings) == names
    assert set(words.unknown_texts) == {f.name for f in CATALOGUE if f.unknown is not None}
    assert len(set(words.texts.values())) == len(set(words.meanings.values())) == len(names)
    for feature in CATALOGUE:
        text, meaning = words.texts[feature.name], words.meanings[feature.name]
        assert text.count("{value}") == 1, feature.name
        assert re.sub(r"\{value\}", "", text).count("{") == 0, feature.name
        assert "{" not in meaning
        assert len(text) > 7
        assert len(meaning) > 8
        assert meaning[0] == meaning[0].upper()
        for sentence in (text, meaning, words.unknown_texts.get(feature.name, "")):
            assert sentence == sentence.strip()
            assert not sentence.endswith((".", "。"))
            if sentence:
                assert bool(CYRILLIC.search(sentence)) == (language == "ru"), feature.name
                assert bool(HAN.search(sentence)) == (language == "zh"), feature.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_units_groups_and_levels_have_their_words(language: str) -> None:
    words = read_words(language)
    assert (tuple(words.units), tuple(words.groups), tuple(words.levels)) == (UNITS, GROUPS, LEVELS)
    assert set(words.values) == set(read_words("en").values)
    for key, template in words.values.items():
        assert template.count("{value}") == (not key.endswith(("_under", "_over"))), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_forms_agree_with_a_count_and_are_as_many_as_the_language_has(language: str) -> None:
    words = read_words(language)
    countable = {f"value.{unit}": template for unit, template in words.values.items()}
    countable |= {f.name: words.texts[f.name] for f in CATALOGUE if f.unit == "count"}
    for name, template in countable.items():
        assert all(part.count("|") == FORMS[language] - 1 for part in re.findall(r"\[.*?\]", template)), name
    for feature in CATALOGUE:
        if feature.unit != "count":
            assert "[" not in words.texts[feature.name]


LIMITS = {  # as digits; English and Chinese write small numbers out
    "retail_receipt_share": ["10", "500"],
    "wholesale_receipt_share": ["1000"],
    "under_limit_share": ["1000", "10000"],
    "forwarded_payment_share": ["100", "90"],
    "pass_through_24h": ["24"],
    "pass_through_7d": ["7"],
    "new_payer_share_30d": ["30"],
    "hours_06_12_share": ["00", "00", "06", "12"],
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", LIMITS)
def test_a_translation_keeps_the_limits(name: str, language: str) -> None:
    text = re.sub(r"(?<=\d)[,\u202f](?=\d)", "", read_words(language).texts[name])
    assert sorted(re.findall(r"\d+", text)) == sorted(LIMITS[name])


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_in_step_with_the_words(language: str) -> None:
    page = write_page(language)
    assert (DOCS / PAGES[language]).read_text(encoding="utf-8") == page
    assert all(page.count(f"| `{feature.name}` |") == 1 for feature in CATALOGUE)
    assert str(len(CATALOGUE)) in page
    assert "{" not in page


@pytest.mark.parametrize("asked", [(), ("ru",), ("kk",)])
def test_the_module_prints_a_page_or_one_line(asked: tuple[str, ...]) -> None:
    words = [sys.executable, "-X", "utf8", "-m", "features.catalogue", *asked]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    if asked == ("kk",):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "the languages are en, ru, zh" in done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, write_page(*asked), "")


@pytest.mark.parametrize(
    ("unit", "value", "english", "russian", "chinese"),
    [
        ("count", 0, "0", "0", "0"),
        ("count", -0.0, "0", "0", "0"),
        ("count", 1, "1", "1", "1"),
        ("count", 1.5, "1.5", "1,5", "1.5"),
        ("count", 21, "21", "21", "21"),
        ("count", 1_234_567.891, "1,234,567.9", "1_234_567,9", "1,234,567.9"),
        ("share", 0, "0 %", "0~%", "0%"),
        ("share", 1e-9, "under 1 %", "менее 1~%", "不到1%"),
        ("share", 0.01, "1 %", "1~%", "1%"),
        ("share", 0.21, "21 %", "21~%", "21%"),
        ("share", 0.9999, "over 99 %", "более 99~%", "超过99%"),
        ("share", 1, "100 %", "100~%", "100%"),
        ("ratio", 0, "0.00", "0,00", "0.00"),
        ("ratio", -0.25, "-0.25", "-0,25", "-0.25"),
        ("ratio", -0.001, "0.00", "0,00", "0.00"),
        ("ratio", 1_234_567.891, "1,234,567.89", "1_234_567,89", "1,234,567.89"),
        ("usd", 0, "0.00 USD", "0,00~долл. США", "0.00美元"),
        ("usd", 0.001, "under 0.01 USD", "менее 0,01~долл. США", "不到0.01美元"),
        ("usd", 1.5, "1.50 USD", "1,50~долл. США", "1.50美元"),
        ("usd", 1_234_567.891, "1,234,568 USD", "1_234_568~долл. США", "1,234,568美元"),
        ("days", 0, "0 seconds", "0~секунд", "0秒"),
        ("days", 1, "1 day", "1~день", "1天"),
        ("days", 1.5, "1.5 days", "1,5~дня", "1.5天"),
        ("days", 2, "2 days", "2~дня", "2天"),
        ("days", 5, "5 days", "5~дней", "5天"),
        ("days", 11, "11 days", "11~дней", "11天"),
        ("days", 12, "12 days", "12~дней", "12天"),
        ("days", 21, "21 days", "21~день", "21天"),
        ("days", 111, "111 days", "111~дней", "111天"),
        ("days", 1_001, "1,001 days", "1_001~день", "1,001天"),
        ("days", 1_234_567.891, "1,234,567.9 days", "1_234_567,9~дня", "1,234,567.9天"),
        ("days", 0.25, "6 hours", "6~часов", "6小时"),
        ("seconds", 0.4, "under 1 second", "менее 1~секунды", "不到1秒"),
        ("seconds", 1, "1 second", "1~секунда", "1秒"),
        ("seconds", 2, "2 seconds", "2~секунды", "2秒"),
        ("seconds", 11, "11 seconds", "11~секунд", "11秒"),
        ("seconds", 60, "1 minute", "1~минута", "1分钟"),
        ("seconds", 90, "1.5 minutes", "1,5~минуты", "1.5分钟"),
        ("seconds", 1_260, "21 minutes", "21~минута", "21分钟"),
        ("seconds", 3_600, "1 hour", "1~час", "1小时"),
        ("seconds", 18_000, "5 hours", "5~часов", "5小时"),
        ("hours", 1, "1 hour", "1~час", "1小时"),
        ("hours", 2.96, "3 hours", "3~часа", "3小时"),
        ("hours", 1.5, "1.5 hours", "1,5~часа", "1.5小时"),
        ("hours", 21, "21 hours", "21~час", "21小时"),
        ("hops", 1, "1 hop", "1~перевод", "1次转账"),
        ("hops", 2, "2 hops", "2~перевода", "2次转账"),
        ("hops", 5, "5 hops", "5~переводов", "5次转账"),
        ("hops", 11, "11 hops", "11~переводов", "11次转账"),
    ],
)
def test_values(unit: str, value: float, english: str, russian: str, chinese: str) -> None:
    assert [shown(unit, value, language) for language in LANGUAGES] == [english, russian, chinese]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300, 2 * LARGEST])
def test_what_is_no_number_of_a_ledger_is_not_known(unit: str, value: float) -> None:
    assert [shown(unit, value, language) for language in LANGUAGES] == ["unknown", "нет данных", "未知"]
    for language in LANGUAGES:
        reason = describe_reason(some(unit), value, language)
        assert reason == describe_reason(some(unit), math.nan, language)
        assert "{" not in reason


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reason_keeps_a_mark_of_its_template(language: str) -> None:
    values = [
        0.0,
        1e-12,
        0.004,
        1.0,
        1.5,
        2.0,
        5.0,
        11.0,
        21.0,
        1_234_567.891,
        LARGEST,
        -1.0,
        -LARGEST,
        math.nan,
    ]
    for feature in CATALOGUE:
        for value in values:
            text = describe_reason(feature, value, language)
            assert not re.search(r"[{}\[\]|]", text), text
            assert "nan" not in text


GOLDEN = tomllib.loads((Path(__file__).resolve().parents[1] / "golden" / "words.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("language", "case"), [(language, case) for language, cases in GOLDEN.items() for case in cases]
)
def test_reason_reads_well(language: str, case: dict[str, Any]) -> None:
    assert (
        describe_reason(find_feature(case["feature"]), case["value"], language).translate(PLAIN)
        == case["text"]
    )


def test_each_language_has_its_golden_reasons() -> None:
    assert tuple(GOLDEN) == LANGUAGES
    assert all(len(cases) >= 12 for cases in GOLDEN.values())


def test_meaning_is_english_unless_asked_for() -> None:
    feature = find_feature("payers")
    assert describe_meaning(feature) == feature.meaning == describe_meaning(feature, "en")
    assert describe_meaning(feature, "ru") == "Число разных кластеров, от которых поступали переводы"
    assert describe_meaning(feature, "zh") == "向其付款的不同实体数"
    assert describe_value(feature, 2.5) == "2.5"
    assert describe_reason(feature, 2.0) == "was paid by 2 different counterparties"


@pytest.mark.parametrize("language", ["kk", "", "EN", "ru-RU", "../../taxonomy", "en\x00\x1b[31m" + "x" * 99])
def test_a_language_without_words_is_refused(language: str) -> None:
    feature = find_feature("payers")
    asked: list[Callable[[], object]] = [
        lambda: describe_value(feature, 1.0, language),
        lambda: describe_reason(feature, math.nan, language),
        lambda: describe_meaning(feature, language),
        lambda: write_page(language),
        lambda: require_language(language),
    ]
    for ask in asked:
        with pytest.raises(InputError, match="the languages are en, ru, zh") as refused:
            ask()
        assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ru-KZ, ru;q=0.9", "ru"),
        ("kk, ru;q=0.8, en;q=0.7", "ru"),
        ("kk, uz", "en"),
        ("en;q=0.2, RU;q=0.9", "ru"),
        ("ru;q=0, zh", "zh"),
        ("ru;q=0", "en"),
        ("*", "en"),
        ("ru;q=0.5, *;q=0.1", "ru"),
        ("ru;q=0.5, zh;q=0.5", "ru"),
        ("ru;q=nan, zh;q=0.1", "zh"),
        ("ru;q=-1, zh;q=0.1", "zh"),
        ("ru;q=7, zh;q=0.1", "zh"),
        ("ru;q=², zh;q=0.1", "zh"),
        ("ru;q=., zh;q=0.1", "zh"),
        (";;;,,,q=1;=\x00", "en"),
        ("ru;level=1;q=0.3, zh;q=0.4", "zh"),
        ("xx," * 100_000 + "ru", "en"),
    ],
)
def test_the_language_that_a_request_likes_best(accepted: str, language: str) -> None:
    assert choose_language(accepted) == language
