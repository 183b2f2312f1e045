"""One answer about one address, from one snapshot and its model, for the service and the command line alike.

The level is the strongest of four: a sanctions match, a drug label, the exposure rules (`models/rules.py`),
and the model through its thresholds, where the address belongs to the population that the model speaks of.
The model reaches HIGH only together with exposure to the drug trade. Where nothing sets a level it is
UNKNOWN, and what is not known is enumerated.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chains.address import Account, candidate_accounts, find_chain, key_form, parse_account
from chains.errors import AddressError
from datasets.taxonomy import Taxonomy, load_taxonomy
from features.words.languages import ENGLISH, require_language
from models.rules import (
    MIN_HISTORY_SHARE,
    MIN_TRANSFERS,
    MODEL_DRUG_SHARE,
    DecidedBy,
    Finding,
    Level,
    drug_share,
    group_of,
    judge_exposures,
    judge_labels,
    judge_sanctions,
    lacks_prices,
    strongest,
)

if TYPE_CHECKING:
    from datasets.snapshot import Deposit, ExposureLine, IndicatorLine, LabelLine, Snapshot, Summary
    from models.explain import Reason
    from models.registry import Model

LOCAL = "local"
"""The caller of a screening that no API key asked for."""

SHOWN_SHARE = 0.0001
"""Exposure below a hundredth of a percent is not shown."""

UNKNOWN_ORIGIN_SHARE = 0.05
"""From here on a reader is told how much was received from where the ledger does not reach."""

STALE_SECONDS = 7 * 86_400
"""A chain whose newest transfer is older than this at the moment of the answer is called stale."""

NOTICE = (
    "A score never decides alone. This answer is an indication for a person to examine, from what the ledger "
    "held at the time given; it is no proof, and it can be explained and contested. A sanctions match is to "
    "be acted on by itself, whatever the level; that nothing was found clears nobody."
)


@dataclass(frozen=True)
class Remark:
    """Something a reader must know, beside the level: `id` is stable and for code, `text` is for a person."""

    id: str
    text: str


@dataclass(frozen=True)
class Probability:
    """The probability (0 to 1) of drug-related laundering, were `assumed_prevalence` of all owners in it."""

    value: float
    assumed_prevalence: float


@dataclass(frozen=True)
class DrugEvidence:
    """What ties the address to the drug trade in particular: shares (0 to 1) of value, and labels."""

    found: bool
    source_share: float
    source_direct_share: float
    destination_share: float
    destination_direct_share: float
    labels: tuple["LabelLine", ...]


@dataclass(frozen=True)
class LaunderingBehaviour:
    """How much the address acts like those in any crime, whatever its money's source; it sets no level.

    `score` is 0 to 100, as the risk score is.
    """

    score: int
    reasons: tuple["Reason", ...]


@dataclass(frozen=True)
class Scored:
    """What the model says of an address, whether or not it may set a level there."""

    risk_score: int
    level: Level | None
    rank: str
    """Where the score stands among licit owners, in words."""
    fits: bool
    probability: Probability | None
    reasons: tuple["Reason", ...]
    behaviour: LaunderingBehaviour | None


@dataclass(frozen=True)
class Screening:
    """One answer. Shares are 0 to 1, times naive UTC; None is what is not known."""

    screening_id: str
    account: Account
    entity: str | None
    entity_size: int | None
    deposit_of: "Deposit | None"
    in_ledger: bool
    snapshot: str
    as_of: datetime
    height: int | None
    heights: dict[str, int | None] | None
    history_share: float | None
    staleness_seconds: int | None
    model: str | None
    labels_hash: str | None
    code: str | None
    trained_on: tuple[bool, tuple[str, ...]] | None
    risk_level: Level
    decided_by: DecidedBy
    findings: tuple[Finding, ...]
    risk_score: int | None
    probability: Probability | None
    drug_evidence: DrugEvidence
    laundering_behaviour: LaunderingBehaviour | None
    sanctions: tuple["LabelLine", ...]
    labels: tuple["LabelLine", ...]
    entity_labels: tuple["LabelLine", ...]
    exposures: tuple["ExposureLine", ...]
    indicators: tuple["IndicatorLine", ...]
    summary: "Summary | None"
    reasons: tuple["Reason", ...]
    unknown_reasons: tuple[Remark, ...]
    cautions: tuple[Remark, ...]
    also_on: tuple[str, ...]


def screen(
    text: str,
    snapshot: "Snapshot",
    model: "Model | None",
    *,
    chain: str | None = None,
    caller: str = LOCAL,
    language: str = ENGLISH,
) -> Screening:
    """Screen the address `text`: a CAIP-10 id, or a bare address with or without `chain`.

    `model` is the one that the snapshot was scored with, or None. The texts of its reasons are in `language`.
    The same snapshot, account and caller give the same answer under the same id. Raises AddressError,
    UnknownChain and AmbiguousAddress, and InputError for a language without words.
    """
    require_language(language)
    account = resolve_account(text, snapshot, chain=chain)
    taxonomy = load_taxonomy()
    caip10, key = account.caip10, key_form(account.address)
    row = snapshot.find(caip10)
    sanctions = snapshot.sanctions(key)
    labels = snapshot.labels(caip10)
    entity_labels = () if row is None else snapshot.entity_labels(row)
    exposures = () if row is None else snapshot.exposures(row)
    summary = None if row is None else snapshot.summary(row)
    coverage = {} if row is None else snapshot.coverage(row)
    evidence = gather_evidence(exposures, (*labels, *entity_labels), sanctions, taxonomy)
    scored = None if row is None else _score(account, row, snapshot, model, language)

    unknown = _list_unknown(account, summary, coverage.get("history_share"), model, scored)
    if lacks_prices(exposures, taxonomy):
        text = "what it sent to the drug trade has no price: no rule can tell a small buyer from a business"
        unknown.append(Remark("value_not_known", text))
    findings = [
        *judge_sanctions(sanctions, taxonomy, asked=caip10),
        *judge_labels(labels, entity_labels, taxonomy),
        *judge_exposures(exposures, taxonomy),
    ]
    cautions: list[Remark] = []
    findings += _judge_model(scored, evidence, unknown, cautions)
    decisive = strongest(findings)
    also_on = tuple(other for other in snapshot.accounts_on_any_chain(key) if other != caip10)
    screened = Screening(
        screening_id=screening_id(snapshot.id, caip10, caller),
        account=account,
        entity=None if row is None else snapshot.entity(row),
        entity_size=None if row is None else snapshot.entity_size(row),
        deposit_of=None if row is None else snapshot.deposit_of(row),
        in_ledger=row is not None,
        snapshot=snapshot.id,
        as_of=snapshot.as_of,
        height=ledger_height(snapshot, account.chain.caip2),
        heights=coverage.get("heights"),
        history_share=coverage.get("history_share"),
        staleness_seconds=coverage.get("staleness_seconds"),
        model=None if model is None else model.version,
        labels_hash=snapshot.manifest.get("label_hash"),
        code=snapshot.manifest.get("code_version"),
        trained_on=None if model is None else (model.population.simulated, model.population.chains),
        risk_level=decisive.level if decisive else Level.UNKNOWN,
        decided_by=decisive.decided_by if decisive else "none",
        findings=tuple(findings),
        risk_score=None if scored is None else scored.risk_score,
        probability=None if scored is None else scored.probability,
        drug_evidence=evidence,
        laundering_behaviour=None if scored is None else scored.behaviour,
        sanctions=sanctions,
        labels=labels,
        entity_labels=entity_labels,
        exposures=tuple(line for line in exposures if line.share >= SHOWN_SHARE),
        indicators=() if row is None else snapshot.indicators(row),
        summary=summary,
        reasons=() if scored is None else scored.reasons,
        unknown_reasons=tuple(unknown),
        cautions=tuple(cautions),
        also_on=also_on,
    )
    fits = scored is not None and scored.fits
    lists = snapshot.manifest.get("sanctions_lists", [])
    return replace(screened, cautions=(*cautions, *_list_cautions(screened, lists=lists, fits=fits)))


def resolve_account(text: str, snapshot: "Snapshot", *, chain: str | None = None) -> Account:
    """Return what `text` means: its first reading in the ledger, else the first with a label, else the first.

    Raises AddressError, UnknownChain and AmbiguousAddress.
    """
    text = text.strip()
    if chain is not None:
        return parse_account(text, find_chain(chain))
    try:
        readings = candidate_accounts(text)
    except AddressError:
        # What has the form of no chain may stand on a list all the same, as that list writes it.
        listed = snapshot.sanctions(key_form(text))
        if not listed:
            raise
        return parse_account(listed[0].account)
    for known in (snapshot.find, lambda caip10: snapshot.labels(caip10) or None):
        for reading in readings:
            if known(reading.caip10) is not None:
                return reading
    return readings[0]


def screening_id(snapshot_id: str, caip10: str, caller: str) -> str:
    """Return the id of an answer: asking twice gives the same one."""
    content = "\n".join((snapshot_id, caip10, caller))
    return "s-" + hashlib.sha256(content.encode()).hexdigest()[:32]


def ledger_height(snapshot: "Snapshot", caip2: str) -> int | None:
    """Return the highest block of a chain that the ledger held; None without heights."""
    head = snapshot.manifest["heads"].get(caip2, {})
    height = head.get("height")
    return None if height is None else int(height)


def gather_evidence(
    exposures: "tuple[ExposureLine, ...]",
    labels: "tuple[LabelLine, ...]",
    sanctions: "tuple[LabelLine, ...]",
    taxonomy: Taxonomy,
) -> DrugEvidence:
    """Return what ties an address to the drug trade, apart from any score."""
    drug_labels = tuple(label for label in labels if group_of(label.category, taxonomy) == "drug")
    drug_sanction = any(finding.id == "sanctioned_drug" for finding in judge_sanctions(sanctions, taxonomy))
    source = drug_share(exposures, "source", taxonomy)
    destination = drug_share(exposures, "destination", taxonomy)
    return DrugEvidence(
        found=bool(drug_labels) or drug_sanction or source > 0 or destination > 0,
        source_share=source,
        source_direct_share=drug_share(exposures, "source", taxonomy, direct=True),
        destination_share=destination,
        destination_direct_share=drug_share(exposures, "destination", taxonomy, direct=True),
        labels=drug_labels,
    )


def _score(
    account: Account, row: int, snapshot: "Snapshot", model: "Model | None", language: str
) -> Scored | None:
    log_odds = snapshot.log_odds(row)
    if model is None or log_odds is None:
        return None
    import numpy as np

    from models.explain import explain, explain_behaviour

    model.require(snapshot.feature_names)
    fits = model.population.fits(account.chain.caip2, simulated=account.chain.simulated)
    level = model.thresholds.level(log_odds)
    value = float(model.probability(np.asarray([log_odds]))[0])
    features = snapshot.features(row)
    behaviour = explain_behaviour(model, features, language=language)
    return Scored(
        risk_score=model.score(log_odds),
        level=None if level is None else Level(level),
        rank=_rank(level, model),
        fits=fits,
        probability=Probability(value, model.calibration.prevalence) if fits else None,
        reasons=tuple(explain(model, features, language=language)),
        behaviour=None if behaviour is None else LaunderingBehaviour(behaviour[0], tuple(behaviour[1])),
    )


def _rank(level: str | None, model: "Model") -> str:
    """Return what a score of `level` means among licit owners: the bound holds for owners like those seen."""
    if level in ("HIGH", "MEDIUM"):
        threshold = model.thresholds.high if level == "HIGH" else model.thresholds.medium
        return f"where at most {threshold.alpha:.0%} of licit owners are expected"
    return "below every threshold"


def _list_unknown(
    account: Account,
    summary: "Summary | None",
    history_share: float | None,
    model: "Model | None",
    scored: Scored | None,
) -> list[Remark]:
    """Return what is not known, whoever decides the level."""
    unknown = []
    if summary is None:
        text = "no transfer of this address is in the ledger: nothing is known of what it did"
        unknown.append(Remark("not_in_ledger", text))
    if model is None:
        unknown.append(Remark("no_model", "the snapshot was published without a model: nothing is scored"))
    elif not model.population.fits(account.chain.caip2, simulated=account.chain.simulated):
        world = "the simulated world" if model.population.simulated else ", ".join(model.population.chains)
        text = f"the model was trained on {world}: on {account.chain.name} it ranks, but sets no level"
        unknown.append(Remark("model_not_valid_for_chain", text))
    elif scored is not None and scored.level is None:
        why = model.thresholds.medium.why or "too few licit owners"
        unknown.append(Remark("thresholds_not_attainable", f"the model has no thresholds: {why}"))
    thin = []
    if summary is not None and (count := summary.transfers_in + summary.transfers_out) < MIN_TRANSFERS:
        thin.append(f"{count} transfer{'' if count == 1 else 's'}")
    if history_share is not None and history_share < MIN_HISTORY_SHARE:
        thin.append(f"the receipt of {history_share:.0%} of what it spent")
    if thin:
        text = f"the ledger holds only {' and '.join(thin)}: too little to call it LOW"
        unknown.append(Remark("too_little_history", text))
    return unknown


def _judge_model(
    scored: Scored | None, evidence: DrugEvidence, unknown: list[Remark], cautions: list[Remark]
) -> list[Finding]:
    """Return the model's finding, where it may have one."""
    if scored is None or scored.level is None or not scored.fits:
        return []
    level = scored.level
    drugs = max(evidence.source_share, evidence.destination_share)
    if level is Level.HIGH and drugs < MODEL_DRUG_SHARE:
        level = Level.MEDIUM
        text = f"the model says HIGH; with under {MODEL_DRUG_SHARE:.0%} from or to drugs it reaches MEDIUM"
        cautions.append(Remark("no_drug_evidence", text))
    if level is Level.LOW and any(remark.id == "too_little_history" for remark in unknown):
        return []
    text = f"the model's score of {scored.risk_score} of 100 is {scored.rank}"
    return [Finding(f"model_{level.lower()}", level, "model", text)]


