"""One trace as an answer: where an address's money came from and went, each step a real transfer.

Reads the current snapshot alone: its legs in causal order, its labels, and what its entities rest on.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from api.answers import UNATTRIBUTED, describe_label, shown_time
from api.screening import resolve_account
from chains.errors import InputError
from datasets.snapshot import TRACING
from datasets.taxonomy import load_taxonomy
from features.entities import Merge, explain_joins
from features.legs import ChainLegs, load_legs
from features.trace import RETURNED, RULES, Answer, Followed, Path, trace_destinations, trace_sources
from models.rules import category_name

if TYPE_CHECKING:
    from datasets.snapshot import LabelLine, Snapshot

FLOOR = 0.0001
"""Shares below this under every rule are left out of what a person reads; --json has them."""

SIDES = ("source", "destination")


@dataclass(frozen=True)
class Target:
    """What a trace is asked to lead to: categories, or one address's entity (by its row)."""

    wanted: NDArray[np.bool_]
    entity: int | None
    text: str


def trace_address(
    text: str,
    snapshot: "Snapshot",
    *,
    chain: str | None = None,
    to: str | None = None,
    rules: tuple[str, ...] = RULES,
    sides: tuple[str, ...] = SIDES,
    paths: int = 3,
) -> dict[str, Any]:
    """Trace the entity of the address `text`: a CAIP-10 id, or a bare address with or without `chain`.

    `to` narrows paths to a category, a group of categories or another address; for an address the shares are
    of that address's own money. Raises InputError for what is neither, AddressError, UnknownChain,
    AmbiguousAddress.
    """
    account = resolve_account(text, snapshot, chain=chain)
    row = snapshot.find(account.caip10)
    if row is None:
        raise InputError(f"{account.caip10} has no transfer in snapshot {snapshot.id}: nothing to trace")
    legs = _open_legs(snapshot, account.chain.caip2)
    entity = snapshot.entity_row(row)
    target = _read_target(to, snapshot, account.chain.caip2)
    categories = len(load_taxonomy().categories)
    if target.entity is not None:
        if target.entity == entity:
            raise InputError(f"{to!r} belongs to the same entity as {account.caip10}: nothing lies between")
        legs = _marked(legs, target.entity, categories)
        categories += 1
    subject = np.asarray(legs.owner_entity == entity)
    answer: dict[str, Any] = {
        "account_id": account.caip10,
        "entity_id": snapshot.entity(row),
        "entity_size": snapshot.entity_size(row),
        "snapshot": snapshot.id,
        "as_of": shown_time(snapshot.as_of),
        "labels": [describe_label(label) for label in snapshot.labels(account.caip10)],
        "to": to,
        "rules": list(rules),
        "asked_paths": paths,
        "refused_links": [
            _describe_refusal(snapshot, entity, *refused) for refused in snapshot.refused_merges(row)
        ],
    }
    for side in sides:
        follow = trace_sources if side == "source" else trace_destinations
        found = follow(legs, subject, categories=categories, rules=rules, wanted=target.wanted, paths=paths)
        if to is None and paths and not any(_is_drug(path) for path in found.paths):
            # The strongest paths may all lead elsewhere; the strongest to the drug trade is wanted too.
            drug = np.array([c.group == "drug" for c in load_taxonomy().categories], np.bool_)
            more = follow(legs, subject, categories=categories, rules=(), wanted=drug, paths=1)
            found = replace(found, paths=(*found.paths, *more.paths))
        answer[side] = _describe_side(found, side, _Shown(snapshot, row, target, rules))
    return answer


def _is_drug(path: Path) -> bool:
    categories = load_taxonomy().categories
    return path.category < len(categories) and categories[path.category].group == "drug"


def _open_legs(snapshot: "Snapshot", caip2: str) -> ChainLegs:
    for place, entry in enumerate(snapshot.manifest["tracing"]):
        if entry["chain"] == caip2:
            folder = snapshot.folder / TRACING / str(place)
            return load_legs(folder, chain=place, utxo=entry["utxo"], holders=entry["holders"])
    raise InputError(f"{caip2} has no transfer in snapshot {snapshot.id}: nothing to trace")


def _read_target(to: str | None, snapshot: "Snapshot", caip2: str) -> Target:
    taxonomy = load_taxonomy()
    everything = np.ones(len(taxonomy.categories), np.bool_)
    if to is None:
        return Target(everything, None, "")
    wanted = np.array([to in (c.id, c.group) for c in taxonomy.categories], np.bool_)
    if wanted.any():
        return Target(wanted, None, to)
    try:
        account = resolve_account(to, snapshot, chain=None if ":" in to else caip2)
    except InputError as error:
        message = f"{to!r} is neither a category or group of docs/labels.md nor an address ({error})"
        raise InputError(message) from error
    row = snapshot.find(account.caip10)
    if row is None or account.chain.caip2 != caip2:
        message = f"{to!r} is neither a category or group of docs/labels.md nor an address with transfers on"
        raise InputError(f"{message} {caip2} in snapshot {snapshot.id}")
    return Target(np.append(np.zeros_like(everything), [True]), snapshot.entity_row(row), account.caip10)


def _marked(legs: ChainLegs, entity: int, category: int) -> ChainLegs:
    """Return the legs with one entity as a category of its own, whatever it is labelled."""
    seeds = {
        name: side._replace(
            seed=np.where(legs.owner_entity[side.owner] == entity, category, side.seed).astype(np.int16)
        )
        for name, side in (("payers", legs.payers), ("payees", legs.payees))
    }
    return replace(legs, payers=seeds["payers"], payees=seeds["payees"])


