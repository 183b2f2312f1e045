"""The four rules in exact fractions, written from their definitions and sharing no code with the kernels.

A balance is a list of parcels, oldest first: [mark, amount]. What a transfer carries is such a list too.
"""

from collections import defaultdict
from fractions import Fraction

HISTORY, MINTED = "history", "minted"


def follow(transfers, rule, mark_of, keeps, watch):
    """Return {(watched, mark): amount}.

    `mark_of(t, i, leg)` names what a payer leg starts with, None: what its holder holds; `keeps(leg)` says
    whether a payee's holder keeps what it gets; `watch(t, j, leg)` names a receipt, None: not asked for.
    """
    balance = defaultdict(list)
    met = defaultdict(set)  # poison: marks that a balance has met since it was last empty
    answer = defaultdict(Fraction)
    for t, transfer in enumerate(transfers):
        pool, marks = [], set()
        for i, leg in enumerate(transfer.payers):
            holder, _, _, amount = leg
            if amount == 0:
                continue
            mark = mark_of(t, i, leg)
            if mark is not None:
                pool.append([mark, Fraction(amount)])
                marks.add(mark)
                continue
            held = balance[holder] if holder >= 0 else []
            total = sum((p[1] for p in held), Fraction(0))
            if rule == "poison" and total:
                marks |= met[holder]
            pool += _take(held, min(Fraction(amount), total), rule)
            if amount > total:
                pool.append([HISTORY, amount - total])
                marks.add(HISTORY)
            if amount >= total:
                met[holder] = set()
        paid = sum((Fraction(leg[3]) for leg in transfer.payers), Fraction(0))
        if transfer.what == "fee" or not transfer.payers:
            paid = sum((Fraction(leg[3]) for leg in transfer.payees), Fraction(0))
            name = HISTORY if transfer.what == "return" else MINTED
            pool, marks = [[name, paid]], {name}
        if transfer.what == "burn" or paid == 0:
            continue
        for j, leg in enumerate(transfer.payees):
            holder, _, _, amount = leg
            if amount == 0:
                continue
            if rule == "haircut":
                parts = [[m, v * amount / paid] for m, v in pool]
            elif rule == "poison":
                parts = [[None, Fraction(amount)]]
            else:
                parts = _take(pool, Fraction(amount), rule)
            asked = watch(t, j, leg)
            if asked is not None:
                if rule == "poison":
                    bad = marks - {HISTORY, MINTED}
                    for mark in bad or ({HISTORY} if HISTORY in marks else marks):
                        answer[asked, mark] += amount
                else:
                    for mark, value in parts:
                        answer[asked, mark] += value
            if keeps(leg):
                balance[holder] += [list(part) for part in parts]
                met[holder] |= marks
    return {key: value for key, value in answer.items() if value}


def _take(parcels, amount, rule):
    """Take `amount` out of a list of parcels by the rule; the list is what is left."""
    taken = []
    if rule in ("haircut", "poison"):
        total = sum((p[1] for p in parcels), Fraction(0))
        if total:
            for parcel in parcels:
                part = parcel[1] * amount / total
                taken.append([parcel[0], part])
                parcel[1] -= part
    else:
        while amount > 0 and parcels:
            at = -1 if rule == "lifo" else 0
            part = min(amount, parcels[at][1])
            taken.append([parcels[at][0], part])
            parcels[at][1] -= part
            amount -= part
            if parcels[at][1] == 0:
                parcels.pop(at)
    parcels[:] = [p for p in parcels if p[1]]
    return taken
