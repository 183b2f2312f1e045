"""The mapping of a payment file: which of its columns holds which field."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chains.errors import ColumnError

REQUIRED = ("time", "payer", "payee", "amount", "currency")
OPTIONAL = ("reference", "decimals", "symbol")
UNITS_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_CONSTANT = ("currency", "decimals", "symbol")
_HINTS = {"time": tuple(UNITS_A_SECOND), "amount": ("units",)}


@dataclass(frozen=True)
class PaymentMapping:
    """Which column of a payment file holds which field.

    `columns` has a text for each field: the column's name, with `:s`, `:ms`, `:us` or `:ns` after the one of
    `time` where it counts from 1970, and `:units` after the one of `amount` where it holds raw integers; or
    `@` and a value that holds for every row (`currency`, `decimals` and `symbol` only).
    """

    columns: Mapping[str, str]

    @classmethod
    def parse(cls, items: Sequence[str]) -> "PaymentMapping":
        """Read items such as `time=timestamp:ms`; raises `ColumnError` for a field unknown or missing."""
        columns: dict[str, str] = {}
        for item in items:
            field, equals, text = item.partition("=")
            field = field.strip()
            if not equals or not text.strip():
                raise _mapping_error(item, "write it as FIELD=COLUMN, for example time=timestamp:ms")
            if field not in (*REQUIRED, *OPTIONAL):
                raise _mapping_error(field, f"is no field; there are {', '.join((*REQUIRED, *OPTIONAL))}")
            if field in columns:
                raise _mapping_error(field, "is given twice")
            if text.startswith("@") and field not in _CONSTANT:
                raise _mapping_error(
                    field, f"must be a column; only {', '.join(_CONSTANT)} may be one value for all"
                )
            columns[field] = text.strip()
        for field in REQUIRED:
            if field not in columns:
                raise _mapping_error(field, f"is missing: give {field}=COLUMN")
        return cls(columns)

    def as_json(self) -> str:
        """The mapping as JSON with sorted keys: one text for one mapping."""
        return json.dumps(dict(self.columns), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def column(self, field: str) -> str | None:
        """Name of the column of a field; None where it has none."""
        text = self.columns.get(field)
        if text is None or text.startswith("@"):
            return None
        name, colon, hint = text.rpartition(":")
        return name if colon and hint in _HINTS.get(field, ()) else text

    def hint(self, field: str) -> str | None:
        """Unit of a field's column; None where none is given."""
        text = self.columns.get(field, "")
        _, colon, hint = text.rpartition(":")
        return hint if colon and hint in _HINTS.get(field, ()) else None

    def constant(self, field: str) -> str | None:
        """Value that holds for every row; None where the field is a column or absent."""
        text = self.columns.get(field, "")
        return text[1:].strip() if text.startswith("@") else None


def _mapping_error(column: str, why: str) -> ColumnError:
    return ColumnError("column mapping", column=column, why=why)


def default_mapping(names: Collection[str]) -> PaymentMapping:
    """The mapping of a file whose columns are called as the fields are."""
    present = [field for field in (*REQUIRED, *OPTIONAL) if field in names or field in REQUIRED]
    return PaymentMapping({field: field for field in present})
