"""Whether a node's own balances are what the ledger's transfers add up to, at the ledger's height.

Account chains: what each holder's balance changed by over a stretch of blocks, by `eth_getBalance` and
`balanceOf`, and each token's supply. UTXO chains: the unspent outputs, counted and summed by
`gettxoutsetinfo` and looked up one by one by `gettxout`. The ledger is read first, into a file, and is free
for others while the node answers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow.parquet as pq

from chains.errors import LedgerError, RpcError
from chains.holdings import (
    Unspent,
    UnspentSet,
    ask_balances,
    ask_outputs,
    ask_supply,
    ask_unspent_set,
    check_state,
)
from chains.nodes import BlockSource
from chains.rpc import RpcClient
from datasets.check import hash_text
from datasets.holdings import MOST_SCRIPTS, Taken, joined

AT_ONCE = 500
"""Holders or outputs that are asked for between two reports of progress."""

Tell = Callable[[str, int, int], None]
"""Called with what is asked for, how much is done, and how much there is."""


@dataclass(frozen=True)
class Gap:
    """One place where node and ledger differ."""

    account: str  # canonical text without the chain; '' for a sum over all
    ledger: int | None  # raw units; None where it has nothing to compare
    node: int | None
    what: str


@dataclass(frozen=True)
class Compared:
    """One asset: how many holders or outputs were compared, and where node and ledger differ."""

    reference: str
    symbol: str
    asked: int
    unanswered: int  # the contract did not tell
    gaps: int
    first: tuple[Gap, ...]  # the first of them by account
    note: str = ""  # what may be behind the gaps


@dataclass(frozen=True)
class Reconciliation:
    """A node's balances beside the ledger's."""

    chain: str  # CAIP-2
    url: str  # of the node, without credentials
    first: int
    last: int
    block_hash: str
    assets: tuple[Compared, ...]  # by reference
    unjudged: tuple[str, ...]

    @property
    def gaps(self) -> int:
        """Places where node and ledger differ, over all assets."""
        return sum(asset.gaps for asset in self.assets)


def compare_holdings(
    node: BlockSource, client: RpcClient, taken: Taken, *, shown: int = 10, tell: Tell | None = None
) -> Reconciliation:
    """Ask a node for what was taken of a ledger, and say where they differ.

    Raises NodeError, and LedgerError where node and ledger are on different branches or the node cannot
    tell balances at the ledger's height.
    """
    _check_branch(node, taken)
    asking = _Asking(node, client, taken, shown, tell or _say_nothing)
    unjudged: tuple[str, ...]
    if taken.chain.utxo:
        assets, unjudged = asking.compare_unspent()
    else:
        assets, unjudged = asking.compare_accounts()
    _check_branch(node, taken)
    return Reconciliation(
        chain=taken.chain.caip2,
        url=client.shown_url,
        first=taken.first,
        last=taken.last,
        block_hash=hash_text(taken.chain.caip2, taken.block_hash) or "",
        assets=assets,
        unjudged=unjudged,
    )


def _check_branch(node: BlockSource, taken: Taken) -> None:
    found = node.block_hash(taken.last)
    if found != taken.block_hash:
        held, there = (hash_text(taken.chain.caip2, value) for value in (taken.block_hash, found))
        has = "does not have it" if there is None else f"has {there}"
        raise LedgerError(
            f"block {taken.last} of {taken.chain.name} is {held} in the ledger, the node {has}: sync first"
        )


@dataclass
class _Asking:
    node: BlockSource
    client: RpcClient
    taken: Taken
    shown: int
    tell: Tell

    def compare_accounts(self) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
        """Compare the holders of each asset, and the supply of each token."""
        taken = self.taken
        check_state(self.client, taken.chain, taken.last)
        if taken.first > 0 or not taken.genesis:
            check_state(self.client, taken.chain, max(taken.first - 1, 0))
        compared = []
        done = 0
        for (reference, symbol), rows in groupby(
            self._rows(), key=lambda row: (row["reference"], row["symbol"])
        ):
            gaps = _Gaps(self.shown)
            asked = unanswered = 0
            for some in _portions(rows):
                self.tell(f"balances of {reference}", done, taken.rows)
                for account, ledger_units, node_units in self._ask(reference, some):
                    asked += 1
                    if node_units is None:
                        unanswered += 1
                    elif node_units != ledger_units:
                        gaps.add(Gap(account, ledger_units, node_units, self._words()))
                done += len(some)
            self._compare_supply(reference, gaps)
            note = self._note(reference) if gaps.count else ""
            compared.append(Compared(reference, symbol, asked, unanswered, gaps.count, gaps.first(), note))
        unjudged = [
            f"{one.unanswered} holders of {one.reference}: the contract does not tell"
            for one in compared
            if one.unanswered
        ]
        return tuple(compared), tuple(unjudged)

    def _ask(self, reference: str, rows: Sequence[dict[str, str]]) -> Iterator[tuple[str, int, int | None]]:
        """Give each holder with what the ledger and what the node says the balance changed by."""
        taken, accounts = self.taken, [row["account"] for row in rows]
        after = ask_balances(self.client, taken.chain, reference, accounts, taken.last)
        before: Sequence[int | None] = [0] * len(accounts)
        base = self._base(reference)
        if base is not None:
            before = ask_balances(self.client, taken.chain, reference, accounts, base)
        for row, start, end in zip(rows, before, after, strict=True):
            change = None if start is None or end is None else end - start
            yield row["account"], joined(row["high"], row["low"]), change

    def _base(self, reference: str) -> int | None:
        """Height whose balances are those before the stretch; None where all were nothing."""
        if self.taken.first > 0:
            return self.taken.first - 1
        native = reference.startswith("slip44:")
        return 0 if native and not self.taken.genesis else None

    def _compare_supply(self, reference: str, gaps: "_Gaps") -> None:
        if reference.startswith("slip44:"):
            return
        after = ask_supply(self.client, self.taken.chain, reference, self.taken.last)
        base = self._base(reference)
        before = 0 if base is None else ask_supply(self.client, self.taken.chain, reference, base)
        if base is not None and before is None:
            before = 0  # there was no such contract yet
        ledger = self.taken.supplies.get(reference, 0)
        if after is not None and before is not None and after - before != ledger:
            gaps.add(Gap("", ledger, after - before, "minted less burned, and the contract's totalSupply"))

    def _words(self) -> str:
        taken = self.taken
        return (
            f"balance after block {taken.last}"
            if not taken.first
            else f"change over blocks {taken.first} to {taken.last}"
        )

    def _note(self, reference: str) -> str:
        if reference.startswith("slip44:"):
            return "internal calls were not read" if self.taken.calls_unread else ""
        return (
            "its balances change by other than its events say, as with rebasing and with fees taken on "
            "transfer, or it has events of a profile that sync was not told (--profile)"
        )

    def compare_unspent(self) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
        """Compare unspent outputs one by one, and all of them in number and value."""
        taken, gaps = self.taken, _Gaps(self.shown)
        unjudged: list[str] = []
        unspendable: list[int] = []  # amounts
        asked = self._compare_outputs(gaps, unspendable, unjudged)
        self._compare_set(gaps, unspendable, unjudged, looked_up=asked is not None)
        if unspendable:
            unjudged.append(
                f"{len(unspendable)} outputs of {sum(unspendable)} sat that have no address and that the "
                "node does not have: taken as such that nobody can spend"
            )
        reference = f"slip44:{taken.chain.coin}"
        one = Compared(reference, taken.chain.symbol, asked or 0, 0, gaps.count, gaps.first())
        return (one,), tuple(unjudged)

    def _compare_outputs(self, gaps: "_Gaps", unspendable: list[int], unjudged: list[str]) -> int | None:
        """Look single outputs up and return how many; None where the node does not tell."""
        if self.node.head().height != self.taken.last:
            unjudged.append(
                "single outputs: the node has gone on, and what it lacks may be spent since; sync first"
            )
            return None
        asked = 0
        try:
            for row, found in self._outputs():
                asked += 1
                self._compare_output(row, found, gaps, unspendable)
        except RpcError as error:
            unjudged.append(f"single outputs: the node does not tell (error {error.code})")
            return None
        return asked

    def _outputs(self) -> Iterator[tuple[dict[str, str], Unspent | None]]:
        done = 0
        for some in _portions(self._rows()):
            self.tell("unspent outputs", done, self.taken.rows)
            wanted = [(bytes.fromhex(row["hash"]), int(row["index"])) for row in some]
            yield from zip(some, ask_outputs(self.client, self.taken.chain, wanted), strict=True)
            done += len(some)

    def _compare_output(
        self, row: dict[str, str], found: Unspent | None, gaps: "_Gaps", unspendable: list[int]
    ) -> None:
        name, sat = f"output {row['hash']}:{row['index']}", joined(row["high"], row["low"])
        if found is not None and found.block_hash != self.taken.block_hash:
            raise LedgerError(
                f"the node {self.client.shown_url} went on while it was asked: sync, then compare again"
            )
        if found is None and row["named"] == "no":
            unspendable.append(sat)
        elif found is None:
            gaps.add(Gap(row["account"], sat, None, f"{name} is not unspent at the node"))
        elif found.amount_sat != sat:
            gaps.add(Gap(row["account"], sat, found.amount_sat, f"{name} has another amount"))
        elif found.account != row["account"]:
            gaps.add(Gap(row["account"], sat, sat, f"{name} is of {found.account} at the node"))

    def _compare_set(
        self, gaps: "_Gaps", unspendable: list[int], unjudged: list[str], *, looked_up: bool
    ) -> None:
        """Compare number and value of all unspent outputs, once it is known which ones nobody can spend."""
        taken = self.taken
        if taken.first > 0:
            unjudged.append("the set of unspent outputs: blocks from 0 on were not read")
            return
        self.tell("the set of unspent outputs", taken.rows, taken.rows)
        try:
            found: UnspentSet = ask_unspent_set(self.client)
        except RpcError as error:
            unjudged.append(f"the set of unspent outputs: the node does not tell (error {error.code})")
            return
        if found.block_hash != taken.block_hash:
            unjudged.append("the set of unspent outputs: the node has gone on; sync first")
            return
        open_outputs = open_sat = 0
        if taken.scripts and (not looked_up or taken.scripts > MOST_SCRIPTS):
            open_outputs, open_sat = taken.scripts, taken.scripts_sat
            unjudged.append(
                f"the exact set of unspent outputs: {taken.scripts} have no address, and some of them nobody "
                f"can spend; that is found out by looking up each, where there are at most {MOST_SCRIPTS}"
            )
        for what, ledger, lost, uncertain, node in (
            ("sat in unspent outputs", taken.total_sat, sum(unspendable), open_sat, found.total_sat),
            ("unspent outputs", taken.outputs, len(unspendable), open_outputs, found.outputs),
        ):
            if not ledger - lost - uncertain <= node <= ledger - lost:
                gaps.add(Gap("", ledger - lost, node, what))

    def _rows(self) -> Iterator[dict[str, str]]:
        with pq.ParquetFile(self.taken.file) as file:
            for batch in file.iter_batches(batch_size=AT_ONCE):
                yield from batch.to_pylist()


def _say_nothing(what: str, done: int, total: int) -> None:
    """Nobody watches."""


class _Gaps:
    """Gaps that are counted, the first of them kept."""

    def __init__(self, shown: int) -> None:
        self.count, self._kept, self._shown = 0, list[Gap](), shown

    def add(self, gap: Gap) -> None:
        """Count a gap."""
        self.count += 1
        if len(self._kept) < self._shown or not gap.account:
            self._kept.append(gap)

    def first(self) -> tuple[Gap, ...]:
        """Return the kept ones, those over all accounts first."""
        return tuple(sorted(self._kept, key=lambda gap: (gap.account, gap.what)))[: max(self._shown, 0)]


def _portions(rows: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    held: list[dict[str, str]] = []
    for row in rows:
        held.append(row)
        if len(held) == AT_ONCE:
            yield held
            held = []
    if held:
        yield held
