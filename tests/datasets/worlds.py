"""Reading the files of a simulated world for tests: payments with the owners and roles behind them."""

import csv
from dataclasses import dataclass
from datetime import datetime

import pyarrow.parquet as pq

from chains.address import find_chain
from datasets.simulate.world import World

Truth = dict[str, dict[str, str]]

UTXO = find_chain("simulated-utxo").caip2
TOKEN = find_chain("simulated-token").caip2


@dataclass(frozen=True)
class Payment:
    """One receipt of one address: `payer` and `payee` are rows of the truth; `token` is '' for the coin.

    `usd` is the value in US dollars at the price of the day.
    """

    hash: str
    time: datetime
    token: str
    payer: dict[str, str]
    payee: dict[str, str]
    amount: int
    usd: float


def read_truth(world: World) -> Truth:
    """Return the truth by account."""
    with world.truth.open(encoding="utf-8", newline="") as handle:
        return {row["account"]: row for row in csv.DictReader(handle)}


def read_prices(world: World) -> dict[str, float]:
    """Return the coin's price by ISO day."""
    with world.prices.open(encoding="utf-8", newline="") as handle:
        return {row["day"]: float(row["usd"]) for row in csv.DictReader(handle)}


def read_tokens(world: World, truth: Truth) -> list[Payment]:
    """Return the transfers of the token chain in their order."""
    prices = read_prices(world)
    found = []
    for row in pq.read_table(world.tokens).to_pylist():
        time = row["block_timestamp"]
        dollars = row["token_address"] == world.token_contract
        unit = 1e-6 if dollars else prices[time.date().isoformat()] * 1e-8
        found.append(
            Payment(
                row["transaction_hash"],
                time,
                row["token_address"],
                truth[f"{TOKEN}:{row['from_address']}"],
                truth[f"{TOKEN}:{row['to_address']}"],
                row["value"],
                row["value"] * unit,
            )
        )
    return found


def read_utxo(world: World, truth: Truth) -> list[Payment]:
    """Return what each output paid to another owner than that of the first input; no coinbases."""
    prices = read_prices(world)
    found = []
    for row in pq.read_table(world.utxo).to_pylist():
        if row["is_coinbase"]:
            continue
        payer = truth[f"{UTXO}:{row['inputs'][0]['addresses'][0]}"]
        price = prices[row["block_timestamp"].date().isoformat()] * 1e-8
        for output in row["outputs"]:
            payee = truth[f"{UTXO}:{output['addresses'][0]}"]
            if payee["owner"] != payer["owner"]:
                value = output["value"]
                found.append(
                    Payment(row["hash"], row["block_timestamp"], "", payer, payee, value, value * price)
                )
    return found
