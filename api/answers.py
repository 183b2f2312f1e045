"""The answers as bytes: compact JSON, times in ISO 8601 with Z, ending in a line break.

The service and `--json` both send these bytes.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import orjson

from api.screening import NOTICE, Remark, Screening
from datasets.taxonomy import load_taxonomy
from features.indicators.catalogue import find_indicator
from models.rules import category_name

if TYPE_CHECKING:
    from datasets.snapshot import (
        Deposit,
        ExposureLine,
        IndicatorLine,
        LabelLine,
        Origin,
        Summary,
        TransferLine,
    )
    from models.explain import Reason

UNKNOWN_SERVICE = "unknown_service"
UNATTRIBUTED = {
    "history_not_in_ledger": "spent before the ledger saw it received",
    "minted": "newly made by the chain or the issuer",
    "still_held": "still held by those it reached",
    "fees": "paid as fees",
    "burned": "taken back by its issuer, or destroyed",
    UNKNOWN_SERVICE: "passed through an entity that behaves as a service and has no label",
}
"""Words for the reasons why value has no category; what is not here is shown by its id."""


def write_json(content: Any) -> bytes:
    """Return the one text of an answer: no spaces, in the order given, ending in a line break."""
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def answer_screening(screening: Screening) -> bytes:
    """Return the answer of `POST /v1/screenings`."""
    return write_json(describe_screening(screening))


def describe_screening(screening: Screening) -> dict[str, Any]:
    """Return the content of a screening's answer."""
    trained = screening.trained_on
    probability = screening.probability
    return {
        "screening_id": screening.screening_id,
        "subject": {
            "account_id": screening.account.caip10,
            "address": screening.account.shown,
            "chain": screening.account.chain.name,
            "entity_id": screening.entity,
            "entity_addresses": screening.entity_size,
            "deposit_of": _describe_deposit(screening.deposit_of),
            "in_ledger": screening.in_ledger,
            "also_on": list(screening.also_on),
        },
        "as_of": {"height": screening.height, "time": shown_time(screening.as_of)},
        "coverage": {
            "heights": screening.heights,
            "history_share": screening.history_share,
            "staleness_seconds": screening.staleness_seconds,
        },
        "versions": {
            "snapshot": screening.snapshot,
            "model": screening.model,
            "labels": screening.labels_hash,
            "code": screening.code,
        },
        "trained_on": None if trained is None else {"simulated": trained[0], "chains": list(trained[1])},
        "risk_level": screening.risk_level.value,
        "decided_by": screening.decided_by,
        "findings": [
            {"id": f.id, "risk_level": f.level.value, "decided_by": f.decided_by, "text": f.text}
            for f in screening.findings
        ],
        "risk_score": screening.risk_score,
        "probability": None
        if probability is None
        else {"value": probability.value, "assumed_prevalence": probability.assumed_prevalence},
        "drug_evidence": {
            "found": screening.drug_evidence.found,
            "source_share": screening.drug_evidence.source_share,
            "source_direct_share": screening.drug_evidence.source_direct_share,
            "destination_share": screening.drug_evidence.destination_share,
            "destination_direct_share": screening.drug_evidence.destination_direct_share,
            "labels": [describe_label(label) for label in screening.drug_evidence.labels],
        },
        "laundering_behaviour": None
        if screening.laundering_behaviour is None
        else {
            "score": screening.laundering_behaviour.score,
            "reasons": _describe_reasons(screening.laundering_behaviour.reasons),
        },
        "sanctions": [_describe_sanction(label) for label in screening.sanctions],
        "labels": [describe_label(label) for label in screening.labels],
        "entity_labels": [describe_label(label) for label in screening.entity_labels],
        "contributions": describe_contributions(screening.labels, screening.exposures, screening.summary),
        "unattributed": describe_unattributed(screening.exposures),
        "indicators": [describe_indicator(line) for line in screening.indicators],
        "reasons": _describe_reasons(screening.reasons),
        "unknown_reasons": _describe_remarks(screening.unknown_reasons),
        "cautions": _describe_remarks(screening.cautions),
        "notice": NOTICE,
    }


