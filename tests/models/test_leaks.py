"""An honest set passes the leak audit; each planted leak is caught by the question that is meant to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.build import build_frame
from features.frame import FeatureFrame
from models.folds import Folds, Rows, split_rows
from models.leak_rows import (
    check_after_action,
    check_label_dates,
    check_look_ahead,
    check_own_labels,
    check_owners_apart,
)
from models.leak_scores import (
    check_absolute_time,
    check_shuffled_labels,
    check_single_features,
    check_time_only,
)
from models.leaks import Evidence, audit_leaks
from models.prepare import prepare
from models.rebuild import rebuild_from
from tests.features.ledgers import BANK, import_claims, import_payments
from tests.models.population import NAMES, World
from tests.models.town import make_town

DAY = timedelta(days=1)


def make_evidence(world: World, *, told: World | None = None) -> Evidence:
    """Return the evidence of a world whose folds were made from what `told` says, and rebuilt honestly."""
    shown = told or world
    honest = {frame.as_of: frame for frame in world.frames}
    return Evidence(
        frames=shown.frames,
        targets=world.targets,
        folds=split(shown),
        names=NAMES,
        rebuild=lambda frame, _unlabelled: honest[frame.as_of],
    )


def split(world: World) -> Folds:
    return split_rows(world.frames[:3], world.frames[3], world.frames[4], world.targets)


def plant(world: World, feature: str, value: Callable[[FeatureFrame], np.ndarray]) -> World:
    """Return the world with one feature replaced; NaN leaves what was there."""
    column, frames = NAMES.index(feature), []
    for frame in world.frames:
        values, planted = frame.values.copy(), value(frame)
        values[:, column] = np.where(np.isnan(planted), values[:, column], planted)
        frames.append(replace(frame, values=values))
    return replace(world, frames=tuple(frames))


def column_of(world: World, name: str) -> Mapping[str, object]:
    targets = world.targets
    return dict(zip(targets["account"].to_pylist(), targets[name].to_pylist(), strict=True))


def with_column(targets: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    return targets.set_column(
        targets.column_names.index(name), name, pa.array(values, targets.schema.field(name).type)
    )


def test_an_honest_set_passes_every_question(world: World) -> None:
    told: list[tuple[int, int]] = []
    checks = audit_leaks(make_evidence(world), progress=lambda _step, done, of: told.append((done, of)))
    assert [check.findings for check in checks] == [()] * len(checks)
    assert [check.skipped for check in checks] == [""] * len(checks)
    assert len({check.id for check in checks}) == len(checks) == 9
    assert told == [(number, 9) for number in range(9)]


def test_a_feature_copied_from_the_target_is_caught(world: World) -> None:
    drug = column_of(world, "drug")
    random = np.random.default_rng(1)

    def copy(frame: FeatureFrame) -> np.ndarray:
        answers = np.asarray([float(bool(drug[account])) for account in frame.accounts])
        return answers + 0.2 * random.normal(size=len(answers))

    leaky = plant(world, "transfers_out", copy)
    (finding,) = check_single_features(make_evidence(leaky)).findings
    assert "`transfers_out` alone ranks with ROC-AUC" in finding
    # An answer that is there by being absent is one as well.
    absent = plant(
        world,
        "transfers_out",
        lambda frame: np.asarray([-5.0 if drug[a] else np.nan for a in frame.accounts]),
    )
    assert check_single_features(make_evidence(absent)).findings


def test_a_handful_of_owners_is_not_called_a_leak(world: World) -> None:
    evidence = make_evidence(world)

    def few(rows: Rows) -> Rows:
        kept = np.zeros(len(rows.owners), np.bool_)
        for drug in (True, False):
            kept[[i for i, owner in enumerate(rows.owners) if owner.drug == drug][:3]] = True
        from models.compare import pick_owners

        return pick_owners(rows, kept)

    folds = Folds(few(evidence.folds.train), few(evidence.folds.valid), few(evidence.folds.test), {})
    found = check_single_features(replace(evidence, folds=folds))
    assert found.findings == ()
    assert "too few owners: 9 drug owners, 9 others" in found.skipped


def test_an_absolute_time_is_caught_whichever_it_is(world: World) -> None:
    random = np.random.default_rng(2)
    first = {
        a: float(d) for a, d in zip(world.frames[0].accounts, random.uniform(0, 100, 10_000), strict=False)
    }
    start = datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC)

    def days(frame: FeatureFrame) -> float:
        return (frame.as_of - start) / DAY

    aged = plant(world, "age_days", lambda f: np.asarray([days(f) - first[a] for a in f.accounts]))
    assert check_absolute_time(make_evidence(aged)).findings == ()
    height = plant(aged, "transfers_out", lambda f: np.asarray([144 * first[a] for a in f.accounts]))
    (finding,) = check_absolute_time(make_evidence(height)).findings
    assert finding.startswith("`transfers_out` is when it was first seen")
    moment = plant(
        world, "receipt_count_share", lambda f: days(f) + 0.1 * random.normal(size=len(f.accounts))
    )
    findings = check_absolute_time(make_evidence(moment)).findings
    assert any(finding.startswith("`receipt_count_share` is the moment of the row") for finding in findings)


def test_exposure_to_an_own_label_is_caught(world: World) -> None:
    drug = column_of(world, "drug")
    seeded = plant(
        world,
        "exposure_source_drug_share",
        lambda frame: np.asarray([1.0 if drug[a] else np.nan for a in frame.accounts]),
    )
    evidence = make_evidence(world, told=seeded)
    findings = check_own_labels(evidence).findings
    assert len(findings) == 5
    assert all("differs without labels of their owner (exposure_source_drug_share)" in f for f in findings)


def test_rows_that_a_label_had_named_are_caught(world: World) -> None:
    evidence = make_evidence(world)
    test = evidence.folds.test
    named = np.asarray([account == test.accounts[0] for account in evidence.frames[-1].accounts])
    frames = (*evidence.frames[:-1], replace(evidence.frames[-1], seeded=evidence.frames[-1].seeded | named))
    (finding,) = check_own_labels(replace(evidence, frames=frames)).findings
    assert f"a label of their own had named: {test.accounts[0]}" in finding


def test_a_feature_that_looks_ahead_is_caught(world: World) -> None:
    after = dict(zip([f.as_of for f in world.frames], [*world.frames[1:], world.frames[-1]], strict=True))
    column = NAMES.index("transfers_in")
    ahead = plant(world, "transfers_in", lambda frame: after[frame.as_of].values[:, column])
    findings = check_look_ahead(make_evidence(world, told=ahead)).findings
    assert len(findings) == 4
    assert all("in 1 feature: transfers_in" in finding for finding in findings)
    # An account that is only known later, or a cluster, is one as well.
    frame = world.frames[0]
    fewer = FeatureFrame(
        frame.as_of, frame.accounts[1:], np.arange(len(frame.accounts) - 1), frame.seeded[1:], NAMES,
        np.ascontiguousarray(frame.values[1:]),
    )  # fmt: skip
    evidence = replace(make_evidence(world), rebuild=lambda _m, _u: fewer, frames=(frame,))
    assert "1 account came or went" in check_look_ahead(evidence).findings[0]
    joined = replace(frame, entities=np.zeros(len(frame.accounts), np.int64))
    evidence = replace(make_evidence(world), rebuild=lambda _m, _u: joined, frames=(frame,))
    assert "the entities of" in check_look_ahead(evidence).findings[0]


def test_rows_after_the_first_public_action_are_caught(world: World) -> None:
    late = datetime(2030, 1, 1)  # noqa: DTZ001  (naive UTC)
    told = replace(world, targets=with_column(world.targets, "acted_at", [late] * world.targets.num_rows))
    frames = tuple(replace(f, seeded=np.zeros_like(f.seeded)) for f in world.frames)
    told, honest = replace(told, frames=frames), replace(world, frames=frames)
    evidence = replace(make_evidence(honest, told=told), frames=frames)
    findings = check_after_action(evidence).findings
    assert [finding.split(" of the ")[1].split()[0] for finding in findings] == ["train", "valid", "test"]
    assert check_after_action(make_evidence(honest)).findings == ()


def test_labels_of_the_test_period_in_training_are_caught(world: World) -> None:
    early = datetime(2020, 1, 1)  # noqa: DTZ001  (naive UTC)
    told = replace(
        world, targets=with_column(world.targets, "published_at", [early] * world.targets.num_rows)
    )
    findings = check_label_dates(make_evidence(world, told=told)).findings
    assert len(findings) == 2
    assert "of the train fold named by a label of 2023-08-29 or later" in findings[0]
    assert "of the valid fold named by a label of 2023-10-28 or later" in findings[1]
    backwards = make_evidence(world)
    folds = replace(
        backwards.folds,
        train=replace(
            backwards.folds.train, as_of=(*backwards.folds.train.as_of[:-1], world.frames[4].as_of)
        ),
    )
    assert any("not before" in f for f in check_label_dates(replace(backwards, folds=folds)).findings)


def test_an_owner_on_both_sides_is_caught_by_name_account_and_cluster(world: World) -> None:
    evidence = make_evidence(world)
    train, test = evidence.folds.train, evidence.folds.test
    renamed = (replace(test.owners[0], name=train.owners[0].name), *test.owners[1:])
    (finding,) = check_owners_apart(
        replace(evidence, folds=replace(evidence.folds, test=replace(test, owners=renamed)))
    ).findings
    assert finding == f"1 owner in train and test: {train.owners[0].name}"
    accounts = (train.accounts[0], *test.accounts[1:])
    (finding,) = check_owners_apart(
        replace(evidence, folds=replace(evidence.folds, test=replace(test, accounts=accounts)))
    ).findings
    assert finding == f"1 account in train and test: {train.accounts[0]}"
    frame = evidence.frames[-1]
    entities = frame.entities.copy()
    entities[frame.accounts.index(test.accounts[0])] = frame.accounts.index(train.accounts[0])
    (finding,) = check_owners_apart(
        replace(evidence, frames=(*evidence.frames[:-1], replace(frame, entities=entities)))
    ).findings
    assert "1 account of the test fold in one cluster with those of an earlier fold" in finding


def test_rows_that_were_learnt_by_heart_are_caught_by_shuffled_labels(world: World) -> None:
    evidence = make_evidence(world)
    train = evidence.folds.train
    memorised = replace(train, as_of=(world.frames[4].as_of,) * len(train.accounts))
    found = check_shuffled_labels(replace(evidence, folds=replace(evidence.folds, test=memorised)))
    assert "by labels that mean nothing" in found.findings[0]


def test_rows_in_the_order_of_their_owners_are_caught(world: World) -> None:
    drug = column_of(world, "drug")

    def rename(account: str) -> str:
        head, _, tail = account.rpartition(":0x")
        return f"{head}:0x{'4' if drug[account] else 'c'}{tail[1:]}"

    names = {account: rename(account) for account in world.frames[0].accounts}
    frames = []
    for frame in world.frames:
        order = sorted(range(len(frame.accounts)), key=lambda i: names[frame.accounts[i]])
        frames.append(
            FeatureFrame(
                frame.as_of,
                tuple(names[frame.accounts[i]] for i in order),
                np.arange(len(order)),
                frame.seeded[order],
                NAMES,
                np.ascontiguousarray(frame.values[order]),
            )
        )
    accounts = [names[account] for account in world.targets["account"].to_pylist()]
    ordered = World(tuple(frames), with_column(world.targets, "account", accounts))
    found = check_time_only(make_evidence(ordered))
    assert "the order of the rows ranks owners" in found.findings[0]


def test_without_a_ledger_the_audit_says_what_it_could_not_ask(world: World) -> None:
    evidence = replace(make_evidence(world), rebuild=None)
    assert check_look_ahead(evidence).skipped == "there is no ledger to build the frames from again"
    assert "not built again" in check_own_labels(evidence).said


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_town(tmp_path_factory.mktemp("town"))


def test_a_ledger_is_audited_by_building_it_again(town: Path) -> None:
    """Real builds: the honest frames pass; one of a later moment, and one with a label too early, do not."""
    prepared = prepare(town, threads=1)
    rebuild = rebuild_from(town, prepared, threads=1)
    frame = prepared.test
    evidence = Evidence((frame,), prepared.targets, prepared.folds, frame.names, rebuild)
    assert check_look_ahead(evidence).findings == ()
    assert check_own_labels(evidence).findings == ()
    assert not list(town.parent.glob(".audit-*"))
    later = build_frame(town, frame.as_of + 5 * DAY, threads=1)
    shared = [i for i, account in enumerate(later.accounts) if account in set(frame.accounts)]
    ahead = replace(frame, values=np.ascontiguousarray(later.values[shared]))
    (finding,) = check_look_ahead(replace(evidence, frames=(ahead,))).findings
    assert "transfers_in" in finding


def test_an_exposure_to_an_own_label_is_caught_in_a_ledger(tmp_path: Path) -> None:
    """One drug owner is public from the first day, but its targets hide it: its label marks its own money."""
    ledger = make_town(tmp_path)
    owner, vendor = "owner000", f"{BANK}:owner000-0"
    import_payments(
        ledger,
        [(f"2023-02-{day:02}T20:00:00", f"{owner}-0", f"{owner}-1", "50.00") for day in range(1, 20)],
        name="own.csv",
    )
    import_claims(ledger, [(vendor, "drug_vendor", "0.9", "2023-01-02T00:00:00")], name="own-label.csv")
    prepared = prepare(ledger, threads=1)
    frame, other = prepared.train[0], f"{BANK}:owner000-1"
    assert other not in prepared.folds.train.accounts
    # As if the label were of the last day: the owner's other account becomes a row of training.
    late = prepared.test.as_of - 60 * DAY
    hidden = [
        late if account in {vendor, other} else at
        for account, at in zip(
            prepared.targets["account"].to_pylist(), prepared.targets["acted_at"].to_pylist(), strict=True
        )
    ]
    told = with_column(prepared.targets, "acted_at", hidden)
    folds = split_rows(prepared.train, prepared.valid, prepared.test, told)
    rows = [
        name for name, at in zip(folds.train.accounts, folds.train.as_of, strict=True) if at == frame.as_of
    ]
    assert other in rows
    evidence = Evidence((frame,), told, folds, frame.names, rebuild_from(ledger, prepared, threads=1))
    (finding,) = check_own_labels(evidence).findings
    assert "exposure_source_drug_direct_share" in finding
    assert other in finding
