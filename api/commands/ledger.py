"""Look into the ledger itself: does it hold together, does a node agree with it, and take an import back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import (
    Dir,
    Json,
    Threads,
    clean,
    counted,
    new_group,
    read_settings,
    say,
    say_json,
    show_steps,
)
from api.commands.writing import write_ledger
from chains.errors import InputError

if TYPE_CHECKING:
    from api.settings import Settings
    from chains.registry import Chain
    from datasets.check import Finding, LedgerReport
    from datasets.reconcile import Reconciliation
    from datasets.store import Ledger

ledger = new_group("Check the ledger, compare it with a node, and take imports back.")


def check(  # noqa: PLR0917  (each parameter is an option of the command)
    chain: Annotated[
        str | None,
        typer.Argument(help="Name or CAIP-2 id of one chain; by default all.", show_default=False),
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option(
            "--rpc",
            metavar="URL",
            help="Compare with this node's own balances too, at the ledger's height.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            help="Ask the node for so many holders of each asset; by default all.",
            show_default=False,
            min=1,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another sample.")] = 0,
    unlisted: Annotated[
        bool, typer.Option("--unlisted", help="Compare tokens that are not listed too.")
    ] = False,
    shown: Annotated[
        int, typer.Option("--show", metavar="N", help="Places to name for each kind of breakage.", min=0)
    ] = 10,
    folder: Dir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Recompute the invariants of the ledger, and say what is broken and where.

    Ends with 1 where anything is broken. What could not be judged is said, with the reason. Changes nothing.
    With a node's URL the balances of one chain are compared with the node's own as well.
    """
    if rpc is not None and chain is None:
        raise typer.BadParameter(
            "name the chain that the node is of: silkscreen ledger check CHAIN --rpc URL"
        )
    settings = read_settings(folder, threads=threads)
    from chains.registry import find_chain
    from datasets.check import check_by_turns
    from datasets.store import open_ledger

    found = find_chain(chain) if chain is not None else None

    def open_one() -> "Ledger":
        return open_ledger(settings.ledger, threads=settings.threads, wait_seconds=settings.wait_seconds)

    with show_steps() as tell:
        watch = tell if sys.stderr.isatty() else None
        report = check_by_turns(open_one, chain=found, shown=shown, tell=watch)
    compared = None
    if rpc is not None and found is not None:
        options = {"sample": sample, "seed": seed, "unlisted": unlisted}
        compared = _compare(settings, found, rpc, options, shown)
    if as_json:
        with_node = {} if compared is None else {"node": _as_json(compared)}
        say_json({"broken": report.broken, **vars(report), **with_node})
    else:
        _say_report(report)
        if compared is not None:
            _say_compared(compared)
    if report.broken or (compared is not None and compared.gaps):
        raise typer.Exit(1)


def _compare(
    settings: "Settings", chain: "Chain", rpc: str, options: dict[str, Any], shown: int
) -> "Reconciliation":
    """Compare with the node; the ledger is open only while it is read."""
    from tempfile import TemporaryDirectory

    from api.commands.sync import open_node
    from chains.holdings import open_client
    from chains.rpc import RpcLimits
    from datasets.holdings import take_holdings
    from datasets.reconcile import compare_holdings
    from datasets.store import open_ledger

    limits = RpcLimits()
    with (
        TemporaryDirectory(prefix="silkscreen-") as spare,
        open_node(chain, rpc, limits=limits, listed=[], profiles={}) as node,
        open_client(rpc, limits=limits) as client,
        show_steps() as tell,
    ):
        with open_ledger(
            settings.ledger, threads=settings.threads, wait_seconds=settings.wait_seconds
        ) as opened:
            taken = take_holdings(opened, chain, Path(spare, "holdings.parquet"), **options)
        return compare_holdings(node, client, taken, shown=shown, tell=tell if sys.stderr.isatty() else None)


def _as_json(compared: "Reconciliation") -> dict[str, Any]:
    """Raw units go beyond the numbers that JSON's readers hold exactly, so they are text."""

    def text(units: int | None) -> str | None:
        return None if units is None else str(units)

    assets = [
        {
            **vars(asset),
            "first": [
                {**vars(gap), "ledger": text(gap.ledger), "node": text(gap.node)} for gap in asset.first
            ],
        }
        for asset in compared.assets
    ]
    return {"gaps": compared.gaps, **vars(compared), "assets": assets}


def _say_compared(compared: "Reconciliation") -> None:
    say()
    say(
        f"beside {clean(compared.url)}, blocks {compared.first:,} to {compared.last:,} "
        f"({compared.block_hash}):"
    )
    for asset in compared.assets:
        of = "unspent outputs" if compared.chain.startswith("bip122:") else "holders"
        name = f"{clean(asset.symbol, 32)} ({asset.reference}): {asset.asked:,} {of} compared"
        if not asset.gaps:
            say(f"ok      {name}")
            continue
        say(f"differs {name}, {asset.gaps:,} gap{'s' if asset.gaps > 1 else ''}")
        for gap in asset.first:
            ledger, node = (_units(units) for units in (gap.ledger, gap.node))
            who = clean(gap.account, 120) or "all together"
            say(f"          {who}: ledger {ledger}, node {node}: {clean(gap.what, 300)}")
        if asset.gaps > len(asset.first):
            say(f"          … and {asset.gaps - len(asset.first):,} more; --show N names more")
        if asset.note:
            say(f"          {asset.note}")
    if compared.unjudged:
        say("not compared:")
        for text in compared.unjudged:
            say(f"  {clean(text, 300)}")
    say(f"{compared.gaps:,} gap{'s' if compared.gaps > 1 else ''}" if compared.gaps else "no gaps")


def _units(units: int | None) -> str:
    return "nothing" if units is None else f"{units:,}"


def _say_report(report: "LedgerReport") -> None:
    for result in report.results:
        if not result.found:
            say(f"ok      {result.holds}")
            continue
        say(f"broken  {result.holds}: not so in {result.found:,} place{'s' if result.found > 1 else ''}")
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

    if not yes and not as_json and not typer.confirm(f"take import {clean(batch, 80)} back?", err=True):
        raise InputError("nothing was taken back")
    with write_ledger(settings) as opened:
        done = forget_batch(opened, batch)
    if as_json:
        say_json(vars(done))
        return
    say(
        f"import {done.batch} ({clean(done.source, 80)}, {done.layout}, {done.chain}) taken back: "
        f"{counted(done.transfers, 'transfer')}, {counted(done.legs, 'leg')}, "
        f"{counted(done.set_aside, 'row')} set aside"
    )
    if done.counted_again:
        say(f"  count again: {counted(done.counted_again, 'transfer')} of other imports")
    if done.blocks_to is not None:
        say(f"  whole blocks end at {done.blocks_to:,} now; `silkscreen sync` goes on from there")
    for name in done.lost:
        say(
            f"  {clean(name, 80)} had rows replaced by nodes' blocks: "
            "take it back and import it anew if they matter"
        )


ledger.command("check")(check)
ledger.command("forget")(forget)