def _describe_deposit(deposit: "Deposit | None") -> dict[str, Any] | None:
    """Return whose deposit address the subject most likely is: a mark, no label."""
    if deposit is None:
        return None
    return {
        "account_id": deposit.service,
        "category": deposit.category,
        "confidence": deposit.confidence,
        "evidence": {"time": shown_time(deposit.time), "hash": deposit.hash or None},
    }


def describe_indicator(line: "IndicatorLine") -> dict[str, Any]:
    """Return the content of one indicator, with the transfers that show it."""
    indicator = find_indicator(line.id)
    return {
        "id": line.id,
        "name": indicator.name(),
        "hypothesis": indicator.hypothesis,
        "weak": indicator.weak,
        "strength": line.strength,
        "text": indicator.describe(line.values),
        "evidence": [
            {
                "time": shown_time(transfer.time),
                "hash": transfer.hash or None,
                "value": transfer.value,
                "symbol": transfer.symbol,
                "value_usd": transfer.value_usd,
            }
            for transfer in line.evidence
        ],
        "evidence_count": line.evidence_count,
    }


def describe_contributions(
    labels: "Iterable[LabelLine]", exposures: "Iterable[ExposureLine]", summary: "Summary | None"
) -> dict[str, list[dict[str, Any]]]:
    """Return what the value comes from and goes to: the address's own category first, then by share."""
    taxonomy = load_taxonomy()
    found: dict[str, list[dict[str, Any]]] = {"source": [], "destination": []}
    labels, exposures = tuple(labels), tuple(exposures)
    for direction, lines in found.items():
        whole = summary and (summary.received if direction == "source" else summary.sent)
        whole_usd = summary and (summary.received_usd if direction == "source" else summary.sent_usd)
        for label in labels:
            lines.append(
                {
                    "category": label.category,
                    "name": category_name(label.category, taxonomy),
                    "exposure_type": "OWNERSHIP",
                    "value": whole,
                    "symbol": summary and summary.symbol,
                    "value_usd": whole_usd,
                    "share": 1.0,
                    "min_hops": 0,
                    "label_source": label.source,
                    "label_confidence": label.confidence,
                    "largest": None,
                }
            )
        attributed = [e for e in exposures if e.direction == direction and not is_unattributed(e)]
        for line in sorted(attributed, key=lambda e: (-e.share, e.category, not e.direct)):
            lines.append(
                {
                    "category": line.category,
                    "name": category_name(line.category, taxonomy),
                    "exposure_type": "DIRECT" if line.direct else "INDIRECT",
                    "value": line.value,
                    "symbol": line.symbol,
                    "value_usd": line.value_usd,
                    "share": line.share,
                    "min_hops": line.min_hops,
                    "label_source": None,
                    "label_confidence": None,
                    "largest": None if line.origin is None else _describe_origin(line.origin),
                }
            )
    return found


def _describe_origin(origin: "Origin") -> dict[str, Any]:
    """Return the labelled payment that the largest part of a line came from, or arrived with."""
    return {
        "account_id": origin.account,
        "time": shown_time(origin.time),
        "hash": origin.hash or None,
        "value": origin.value,
    }


def describe_unattributed(exposures: "Iterable[ExposureLine]") -> dict[str, Any]:
    """Return how much of the value has no category, and why; `share` is that of what was received."""
    lines = sorted(
        (line for line in exposures if is_unattributed(line)),
        key=lambda line: (line.direction != "source", -line.share, line.category),
    )
    reasons = [
        {
            "id": reason_of(line),
            "direction": line.direction,
            "share": line.share,
            "text": UNATTRIBUTED.get(reason_of(line), reason_of(line)),
        }
        for line in lines
    ]
    shares = {
        side: math.fsum(line.share for line in lines if line.direction == side)
        for side in ("source", "destination")
    }
    return {"share": shares["source"], "destination_share": shares["destination"], "reasons": reasons}


