"""Who misses an indicator by one threshold alone."""

from tests.features.indicated import Move
from tests.features.indicator_cases import DAY, crowd, shop


def relayed(
    name: str, hours: float, usd: float, wait: float, share: float, payee: str = "boss"
) -> list[Move]:
    """A receipt from somebody new, and so much of it paid on after so many hours."""
    return [(hours, f"{name} from {hours}", name, usd), (hours + wait, name, payee, share * usd)]


def funnelled(name: str, times: int, usd: float, last: float) -> list[Move]:
    """Three receipts that together are one payment to an exchange, so many hours after the first."""
    return [
        move
        for k in range(times)
        for move in (
            *((4000 + 500.0 * k + i, f"{name} {i}", name, usd) for i in range(3)),
            (4000 + 500.0 * k + last, name, "exchange", 3 * usd - 1),
            (4000 + 500.0 * k + last + 1, name, "landlord", 1.0),  # no deposit address
        )
    ]


def scattered(name: str, usd: float, share: float, apart: float) -> list[Move]:
    """One payer, three carriers, one collector."""
    return [
        move
        for k in range(3)
        for move in (
            (4000 + apart * k, f"{name} head", f"{name} {k}", usd),
            (4010 + apart * k, f"{name} {k}", f"{name} tail", share * usd),
        )
    ]


def sold(name: str, payouts: int, payees: int, wait: float) -> list[Move]:
    """A seller on the market, who pays hands after each payout."""
    moves: list[Move] = [(3000, name, "market", 300)]
    for k in range(payouts):
        moves.append((4000 + 400.0 * k, "market", name, 1000))
        moves += [(4000 + 400.0 * k + wait + i, name, f"{name} hand {i}", 100.0) for i in range(payees)]
    return moves


def swept(name: str, receipts: int, payers: int, wait: float, desks: int, each: float = 95) -> list[Move]:
    """A collector that pays each receipt on to one of its desks."""
    return [
        move
        for k in range(receipts)
        for move in (
            (4000 + 40.0 * k, f"{name} payer {k % payers}", name, 100.0),
            (4000 + 40.0 * k + wait, name, f"desk {k % desks}", each),
        )
    ]


def turned(name: str, wallets: int, life: float, share: float = 1, apart: float = 400) -> list[Move]:
    """Wallets of one use into one till."""
    return [
        move
        for k in range(wallets)
        for move in (
            (1500 + apart * k, f"{name} buyer {k}", f"{name} {k}", 100.0),
            (1500 + apart * k + life, f"{name} {k}", f"{name} till", 100 * share),
        )
    ]


def even(name: str, times: int, usd: float, step: float, last: float) -> list[Move]:
    """Payments of one to another at even steps, the last of them at that hour."""
    return [(last - step * k, f"{name} payer", name, usd) for k in range(times)]


