"""A build: what counts, entities, seeds, and that neither the future nor the order of imports changes it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.build import Build, build_features, build_frame
from features.frame import FeatureFrame
from tests.features.ledgers import (
    BANK,
    BITCOIN,
    Spend,
    coin,
    import_claims,
    import_payments,
    import_spends,
)

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")
PAYMENTS = [
    ("2023-01-01T10:00:00", "market", "alice", "100.00"),
    ("2023-01-02T10:00:00", "alice", "bob", "60.00"),
    ("2023-01-03T10:00:00", "employer", "bob", "60.00"),
    ("2023-01-04T10:00:00", "bob", "exchange", "30.00"),
]
LABELS = [
    (f"{BANK}:market", "darknet_market", "0.9", "2022-12-01T00:00:00Z"),
    (f"{BANK}:exchange", "exchange", "0.9", "2022-12-01T00:00:00Z"),
]


def value(frame: FeatureFrame, account: str, feature: str) -> float:
    return float(frame.values[frame.accounts.index(account), frame.names.index(feature)])


def lines(build: Build, account: str) -> dict[tuple[str, str, bool], tuple[Any, ...]]:
    """(direction, category, direct) -> (value, share, hops) of an account's entity."""
    row = build.frame.accounts.index(account)
    entity = build.nodes[build.frame.entities[row]]
    return {
        ("in" if line["direction"] == 0 else "out", line["category"], line["direct"]): (
            line["value"], line["share"], line["hops"],
        )
        for line in build.exposures.to_pylist()
        if line["entity"] == entity
    }  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


def test_exposure_reaches_the_features(ledger: Path) -> None:
    import_payments(ledger, PAYMENTS)
    import_claims(ledger, LABELS)
    with build_features(ledger, AS_OF) as build:
        bob = lines(build, f"{BANK}:bob")
        frame = build.frame
    assert bob["in", "darknet_market", False] == (6000.0, pytest.approx(0.5), 2)
    assert bob["in", "unattributed:history_not_in_ledger", False][1] == pytest.approx(0.5)
    assert bob["out", "exchange", True] == (3000.0, pytest.approx(1.0), 1)
    assert value(frame, f"{BANK}:bob", "exposure_source_drug_share") == pytest.approx(0.5)
    assert value(frame, f"{BANK}:bob", "exposure_source_drug_min_hops") == 2
    assert value(frame, f"{BANK}:alice", "exposure_source_drug_direct_share") == pytest.approx(1.0)
    assert value(frame, f"{BANK}:bob", "exposure_destination_service_share") == pytest.approx(1.0)
    # Of what the market sent, half went on from bob to the exchange; alice still holds 40, bob 45.
    assert value(frame, f"{BANK}:market", "exposure_destination_service_share") == pytest.approx(0.15)
    assert value(frame, f"{BANK}:market", "exposure_destination_unattributed_share") == pytest.approx(0.85)
    assert np.isnan(value(frame, f"{BANK}:employer", "exposure_source_drug_share"))
    seeded = dict(zip(frame.accounts, frame.seeded.tolist(), strict=True))
    assert [a.split(":")[-1] for a, known in seeded.items() if known] == ["exchange", "market"]


def test_the_future_changes_nothing(ledger: Path) -> None:
    import_payments(ledger, PAYMENTS)
    import_claims(ledger, LABELS)
    before = build_frame(ledger, AS_OF)
    import_payments(ledger, [("2023-03-01T00:00:00", "market", "bob", "999.00")], name="later.csv")
    import_claims(
        ledger, [(f"{BANK}:employer", "drug_vendor", "0.9", "2023-03-01T00:00:00Z")], name="later_labels.csv"
    )
    after = build_frame(ledger, AS_OF)
    assert after.accounts == before.accounts
    assert after.values.tobytes() == before.values.tobytes()
    assert after.seeded.tobytes() == before.seeded.tobytes()
    # and a moment later both count
    soon = build_frame(ledger, datetime.fromisoformat("2023-03-01T00:00:01"))
    assert value(soon, f"{BANK}:bob", "exposure_source_drug_share") == pytest.approx(1.0)


