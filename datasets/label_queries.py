"""What the ledger says of addresses: the claims that hold, those that ever did, and where they disagree.

Claims are read with what their actors add (the view `attributed_label`); the history of an address is
read as its sources made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, groupby
from typing import Any

import pyarrow as pa

from chains.address import Account, candidate_accounts, find_chain, key_form, parse_account
from chains.errors import AddressError, AmbiguousAddress, InputError
from datasets.store import Ledger
from datasets.taxonomy import entity_key, load_taxonomy

COUNTABLE = ("source", "category", "kind", "chain", "licence", "entity")


@dataclass(frozen=True)
class Conflict:
    """An address of which sources that hold say different things.

    `over` names what they differ in: `group` (the categories' groups, drug or service or crime or ordinary)
    and `entity`. `claims` are all that hold, as `label_rows` gives them.
    """

    account: str
    over: tuple[str, ...]
    claims: tuple[dict[str, Any], ...]


def label_rows(
    ledger: Ledger,
    *,
    published_before: datetime | None = None,
    sources: Sequence[str] = (),
    categories: Sequence[str] = (),
    chains: Sequence[str] = (),
) -> pa.Table:
    """Return the claims that hold, in an order that does not depend on the order of imports.

    Columns: `caip10`, `key_form`, `group`, `address` (the ledger's number), `chain` (CAIP-2), `kind`,
    `actor_name` (what an ActorPack calls the actor, ''), `said_category` (what the source itself said: where
    that is `unspecified`, `category` is the actor's), and those of the table `label`. With
    `published_before` (naive UTC) only claims that the world could know before that moment and that were
    not withdrawn by then; without it, all that are not withdrawn. The other arguments choose by source,
    category and chain (CAIP-2).
    """
    rows = ledger.connection.sql(
        """
        SELECT chain.caip2 AS chain, address.account, address.address, label_file.kind, label.position,
               label.category, label.entity, label.name, label.source, label.reference, label.confidence,
               label.published_at, label.recorded_at, label.withdrawn_at, label.licence, label.may_export,
               label.may_train, label.cluster_definer, label.programmes, label.listed_at, label.actor,
               label.actor_name, label.said_category, label.substances
        FROM attributed_label AS label
        JOIN address ON address.address = label.address
        JOIN chain ON chain.chain = label.chain
        JOIN label_file ON label_file.label_file = label.label_file
        WHERE CASE WHEN $before::TIMESTAMP IS NULL THEN label.withdrawn_at IS NULL
                   ELSE label.published_at < $before::TIMESTAMP
                        AND coalesce(label.withdrawn_at > $before::TIMESTAMP, true) END
            AND (len($sources::VARCHAR[]) = 0 OR list_contains($sources, label.source))
            AND (len($categories::VARCHAR[]) = 0 OR list_contains($categories, label.category))
            AND (len($chains::VARCHAR[]) = 0 OR list_contains($chains, chain.caip2))
        ORDER BY chain.caip2, address.account, label_file.kind, label_file.source, label_file.sha256,
                 label.position, label.category
        """,
        params={
            "before": published_before,
            "sources": list(sources),
            "categories": list(categories),
            "chains": list(chains),
        },
    ).to_arrow_table()
    groups = {category.id: category.group for category in load_taxonomy().categories}
    caip10, keys = _account_columns(rows["chain"].to_pylist(), rows["account"].to_pylist())
    by_category = [groups[category] for category in rows["category"].to_pylist()]
    rows = rows.drop_columns(["account"])
    rows = rows.add_column(0, "caip10", pa.array(caip10, pa.string()))
    rows = rows.add_column(1, "key_form", pa.array(keys, pa.string()))
    return rows.add_column(2, "group", pa.array(by_category, pa.string()))


def count_labels(
    ledger: Ledger,
    by: Sequence[str] = ("source", "category"),
    *,
    sources: Sequence[str] = (),
    categories: Sequence[str] = (),
    chains: Sequence[str] = (),
) -> pa.Table:
    """Return what there is of claims that hold, sorted by the columns `by` (of COUNTABLE).

    Beside them: `labels`, `addresses` (how many different ones), and of the labels how many `may_export`
    and `may_train`. The other arguments choose as in `label_rows`.
    """
    for column in by:
        if column not in COUNTABLE:
            raise InputError(f"labels are not counted by {column!r}: choose of {', '.join(COUNTABLE)}")
    names = {"kind": "label_file.kind", "chain": "chain.caip2"}
    chosen = ", ".join(f"{names.get(column, 'label.' + column)} AS {column}" for column in by)
    grouped = ", ".join(by)
    return ledger.connection.sql(
        f"""
        SELECT {grouped}, count(*) AS labels, count(DISTINCT address) AS addresses,
               count(*) FILTER (may_export) AS may_export, count(*) FILTER (may_train) AS may_train
        FROM (
            SELECT {chosen}, label.address, label.may_export, label.may_train
            FROM attributed_label AS label JOIN chain USING (chain) JOIN label_file USING (label_file)
            WHERE label.withdrawn_at IS NULL
                AND (len($sources::VARCHAR[]) = 0 OR list_contains($sources, label.source))
                AND (len($categories::VARCHAR[]) = 0 OR list_contains($categories, label.category))
                AND (len($chains::VARCHAR[]) = 0 OR list_contains($chains, chain.caip2))
        )
        GROUP BY {grouped} ORDER BY {grouped}
        """,  # noqa: S608  (column names of COUNTABLE)
        params={"sources": list(sources), "categories": list(categories), "chains": list(chains)},
    ).to_arrow_table()


def claim_history(ledger: Ledger, text: str) -> pa.Table:
    """Return every claim ever recorded of an address, withdrawn ones too, by chain and date.

    `text` is a CAIP-10 id, or a bare address: that stands for it on every chain it fits. A sanctions list's
    address that fits none is found as it is written. Columns:
    `caip10`, `category`, `entity`, `actor`, `actor_name`, `actor_category` ('' without one), `name`,
    `source`, `reference`, `confidence`, `published_at`, `recorded_at`, `withdrawn_at`, `licence`,
    `may_export`, `may_train`, `cluster_definer`, `programmes`, `listed_at`, `substances`, `kind`, `file` and
    `position`. Raises AddressError and UnknownChain for a text that is no address and stands nowhere.
    """
    try:
        accounts, why = find_accounts(text), None
    except AddressError as error:
        accounts, why = (), error
    rows = ledger.connection.sql(
        """
        SELECT chain.caip2 AS chain, address.account, l.category, l.entity, l.actor,
               coalesce(v.name, '') AS actor_name, coalesce(v.category, '') AS actor_category, l.name,
               l.source, l.reference, l.confidence, l.published_at, l.recorded_at, l.withdrawn_at, l.licence,
               l.may_export, l.may_train, l.cluster_definer, l.programmes, l.listed_at, l.substances, f.kind,
               f.source AS file, l.position
        FROM address
        JOIN chain ON chain.chain = address.chain
        JOIN label AS l ON l.address = address.address
        JOIN label_file AS f ON f.label_file = l.label_file
        LEFT JOIN actor_version AS v ON v.called = l.actor AND v.until IS NULL
        WHERE address.account = $text OR list_contains($accounts, address.account)
            AND list_contains($full, chain.caip2 || ':' || address.account)
        ORDER BY chain.caip2, address.account, l.published_at NULLS LAST, l.recorded_at, f.kind, f.source,
                 l.position, l.category
        """,
        params={
            "text": text.strip() if why is not None else None,
            "accounts": [account.address for account in accounts],
            "full": [f"{account.chain.caip2}:{account.address}" for account in accounts],
        },
    ).to_arrow_table()
    if why is not None and not rows.num_rows:
        raise why
    caip10, _ = _account_columns(rows["chain"].to_pylist(), rows["account"].to_pylist())
    rows = rows.drop_columns(["account", "chain"])
    return rows.add_column(0, "caip10", pa.array(caip10, pa.string()))


def find_accounts(text: str) -> tuple[Account, ...]:
    """Return the accounts that an address can be; several only where it is bare and fits several chains."""
    try:
        return (parse_account(text),)
    except AmbiguousAddress:
        return candidate_accounts(text)


def find_conflicts(ledger: Ledger) -> list[Conflict]:
    """Return the addresses on which sources that hold disagree, by account.

    They differ in group where one source says drug, service, crime or ordinary and another something else; a
    source that states no role says nothing against any. They differ in entity where both name one and the
    names differ in more than spelling, what an ActorPack calls it counting too.
    """
    disputed = ledger.connection.sql(
        """
        SELECT address FROM attributed_label WHERE withdrawn_at IS NULL
        GROUP BY address HAVING count(DISTINCT source) > 1
        """
    ).to_arrow_table()
    rows = label_rows(ledger)
    candidates = set(disputed["address"].to_pylist())
    rows = rows.filter(
        pa.array([address in candidates for address in rows["address"].to_pylist()], pa.bool_())
    )
    found = []
    for account, claims in groupby(rows.to_pylist(), key=lambda row: str(row["caip10"])):
        of_account = tuple(claims)
        over = _differ(of_account)
        if over:
            found.append(Conflict(account, over, of_account))
    return found


def _differ(claims: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    over = set()
    for one, other in combinations(claims, 2):
        if one["source"] == other["source"]:
            continue
        said = [claim["group"] for claim in (one, other) if claim["category"] != "unspecified"]
        if len(set(said)) > 1:
            over.add("group")
        names = [_names(claim) for claim in (one, other)]
        if all(names) and not names[0] & names[1]:
            over.add("entity")
    return tuple(sorted(over, reverse=True))


def _names(claim: Mapping[str, Any]) -> set[str]:
    return {entity_key(name) or name for name in (claim["entity"], claim["actor_name"]) if name}


def _account_columns(chains: list[str], accounts: list[str]) -> tuple[list[str], list[str]]:
    """Return CAIP-10 ids and key forms, each worked out once for each account."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in zip(chains, accounts, strict=True):
        if pair not in known:
            known[pair] = _account_texts(*pair)
    found = [known[pair] for pair in zip(chains, accounts, strict=True)]
    return [pair[0] for pair in found], [pair[1] for pair in found]


def _account_texts(caip2: str, address: str) -> tuple[str, str]:
    """Return CAIP-10 id and key form; the short ways out spare most of the base58 arithmetic."""
    chain = find_chain(caip2)
    plain = address.isascii() and address.isalnum()
    caip10 = f"{caip2}:{address}" if plain else Account(chain, address).caip10
    own_form = chain.family == "evm" or chain.name == "bitcoin"
    return caip10, address if own_form else key_form(address)
