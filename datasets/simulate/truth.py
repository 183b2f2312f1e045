"""The truth about every address, for evaluation only: owner, role, side, and why it is easy to mistake."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from chains.address import find_chain
from datasets.simulate.cases import Cases
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.files import show_time
from datasets.simulate.roles import ROLES
from datasets.simulate.settle import Payments
from datasets.simulate.tokens import TokenChain
from datasets.simulate.utxo import UtxoChain

UTXO_CHAIN = find_chain("simulated-utxo").caip2
TOKEN_CHAIN = find_chain("simulated-token").caip2
COLUMNS = "account,owner,role,drug,confounder,wallet,frozen_at"

CONFOUNDERS = (
    "exchange_hot_wallet",
    "miner",
    "charity",
    "market_tourist",
    "victim",
    "p2p_trader",
    "market_buyer",
    "gambling",
    "remittance_sender",
)
"""Why an honest address may look like the trade's; an address is told the first that holds."""

_CRIMES = ("scam", "ransomware")
_SENDS = 2  # payments to remittance agents from which on somebody sends home


def list_truth(
    cast: Cast, cases: Cases, payments: Payments, utxo: UtxoChain, tokens: TokenChain, *, first_owner: int
) -> Iterator[str]:
    """Yield one line a used address of the region, the chains one after the other, in the order of `COLUMNS`.

    `first_owner` is the number of the region's first owner in the world.
    """
    names = [role.name for role in ROLES]
    role = cast.role.tolist()
    drug = cast.drug.tolist()
    confounder = _find_confounders(cast, payments)
    frozen = cases.frozen.tolist()
    outside = int(cast.of("elsewhere")[0])
    main = cast.main[:, TOKEN].tolist()
    hot = set(cast.main[cast.of("exchange")][:, [UTXO, TOKEN]].ravel().tolist())
    nobody = np.full(len(utxo.addresses), -1)
    for chain, texts, wallets, customers in (
        (UTXO_CHAIN, utxo.addresses, utxo.address_wallet, nobody),
        (TOKEN_CHAIN, tokens.accounts, tokens.account_wallet, tokens.customer),
    ):
        owners = cast.wallet_owner[wallets].tolist()
        for text, owner, wallet, customer in zip(
            texts, owners, wallets.tolist(), customers.tolist(), strict=True
        ):
            if owner == outside:
                continue
            kind = "deposit" if customer >= 0 else cast.wallet_kind[wallet]
            why = "exchange_hot_wallet" if wallet in hot and kind == "main" else confounder[owner]
            held = show_time(frozen[owner]) if frozen[owner] >= 0 and wallet == main[owner] else ""
            yield (
                f"{chain}:{text},owner-{first_owner + owner:06d},{names[role[owner]]},"
                f"{'true' if drug[owner] else 'false'},{why},{kind},{held}"
            )


def _find_confounders(cast: Cast, payments: Payments) -> list[str]:
    """Return for each owner outside the drug trade the first reason that holds, '' for none."""
    payer, payee = cast.wallet_owner[payments.payer], cast.wallet_owner[payments.payee]
    owners = np.arange(cast.owners)
    person = cast.is_role(owners, "person", "fraud_victim")
    service = np.isin(cast.role, [i for i, role in enumerate(ROLES) if role.service])
    from_market = _some(cast, payee[cast.is_role(payer, "darknet_market")])
    to_agent = np.bincount(payer[cast.is_role(payee, "remittance_agent")], minlength=cast.owners)
    holds: dict[str, NDArray[np.bool_]] = {
        "miner": cast.is_role(owners, "miner"),
        "charity": cast.is_role(owners, "charity"),
        "market_tourist": from_market & ~person & ~cast.is_role(owners, "fraud_seller"),
        "victim": cast.is_role(owners, "fraud_victim", "ransom_victim")
        | _some(cast, payer[cast.is_role(payee, *_CRIMES)]) & ~cast.is_role(owners, *_CRIMES),
        "p2p_trader": cast.is_role(owners, "p2p_trader"),
        "market_buyer": _some(cast, payer[cast.is_role(payee, "darknet_market")]),
        "gambling": cast.is_role(owners, "gambling") | _some(cast, payer[cast.is_role(payee, "gambling")]),
        "remittance_sender": person & (to_agent >= _SENDS),
    }
    found = np.full(cast.owners, "", dtype=object)
    for name in reversed(CONFOUNDERS):
        if name in holds:
            found[holds[name] & ~cast.drug & (~service | (name == "gambling"))] = name
    texts: list[str] = found.tolist()
    return texts


def _some(cast: Cast, owners: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.bincount(owners, minlength=cast.owners) > 0
