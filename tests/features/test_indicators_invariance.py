"""What changes no indicator, what none of them feeds, and that the list, its queries and its page agree."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from string import Formatter

import duckdb
import pytest
import sqlglot

from datasets.store import open_ledger
from features.catalogue import CATALOGUE, read_sql
from features.indicators import catalogue
from features.indicators.catalogue import (
    BY_ID,
    INDICATORS,
    Indicator,
    find_indicator,
    paste_query,
    read_query,
)
from features.indicators.find import SCHEMA, find_indicators, make_tables
from features.seeds import mark_seeds
from features.seen import see
from tests.datasets.batches import Row
from tests.features.indicated import (
    AS_OF,
    KNOWN,
    START,
    Move,
    find_all,
    find_table,
    make_ledger,
    write_moves,
)
from tests.features.ledgers import (
    BANK,
    ETHEREUM,
    SPAM,
    TETHER,
    evm,
    import_claims,
    import_payments,
    import_rows,
)

ROOT = Path(__file__).resolve().parents[2]
LABELS = [
    ("market", "darknet_market"),
    ("mixer", "mixer"),
    ("x", "exchange"),
    ("y", "exchange"),
    ("z", "gambling"),
]


def busy_moves() -> list[Move]:
    """A year in which several indicators are shown, with chance payments around."""
    chance = random.Random(7)  # noqa: S311  (no secret)
    moves: list[Move] = [
        *((24.0 * k, f"p{k}", "collector", 40.0) for k in range(15)),
        (400, "collector", "boss", 590),
        *((500.0 + k, "boss", f"carrier {k}", 500.0) for k in range(3)),
        *((510.0 + k, f"carrier {k}", "till", 450.0) for k in range(3)),
        (520, "till", "x", 500), (521, "till", "y", 400), (522, "till", "z", 400),
        *((700.0 + k, "market", "vendor", 600.0) for k in range(3)),
        *(m for k in range(5) for m in (
            (1000 + 50.0 * k, f"buyer {k}", f"turn {k}", 100.0),
            (1020 + 50.0 * k, f"turn {k}", "safe", 95.0))),
        (2000, "mixer", "vendor", 800), (2024, "vendor", "market", 300),
        *((2100 + 10.0 * k, "cutter", f"c{k}", 950.0) for k in range(5)),
    ]  # fmt: skip
    for _ in range(200):
        payer, payee = chance.sample(range(30), 2)
        moves.append(
            (chance.randrange(3000) + 0.25, f"n{payer}", f"n{payee}", chance.choice((20.0, 400.0, 3000.0)))
        )
    return moves


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ledger(tmp_path_factory.mktemp("busy") / "l", busy_moves(), LABELS)


@pytest.fixture(scope="module")
def tables(busy: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with see(busy, AS_OF) as connection:
        mark_seeds(connection, AS_OF)
        make_tables(connection, AS_OF)
        yield connection


def test_enough_is_found_to_compare(busy: Path) -> None:
    assert {
        "darknet_counterparty", "fan_out_to_services", "fresh_rotation", "many_small_payers",
        "mixer_and_market", "scatter_gather", "structuring",
    } <= set(find_all(busy))  # fmt: skip


def test_a_row_is_complete(busy: Path) -> None:
    table, names = find_table(busy)
    assert table.schema == SCHEMA
    keys = [(row["indicator"], row["entity"]) for row in table.to_pylist()]
    place = {indicator.id: number for number, indicator in enumerate(INDICATORS)}
    assert keys == sorted(set(keys), key=lambda key: (place[key[0]], key[1]))
    for row in table.to_pylist():
        assert row["entity"] in names
        assert 0 < row["strength"] < 1 or row["strength"] == 1
        assert row["evidence"] == sorted(set(row["evidence"]))
        assert 0 < len(row["evidence"]) <= 20
        assert len(row["evidence"]) <= row["evidence_count"]
        assert "{" not in BY_ID[row["indicator"]].describe(json.loads(row["values"]))


def test_order_of_imports_and_threads_change_nothing(busy: Path, tmp_path: Path) -> None:
    payments = write_moves(busy_moves())
    ledger = tmp_path / "ledger.duckdb"
    import_claims(ledger, [(f"{BANK}:{who}", what, "1", KNOWN) for who, what in LABELS[::-1]])
    for number, part in enumerate((payments[150:], payments[:150])):
        import_payments(ledger, part[::-1], name=f"part{number}.csv")
    here, names = find_table(busy, threads=1)
    there, others = find_table(ledger, threads=2)
    assert here.equals(there)
    assert names == others


def test_what_comes_later_changes_nothing(busy: Path, tmp_path: Path) -> None:
    early = START + timedelta(hours=2050)
    ledger = make_ledger(tmp_path / "l", [m for m in busy_moves() if m[0] < 2050], LABELS)
    before, _ = find_table(busy, early)
    assert before.equals(find_table(ledger, early)[0])
    late = [(f"{BANK}:till", "exchange", "1", (early + timedelta(hours=1)).isoformat() + "Z")]
    import_claims(ledger, late, name="late.csv", recorded_at=early + timedelta(hours=2))
    assert before.equals(find_table(ledger, early)[0])
    assert not before.equals(find_table(ledger, early + timedelta(hours=2))[0])  # then the label counts
    assert not before.equals(find_table(busy)[0])


def test_what_strangers_write_into_a_history_triggers_nothing(tmp_path: Path) -> None:
    """Zero amounts, tokens that nobody listed, dust: in their number and order they would show several."""
    ledger = tmp_path / "ledger.duckdb"
    rows = []
    for minute in range(60):
        kinds = ((SPAM.reference, 10**30), (TETHER.reference, 0), (TETHER.reference, 1000))
        for position, (asset, amount) in enumerate(kinds):
            sides = (("market", amount),), (("victim", amount),)
            hash_ = bytes([minute, position]) * 16
            rows.append(Row(*sides, minute, hash_, asset, "token", height=minute, position=position))
    rows.append(
        Row(
            (("friend", 5),),
            (("victim", 5 * 10**6),),
            70,
            b"f" * 32,
            TETHER.reference,
            "token",
            height=70,
            position=0,
        )
    )
    import_rows(ledger, rows)
    import_claims(ledger, [(f"{ETHEREUM}:{evm('market')}", "darknet_market", "1", KNOWN)])
    assert find_all(ledger) == {}


def test_an_empty_ledger_shows_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True):
        pass
    table, _ = find_table(tmp_path / "ledger.duckdb")
    assert (table.num_rows, table.schema) == (0, SCHEMA)


def test_huge_amounts_are_no_obstacle(tmp_path: Path) -> None:
    huge = 10**38 - 1
    rows = []
    for number in range(60):
        payer, payee = (f"a{number}", "hub") if number % 2 else ("hub", f"b{number}")
        sides = ((payer, huge),), ((payee, huge),)
        rows.append(
            Row(*sides, number, bytes([number]) * 32, TETHER.reference, "token", height=number, position=0)
        )
    import_rows(tmp_path / "ledger.duckdb", rows)
    table, _ = find_table(tmp_path / "ledger.duckdb")
    assert all(0 < row["strength"] <= 1 for row in table.to_pylist())


# The list, its queries and its page.


def test_there_are_enough_and_each_has_its_query_and_nothing_else() -> None:
    assert len(BY_ID) == len(INDICATORS) >= 24
    here = {path.stem for path in (ROOT / "features" / "indicators").glob("*.sql")}
    assert here == set(BY_ID)


@pytest.mark.parametrize("indicator", INDICATORS, ids=lambda indicator: indicator.id)
def test_entry_is_complete(indicator: Indicator, tables: duckdb.DuckDBPyConnection) -> None:
    assert indicator.id.isidentifier()
    assert indicator.hypothesis == ("ypothesis" in indicator.source)
    for text in (
        indicator.meaning,
        indicator.near_miss,
        indicator.also,
        *(t.why for t in indicator.thresholds),
    ):
        assert len(text) >= 5
        assert not text.endswith(".")
    assert all(t.value > 0 for t in indicator.thresholds)
    query = tables.sql(read_query(indicator.id), params=indicator.parameters)
    assert query.columns[:4] == ["entity", "strength", "evidence", "evidence_count"]
    described = set(query.columns[4:])
    assert described <= set(indicator.values) <= described | set(indicator.parameters)
    assert sorted(tables.sql(paste_query(indicator)).fetchall()) == sorted(query.fetchall())
    for text in indicator.texts.values():
        assert {name for _, name, _, _ in Formatter().parse(text) if name} <= set(indicator.values)


@pytest.mark.parametrize("indicator", BY_ID)
def test_query_is_one_that_spark_can_take_too(indicator: str) -> None:
    statements = sqlglot.transpile(
        read_query(indicator),
        read="duckdb",
        write="spark",
        comments=False,
        unsupported_level=sqlglot.ErrorLevel.RAISE,
    )
    assert len(statements) == 1
    assert statements[0].startswith(("WITH", "SELECT"))
    assert "$" not in statements[0]
    for foreign in ("INT128", "HUGEINT", "EPOCH", "QUALIFY"):
        assert foreign not in statements[0].upper()


def test_page_is_in_step_with_the_list() -> None:
    page = (ROOT / "docs" / "indicators.md").read_text(encoding="utf-8")
    assert page == catalogue.write_page()
    assert all(page.count(f"`{name}`. ") == 1 for name in BY_ID)


def test_hypotheses_feed_neither_features_nor_rules_nor_models() -> None:
    """Nothing that makes features, scores or levels reads an indicator, least of all a hypothesis."""
    hypotheses = [indicator.id for indicator in INDICATORS if indicator.hypothesis]
    assert len(hypotheses) >= 6
    publishing = {"publish.py", "publish_indicators.py"}
    code = [path for path in (ROOT / "models").glob("*.py") if path.name not in publishing]
    code += (ROOT / "features").glob("*.py")
    texts = [path.read_text(encoding="utf-8") for path in [*code, ROOT / "features" / "catalogue.toml"]]
    texts += [read_sql(feature.sql) for feature in CATALOGUE if feature.sql is not None]
    assert len(code) > 20
    for text in texts:
        assert not any(name in text for name in hypotheses)
    for path in code:
        if path.name != "build.py":
            assert "indicators" not in path.read_text(encoding="utf-8"), path


def test_the_tables_of_a_build_stay_as_they_are(busy: Path) -> None:
    with see(busy, AS_OF) as connection:
        mark_seeds(connection, AS_OF)
        before = count_rows(connection)
        find_indicators(connection, AS_OF)
        after = count_rows(connection)
    assert before == {name: after[name] for name in before}
    assert set(after) - set(before) == {"category", "party", "relay"}


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'work'"
    ).fetchall()
    return {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]  # noqa: S608  (own tables)
        for (name,) in tables
    }


def test_words_of_a_language_that_is_not_there_are_english() -> None:
    indicator = find_indicator("mixer_use")
    values = {"side": "received", "mixed_share": 0.5, "total_usd": 1234.5}
    text = "50 % of what it received (1,234 USD) went directly through a mixer or CoinJoin"
    assert indicator.describe(values) == indicator.describe(values, "ru") == text
    unknown = "unknown of what it sent (unknown) went directly through a mixer or CoinJoin"
    assert indicator.describe({"side": "sent", "mixed_share": None, "total_usd": None}) == unknown
    assert find_indicator("gone").name("ru") == "gone"
    assert find_indicator("gone").describe({"n": 1}) == "not known to this version"


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        ("count", 1234, "1,234"), ("share", 0.555, "56 %"), ("share", 0.9999, "over 99 %"),
        ("share", 1, "100 %"), ("usd", 12.345, "12.35 USD"), ("usd", 12345.6, "12,346 USD"),
        ("hours", 24, "1 day"), ("hours", 36, "36 hours"), ("hours", 12, "12 hours"),
        ("hours", 0.5, "30 minutes"), ("days", 7, "7 days"), ("days", 1.55, "37.2 hours"),
        ("minutes", 0.2, "less than a minute"), ("minutes", 60, "1 hour"),
        ("word", "collector", "the collector"),
        ("text", "KZT", "KZT"), ("days", None, "unknown"),
    ],
)  # fmt: skip
def test_values_read_well(unit: str, value: float | str | None, words: str) -> None:
    assert catalogue.describe_value(unit, value) == words
