"""The settings of evasion and drift: each changes the payments of the drug trade as it says."""

import re
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from statistics import mean, median

import pytest

from chains.errors import InputError
from datasets.simulate.dials import Dials, Evasion, dials_for, name_evasion
from datasets.simulate.roles import ROLES
from datasets.simulate.world import simulate_world
from tests.datasets.worlds import Payment, Truth, read_tokens, read_truth, read_utxo

TRADE = {role.name for role in ROLES if role.drug and not role.service}
SHOPS = ("social_network_shop", "vendor_shop")
HONEST = ("remittance_agent", "merchant", "charity")
PEOPLE = ("person", "fraud_victim")
SIZE = 9_000
DOCS = Path(__file__).resolve().parents[2] / "docs" / "simulated-world.md"

Seen = tuple[Truth, list[Payment], list[Payment]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    alone = Dials(imitated=0.0, rotating=0.0, parts=0.0)  # nobody else does anything like it
    settings: dict[str, Dials] = {
        "none": dials_for(evasion="none", base=alone),
        "medium": dials_for(evasion="medium", base=alone),
        "strong": dials_for(evasion="strong", base=alone),
        "imitated": dials_for(evasion="strong"),
        "drifting": dials_for(drift=1.0, base=alone),
    }
    worlds = {}
    for name, dials in settings.items():
        world = simulate_world(tmp_path_factory.mktemp(name), seed=2, transfers=SIZE, dials=dials)
        truth = read_truth(world)
        worlds[name] = (truth, read_tokens(world, truth), read_utxo(world, truth))
    return worlds


def sold(seen: Seen, roles: tuple[str, ...]) -> list[Payment]:
    """Return what people paid to owners of these roles."""
    return [p for p in [*seen[1], *seen[2]] if p.payee["role"] in roles and p.payer["role"] in PEOPLE]


def share_spent(payments: list[Payment], *roles: str) -> float:
    """Return the share of the trade's payments that go to these roles."""
    paid = [p for p in payments if p.payer["role"] in TRADE and p.payer["owner"] != p.payee["owner"]]
    return sum(p.payee["role"] in roles for p in paid) / len(paid)


def test_the_defaults_are_no_evasion() -> None:
    assert dials_for() == Dials()
    assert dials_for(evasion="strong", base=Dials(spill=0.5)).spill == 0.5
    assert dials_for(evasion="none", base=dials_for(evasion="strong", drift=0.2)) == Dials()


@pytest.mark.parametrize("evasion", ["none", "medium", "strong"])
def test_a_setting_is_known_by_its_dials(evasion: Evasion) -> None:
    assert name_evasion(dials_for(evasion=evasion, drift=0.4, base=Dials(spill=0.2))) == evasion
    assert name_evasion(replace(dials_for(evasion=evasion), split=0.01)) == "other"


@pytest.mark.parametrize(("evasion", "drift"), [("full", 0.0), ("none", 1.5), ("none", -0.1)])
def test_refuses_a_setting_that_is_not_there(evasion: Evasion, drift: float) -> None:
    with pytest.raises(InputError, match=r"(evasion|drift)"):
        dials_for(evasion=evasion, drift=drift)


def test_the_documented_settings_are_the_settings() -> None:
    found = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text("utf-8"), re.M)
    told = {name: tuple(map(float, values)) for name, *values in found}
    settings = [asdict(dials_for(evasion=name)) for name in ("none", "medium", "strong")]
    differ = {name for name in settings[0] if len({one[name] for one in settings}) > 1}
    assert told == {name: tuple(one[name] for one in settings) for name in differ}


def test_evasion_takes_more_addresses_for_the_same_trade(seen: dict[str, Seen]) -> None:
    def used(name: str) -> dict[str, int]:
        rows = [row for row in seen[name][0].values() if row["role"] in TRADE]
        fresh = sum(row["wallet"] == "fresh" for row in rows)
        return {"owners": len({row["owner"] for row in rows}), "addresses": len(rows), "fresh": fresh}

    none, medium, strong = used("none"), used("medium"), used("strong")
    assert none["owners"] == pytest.approx(strong["owners"], abs=4)
    assert none["fresh"] == 0
    assert 50 < medium["fresh"] < 0.7 * strong["fresh"]
    assert none["addresses"] * 1.2 < medium["addresses"] < 0.9 * strong["addresses"]