def test_order_of_imports_and_threads_change_nothing(tmp_path: Path) -> None:
    frames = []
    for place, order in enumerate((slice(None), slice(None, None, -1))):
        folder = tmp_path / str(place)
        folder.mkdir()
        ledger = folder / "ledger.duckdb"
        for number, payment in list(enumerate(PAYMENTS))[order]:
            import_payments(ledger, [payment], name=f"part{number}.csv")
        import_claims(ledger, LABELS[order])
        frames.append(build_frame(ledger, AS_OF, threads=1 + place))
    assert frames[0].accounts == frames[1].accounts
    assert frames[0].values.tobytes() == frames[1].values.tobytes()
    assert frames[0].entities.tobytes() == frames[1].entities.tobytes()


def test_what_does_not_count(ledger: Path) -> None:
    """Zero amounts, tokens nobody listed, and what a second file repeats leave every feature as it was."""
    import_payments(ledger, PAYMENTS)
    import_claims(ledger, LABELS)
    before = build_frame(ledger, AS_OF)
    import_payments(ledger, [("2023-01-01T11:00:00", "alice", "bob", "0.00")], name="zero.csv")
    path = ledger.parent / "payments.csv"
    text = path.read_text(encoding="utf-8").replace(",USD,", ", USD,")
    path.write_text(text, encoding="utf-8")
    _import_again(ledger, path)
    after = build_frame(ledger, AS_OF)
    assert after.accounts == before.accounts
    assert after.values.tobytes() == before.values.tobytes()


def _import_again(ledger: Path, path: Path) -> None:
    from chains.address import find_chain
    from datasets.ingest import import_file
    from datasets.store import open_ledger
    from tests.features.ledgers import MAPPING

    with open_ledger(ledger, write=True) as held:
        result = import_file(
            held, "payments", path, chain=find_chain(BANK), mapping=MAPPING, code_version="test"
        )
    assert not result.already_imported
    assert result.duplicate == len(PAYMENTS)


def test_who_spends_together_is_one_entity_and_change_is_no_flow(ledger: Path) -> None:
    import_spends(
        ledger,
        [
            Spend("mined", "2023-01-01T00:00:00", (), [("a1", 50000), ("a2", 30000)]),
            Spend(
                "pay", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("shop", 60000), ("a3", 19000)]
            ),
            Spend("more", "2023-01-03T00:00:00", [("pay", 1)], [("shop", 10000), ("a1", 8000)]),
        ],
    )
    with build_features(ledger, AS_OF) as build:
        frame = build.frame
        flows = build.connection.execute(
            "SELECT f.direction, CAST(f.amount AS BIGINT) FROM flow AS f "
            "JOIN member AS m ON m.entity = f.entity "
            "JOIN ledger.address AS a ON a.address = m.address WHERE a.account = $1 ORDER BY f.seq",
            [coin("a1")],
        ).fetchall()
    row = {name: frame.accounts.index(f"{BITCOIN}:{coin(name)}") for name in ("a1", "a2", "a3", "shop")}
    # a1 and a2 pay together in "pay"; a3 is its change, spent alone: it stays by itself.
    assert frame.entities[row["a1"]] == frame.entities[row["a2"]]
    assert frame.entities[row["a3"]] == row["a3"]
    public = frame.accounts[frame.entities[row["a1"]]]
    assert public in {f"{BITCOIN}:{coin('a1')}", f"{BITCOIN}:{coin('a2')}"}
    # received 80000 mined; sent 60000 and 19000 (to a3, another entity for all we know); 8000 back from a3
    assert flows == [("in", 80000), ("out", 79000), ("in", 8000)]


def test_a_coinjoin_joins_no_owners_and_its_near_miss_does(ledger: Path) -> None:
    """Five payers, five equal outputs and change: a CoinJoin. With one less of each: one owner pays."""
    mined = Spend("mined", "2023-01-01T00:00:00", (), [(f"u{i}", 100_000 + i) for i in range(5)])
    equal = [(f"out{i}", 90_000) for i in range(5)] + [(f"rest{i}", 9_000 + i) for i in range(5)]
    join = Spend("join", "2023-01-02T00:00:00", [("mined", i) for i in range(5)], equal)
    import_spends(ledger, [mined, join])
    with build_features(ledger, AS_OF) as build:
        frame = build.frame
        coinjoins = build.connection.execute("SELECT count(*) FROM seen_transfer WHERE coinjoin").fetchall()
    assert coinjoins == [(1,)]
    assert (frame.entities == np.arange(len(frame.accounts))).all()

    other = ledger.parent / "other"
    other.mkdir()
    four = Spend("join", "2023-01-02T00:00:00", [("mined", i) for i in range(4)], equal[:4] + equal[5:9])
    import_spends(other / "ledger.duckdb", [mined, four])
    frame = build_frame(other / "ledger.duckdb", AS_OF)
    payers = {int(frame.entities[frame.accounts.index(f"{BITCOIN}:{coin(f'u{i}')}")]) for i in range(4)}
    assert len(payers) == 1


