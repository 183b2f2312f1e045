"""A tiny real world: files imported into a ledger, a model in its folder, a published snapshot."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from api.settings import Settings
from chains.address import encode_segwit, find_chain
from chains.files.layouts import PaymentMapping
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.status import write_status
from datasets.store import open_ledger
from features.catalogue import CATALOGUE, catalogue_hash
from models.behaviour import pack_behaviour
from models.calibrate import Calibration
from models.levels import Threshold, Thresholds
from models.publish import publish
from models.registry import Population, pack_files, save_model

BANK = "payments:mybank"
BITCOIN = "bip122:000000000019d6689c085ae165831e93"
MAPPING = PaymentMapping.parse(
    ["time=when", "payer=from", "payee=to", "amount=sum", "reference=ref", "currency=@USD"]
)
RECORDED = datetime.fromisoformat("2022-12-31T00:00:00")
AS_OF = datetime.fromisoformat("2023-02-01T00:00:00")

COINS = [encode_segwit("bc", 0, bytes([number] * 20)) for number in range(1, 5)]
"""Bitcoin addresses: the first two are spent together, the third receives, the fourth pays the first."""

LISTED = "0x00000000000000000000000000000000000a11ce"
LISTED_OTHER = "0x0000000000000000000000000000000000b0b000"
ON_POLYGON = "0x" + "c1" * 20
ON_BOTH = "0x" + "c2" * 20
LABELLED_ON_BASE = "0x" + "c3" * 20
HOSTILE = "</td>[bold red]paid\x1b[31m\x07\u202e\u2066dne\r\nrisk_level: LOW {{7*7}} \u200b 漢字" + "x" * 300

PAYMENTS = [
    ("market", "alice", "2000.00"),
    ("alice", "bob", "1200.00"),
    ("employer", "bob", "18000.00"),
    ("bob", "shop", "5.00"),
    ("employer", "carol", "50.00"),
    *[("employer", "dave", "300.00")] * 3,
    ("dave", "shop", "20.00"),
    *[("employer", "busy", "25.00")] * 12,
    *[("employer", "fan", "25.00")] * 12,
    ("alice", "fan", "5.00"),
    ("market", "dusted", "5.00"),
    ("employer", "buyer", "200.00"),
    ("buyer", "market", "200.00"),
    ("employer", "regular", "5000.00"),
    ("regular", "market", "5000.00"),
    ("employer", "backer", "20000.00"),
    ("backer", "market", "20000.00"),
    ("sender", "mallory", "70.00"),
    ("mallory", "shop", "10.00"),
    ("employer", "quiet", "80.00"),
    ("quiet", "shop", "15.00"),
    ("employer", "50% of/it: ünïcode", "9.00"),
]
LABELS = [
    (f"{BANK}:market", "darknet_market", "Market One", "escrow", "0.9"),
    (f"{BANK}:mallory", "scam", HOSTILE, HOSTILE, "0.8"),
    (f"{BANK}:dave", "drug_vendor", "", "rumour", "0.2"),
    (f"{BITCOIN}:{COINS[0]}", "drug_vendor", "Vendor One", "listing", "0.9"),
    (f"eip155:1:{LISTED}", "drug_trafficking", "Cartel One", "wallet", "1.0"),
    (f"eip155:8453:{LABELLED_ON_BASE}", "charity", "Charity One", "wallet", "1.0"),
    (f"eip155:1:{LISTED_OTHER}", "exchange", "Exchange One", "wallet", "1.0"),
]


def make_world(folder: Path, *, model: Population | None = None, attainable: bool = True) -> Settings:
    """Import, label, and publish under `folder`, with a model of that population or with none."""
    settings = Settings(dir=folder)
    folder.mkdir(parents=True, exist_ok=True)
    payments = _write_csv(folder / "payments.csv", _HEADER, _payment_rows())
    labels = _write_csv(
        folder / "labels.csv",
        [
            "account",
            "category",
            "entity",
            "name",
            "source",
            "reference",
            "confidence",
            "published_at",
            "licence",
        ],
        [[*row[:4], "casework", "case 1", row[4], "2022-12-01", "own"] for row in LABELS],
    )
    blocks = folder / "blocks.parquet"
    pq.write_table(pa.Table.from_pylist(_blocks(), schema=_BLOCKS), blocks)
    with open_ledger(settings.ledger, write=True) as ledger:
        for layout, path, chain, mapping in (
            ("payments", payments, BANK, MAPPING),
            ("payments", _write_evm(folder / "polygon.csv", ON_POLYGON, ON_BOTH), "polygon", MAPPING),
            ("payments", _write_evm(folder / "ethereum.csv", ON_BOTH, LISTED_OTHER), "ethereum", MAPPING),
            ("bitcoin-etl", blocks, "bitcoin", None),
        ):
            import_file(ledger, layout, path, chain=find_chain(chain), mapping=mapping, code_version="test")
        done = import_labels(ledger, "csv", labels, recorded_at=RECORDED)
        assert done.rejected == []
        # As a sanctions list would say it: the CSV kind has no programmes.
        for entity, programme in (("Cartel One", "SDNTK"), ("Exchange One", "RUSSIA-EO14024")):
            ledger.connection.execute(
                "UPDATE label SET programmes = [$1], listed_at = DATE '2022-04-05' WHERE entity = $2",
                [programme, entity],
            )
        write_status(ledger)
    if model is not None:
        save_counting_model(settings.models, model, attainable=attainable)
    publish(settings.ledger, folder, as_of=AS_OF, code_version="test", threads=1)
    return settings


def save_counting_model(folder: Path, population: Population, *, attainable: bool = True) -> None:
    """Save a model whose score rises with the number of receipts: above 2 MEDIUM, above 10 HIGH."""
    names = tuple(feature.name for feature in CATALOGUE)
    column = names.index("transfers_in")
    values = np.zeros((600, len(names)))
    values[:, column] = np.arange(600) % 20
    target = (values[:, column] > 10) * 2.0 + (values[:, column] > 2) * 1.0
    booster = lgb.train(
        {"objective": "regression", "verbosity": -1, "num_threads": 1, "seed": 1, "min_data_in_leaf": 5},
        lgb.Dataset(values, target),
        num_boost_round=60,
    )
    why = None if attainable else "not attainable: a bound of 5% needs 19 licit owners, and there are 3"
    levels = [
        Threshold(name, alpha, value if attainable else None, 400, why, 400, 3)
        for name, alpha, value in (("MEDIUM", 0.05, 0.5), ("HIGH", 0.01, 2.5))
    ]
    save_model(
        folder,
        pack_files(
            trees=booster.model_to_string(),
            names=names,
            catalogue_hash=catalogue_hash(),
            calibration=Calibration(slope=1.0, intercept=0.0, fold_prevalence=0.01, prevalence=0.01),
            thresholds=Thresholds(*levels),
            population=population,
            splits={},
            metrics={},
            card={"metrics": {"scores": {"model": {"pr_auc": 0.9, "roc_auc": 0.95, "recall": 0.5}}}},
            card_text="A model that counts receipts.\n",
            behaviour=pack_behaviour(
                booster.model_to_string(), names, Calibration(1.0, 0.0, fold_prevalence=0.01, prevalence=0.01)
            ),
        ),
    )


_HEADER = ["when", "from", "to", "sum", "ref"]


def _payment_rows() -> list[list[str]]:
    return [
        [f"2023-01-{2 + number // 2:02}T{10 + number % 2}:00:00Z", payer, payee, amount, f"p{number}"]
        for number, (payer, payee, amount) in enumerate(PAYMENTS)
    ]


def _write_evm(path: Path, payer: str, payee: str) -> Path:
    return _write_csv(path, _HEADER, [["2023-01-05T10:00:00Z", payer, payee, "5.00", "e1"]])


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


_SIDE = pa.struct([("index", pa.int64()), ("addresses", pa.list_(pa.string())), ("value", pa.int64())])
_INPUT = pa.struct([*_SIDE, ("spent_transaction_hash", pa.string()), ("spent_output_index", pa.int64())])
_BLOCKS = pa.schema(
    [
        ("hash", pa.string()),
        ("block_hash", pa.string()),
        ("block_number", pa.int64()),
        ("block_timestamp", pa.int64()),
        ("index", pa.int64()),
        ("is_coinbase", pa.bool_()),
        ("inputs", pa.list_(_INPUT)),
        ("outputs", pa.list_(_SIDE)),
    ]
)


def _blocks() -> list[dict[str, object]]:
    """Three coinbases, one spend of two of them together, and one of the third."""
    rows: list[dict[str, object]] = []
    for height, coin in enumerate((COINS[0], COINS[1], COINS[3])):
        rows.append(_transaction(height, [], [_output(coin, 50_000)]))
    spent = [
        {
            **_output(COINS[number], 50_000),
            "index": number,
            "spent_transaction_hash": f"{number + 1:064x}",
            "spent_output_index": 0,
        }
        for number in (0, 1)
    ]
    rows.append(_transaction(3, spent, [_output(COINS[2], 99_000)]))
    mined = {**_output(COINS[3], 50_000), "spent_transaction_hash": f"{3:064x}", "spent_output_index": 0}
    rows.append(_transaction(4, [mined], [_output(COINS[0], 49_000)]))
    return rows


def _output(address: str, value: int) -> dict[str, object]:
    return {"index": 0, "addresses": [address], "value": value}


def _transaction(height: int, inputs: Sequence[object], outputs: Sequence[object]) -> dict[str, object]:
    return {
        "hash": f"{height + 1:064x}",
        "block_hash": f"{height + 1001:064x}",
        "block_number": height,
        "block_timestamp": 1_673_000_000 + 600 * height,
        "index": 0,
        "is_coinbase": not inputs,
        "inputs": inputs,
        "outputs": outputs,
    }