def _list_cautions(screened: Screening, *, lists: list[dict[str, Any]], fits: bool) -> list[Remark]:
    """Return what a reader may not conclude."""
    cautions = []
    if screened.account.chain.simulated:
        cautions.append(Remark("simulated", "this chain is simulated: nothing here is about a real person"))
    if screened.risk_score is not None and not fits:
        text = "the score only ranks addresses of this snapshot: it is no probability here"
        cautions.append(Remark("score_sets_no_level", text))
    if not lists:
        text = "no sanctions list has been imported: nothing was checked against one"
        cautions.append(Remark("no_sanctions_list", text))
    elif not screened.sanctions:
        known = "; ".join(f"{one['source']} as of {str(one['newest_entry'])[:10]}" for one in lists)
        text = f"no match on the sanctions lists imported here ({known}) is no clearance"
        cautions.append(Remark("no_sanctions_match", text))
    share = share_not_known(screened.exposures)
    if share >= UNKNOWN_ORIGIN_SHARE:
        text = f"where {share:.1%} of what it received came from is not known"
        cautions.append(Remark("origin_not_known", text))
    if screened.in_ledger and screened.history_share is None:
        text = "how much of its history the ledger holds is not known"
        cautions.append(Remark("history_share_not_known", text))
    if screened.staleness_seconds is not None and screened.staleness_seconds >= STALE_SECONDS:
        days = screened.staleness_seconds // 86_400
        text = f"the newest transfer of this chain in the ledger is {days:,} days old"
        cautions.append(Remark("stale", text))
    if screened.also_on:
        text = f"the same key is also in the ledger on {', '.join(screened.also_on)}: screen it there too"
        cautions.append(Remark("same_key_elsewhere", text))
    return cautions


def share_not_known(exposures: "tuple[ExposureLine, ...]") -> float:
    """Return the share (0 to 1) of what was received before which the ledger saw nothing."""
    return math.fsum(
        line.share
        for line in exposures
        if line.direction == "source"
        and (line.category.startswith("unattributed") or line.category == "unknown_service")
        and line.category != "unattributed:minted"
    )