def test_a_file_without_positions_may_list_a_spend_before_what_it_spends(ledger: Path) -> None:
    """All three happen in one moment; the file lists them backwards."""
    chain = [
        Spend("first", "2023-01-02T00:00:00", (), [("market", 10000)]),
        Spend("second", "2023-01-02T00:00:00", [("first", 0)], [("vendor", 10000)]),
        Spend("third", "2023-01-02T00:00:00", [("second", 0)], [("shop", 10000)]),
    ]
    import_spends(ledger, chain[::-1])
    import_claims(ledger, [(f"{BITCOIN}:{coin('market')}", "darknet_market", "1", "2022-01-01T00:00:00Z")])
    with build_features(ledger, AS_OF) as build:
        shop = lines(build, f"{BITCOIN}:{coin('shop')}")
    assert shop == {("in", "darknet_market", False): (10000.0, pytest.approx(1.0), 2)}


@pytest.mark.parametrize(
    ("confidence", "published", "marks"),
    [("0.9", "2022-12-01T00:00:00Z", True), ("0.4", "2022-12-01T00:00:00Z", False), ("0.9", "", False)],
)
def test_which_labels_mark_money(ledger: Path, confidence: str, published: str, marks: bool) -> None:
    """A label of low confidence, or of unknown date, is shown but marks nobody's money."""
    import_payments(ledger, PAYMENTS)
    import_claims(ledger, [(f"{BANK}:market", "darknet_market", confidence, published)])
    frame = build_frame(ledger, AS_OF)
    assert value(frame, f"{BANK}:alice", "exposure_source_drug_share") == (1.0 if marks else 0.0)


def test_a_label_spreads_over_its_entity_unless_labels_disagree(ledger: Path) -> None:
    spends = [
        Spend("mined", "2023-01-01T00:00:00", (), [("m1", 5000), ("m2", 3000), ("m1", 2000)]),
        Spend("both", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("x", 8000)]),
        Spend("alone", "2023-01-03T00:00:00", [("mined", 2)], [("y", 2000)]),
    ]
    import_spends(ledger, spends)
    market = (f"{BITCOIN}:{coin('m2')}", "darknet_market", "1", "2022-01-01T00:00:00Z")
    import_claims(ledger, [market])
    frame = build_frame(ledger, AS_OF)
    assert (
        value(frame, f"{BITCOIN}:{coin('y')}", "exposure_source_drug_share") == 1.0
    )  # through m1, by cluster
    import_claims(
        ledger, [(f"{BITCOIN}:{coin('m1')}", "exchange", "1", "2022-01-01T00:00:00Z")], name="other.csv"
    )
    frame = build_frame(ledger, AS_OF)
    assert value(frame, f"{BITCOIN}:{coin('y')}", "exposure_source_drug_share") == 0.0
    assert value(frame, f"{BITCOIN}:{coin('x')}", "exposure_source_drug_share") == pytest.approx(0.375)


def test_an_empty_ledger_builds(ledger: Path) -> None:
    import_claims(ledger, LABELS)
    frame = build_frame(ledger, AS_OF)
    assert frame.accounts == ()
    assert frame.values.shape == (0, len(frame.names))


def test_change_to_the_payer_itself_is_neither_received_nor_sent(ledger: Path) -> None:
    import_spends(
        ledger,
        [
            Spend("mined", "2023-01-01T00:00:00", (), [("payer", 10000)]),
            Spend("pay", "2023-01-02T00:00:00", [("mined", 0)], [("shop", 6000), ("payer", 3900)]),
            Spend("tidy", "2023-01-03T00:00:00", [("pay", 1)], [("payer", 3800)]),
        ],
    )
    with build_features(ledger, AS_OF) as build:
        flows = build.connection.execute(
            "SELECT f.direction, CAST(f.amount AS BIGINT) FROM flow AS f "
            "JOIN member AS m ON m.entity = f.entity "
            "JOIN ledger.address AS a ON a.address = m.address WHERE a.account = $1 ORDER BY f.seq",
            [coin("payer")],
        ).fetchall()
    assert flows == [("in", 10000), ("out", 6000)]