def test_evasion_splits_what_the_trade_is_paid_and_nobody_else_is(seen: dict[str, Seen]) -> None:
    count = {name: len(sold(seen[name], SHOPS)) for name in ("none", "medium", "strong")}
    size = {name: mean(p.usd for p in sold(seen[name], SHOPS)) for name in count}
    assert count["none"] < count["medium"] < count["strong"]
    assert count["strong"] > 1.15 * count["none"]
    assert size["strong"] < 0.92 * size["none"]
    honest = {name: len(sold(seen[name], HONEST)) for name in ("none", "strong", "imitated")}
    assert honest["strong"] == pytest.approx(honest["none"], rel=0.03)
    assert 1.05 * honest["none"] < honest["imitated"] < 1.3 * honest["none"]


def test_some_of_the_honest_hide_alike(seen: dict[str, Seen]) -> None:
    def hiding(name: str) -> set[str]:
        return {row["owner"] for row in seen[name][0].values() if row["wallet"] == "fresh"}

    honest = {row["owner"] for row in seen["imitated"][0].values() if row["role"] in HONEST}
    assert not hiding("strong") & honest
    assert 0.2 * len(honest) < len(hiding("imitated") & honest) < 0.7 * len(honest)


@pytest.mark.parametrize(("chain", "role"), [("coin", "mixer"), ("token", "dex"), ("coin", "bridge")])
def test_evasion_leads_payouts_through_services_that_hide(
    seen: dict[str, Seen], chain: str, role: str
) -> None:
    shares = []
    for name in ("none", "medium", "strong"):
        _, tokens, coins = seen[name]
        shares.append(share_spent(tokens if chain == "token" else coins, role))
    none, medium, strong = shares
    assert none < medium < strong
    assert strong > 1.5 * none


def test_evasion_puts_payouts_off(seen: dict[str, Seen]) -> None:
    """Hours from a receipt of a drop account to its next payment of dollars."""

    def wait(name: str) -> float:
        waits: list[float] = []
        since: dict[str, datetime] = {}
        for p in seen[name][1]:
            if p.payee["role"] == "drop_account":
                since.setdefault(p.payee["owner"], p.time)
            if p.payer["role"] == "drop_account" and p.payer["owner"] in since:
                waits.append((p.time - since.pop(p.payer["owner"])).total_seconds() / 3600)
        return median(waits)

    assert wait("none") < 0.7 * wait("medium")
    assert wait("none") < 0.4 * wait("strong")


def test_drift_changes_tickets_hours_and_outlets_as_the_year_goes(seen: dict[str, Seen]) -> None:
    def quarters(name: str, roles: tuple[str, ...]) -> tuple[list[Payment], list[Payment]]:
        rows = sold(seen[name], roles)
        return [p for p in rows if p.time.month <= 3], [p for p in rows if p.time.month >= 10]

    def fall(name: str, roles: tuple[str, ...]) -> float:
        early, late = quarters(name, roles)
        return median(p.usd for p in late) / median(p.usd for p in early)

    def evening(name: str) -> float:
        early, late = (
            [p for p in rows if p.token]
            for rows in quarters(name, SHOPS)  # block times of coins are late
        )
        after = [sum(p.time.hour >= 12 for p in rows) / len(rows) for rows in (early, late)]
        return after[1] - after[0]

    def outlets(name: str) -> float:
        shares = []
        for late in (False, True):
            paid = [
                p
                for p in [*seen[name][1], *seen[name][2]]
                if p.payer["role"] in TRADE and (p.time.month >= 10 if late else p.time.month <= 3)
            ]
            shares.append(sum(p.payee["role"] in ("p2p_trader", "dex", "bridge") for p in paid) / len(paid))
        return shares[1] - shares[0]

    assert fall("drifting", SHOPS) < 0.75 * fall("none", SHOPS)
    assert fall("drifting", HONEST) == pytest.approx(fall("none", HONEST), rel=0.05)
    assert evening("drifting") < evening("none") - 0.1
    assert outlets("drifting") > outlets("none") + 0.04
