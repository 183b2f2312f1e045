"""Every error that Silkscreen raises on purpose, in one tree.

SilkscreenError
├── InputError                what the user gave cannot be used
│   ├── AddressError          not an address of the chain it was said to be of
│   ├── UnknownChain          no chain of that name
│   ├── AmbiguousAddress      a bare address that fits several chains
│   ├── FileError             a file that is absent, truncated or of another format
│   ├── ColumnError           a file or mapping with a wrong or missing column
│   └── LabelError            a label list that cannot be read as a whole
├── LedgerError
│   ├── LedgerMissing         nothing has been imported here yet
│   ├── LedgerBusy            another process holds the ledger
│   ├── LedgerTooNew          written by a newer version
│   └── LedgerConflict        a file says another thing than the ledger about the same block
├── NodeError                 a node or an indexer cannot be used as asked
│   ├── NodeUnavailable       no answer, after several attempts
│   ├── NodeRefused           it wants other credentials, or does not allow this
│   ├── RpcError              it answered with an error of its own
│   ├── BadAnswer             its answer contradicts itself, or the chain
│   ├── WrongChain            it serves another chain
│   └── BranchChanged         its chain was reorganised while it was read: read again
├── SnapshotError
│   ├── SnapshotMissing       nothing has been published yet
│   └── SnapshotDamaged       a file of it is absent or does not have its recorded hash
├── ModelError
│   ├── ModelMissing          no model has been trained yet
│   ├── ModelMismatch         the model was trained on other features
│   ├── ModelDamaged          a file of it is absent or does not have its recorded hash
│   └── TooFewRows            not enough labelled owners to train on
├── RecordsError              the records store cannot be made, read or brought up to date
└── AccessError
    ├── KeyMissing            no API key was given
    └── KeyRefused            an unknown, expired or revoked key

The message is for a person: it names the thing and says what to do. The attributes are for code.
The command line ends with exit code 1 on any of them; `api/app.py` maps them to HTTP statuses.
"""

from datetime import datetime
from pathlib import Path


class SilkscreenError(Exception):
    """Base of all errors that carry a message for a person."""


class InputError(SilkscreenError):
    """What the user gave cannot be used."""


class AddressError(InputError):
    """`text` is not an address of `chain`."""

    def __init__(self, text: str, *, why: str, chain: str | None = None) -> None:
        self.text, self.why, self.chain = text, why, chain
        of = f" of {chain}" if chain else ""
        super().__init__(f"{_shown(text)} is not an address{of}: {why}")


class UnknownChain(InputError):
    """`text` names no chain that Silkscreen knows."""

    def __init__(self, text: str, *, known: tuple[str, ...] = ()) -> None:
        self.text, self.known = text, known
        hint = f"; known names are {', '.join(known)}" if known else ""
        super().__init__(
            f"{_shown(text)} is not a chain: give a name or a CAIP-2 id, as eip155:1 or payments:mybank{hint}"
        )


class AmbiguousAddress(InputError):
    """A bare address that fits several chains."""

    def __init__(self, text: str, *, chains: tuple[str, ...]) -> None:
        self.text, self.chains = text, chains
        super().__init__(
            f"{_shown(text)} fits several chains: {', '.join(chains)}; "
            f"write one of them before it, as {chains[0]}:…"
        )


class FileError(InputError):
    """A file that is absent, truncated or of another format."""

    def __init__(self, path: Path | str, *, why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"{path}: {why}")


class ColumnError(FileError):
    """A file or mapping with a wrong or missing column."""

    def __init__(self, path: Path | str, *, column: str, why: str) -> None:
        self.column = column
        super().__init__(path, why=f"column {_shown(column)}: {why}")


class LabelError(FileError):
    """A label list that cannot be read as a whole."""


class LedgerError(SilkscreenError):
    """The ledger cannot do what was asked."""


