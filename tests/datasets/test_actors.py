"""ActorPacks: who the actors of tags are, added by query, whenever and in whatever order they come."""

from pathlib import Path

import pytest

from chains.errors import LabelError
from datasets.labels import StrictError, count_labels, import_label_files, import_labels, label_rows
from datasets.sources.actorpack import MOST_ENTRIES, read_actors
from datasets.splits import training_targets
from datasets.store import Ledger, open_ledger
from tests.datasets.claimed import RECORDED, bitcoin, day, write_csv
from tests.shared_data import shared_data

HEADER = "title: Actors\ncreator: Office of Actors\nlastmod: '2024-01-01'\n"
ACTOR = "- {id: corner, label: Corner Exchange, uri: corner.example, categories: [exchange]}\n"
TAGS = f"""
title: Tags
creator: Office of Tags
currency: BTC
source: https://example.org
label: hot wallet
confidence: forensic
lastmod: 2022-02-02
tags:
- {{address: {bitcoin(1)}, actor: corner}}
- {{address: {bitcoin(2)}, actor: corner, category: gambling}}
- {{address: {bitcoin(3)}, actor: nobody_knows}}
"""


def write_actors(path: Path, actors: str, header: str = HEADER) -> Path:
    path.write_text(header + "actors:\n" + actors, encoding="utf-8")
    return path


def write_tags(path: Path, text: str = TAGS) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def by_address(ledger: Ledger, **choice: object) -> dict[str, tuple[str, str, str, str]]:
    rows = label_rows(ledger, **choice).to_pylist()  # type: ignore[arg-type]
    return {
        row["caip10"].rpartition(":")[2]: (
            row["category"],
            row["said_category"],
            row["actor_name"],
            row["entity"],
        )
        for row in rows
    }


def test_an_actor_with_everything(tmp_path: Path) -> None:
    text = """
- id: corner
  label: Corner Exchange
  uri: corner.example
  categories: [organization, exchange]
  jurisdictions: [KZ, KG]
  lastmod: 2024-05-05
  aliases: [cornerx]
  context: {uris: [corner.test], twitter_handle: corner, aliases: [corner.example]}
- id: plain
  context: '{"twitter_handle": "plain"}'
"""
    full, plain = read_actors(write_actors(tmp_path / "a.yaml", text), licence="MIT").actors
    assert (full.position, full.actor, full.name, full.uri) == (
        "actor 1",
        "corner",
        "Corner Exchange",
        "corner.example",
    )
    assert (full.category, full.categories) == ("exchange", ("organization", "exchange"))
    assert (full.jurisdictions, full.aliases) == (("KZ", "KG"), ("corner.example", "cornerx"))
    assert (full.published_at, full.source) == (day(2024, 5, 5), "Office of Actors")
    assert (full.licence, full.may_export) == ("MIT", True)
    assert (plain.name, plain.category, plain.published_at) == ("plain", "unspecified", day(2024, 1, 1))
    assert plain.context == '{"twitter_handle": "plain"}'


@pytest.mark.parametrize("actors_first", [False, True])
def test_a_tag_without_a_category_gets_its_actors(tmp_path: Path, actors_first: bool) -> None:
    tags, actors = write_tags(tmp_path / "t.yaml"), write_actors(tmp_path / "a.yaml", ACTOR)
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        files = [("tagpack", tags), ("actorpack", actors)]
        for kind, path in reversed(files) if actors_first else files:
            done = import_labels(ledger, kind, path, recorded_at=RECORDED, licence="MIT")
            assert (done.labels, done.actors) == ((3, 0) if kind == "tagpack" else (0, 1))
        assert by_address(ledger) == {
            bitcoin(1): ("exchange", "unspecified", "Corner Exchange", "corner"),
            bitcoin(2): ("gambling", "gambling", "Corner Exchange", "corner"),
            bitcoin(3): ("unspecified", "unspecified", "", "nobody_knows"),
        }
        # What the tag said stays as it was said.
        said = ledger.connection.sql("SELECT category FROM label ORDER BY position").fetchall()
        assert said == [("unspecified",), ("gambling",), ("unspecified",)]
        assert import_labels(ledger, "actorpack", actors, recorded_at=RECORDED).already
        counts = {row["category"]: row["labels"] for row in count_labels(ledger, ["category"]).to_pylist()}
        assert counts == {"exchange": 1, "gambling": 1, "unspecified": 1}


