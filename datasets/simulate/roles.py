"""Who lives in the world and how they trade: one literal table of roles and habits.

Every trade runs through the same code; what tells a drug shop from a remittance agent is only the numbers
of its row and the owners whom it pays. docs/simulated-world.md gives the sources of the numbers.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from collections.abc import Mapping


@dataclass(frozen=True)
class Habit:
    """How an owner collects and pays out; amounts in US dollars, rates per day."""

    per_day: float = 0.0  # receipts from the crowd
    ticket: float = 100.0  # median receipt
    sigma: float = 0.8  # standard deviation of the logarithm of a receipt
    rounded: float = 0.4  # share of receipts at a round price
    evening: float = 0.4  # share of payments in the local evening (UTC+5)
    weekend: float = 1.1  # Friday and Saturday against other days
    payday: float = 0.3  # extra weight of the days after wages are paid
    loyalty: float = 2.5  # receipts per payer
    every: float = 14.0  # days between payouts
    payments: float = 2.0  # payments in one payout
    kept: float = 0.25  # share of the balance left by a payout


@dataclass(frozen=True)
class Role:
    """One kind of owner. `count` is for a world of 120,000 transfers."""

    name: str
    category: str  # of the taxonomy
    count: int
    drug: bool = False
    chains: tuple[float, float, float] = (0.45, 0.4, 0.15)  # UTXO only, token only, both
    habit: Habit | None = None
    crowd: str = ""  # who pays into it
    mix: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # whom it pays
    funding: str = (
        "have"  # short of funds: pay what it has ("have"), buy more ("buy"), cannot be short ("reserve")
    )
    reuse: float = 0.5  # share of receipts at an address used before (UTXO chain)
    cases: float = 0.0  # relative chance that a case about it is closed
    service: bool = False


def _mix(**weights: float) -> Mapping[str, float]:
    return MappingProxyType(dict(weights))


ROLES: Final[tuple[Role, ...]] = (
    # The drug trade.
    Role("darknet_market", "darknet_market", 3, drug=True, chains=(0.0, 0.0, 1.0), service=True, reuse=0.9),
    Role(
        "drug_vendor",
        "drug_vendor",
        170,
        drug=True,
        chains=(0.7, 0.1, 0.2),
        cases=1.0,
        habit=Habit(
            per_day=0.12, ticket=110, sigma=0.8, rounded=0.35, every=30, payments=1.6, kept=0.2, evening=0.45
        ),
        mix=_mix(
            exchange=0.42, exchanger=0.2, trader=0.14, treasury=0.08, mixer=0.06, person=0.06, merchant=0.04
        ),
    ),
    Role(
        "vendor_shop",
        "vendor_shop",
        55,
        drug=True,
        chains=(0.6, 0.25, 0.15),
        crowd="buyers",
        cases=1.1,
        habit=Habit(0.2, 105, 0.8, 0.4, 0.52, 1.35, 0.25, 2.2, 26, 2.0, 0.25),
        mix=_mix(exchange=0.34, exchanger=0.22, treasury=0.14, drop=0.1, mixer=0.06, hands=0.06, trader=0.08),
    ),
    Role(
        "social_network_shop",
        "social_network_shop",
        150,
        drug=True,
        crowd="buyers",
        cases=1.1,
        habit=Habit(0.24, 70, 0.65, 0.55, 0.58, 1.5, 0.3, 2.8, 18, 2.2, 0.2),
        mix=_mix(
            exchange=0.22, exchanger=0.18, treasury=0.18, drop=0.16, hands=0.14, trader=0.08, person=0.04
        ),
    ),
    Role(
        "courier_payout",
        "courier_payout",
        55,
        drug=True,
        cases=0.9,
        funding="buy",
        habit=Habit(per_day=0.0, every=51, payments=1.2, kept=0.5),
        mix=_mix(exchange=0.6, treasury=0.2, exchanger=0.2),
    ),
    Role(
        "precursor_supplier",
        "precursor_supplier",
        45,
        drug=True,
        crowd="traders",
        cases=0.9,
        reuse=0.7,
        habit=Habit(0.05, 900, 0.9, 0.5, 0.35, 0.9, 0.2, 2.5, 44, 1.6, 0.3),
        mix=_mix(exchange=0.6, trader=0.15, supplier=0.15, exchanger=0.1),
    ),
    Role(
        "drug_treasury",
        "drug_treasury",
        50,
        drug=True,
        cases=1.0,
        habit=Habit(per_day=0.0, every=33, payments=2.4, kept=0.4),
        mix=_mix(supplier=0.28, exchange=0.26, exchanger=0.2, hands=0.12, mixer=0.06, trader=0.08),
    ),
    Role(
        "cash_out_exchanger",
        "cash_out_exchanger",
        65,
        drug=True,
        crowd="anyone",
        cases=1.0,
        reuse=0.6,
        habit=Habit(0.2, 260, 0.95, 0.45, 0.46, 1.2, 0.35, 2.4, 12, 2.2, 0.25),
        mix=_mix(exchange=0.44, person=0.34, trader=0.14, mixer=0.03, exchanger=0.05),
    ),
    Role("drop_account", "drop_account", 150, drug=True, chains=(0.3, 0.7, 0.0), cases=0.8, reuse=1.0),
    # Honest trades that look like it.
    Role(
        "remittance_agent",
        "organisation",
        230,
        crowd="migrants",
        cases=1.0,
        habit=Habit(0.22, 95, 0.65, 0.55, 0.44, 1.15, 0.9, 3.2, 18, 2.4, 0.2),
        mix=_mix(exchange=0.3, family=0.42, trader=0.2, person=0.08),
    ),
    Role(
        "family",
        "person",
        330,
        chains=(0.3, 0.7, 0.0),
        cases=0.75,
        reuse=1.0,
    ),
    Role(
        "p2p_trader",
        "person",
        180,
        crowd="anyone",
        cases=1.0,
        reuse=0.6,
        habit=Habit(0.2, 230, 0.95, 0.45, 0.44, 1.2, 0.4, 2.4, 14, 2.2, 0.25),
        mix=_mix(exchange=0.46, person=0.36, trader=0.16, mixer=0.02),
    ),
    Role(
        "merchant",
        "merchant",
        270,
        crowd="anyone",
        cases=0.8,
        reuse=0.35,
        habit=Habit(0.2, 55, 0.85, 0.35, 0.4, 1.15, 0.25, 2.2, 30, 1.9, 0.25),
        mix=_mix(exchange=0.42, supplier=0.24, treasury=0.16, hands=0.06, trader=0.08, mixer=0.01),
    ),
    Role(
        "wholesaler",
        "organisation",
        70,
        crowd="traders",
        cases=0.8,
        reuse=0.7,
        habit=Habit(0.06, 800, 0.9, 0.5, 0.3, 0.8, 0.2, 2.5, 44, 1.6, 0.3),
        mix=_mix(exchange=0.66, trader=0.1, supplier=0.2, hands=0.04),
    ),
    Role(
        "employer",
        "employer",
        100,
        cases=0.7,
        funding="buy",
        reuse=0.7,
        habit=Habit(per_day=0.0, every=40, payments=2.2, kept=0.4),
        mix=_mix(supplier=0.3, exchange=0.5, hands=0.12, trader=0.08),
    ),
    Role(
        "payroll_office",
        "employer",
        60,
        cases=0.8,
        funding="buy",
        reuse=0.7,
        habit=Habit(per_day=0.0, every=56, payments=1.2, kept=0.5),
        mix=_mix(exchange=0.8, treasury=0.1, trader=0.1),
    ),
    Role(
        "charity",
        "charity",
        65,
        crowd="anyone",
        cases=0.8,
        reuse=0.9,
        habit=Habit(0.18, 40, 0.95, 0.55, 0.42, 1.05, 0.4, 1.7, 44, 2.2, 0.3),
        mix=_mix(exchange=0.45, person=0.25, family=0.15, merchant=0.15),
    ),
    Role(
        "freelancer",
        "person",
        170,
        chains=(0.5, 0.35, 0.15),
        crowd="employers",
        cases=0.7,
        habit=Habit(0.1, 210, 0.8, 0.4, 0.42, 1.0, 0.4, 5.0, 33, 1.6, 0.25),
        mix=_mix(exchange=0.55, trader=0.15, merchant=0.14, person=0.12, mixer=0.04),
    ),
    Role(
        "miner",
        "miner",
        14,
        chains=(1.0, 0.0, 0.0),
        cases=0.4,
        reuse=0.9,
        habit=Habit(per_day=0.0, every=23, payments=1.3, kept=0.2),
        mix=_mix(exchange=0.8, trader=0.2),
    ),
    # Other crime.
    Role(
        "fraud_seller",
        "fraud_shop",
        90,
        chains=(0.7, 0.1, 0.2),
        cases=0.9,
        habit=Habit(
            per_day=0.12, ticket=85, sigma=0.9, rounded=0.35, every=30, payments=1.6, kept=0.2, evening=0.45
        ),
        mix=_mix(exchange=0.45, trader=0.2, mixer=0.09, person=0.14, exchanger=0.06, merchant=0.06),
    ),
    Role(
        "scam",
        "scam",
        140,
        crowd="anyone",
        cases=1.0,
        reuse=0.4,
        habit=Habit(0.17, 130, 1.1, 0.4, 0.44, 1.05, 0.3, 1.5, 18, 2.0, 0.15),
        mix=_mix(exchange=0.45, trader=0.2, mixer=0.12, exchanger=0.1, person=0.13),
    ),
    Role(
        "ransomware",
        "ransomware",
        45,
        chains=(0.85, 0.0, 0.15),
        crowd="employers",
        cases=0.9,
        reuse=0.1,
        habit=Habit(0.04, 1500, 1.0, 0.4, 0.4, 0.9, 0.2, 1.1, 33, 2.0, 0.2),
        mix=_mix(exchange=0.4, mixer=0.3, trader=0.2, exchanger=0.1),
    ),
    # People, and those who handle strangers' money.
    Role("person", "person", 4300, chains=(0.5, 0.32, 0.18), funding="buy", cases=0.05),
    Role("exchange", "exchange", 5, chains=(0.0, 0.0, 1.0), funding="reserve", service=True, reuse=1.0),
    Role(
        "payment_processor",
        "payment_processor",
        1,
        chains=(0.0, 0.0, 1.0),
        funding="reserve",
        service=True,
        reuse=0.9,
    ),
    Role("gambling", "gambling", 2, chains=(0.0, 0.0, 1.0), funding="reserve", service=True, reuse=0.9),
    Role("mixer", "mixer", 1, chains=(1.0, 0.0, 0.0), funding="reserve", service=True, reuse=0.0),
    Role("mining_pool", "mining_pool", 1, chains=(1.0, 0.0, 0.0), funding="reserve", service=True, reuse=1.0),
    Role("issuer", "organisation", 1, chains=(0.0, 1.0, 0.0), funding="reserve"),
    Role("authority", "organisation", 1, chains=(0.0, 0.0, 1.0), reuse=0.8),
)

NUMBER: Final[Mapping[str, int]] = MappingProxyType({role.name: i for i, role in enumerate(ROLES)})
"""Place of each role in the table."""

HIRED: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"courier_payout": (4.0, 150.0), "payroll_office": (4.0, 190.0), "employer": (5.0, 420.0)}
)
"""Those who pay wages: mean number of hands, median wage in US dollars."""
