"""Examples of requests, answers and errors for OpenAPI; all of them are invented."""

from typing import Any

from api.screening import NOTICE

_TIME = "2024-01-01T00:00:00Z"
_UTXO = "bip122:73696d756c6174656400000000000000"
_ACCOUNT = f"{_UTXO}:sim1qqypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5xcuj"
_MARKET = f"{_UTXO}:sim1q9q5j52ev95hz7vp3xgengdfkxuurjw3mhy4xhm"

REQUESTS: list[dict[str, Any]] = [
    {"address": _ACCOUNT},
    {"address": "0x00000000000000000000000000000000000000a1", "chain": "ethereum"},
]

_SUBJECT = {
    "account_id": _ACCOUNT,
    "address": _ACCOUNT.rpartition(":")[2],
    "chain": "simulated-utxo",
    "entity_id": _ACCOUNT,
    "entity_addresses": 3,
    "deposit_of": None,
    "in_ledger": True,
    "also_on": [],
}
_AS_OF = {"height": 4380, "time": _TIME}
_COVERAGE = {"heights": {"first": 0, "last": 4380}, "history_share": 1.0, "staleness_seconds": 5400}
_LABEL = {
    "account_id": _MARKET,
    "category": "darknet_market",
    "name": "withdrawal address",
    "entity": "market-1",
    "source": "casework",
    "reference": "case 17",
    "confidence": 0.9,
    "published_at": "2023-03-02T00:00:00Z",
    "recorded_at": "2023-03-05T08:00:00Z",
    "licence": "own",
    "may_export": False,
    "cluster_definer": False,
}
_CONTRIBUTIONS = {
    "source": [
        {
            "category": "darknet_market",
            "name": "darknet market",
            "exposure_type": "DIRECT",
            "value": 1.25,
            "symbol": "SIM",
            "value_usd": 31250.0,
            "share": 0.42,
            "min_hops": 1,
            "label_source": None,
            "label_confidence": None,
            "largest": {
                "account_id": _MARKET,
                "time": "2023-11-02T10:04:12Z",
                "hash": "a3c1f0d2b4e5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff",
                "value": 0.75,
            },
        }
    ],
    "destination": [
        {
            "category": "exchange",
            "name": "exchange",
            "exposure_type": "INDIRECT",
            "value": 2.5,
            "symbol": "SIM",
            "value_usd": 62500.0,
            "share": 0.9,
            "min_hops": 2,
            "label_source": None,
            "label_confidence": None,
            "largest": None,
        }
    ],
}
_UNATTRIBUTED = {
    "share": 0.08,
    "destination_share": 0.02,
    "reasons": [
        {
            "id": "history_not_in_ledger",
            "direction": "source",
            "share": 0.08,
            "text": "spent before the ledger saw it received",
        },
        {
            "id": "still_held",
            "direction": "destination",
            "share": 0.02,
            "text": "still held by those it reached",
        },
    ],
}

SCREENING: dict[str, Any] = {
    "screening_id": "s-5b0a4d2f5b3f4a0f9c7be2c1f3f8a6d1",
    "subject": _SUBJECT,
    "as_of": _AS_OF,
    "coverage": _COVERAGE,
    "versions": {
        "snapshot": "20240101T000000Z-3f9a11c0de42",
        "model": "m-0c1d2e3f4a5b",
        "labels": "9b1d…",
        "code": "0.1.0",
    },
    "trained_on": {"simulated": True, "chains": [_UTXO, "eip155:78284"]},
    "risk_level": "HIGH",
    "decided_by": "rule",
    "findings": [
        {
            "id": "drug_source_direct_high",
            "risk_level": "HIGH",
            "decided_by": "rule",
            "text": "42.0% of what it received, 31,250 USD, came directly from the drug trade "
            "(HIGH from 10% and 1,000 USD)",
        },
        {
            "id": "model_medium",
            "risk_level": "MEDIUM",
            "decided_by": "model",
            "text": "the model's score of 88 of 100 is where at most 5% of licit owners are expected",
        },
    ],
    "risk_score": 88,
    "probability": {"value": 0.07, "assumed_prevalence": 0.01},
    "drug_evidence": {
        "found": True,
        "source_share": 0.42,
        "source_direct_share": 0.42,
        "destination_share": 0.0,
        "destination_direct_share": 0.0,
        "labels": [],
    },
    "laundering_behaviour": {
        "score": 71,
        "reasons": [
            {
                "feature": "transfers_in",
                "value": 38.0,
                "contribution": 0.6,
                "text": "received 38 transfers",
            }
        ],
    },
    "sanctions": [],
    "labels": [],
    "entity_labels": [],
    "contributions": _CONTRIBUTIONS,
    "unattributed": _UNATTRIBUTED,
    "indicators": [
        {
            "id": "rapid_pass_through",
            "name": "Rapid pass-through",
            "hypothesis": False,
            "weak": True,
            "strength": 0.57,
            "text": "passed what came in on within 1 day, 4 times, 61,300 USD in all, "
            "usually after 6.5 hours",
            "evidence": [
                {
                    "time": "2023-11-02T10:04:12Z",
                    "hash": "a3c1f0d2b4e5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff",
                    "value": 0.62,
                    "symbol": "SIM",
                    "value_usd": 15500.0,
                }
            ],
            "evidence_count": 8,
        }
    ],
    "reasons": [
        {
            "feature": "exposure_source_drug_share",
            "value": 0.42,
            "contribution": 1.9,
            "text": "42 % of what it received is traced to addresses labelled as drug trade, directly or "
            "through others",
        }
    ],
    "unknown_reasons": [],
    "cautions": [
        {"id": "simulated", "text": "this chain is simulated: nothing here is about a real person"},
        {
            "id": "no_sanctions_match",
            "text": "no match on the sanctions lists imported here (OFAC as of 2023-12-20) is no clearance",
        },
    ],
    "notice": NOTICE,
}

