"""The price of the simulated coin, and of the same coin wrapped on the token chain, one a day."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from chains.assets import SIMULATED_COIN
from datasets.simulate.clock import DAYS, START, Floats, make_generator

COINS = ("bip122:73696d756c6174656400000000000000/slip44:1", f"eip155:78284/erc20:{SIMULATED_COIN}")
"""CAIP-19 ids of the coin of the simulated UTXO chain, and of the token that stands for it on the other."""

_FIRST_USD = 2_000.0
_DAILY = 0.022


def make_prices(seed: int) -> Floats:
    """Return US dollars for one coin on every day of the year, to the cent: a random walk."""
    rng = make_generator(seed, "prices")
    steps = rng.normal(0.0, _DAILY, DAYS)
    steps[0] = 0.0
    walk = np.cumsum(steps - steps.mean() * 0.8)
    prices: Floats = np.round(_FIRST_USD * np.exp(walk), 2)
    return prices


def write_prices(path: Path, prices: Floats) -> None:
    """Write the columns asset, day, usd; the day before the year, when coins were issued, has a price too."""
    lines = ["asset,day,usd"]
    for coin in COINS:
        for number, usd in enumerate([prices[0], *prices.tolist()], start=-1):
            lines.append(f"{coin},{(START + timedelta(days=number)).date().isoformat()},{usd:.2f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
