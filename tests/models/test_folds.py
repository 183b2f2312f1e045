from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.folds import Folds, Rows, plan_moments, split_rows, stable_share
from tests.models.population import CHAIN, START, make_frame, make_targets

DAYS = (100, 150, 200, 250, 300)
MOMENTS = tuple(START + timedelta(days=day) for day in DAYS)
Target = tuple[str, str, bool, str, datetime]


def account(number: int) -> str:
    return f"{CHAIN}:0x{number:040x}"


def target(number: int, owner: str, day: float, *, drug: bool = False, category: str = "person") -> Target:
    said = "drug_vendor" if drug else category
    return account(number), owner, drug, said, START + timedelta(days=day)


def split(
    targets: list[Target],
    *,
    accounts: int = 40,
    seeded: dict[int, set[int]] | None = None,
    acted_at: list[datetime] | None = None,
) -> Folds:
    """Split five frames of `accounts` accounts; `seeded` names, per frame, the accounts that are seeded."""
    frames = []
    for place, moment in enumerate(MOMENTS):
        marks = np.asarray([n in (seeded or {}).get(place, set()) for n in range(accounts)])
        frames.append(make_frame(moment, [account(n) for n in range(accounts)], seeded=marks, names=("x",)))
    return split_rows(frames[:3], frames[3], frames[4], make_targets(targets, acted_at))


def names(rows: Rows) -> set[str]:
    return {owner.name for owner in rows.owners}


@st.composite
def labelled(draw: st.DrawFn) -> list[Target]:
    """Return targets of up to 40 accounts of up to 12 owners, published at any time."""
    drug = [draw(st.booleans()) for _ in range(12)]
    found = []
    for number in range(draw(st.integers(0, 40))):
        owner = draw(st.integers(0, 11))
        found.append(target(number, f"owner-{owner}", draw(st.integers(0, 400)), drug=drug[owner]))
    return found


@given(targets=labelled(), entities=st.lists(st.integers(0, 39), min_size=40, max_size=40), data=st.data())
@settings(max_examples=150, deadline=None)
def test_folds_are_apart_in_owner_and_time(
    targets: list[Target], entities: list[int], data: st.DataObject
) -> None:
    seeded = [data.draw(st.sets(st.integers(0, 39), max_size=8)) for _ in MOMENTS]
    accounts = [account(n) for n in range(40)]
    frames = [
        make_frame(
            moment,
            accounts,
            np.full((40, 1), float(place)),
            seeded=np.asarray([n in seeded[place] for n in range(40)]),
            entities=entities,
            names=("x",),
        )
        for place, moment in enumerate(MOMENTS)
    ]
    folds = split_rows(frames[:3], frames[3], frames[4], make_targets(targets))
    said = {name: (owner, drug, at) for name, owner, drug, _, at in targets}
    first: dict[str, datetime] = {}
    for _, owner, _, _, at in targets:
        first[owner] = min(at, first.get(owner, at))
    assert not names(folds.train) & names(folds.valid)
    assert not names(folds.train) & names(folds.test)
    assert not names(folds.valid) & names(folds.test)
    used_entities: dict[str, set[int]] = {}
    for fold, rows, latest in (
        ("train", folds.train, MOMENTS[3]),
        ("valid", folds.valid, MOMENTS[4]),
        ("test", folds.test, START + timedelta(days=1000)),
    ):
        assert list(zip(rows.as_of, rows.accounts, strict=True)) == sorted(
            zip(rows.as_of, rows.accounts, strict=True)
        )
        for name, moment, owner, drug in zip(rows.accounts, rows.as_of, rows.owner, rows.drug, strict=True):
            assert said[name][:2] == (rows.owners[owner].name, drug)
            assert said[name][2] < latest
            assert not drug or first[said[name][0]] > moment
            assert accounts.index(name) not in seeded[MOMENTS.index(moment)]
            used_entities.setdefault(fold, set()).add(entities[accounts.index(name)])
        for moment in set(rows.as_of):
            of_frame = np.asarray([at == moment for at in rows.as_of])
            sums = np.bincount(rows.owner[of_frame], rows.weight[of_frame])
            assert np.allclose(sums[sums > 0], 1.0)
    # No cluster is on two sides either: its features would be the same on both.
    assert not used_entities.get("train", set()) & used_entities.get("valid", set())
    assert not used_entities.get("train", set()) & used_entities.get("test", set())
    assert set(folds.train.as_of) <= set(MOMENTS[:3])
    assert set(folds.valid.as_of) <= {MOMENTS[3]}
    assert set(folds.test.as_of) <= {MOMENTS[4]}
    values = np.asarray([float(MOMENTS.index(m)) for m in folds.train.as_of])
    assert folds.train.values[:, 0].tolist() == values.tolist()


