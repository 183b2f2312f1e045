"""Indicators that need more than one asset, unspent outputs or exchange rates, and their near misses."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from datasets.labels import import_labels
from datasets.store import open_ledger
from tests.datasets.batches import Row
from tests.features.indicated import KNOWN, START, Found, Move, find_all, make_ledger, write_prices
from tests.features.ledgers import (
    BITCOIN,
    ETHER,
    ETHEREUM,
    LABEL_COLUMNS,
    TETHER,
    Spend,
    coin,
    evm,
    import_claims,
    import_rows,
    import_spends,
)

ETH = 10**18
USDT = 10**6
LATER = 1440  # minutes: rows of tests start on 2023-01-01


class Chain:
    """Rows of an EVM chain, one a block, numbered from 1 as they will be seen."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def pay(self, minute: int, payer: str, payee: str, amount: int, asset: str = TETHER.reference) -> int:
        height = len(self.rows) + 1
        kind = "native" if asset == ETHER.reference else "token"
        sides = ((payer, amount),), ((payee, amount),)
        hash_ = height.to_bytes(32, "big")
        self.rows.append(Row(*sides, minute, hash_, asset, kind, height=height, position=0))
        return height

    def gas(self, minute: int, payer: str, payee: str) -> int:
        return self.pay(minute, payer, payee, ETH // 100, ETHER.reference)

    def find(self, folder: Path, labels: Sequence[tuple[str, str]] = ()) -> dict[str, dict[str, Found]]:
        """Return the findings by indicator and name; an ether is worth 2,000 dollars."""
        folder.mkdir(exist_ok=True)
        ledger = folder / "ledger.duckdb"
        import_rows(ledger, self.rows)
        if labels:
            import_claims(ledger, [(f"{ETHEREUM}:{evm(who)}", what, "1", KNOWN) for who, what in labels])
        write_prices(ledger, ["slip44:60,2022-12-01,2000,,2023-12-31"])
        names = {evm(who): who for row in self.rows for who, _ in (*row.payers, *row.payees)}
        return {
            indicator: {names[account]: line for account, line in found.items()}
            for indicator, found in find_all(ledger).items()
        }


def test_drop_cohort_and_the_deposit_addresses_of_an_exchange(tmp_path: Path) -> None:
    """The same picture twice: one payer of fees, one age, one consolidator. One of the two is an exchange."""
    chain = Chain()
    expected = []
    for number in range(4):
        funded = chain.gas(100 * number, "fee wallet", f"drop {number}")
        chain.gas(100 * number + 1, "gas station", f"deposit {number}")
        chain.pay(100 * number + 10, f"buyer {number}", f"drop {number}", 300 * USDT)
        chain.pay(100 * number + 11, f"customer {number}", f"deposit {number}", 300 * USDT)
        paid = chain.pay(100 * number + 20, f"drop {number}", "boss", 290 * USDT)
        chain.pay(100 * number + 21, f"deposit {number}", "hot wallet", 290 * USDT)
        expected += [funded, paid]
    found = chain.find(tmp_path / "l", [("hot wallet", "exchange")])["drop_cohort"]
    assert set(found) == {"boss", "fee wallet", *(f"drop {k}" for k in range(4))}
    for who, line in found.items():
        assert (line.strength, line.evidence, line.count) == (0.5, expected, 8)
        role = {"boss": "collector", "fee wallet": "funder"}.get(who, "member")
        assert line.values == {"accounts": 4, "role": role, "span_days": pytest.approx(300 / 1440)}


def test_drop_cohort_is_of_one_age(tmp_path: Path) -> None:
    chain = Chain()
    for number in range(4):
        start = 6 * LATER * number  # 18 days in all
        chain.gas(start, "fee wallet", f"drop {number}")
        chain.pay(start + 10, f"buyer {number}", f"drop {number}", 300 * USDT)
        chain.pay(start + 20, f"drop {number}", "boss", 290 * USDT)
    assert "drop_cohort" not in chain.find(tmp_path / "l")


def test_a_large_cohort_is_a_service_without_a_label(tmp_path: Path) -> None:
    chain = Chain()
    for number in range(101):
        chain.gas(number, "gas station", f"deposit {number}")
        chain.pay(number + 200, f"customer {number}", f"deposit {number}", 300 * USDT)
        chain.pay(number + 400, f"deposit {number}", "hot wallet", 290 * USDT)
    chain.rows.sort(key=lambda row: row.minute)
    chain.rows = [
        Row(r.payers, r.payees, r.minute, r.hash, r.asset, r.kind, height=h, position=0)
        for h, r in enumerate(chain.rows, 1)
    ]
    assert "drop_cohort" not in chain.find(tmp_path / "l")


def test_deposit_addresses_are_swept_like_mules_and_are_none(tmp_path: Path) -> None:
    chain = Chain()
    for turn in range(3):
        for number in range(5):
            minute = 1000 * turn + 10 * number
            chain.pay(minute, f"customer {turn} {number}", f"deposit {number}", 900 * USDT)
            chain.pay(minute + 5, f"deposit {number}", "hot wallet", 900 * USDT)
        chain.pay(1000 * turn + 100, f"payer {turn}", "mule", 900 * USDT)
        chain.pay(1000 * turn + 105, "mule", "boss", 900 * USDT)
    found = chain.find(tmp_path / "l", [("hot wallet", "exchange")])["rapid_pass_through"]
    assert set(found) == {"mule"}


def test_wallets_and_deposit_addresses_of_one_exchange_are_one_service(tmp_path: Path) -> None:
    chain = Chain()
    for turn in range(2):
        for number in range(5):
            minute = 1000 * turn + 10 * number
            chain.pay(minute, f"customer {turn} {number}", f"deposit {number}", 900 * USDT)
            chain.pay(minute + 5, f"deposit {number}", "hot 1", 900 * USDT)
    for who, payees in {
        "fan": ("deposit 0", "other", "third"),
        "loyal": ("deposit 0", "hot 1", "hot 2"),
    }.items():
        chain.pay(3000, "employer", who, 3000 * USDT)
        for number, payee in enumerate(payees):
            chain.pay(3001 + number, who, payee, 900 * USDT)
    for number in range(5):  # they stay what they are: what came goes on
        chain.pay(3010 + number, f"deposit {number}", "hot 1", 900 * USDT)
    folder = tmp_path / "l"
    folder.mkdir()
    path = folder / "owners.csv"
    owners = {"hot 1": "Exchange One", "hot 2": "EXCHANGE ONE", "other": "Other", "third": "Third"}
    rows = [
        f"{ETHEREUM}:{evm(who)},exchange,{owner},wallet,test,1,{KNOWN},CC0-1.0"
        for who, owner in owners.items()
    ]
    path.write_text("\n".join([",".join(LABEL_COLUMNS), *rows, ""]), encoding="utf-8")
    import_rows(folder / "ledger.duckdb", chain.rows)
    with open_ledger(folder / "ledger.duckdb", write=True) as held:
        assert not import_labels(held, "csv", path, recorded_at=START).rejected
    found = find_all(folder / "ledger.duckdb")["fan_out_to_services"]
    assert set(found) == {evm("fan")}
    assert found[evm("fan")].values["services"] == 3


def test_common_fee_funder_and_a_renter_of_energy(tmp_path: Path) -> None:
    chain = Chain()
    for number in range(8):
        chain.pay(number, f"friend {number}", f"customer {number}", 50 * USDT)  # they were there before
    expected = []
    for number in range(5):
        expected.append(chain.gas(100 + number, "purse", f"wallet {number}"))
    for number in range(8):
        chain.gas(200 + number, "energy renter", f"customer {number}")
    for number in range(5):
        chain.pay(300 + number, f"payer {number}", f"wallet {number}", 90 * USDT)
    for number in range(5):
        expected.append(chain.pay(400 + number, f"wallet {number}", f"payee {number}", 90 * USDT))
    for number in range(8):
        chain.pay(500 + number, f"customer {number}", f"shop {number}", 50 * USDT)
    found = chain.find(tmp_path / "l")["common_fee_funder"]
    assert set(found) == {"purse", *(f"wallet {k}" for k in range(5))}
    for who, line in found.items():
        assert (line.strength, line.evidence, line.count) == (0.5, expected, 10)
        assert line.values == {"wallets": 5, "paid": 5, "role": "funder" if who == "purse" else "member"}


def test_what_is_no_fee_makes_no_funder_of_fees(tmp_path: Path) -> None:
    chain = Chain()
    for number in range(5):
        chain.pay(number, "purse", f"wallet {number}", ETH, ETHER.reference)  # 2,000 dollars each
    for number in range(5):
        chain.pay(10 + number, f"payer {number}", f"wallet {number}", 90 * USDT)
        chain.pay(20 + number, f"wallet {number}", f"payee {number}", 90 * USDT)
    chain.rows.sort(key=lambda row: row.minute)
    chain.rows = [
        Row(r.payers, r.payees, r.minute, r.hash, r.asset, r.kind, height=h, position=0)
        for h, r in enumerate(chain.rows, 1)
    ]
    assert "common_fee_funder" not in chain.find(tmp_path / "l")


def test_swaps_there_and_back(tmp_path: Path) -> None:
    chain = Chain()
    swaps = [
        # There and back twice within hours, at a loss.
        (0, "circler", 2000, 1.0), (60, "circler", -1900, 1.0),
        (200, "circler", 1900, 0.9), (260, "circler", -1800, 0.9),
        # A trader: the way back comes after a week, or with a gain.
        (300, "trader", 2000, 1.0), (300 + 7 * LATER, "trader", -1900, 1.0),
        (400 + 7 * LATER, "trader", 1900, 1.0), (460 + 7 * LATER, "trader", -2000, 1.0),
    ]  # fmt: skip
    evidence = []
    for minute, who, usdt, eth in swaps:
        given = (abs(usdt) * USDT, TETHER.reference), (int(eth * ETH), ETHER.reference)
        paid, got = given if usdt > 0 else given[::-1]
        places = [chain.pay(minute, who, "pool", *paid), chain.pay(minute, "pool", who, *got)]
        evidence += places if who == "circler" else []
    found = chain.find(tmp_path / "l", [("pool", "dex")])["round_trip_swap"]
    assert {who: (line.strength, line.evidence, line.count) for who, line in found.items()} == {
        "circler": (0.5, evidence, 8)
    }
    assert found["circler"].values == {"times": 2, "lost_share": pytest.approx(200 / 3900), "total_usd": 3900}


def test_swap_then_exit_and_a_swap_that_is_kept(tmp_path: Path) -> None:
    chain = Chain()
    evidence = []
    for minute in (0, 3000):
        chain.pay(minute, "runner", "pool", ETH, ETHER.reference)
        evidence.append(chain.pay(minute, "pool", "runner", 2000 * USDT))
        chain.pay(minute + 1, "holder", "pool", ETH, ETHER.reference)
        chain.pay(minute + 1, "pool", "holder", 2000 * USDT)
        evidence.append(chain.pay(minute + 60, "runner", "exchange", 1990 * USDT))
        chain.pay(minute + 61, "holder", "exchange", 900 * USDT)
    found = chain.find(tmp_path / "l", [("pool", "dex"), ("exchange", "exchange")])["swap_then_exit"]
    assert {who: (line.strength, line.evidence, line.count) for who, line in found.items()} == {
        "runner": (0.5, evidence, 4)
    }
    assert found["runner"].values == {"times": 2, "longest_wait_hours": 1, "total_usd": 3980}


def peel(name: str, links: int, hours: float) -> list[Spend]:
    """A coin of ten million that is peeled by 500,000 a time."""

    spends = [Spend(f"{name} mined", START.isoformat(), (), [(f"{name} 0", 10_000_000)])]
    left = 10_000_000
    for k in range(links):
        left -= 500_000
        before = (f"{name} {k - 1}", 1) if k else (f"{name} mined", 0)
        time = (START + timedelta(hours=hours * (k + 1))).isoformat()
        outputs = [(f"{name} payee {k}", 500_000), (f"{name} {k + 1}", left)]
        spends.append(Spend(f"{name} {k}", time, [before], outputs))
    return spends


def test_peel_chain_and_a_person_who_pays_from_change(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    spends = [*peel("chain", 6, 2), *peel("person", 6, 30), *peel("short", 5, 2)]
    import_spends(ledger, sorted(spends, key=lambda s: s.time))
    found = find_all(ledger)["peel_chain"]
    assert set(found) == {coin(f"chain {k}") for k in range(6)}
    for line in found.values():
        assert (line.strength, line.count, len(line.evidence)) == (0.5, 6, 6)
        # The larger rest of the first link is 9.5 million.
        assert line.values == {"links": 6, "hours": 10, "peeled_share": pytest.approx(3 / 12.5)}


def test_long_peel_chain_is_followed_from_its_start(tmp_path: Path) -> None:
    spends = [Spend("mined", START.isoformat(), (), [("0", 1_000_000_000)])]
    left = 1_000_000_000
    for k in range(150):
        left -= 1_000_000
        before = (f"{k - 1}", 1) if k else ("mined", 0)
        outputs = [(f"payee {k}", 1_000_000), (f"{k + 1}", left)]
        spends.append(
            Spend(f"{k}", START.replace(hour=k // 60, minute=k % 60).isoformat(), [before], outputs)
        )
    ledger = tmp_path / "ledger.duckdb"
    import_spends(ledger, spends)
    found = find_all(ledger)["peel_chain"]
    assert {line.values["links"] for line in found.values()} == {129}
    assert {tuple(line.evidence) for line in found.values()} == {tuple(range(2, 22))}


def test_coinjoin_counts_as_a_mixer(tmp_path: Path) -> None:
    mined = [Spend(f"m{k}", START.isoformat(), (), [(f"in {k}", 10_000_000)]) for k in range(5)]
    mix = Spend(
        "mix",
        START.replace(hour=1).isoformat(),
        [(f"m{k}", 0) for k in range(5)],
        [(f"out {k}", 10_000_000) for k in range(5)],
    )
    ledger = tmp_path / "ledger.duckdb"
    import_spends(ledger, [*mined, mix])
    assert "mixer_use" not in find_all(ledger)  # without a price nobody knows that it is more than dust
    write_prices(ledger, [f"{BITCOIN}/slip44:0,2023-01-02,20000,,"])
    found = find_all(ledger)["mixer_use"]
    assert set(found) == {coin(f"{side} {k}") for side in ("in", "out") for k in range(5)}
    assert found[coin("in 0")].values == {"side": "sent", "mixed_share": 1, "total_usd": 2000}
    assert found[coin("out 0")].values == {"side": "received", "mixed_share": 1, "total_usd": 2000}
    assert found[coin("out 0")].evidence == [6]


RATE = "iso4217:KZT,2023-01-01,,460,2023-12-31"


def retail(name: str, kzt: Sequence[int], hour: float, payers: int) -> list[Move]:
    """Sums in tenge at 460 a dollar, one a day at that UTC hour from a Monday on."""
    return [(24.0 * k + hour, f"{name} {k % payers}", name, sum_ / 460) for k, sum_ in enumerate(kzt)]


def test_sums_round_in_dollars_are_not_taken_for_local_ones(tmp_path: Path) -> None:
    """At 500 tenge a dollar what is round in dollars is round in tenge too: it says nothing."""
    sums = [10_000, 15_000, 20_000, 25_000, 45_000] * 5
    moves = [
        (hour, payer, payee, usd * 460 / 500) for hour, payer, payee, usd in retail("shop", sums, 15, 10)
    ]
    ledger = make_ledger(tmp_path / "l", moves)
    write_prices(ledger, ["iso4217:KZT,2023-01-01,,500,2023-12-31"])
    assert "retail_local_receipts" not in find_all(ledger)


def test_retail_sums_round_in_tenge_in_the_evening_and_a_remittance_sender(tmp_path: Path) -> None:
    sums = [10_000, 15_000, 20_000, 25_000, 45_000] * 5
    moves = [
        *retail("shop", sums, 15, 10),  # 20:00 in Almaty
        *retail("sender", sums, 5, 10),  # 10:00: only weekends are leisure
        *retail("family", sums, 15, 3),  # three payers
        *retail("prices in dollars", [23_000, 46_000, 11_500, 34_500, 57_500] * 5, 15, 10),
        *retail("crooked", [11_700, 16_900, 22_222, 27_777, 48_123] * 5, 15, 10),
    ]
    ledger = make_ledger(tmp_path / "l", moves)
    assert "retail_local_receipts" not in find_all(ledger)  # no rates, nothing said
    write_prices(ledger, [RATE])
    found = find_all(ledger)["retail_local_receipts"]
    assert set(found) == {"shop"}
    line = found["shop"]
    assert line.strength == pytest.approx(1 / 1.6)
    assert (line.count, len(line.evidence)) == (25, 20)
    assert line.values == {
        "receipts": 25,
        "payers": 10,
        "currency": "KZT",
        "round_share": 1,
        "leisure_share": 1,
    }
