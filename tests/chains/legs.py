"""What the tests of file layouts share: invented addresses, and batches as plain rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from chains.encoding import encode_base58check, encode_segwit
from chains.ledger import LEG_SCHEMA, REJECT_SCHEMA, TRANSFER_SCHEMA, Asset, LegBatch


def key_address(name: str) -> str:
    """A Bitcoin P2PKH address of an invented key."""
    return encode_base58check(b"\x00" + sha256(name.encode()).digest()[:20])


def witness_address(name: str) -> str:
    """A Bitcoin P2WPKH address of an invented key."""
    return encode_segwit("bc", 0, sha256(name.encode()).digest()[:20])


def txid(name: str) -> str:
    """An invented transaction hash."""
    return sha256(name.encode()).hexdigest()


@dataclass(frozen=True)
class Read:
    """Everything read from a file, transfers numbered over all batches."""

    transfers: list[dict[str, Any]]
    legs: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    assets: dict[str, Asset]
    unmoved: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0, 0])  # assumed, rows read

    @property
    def idle(self) -> dict[str, int]:
        """Reasons why rows moved nothing, without those of no row."""
        return {reason: count for reason, count in self.unmoved.items() if count}


def gather(batches: Iterable[LegBatch]) -> Read:
    """Read all batches, check what holds for every one, and join them."""
    read = Read([], [], [], {})
    for batch in batches:
        assert batch.transfers.schema.equals(TRANSFER_SCHEMA)
        assert batch.legs.schema.equals(LEG_SCHEMA)
        assert batch.rejected.schema.equals(REJECT_SCHEMA)
        for table in (batch.transfers, batch.legs, batch.rejected):
            table.validate(full=True)
            assert all(table[f.name].null_count == 0 for f in table.schema if not f.nullable)
        transfers, first = batch.transfers.to_pylist(), len(read.transfers)
        assert [row["transfer"] for row in transfers] == list(range(len(transfers)))
        assert {row["asset"] for row in transfers} == {asset.reference for asset in batch.assets}
        read.transfers.extend({**row, "transfer": row["transfer"] + first} for row in transfers)
        read.legs.extend({**row, "transfer": row["transfer"] + first} for row in batch.legs.to_pylist())
        read.rejected.extend(batch.rejected.to_pylist())
        read.assets.update({asset.reference: asset for asset in batch.assets})
        for reason, count in batch.unmoved.items():
            read.unmoved[reason] = read.unmoved.get(reason, 0) + count
        read.counts[0], read.counts[1] = read.counts[0] + batch.assumed, batch.rows_read
    read.legs.sort(key=lambda leg: (leg["transfer"], leg["side"] == "payee", leg["index"]))
    moved = [(row["row"], row["kind"], row["part"]) for row in read.transfers]
    rejected = [row["row"] for row in read.rejected]
    assert len(moved) == len(set(moved)), "a row made one transfer twice"
    assert not set(rejected) & {row for row, *_ in moved}, "a row made transfers and was rejected"
    assert len(rejected) == len(set(rejected)), "a row was rejected twice"
    return read


def legs_of(read: Read, transfer: int) -> list[tuple[str, int, str, int]]:
    """Side, index, account and amount of each leg of a transfer."""
    return [
        (leg["side"], leg["index"], leg["account"], int(leg["amount"]))
        for leg in read.legs
        if leg["transfer"] == transfer
    ]


def reasons(read: Read) -> dict[int, str]:
    """Reason of each rejected row."""
    return {row["row"]: row["reason"] for row in read.rejected}
