"""A random sample below the line: whom the score passes over, drawn so that somebody looks nevertheless.

Closed cases are those that somebody had a reason to open. Only owners drawn at random from below the level
MEDIUM say how many the score misses. Part of them is judged blind to the score, so that it cannot lead the
reader; owners from above the line can be mixed among those, lest blind cases betray a low score.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from chains.errors import InputError
from datasets.records.cases import Case
from datasets.snapshot import Snapshot

CONFIDENCE = 0.95
"""Of the intervals of a report."""


@dataclass(frozen=True)
class Stratum:
    """Of one chain (CAIP-2): owners that could be drawn, and how many were."""

    chain: str
    eligible: int
    drawn: int


@dataclass(frozen=True)
class Drawn:
    """One owner by its public id (CAIP-10), its highest log-odds, and whether its reader sees that."""

    account: str
    log_odds: float
    blind: bool


@dataclass(frozen=True)
class Sample:
    """What was drawn, by account; `strata` count those below the line."""

    owners: tuple[Drawn, ...]
    strata: tuple[Stratum, ...]


@dataclass(frozen=True)
class Misses:
    """What reading a sample showed. `rate` is confirmed / (confirmed + cleared), None where that is 0 / 0.

    `low` and `high` bound it with 95% confidence; `most` is the upper bound were every inconclusive case a
    miss too.
    """

    drawn: int
    confirmed: int
    cleared: int
    inconclusive: int
    unread: int
    rate: float | None
    low: float
    high: float
    most: float


def draw_sample(
    snapshot: Snapshot,
    *,
    line: float,
    size: int,
    blind_share: float,
    seed: int,
    above: int = 0,
    taken: Collection[str] = (),
    skip: Callable[[int], bool] = lambda _row: False,
) -> Sample:
    """Draw `size` owners whose highest log-odds is not above `line`, and `above` blind ones from over it.

    Drawn are entities without a label and without a case (`taken`, accounts), each by its public id; each
    chain gives its share, and at least one. Those from over the line lie on chains that have blind ones below
    it too. `skip` passes over a row that something else than the score has
    flagged. The order is that of SHA-256 over seed and account, so the same seed draws the same of the same
    snapshot, and one owner more or less changes nothing for the others. Raises InputError where there are
    not so many.
    """
    if not 0 <= blind_share <= 1:
        raise InputError(f"the blind share is {blind_share:g}: it lies between 0 and 1")
    busy = {row for row in (snapshot.find(account) for account in taken) if row is not None}
    busy = {snapshot.entity_row(row) for row in busy}
    accounts, rows, highest, labelled = snapshot.owner_scores()
    below: dict[str, list[int]] = {}
    over: dict[str, list[int]] = {}
    for place, account in enumerate(accounts):
        if labelled[place] or int(rows[place]) in busy:
            continue
        (below if highest[place] <= line else over).setdefault(_chain(account), []).append(place)

    def choose(places: Sequence[int], count: int) -> list[int]:
        chosen: list[int] = []
        for place in sorted(places, key=lambda p: _place(f"draw:{seed}:{accounts[p]}")):
            if len(chosen) == count:
                break
            row = int(rows[place])
            if not snapshot.labels(accounts[place]) and not snapshot.entity_labels(row) and not skip(row):
                chosen.append(place)
        return chosen

    eligible = {chain: len(places) for chain, places in below.items()}
    by_chain: dict[str, list[int]] = {}
    while not by_chain:
        shares = _share_out(eligible, size)
        by_chain = {chain: choose(below[chain], count) for chain, count in shares.items()}
        for chain, chosen in by_chain.items():
            if len(chosen) < shares[chain]:  # so many were passed over: the others give more
                eligible[chain], by_chain = len(chosen), {}
                break
    found = [place for places in by_chain.values() for place in places]
    mixed = choose([p for chain in sorted(over) if by_chain.get(chain) for p in over[chain]], above)
    if len(mixed) < above:
        raise InputError(f"only {len(mixed)} of {above} owners above the line are left to draw: name fewer")
    order = sorted(found, key=lambda p: _place(f"blind:{seed}:{accounts[p]}"))
    # A blind one below the line on each chain that has one above it: else being blind there tells the score.
    chains = sorted({_chain(accounts[p]) for p in mixed})
    beside = [next(p for p in order if _chain(accounts[p]) == chain) for chain in chains]
    count = math.floor(size * blind_share + 0.5)
    if len(beside) > count:
        raise InputError(
            f"the owners above the line lie on {len(chains)} chains and each needs a blind one below it "
            f"on its chain, but {count} are blind: raise the blind share"
        )
    others = [p for p in order if p not in beside]
    blind = {*beside, *others[: count - len(beside)], *mixed}
    owners = [Drawn(accounts[p], float(highest[p]), p in blind) for p in sorted([*found, *mixed])]
    strata = [Stratum(chain, eligible[chain], len(by_chain.get(chain, ()))) for chain in sorted(below)]
    return Sample(tuple(owners), tuple(strata))


def count_misses(cases: Iterable[Case]) -> Misses:
    """Return what cases of a sample show so far: a miss is one that two people confirmed."""
    found = {"confirmed": 0, "cleared": 0, "inconclusive": 0, "unread": 0}
    for case in cases:
        found[case.decision.outcome if case.decision else "unread"] += 1
    missed, judged = found["confirmed"], found["confirmed"] + found["cleared"]
    low, high = exact_interval(missed, judged)
    _, most = exact_interval(missed + found["inconclusive"], judged + found["inconclusive"])
    return Misses(
        drawn=sum(found.values()),
        rate=missed / judged if judged else None,
        low=low,
        high=high,
        most=most,
        **found,
    )


def exact_interval(found: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact binomial interval of a rate; 0 to 1 where nothing was looked at.

    Source: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26, 1934. Drawn by
    chain in proportion, the number found spreads less than a binomial one, so the interval errs on the safe
    side (Hoeffding, 1956).
    """
    if not 0 <= found <= of:
        raise ValueError(f"{found} of {of} is no share")
    tail = (1 - confidence) / 2
    low = 0.0 if found == 0 else _solve(lambda p: 1 - _at_most(found - 1, of, p) < tail)
    high = 1.0 if found == of else _solve(lambda p: _at_most(found, of, p) > tail)
    return low, high