ADDRESS: dict[str, Any] = {
    "subject": _SUBJECT,
    "as_of": _AS_OF,
    "coverage": _COVERAGE,
    "versions": {"snapshot": "20240101T000000Z-3f9a11c0de42", "labels": "9b1d…", "code": "0.1.0"},
    "summary": {
        "first_seen": "2023-02-11T09:12:44Z",
        "last_seen": "2023-12-30T21:40:03Z",
        "transfers_in": 14,
        "transfers_out": 6,
        "received": 2.98,
        "sent": 2.92,
        "received_usd": 74500.0,
        "sent_usd": 73000.0,
        "asset": f"{_UTXO}/slip44:1",
        "symbol": "SIM",
        "assets": 1,
        "counterparties": 9,
        "height": 4368,
    },
    "sanctions": [],
    "labels": [],
    "entity_labels": [_LABEL],
    "contributions": _CONTRIBUTIONS,
    "unattributed": _UNATTRIBUTED,
    "transfers": [
        {
            "time": "2023-12-30T21:40:03Z",
            "hash": "6f1c0d5e8a7b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d",
            "direction": "in",
            "value": 0.21,
            "symbol": "SIM",
            "value_usd": 5250.0,
            "counterparty": _MARKET,
            "counterparties": 1,
        }
    ],
}

READY: dict[str, Any] = {
    "ready": True,
    "snapshot": "20240101T000000Z-3f9a11c0de42",
    "as_of": _TIME,
    "model": "m-0c1d2e3f4a5b",
    "problems": [],
}


def _error(status: int, error: str, message: str) -> dict[str, Any]:
    return {
        "timestamp": "2024-06-04T12:00:00Z",
        "path": "/v1/screenings",
        "status": status,
        "error": error,
        "message": message,
        "request_id": "f4a1c2d3e4b5968778695a4b3c2d1e0f",
    }


ERRORS: dict[int, dict[str, Any]] = {
    401: _error(
        401, "key_missing", "give an API key in the header X-API-Key; `silkscreen keys create` makes one"
    ),
    403: _error(403, "key_refused", "this API key is refused: it was revoked at 2024-06-01T00:00:00Z"),
    404: _error(404, "not_found", "there is nothing at this path: /openapi.json lists what there is"),
    405: _error(
        405, "method_not_allowed", "this method is not allowed here: the header Allow lists those that are"
    ),
    413: _error(413, "body_too_large", "the body is larger than 65536 bytes"),
    415: _error(415, "unsupported_media_type", "send the body as Content-Type: application/json"),
    422: _error(422, "address_error", "'0x12' is not an address: it must be 0x and 40 hexadecimal digits"),
    500: _error(500, "internal_error", "this is a fault of the service; its log has the request id"),
    503: _error(
        503, "snapshot_missing", "there is no snapshot under var/snapshots: run `silkscreen build` first"
    ),
}

SHAPES: dict[str, list[dict[str, Any]]] = {
    "ScreeningRequest": REQUESTS,
    "ScreeningAnswer": [SCREENING],
    "AddressAnswer": [ADDRESS],
    "ErrorAnswer": list(ERRORS.values()),
    "Readiness": [READY],
    "Health": [{"status": "ok"}],
}
"""The examples of each shape of `api/schemas.py`."""
