"""Say what the ledger holds, how far each chain is read, and where every row came from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import Dir, Json, clean, read_settings, say, say_json, say_table

if TYPE_CHECKING:
    from datasets.status import BatchStatus, ChainStatus, LedgerStatus

MOST_BATCHES = 10


def show_status(
    batches: Annotated[
        bool, typer.Option("--batches", help="Show the provenance of every batch, not of the last ten.")
    ] = False,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Say what the ledger holds, by chain.

    How far each chain is read and how far behind its node, what may still be reorganised, what was set aside
    and why, and where every batch came from. Answers while another process writes, as of its last commit but
    a minute.
    """
    settings = read_settings(folder)
    from datasets.status import ledger_status, read_status

    status = read_status(settings.ledger)
    if status is None:
        from datasets.store import open_ledger

        with open_ledger(settings.ledger, wait_seconds=settings.wait_seconds) as ledger:
            status = ledger_status(ledger)
    if as_json:
        say_json(status)
        return
    _say_status(settings.ledger, status, all_batches=batches)


def _say_status(path: Path, status: "LedgerStatus", *, all_batches: bool) -> None:
    say(f"{path}, counted at {status.counted_at:%Y-%m-%dT%H:%M:%SZ}")
    read = {batch.chain for batch in status.batches}
    for chain in status.chains:
        if chain.caip2 in read:
            _say_chain(chain, [batch for batch in status.batches if batch.chain == chain.caip2])
    only_labelled = [
        f"{c.name} ({c.addresses:,})" for c in status.chains if c.caip2 not in read and c.addresses
    ]
    if only_labelled:
        import textwrap

        say()
        words = f"addresses known from labels alone, by chain: {', '.join(only_labelled)}"
        say(textwrap.fill(words, 80, subsequent_indent="  ", break_on_hyphens=False))
    _say_batches(status.batches if all_batches else status.batches[-MOST_BATCHES:], len(status.batches))
    _say_counts("set aside", status.quarantine)
    for one in status.set_aside:
        where = f"row {one.row:,}" if one.height is None else f"block {one.height:,}, transaction {one.row:,}"
        say(f"  {clean(one.source, 60)}, {where}: {one.reason}: {clean(one.detail, 120)}")
    if status.labels:
        say()
        rows_shown = [
            [label.source, label.category, label.labels, label.withdrawn] for label in status.labels
        ]
        say_table(
            ["label source", "category", "labels", "withdrawn"], rows_shown, numbers=["labels", "withdrawn"]
        )
    _say_counts("entries of label files rejected", status.label_rejections)
    if status.prices:
        say()
        say(f"{status.prices:,} daily prices")


def _say_chain(chain: "ChainStatus", batches: "list[BatchStatus]") -> None:
    say()
    simulated = " (simulated)" if chain.simulated else ""
    say(f"{chain.name}{simulated}  {chain.caip2}")
    say(f"  {chain.transfers:,} transfers, {chain.legs:,} legs, {chain.addresses:,} addresses")
    if chain.first_time is not None and chain.last_time is not None:
        span = f"from {chain.first_time:%Y-%m-%d %H:%M} to {chain.last_time:%Y-%m-%d %H:%M} UTC"
        blocks = (
            "" if chain.first_height is None else f", blocks {chain.first_height:,} to {chain.last_height:,}"
        )
        say(f"  {span}{blocks}")
    if chain.node is not None:
        spans = ", ".join(f"{first:,} to {last:,}" for first, last in chain.stretches[-3:])
        more = f" and {len(chain.stretches) - 3:,} stretches below" if len(chain.stretches) > 3 else ""
        say(f"  whole blocks: {spans or 'none'}{more}")
        behind = f", {chain.lag:,} ahead of the ledger" if chain.lag else ""
        final = (
            f"final up to {chain.node.final_height:,}" if chain.node.final_height >= 0 else "nothing final"
        )
        say(
            f"  node at {chain.node.height:,}{behind}, {final}, asked {chain.node.seen_at:%Y-%m-%dT%H:%M:%SZ}"
        )
    files = [batch for batch in batches if batch.layout != "node"]
    rows, aside = sum(b.source_rows for b in files), sum(b.quarantined for b in files)
    if files:
        say(f"  {len(files):,} files, {rows:,} rows, of which {aside:,} set aside")
    notes = {
        "rounded or read from doubles": chain.lossy,
        "repeated within a file, counted": chain.repeated,
        "said by another file too, not counted": chain.duplicate,
        "provisional: above finality": chain.provisional,
    }
    for words, count in notes.items():
        if count:
            say(f"  {count:,} {words}")


def _say_batches(batches: "Sequence[BatchStatus]", count: int) -> None:
    if not batches:
        return
    say()
    rows = [
        [
            batch.batch,
            batch.imported_at,
            batch.layout,
            batch.source,
            batch.sha256[:12] or "-",
            "-" if batch.first_height is None else f"{batch.first_height:,} to {batch.last_height:,}",
            batch.transfers,
            batch.quarantined,
            batch.replaced,
        ]
        for batch in batches
    ]
    columns = ["batch", "read at", "as", "from", "sha-256", "blocks", "transfers", "set aside", "replaced"]
    say_table(columns, rows, numbers=["batch", "transfers", "set aside", "replaced"])
    if count > len(batches):
        say(f"… and {count - len(batches):,} earlier; --batches shows all")


def _say_counts(title: str, counts: Any) -> None:
    if counts:
        say()
        say_table(
            [title, "count"], [[reason, counts[reason]] for reason in sorted(counts)], numbers=["count"]
        )
