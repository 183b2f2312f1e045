"""What can be turned on the simulated world: how hard it is, how noisy, how well known."""

from dataclasses import dataclass


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
    dusted: float = 0.5
    """Share of closed cases whose addresses get dust from strangers afterwards."""
