"""The label stream: partial, late, selected, sometimes wrong."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.simulate.cases import Cases
from datasets.simulate.cast import TOKEN, UTXO, WRAPPED, Cast
from datasets.simulate.clock import DAY, END, Ints, make_generator
from datasets.simulate.dials import Dials
from datasets.simulate.files import show_time
from datasets.simulate.roles import ROLES
from datasets.simulate.tokens import TokenChain
from datasets.simulate.truth import TOKEN_CHAIN, UTXO_CHAIN
from datasets.simulate.utxo import UtxoChain

Label = tuple[str, ...]
"""A row of the label file: account, category, entity, name, source, reference, confidence, time, rights."""

_COLUMNS = (
    *("account", "category", "entity", "name", "source", "reference", "confidence", "published_at"),
    *("licence", "may_export", "may_train", "cluster_definer"),
)
_WRONG_DRUG = ("drug_vendor", "social_network_shop", "cash_out_exchanger", "drop_account")
_WRONG_OTHER = ("person", "merchant", "organisation")
_SERVICES = (
    ("payment_processor", -60.0),
    ("gambling", 30.0),
    ("mixer", 10.0),
    ("mining_pool", -150.0),
    ("dex", -120.0),
    ("bridge", -100.0),
)


@dataclass(frozen=True)
class Receipts:
    """What each address received, by row, ordered by time: wallet, address text, second, raw amount."""

    wallet: Ints
    account: list[str]
    number: Ints
    time: Ints
    amount: Ints


def list_receipts(utxo: UtxoChain, tokens: TokenChain) -> Receipts:
    """List what wallets received from others: no change, and no deposits on the token chain."""
    transaction = np.repeat(np.arange(len(utxo.block)), np.diff(utxo.out_first))
    wallet = utxo.address_wallet[utxo.out_address]
    payer = np.full(len(utxo.block), -1)
    paying = utxo.in_first[:-1] < utxo.in_first[1:]
    payer[paying] = wallet[utxo.spent[utxo.in_first[:-1][paying]]]
    paid = payer[transaction] != wallet
    own = tokens.customer[tokens.payee] < 0
    wallets = np.concatenate([wallet[paid], tokens.account_wallet[tokens.payee[own]]])
    number = np.concatenate([utxo.out_address[paid], len(utxo.addresses) + tokens.payee[own]])
    time = np.concatenate([utxo.time[utxo.block[transaction[paid]]], tokens.time[own]])
    amount = np.concatenate([utxo.out_value[paid], tokens.amount[own]])
    order = np.lexsort((number, time, wallets))
    texts = [f"{UTXO_CHAIN}:{a}" for a in utxo.addresses] + [f"{TOKEN_CHAIN}:{a}" for a in tokens.accounts]
    return Receipts(wallets[order], texts, number[order], time[order], amount[order])


def list_labels(
    *, seed: int, dials: Dials, cast: Cast, cases: Cases, receipts: Receipts, first_owner: int
) -> tuple[list[Label], dict[str, int]]:
    """Return the labels that are known of a region by the end of the year, and how many of each kind.

    A case names the one to three addresses of each wallet that had received most when it closed, of wallets
    in use for a while one address of two, and the owner as `entity`; a case about an owner that had received
    nothing is not told. A freeze is told when it happens.
    """
    rng = make_generator(seed, "labels")
    rows = _label_services(cast, dials, receipts, first_owner)
    services = len(rows)
    wrong = set(cases.wrong.tolist())
    drug = cast.drug.tolist()
    named_owners = 0
    for owner in np.flatnonzero(cases.closed >= 0).tolist():
        closed = int(cases.closed[owner])
        role = ROLES[cast.role[owner]]
        is_drug = drug[owner]
        category = role.category
        wide = int(rng.integers(1, 4))
        pick = int(rng.integers(0, 12))
        if owner in wrong:
            is_drug = not is_drug
            category = _WRONG_DRUG[pick % 4] if is_drug else _WRONG_OTHER[pick % 3]
        found = False
        wallets = [(wallet, wide) for wallet in cast.main[owner, :WRAPPED].tolist()]
        wallets += [(wallet, 1) for wallet in _used_fresh(cast, receipts, owner, closed)]
        for wallet, most in wallets:
            for account in _biggest(receipts, wallet, closed, most):
                found = True
                rows.append(
                    _row(
                        account,
                        category=category,
                        entity=f"owner-{first_owner + owner:06d}",
                        name="confirmed case" if is_drug else "closed case",
                        source="simulated cases",
                        reference=f"case {first_owner + owner:06d}",
                        confidence="0.95" if is_drug else "0.9",
                        published=closed,
                        cluster=is_drug,
                    )
                )
        named_owners += found
    told = len(rows)
    for owner in np.flatnonzero(cases.frozen >= 0).tolist():
        wallet, when = int(cast.main[owner, TOKEN]), int(cases.frozen[owner])
        rows += [
            _row(
                account,
                category="frozen",
                entity="",
                name="its SUSD is frozen by the issuer",
                source="simulated issuer",
                reference=f"freeze {first_owner + owner:06d}",
                confidence="1",
                published=when,
                cluster=False,
                train=False,
            )
            for account in _biggest(receipts, wallet, when, 1)
            if when < END
        ]
    return rows, {
        "service_labels": services,
        "case_labels": told - services,
        "case_owners": named_owners,
        "freeze_labels": len(rows) - told,
    }


def write_labels(path: Path, labels: list[Label]) -> None:
    """Write the labels of all regions in the order of their publication."""
    ordered: list[Label] = sorted(labels, key=lambda row: (row[7], row[0], row[1]))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(ordered)


def _used_fresh(cast: Cast, receipts: Receipts, owner: int, before: int) -> list[int]:
    """Return up to two wallets that an owner had in use for a while and that were paid before a second."""
    used: list[int] = []
    for chain in (UTXO, TOKEN):
        first, many = int(cast.fresh[owner, chain]), int(cast.fresh_many[owner, chain])
        for wallet in range(first, first + many):
            at = np.searchsorted(receipts.wallet, wallet)
            if at < len(receipts.wallet) and receipts.wallet[at] == wallet and receipts.time[at] < before:
                used.append(wallet)
    return used[::3][:2]


def _label_services(cast: Cast, dials: Dials, receipts: Receipts, first_owner: int) -> list[Label]:
    """Label services as observers do: the biggest addresses of the main, deposit and cold wallet."""
    published: dict[int, float] = {}
    published.update(zip(cast.of("exchange").tolist(), dials.exchange_published, strict=False))
    published.update(zip(cast.of("darknet_market").tolist(), dials.market_published, strict=False))
    for name, day in _SERVICES:
        published.update((owner, day + 11.0 * place) for place, owner in enumerate(cast.of(name).tolist()))
    rows: list[tuple[str, ...]] = []
    for owner, day in sorted(published.items()):
        if day > 365.0:
            continue
        role = ROLES[cast.role[owner]]
        wallets = {*cast.main[owner].tolist(), *cast.deposit[owner].tolist(), *cast.cold[owner].tolist()}
        for wallet in sorted(wallets - {-1}):
            rows += [
                _row(
                    account,
                    category=role.category,
                    entity=f"owner-{first_owner + owner:06d}",
                    name=f"{role.name.replace('_', ' ')} {first_owner + owner:06d}",
                    source="simulated observers",
                    reference=f"service {first_owner + owner:06d}",
                    confidence="0.9",
                    published=int(day * DAY),
                    cluster=True,
                )
                for account in _biggest(receipts, wallet, max(int(day * DAY), 60 * DAY), 4)
            ]
    return rows


def _biggest(receipts: Receipts, wallet: int, before: int, most: int) -> list[str]:
    """Return the up to `most` addresses of a wallet that received most before a second, the biggest first."""
    if wallet < 0:
        return []
    first, last = np.searchsorted(receipts.wallet, [wallet, wallet + 1])
    last = first + np.searchsorted(receipts.time[first:last], before)
    if last == first:
        return []
    numbers, place = np.unique(receipts.number[first:last], return_inverse=True)
    sums = np.zeros(len(numbers), dtype=np.int64)
    np.add.at(sums, place, receipts.amount[first:last])
    order = np.lexsort((numbers, -sums))[:most]
    return [receipts.account[n] for n in numbers[order].tolist()]


def _row(
    account: str,
    *,
    category: str,
    entity: str,
    name: str,
    source: str,
    reference: str,
    confidence: str,
    published: int,
    cluster: bool,
    train: bool = True,
) -> Label:
    return (
        account,
        category,
        entity,
        name,
        source,
        reference,
        confidence,
        show_time(published),
        "CC0-1.0",
        "true",
        "true" if train else "false",
        "true" if cluster else "false",
    )