def test_labels_that_disagree_mark_no_other_address_of_the_entity(ledger: Path) -> None:
    mined = Spend("mined", "2023-01-01T00:00:00", (), [(name, 10000) for name in ("m1", "m2", "m3", "m3")])
    together = Spend("all", "2023-01-02T00:00:00", [("mined", i) for i in range(3)], [("x", 30000)])
    alone = Spend("alone", "2023-01-03T00:00:00", [("mined", 3)], [("y", 10000)])
    import_spends(ledger, [mined, together, alone])
    import_claims(
        ledger,
        [
            (f"{BITCOIN}:{coin('m1')}", "darknet_market", "1", "2022-01-01T00:00:00Z"),
            (f"{BITCOIN}:{coin('m2')}", "exchange", "1", "2022-01-01T00:00:00Z"),
        ],
    )
    frame = build_frame(ledger, AS_OF)
    assert value(frame, f"{BITCOIN}:{coin('y')}", "exposure_source_drug_share") == 0.0
    assert value(frame, f"{BITCOIN}:{coin('x')}", "exposure_source_drug_share") == pytest.approx(1 / 3)


def make_mix(folder: Path, *, payers: int, outputs: list[int]) -> tuple[bool, int]:
    """Whether such a transaction is a CoinJoin, and how many entities its payers are."""
    folder.mkdir()
    ledger = folder / "ledger.duckdb"
    total = sum(outputs) // payers + 1
    mined = Spend("mined", "2023-01-01T00:00:00", (), [(f"payer{i}", total) for i in range(payers)])
    mix = Spend(
        "mix",
        "2023-01-02T00:00:00",
        [("mined", i) for i in range(payers)],
        [(f"out{i}", amount) for i, amount in enumerate(outputs)],
    )
    import_spends(ledger, [mined, mix])
    with build_features(ledger, AS_OF) as build:
        marked = build.connection.execute("SELECT bool_or(coinjoin) FROM seen_transfer").fetchall()[0][0]
        frame = build.frame
    rows = [frame.accounts.index(f"{BITCOIN}:{coin(f'payer{i}')}") for i in range(payers)]
    return bool(marked), len({int(frame.entities[row]) for row in rows})


@pytest.mark.parametrize(
    ("payers", "outputs", "mixed"),
    [
        (5, [1_000_000] * 5, True),  # Whirlpool
        (4, [1_000_000] * 4, False),
        (12, [10_000_000] * 10 + [3_000 + i for i in range(12)], True),  # Wasabi 1
        (
            12,
            [10_000_000] * 10 + [3_000 + i for i in range(80)],
            False,
        ),  # an exchange's payouts, some of them equal
        (9, [10_000_000] * 10 + [3_000 + i for i in range(12)], False),
        (55, [2**k for k in range(10, 30)] * 2 + [3**k for k in range(5, 15)] * 2, True),  # Wasabi 2
        (55, [1_000 + i for i in range(60)], False),  # many payers, no equal outputs
        (20, [2**k for k in range(10, 30)] * 2 + [3**k for k in range(5, 15)] * 2, False),
    ],
)
def test_each_shape_of_coinjoin_and_what_only_looks_like_one(
    tmp_path: Path, payers: int, outputs: list[int], mixed: bool
) -> None:
    assert make_mix(tmp_path / "mix", payers=payers, outputs=outputs) == (mixed, payers if mixed else 1)


def test_position_in_the_block_decides_and_a_clock_that_steps_back_does_not(ledger: Path) -> None:
    """Block 8 is stamped before block 7, whose output it spends; in block 9 one spends the other."""
    import_spends(
        ledger,
        [
            Spend("mined", "2023-01-02T00:00:00", (), [("market", 10000)], height=7),
            Spend("pay", "2023-01-01T23:50:00", [("mined", 0)], [("a", 10000)], height=8),
            Spend("on", "2023-01-02T01:00:00", [("pay", 0)], [("b", 10000)], height=9),
            Spend("further", "2023-01-02T01:00:00", [("on", 0)], [("c", 10000)], height=9),
        ],
    )
    import_claims(ledger, [(f"{BITCOIN}:{coin('market')}", "darknet_market", "1", "2022-01-01T00:00:00Z")])
    with build_features(ledger, AS_OF) as build:
        assert lines(build, f"{BITCOIN}:{coin('c')}") == {
            ("in", "darknet_market", False): (10000.0, pytest.approx(1.0), 3)
        }
        times = build.connection.execute("SELECT time FROM seen_transfer ORDER BY seq").fetchall()
    assert times == sorted(times)


