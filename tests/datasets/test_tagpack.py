"""TagPacks: a tag is a label or is reported under its number; what others wrote is never trusted."""

import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from chains.errors import LabelError
from datasets.labels import import_labels, label_rows
from datasets.sources.actorpack import read_actors
from datasets.sources.claims import NOBODY
from datasets.sources.tagpack import read_labels
from datasets.store import open_ledger
from tests.datasets.claimed import RECORDED, bitcoin, day, evm, tron
from tests.shared_data import shared_data

HEADER = """
title: Invented pack
creator: Office of Inventions
description: nothing of a tag
source: https://example.org/list
currency: BTC
confidence: forensic
lastmod: 2024-03-02
label: Corner Exchange
category: exchange
"""


def write_pack(folder: Path, tags: str, header: str = HEADER) -> Path:
    path = folder / "invented.yaml"
    path.write_text(header + "tags:\n" + tags, encoding="utf-8")
    return path


def test_a_tag_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    tags = f"- address: {bitcoin(1)}\n"
    (label,) = read_labels(write_pack(tmp_path, tags)).labels
    assert label.position == "tag 1"
    assert label.account.caip10 == f"bip122:000000000019d6689c085ae165831e93:{bitcoin(1)}"
    assert label.category == "exchange"
    assert label.name == "Corner Exchange"
    assert label.entity == ""
    assert label.source == "Office of Inventions"
    assert label.reference == "https://example.org/list"
    assert label.confidence == 0.5
    assert label.published_at == day(2024, 3, 2)
    assert (label.licence, label.may_export, label.may_train) == ("not stated", False, False)
    assert label.programmes == ()


def test_a_tag_overrules_its_pack(tmp_path: Path) -> None:
    tags = f"""
- address: "{evm(2)}"
  currency: ETH
  label: Robbers
  abuse: ransomware
  confidence: web_crawl
  source: https://example.org/two
  lastmod: 2024-04-05 06:07:08.9
  actor: robbers_inc
  is_cluster_definer: true
  creator: Somebody Else
"""
    (label,) = read_labels(write_pack(tmp_path, tags), licence="MIT").labels
    assert label.account.caip10 == f"eip155:1:{evm(2)}"
    assert (label.category, label.name, label.entity) == ("ransomware", "Robbers", "robbers_inc")
    assert (label.confidence, label.reference) == (0.2, "https://example.org/two")
    assert label.published_at == datetime(2024, 4, 5, 6, 7, 8, 900_000)  # noqa: DTZ001
    assert label.cluster_definer
    assert label.source == "Office of Inventions"
    assert (label.licence, label.may_export, label.may_train) == ("MIT", True, True)


def test_a_label_of_a_whole_cluster_names_its_owner(tmp_path: Path) -> None:
    tags = f"- {{address: {bitcoin(1)}, is_cluster_definer: true}}\n- address: {bitcoin(2)}\n"
    definer, single = read_labels(write_pack(tmp_path, tags)).labels
    assert (definer.entity, single.entity) == ("Corner Exchange", "")


@pytest.mark.parametrize(
    ("fields", "category"),
    [
        ("category: mixing_service", "mixer"),
        ("category: exchange, abuse: scam", "scam"),
        ("category: market", "marketplace"),
        ("category: market, label: AlphaBayMarket", "darknet_market"),
        ("category: user, label: Hydra Market, abuse: sanction", "darknet_market"),
        ("category: market, label: Hydra Market, abuse: scam", "scam"),
        ("category: user", "unspecified"),
        ("category: no_such_term", "unspecified"),
        ("category: user, concepts: [defi_dex]", "dex"),
        ("category: black_list", "frozen"),
        ("category: user, label: Asset on the OFAC Sanctions List", "unspecified"),
        ("abuse: sextortion", "blackmail"),
    ],
)
def test_terms_of_graphsense(tmp_path: Path, fields: str, category: str) -> None:
    header = HEADER.replace("category: exchange", "")
    pack = write_pack(tmp_path, f"- {{address: {bitcoin(1)}, {fields}}}\n", header)
    (label,) = read_labels(pack).labels
    assert label.category == category
    assert label.programmes == ()


def test_each_bad_tag_is_reported_under_its_number(tmp_path: Path) -> None:
    tags = f"""
- address: {bitcoin(1)}
- address: {bitcoin(1)[:-1]}
- address: "{evm(1)}"
  currency: GMTX
- address: "0x0000000000000000000000000000000000000000"
  currency: ETH
- just text
- label: no address here
- address: {bitcoin(2)}
  lastmod: "sometime"
- address: {bitcoin(2)}
  confidence: very sure
- address: {bitcoin(2)}
  label: {"x" * 501}
- address: {bitcoin(2)}
  label: [a, b]
- address: {tron(3)}
  currency: USDT
"""
    found = read_labels(write_pack(tmp_path, tags))
    assert [label.position for label in found.labels] == ["tag 1", "tag 11"]
    assert [(rejection.position, rejection.reason) for rejection in found.rejected] == [
        ("tag 2", "bad_address"),
        ("tag 3", "unknown_chain"),
        ("tag 4", "nobodys_address"),
        ("tag 5", "not_a_tag"),
        ("tag 6", "no_address"),
        ("tag 7", "bad_date"),
        ("tag 8", "bad_confidence"),
        ("tag 9", "too_long"),
        ("tag 10", "not_text"),
    ]
    assert bitcoin(1)[:-1] in found.rejected[0].detail