@given(targets=labelled(), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_the_order_of_targets_changes_nothing(targets: list[Target], seed: int) -> None:
    mixed = [targets[i] for i in np.random.default_rng(seed).permutation(len(targets))]
    one, other = split(targets), split(mixed)
    for a, b in ((one.train, other.train), (one.valid, other.valid), (one.test, other.test)):
        assert (a.accounts, a.as_of, a.owners) == (b.accounts, b.as_of, b.owners)
        assert a.weight.tobytes() == b.weight.tobytes()
        assert a.owner.tobytes() == b.owner.tobytes()
    assert one.left_out == other.left_out


@given(early=labelled(), late=labelled())
@settings(max_examples=50, deadline=None)
def test_labels_known_after_the_validation_moment_never_reach_training(
    early: list[Target], late: list[Target]
) -> None:
    before = [t for t in early if t[4] < MOMENTS[3]]
    taken = {t[0] for t in before}
    after = [t for t in late if t[4] >= MOMENTS[3] and t[0] not in taken]
    one, other = split(before).train, split(before + after).train
    assert (one.accounts, one.as_of, one.owners) == (other.accounts, other.as_of, other.owners)


def test_drug_owners_serve_in_the_fold_whose_period_they_became_known_in() -> None:
    folds = split(
        [
            target(0, "before-training", 90, drug=True),
            target(1, "in-training", 160, drug=True),
            target(2, "in-validation", 260, drug=True),
            target(3, "in-test", 320, drug=True),
        ]
    )
    assert names(folds.train) == {"in-training"}
    assert folds.train.as_of == MOMENTS[:2]
    assert names(folds.valid) == {"in-validation"}
    assert names(folds.test) == {"in-test"}
    assert folds.left_out["after_the_first_public_action"] > 0


def test_the_first_action_against_an_owner_counts_for_all_of_its_accounts() -> None:
    folds = split([target(0, "one", 120, drug=True), target(1, "one", 240, drug=True)])
    assert set(zip(folds.train.accounts, folds.train.as_of, strict=True)) == {
        (account(0), MOMENTS[0]),
        (account(1), MOMENTS[0]),
    }
    late = split([target(0, "one", 120, drug=True), target(1, "one", 260, drug=True)])
    assert set(late.train.accounts) == {account(0)}
    assert late.left_out["known_too_late_for_the_fold"] > 0


def test_an_address_named_long_after_its_owner_was_listed_counts_from_the_listing() -> None:
    found = split([target(0, "cartel", 240, drug=True)], acted_at=[START + timedelta(days=140)])
    assert found.train.as_of == MOMENTS[:1]
    never = split([target(0, "cartel", 240, drug=True)], acted_at=[START])
    assert not never.train.owners


def test_seeded_rows_are_left_out_and_unseeded_ones_of_the_same_account_kept() -> None:
    folds = split([target(0, "shop", 170)], seeded={2: {0}, 3: {0}, 4: {0}})
    assert folds.train.as_of == MOMENTS[:2]
    assert folds.left_out["seeded"] == 3


def test_an_owner_said_to_be_both_is_left_out() -> None:
    folds = split([target(0, "both", 170, drug=True), target(1, "both", 180), target(2, "clear", 170)])
    owners = names(folds.train) | names(folds.valid) | names(folds.test)
    assert owners == {"clear"}
    assert folds.left_out["owner_both_drug_and_not"] > 0


def test_owners_that_could_serve_anywhere_are_dealt_sixty_to_twenty_to_twenty() -> None:
    folds = split([target(n, f"shop-{n}", 10) for n in range(3000)], accounts=3000)
    shares = [len(rows.owners) / 3000 for rows in (folds.train, folds.valid, folds.test)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    assert len(folds.train.accounts) == 3 * len(folds.train.owners)
    again = split([target(n, f"shop-{n}", 10) for n in range(0, 3000, 7)], accounts=3000)
    assert names(again.train) <= names(folds.train)
    assert names(again.test) <= names(folds.test)


def test_only_owners_of_whom_nothing_illicit_is_said_are_licit() -> None:
    said = [("person", True), ("exchange", True), ("scam", False), ("not-in-the-taxonomy", False)]
    folds = split([target(n, f"o{n}", 320, category=c) for n, (c, _) in enumerate(said)])
    assert [owner.licit for owner in folds.test.owners] == [licit for _, licit in said]
    assert not split([target(0, "o", 320, drug=True)]).test.owners[0].licit


def test_what_the_builder_got_wrong_is_refused() -> None:
    twice = [target(0, "a", 10), target(0, "b", 10)]
    with pytest.raises(ValueError, match="two targets"):
        split(twice)
    frames = [make_frame(moment, [account(0)], names=("x",)) for moment in MOMENTS]
    with pytest.raises(ValueError, match="ascend"):
        split_rows(frames[:3], frames[4], frames[3], make_targets([target(0, "a", 10)]))
    other = make_frame(MOMENTS[4], [account(0)], names=("y",))
    with pytest.raises(ValueError, match="same features"):
        split_rows(frames[:3], frames[3], other, make_targets([target(0, "a", 10)]))


def test_moments_leave_time_for_labels_on_both_sides() -> None:
    found = plan_moments(START, START + timedelta(days=365))
    times = [*found.train, found.valid, found.test]
    assert times == sorted(set(times))
    assert len(found.train) == 3
    assert found.train[0] - START > timedelta(days=90)
    assert START + timedelta(days=365) - found.test > timedelta(days=60)
    assert all(t.microsecond == 0 for t in times)
    with pytest.raises(ValueError, match="must come after"):
        plan_moments(START, START)


def test_the_stable_share_does_not_change_between_versions() -> None:
    assert stable_share("fold:owner-1") == pytest.approx(0.72527920662721, abs=1e-12)
    assert 0.49 < np.mean([stable_share(str(n)) for n in range(20_000)]) < 0.51
