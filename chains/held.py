"""What is held open, a node or a file, and must be let go of."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class HeldOpen(ABC):
    """Something to be used in a `with`, so that it is closed whatever happens."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it; closing twice is harmless."""

    def __enter__(self) -> Self:
        """Return the open thing itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
