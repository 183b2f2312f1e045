"""The legs of one chain in causal order, as columns: what tracing walks through."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from datasets.taxonomy import load_taxonomy
from features.columns import read_columns
from features.exposure import BURN, FEE, PAYMENT, RETURN, SWAP, LegColumns
from features.numbering_kernel import number_pairs
from features.seen import read_step


@dataclass(frozen=True)
class ChainLegs:
    """All that tracing needs of one chain.

    A holder is what carries a balance: one asset of an address, or one output where the chain has outputs. An
    owner is one asset of an entity. Nodes are numbers of `member`, assets those of the ledger.
    """

    chain: int
    utxo: bool
    payers: LegColumns
    payees: LegColumns
    roles: NDArray[np.int8]
    holders: int
    owner_entity: NDArray[np.int32]
    """Node of the earliest member of each owner's entity."""
    owner_asset: NDArray[np.int32]
    payer_node: NDArray[np.int32]
    payee_node: NDArray[np.int32]
    seq: NDArray[np.int64]
    """Of each event the transfer in `seen_transfer`; of a fee that of the payment before it."""


def list_chains(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, str, bool]]:
    """Return (number, CAIP-2 id, whether legs spend outputs) of every chain with transfers, by the id."""
    return [
        (int(chain), str(caip2), bool(utxo))
        for chain, caip2, utxo in connection.execute(
            """
            SELECT c.chain, c.caip2, coalesce(bool_or(l.spent_seq IS NOT NULL), false)
            FROM ledger.chain AS c
            JOIN seen_transfer AS t ON t.chain = c.chain
            LEFT JOIN seen_leg AS l ON l.seq = t.seq AND l.side = 'payer'
            GROUP BY c.chain, c.caip2 ORDER BY c.caip2
            """
        ).fetchall()
    ]


def read_legs(
    connection: duckdb.DuckDBPyConnection, chain: int, *, utxo: bool, spill: Path | None = None
) -> ChainLegs:
    """Read both sides of a chain's transfers; with `spill` the columns lie in files of that folder."""
    converting = [c.index for c in load_taxonomy().categories if c.service == "convert" and c.seeds]
    connection.execute(read_step("7_swap"), {"chain": chain, "converting": converting})
    roles_of = {"payment": PAYMENT, "return": RETURN, "fee": FEE, "swap": SWAP}
    connection.execute(read_step("8_event"), {"chain": chain, **roles_of})
    events = read_columns(connection, "SELECT seq, role FROM event ORDER BY number", spill=spill)
    roles = events["role"].astype(np.int8)
    sides = {
        side: read_columns(connection, read_step("9_leg"), {"chain": chain, "side": side}, spill=spill)
        for side in ("payer", "payee")
    }
    payers, payees = sides["payer"], sides["payee"]
    if utxo:
        payers["holder"] = _spent_outputs(connection, events["seq"], payers, payees)
        payees["holder"] = np.arange(payees["number"].size, dtype=np.int32)
        holders = payees["number"].size
    else:
        holders = _number(sides, "holder", "node", roles.size)[0].size
        pays, is_paid = (np.zeros(roles.size, np.bool_) for _ in range(2))
        pays[payers["number"]] = True
        is_paid[payees["number"]] = True
        roles[pays & ~is_paid & (roles == PAYMENT)] = BURN
    owner_entity, owner_asset = _number(sides, "owner", "entity", roles.size)
    _weigh(sides, roles)
    return ChainLegs(
        chain=chain,
        utxo=utxo,
        payers=_leg_columns(payers, roles.size),
        payees=_leg_columns(payees, roles.size),
        roles=roles,
        holders=holders,
        owner_entity=owner_entity,
        owner_asset=owner_asset,
        payer_node=payers["node"],
        payee_node=payees["node"],
        seq=events["seq"],
    )


def save_legs(legs: ChainLegs, folder: Path) -> None:
    """Write the columns as .npy files of a new folder; `load_legs` reads them back."""
    folder.mkdir(parents=True)
    for name, column in _columns(legs).items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)


