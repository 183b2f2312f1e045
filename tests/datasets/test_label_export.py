"""What leaves the installation: only what may, in files that others can read, whatever the texts hold."""

import csv
import io
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from chains.errors import FileError, InputError
from datasets.label_export import export_labels
from datasets.labels import import_labels, label_rows
from datasets.sources.actorpack import read_actors
from datasets.sources.packwriter import concepts_of, confidence_word, quoted
from datasets.sources.tagpack import read_labels
from datasets.store import Ledger, open_ledger
from datasets.taxonomy import load_taxonomy
from tests.datasets.claimed import RECORDED, Party, bitcoin, day, evm, tron, write_csv, write_sdn

COLUMNS = "account,category,entity,name,source,reference,confidence,published_at,licence,substances"
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "-1+1",
    "+1",
    "'quoted",
    "'=already",
    'quo"te, and comma',
    "no",
    "1e3",
    "2024-05-05",
    "~",
    "!!python/object:os.system",
    "&a *a",
    "- - -",
    "{a: b}",
    "#comment",
    "back\\slash\\n",
    "Рынок «Гидра»",
    "毒品 🥶",
    "\u00e9\u0301",
]
# The fields that GraphSense's schemata of tags and actors know, and those that they want.
TAG_FIELDS = {
    "label",
    "source",
    "currency",
    "network",
    "context",
    "confidence",
    "is_cluster_definer",
    "lastmod",
    "category",
    "abuse",
    "address",
    "actor",
    "concepts",
}
TAG_WANTED = {"address", "label", "source", "currency", "network", "confidence"}
ACTOR_FIELDS = {"id", "uri", "label", "lastmod", "categories", "jurisdictions", "context"}


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as opened:
        yield opened


def fill(ledger: Ledger, folder: Path) -> None:
    """Three kinds of source, several chains, actors, hostile texts, and what may not go."""
    sdn = write_sdn(folder / "sdn.xml", [Party("Hydra|Market", ["CYBER2"], [("XBT", bitcoin(90))])])
    import_labels(ledger, "ofac", sdn, recorded_at=RECORDED)
    tags = f"""
title: Tags
creator: Office of Tags
source: https://example.org
confidence: ownership
lastmod: 2022-02-02
tags:
- {{address: {bitcoin(1)}, currency: BTC, label: a wallet, actor: corner}}
- {{address: "{evm(2)}", currency: USDT, network: ETH, label: thieves, abuse: service_hack}}
- {{address: "{evm(2)}", currency: USDC, network: ETH, label: thieves, category: gambling}}
- {{address: "{evm(2)}", currency: ETH, label: thieves, abuse: service_hack, confidence: heuristic}}
- {{address: {tron(3)}, currency: USDT, network: TRX, label: shop, category: shop, abuse: drugs}}
"""
    (folder / "tags.yaml").write_text(tags, "utf-8")
    import_labels(ledger, "tagpack", folder / "tags.yaml", recorded_at=RECORDED, licence="MIT")
    actors = """
title: Actors
creator: Office of Actors
lastmod: 2022-01-01
actors:
- id: corner
  label: 'Corner: "Exchange"'
  uri: corner.example
  categories: [exchange, no_such_word]
  jurisdictions: [KZ, XX]
  context: {twitter_handle: corner, uris: ["https://corner.example", ""], surprise: {deep: [1]}}
- {id: the-corner, label: Another, uri: a.example, categories: [], aliases: [corner, cornr]}
- {id: thecorner, label: In the way, uri: b.example}
- {id: nowhere, label: Without an address on the web}
"""
    (folder / "actors.yaml").write_text(actors, "utf-8")
    import_labels(ledger, "actorpack", folder / "actors.yaml", recorded_at=RECORDED, licence="MIT")
    rows = [
        [bitcoin(100 + n), "drug_vendor", text, text, text, text, "0.65", "", "MIT", "heroin;mephedrone"]
        for n, text in enumerate(f"'{text}" if text[0] in "=+-@'" else text for text in HOSTILE)
    ]
    rows.append([bitcoin(200), "scam", "", "secret", "own", "", "", "", "own", ""])
    rows.append(
        ["payments:bank:KZ12", "drop_account", "", "", "own", "", "1", "2024-05-05T06:07:08Z", "MIT", ""]
    )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS.split(","), *rows])
    (folder / "own.csv").write_text(text.getvalue(), "utf-8")
    import_labels(ledger, "csv", folder / "own.csv", recorded_at=RECORDED)