# Who misses by one threshold alone: by name of the threshold. Each would show the indicator, were it looser.
NEARLY: dict[str, dict[str, list[Move]]] = {
    "structuring": {
        "near_share": [(4000.0 + 10 * k, "low", f"l{k}", 890.0) for k in range(4)],
        "days": [(4000.0 + 60 * k, "apart", f"a{k}", 950.0) for k in range(4)],
        "payments": [(4000.0 + 10 * k, "thrice", f"t{k}", 950.0) for k in range(3)],
    },
    "high_value_burst": {"payments": [(4000, "pair", "a", 20_000), (4001, "pair", "b", 20_000)]},
    "regular_then_silent": {
        "value_usd": even("poor", 5, 900, 60, 800),
        "transfers": even("four", 4, 2000, 60, 800),
        "least_step_hours": even("hourly", 5, 2000, 11, 800),
        "silent_days": even("recent", 5, 2000, 60, 3901 - 89 * DAY),
    },
    "small_high_frequency": {
        "small_usd": list(shop("wholesale", 4000, 20, 501, 5)),
        "days": [(3000 + 40.0 * k, f"slow {k % 5}", "slow shop", 50.0) for k in range(20)],
        "receipts": list(shop("quiet shop", 4000, 19, 50, 5)),
        "visits": [(4000 + 6.0 * k, f"twice {k % 10}", "popular", 50.0) for k in range(20)],
        "returning_share": [
            (4000 + 6.0 * k, f"v{min(k, 11) if k < 12 else 12 + k % 3}", "mixed", 50.0) for k in range(21)
        ],
    },
    "dormant_awakening": {
        "silent_days": [
            (2000, "a", "short", 50),
            (2000 + 179 * DAY, "b", "short", 2000),
            (2000 + 179 * DAY + 1, "short", "c", 2000),
        ],
        "received_usd": [
            (2000, "a", "little", 50),
            (2000 + 181 * DAY, "b", "little", 990),
            (2000 + 181 * DAY + 1, "little", "c", 990),
        ],
        "hours": [
            (2000, "a", "calm", 50),
            (2000 + 181 * DAY, "b", "calm", 2000),
            (2000 + 181 * DAY + 73, "calm", "c", 2000),
        ],
    },
    "new_wallet_emptied": {
        "first_usd": relayed("modest", 4000, 9_990, 5, 1),
        "hours": relayed("slow", 4000, 15_000, 49, 1),
        "passed_share": relayed("most", 4000, 15_000, 5, 0.94),
    },
    "withdrawal_to_fresh": {
        "received_usd": [(4000, "exchange", "little", 990), (4001, "little", "next", 990)],
        "hours": [(4000, "exchange", "slow", 2000), (4006.1, "slow", "next", 2000)],
        "passed_share": [(4000, "exchange", "most", 2000), (4001, "most", "next", 1880)],
    },
    "rapid_pass_through": {
        "hours": [m for k in range(3) for m in relayed("slow", 4000 + 100 * k, 400, 25, 1)],
        "passed_share": [m for k in range(3) for m in relayed("keeps", 4000 + 100 * k, 400, 5, 0.89)],
        "whole_share": [
            *(m for k in range(3) for m in relayed("other", 4000 + 100 * k, 400, 5, 1)),
            (5000, "z", "other", 400),
        ],
        "times": [m for k in range(2) for m in relayed("twice", 4000 + 100 * k, 700, 5, 1)],
        "total_usd": [m for k in range(3) for m in relayed("cheap", 4000 + 100 * k, 300, 5, 1)],
    },
    "many_small_payers": {
        "small_usd": [*crowd("u", 15, 4000, 24, "big", 501), (4500, "big", "boss", 7500)],
        "days": [*crowd("v", 15, 4000, 60, "slow", 40), (5000, "slow", "boss", 600)],
        "payers": [*crowd("w", 14, 4000, 24, "few", 40), (4500, "few", "boss", 560)],
        "small_share": [
            *crowd("x", 15, 4000, 24, "also", 40),
            *((4400.0 + k, "rich", "also", 900.0) for k in range(5)),
            (4500, "also", "boss", 5100),
        ],
        "passed_share": [*crowd("y", 15, 4000, 24, "keeps", 40), (4500, "keeps", "boss", 470)],
    },
    "fan_out_to_services": {
        "total_usd": [
            (4000, "a", "little", 900),
            *((4001.0 + k, "little", x, 300.0) for k, x in enumerate("xyz")),
        ],
    },
    "matching_deposits": {
        "days": funnelled("slow", 2, 400, 73),
        "paid_usd": funnelled("little", 2, 300, 5),
        "times": funnelled("once", 1, 400, 5),
    },
    "split_forwarding": {
        "received_usd": [
            (4000, "a", "little", 990),
            *((4001.0 + k, "little", f"l{k}", 330.0) for k in range(3)),
        ],
        "hours": [(4000, "a", "slow", 3000), *((4023.0 + k, "slow", f"s{k}", 990.0) for k in range(3))],
        "wallets": [(4000, "a", "pair", 3000), *((4001.0 + k, "pair", f"p{k}", 1500.0) for k in range(2))],
        "passed_share": [
            (4000, "a", "keeps", 3000),
            *((4001.0 + k, "keeps", f"k{k}", 790.0) for k in range(3)),
        ],
    },
    "scatter_gather": {
        "days": scattered("slow", 500, 0.9, 90),
        "passed_share": scattered("keeps", 500, 0.79, 1),
        "total_usd": scattered("little", 300, 1, 1),
    },
    "mixer_use": {
        "total_usd": [(4000, "mixer", "little", 999)],
        "mixed_share": [(4000, "mixer", "seller", 1100), (4001, "a", "seller", 12_000)],
    },
    "mixer_and_market": {
        "value_usd": [(4000, "mixer", "little", 199), (4001, "little", "market", 199)],
    },
    "supplier_many_remitters": {
        "low_usd": crowd("u", 5, 4000, 48, "supplier 3", 3001),
        "days": crowd("v", 5, 3000, 24 * 23, "supplier 4", 900),
        "payers": crowd("w", 4, 4000, 48, "supplier 5", 900),
    },
    "market_payout_fan_out": {
        "payouts": sold("twice", 2, 3, 1),
        "days": sold("slow", 3, 3, 169),
        "payees": sold("pair", 3, 2, 1),
    },
    "sweep_to_exchangers": {
        "receipts": swept("few", 9, 5, 5, 2),
        "payers": swept("partners", 10, 4, 5, 2),
        "hours": swept("slow", 10, 5, 13, 2),
        "exchangers": swept("wide", 12, 5, 5, 4),
        "swept_share": swept("keeps", 10, 5, 5, 2, each=79),
        "sweeps": [
            *crowd("once", 10, 4000, 1, "rare", 100.0),
            (4011, "rare", "desk 0", 500),
            (4012, "rare", "desk 1", 490),
        ],
    },
    "fresh_rotation": {
        "wallets": turned("four", 4, 20, apart=50),
        "days": turned("slow", 5, 20, apart=400),
        "handover_share": [*turned("busy", 6, 20, apart=50), *turned("busy twin", 6, 20, apart=50)],
        "passed_share": turned("keeps", 5, 20, 0.89, apart=50),
    },
}
NEARLY["fresh_rotation"]["handover_share"] = [
    (h, payer, payee.replace("busy twin till", "busy till"), usd)
    for h, payer, payee, usd in NEARLY["fresh_rotation"]["handover_share"]
]
NEARLY_LABELS = {
    "supplier_many_remitters": [(f"supplier {k}", "precursor_supplier") for k in (3, 4, 5)],
    "sweep_to_exchangers": [(f"desk {k}", "exchange") for k in (2, 3)],
}
