"""The snapshot: an immutable, published bundle that the API serves from, and its reader.

A snapshot is a folder `snapshots/<id>/`. Nothing in it is ever changed: a new build makes a new
folder, and `snapshots/CURRENT` names the one in use. Numbers are read through memory maps, so opening
one costs nothing but the check of its hashes. docs/snapshot.md describes every file and column.

Rows are addresses in ascending order of their CAIP-10 text. Look-ups hash the text to 64 bits, search
the sorted index, and compare the full text, so that a collision can never answer for another address.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.errors import SnapshotDamaged, SnapshotMissing

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 2
SNAPSHOTS = "snapshots"
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
TRACING = "tracing"
"""Folder with the legs of every chain in causal order, one folder each."""

SOURCE, DESTINATION = 0, 1


@dataclass(frozen=True)
class Origin:
    """The labelled payment that gave the largest part along one path (of what was sent: where it arrived).

    `account` is the labelled address, `value` that part on arrival in whole units of the line's asset, to
    about seven digits.
    """

    account: str
    time: datetime
    hash: str
    value: float


@dataclass(frozen=True)
class ExposureLine:
    """How much of what an entity received (`source`) or sent (`destination`) belongs to a category.

    `value` is in whole units of `symbol`, `share` of all that it received (or sent), over all assets.
    """

    direction: str
    category: str
    direct: bool
    value: float
    symbol: str
    value_usd: float | None
    share: float
    min_hops: int
    origin: Origin | None = None


@dataclass(frozen=True)
class EvidenceLine:
    """One transfer that shows an indicator; `value` is all that it paid out, in whole units of `symbol`."""

    time: datetime
    hash: str
    value: float
    symbol: str
    value_usd: float | None


@dataclass(frozen=True)
class IndicatorLine:
    """A typology that an entity shows. `strength` is 0 to 1, `values` are what its sentence says.

    `evidence` are the most telling transfers in their order, of `evidence_count`.
    """

    id: str
    strength: float
    values: dict[str, Any]
    evidence: tuple[EvidenceLine, ...]
    evidence_count: int


@dataclass(frozen=True)
class LabelLine:
    """A claim about an address, with who makes it and when the world could know."""

    account: str
    category: str
    entity: str
    name: str
    source: str
    reference: str
    confidence: float
    published_at: datetime | None
    recorded_at: datetime
    licence: str
    may_export: bool
    cluster_definer: bool
    programmes: tuple[str, ...]
    listed_at: date | None


@dataclass(frozen=True)
class Deposit:
    """A mark: the address is most likely one that the custodial service `service` gave to one customer.

    `time` and `hash` are those of the first payment that shows it.
    """

    service: str
    category: str
    confidence: float
    time: datetime
    hash: str


@dataclass(frozen=True)
class Summary:
    """What the ledger holds of one address; amounts in whole units of the asset it moves most often."""

    first_seen: datetime
    last_seen: datetime
    transfers_in: int
    transfers_out: int
    received: float
    sent: float
    received_usd: float | None
    sent_usd: float | None
    asset: str
    symbol: str
    assets: int
    counterparties: int
    height: int | None


@dataclass(frozen=True)
class TransferLine:
    """One transfer of an address. `counterparty` is None where there are several or none."""

    time: datetime
    hash: str
    direction: str
    value: float
    symbol: str
    value_usd: float | None
    counterparty: str | None
    counterparties: int


def text_keys(texts: list[str]) -> NDArray[np.uint64]:
    """Return the 64-bit key of each text: the first eight bytes of its BLAKE2b, little-endian."""
    raw = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(raw, dtype="<u8")


def run_starts(owner: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the offsets of each owner's run in a column that is sorted by owner: length `count` + 1."""
    counts = np.bincount(owner.astype(np.int64), minlength=count)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.int64)


def current_snapshot(root: Path, *, verify: bool = True) -> "Snapshot":
    """Open the snapshot that `root/snapshots/CURRENT` names. Raises SnapshotMissing, SnapshotDamaged."""
    pointer = root / SNAPSHOTS / CURRENT
    if not pointer.is_file():
        raise SnapshotMissing(root / SNAPSHOTS)
    return open_snapshot(root / SNAPSHOTS / pointer.read_text(encoding="utf-8").strip(), verify=verify)


