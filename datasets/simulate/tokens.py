"""The token chain: payments become transfers between accounts, one account a customer at services."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.addresses import draw_programs, encode_accounts
from datasets.simulate.cast import TOKEN, UTXO, Cast
from datasets.simulate.clock import DAY, END, Ints, draw_delays, make_generator
from datasets.simulate.crossings import Crossings, name_doors
from datasets.simulate.settle import COIN_UNIT, LATEST_SWEEP, TOKEN_UNIT, Settled

_GRANT_SECOND = 5
_SWEPT = 0.55  # share of deposits that are swept at once
_PATIENCE = 21 * DAY  # the longest wait for the next
_TAGS = 1 << 40


@dataclass(frozen=True)
class TokenChain:
    """Transfers by row, ordered by time, between accounts by number; `amount` in raw units of the token.

    `asset` is `TOKEN` (dollars) or `WRAPPED` (coins). A row that is `joined` is of the transaction of the row
    before it. A `foreign` row stands in another region, which has it written. `account_wallet` is the wallet
    behind an account, `customer` whose deposit account it is, −1 for none.
    """

    time: Ints
    payer: Ints
    payee: Ints
    amount: Ints
    asset: Ints
    joined: NDArray[np.bool_]
    foreign: NDArray[np.bool_]
    accounts: list[str]
    account_wallet: Ints
    customer: Ints
    hashes: NDArray[np.uint8]


def build_transfers(
    seed: int, cast: Cast, settled: Settled, *, region: int, crossings: Crossings
) -> TokenChain:
    """Write the payments of the token chain, the issue of both tokens, and the sweeps of deposit accounts."""
    rng = make_generator(seed, "tokens")
    payments = settled.payments.take(cast.wallet_chain[settled.payments.payer] != UTXO)
    wallets = len(cast.wallet_owner)
    asset = cast.wallet_chain[payments.payer]
    payer, payee = cast.wallet_account[payments.payer], cast.wallet_account[payments.payee]
    service = payee.copy()
    tagged = payments.tag >= 0
    unique, place = np.unique(payee[tagged] * _TAGS + payments.tag[tagged], return_inverse=True)
    payee[tagged] = wallets + place
    sweeps = _sweep(
        rng,
        payments.time[tagged],
        payee[tagged],
        service=service[tagged],
        amount=payments.amount[tagged],
        asset=asset[tagged],
    )
    outside = int(cast.main[cast.of("elsewhere")[0], TOKEN])
    abroad = payee == outside
    payee[abroad] = wallets + len(unique) + payments.cross[abroad]
    issuer = int(cast.main[cast.of("issuer")[0], TOKEN])
    grants = [(wallet, value) for wallet, value in settled.grants if cast.wallet_chain[wallet] != UTXO]
    granted = np.array([wallet for wallet, _ in grants], dtype=np.int64)
    given = cast.wallet_chain[granted]
    unit = np.where(given == TOKEN, TOKEN_UNIT, COIN_UNIT)
    values = -(-np.array([value for _, value in grants], dtype=np.int64) // unit) * unit
    time = np.concatenate([_GRANT_SECOND + np.arange(len(grants)), payments.time, sweeps.time])
    payers = np.concatenate([np.full(len(grants), issuer), payer, sweeps.payer])
    payees = np.concatenate([cast.wallet_account[granted], payee, sweeps.payee])
    amount = np.concatenate([values, payments.amount, sweeps.amount])
    assets = np.concatenate([given, asset, sweeps.asset])
    order = np.argsort(time, kind="stable")
    time, payers, payees, assets = time[order], payers[order], payees[order], assets[order]
    known = np.unique(np.concatenate([payers, payees]))
    customers = np.append(unique, 0)[np.clip(known - wallets, 0, len(unique))]
    own, border = known < wallets, known >= wallets + len(unique)
    joined = _find_swaps(cast, time, payers, payees)
    hashes = np.frombuffer(rng.bytes(32 * len(order)), dtype=np.uint8).reshape(len(order), 32).copy()
    hashes[1:][joined[1:]] = hashes[:-1][joined[1:]]
    return TokenChain(
        time=time,
        payer=np.searchsorted(known, payers),
        payee=np.searchsorted(known, payees),
        amount=amount[order],
        asset=assets,
        joined=joined,
        foreign=payers == outside,
        accounts=_draw_accounts(rng, cast, known, wallets + len(unique), region=region, crossings=crossings),
        account_wallet=np.where(own, known, np.where(border, outside, customers // _TAGS)),
        customer=np.where(own | border, -1, customers % _TAGS),
        hashes=hashes,
    )


def _draw_accounts(
    rng: np.random.Generator,
    cast: Cast,
    known: Ints,
    border: int,
    *,
    region: int,
    crossings: Crossings,
) -> list[str]:
    """Draw the account of each number; those that two regions know of are as agreed between them."""
    programs = draw_programs(rng, len(known)).copy()
    for wallet, program in name_doors(cast, crossings, region).items():
        at = int(np.searchsorted(known, wallet))
        if at < len(known) and known[at] == wallet:
            programs[at] = program
    abroad = known >= border
    programs[abroad] = crossings.program[known[abroad] - border]
    return encode_accounts(programs)


def _find_swaps(cast: Cast, time: Ints, payers: Ints, payees: Ints) -> NDArray[np.bool_]:
    """Tell which rows are what a pool gives for what the row before paid it: one transaction."""
    pools = cast.main[cast.of("dex"), TOKEN]
    joined = np.isin(payers, pools)
    joined[1:] &= (payers[1:] == payees[:-1]) & (payees[1:] == payers[:-1]) & (time[1:] == time[:-1])
    joined[:1] = False
    return joined


@dataclass(frozen=True)
class _Sweeps:
    time: Ints
    payer: Ints
    payee: Ints
    amount: Ints
    asset: Ints


def _sweep(
    rng: np.random.Generator, time: Ints, account: Ints, *, service: Ints, amount: Ints, asset: Ints
) -> _Sweeps:
    """Sweep deposit accounts to their service's main wallet, mostly within hours, each token by itself.

    A service leaves some deposits until the customer's next one comes, but none for long.
    """
    order = np.lexsort((time, asset, account))
    time, account, service = time[order], account[order], service[order]
    amount, asset = amount[order], asset[order]
    other = (account[1:] != account[:-1]) | (asset[1:] != asset[:-1])
    last = np.append(other | (time[1:] - time[:-1] > _PATIENCE), True)[: len(time)]
    swept = np.flatnonzero(last | (rng.random(len(time)) < _SWEPT))
    whole = np.concatenate([[0], np.cumsum(amount)])
    sums = np.diff(whole[np.concatenate([[0], swept + 1])])
    when = time[swept] + np.minimum(draw_delays(rng, 3.0, 1.0, len(swept)), LATEST_SWEEP // 2)
    good = when < END
    return _Sweeps(when[good], account[swept][good], service[swept][good], sums[good], asset[swept][good])
