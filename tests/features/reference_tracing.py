"""A slow, exact tracing in `fractions.Fraction`, written from the rule and sharing no code with the kernels.

It follows the source side only, for any set of marks: each labelled payer may be its own mark, so that the
value from one entity to another can be read off directly. The destination side is then derived from it
(who received whose mark), which is how the adjoint is checked from outside.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

Leg = tuple[int, int, int, int]
"""(holder or -1, entity, seed category or -1, amount)"""


@dataclass(frozen=True)
class Transfer:
    payers: tuple[Leg, ...]
    payees: tuple[Leg, ...]
    what: str = "payment"  # or fee, burn, return


@dataclass
class Outcome:
    # (receiving entity, mark) -> [value, least hops]; a mark is whatever `mark_of` returned
    received: dict[tuple[int, object], list[Fraction]] = field(default_factory=dict)
    hops: dict[tuple[int, object], int] = field(default_factory=dict)
    arrived: dict[tuple[object, int], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    held: dict[tuple[int, object], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    balance: dict[int, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    fees: dict[object, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    burned: dict[object, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


HISTORY, MINTED = "history", "minted"


def trace(transfers, mark_of):
    """Trace `transfers`; `mark_of(transfer number, payer leg number, leg)` names what a payer's money is.

    A mark says "this payment starts here with that mark, in full"; None says "follow the balance".
    """
    out = Outcome()
    state: dict[int, dict[object, list]] = defaultdict(dict)  # holder -> mark -> [value, hops]
    for t, transfer in enumerate(transfers):
        pool: dict[tuple[object, bool], list] = {}
        total = sum(Fraction(a) for *_, a in transfer.payers)

        def pour(mark, direct, value, hops, pool=pool):
            if value == 0:
                return
            entry = pool.setdefault((mark, direct), [Fraction(0), hops])
            entry[0] += value
            entry[1] = min(entry[1], hops)

        for i, (holder, _entity, _seed, amount) in enumerate(transfer.payers):
            if amount == 0:
                continue
            mark = mark_of(t, i, transfer.payers[i])
            if mark is not None:
                pour(mark, True, Fraction(amount), 0)
                continue
            if holder < 0:
                pour(HISTORY, False, Fraction(amount), 0)
                continue
            held = out.balance[holder]
            share = Fraction(1) if amount >= held else Fraction(amount) / held
            for m, (value, hops) in list(state[holder].items()):
                pour(m, False, value * share, hops)
                state[holder][m][0] = value * (1 - share)
            if share == 1:
                state[holder] = {}
                out.balance[holder] = Fraction(0)
                pour(HISTORY, False, Fraction(amount) - held, 0)
            else:
                out.balance[holder] = held - amount
        if transfer.what in ("fee", "burn"):
            for (mark, _), (value, _) in pool.items():
                (out.fees if transfer.what == "fee" else out.burned)[mark] += value
            pool.clear()
        if transfer.what == "fee":  # what the block's maker gets is new to it, and nobody's payment
            for holder, _entity, seed, amount in transfer.payees:
                if amount and seed < 0:
                    slot = state[holder].setdefault(MINTED, [Fraction(0), 0])
                    slot[0] += amount
                    slot[1] = 0
                    out.balance[holder] += amount
            continue
        if not transfer.payers:
            total = sum(Fraction(a) for *_, a in transfer.payees)
            pour(HISTORY if transfer.what == "return" else MINTED, False, total, 0)
        payer_entities = {e for _, e, _, _ in transfer.payers}
        sole = next(iter(payer_entities)) if len(payer_entities) == 1 else None
        rest = dict.fromkeys(pool, Fraction(0))
        for holder, entity, seed, amount in transfer.payees:
            if amount == 0 or total == 0:
                continue
            flows = entity != sole
            for (mark, direct), (value, hops) in pool.items():
                part = value * Fraction(amount) / total
                rest[mark, direct] += part
                at = hops + (1 if flows else 0)
                if flows:
                    key = (entity, (mark, direct))
                    out.received.setdefault(key, [Fraction(0)])[0] += part
                    out.hops[key] = min(out.hops.get(key, at), at)
                    if seed >= 0:
                        out.arrived[mark, seed] += part
                if seed < 0:
                    slot = state[holder].setdefault(mark, [Fraction(0), at])
                    slot[0] += part
                    slot[1] = min(slot[1], at)
            if seed < 0:
                out.balance[holder] += amount
        for key, (value, _) in pool.items():
            out.fees[key[0]] += value - rest[key]
    for holder, marks in state.items():
        for mark, (value, _) in marks.items():
            if value:
                out.held[holder, mark] = value
    return out