class LedgerMissing(LedgerError):
    """Nothing has been imported under this folder yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"there is no ledger at {path}: import something first, or name its folder with --dir"
        )


class LedgerBusy(LedgerError):
    """Another process holds the ledger."""

    def __init__(self, path: Path, *, pid: int | None, process: str | None, waited: float) -> None:
        self.path, self.pid, self.process, self.waited = path, pid, process, waited
        holder = f"{process or 'a process'} (process {pid})" if pid else "another process"
        super().__init__(
            f"the ledger {path} is held by {holder}; waited {waited:.0f} s: let it finish, then try again"
        )


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        self.path, self.found, self.known = path, found, known
        super().__init__(
            f"the ledger {path} has schema {found}, this version knows up to {known}: install the newer one"
        )


class LedgerConflict(LedgerError):
    """A file says another thing than the ledger about the same block."""

    def __init__(
        self, path: Path | str, *, chain: str, height: int, ledger_hash: str, file_hash: str
    ) -> None:
        self.path, self.chain, self.height = str(path), chain, height
        self.ledger_hash, self.file_hash = ledger_hash, file_hash
        super().__init__(
            f"{path}: block {height} of {chain} is {file_hash} here and {ledger_hash} in the ledger; "
            "one of them is from an abandoned branch: nothing was imported"
        )


class NodeError(SilkscreenError):
    """A node or an indexer cannot be used as asked. `url` is without credentials."""


class NodeUnavailable(NodeError):
    """No answer, after several attempts."""

    def __init__(self, url: str, *, why: str, attempts: int) -> None:
        self.url, self.why, self.attempts = url, why, attempts
        tried = "once" if attempts == 1 else f"{attempts} times"
        super().__init__(
            f"the node {url} did not answer (tried {tried}; the last time: {why}): is it running?"
        )


class NodeRefused(NodeError):
    """It wants other credentials, or does not allow what was asked."""

    def __init__(self, url: str, *, why: str) -> None:
        self.url, self.why = url, why
        super().__init__(f"the node {url} refused ({why}): write user and password or the key into its URL")


class RpcError(NodeError):
    """The node answered with an error of its own."""

    def __init__(self, url: str, *, method: str, code: int, message: str) -> None:
        self.url, self.method, self.code, self.message = url, method, code, message
        super().__init__(f"the node {url} answered {method} with error {code}: {_shown(message, 300)}")


class BadAnswer(NodeError):
    """The node's answer contradicts itself, or what the ledger knows of the chain."""

    def __init__(self, url: str, *, method: str, why: str) -> None:
        self.url, self.method, self.why = url, method, why
        super().__init__(f"the node {url} answered {method} with what cannot be right: {why}")


class WrongChain(NodeError):
    """The node serves another chain than the one that was asked for."""

    def __init__(self, url: str, *, expected: str, found: str) -> None:
        self.url, self.expected, self.found = url, expected, found
        super().__init__(f"the node {url} serves {found}, not {expected}: nothing was read")


class BranchChanged(NodeError):
    """The node's chain was reorganised while it was read; reading again gives the new branch."""

    def __init__(self, url: str, *, height: int) -> None:
        self.url, self.height = url, height
        super().__init__(f"the node {url} changed its branch at block {height} while it was read: read again")


class SnapshotError(SilkscreenError):
    """A snapshot cannot be used."""


class SnapshotMissing(SnapshotError):
    """Nothing has been published under this folder yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no snapshot under {path}: run `silkscreen build` first")


class SnapshotDamaged(SnapshotError):
    """A file of the snapshot is absent or does not have its recorded hash."""

    def __init__(self, path: Path, *, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"the snapshot {path} is damaged ({why}): publish it again with `silkscreen build`")


class ModelError(SilkscreenError):
    """A model cannot do what was asked."""


class ModelMissing(ModelError):
    """No model has been trained under this folder yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no model at {path}: run `silkscreen train` first")


class ModelMismatch(ModelError):
    """The model was trained on other features than these."""

    def __init__(self, *, model: str, why: str) -> None:
        self.model, self.why = model, why
        super().__init__(
            f"model {model} does not fit these features ({why}): make one that does with `silkscreen train`, "
            f"`silkscreen evaluate --model NEW --against {model}` and `silkscreen models promote NEW`"
        )


class ModelDamaged(ModelError):
    """A file of the model is absent or does not have its recorded hash."""

    def __init__(self, path: Path, *, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"the model {path} is damaged ({why}): train it again with `silkscreen train`")


class TooFewRows(ModelError):
    """Not enough labelled owners to train on."""

    def __init__(self, *, what: str, found: int, needed: int) -> None:
        self.what, self.found, self.needed = what, found, needed
        super().__init__(
            f"training needs at least {needed} {what}, and there are {found}: import more labels"
        )


class RecordsError(SilkscreenError):
    """The records store cannot be made, read or brought up to date."""

    def __init__(self, path: Path | str, *, why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"the records {path}: {why}")


class AccessError(SilkscreenError):
    """A request without the right to be answered."""


class KeyMissing(AccessError):
    """No API key was given."""

    def __init__(self) -> None:
        super().__init__("give an API key in the header X-API-Key; `silkscreen keys create` makes one")


class KeyRefused(AccessError):
    """An unknown, expired or revoked key."""

    def __init__(self, *, why: str, at: datetime | None = None) -> None:
        self.why, self.at = why, at
        super().__init__(f"this API key is refused: {why}")


def _shown(text: str, limit: int = 100) -> str:
    """Quote `text` for a message: control characters escaped, cut at `limit` characters."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut) + "'"
