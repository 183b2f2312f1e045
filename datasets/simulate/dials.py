"""What can be turned on the simulated world: how hard it is, how noisy, how well known."""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypedDict, get_args

from chains.errors import InputError

Evasion = Literal["none", "medium", "strong"]


@dataclass(frozen=True)
class Dials:
    """How hard the world is. Shares are of 1, days count from the first day of the world.

    docs/simulated-world.md says what each default rests on.
    """

    # How alike the trades behave.
    alike: float = 0.1
    """How far every habit is pulled to the mean of all trades: 0 as in the table of roles, 1 all the same."""
    spread: float = 0.25
    """How much owners of one trade differ: standard deviation of the logarithm (or logit) of each habit."""
    covered: float = 0.3
    """Share of payers of a drug trade who are ordinary people without any other contact to drugs."""
    dispersed: float = 0.3
    """Share of receipts of a drug shop or a remittance agent that go straight to a drop or family account."""

    rotating: float = 0.2
    """Share of trades of all sides that take half of their receipts at wallets in use for a month each."""
    parts: float = 0.06
    """Share of sales of all trades that are paid in two parts."""

    # How much drug money touches what is known, and how much of it touches the honest.
    market_published: tuple[float, ...] = (25.0, 70.0, 250.0)
    """Day on which each darknet market's wallets become publicly known; over 365 is never."""
    market_refunds: float = 0.08
    """Share of market orders that are paid back to the buyer."""
    market_tourists: float = 0.08
    """Share of owners outside the drug trade (shops, agents, traders, freelancers, scammers…) whom a darknet
    market's wallet pays now and then: coins taken for a sale or a debt."""
    spill: float = 0.1
    """Share of a drug owner's payouts that go to honest traders, shops and people, not to the own network."""

    # How much is found out, when, and how well.
    drug_cases: float = 0.8
    """Share of drug owners against whom a case is closed within the year."""
    case_weight: float = 0.5
    """Power of an owner's turnover in the chance of a case: 0 all alike, 1 in proportion."""
    closing_from: float = 50.0
    closing_to: float = 364.0
    closing_skew: float = 1.6
    """Cases close between these days, the later the more of them (1 = evenly)."""
    network_pull: float = 0.6
    """How far the closing day of a member follows the day on which its network was first hit."""
    label_error: float = 0.02
    """Share of closed cases whose label is wrong."""
    exchange_published: tuple[float, ...] = (-200.0, -90.0, -20.0, 45.0, 400.0)
    """Day on which each exchange's wallets become publicly known."""
    seized: float = 0.4
    """Share of confirmed drug owners whose balance is swept after the case becomes public."""
    stopped: float = 0.6
    """Share of confirmed drug owners who stop trading when the case becomes public."""
    frozen: float = 0.2
    """Share of confirmed drug owners, of those not swept, whose dollar tokens the issuer freezes later."""
    dusted: float = 0.5
    """Share of closed cases whose addresses get dust from strangers afterwards."""

    # How the drug trade hides, in its own payments. 0 is no more than the habits of its roles.
    fresh: float = 0.0
    """Share of receipts of the trade (but for drop accounts and couriers) that go to a wallet taken into use
    for a while and emptied into the main one, or straight to an exchange, later."""
    rotation: float = 30.0
    """Days for which such a wallet is in use."""
    split: float = 0.0
    """Share of receipts and of payouts that are paid in two or three parts, hours or days apart."""
    delay: float = 0.0
    """Mean days by which a payout, or the emptying of a wallet or drop account, is put off."""
    mixed: float = 0.0
    """Share of payouts on the UTXO chain that go through a mixer to a wallet kept apart."""
    joined: float = 0.2
    """Share of owners in the trade who take part in CoinJoins (of vendors, vendor shops, exchangers)."""
    swapped: float = 0.0
    """Share of payouts on the token chain that are swapped for the wrapped coin first."""
    bridged: float = 0.0
    """Share of payouts that go through a bridge to a wallet on the other chain first."""
    imitated: float = 0.3
    """Share of honest trades that hide as the drug trade does; other criminals all do. At 0 whoever hides is
    a criminal."""
    drift: float = 0.0
    """How far the trade's habits have changed by the end of the year: at 1 tickets have fallen by half, half
    of the evening and weekend rhythm is gone, and a third of the payouts have found other outlets."""


class _Hiding(TypedDict, total=False):
    """The dials that a setting of evasion turns."""

    fresh: float
    rotation: float
    split: float
    delay: float
    mixed: float
    joined: float
    swapped: float
    bridged: float


_EVASION: Final[dict[str, _Hiding]] = {
    "none": {
        "fresh": 0.0,
        "rotation": 30.0,
        "split": 0.0,
        "delay": 0.0,
        "mixed": 0.0,
        "joined": 0.2,
        "swapped": 0.0,
        "bridged": 0.0,
    },
    "medium": {
        "fresh": 0.3,
        "rotation": 30.0,
        "split": 0.15,
        "delay": 0.7,
        "mixed": 0.08,
        "joined": 0.35,
        "swapped": 0.08,
        "bridged": 0.05,
    },
    "strong": {
        "fresh": 0.7,
        "rotation": 10.0,
        "split": 0.35,
        "delay": 2.0,
        "mixed": 0.2,
        "joined": 0.6,
        "swapped": 0.2,
        "bridged": 0.15,
    },
}


def dials_for(*, evasion: Evasion = "none", drift: float = 0.0, base: Dials | None = None) -> Dials:
    """Return the dials of a named setting of evasion and a drift of 0 to 1, the others as in `base`.

    Raises InputError for another name or a drift outside 0 to 1.
    """
    if evasion not in _EVASION:
        raise InputError(f"{evasion!r} is no setting of evasion: there are {', '.join(_EVASION)}")
    if not 0.0 <= drift <= 1.0:
        raise InputError(f"drift is between 0 (none) and 1, this was {drift}")
    return replace(base or Dials(), **_EVASION[evasion], drift=drift)


def name_evasion(dials: Dials) -> str:
    """Return the name of the setting of evasion that these dials are, "other" for none of them."""
    for name in get_args(Evasion):
        if replace(dials, **_EVASION[name]) == dials:
            return str(name)
    return "other"
