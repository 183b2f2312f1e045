"""Look into the ledger itself: does it hold together, does a node agree with it, and take an import back."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.common import Dir, Json, Threads, clean, new_group, read_settings, say, say_json, show_steps
from chains.errors import InputError

if TYPE_CHECKING:
    from datasets.check import Finding, LedgerReport

ledger = new_group("Check the ledger, compare it with a node, and take imports back.")


def check(
    chain: Annotated[
        str | None,
        typer.Argument(help="Name or CAIP-2 id of one chain; by default all.", show_default=False),
    ] = None,
    shown: Annotated[
        int, typer.Option("--show", metavar="N", help="Places to name for each kind of breakage.", min=0)
    ] = 10,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Recompute the invariants of the ledger, and say what is broken and where.

    Ends with 1 where anything is broken. What could not be judged is said, with the reason. Changes nothing.
    """
    settings = read_settings(folder, threads=threads)
    from chains.registry import find_chain
    from datasets.check import check_ledger
    from datasets.store import open_ledger

    found = find_chain(chain) if chain is not None else None
    with (
        open_ledger(settings.ledger, threads=settings.threads, wait_seconds=settings.wait_seconds) as opened,
        show_steps() as tell,
    ):
        report = check_ledger(opened, chain=found, shown=shown, tell=tell if sys.stderr.isatty() else None)
    if as_json:
        say_json({"broken": report.broken, **vars(report)})
    else:
        _say_report(report)
    if report.broken:
        raise typer.Exit(1)


def _say_report(report: "LedgerReport") -> None:
    for result in report.results:
        if not result.found:
            say(f"ok      {result.holds}")
            continue
        say(f"broken  {result.holds}: not in {result.found:,} place{'s' if result.found > 1 else ''}")
        for finding in result.first:
            say(f"          {_place(finding)}")
        if result.found > len(result.first):
            say(f"          … and {result.found - len(result.first):,} more; --show N names more")
    if report.unjudged:
        say()
        say("not judged:")
        for one in report.unjudged:
            say(f"  {one.chain}  {clean(one.what)}: {clean(one.why)}")
    say()
    of = f"{len(report.results)} checks of {report.transfers:,} transfers on {len(report.chains)} chain"
    of += "" if len(report.chains) == 1 else "s"
    say(f"{report.broken:,} broken, in {of}" if report.broken else f"nothing broken: {of}")


def _place(finding: "Finding") -> str:
    parts = [
        finding.chain or "no chain",
        "" if finding.height is None else f"block {finding.height}",
        finding.hash or "",
        finding.account or "",
    ]
    return f"{', '.join(clean(part, 120) for part in parts if part)}: {clean(finding.what, 400)}"


def forget(
    batch: Annotated[
        str,
        typer.Argument(help="Number of the import (`silkscreen status` shows it), or its SHA-256's start."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Take an import back, as if it had never been made.

    An import that a later one rests on is refused, as is one that would tear a stretch of blocks.
    """
    settings = read_settings(folder)
    from datasets.forget import forget_batch
    from datasets.status import write_status
    from datasets.store import open_ledger

    if not yes and not as_json and not typer.confirm(f"take import {clean(batch, 80)} back?", err=True):
        raise InputError("nothing was taken back")
    with open_ledger(
        settings.ledger, write=True, threads=settings.threads, wait_seconds=settings.wait_seconds
    ) as opened:
        done = forget_batch(opened, batch)
        write_status(opened)
    if as_json:
        say_json(vars(done))
        return
    say(
        f"import {done.batch} ({clean(done.source, 80)}, {done.layout}, {done.chain}) taken back: "
        f"{done.transfers:,} transfers, {done.legs:,} legs, {done.set_aside:,} rows set aside"
    )
    if done.counted_again:
        say(f"  {done.counted_again:,} transfers of other imports count again")
    if done.blocks_to is not None:
        say(f"  whole blocks end at {done.blocks_to:,} now; `silkscreen sync` goes on from there")
    for name in done.lost:
        say(
            f"  {clean(name, 80)} had rows replaced by nodes' blocks: "
            "take it back and import it anew if they matter"
        )


ledger.command("check")(check)
ledger.command("forget")(forget)
