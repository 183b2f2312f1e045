"""Who lives in the world and how they trade: one literal table of roles and habits.

Every trade runs through the same code; what tells a drug shop from a remittance agent is only the numbers
of its row and the owners whom it pays. docs/simulated-world.md gives the sources of the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


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
    menu: float = 8.0  # prices on its list, where it asks for round ones


@dataclass(frozen=True)
class Role:
    """One kind of owner. `count` is for a world of 157,000 transfers."""

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


_BOTH: Final = (0.25, 0.25, 0.5)


def _mix(**weights: float) -> Mapping[str, float]:
    return MappingProxyType(dict(weights))


ROLES: Final[tuple[Role, ...]] = (
    # The drug trade.
    Role(
        "darknet_market",
        "darknet_market",
        3,
        drug=True,
        chains=(0.0, 0.0, 1.0),
        funding="reserve",
        service=True,
        reuse=0.9,
    ),
    Role(
        "drug_vendor",
        "drug_vendor",
        115,
        drug=True,
        chains=(0.7, 0.1, 0.2),
        cases=1.0,
        habit=Habit(0.16, 120, 0.7, 0.4, 0.55, 1.3, 0.2, 3.0, 11, 1.8, 0.12, 4),
        mix=_mix(
            exchange=0.3,
            exchanger=0.3,
            treasury=0.16,
            trader=0.08,
            mixer=0.08,
            supplier=0.08,
            swap=0.02,
            bridge=0.02,
        ),
    ),
    Role(
        "vendor_shop",
        "vendor_shop",
        40,
        drug=True,
        chains=(0.5, 0.25, 0.25),
        crowd="buyers",
        cases=1.1,
        habit=Habit(0.24, 100, 0.6, 0.55, 0.6, 1.5, 0.2, 2.6, 11, 2.2, 0.15, 4),
        mix=_mix(
            exchange=0.22,
            exchanger=0.26,
            treasury=0.2,
            drop=0.14,
            mixer=0.06,
            hands=0.12,
            swap=0.02,
            bridge=0.02,
        ),
    ),
    Role(
        "social_network_shop",
        "social_network_shop",
        105,
        drug=True,
        crowd="buyers",
        cases=1.1,
        habit=Habit(0.3, 65, 0.5, 0.7, 0.7, 1.8, 0.25, 3.4, 9, 2.4, 0.12, 4),
        mix=_mix(
            exchange=0.14,
            exchanger=0.2,
            treasury=0.24,
            drop=0.2,
            hands=0.18,
            trader=0.04,
            swap=0.02,
            bridge=0.02,
        ),
    ),
    Role(
        "courier_payout",
        "courier_payout",
        36,
        drug=True,
        chains=_BOTH,
        cases=0.9,
        funding="buy",
        habit=Habit(per_day=0.0, every=40, payments=1.2, kept=0.5),
        mix=_mix(exchange=0.5, treasury=0.3, exchanger=0.2),
    ),
    Role(
        "precursor_supplier",
        "precursor_supplier",
        32,
        drug=True,
        chains=_BOTH,
        crowd="traders",
        cases=0.9,
        reuse=0.7,
        habit=Habit(0.06, 700, 0.8, 0.5, 0.35, 0.9, 0.2, 2.5, 30, 1.6, 0.25, 8),
        mix=_mix(exchange=0.5, exchanger=0.2, supplier=0.2, trader=0.1, swap=0.02, bridge=0.02),
    ),
    Role(
        "drug_treasury",
        "drug_treasury",
        36,
        drug=True,
        chains=(0.1, 0.1, 0.8),
        cases=1.0,
        habit=Habit(per_day=0.0, every=22, payments=2.4, kept=0.35),
        mix=_mix(
            supplier=0.3,
            exchange=0.18,
            exchanger=0.26,
            hands=0.16,
            mixer=0.06,
            trader=0.04,
            swap=0.04,
            bridge=0.03,
        ),
    ),
    Role(
        "cash_out_exchanger",
        "cash_out_exchanger",
        44,
        drug=True,
        chains=_BOTH,
        crowd="anyone",
        cases=1.0,
        reuse=0.6,
        habit=Habit(0.18, 280, 0.9, 0.5, 0.52, 1.3, 0.3, 2.8, 9, 2.4, 0.15, 8),
        mix=_mix(exchange=0.44, person=0.34, trader=0.1, mixer=0.05, exchanger=0.07, swap=0.05, bridge=0.04),
    ),
    Role("drop_account", "drop_account", 110, drug=True, chains=(0.3, 0.7, 0.0), cases=0.8, reuse=1.0),
    # Honest trades that look like it.
    Role(
        "remittance_agent",
        "organisation",
        150,
        crowd="migrants",
        cases=1.0,
        habit=Habit(0.3, 130, 0.6, 0.6, 0.45, 1.2, 1.2, 3.6, 13, 2.4, 0.2, 6),
        mix=_mix(exchange=0.3, family=0.42, trader=0.2, person=0.08, swap=0.02, bridge=0.02),
    ),
    Role("family", "person", 220, chains=(0.3, 0.7, 0.0), cases=0.75, reuse=1.0),
    Role(
        "p2p_trader",
        "person",
        120,
        chains=_BOTH,
        crowd="anyone",
        cases=1.0,
        reuse=0.6,
        habit=Habit(0.24, 220, 0.95, 0.45, 0.44, 1.15, 0.4, 2.2, 12, 2.2, 0.25, 10),
        mix=_mix(exchange=0.46, person=0.36, trader=0.16, mixer=0.02, swap=0.06, bridge=0.05),
    ),
    Role(
        "merchant",
        "merchant",
        180,
        crowd="anyone",
        cases=0.8,
        reuse=0.35,
        habit=Habit(0.26, 50, 0.85, 0.35, 0.36, 1.1, 0.25, 2.0, 20, 1.9, 0.3, 9),
        mix=_mix(
            exchange=0.4,
            supplier=0.26,
            treasury=0.18,
            hands=0.06,
            trader=0.08,
            mixer=0.02,
            swap=0.02,
            bridge=0.02,
        ),
    ),
    Role(
        "wholesaler",
        "organisation",
        46,
        chains=_BOTH,
        crowd="traders",
        cases=0.8,
        reuse=0.7,
        habit=Habit(0.08, 650, 0.85, 0.5, 0.28, 0.75, 0.2, 2.5, 30, 1.6, 0.3, 9),
        mix=_mix(exchange=0.66, trader=0.1, supplier=0.2, hands=0.04, swap=0.03, bridge=0.02),
    ),
    Role(
        "employer",
        "employer",
        66,
        chains=(0.1, 0.1, 0.8),
        cases=0.7,
        funding="buy",
        reuse=0.7,
        habit=Habit(per_day=0.0, every=30, payments=2.2, kept=0.4),
        mix=_mix(supplier=0.3, exchange=0.5, hands=0.12, trader=0.08),
    ),
    Role(
        "payroll_office",
        "employer",
        40,
        chains=_BOTH,
        cases=0.8,
        funding="buy",
        reuse=0.7,
        habit=Habit(per_day=0.0, every=50, payments=1.2, kept=0.5),
        mix=_mix(exchange=0.8, treasury=0.1, trader=0.1),
    ),
    Role(
        "charity",
        "charity",
        42,
        crowd="anyone",
        cases=0.8,
        reuse=0.9,
        habit=Habit(0.24, 40, 0.95, 0.6, 0.42, 1.05, 0.4, 1.6, 30, 2.2, 0.3, 5),
        mix=_mix(exchange=0.45, person=0.25, family=0.15, merchant=0.15),
    ),
    Role(
        "freelancer",
        "person",
        110,
        chains=(0.5, 0.35, 0.15),
        crowd="employers",
        cases=0.7,
        habit=Habit(0.12, 210, 0.8, 0.4, 0.4, 0.9, 0.5, 5.0, 22, 1.6, 0.3, 6),
        mix=_mix(exchange=0.55, trader=0.15, merchant=0.14, person=0.12, mixer=0.04, swap=0.05, bridge=0.04),
    ),
    Role(
        "miner",
        "miner",
        14,
        chains=(1.0, 0.0, 0.0),
        cases=0.4,
        reuse=0.9,
        habit=Habit(per_day=0.0, every=23, payments=1.3, kept=0.2),
        mix=_mix(exchange=0.8, trader=0.2, bridge=0.1),
    ),
    # Other crime.
    Role(
        "fraud_seller",
        "fraud_shop",
        60,
        chains=(0.7, 0.1, 0.2),
        cases=0.9,
        habit=Habit(0.14, 80, 0.9, 0.35, 0.42, 1.0, 0.25, 2.0, 22, 1.6, 0.25, 8),
        mix=_mix(exchange=0.45, trader=0.22, mixer=0.12, person=0.14, merchant=0.07, swap=0.03, bridge=0.04),
    ),
    Role(
        "scam",
        "scam",
        95,
        crowd="victims",
        cases=1.0,
        reuse=0.4,
        habit=Habit(0.22, 130, 1.1, 0.4, 0.42, 1.0, 0.3, 1.3, 12, 2.0, 0.15, 6),
        mix=_mix(exchange=0.48, trader=0.22, mixer=0.13, exchanger=0.05, person=0.12, swap=0.06, bridge=0.06),
    ),
    Role(
        "ransomware",
        "ransomware",
        36,
        chains=(0.85, 0.0, 0.15),
        crowd="hit",
        cases=0.9,
        reuse=0.1,
        habit=Habit(0.05, 1500, 1.0, 0.4, 0.4, 0.9, 0.2, 1.1, 25, 2.0, 0.2, 8),
        mix=_mix(exchange=0.42, mixer=0.32, trader=0.2, exchanger=0.06, bridge=0.1),
    ),
    # Whom fraud and extortion take from: their payments to criminals are no crime.
    Role("fraud_victim", "person", 600, chains=(0.45, 0.37, 0.18), funding="buy", cases=0.2),
    Role("ransom_victim", "organisation", 110, chains=(0.7, 0.0, 0.3), funding="buy", reuse=0.7, cases=0.3),
    # People, and those who handle strangers' money.
    Role("person", "person", 2600, chains=(0.5, 0.32, 0.18), funding="buy", cases=0.25),
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
    Role("dex", "dex", 2, chains=(0.0, 1.0, 0.0), funding="reserve", service=True, reuse=1.0),
    Role("bridge", "bridge", 2, chains=(0.0, 0.0, 1.0), funding="reserve", service=True, reuse=1.0),
    Role("mining_pool", "mining_pool", 1, chains=(1.0, 0.0, 0.0), funding="reserve", service=True, reuse=1.0),
    Role("issuer", "organisation", 1, chains=(0.0, 1.0, 0.0), funding="reserve"),
    # All other regions of a big world: what crosses the border, and none of it written here.
    Role("elsewhere", "organisation", 1, chains=(0.0, 0.0, 1.0), funding="reserve"),
    Role("authority", "organisation", 1, chains=(0.0, 0.0, 1.0), reuse=0.8),
)

NUMBER: Final[Mapping[str, int]] = MappingProxyType({role.name: i for i, role in enumerate(ROLES)})
"""Place of each role in the table."""

HIRED: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"courier_payout": (3.0, 150.0), "payroll_office": (3.0, 190.0), "employer": (4.0, 420.0)}
)
"""Those who pay wages: mean number of hands, median wage in US dollars."""

BIG_BUYERS: Final = (*HIRED, "ransom_victim")
"""Those who buy coins in thousands of dollars at a time."""