def test_the_network_decides_before_the_currency(tmp_path: Path) -> None:
    tags = f'- {{address: "{evm(1)}", currency: USDT, network: BSC}}\n'
    tags += f'- {{address: "{evm(1)}", currency: USDT}}\n'
    labels = read_labels(write_pack(tmp_path, tags)).labels
    assert [label.account.chain.caip2 for label in labels] == ["eip155:56", "eip155:1"]


def test_hex_without_quotation_marks_is_an_address_still(tmp_path: Path) -> None:
    tags = f"- {{address: {evm(5)}, currency: ETH}}\n"
    assert read_labels(write_pack(tmp_path, tags)).labels[0].account.address == evm(5)


def test_words_of_yaml_stay_words(tmp_path: Path) -> None:
    tags = f"- {{address: {bitcoin(1)}, label: no, actor: 012, source: ~}}\n"
    (label,) = read_labels(write_pack(tmp_path, tags)).labels
    assert (label.name, label.entity, label.reference) == ("no", "012", "")


def test_an_actor_known_for_its_role_decides(tmp_path: Path) -> None:
    tags = f"- {{address: {bitcoin(1)}, category: market, label: roots, actor: hydra_market}}\n"
    assert read_labels(write_pack(tmp_path, tags)).labels[0].category == "darknet_market"


def test_addresses_that_nobody_owns_are_addresses() -> None:
    from chains.address import candidate_accounts

    assert {candidate_accounts(text)[0].address for text in NOBODY} == set(NOBODY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("actors:\n- id: somebody\n", "an ActorPack"),
        ("- a\n- b\n", "must have fields"),
        ("title: x\ntags: none\n", "no list of tags"),
        ("title: [unclosed\n", "not readable as a TagPack"),
        ("title: \x00\n", "not readable as a TagPack"),
        ("", "0 YAML documents"),
        ("title: !!python/name:os.getcwd x\ntags: []\n", "YAML tag"),
        ("a: 1\n---\nb: 2\n", "2 YAML documents"),
        ("? [a]\n: b\n", "not a text"),
        ("a: &a [x]\ntags:\n- address: *a\n", "aliases"),
        ("title: x\ntags: []\n", "holds no label"),
    ],
)
def test_what_is_no_tagpack_is_refused_whole(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pack.yaml"
    path.write_text(content, encoding="utf-8")
    with (
        open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger,
        pytest.raises(LabelError, match=f"pack.yaml: .*{message}"),
    ):
        import_labels(ledger, "tagpack", path, recorded_at=RECORDED)


@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_nesting_that_would_end_the_process_is_refused(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("tags: [x]\nmore:\n  " + opening * 200_000, encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from chains.errors import LabelError\n"
        "from datasets.sources.tagpack import read_labels\n"
        "try: read_labels(Path(sys.argv[1]))\nexcept LabelError: sys.exit(7)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 7


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (f"address: {bitcoin(1)}, confidence: 1e400", "bad_confidence"),
        (f"address: {bitcoin(1)}, lastmod: {'9' * 400}", "bad_date"),
        (f"address: {bitcoin(1)}, lastmod: 99999-01-01", "bad_date"),
        (f"address: {bitcoin(1)}, label: {'x' * 501}", "too_long"),
        (f"address: {bitcoin(1)}, label: {{a: {{b: c}}}}", "not_text"),
        (f"address: {bitcoin(1)}, actor: [a]", "not_text"),
        (f"address: [{bitcoin(1)}]", "not_text"),
        (f"address: {'9' * 400}", "bad_address"),
        (f"address: {bitcoin(1)[:-1]}", "bad_address"),
        ('address: "\\0\\x1b[31m"', "bad_address"),
        (f"address: {bitcoin(1)}, currency: {'Q' * 400}", "unknown_chain"),
        ("label: nowhere", "no_address"),
    ],
)
def test_a_hostile_tag_is_reported_and_its_neighbours_are_not(tmp_path: Path, tag: str, reason: str) -> None:
    good = f"- {{address: {bitcoin(5)}}}\n"
    found = read_labels(write_pack(tmp_path, f"{good}- {{{tag}}}\n{good}"))
    assert [(one.position, one.reason) for one in found.rejected] == [("tag 2", reason)]
    assert len(found.labels) == 2
    assert found.rejected[0].detail.isprintable()
    assert len(found.rejected[0].detail) < 300


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00tags",
        HEADER.encode() + b"tags:\n- address: \xc3\x28\n",
        HEADER.encode() + b"tags:\n- address: 'half",
        HEADER.encode() + b"tags:\n- \x01\n",
        HEADER.encode() + b"tags: !!set {a, b}\n",
        HEADER.encode() + b"tags:\n- &a [*a]\n",
        b"!!python/object/apply:os.system ['true']\n",
    ],
)
def test_a_hostile_pack_is_refused_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "invented.yaml"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"invented\.yaml: not"):
        read_labels(path)


