"""What a model may learn from: one target for each account, and whose account it is.

Owners keep the rows of one party on one side of every split. An owner is the entity that a label names,
else whoever holds the account's key; two names that differ in case and punctuation only, and two names
that labels give to one account or key, are one owner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chains.address import key_form
from datasets.labels import label_rows
from datasets.store import Ledger
from datasets.taxonomy import entity_key, load_taxonomy

TARGET_SCHEMA = pa.schema(
    [
        pa.field("account", pa.string(), nullable=False),  # CAIP-10
        pa.field("owner", pa.string(), nullable=False),
        pa.field("drug", pa.bool_(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("published_at", pa.timestamp("us"), nullable=False),  # when this target was first public
        pa.field("acted_at", pa.timestamp("us"), nullable=False),  # first public action against the owner
    ]
)

_USED = ["caip10", "group", "category", "entity", "name", "source", "confidence", "published_at", "listed_at"]
_USED += ["may_train"]
_KEYED = ("eip155", "tron", "bip122")  # where one key is one holder on every chain of the kind

UNNAMED = "key of "
"""How the owner of an account begins that no label gives a name to."""


@dataclass(frozen=True)
class Targets:
    """The targets, and what had to be resolved on the way.

    `contradictions`: accounts left out, since equally confident labels say drug and not drug.
    `outvoted`: accounts kept on the word of the more confident labels against others.
    `merged_owners`: owner names that were folded into another one. `mixed_owners`: owners with accounts of
    both targets.
    """

    table: pa.Table
    contradictions: int
    outvoted: int
    merged_owners: int
    mixed_owners: int


def training_targets(ledger: Ledger, *, known_before: datetime | None) -> pa.Table:
    """Return the table of `resolve_targets`: account, owner, drug, category, published_at, acted_at."""
    return resolve_targets(ledger, known_before=known_before).table


def resolve_targets(ledger: Ledger, *, known_before: datetime | None) -> Targets:
    """Return one target for each account with labels that a model may learn from, sorted by account.

    Used are labels with `may_train`, a publication date and a category that is a target; with
    `known_before` (naive UTC) only those published before it and not withdrawn by then. Of the labels of
    one account the most confident ones decide; the category is that of the earliest of them.
    `published_at` is the earliest date on which a label of the same target made this account public.
    `acted_at` is when anything was first made public about any account of the owner that says the same:
    for a sanctioned entity its day of listing, though the account was named later.
    """
    taxonomy = load_taxonomy()
    said: dict[str, list[dict[str, Any]]] = {}
    rows = label_rows(ledger, published_before=known_before)
    for row in rows.filter(pc.is_valid(rows["published_at"])).select(_USED).to_pylist():
        if taxonomy.by_id[row["category"]].target:
            said.setdefault(row["caip10"], []).append(row)
    owners = _merge_owners(said)
    # A label that may not train makes no target, but what it made public was public.
    kinds: dict[str, dict[bool, datetime]] = {}
    for account, claims in said.items():
        dates = kinds.setdefault(owners[account], {})
        for row in claims:
            dates[_is_drug(row)] = min(dates.get(_is_drug(row), _acted(row)), _acted(row))
    learnable = {account: [row for row in claims if row["may_train"]] for account, claims in said.items()}
    by_account = {account: claims for account, claims in learnable.items() if claims}
    targets, contradictions, outvoted = [], 0, 0
    for account in sorted(by_account):
        claims = by_account[account]
        best = max(row["confidence"] for row in claims)
        deciding = sorted((row for row in claims if row["confidence"] == best), key=_order)
        if len({_is_drug(row) for row in deciding}) > 1:
            contradictions += 1
            continue
        drug = _is_drug(deciding[0])
        same = [row for row in claims if _is_drug(row) == drug]
        outvoted += len(same) < len(claims)
        targets.append(
            {
                "account": account,
                "owner": owners[account],
                "drug": drug,
                "category": deciding[0]["category"],
                "published_at": min(row["published_at"] for row in same),
                "acted_at": kinds[owners[account]][drug],
            }
        )
    return Targets(
        table=pa.Table.from_pylist(targets, schema=TARGET_SCHEMA),
        contradictions=contradictions,
        outvoted=outvoted,
        merged_owners=len({row["entity"] for rows in said.values() for row in rows if row["entity"]})
        - len({owner for owner in owners.values() if not owner.startswith(UNNAMED)}),
        mixed_owners=sum(len(dates) > 1 for dates in kinds.values()),
    )


def _is_drug(row: dict[str, Any]) -> bool:
    return bool(row["group"] == "drug")


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["published_at"], row["category"], row["source"], row["name"]


def _acted(row: dict[str, Any]) -> datetime:
    published: datetime = row["published_at"]
    return min(published, datetime.combine(row["listed_at"], time())) if row["listed_at"] else published


def owner_of_account(account: str) -> str:
    """Return the owner of an account (CAIP-10) that no label names: whoever holds its key, on any chain."""
    namespace, _, address = account.split(":", 2)
    return UNNAMED + (key_form(address) if namespace in _KEYED else account)


def _merge_owners(said: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return the owner of every account: the first in order of all names that are one owner's.

    Names are one owner's where they differ in spelling alone, or stand at one account or one key.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(one: str, other: str) -> None:
        # A real name comes before one that only stands for a key.
        low, high = sorted((root(one), root(other)), key=lambda name: (name.startswith(UNNAMED), name))
        parent[high] = low

    spelt: dict[str, str] = {}
    for account, rows in said.items():
        for row in rows:
            if row["entity"]:
                join(owner_of_account(account), row["entity"])
                join(
                    row["entity"], spelt.setdefault(entity_key(row["entity"]) or row["entity"], row["entity"])
                )
    return {account: root(owner_of_account(account)) for account in said}