def open_snapshot(folder: Path, *, verify: bool = True) -> "Snapshot":
    """Open the snapshot in `folder`; with `verify`, compare the SHA-256 of every file with the manifest.

    Raises SnapshotMissing where there is none, SnapshotDamaged where a file is absent or altered.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise SnapshotMissing(folder)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["format"]
        recorded = manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotDamaged(folder, why=f"{MANIFEST} cannot be read: {error}") from error
    if found != FORMAT:
        raise SnapshotDamaged(
            folder,
            why=f"format {found}, and this version reads format {FORMAT}: run `silkscreen build` again",
        )
    if manifest_id(manifest) != manifest.get("id"):
        raise SnapshotDamaged(folder, why=f"{MANIFEST} does not have its recorded hash")
    for name, entry in recorded.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise SnapshotDamaged(folder, why=f"{name} is absent or cut short")
        if verify and file_sha256(file) != entry["sha256"]:
            raise SnapshotDamaged(folder, why=f"{name} does not have its recorded hash")
    return Snapshot(folder, manifest)


def manifest_id(manifest: dict[str, Any]) -> str:
    """Return the id that a manifest's content gives: its `as_of` and twelve digits of its SHA-256."""
    content = {key: value for key, value in manifest.items() if key != "id"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    moment = "".join(c for c in str(manifest["as_of"])[:19] if c.isdigit() or c == "T")
    return f"{moment}Z-{digest[:12]}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Snapshot:
    """One open snapshot. Rows are numbers of addresses; `find` turns a CAIP-10 text into one."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Map the files; use `open_snapshot`, which checks them first."""
        self.folder = folder
        self.manifest = manifest
        self.id: str = manifest["id"]
        self.as_of = datetime.fromisoformat(manifest["as_of"]).astimezone(UTC).replace(tzinfo=None)
        self.feature_names: tuple[str, ...] = tuple(manifest["feature_names"])
        self.model_folder = folder / "model" if manifest["model"] else None
        self._addresses = self._table("addresses")
        self._by_text = self._index("address_index")
        self._by_form = self._index("form_index")
        self._features = np.load(folder / "features.npy", mmap_mode="r")
        self._log_odds = np.load(folder / "log_odds.npy", mmap_mode="r") if manifest["model"] else None
        self._exposures = self._table("exposures")
        self._exposure_start = np.load(folder / "exposure_start.npy", mmap_mode="r")
        self._indicators = self._table("indicators")
        self._indicator_start = np.load(folder / "indicator_start.npy", mmap_mode="r")
        self._merges = self._table("merges")
        self._merge_start = np.load(folder / "merge_start.npy", mmap_mode="r")
        self._refused_merges = self._table("refused_merges")
        self._refused_merge_start = np.load(folder / "refused_merge_start.npy", mmap_mode="r")
        self._transfers = self._table("transfers")
        self._address_legs = self._table("address_legs")
        self._address_start = np.load(folder / "address_start.npy", mmap_mode="r")
        self._transfer_legs = self._table("transfer_legs")
        self._transfer_start = np.load(folder / "transfer_start.npy", mmap_mode="r")
        self._labels = self._table("labels")
        self._labels_by_text = self._index("label_index")
        self._labels_by_form = self._index("label_form_index")
        self._members = np.load(folder / "members.npy", mmap_mode="r")
        self._member_start = np.load(folder / "member_start.npy", mmap_mode="r")
        self._assets: list[dict[str, Any]] = manifest["assets"]

    def __len__(self) -> int:
        """Return the number of addresses."""
        return int(self._addresses.num_rows)

    def find(self, caip10: str) -> int | None:
        """Return the row of an address, or None where the ledger never saw it."""
        for row in _look_up(self._by_text, caip10):
            if self.account(row) == caip10:
                return row
        return None

    def account(self, row: int) -> str:
        """Return the CAIP-10 id of a row."""
        return str(self._addresses.column("account")[row].as_py())

    def accounts_on_any_chain(self, form: str) -> tuple[str, ...]:
        """Return every address, on whatever chain, whose key form is `form`, in order."""
        found = (row for row in _look_up(self._by_form, form) if self._cell("form", row) == form)
        return tuple(sorted(self.account(row) for row in found))

    def entity(self, row: int) -> str:
        """Return the public id of the row's entity: the CAIP-10 id of its earliest member."""
        return self.account(self._entity_row(row))

    def entity_size(self, row: int) -> int:
        """Return how many addresses the row's entity has in this snapshot."""
        entity = self._entity_row(row)
        return int(self._member_start[entity + 1] - self._member_start[entity])

    def entity_row(self, row: int) -> int:
        """Return the row of the earliest member of the row's entity."""
        return self._entity_row(row)

    def merges(self, row: int) -> tuple[tuple[int, int, int], ...]:
        """Return what the row's entity rests on: (address row, address row, transfer row), in their order."""
        entity = self._entity_row(row)
        start, end = int(self._merge_start[entity]), int(self._merge_start[entity + 1])
        part = self._merges.slice(start, end - start).to_pydict()
        return tuple(zip(part["address_a"], part["address_b"], part["transfer"], strict=True))

    def refused_merges(self, row: int) -> tuple[tuple[int, int, int, str, str], ...]:
        """Return the spends that would join the row's entity with another, were it not for labels.

        Each is (address row, address row, transfer row, owner of the one by its labels, of the other).
        """
        entity = self._entity_row(row)
        start, end = int(self._refused_merge_start[entity]), int(self._refused_merge_start[entity + 1])
        part = self._refused_merges.slice(start, end - start).to_pydict()
        return tuple(zip(*part.values(), strict=True)) if end > start else ()

    def features(self, row: int) -> NDArray[np.float64]:
        """Return the feature values of a row, in the order of `feature_names`; NaN where unknown."""
        return np.array(self._features[row], dtype=np.float64)

    def feature_matrix(self) -> NDArray[np.float64]:
        """Return all feature values, memory-mapped: [rows, features]."""
        return self._features  # type: ignore[no-any-return]

    def log_odds(self, row: int) -> float | None:
        """Return the model's calibrated log-odds of a row, or None where the snapshot has no model."""
        return None if self._log_odds is None else float(self._log_odds[row])

    def to_pandas(self) -> "pd.DataFrame":
        """Return a frame with one row an address: account, entity, log-odds (if scored), every feature."""
        import pandas as pd

        accounts = self._addresses.column("account").to_pylist()
        columns: dict[str, Any] = {
            "account": accounts,
            "entity": [accounts[row] for row in self._addresses.column("entity").to_pylist()],
        }
        if self._log_odds is not None:
            columns["log_odds"] = np.asarray(self._log_odds)
        columns |= {name: self._features[:, k] for k, name in enumerate(self.feature_names)}
        return pd.DataFrame(columns)

    def riskiest(self, limit: int) -> list[int]:
        """Return the rows with the highest log-odds, one an entity, highest first; ties by CAIP-10 text."""
        if self._log_odds is None:
            return []
        order = np.argsort(-np.asarray(self._log_odds), kind="stable")
        chosen: list[int] = []
        seen: set[int] = set()
        for row in order:
            entity = self._entity_row(int(row))
            if entity not in seen:
                seen.add(entity)
                chosen.append(int(row))
            if len(chosen) >= limit:
                break
        return chosen

    def owner_scores(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return every entity once, by its public id: account, row, highest log-odds, whether labelled.

        Highest among its addresses; labelled where any of them was when it was built. Without a model empty.
        """
        if self._log_odds is None:
            return [], np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_)
        entity = self._addresses.column("entity").to_numpy().astype(np.int64)
        labelled = self._addresses.column("labelled").to_numpy().astype(np.bool_)
        highest = np.full(len(self), -np.inf)
        np.maximum.at(highest, entity, np.asarray(self._log_odds))
        marked = np.zeros(len(self), np.bool_)
        np.logical_or.at(marked, entity, labelled)
        rows = np.unique(entity)
        accounts = self._addresses.column("account").take(pa.array(rows)).to_pylist()
        return accounts, rows, highest[rows], marked[rows]

    def exposures(self, row: int) -> tuple[ExposureLine, ...]:
        """Return the exposures of the row's entity: sources first, each side by falling share."""
        entity = self._entity_row(row)
        start, end = int(self._exposure_start[entity]), int(self._exposure_start[entity + 1])
        lines = []
        for line in self._exposures.slice(start, end - start).to_pylist():
            asset = self._assets[line["asset"]]
            lines.append(
                ExposureLine(
                    direction="source" if line["direction"] == SOURCE else "destination",
                    category=line["category"],
                    direct=line["direct"],
                    value=line["value"] / 10 ** asset["decimals"],
                    symbol=asset["symbol"],
                    value_usd=None if line["usd"] is None else line["usd"] / 1e6,
                    share=line["share"],
                    min_hops=line["hops"],
                    origin=self._origin(line, asset["decimals"]),
                )
            )
        lines.sort(key=lambda line: (line.direction != "source", -line.share, line.category, not line.direct))
        return tuple(lines)

    def _origin(self, line: dict[str, Any], decimals: int) -> Origin | None:
        if line["origin_address"] < 0:
            return None
        transfer = self._transfers.slice(line["origin_transfer"], 1).to_pylist()[0]
        return Origin(
            account=self.account(line["origin_address"]),
            time=transfer["time"],
            hash=_shown_hash(transfer["hash"]),
            value=line["largest"] / 10**decimals,
        )

    def asset(self, number: int) -> dict[str, Any]:
        """Return `caip19`, `symbol` and `decimals` of an asset by its number in this snapshot."""
        return self._assets[number]

    def transfer_at(self, transfer: int) -> tuple[datetime, str]:
        """Return the time and the hash (or reference) of a transfer by its row."""
        found = self._transfers.slice(transfer, 1).to_pylist()[0]
        return found["time"], _shown_hash(found["hash"])

    def coinjoin_at(self, transfer: int) -> str | None:
        """Return the family of CoinJoins that a transfer is of, by its row; None where it is none."""
        family: str | None = self._transfers.column("coinjoin")[transfer].as_py()
        return family

    def indicators(self, row: int) -> tuple[IndicatorLine, ...]:
        """Return the indicators of the row's entity, strongest first; ties by id."""
        entity = self._entity_row(row)
        start, end = int(self._indicator_start[entity]), int(self._indicator_start[entity + 1])
        lines = (
            IndicatorLine(
                id=line["indicator"],
                strength=line["strength"],
                values=json.loads(line["values"]),
                evidence=tuple(self._evidence(number) for number in line["evidence"]),
                evidence_count=line["evidence_count"],
            )
            for line in self._indicators.slice(start, end - start).to_pylist()
        )
        return tuple(sorted(lines, key=lambda line: (-line.strength, line.id)))

    def labels(self, caip10: str) -> tuple[LabelLine, ...]:
        """Return the labels of one address, most confident first; it need not be in the ledger."""
        lines = (self._label(i) for i in _look_up(self._labels_by_text, caip10))
        return _by_confidence(line for line in lines if line.account == caip10)

    def entity_labels(self, row: int) -> tuple[LabelLine, ...]:
        """Return the labels of the other addresses of the row's entity, most confident first."""
        entity = self._entity_row(row)
        members = self._members[self._member_start[entity] : self._member_start[entity + 1]]
        labelled = self._addresses.column("labelled")
        others = [int(m) for m in members if int(m) != row and labelled[int(m)].as_py()]
        return _by_confidence(line for other in others for line in self.labels(self.account(other)))

    def sanctions(self, form: str) -> tuple[LabelLine, ...]:
        """Return the sanctions listings of the key behind `form`, on whatever chain it was listed."""
        found = []
        for i in _look_up(self._labels_by_form, form):
            if self._labels.column("form")[i].as_py() == form:
                line = self._label(i)
                if line.programmes:
                    found.append(line)
        return _by_confidence(iter(found))

    def summary(self, row: int) -> Summary:
        """Return what the ledger holds of one address."""
        line = self._addresses.slice(row, 1).to_pylist()[0]
        asset = self._assets[line["asset"]]
        unit = 10 ** asset["decimals"]
        return Summary(
            first_seen=line["first_seen"],
            last_seen=line["last_seen"],
            transfers_in=line["transfers_in"],
            transfers_out=line["transfers_out"],
            received=int(line["received"]) / unit,
            sent=int(line["sent"]) / unit,
            received_usd=None if line["received_usd"] is None else line["received_usd"] / 1e6,
            sent_usd=None if line["sent_usd"] is None else line["sent_usd"] / 1e6,
            asset=asset["caip19"],
            symbol=asset["symbol"],
            assets=line["assets"],
            counterparties=line["counterparties"],
            height=line["height"],
        )

    def deposit_of(self, row: int) -> Deposit | None:
        """Return the service that the address is a deposit address of, where it is marked as one."""
        line = self._addresses.slice(row, 1).to_pylist()[0]
        if line["deposit_row"] is None:
            return None
        time, hash_ = self.transfer_at(line["deposit_transfer"])
        service = self.account(line["deposit_row"])
        return Deposit(service, line["deposit_category"], line["deposit_confidence"], time, hash_)

    def coverage(self, row: int) -> dict[str, Any]:
        """Return how complete the view of one address is.

        `history_share`: of what it spent, the share whose receipt the ledger holds (None: spent nothing);
        `staleness_seconds`: from the chain's last transfer to the snapshot's `as_of`.
        """
        caip2 = ":".join(self.account(row).split(":")[:2])
        head = self.manifest["heads"][caip2]
        last = datetime.fromisoformat(head["time"]).astimezone(UTC).replace(tzinfo=None)
        return {
            "heights": {"first": head["first_height"], "last": head["height"]},
            "history_share": self._cell("history_share", row),
            "staleness_seconds": int((self.as_of - last).total_seconds()),
        }

    def transfers(self, row: int, limit: int) -> tuple[TransferLine, ...]:
        """Return the newest transfers of one address, at most `limit`."""
        start = int(self._address_start[row])
        end = min(int(self._address_start[row + 1]), start + limit)
        return tuple(self._transfer(leg) for leg in self._address_legs.slice(start, end - start).to_pylist())

    def _transfer(self, leg: dict[str, Any]) -> TransferLine:
        number = leg["transfer"]
        transfer = self._transfers.slice(number, 1).to_pylist()[0]
        start, end = int(self._transfer_start[number]), int(self._transfer_start[number + 1])
        other_side = 1 - leg["side"]
        sides = self._transfer_legs.column("side").slice(start, end - start).to_numpy()
        rows = self._transfer_legs.column("address").slice(start, end - start).to_numpy()
        others = np.unique(rows[sides == other_side])
        asset = self._assets[transfer["asset"]]
        return TransferLine(
            time=transfer["time"],
            hash=_shown_hash(transfer["hash"]),
            direction="out" if leg["side"] == 0 else "in",
            value=int(leg["amount"]) / 10 ** asset["decimals"],
            symbol=asset["symbol"],
            value_usd=None if leg["usd"] is None else leg["usd"] / 1e6,
            counterparty=self.account(int(others[0])) if others.size == 1 else None,
            counterparties=int(others.size),
        )

    def _evidence(self, number: int) -> EvidenceLine:
        transfer = self._transfers.slice(number, 1).to_pylist()[0]
        start, end = int(self._transfer_start[number]), int(self._transfer_start[number + 1])
        legs = self._transfer_legs.slice(start, end - start).to_pylist()
        paid = [leg for leg in legs if leg["side"] == 1] or legs  # what is burned reaches nobody
        known = all(leg["usd"] is not None for leg in paid)
        asset = self._assets[transfer["asset"]]
        return EvidenceLine(
            time=transfer["time"],
            hash=_shown_hash(transfer["hash"]),
            value=int(sum(leg["amount"] for leg in paid)) / 10 ** asset["decimals"],
            symbol=asset["symbol"],
            value_usd=sum(leg["usd"] for leg in paid) / 1e6 if known else None,
        )

    def _entity_row(self, row: int) -> int:
        return int(self._cell("entity", row))

    def _cell(self, column: str, row: int) -> Any:
        return self._addresses.column(column)[row].as_py()

    def _label(self, i: int) -> LabelLine:
        line = self._labels.slice(i, 1).to_pylist()[0]
        del line["form"]
        return LabelLine(**{**line, "programmes": tuple(line["programmes"])})

    def _table(self, name: str) -> pa.Table:
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as source:
            return pa.ipc.open_file(source).read_all()

    def _index(self, name: str) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        keys = np.load(self.folder / f"{name}_keys.npy", mmap_mode="r")
        rows = np.load(self.folder / f"{name}_rows.npy", mmap_mode="r")
        return keys, rows


def _look_up(index: tuple[NDArray[np.uint64], NDArray[np.uint32]], text: str) -> list[int]:
    """Return the rows whose key is that of `text`, ascending; the caller compares the text itself."""
    keys, rows = index
    key = text_keys([text])[0]
    first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
    return sorted(int(row) for row in rows[first:last])


def _by_confidence(lines: Any) -> tuple[LabelLine, ...]:
    return tuple(sorted(lines, key=lambda line: (-line.confidence, line.source, line.account, line.name)))


def _shown_hash(raw: bytes | None) -> str:
    """Return a transaction hash in hex; a payment's reference as the text that it is."""
    if raw is None:
        return ""
    if len(raw) == 32:
        return raw.hex()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.hex()