@dataclass(frozen=True)
class _Shown:
    """What an answer is described with."""

    snapshot: "Snapshot"
    row: int
    target: Target
    rules: tuple[str, ...]


def _describe_side(found: Followed, side: str, shown: _Shown) -> dict[str, Any]:
    snapshot = shown.snapshot
    lines = [_describe_answer(a, found, shown) for a in found.answers]
    first = shown.rules[0]
    lines.sort(key=lambda line: (line["asset"], -line["values"][first], line["category"]))
    return {
        "totals": [
            {"asset": snapshot.asset(a)["caip19"], "symbol": snapshot.asset(a)["symbol"],
             "value": total / 10 ** snapshot.asset(a)["decimals"]}
            for a, total in sorted(found.totals.items())
        ],
        "categories": [line for line in lines if not line["unattributed"]],
        "unattributed": [line for line in lines if line["unattributed"]],
        "paths": [_describe_path(path, side, shown) for path in found.paths],
        "transfers_considered": found.transfers,
    }  # fmt: skip


def _describe_answer(answer: Answer, found: Followed, shown: _Shown) -> dict[str, Any]:
    snapshot, rules = shown.snapshot, shown.rules
    asset = snapshot.asset(answer.asset)
    unit = 10 ** asset["decimals"]
    total = found.totals.get(answer.asset, 0.0)
    category, name, unattributed = _name_category(answer.category, shown.target)
    # Poison may find more than there was: then it says all of it.
    values = {rule: min(answer.values[rule], total) if total else answer.values[rule] for rule in rules}
    return {
        "category": category,
        "name": name,
        "unattributed": unattributed,
        "asset": asset["caip19"],
        "symbol": asset["symbol"],
        "values": {rule: value / unit for rule, value in values.items()},
        "shares": {rule: value / total if total else None for rule, value in values.items()},
        "least": min(values.values()) / unit,
        "most": max(values.values()) / unit,
    }


def _name_category(number: int, target: Target) -> tuple[str, str, bool]:
    """Return the id and the name of a category's number, and whether it is none."""
    taxonomy = load_taxonomy()
    if number == RETURNED:
        return "returned", "came back to the subject itself", True
    if number < len(taxonomy.categories):
        category = taxonomy.categories[number].id
        return category, category_name(category, taxonomy), False
    if target.entity is not None and number == len(taxonomy.categories):
        return target.text, target.text, False
    origin = ("history_not_in_ledger", "minted")[
        number - len(taxonomy.categories) - (target.entity is not None)
    ]
    return origin, UNATTRIBUTED[origin], True


def _describe_path(path: Path, side: str, shown: _Shown) -> dict[str, Any]:
    snapshot = shown.snapshot
    category, name, _ = _name_category(path.category, shown.target)
    steps = [
        {
            "time": shown_time(snapshot.transfer_at(step.seq)[0]),
            "hash": snapshot.transfer_at(step.seq)[1],
            "from": snapshot.account(step.payer),
            "to": snapshot.account(step.payee),
            "symbol": snapshot.asset(step.asset)["symbol"],
            "value": step.amount / 10 ** snapshot.asset(step.asset)["decimals"],
            "carried": step.carried / 10 ** snapshot.asset(step.asset)["decimals"],
            "swap_from": snapshot.asset(step.paid_asset)["symbol"] if step.swap else None,
            "coinjoin": snapshot.coinjoin_at(step.seq),
        }
        for step in path.steps
    ]
    first, last = path.steps[0], path.steps[-1]
    here, far = (last.payee, first.payer) if side == "source" else (first.payer, last.payee)
    labels = _labels_of(snapshot, far, category)
    links = _explain(snapshot, shown.row, here)
    if labels and labels[0].account != snapshot.account(far):
        named = snapshot.find(labels[0].account)
        links += [] if named is None else _explain(snapshot, far, named)
    asset = snapshot.asset(last.asset)
    return {
        "category": category,
        "name": name,
        "labels": [describe_label(label) for label in labels],
        "symbol": asset["symbol"],
        "value": path.value / 10 ** asset["decimals"],
        "survived": path.survived,
        "steps": steps,
        "links": links,
    }


def _labels_of(snapshot: "Snapshot", row: int, category: str) -> "list[LabelLine]":
    """Return the labels that make an address of that category: its own, else those of its entity."""
    own = [label for label in snapshot.labels(snapshot.account(row)) if label.category == category]
    return own or [label for label in snapshot.entity_labels(row) if label.category == category]


def _explain(snapshot: "Snapshot", one: int, other: int) -> list[dict[str, Any]]:
    """Return the joins that make two addresses one entity, from the one to the other."""
    joins = explain_joins((Merge(*merge) for merge in snapshot.merges(one)), one, other)
    return [_describe_join(snapshot, join.address_a, join.address_b, join.seq) for join in joins]


def _describe_refusal(  # noqa: PLR0917
    snapshot: "Snapshot", entity: int, one: int, other: int, transfer: int, owner: str, other_owner: str
) -> dict[str, Any]:
    """Return a spend that joined nobody, the subject's own address and owner first."""
    if snapshot.entity_row(one) != entity:
        one, other, owner, other_owner = other, one, other_owner, owner
    return {**_describe_join(snapshot, one, other, transfer), "owners": [owner, other_owner]}


def _describe_join(snapshot: "Snapshot", one: int, other: int, transfer: int) -> dict[str, Any]:
    time, hash_ = snapshot.transfer_at(transfer)
    return {
        "accounts": [snapshot.account(one), snapshot.account(other)],
        "hash": hash_,
        "time": shown_time(time),
    }