def load(path: Path) -> dict[str, Any]:
    """Read as GraphSense does; a key that stands twice would be lost."""
    found = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def check_entries(entries: list[dict[str, Any]], known: set[str], wanted: set[str]) -> None:
    """GraphSense's rules for the fields of tags and actors, and for their words."""
    taxonomy = load_taxonomy()
    for entry in entries:
        assert wanted <= set(entry) <= known
        for name, value in entry.items():
            if name in {"concepts", "categories", "jurisdictions"}:
                assert isinstance(value, list)
                assert all(isinstance(word, str) and word for word in value)
            elif name == "is_cluster_definer":
                assert value is True
            elif name == "lastmod":
                assert isinstance(value, datetime) or value.isoformat()
            else:
                assert isinstance(value, str)
                assert value.strip()
        words = [entry[name] for name in ("category", "abuse") if name in entry]
        words += entry.get("concepts", []) + entry.get("categories", [])
        assert set(words) <= taxonomy.graphsense_concepts
        assert entry.get("confidence", "unknown") in taxonomy.graphsense_confidence
        assert set(entry.get("jurisdictions", [])) <= taxonomy.countries


def test_a_tagpack_holds_to_the_rules_of_graphsense(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    done = export_labels(ledger, "tagpack", tmp_path / "out.yaml")
    assert (done.written, done.held_back, done.merged, done.unfit) == (len(HOSTILE) + 5, 1, 1, 1)
    pack = load(tmp_path / "out.yaml")
    assert set(pack) == {"title", "creator", "description", "tags"}
    assert pack["creator"] == "Silkscreen"
    tags = pack["tags"]
    check_entries(tags, TAG_FIELDS, TAG_WANTED)
    # GraphSense keeps one tag for each address, network, label and source.
    keys = {(tag["address"], tag["network"], tag["label"].strip(), tag["source"]) for tag in tags}
    assert len(keys) == len(tags) == done.written
    by_address = {(tag["address"], tag["label"]): tag for tag in tags}
    hydra = by_address[bitcoin(90), "Digital Currency Address - XBT"]
    assert (hydra["category"], hydra["abuse"], hydra["confidence"]) == ("market", "drugs", "authority_data")
    assert '"programmes": ["CYBER2"]' in hydra["context"]
    wallet = by_address[bitcoin(1), "a wallet"]
    assert (wallet["category"], wallet["actor"], wallet["confidence"]) == ("exchange", "corner", "ownership")
    # Two that contradict each other both go out, and the less certain repetition of one does not.
    assert by_address[evm(2), "thieves"]["category"] == "gambling"
    assert by_address[evm(2), "thieves (Theft, 2)"]["abuse"] == "service_hack"
    assert by_address[evm(2), "thieves (Theft, 2)"]["confidence"] == "ownership"
    assert by_address[tron(3), "shop"]["network"] == "TRX"
    vendor = by_address[bitcoin(100), HOSTILE[0]]
    assert (vendor["category"], vendor["abuse"], vendor["confidence"]) == ("perpetrator", "drugs", "forensic")
    assert '"substances": ["heroin", "mephedrone"]' in vendor["context"]
    assert "lastmod" not in vendor
    assert "secret" not in (tmp_path / "out.yaml").read_text("utf-8")


def test_what_went_out_comes_in_again(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    export_labels(ledger, "tagpack", tmp_path / "out.yaml")
    found = read_labels(tmp_path / "out.yaml", licence="MIT")
    assert found.rejected == []
    assert {label.name for label in found.labels} >= set(HOSTILE)
    rows = [
        row for row in label_rows(ledger).to_pylist() if row["may_export"] and row["chain"] != "payments:bank"
    ]
    groups = load_taxonomy().by_id
    # Drugs stay drugs, and a date and a confidence never get better on the way.
    came = {(label.account.caip10, groups[label.category].group) for label in found.labels}
    assert came == {(row["caip10"], row["group"]) for row in rows}
    best: dict[str, float] = {}
    for row in rows:
        best[row["caip10"]] = max(best.get(row["caip10"], 0), row["confidence"])
    assert all(label.confidence <= best[label.account.caip10] for label in found.labels)
    dates = {(row["caip10"], row["published_at"]) for row in rows}
    assert {(label.account.caip10, label.published_at) for label in found.labels} <= dates
    assert {label.category for label in found.labels} == {
        "darknet_market",
        "drug_trafficking",
        "exchange",
        "gambling",
        "theft",
        "vendor_shop",
    }


def test_an_actorpack_holds_to_the_rules_of_graphsense(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    done = export_labels(ledger, "actorpack", tmp_path / "out.actorpack.yaml")
    # One has no address on the web, and one cannot be told from another by its letters and digits.
    assert (done.written, done.held_back, done.unfit) == (2, 0, 2)
    pack = load(tmp_path / "out.actorpack.yaml")
    assert pack["creator"] == "Office of Actors"
    check_entries(pack["actors"], ACTOR_FIELDS, ACTOR_FIELDS - {"context"})
    corner, other = pack["actors"]
    assert (corner["label"], corner["categories"]) == ('Corner: "Exchange"', ["exchange"])
    assert corner["jurisdictions"] == ["KZ"]
    assert corner["context"] == '{"twitter_handle": "corner", "uris": ["https://corner.example"]}'
    assert (other["id"], other["categories"]) == ("thecorner", ["entity"])
    again = read_actors(tmp_path / "out.actorpack.yaml")
    assert [actor.actor for actor in again.actors] == ["corner", "thecorner"]
    assert again.rejected == []


def test_a_csv_comes_in_as_it_went_out(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    done = export_labels(ledger, "csv", tmp_path / "out.csv")
    assert (done.written, done.held_back) == (len(HOSTILE) + 7, 1)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        for cell in (cell for row in csv.reader(file) for cell in row):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    with open_ledger(tmp_path / "second.duckdb", write=True) as second:
        result = import_labels(second, "csv", tmp_path / "out.csv", recorded_at=RECORDED)
        assert (result.labels, result.rejected) == (done.written, [])
        kept = ["caip10", "category", "entity", "name", "source", "reference", "confidence", "published_at"]
        kept += ["licence", "may_export", "may_train", "cluster_definer", "substances"]

        def said(of: Ledger) -> list[str]:
            rows = label_rows(of).select(kept).to_pylist()
            return sorted(map(repr, (row for row in rows if row["may_export"])))

        assert said(second) == said(ledger)


def test_claims_are_chosen_by_source_category_and_chain(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    chosen: list[tuple[dict[str, Any], int]] = [
        ({"sources": ["Office of Tags"]}, 5),
        ({"sources": ["Office of Tags", "OFAC SDN"]}, 6),
        ({"categories": ["exchange"]}, 1),
        ({"chains": ["eip155:1"]}, 3),
        ({"chains": ["eip155:1"], "categories": ["theft"]}, 2),
    ]
    for number, (choice, count) in enumerate(chosen):
        assert export_labels(ledger, "csv", tmp_path / f"{number}.csv", **choice).written == count
    pack = tmp_path / "one.yaml"
    export_labels(ledger, "tagpack", pack, sources=["Office of Tags"])
    assert load(pack)["creator"] == "Office of Tags"
    export_labels(ledger, "tagpack", pack, force=True, creator="Us: #1", title="T\u2028'\"")
    assert (load(pack)["creator"], load(pack)["title"]) == ("Us: #1", "T\u2028'\"")


def test_nothing_is_overwritten_unasked_and_nothing_half_written(tmp_path: Path, ledger: Ledger) -> None:
    fill(ledger, tmp_path)
    path = tmp_path / "out" / "labels.csv"
    path.parent.mkdir()
    path.write_text("mine", "utf-8")
    with pytest.raises(FileError, match="give --force"):
        export_labels(ledger, "csv", path)
    for wrong in ("nonsense", "xml"):
        with pytest.raises(InputError, match=f"'{wrong}' is no format"):
            export_labels(ledger, wrong, path, force=True)
    with pytest.raises(InputError, match="1 claim may not leave the installation"):
        export_labels(ledger, "csv", path, sources=["own"], categories=["scam"], force=True)
    with pytest.raises(InputError, match="there is none"):
        export_labels(ledger, "csv", path, categories=["mixer"], force=True)
    with pytest.raises(InputError, match="none of 1 claim has a place in a tagpack"):
        export_labels(ledger, "tagpack", path, categories=["drop_account"], force=True)
    with pytest.raises(InputError, match="no chain"):
        export_labels(ledger, "actorpack", path, chains=["eip155:1"], force=True)
    with pytest.raises(FileError, match="a folder"):
        export_labels(ledger, "csv", path.parent, force=True)
    with pytest.raises(FileError, match="cannot be written"):
        export_labels(ledger, "csv", tmp_path / "absent" / "x.csv")
    assert path.read_text("utf-8") == "mine"
    export_labels(ledger, "csv", path, force=True)
    assert path.read_text("utf-8").startswith("account,category")
    assert os.listdir(path.parent) == ["labels.csv"]  # noqa: PTH208


def test_every_category_has_words_of_graphsense_that_keep_its_group() -> None:
    taxonomy = load_taxonomy()
    lost = []
    for category in taxonomy.categories:
        fields = concepts_of(category, taxonomy)
        words = {fields.get("category"), fields.get("abuse"), *fields["concepts"]} - {None}
        assert words <= taxonomy.graphsense_concepts
        assert fields.get("abuse", "drugs") in taxonomy.graphsense_abuses
        assert fields.get("category") not in taxonomy.graphsense_abuses
        back = taxonomy.by_graphsense[fields.get("abuse") or fields["category"]]
        if taxonomy.by_id[back].group != category.group:
            lost.append(category.id)
    assert lost == []


def test_confidence_is_never_overstated() -> None:
    taxonomy = load_taxonomy()
    for kind in ("csv", "ofac", "ftm", "events", "tagpack"):
        for hundredth in range(101):
            word = confidence_word(kind, hundredth / 100, taxonomy)
            level = taxonomy.graphsense_confidence[word]
            assert level <= hundredth / 100 or word == "unknown"
    assert confidence_word("csv", 1.0, taxonomy) == "forensic_investigation"
    assert confidence_word("events", 1.0, taxonomy) == "ledger_immanent"


@pytest.mark.parametrize(
    "text", [*HOSTILE, "\x00\x1b[31m", "\ufeff\u2028\u2029\x85\u202e", "\U000e0001", "a\r\nb"]
)
def test_any_text_is_one_scalar(text: str) -> None:
    written = quoted(text)
    assert written.isprintable()
    assert yaml.safe_load(f"x: {written}\n") == {"x": text}


def test_an_export_does_not_depend_on_the_order_of_imports(tmp_path: Path) -> None:
    rows = [f"{bitcoin(n)},scam,,name {n % 3},S{n % 2},ref,0.{n},2024-01-0{n},MIT," for n in range(1, 9)]
    rows += [row.replace("0.", "0.0") for row in rows]
    texts = []
    for number, order in enumerate((rows, rows[::-1])):
        with open_ledger(tmp_path / f"{number}.duckdb", write=True) as ledger:
            for place, row in enumerate(order):
                path = write_csv(tmp_path / f"{row[:40].replace(',', '_')}_{place}.csv", COLUMNS, row)
                import_labels(ledger, "csv", path, recorded_at=day(2026, 1, 1))
            export_labels(ledger, "tagpack", tmp_path / f"{number}.yaml")
        texts.append((tmp_path / f"{number}.yaml").read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_what_goes_out_passes_graphsenses_own_validation(tmp_path: Path, ledger: Ledger) -> None:
    from benchmarks.peer import make_peer

    validate = make_peer("graphsense-tagpack") / "graphsense-cli"
    fill(ledger, tmp_path)
    export_labels(ledger, "actorpack", tmp_path / "out.actorpack.yaml")
    export_labels(ledger, "tagpack", tmp_path / "out.yaml", sources=["Office of Tags", "OFAC SDN", *HOSTILE])
    home = shutil.copytree(tmp_path, tmp_path / "packs", ignore=lambda *_: ["packs", "ledger.duckdb"])

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(validate), "tagpack-tool", *words]
        return subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)

    actors = run("actorpack", "validate", "out.actorpack.yaml")
    assert actors.returncode == 0, actors.stderr
    tags = run(
        "tagpack",
        "validate",
        "out.yaml",
        "--check-actor-references",
        "--actorpack-path",
        "out.actorpack.yaml",
    )
    assert tags.returncode == 0, tags.stderr
    assert "1/1 TagPacks passed" in tags.stdout + tags.stderr
    # The validator is one that refuses.
    text = (home / "out.yaml").read_text("utf-8").replace('confidence: "forensic"', 'confidence: "sure"', 1)
    (home / "wrong.yaml").write_text(text, "utf-8")
    assert run("tagpack", "validate", "wrong.yaml").returncode != 0