def is_unattributed(line: "ExposureLine") -> bool:
    """Return whether a line of exposure has a reason in place of a category."""
    return line.category.startswith("unattributed") or line.category == UNKNOWN_SERVICE


def reason_of(line: "ExposureLine") -> str:
    """Return the id of the reason why the value of `line` has no category."""
    return line.category.partition(":")[2] or line.category


def describe_label(label: "LabelLine") -> dict[str, Any]:
    """Return the content of one label."""
    return {
        "account_id": label.account,
        "category": label.category,
        "name": label.name,
        "entity": label.entity,
        "source": label.source,
        "reference": label.reference,
        "confidence": label.confidence,
        "published_at": shown_time(label.published_at),
        "recorded_at": shown_time(label.recorded_at),
        "licence": label.licence,
        "may_export": label.may_export,
        "cluster_definer": label.cluster_definer,
    }


def describe_summary(summary: "Summary") -> dict[str, Any]:
    """Return the content of an address's totals."""
    return {
        "first_seen": shown_time(summary.first_seen),
        "last_seen": shown_time(summary.last_seen),
        "transfers_in": summary.transfers_in,
        "transfers_out": summary.transfers_out,
        "received": summary.received,
        "sent": summary.sent,
        "received_usd": summary.received_usd,
        "sent_usd": summary.sent_usd,
        "asset": summary.asset,
        "symbol": summary.symbol,
        "assets": summary.assets,
        "counterparties": summary.counterparties,
        "height": summary.height,
    }


def describe_transfer(transfer: "TransferLine") -> dict[str, Any]:
    """Return the content of one transfer as seen from the address."""
    return {
        "time": shown_time(transfer.time),
        "hash": transfer.hash or None,
        "direction": transfer.direction,
        "value": transfer.value,
        "symbol": transfer.symbol,
        "value_usd": transfer.value_usd,
        "counterparty": transfer.counterparty,
        "counterparties": transfer.counterparties,
    }


def describe_address(screening: Screening, transfers: "Iterable[TransferLine]") -> dict[str, Any]:
    """Return the content of `GET /v1/addresses/{account}`: facts only, no level."""
    whole = describe_screening(screening)
    kept = (
        "subject",
        "as_of",
        "coverage",
        "sanctions",
        "labels",
        "entity_labels",
        "contributions",
        "unattributed",
    )
    versions = {name: whole["versions"][name] for name in ("snapshot", "labels", "code")}
    return {
        **{name: whole[name] for name in kept},
        "versions": versions,
        "summary": None if screening.summary is None else describe_summary(screening.summary),
        "transfers": [describe_transfer(transfer) for transfer in transfers],
    }


def shown_time(moment: datetime | date | None) -> str | None:
    """Return a naive UTC time in ISO 8601 with Z, a day as it is."""
    if moment is None:
        return None
    return moment.isoformat() + "Z" if isinstance(moment, datetime) else moment.isoformat()


def _describe_sanction(label: "LabelLine") -> dict[str, Any]:
    return {
        "account_id": label.account,
        "programmes": list(label.programmes),
        "entity": label.entity,
        "name": label.name,
        "category": label.category,
        "source": label.source,
        "reference": label.reference,
        "listed_at": shown_time(label.listed_at),
        "recorded_at": shown_time(label.recorded_at),
    }


def _describe_reasons(reasons: Iterable["Reason"]) -> list[dict[str, Any]]:
    return [
        {"feature": r.feature, "value": r.value, "contribution": r.contribution, "text": r.text}
        for r in reasons
    ]


def _describe_remarks(remarks: Iterable[Remark]) -> list[dict[str, str]]:
    return [{"id": remark.id, "text": remark.text} for remark in remarks]
