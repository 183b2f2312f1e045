"""Work tables of a build from a few written-out transfers, for the tests of behaviour."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from features.behaviour import behaviour_parts
from features.catalogue import CATALOGUE

MICRO_USD_PER_CENT = 10_000


@dataclass(frozen=True)
class Paid:
    """One transfer: who paid and who was paid how many raw units. `cents`: a raw unit is a US cent."""

    time: datetime
    payers: Mapping[int, int]
    payees: Mapping[int, int]
    asset: int = 1
    coinjoin: bool = False
    cents: bool = True


@dataclass
class _Tables:
    transfers: list[dict[str, object]] = field(default_factory=list)
    legs: list[dict[str, object]] = field(default_factory=list)
    flows: list[dict[str, object]] = field(default_factory=list)
    edges: list[dict[str, object]] = field(default_factory=list)
    address_flows: list[dict[str, object]] = field(default_factory=list)


TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("seq", "address", "entity", "payer", "payee", "usd"), pa.int64()),
    **dict.fromkeys(("asset", "index"), pa.int32()),
    **dict.fromkeys(("side", "direction"), pa.string()),
    "amount": pa.decimal128(38, 0),
    "time": pa.timestamp("us"),
    "coinjoin": pa.bool_(),
}
COLUMNS = {
    "seen_transfer": ("seq", "asset", "time", "coinjoin"),
    "seen_leg": ("seq", "side", "index", "address", "amount", "usd"),
    "member": ("address", "entity"),
    "flow": ("entity", "seq", "time", "asset", "direction", "amount", "usd", "coinjoin"),
    "edge": ("payer", "payee", "seq", "time", "asset", "amount", "usd"),
    "address_flow": ("address", "seq", "time", "asset", "direction", "amount", "usd"),
    "whole_history": ("entity",),
}


def work_tables(
    paid: Sequence[Paid],
    entities: Mapping[int, int] | None = None,
    *,
    threads: int = 1,
    backwards: bool = False,
    partly: Sequence[int] = (),
) -> duckdb.DuckDBPyConnection:
    """Make the tables; `entities` names the entity of an address, which is else the address itself.

    The transfers are numbered in the order given. `backwards` writes all rows in reverse; of the entities
    `partly` the ledger has only a part of the history.
    """
    of = dict(entities or {})
    tables = _Tables()
    addresses: dict[int, None] = {}
    for seq, transfer in enumerate(paid, start=1):
        addresses.update(dict.fromkeys([*transfer.payers, *transfer.payees]))
        _add(tables, seq, transfer, of)
    rows: dict[str, list[dict[str, object]]] = {
        "seen_transfer": tables.transfers,
        "seen_leg": tables.legs,
        "member": [{"address": address, "entity": of.get(address, address)} for address in addresses],
        "flow": tables.flows,
        "edge": tables.edges,
        "address_flow": tables.address_flows,
        "whole_history": [
            {"entity": entity}
            for entity in dict.fromkeys(of.get(address, address) for address in addresses)
            if entity not in partly
        ],
    }
    connection = duckdb.connect(":memory:", config={"threads": threads})
    for name, columns in COLUMNS.items():
        schema = pa.schema([(column, TYPES[column]) for column in columns])
        arrow = pa.Table.from_pylist(rows[name][::-1] if backwards else rows[name], schema=schema)
        huge = " REPLACE (CAST(amount AS HUGEINT) AS amount)" if "amount" in columns else ""
        connection.register("written", arrow)
        connection.execute(f"CREATE TABLE {name} AS SELECT *{huge} FROM written")  # noqa: S608  (names above)
        connection.unregister("written")
    return connection


def _add(tables: _Tables, seq: int, transfer: Paid, of: Mapping[int, int]) -> None:
    stamp = {"seq": seq, "time": transfer.time, "asset": transfer.asset}

    def priced(amount: int) -> dict[str, object]:
        return {"amount": amount, "usd": amount * MICRO_USD_PER_CENT if transfer.cents else None}

    tables.transfers.append({**stamp, "coinjoin": transfer.coinjoin})
    sides = (("payer", "out", transfer.payers), ("payee", "in", transfer.payees))
    moved: dict[tuple[int, str], int] = {}
    for side, direction, legs in sides:
        for index, (address, amount) in enumerate(legs.items()):
            tables.legs.append(
                {"seq": seq, "side": side, "index": index, "address": address, **priced(amount)}
            )
            tables.address_flows.append(
                {"address": address, **stamp, "direction": direction, **priced(amount)}
            )
            key = of.get(address, address), direction
            moved[key] = moved.get(key, 0) + amount
    payers = {entity for entity, direction in moved if direction == "out"}
    if len(payers) == 1:  # what the only payer pays itself is change
        (payer,) = payers
        change = moved.pop((payer, "in"), 0)
        moved[payer, "out"] -= change
        if not transfer.coinjoin:
            tables.edges += [
                {"payer": payer, "payee": payee, **stamp, **priced(amount)}
                for (payee, direction), amount in moved.items()
                if direction == "in"
            ]
    tables.flows += [
        {"entity": entity, **stamp, "direction": direction, **priced(amount), "coinjoin": transfer.coinjoin}
        for (entity, direction), amount in moved.items()
        if amount
    ]


AS_OF = datetime(2024, 3, 1)  # noqa: DTZ001  (times inside are naive UTC)
BEHAVIOUR = tuple(feature for feature in CATALOGUE if feature.sql is not None)
SQL_FILES = sorted({feature.sql for feature in BEHAVIOUR if feature.sql is not None})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).replace(tzinfo=None)


def one(text: str, payer: int, payee: int, amount: int, *, asset: int = 1, cents: bool = True) -> Paid:
    return Paid(utc(text), {payer: amount}, {payee: amount}, asset=asset, cents=cents)


def behaviour_features(
    connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> tuple[tuple[str, ...], pa.Table]:
    """Return the features' names and one row of them for each address that moved, in order of the addresses.

    Null means unknown. An address carries the numbers of its entity next to its own.
    """
    parts = list(behaviour_parts(connection, as_of))
    moved = {int(address) for part in parts if part.key == "address" for address in part.keys}
    entity_of = dict(connection.execute("SELECT address, entity FROM member").fetchall())
    columns: dict[str, list[float | None]] = {"address": [*sorted(moved)]}
    for part in parts:
        row_of = {int(key): row for row, key in enumerate(part.keys)}
        keys = [address if part.key == "address" else entity_of[address] for address in sorted(moved)]
        for name, column in part.features.items():
            found = [float(column[row_of[key]]) if key in row_of else math.nan for key in keys]
            columns[name] = [None if math.isnan(value) else value for value in found]
    names = tuple(feature.name for feature in BEHAVIOUR)
    types = {"address": pa.int64(), **dict.fromkeys(names, pa.float64())}
    return names, pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})


def values(
    connection: duckdb.DuckDBPyConnection, as_of: datetime = AS_OF
) -> dict[int, dict[str, float | None]]:
    _, table = behaviour_features(connection, as_of)
    return {row["address"]: row for row in table.to_pylist()}


# Addresses 1 and 2 are one entity. Amounts are US cents, but for asset 2, which has no price.
LEDGER = (
    one("2023-12-01 09:00", 11, 12, 100_00),
    one("2023-12-02 09:00", 15, 22, 1_00),
    one("2023-12-02 10:00", 16, 22, 1_00),
    one("2023-12-02 11:00", 15, 23, 1_00),
    one("2023-12-02 12:00", 16, 23, 1_00),
    one("2023-12-02 13:00", 17, 23, 1_00),
    one("2023-12-02 14:00", 15, 24, 1_00),
    one("2023-12-02 15:00", 15, 25, 1_00),
    one("2024-01-01 10:00", 11, 1, 120_00),  # Monday
    one("2024-01-01 10:30", 1, 21, 114_00),  # 95 % of it goes on
    one("2024-01-06 23:00", 13, 2, 950_00),  # Saturday
    one("2024-01-07 01:00", 12, 1, 83_50),  # Sunday
    one("2024-01-08 01:00", 12, 26, 10_00),
    one("2024-01-08 02:00", 13, 26, 10_00),
    one("2024-01-09 02:00", 11, 27, 10_00),
    one("2024-02-17 08:00", 11, 1, 120_00),  # Saturday
    Paid(utc("2024-02-20 20:00:00"), {1: 1000_00}, dict.fromkeys((21, 22, 23, 24, 25), 200_00)),  # Tuesday
    one("2024-02-20 20:00:30", 2, 11, 158_00),
    one("2024-02-25 12:00", 14, 2, 12_345, asset=2, cents=False),  # Sunday
    one("2024-02-28 18:00", 1, 22, 50_00),  # Wednesday; held 1.50
)
TOGETHER = {1: 1, 2: 1}