def load_legs(folder: Path, *, chain: int, utxo: bool, holders: int) -> ChainLegs:
    """Map what `save_legs` wrote; what is no column of its own comes from whoever kept it."""
    column = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    sides = {
        side: LegColumns(**{name: column[f"{side}_{name}"] for name in LegColumns._fields})
        for side in ("payers", "payees")
    }
    own: dict[str, Any] = {name: column[name] for name in _OWN}
    return ChainLegs(
        chain=chain, utxo=utxo, holders=holders, payers=sides["payers"], payees=sides["payees"], **own
    )


_OWN = ("roles", "owner_entity", "owner_asset", "payer_node", "payee_node", "seq")


def _columns(legs: ChainLegs) -> dict[str, NDArray[Any]]:
    sides = {"payers": legs.payers, "payees": legs.payees}
    columns = {
        f"{side}_{name}": getattr(legs_, name) for side, legs_ in sides.items() for name in legs_._fields
    }
    return columns | {name: getattr(legs, name) for name in _OWN}


def _number(
    sides: dict[str, dict[str, NDArray[Any]]], name: str, of: str, events: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the pairs (node, asset) of both sides by their first appearance, as column `name`."""
    for side in sides.values():
        side[name] = np.empty(side["number"].size, np.int32)
    payers, payees = sides["payer"], sides["payee"]
    return number_pairs(  # type: ignore[call-arg,no-any-return]
        *(part for side in (payers, payees) for part in (_starts(side, events), side[of], side["asset"])),
        payers[name],
        payees[name],
    )


def _spent_outputs(
    connection: duckdb.DuckDBPyConnection,
    event_seq: NDArray[np.int64],
    payers: dict[str, NDArray[Any]],
    payees: dict[str, NDArray[Any]],
) -> NDArray[np.int32]:
    """Return for each payer leg the number of the output that it spends among `payees`, -1 where unseen."""
    spent = read_columns(
        connection,
        """
        SELECT coalesce(l.spent_seq, 0) AS seq, coalesce(l.spent_index, 0) AS index
        FROM seen_leg AS l JOIN event AS e ON e.seq = l.seq AND e.turn = 0
        WHERE l.side = 'payer'
        ORDER BY e.number, l.index
        """,
    )
    if spent["seq"].size != payers["number"].size:
        raise ValueError("a chain with outputs has fees or exchanges of its own")
    number = np.searchsorted(event_seq, spent["seq"])
    wanted = (number << 32) | spent["index"]
    outputs = (payees["number"].astype(np.int64) << 32) | payees["index"]
    place = np.searchsorted(outputs, wanted)
    found = np.zeros(place.size, np.bool_)
    inside = place < outputs.size
    found[inside] = outputs[place[inside]] == wanted[inside]
    return np.where(found & (spent["seq"] > 0), place, -1).astype(np.int32)


def _weigh(sides: dict[str, dict[str, NDArray[Any]]], roles: NDArray[np.int8]) -> None:
    """Set what parts of one transfer are weighed by: their amounts, and across assets their value in dollars.

    Where one asset is given for another and a part has no known value, one asset is weighed by amounts
    and several count alike.
    """
    swaps = np.flatnonzero(roles == SWAP)
    for side in sides.values():
        side["weight"] = side["amount"]
        if not swaps.size:
            continue
        weight = side["amount"].copy()
        legs = np.flatnonzero(np.isin(side["number"], swaps))
        event = np.searchsorted(swaps, side["number"][legs])
        usd, asset = side["usd"][legs], side["asset"][legs]
        known = np.bincount(event, usd > 0, minlength=swaps.size)  # NaN is not above 0
        count = np.bincount(event, minlength=swaps.size)
        lowest = np.full(swaps.size, np.iinfo(np.int32).max)
        highest = np.full(swaps.size, -1)
        np.minimum.at(lowest, event, asset)
        np.maximum.at(highest, event, asset)
        same, priced = (lowest == highest)[event], (known == count)[event]
        weight[legs] = np.where(same, weight[legs], np.where(priced, usd, 1.0))
        side["weight"] = weight


def _starts(side: dict[str, NDArray[Any]], events: int) -> NDArray[np.int64]:
    counts = np.bincount(side["number"], minlength=events)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _leg_columns(side: dict[str, NDArray[Any]], events: int) -> LegColumns:
    start = _starts(side, events)
    return LegColumns(start=start, **{name: side[name] for name in LegColumns._fields if name != "start"})