def _at_most(found: int, of: int, share: float) -> float:
    """Return the probability of at most `found` in `of` draws of probability `share` each, not 0 or 1."""
    return math.fsum(
        math.exp(
            math.lgamma(of + 1)
            - math.lgamma(k + 1)
            - math.lgamma(of - k + 1)
            + k * math.log(share)
            + (of - k) * math.log1p(-share)
        )
        for k in range(found + 1)
    )


def _solve(below: Callable[[float], bool]) -> float:
    """Return where `below` turns from true to false between 0 and 1."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def _share_out(eligible: dict[str, int], size: int) -> dict[str, int]:
    """Return how many each chain gives: one, and of the rest its share by largest remainders."""
    chains = sorted(chain for chain, count in eligible.items() if count)
    total = sum(eligible.values())
    if not len(chains) <= size <= total:
        needed = f"at least {len(chains)}, one a chain," if size < len(chains) else f"at most {total}"
        raise InputError(f"{size} owners below the line cannot be drawn: {needed} can be")
    exact = {chain: size * eligible[chain] / total for chain in chains}
    shares = {chain: max(1, math.floor(exact[chain])) for chain in chains}
    while sum(shares.values()) != size:
        step = 1 if sum(shares.values()) < size else -1
        movable = [c for c in chains if (shares[c] < eligible[c] if step > 0 else shares[c] > 1)]
        chosen = max(movable, key=lambda c: (step * (exact[c] - shares[c]), c))
        shares[chosen] += step
    return shares


def _chain(account: str) -> str:
    return ":".join(account.split(":")[:2])


def _place(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