def test_it_is_an_exchange_from_the_day_on_which_both_were_known(tmp_path: Path) -> None:
    later = write_actors(
        tmp_path / "b.yaml",
        ACTOR.replace("Corner Exchange", "Corner Mixer").replace("[exchange]", "[mixing_service]"),
        HEADER.replace("2024-01-01", "2025-01-01"),
    )
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for kind, path in (
            ("tagpack", write_tags(tmp_path / "t.yaml")),
            ("actorpack", later),
            ("actorpack", write_actors(tmp_path / "a.yaml", ACTOR)),
        ):
            import_labels(ledger, kind, path, recorded_at=RECORDED, licence="MIT")
        for moment, category in (
            (day(2023, 1, 1), "unspecified"),
            (day(2024, 6, 1), "exchange"),
            (day(2025, 6, 1), "mixer"),
        ):
            found = by_address(ledger, published_before=moment)
            assert found[bitcoin(1)][0] == category
            assert found[bitcoin(2)][0] == "gambling"
        assert by_address(ledger)[bitcoin(1)][:3] == ("mixer", "unspecified", "Corner Mixer")
        assert label_rows(ledger).num_rows == 3
        dates = ledger.connection.sql(
            "SELECT category, published_at, withdrawn_at FROM attributed_label "
            "WHERE said_category <> category ORDER BY published_at"
        ).fetchall()
        assert dates == [
            ("exchange", day(2024, 1, 1), day(2025, 1, 1)),
            ("mixer", day(2025, 1, 1), None),
        ]


def test_an_alias_calls_the_same_actor_unless_it_is_anothers_id(tmp_path: Path) -> None:
    actors = ACTOR.replace("uri:", "aliases: [cornerx, square], uri:")
    actors += "- {id: square, label: Square Dice, categories: [gambling]}\n"
    tags = TAGS.replace("actor: nobody_knows", "actor: square").replace("actor: corner}", "actor: cornerx}")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "tagpack", write_tags(tmp_path / "t.yaml", tags), recorded_at=RECORDED)
        import_labels(ledger, "actorpack", write_actors(tmp_path / "a.yaml", actors), recorded_at=RECORDED)
        found = by_address(ledger)
        assert found[bitcoin(1)][::2] == ("exchange", "Corner Exchange")
        assert found[bitcoin(3)][::2] == ("gambling", "Square Dice")