def test_a_block_with_a_clock_far_ahead_hides_nothing_after_it(ledger: Path) -> None:
    spends = [
        Spend(f"block{height}", f"2023-01-{height:02d}T00:00:00", (), [(f"m{height}", 1000)], height=height)
        for height in range(1, 8)
    ]
    spends[1] = Spend("block2", "2033-01-01T00:00:00", (), [("m2", 1000)], height=2)
    import_spends(ledger, spends)
    assert len(build_frame(ledger, AS_OF).accounts) == 7


def test_files_that_overlap_give_the_same_exposure_in_either_order(tmp_path: Path) -> None:
    """Everything happens in one moment, and one row stands in both files."""
    moment = "2023-01-01T10:00:00"
    parts = {
        "one.csv": [(moment, "clean", "bob", "10.00"), (moment, "market", "bob", "10.00")],
        "two.csv": [(moment, "market", "bob", "10.00"), (moment, "bob", "carol", "10.00")],
    }
    frames = []
    for order in (("one.csv", "two.csv"), ("two.csv", "one.csv")):
        folder = tmp_path / order[0]
        folder.mkdir()
        for name in order:
            import_payments(folder / "ledger.duckdb", parts[name], name=name, references=False)
        import_claims(
            folder / "ledger.duckdb", [(f"{BANK}:market", "darknet_market", "1", "2022-01-01T00:00:00Z")]
        )
        frames.append(build_frame(folder / "ledger.duckdb", AS_OF))
    assert frames[0].values.tobytes() == frames[1].values.tobytes()


def test_a_ledger_with_money_on_one_side_only_builds(ledger: Path) -> None:
    """A coinbase alone; then a second currency in which somebody only pays himself."""
    import_spends(ledger, [Spend("mined", "2023-01-01T00:00:00", (), [("miner", 1000)])])
    assert len(build_frame(ledger, AS_OF).accounts) == 1
    import_payments(ledger, [("2023-01-01T10:00:00", "a", "b", "1.00")])
    import_payments(ledger, [("2023-01-01T10:00:00", "a", "a", "1.00")], name="self.csv", currency="EUR")
    assert len(build_frame(ledger, AS_OF).accounts) == 3


def test_worthless_receipts_do_not_outvote_dollars(ledger: Path) -> None:
    import_payments(ledger, [("2023-01-01T10:00:00", "market", "alice", "5000.00")])
    dust = [("2023-01-02T10:00:00", "stranger", "alice", "0.01")] * 30
    import_payments(ledger, dust, name="dust.csv", currency="KZT")
    import_claims(ledger, [(f"{BANK}:market", "darknet_market", "1", "2022-01-01T00:00:00Z")])
    frame = build_frame(ledger, AS_OF)
    assert value(frame, f"{BANK}:alice", "exposure_source_drug_share") == pytest.approx(1.0)


def test_amounts_beyond_all_money_do_not_stop_a_build(ledger: Path) -> None:
    huge = "9" * 34 + ".00"
    import_payments(
        ledger, [("2023-01-01T10:00:00", "a", "b", huge), ("2023-01-01T11:00:00", "a", "b", huge)]
    )
    import_payments(ledger, [("2023-01-02T10:00:00", "c", "d", "9000000000000.00")] * 2, name="large.csv")
    assert len(build_frame(ledger, AS_OF).accounts) == 4


@pytest.mark.parametrize("rows", [slice(None), slice(None, None, -1)])
def test_inside_one_moment_receipts_come_before_payments(ledger: Path, rows: slice) -> None:
    """A bank's file with days only, oldest or newest first: the money went V → B → C → D."""
    day = "2023-01-01"
    chain = [(day, "V", "B", "1000.00"), (day, "B", "C", "1000.00"), (day, "C", "D", "400.00")]
    import_payments(ledger, chain[rows])
    import_claims(ledger, [(f"{BANK}:V", "drug_vendor", "1", "2022-01-01T00:00:00Z")])
    frame = build_frame(ledger, AS_OF)
    assert value(frame, f"{BANK}:D", "exposure_source_drug_share") == 1.0
    assert value(frame, f"{BANK}:D", "exposure_source_drug_min_hops") == 3
