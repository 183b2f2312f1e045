"""One row per account at one moment: what training reads, and what serving scores."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureFrame:
    """The features of every account seen before `as_of`.

    Rows are in ascending order of `accounts`, so that they depend on what was seen and not on the order
    in which it was imported. A value that is not known is NaN, never 0.

    Raises ValueError when the columns do not fit together: that is a fault of the builder, not of the user.
    """

    as_of: datetime
    """Naive UTC. Only transfers and labels before it count."""
    accounts: tuple[str, ...]
    """CAIP-10 ids, strictly ascending."""
    entities: NDArray[np.int64]
    """Row number of the earliest member of the account's entity; its own row for an entity of one."""
    seeded: NDArray[np.bool_]
    """A label of the account itself or of its entity was known at `as_of`."""
    names: tuple[str, ...]
    """Features, in the order of the catalogue."""
    values: NDArray[np.float64]
    """[accounts, names], C order, NaN where unknown."""
    view: str = "whole"
    """Name of what was looked at of the ledger."""

    def __post_init__(self) -> None:
        """Check that all columns speak of the same rows."""
        rows = len(self.accounts)
        if self.as_of.tzinfo is not None:
            raise ValueError("as_of must be naive UTC")
        if any(a >= b for a, b in zip(self.accounts, self.accounts[1:], strict=False)):
            raise ValueError("accounts must be strictly ascending")
        if len(set(self.names)) != len(self.names):
            raise ValueError("feature names must differ")
        if self.entities.shape != (rows,) or self.entities.dtype != np.int64:
            found = f"{self.entities.dtype} {self.entities.shape}"
            raise ValueError(f"entities must be int64 [{rows}], not {found}")
        if rows and (int(self.entities.min()) < 0 or int(self.entities.max()) >= rows):
            raise ValueError(f"entities must be row numbers from 0 to {rows - 1}")
        if self.seeded.shape != (rows,) or self.seeded.dtype != np.bool_:
            raise ValueError(f"seeded must be bool [{rows}], not {self.seeded.dtype} {self.seeded.shape}")
        shape = (rows, len(self.names))
        if self.values.shape != shape or self.values.dtype != np.float64:
            raise ValueError(f"values must be float64 {shape}, not {self.values.dtype} {self.values.shape}")
        if not self.values.flags.c_contiguous:
            raise ValueError("values must be in C order")