def test_the_stricter_of_two_licences_holds(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        tags = write_tags(tmp_path / "t.yaml")
        import_labels(ledger, "tagpack", tags, recorded_at=RECORDED, licence="MIT")
        assert training_targets(ledger, known_before=None).num_rows == 1
        actors = write_actors(tmp_path / "a.yaml", ACTOR)
        import_labels(ledger, "actorpack", actors, recorded_at=RECORDED)
        rows = {row["caip10"].rpartition(":")[2]: row for row in label_rows(ledger).to_pylist()}
        assert not rows[bitcoin(1)]["may_export"]
        assert rows[bitcoin(2)]["may_export"]  # the actor adds nothing to what this one says
        # A category that may not be learnt from makes no target.
        assert training_targets(ledger, known_before=None)["category"].to_pylist() == ["gambling"]
        open_pack = write_actors(tmp_path / "b.yaml", ACTOR, HEADER.replace("2024-01-01", "2024-01-02"))
        import_labels(ledger, "actorpack", open_pack, recorded_at=RECORDED, licence="MIT")
        learnt = training_targets(ledger, known_before=None)["category"].to_pylist()
        assert sorted(learnt) == ["exchange", "gambling"]


def test_the_same_description_is_not_written_twice(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "actorpack", write_actors(tmp_path / "a.yaml", ACTOR), recorded_at=RECORDED)
        more = ACTOR + "- {id: dice, label: Dice, categories: [gambling]}\n"
        newer = write_actors(tmp_path / "b.yaml", more, HEADER.replace("2024-01-01", "2024-06-06"))
        done = import_labels(ledger, "actorpack", newer, recorded_at=RECORDED)
        assert (done.actors, done.known) == (1, 1)


def test_each_bad_actor_is_reported_under_its_number(tmp_path: Path) -> None:
    actors = f"""
- {{id: good, label: Good}}
- just a word
- {{label: no id}}
- {{id: good, label: Again}}
- {{id: [1, 2], label: X}}
- {{id: a1, categories: exchange}}
- {{id: a2, lastmod: yesterday}}
- {{id: a3, context: '{{"a": '}}
- {{id: a4, context: '[1]'}}
- {{id: a5, aliases: [{", ".join(["x"] * (MOST_ENTRIES + 1))}]}}
- {{id: a6, label: {"x" * 501}}}
- {{id: a7, categories: [[exchange]]}}
- {{id: a8, context: '{"[" * 30000}'}}
- {{id: a9, context: {{k: {"x" * 60_000}}}}}
- {{id: 1e400, label: Infinity}}
"""
    path = write_actors(tmp_path / "a.yaml", actors)
    found = read_actors(path)
    assert [(one.position, one.reason) for one in found.rejected] == [
        ("actor 2", "not_an_actor"),
        ("actor 3", "no_id"),
        ("actor 4", "repeated_id"),
        ("actor 5", "not_text"),
        ("actor 6", "not_a_list"),
        ("actor 7", "bad_date"),
        ("actor 8", "bad_context"),
        ("actor 9", "bad_context"),
        ("actor 10", "too_long"),
        ("actor 11", "too_long"),
        ("actor 12", "not_text"),
        ("actor 13", "bad_context"),
        ("actor 14", "too_long"),
    ]
    assert [actor.actor for actor in found.actors] == ["good", "1e400"]
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        fine = write_actors(tmp_path / "fine.yaml", ACTOR)
        with pytest.raises(StrictError, match="13 entries would be rejected, the first is actor 2"):
            import_label_files(ledger, "actorpack", [fine, path], recorded_at=RECORDED, strict=True)
        assert ledger.connection.sql("SELECT count(*) FROM actor").fetchall() == [(0,)]
        import_labels(ledger, "actorpack", path, recorded_at=RECORDED)
        assert ledger.connection.sql("SELECT count(*) FROM label_rejection").fetchall() == [(13,)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tags:\n- {address: x}\n", "a TagPack, not an ActorPack"),
        ("title: x\n", "no list of actors"),
        ("actors: 7\n", "no list of actors"),
        ("actors: []\n", "it holds no actor"),
        ("actors: &a [{id: x}]\nmore: *a\n", "aliases"),
        ("actors: [!!python/object:os.system {}]\n", "YAML tag"),
        ("creator: [1]\nactors: [{id: x}]\n", "creator"),
        ("actors:\n- id: x\n  label: 'half", "not readable as an ActorPack"),
        ("actors: " + "[" * 100_000, "nested too deep"),
        ("- 1\n", "fields at its top"),
    ],
)
def test_what_is_no_actorpack_is_refused_whole(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content, "utf-8")
    with (
        open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger,
        pytest.raises(LabelError, match=message),
    ):
        import_labels(ledger, "actorpack", path, recorded_at=RECORDED)


def test_labels_of_other_sources_have_no_actor(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", "account,category,entity", f"{bitcoin(1)},unspecified,corner")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        import_labels(ledger, "csv", path, recorded_at=RECORDED)
        import_labels(ledger, "actorpack", write_actors(tmp_path / "a.yaml", ACTOR), recorded_at=RECORDED)
        assert by_address(ledger)[bitcoin(1)] == ("unspecified", "unspecified", "", "corner")


@pytest.mark.shared
def test_the_real_actors(tmp_path: Path) -> None:
    path = shared_data() / "labels" / "tagpacks" / "actors" / "graphsense.actorpack.yaml"
    found = read_actors(path, licence="MIT")
    assert (len(found.actors), found.rejected) == (3813, [])
    roles = {actor.actor: actor.category for actor in found.actors}
    wanted = {"binance": "exchange", "hydramarket": "darknet_market", "uniswap": "dex", "sinbadio": "mixer"}
    assert {name: roles.get(name) for name in wanted} == wanted