@pytest.mark.parametrize(
    ("twice", "field"),
    [
        (f"address: {bitcoin(2)}\n  address: {bitcoin(3)}", "address"),
        (f"address: {bitcoin(2)}\n  label: Good\n  label: Bad", "label"),
        (f"address: {bitcoin(2)}\n  'label': Good\n  label:", "label"),
        (f"address: {bitcoin(2)}\n  context: {{a: 1, a: 2}}", "a"),
        (f"address: {bitcoin(2)}\n  context: [[{{b: 1, b: 2}}], 1]\n  label: Good", "b"),
    ],
)
def test_a_field_that_stands_twice_in_a_tag_refuses_the_tag(tmp_path: Path, twice: str, field: str) -> None:
    tags = f"- address: {bitcoin(1)}\n- {twice}\n- address: {bitcoin(4)}\n"
    found = read_labels(write_pack(tmp_path, tags))
    assert [label.account.address for label in found.labels] == [bitcoin(1), bitcoin(4)]
    assert [(one.position, one.reason) for one in found.rejected] == [("tag 2", "duplicate_key")]
    assert repr(field) in found.rejected[0].detail


@pytest.mark.parametrize("header", [f"{HEADER}label: Other\n", "header: {creator: a, creator: b}\n"])
def test_a_field_that_stands_twice_in_a_pack_refuses_the_pack(tmp_path: Path, header: str) -> None:
    with pytest.raises(LabelError, match=r"invented\.yaml.*the field '(label|creator)' stands there twice"):
        read_labels(write_pack(tmp_path, f"- address: {bitcoin(1)}\n", header))
    with pytest.raises(LabelError, match=r"the field 'tags' stands there twice"):
        read_labels(write_pack(tmp_path, f"- address: {bitcoin(1)}\ntags: []\n"))


def test_an_actor_with_a_field_twice_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "actorpack.yaml"
    path.write_text("title: T\nactors:\n- {id: a, id: b, label: A}\n- {id: c, label: C}\n", encoding="utf-8")
    found = read_actors(path)
    assert [actor.actor for actor in found.actors] == ["c"]
    assert [(one.position, one.reason) for one in found.rejected] == [("actor 1", "duplicate_key")]


def test_a_header_may_stand_in_a_field_of_its_own(tmp_path: Path) -> None:
    header = "header:\n" + "".join(f"  {line}\n" for line in HEADER.strip().splitlines())
    (label,) = read_labels(write_pack(tmp_path, f"- {{address: {bitcoin(1)}}}\n", header)).labels
    assert (label.name, label.source) == ("Corner Exchange", "Office of Inventions")


@pytest.mark.parametrize(
    ("terms", "category"),
    [
        ("abuse: drugs", "drug_trafficking"),
        ("abuse: drugs, category: market", "darknet_market"),
        ("concepts: [shop, drugs], category: unknown", "vendor_shop"),
        ("abuse: scam, concepts: [drugs]", "scam"),
        ("abuse: drugs, concepts: [shop]", "vendor_shop"),
        ("abuse: terrorism_financing", "terrorism_financing"),
    ],
)
def test_what_drugs_make_of_other_words(tmp_path: Path, terms: str, category: str) -> None:
    tag = f"- {{address: {bitcoin(1)}, {terms}}}\n"
    header = HEADER.replace("category: exchange\n", "")
    (label,) = read_labels(write_pack(tmp_path, tag, header)).labels
    assert label.category == category


@pytest.mark.shared
def test_the_real_packs_load_whole(tmp_path: Path) -> None:
    folder = shared_data() / "labels" / "tagpacks"
    added, refused, reasons, files = 0, [], Counter[str](), Counter[str]()
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        for path in sorted(folder.rglob("*.yaml")):
            try:
                result = import_labels(ledger, "tagpack", path, recorded_at=RECORDED, licence="MIT")
            except LabelError as error:
                refused.append(str(error))
                continue
            added += result.labels + result.known
            reasons.update(rejection.reason for rejection in result.rejected)
            files.update(path.name for _ in result.rejected)
        held = label_rows(ledger)
        assert held.num_rows == added
        drugs = [row for row in held.select(["name", "group"]).to_pylist() if row["group"] == "drug"]
    assert [error for error in refused if "ActorPack" not in error] == []
    assert len(refused) == 1
    assert added + sum(reasons.values()) == 166_835
    assert added == 166_762
    assert reasons == {"unknown_chain": 37, "bad_address": 26, "nobodys_address": 10}
    assert files["usdt_blacklist.yaml"] == 8
    assert Counter(row["name"] == "Hydra Market" for row in drugs) == {True: 117, False: 18}
