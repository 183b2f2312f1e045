"""The token chain: payments become transfers between accounts, one account a customer at services."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.addresses import draw_programs, encode_accounts
from datasets.simulate.cast import TOKEN, Cast
from datasets.simulate.clock import DAY, END, Ints, draw_delays, make_generator
from datasets.simulate.settle import LATEST_SWEEP, Settled

_GRANT_SECOND = 5
_SWEPT = 0.55  # share of deposits that are swept at once
_PATIENCE = 21 * DAY  # the longest wait for the next


@dataclass(frozen=True)
class TokenChain:
    """Transfers by row, ordered by time, between accounts by number; `amount` in raw units of the token.

    `account_wallet` is the wallet behind an account, `customer` whose deposit account it is, −1 for none.
    """

    time: Ints
    payer: Ints
    payee: Ints
    amount: Ints
    accounts: list[str]
    account_wallet: Ints
    customer: Ints
    hashes: NDArray[np.uint8]


def build_transfers(seed: int, cast: Cast, settled: Settled) -> TokenChain:
    """Write the payments of the token chain, the issue of the token, and the sweeps of deposit accounts."""
    rng = make_generator(seed, "tokens")
    payments = settled.payments.take(cast.wallet_chain[settled.payments.payer] == TOKEN)
    wallets = len(cast.wallet_owner)
    tagged = payments.tag >= 0
    keys = payments.payee * (1 << 40) + payments.tag
    unique, place = np.unique(keys[tagged], return_inverse=True)
    payee = payments.payee.copy()
    payee[tagged] = wallets + place
    sweeps = _sweep(
        rng, payments.time[tagged], payee[tagged], payments.payee[tagged], payments.amount[tagged]
    )
    issuer = int(cast.main[cast.of("issuer")[0], TOKEN])
    grants = [(wallet, value) for wallet, value in settled.grants if cast.wallet_chain[wallet] == TOKEN]
    granted = np.array([wallet for wallet, _ in grants], dtype=np.int64)
    time = np.concatenate([_GRANT_SECOND + np.arange(len(grants)), payments.time, sweeps.time])
    payers = np.concatenate([np.full(len(grants), issuer), payments.payer, sweeps.payer])
    payees = np.concatenate([granted, payee, sweeps.payee])
    values = [-(-value // 1_000_000) * 1_000_000 for _, value in grants]
    amount = np.concatenate([np.array(values, dtype=np.int64), payments.amount, sweeps.amount])
    order = np.argsort(time, kind="stable")
    known = np.unique(np.concatenate([payers, payees]))
    programs = draw_programs(rng, len(known))
    return TokenChain(
        time=time[order],
        payer=np.searchsorted(known, payers[order]),
        payee=np.searchsorted(known, payees[order]),
        amount=amount[order],
        accounts=encode_accounts(programs),
        account_wallet=np.where(
            known < wallets, known, np.append(unique, 0)[np.maximum(known - wallets, 0)] >> 40
        ),
        customer=np.where(
            known < wallets, -1, np.append(unique, 0)[np.maximum(known - wallets, 0)] & ((1 << 40) - 1)
        ),
        hashes=np.frombuffer(rng.bytes(32 * len(order)), dtype=np.uint8).reshape(len(order), 32),
    )


@dataclass(frozen=True)
class _Sweeps:
    time: Ints
    payer: Ints
    payee: Ints
    amount: Ints


def _sweep(rng: np.random.Generator, time: Ints, account: Ints, service: Ints, amount: Ints) -> _Sweeps:
    """Sweep deposit accounts to their service's main wallet, mostly within hours.

    A service leaves some deposits until the customer's next one comes, but none for long.
    """
    order = np.lexsort((time, account))
    time, account, service, amount = time[order], account[order], service[order], amount[order]
    last = np.append((account[1:] != account[:-1]) | (time[1:] - time[:-1] > _PATIENCE), True)[: len(time)]
    swept = np.flatnonzero(last | (rng.random(len(time)) < _SWEPT))
    whole = np.concatenate([[0], np.cumsum(amount)])
    sums = np.diff(whole[np.concatenate([[0], swept + 1])])
    when = time[swept] + np.minimum(draw_delays(rng, 3.0, 1.0, len(swept)), LATEST_SWEEP // 2)
    good = when < END
    return _Sweeps(when[good], account[swept][good], service[swept][good], sums[good])
