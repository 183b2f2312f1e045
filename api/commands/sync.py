"""Read a chain from a node, block by block."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import Dir, Json, clean, code_version, read_settings, say, say_json, show_heights
from api.commands.writing import count_listed
from chains.errors import InputError

if TYPE_CHECKING:
    from api.settings import Settings
    from chains.nodes import BlockSource
    from chains.registry import Chain
    from datasets.sync import SyncEvent, SyncPlan, SyncResult


def sync_blocks(  # noqa: PLR0917  (each parameter is an option of the command)
    chain: Annotated[str, typer.Argument(help="Name or CAIP-2 id: bitcoin, ethereum, eip155:137, tron.")],
    rpc: Annotated[
        str, typer.Option("--rpc", metavar="URL", help="The node's JSON-RPC; user and password may be in it.")
    ],
    first: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="HEIGHT",
            help="First block; -1000 is the last thousand. By default where the ledger stops, or 0.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--to", metavar="HEIGHT", help="Last block; by default the newest.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as new blocks come.")] = False,
    listed: Annotated[
        list[str] | None,
        typer.Option("--listed", metavar="TOKEN", help="Count this token too: erc20:0x… or its contract."),
    ] = None,
    profiles: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            metavar="CONTRACT=NAME",
            help="This token has the events of tether or weth.",
        ),
    ] = None,
    internal: Annotated[
        str,
        typer.Option(
            "--internal",
            help="Where calls inside transactions come from: auto, trace_block, callTracer, none.",
        ),
    ] = "auto",
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="N", help="At most N requests a second.", show_default=False, min=0.01
        ),
    ] = None,
    poll: Annotated[
        float,
        typer.Option(
            "--poll", metavar="SECONDS", help="With --follow: how often to ask for new blocks.", min=0.1
        ),
    ] = 5.0,
    force: Annotated[
        bool, typer.Option("--force", help="Begin even where the disk seems too small.")
    ] = False,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Read blocks from a node into the ledger.

    It says first how long this will take and how much disk it needs. Stopped at any moment, it goes on from
    there the next time. Other commands get their turn while it runs.
    """
    settings = read_settings(folder)
    from chains.registry import find_chain
    from chains.rpc import RpcLimits
    from datasets.sync import SyncOptions, sync_chain

    found = find_chain(chain)
    given = read_profiles(profiles or [])
    options = SyncOptions(
        first=first,
        last=last,
        follow=follow,
        force=force,
        poll_seconds=poll,
        profiles=given,
        wait_seconds=settings.wait_seconds,
        threads=settings.threads,
    )
    version = code_version()
    limits = RpcLimits(requests_per_second=rate)
    known = known_profiles(settings, found)
    if not as_json:
        _warn_of_profiles(settings, found, given, known)
    try:
        with (
            stopped_by_term(),
            open_node(
                found,
                rpc,
                limits=limits,
                listed=listed or [],
                profiles=known | given,
                internal=internal,
            ) as source,
            show_heights(found.name) as show,
        ):
            watch = _Watch(show, quiet=as_json)
            result = sync_chain(
                source, settings.ledger, options=options, tell=watch.tell, code_version=version
            )
    except KeyboardInterrupt:
        if not as_json:
            say("stopped; the ledger stands at the end of a block, the same command goes on from there")
        raise typer.Exit(0 if follow else 1) from None
    count_listed(settings, found, listed or [], quiet=as_json)
    if as_json:
        say_json(vars(result))
    else:
        _say_result(found.name, result)


def open_node(
    chain: "Chain",
    url: str,
    *,
    limits: Any,
    listed: list[str],
    profiles: Mapping[str, str],
    internal: str = "auto",
) -> "BlockSource":
    """Return the open node of a chain that can be read block by block; raises InputError for another."""
    if chain.family == "bitcoin" and not chain.simulated:
        from chains.bitcoin.node import BitcoinNode

        if listed or profiles or internal != "auto":
            raise InputError(
                f"{chain.name} has no tokens and no calls: leave out --listed, --profile, --internal"
            )
        return BitcoinNode(url, chain, limits=limits)
    if chain.family == "evm" and not chain.simulated:
        from chains.evm.node import EvmNode

        return EvmNode(url, chain, limits=limits, listed=listed, profiles=profiles, internal=internal)
    if chain.family == "tron":
        from chains.evm.tron import TronNode

        return TronNode(url, chain, limits=limits, listed=listed, profiles=profiles)
    raise InputError(
        f"blocks of {chain.name} cannot be read from a node: Bitcoin's kind, EVM chains and TRON can; "
        "for others there is `silkscreen import`"
    )


def known_profiles(settings: "Settings", chain: "Chain") -> dict[str, str]:
    """Return the event profiles that earlier runs were given for tokens of the chain."""
    from datasets.blocks import read_profiles
    from datasets.store import open_ledger

    if not settings.ledger.exists():
        return {}
    with open_ledger(settings.ledger, wait_seconds=settings.wait_seconds) as ledger:
        return read_profiles(ledger, chain)


def read_profiles(texts: list[str]) -> dict[str, str]:
    """Return the event profile of each contract from texts CONTRACT=NAME."""
    found = {}
    for text in texts:
        contract, equals, name = text.partition("=")
        if not equals or not contract or not name:
            raise InputError(
                f"{clean(text, 80)!r} is no profile: write it as CONTRACT=tether or CONTRACT=weth"
            )
        found[contract.strip()] = name.strip()
    return found


def _warn_of_profiles(
    settings: "Settings", chain: "Chain", given: dict[str, str], known: dict[str, str]
) -> None:
    """Say that a profile that is new holds for new blocks only."""
    from datasets.blocks import read_stretches
    from datasets.store import open_ledger

    if not set(given.items()) - set(known.items()) or not settings.ledger.exists():
        return
    with open_ledger(settings.ledger, wait_seconds=settings.wait_seconds) as ledger:
        held = read_stretches(ledger, chain)
    if held:
        typer.echo(
            f"note: --profile holds for blocks that are read from now on; {held[0].first:,} to "
            f"{held[-1].last:,} were read without it (`silkscreen ledger forget`, then sync them again)",
            err=True,
        )


class _Watch:
    """What whoever waits is told: the plan first, then a moving bar, and what is out of the ordinary."""

    def __init__(self, show: Any, *, quiet: bool) -> None:
        self.show, self.quiet, self.last_text = show, quiet, ""

    def tell(self, event: "SyncEvent") -> None:
        """Show one event."""
        if event.what == "planned" and event.plan is not None:
            self.show(0, event.plan.blocks)
            self._say(describe_plan(event.plan))
            if event.plan.blocks and event.plan.untold:
                self._say(f"  this node does not tell: {clean('; '.join(event.plan.untold), 500)}")
        elif event.what == "read":
            self.show(event.blocks, None)
        elif event.what == "reorganised" and event.committed is not None:
            self._say(
                f"reorganised above block {event.height}: {event.committed.removed:,} transfers of the "
                "abandoned branch were taken out"
            )
        elif event.what == "waiting" and event.text != self.last_text:
            self.last_text = event.text
            self._say(f"waiting: {clean(event.text, 300)}")

        elif event.what == "warned":
            self._say(f"warning: {clean(event.text, 1000)}; the ledger itself is written")

    def _say(self, text: str) -> None:
        typer.echo(text, err=True)


def describe_plan(plan: "SyncPlan") -> str:
    """Say in a line what is to be read and what it takes."""
    if not plan.blocks:
        return f"{plan.chain}: nothing to read, the newest block is {plan.head:,}"
    spans = ", ".join(
        f"{s.first:,}" if s.first == s.last else f"{s.first:,} to {s.last:,}" for s in plan.stretches[:3]
    )
    more = ", …" if len(plan.stretches) > 3 else ""
    what = f"{plan.chain}: {plan.blocks:,} block{'s' if plan.blocks > 1 else ''} ({spans}{more})"
    if plan.seconds is None or plan.disk_bytes is None:
        return what
    needs = f"about {_duration(plan.seconds)} and {_size(plan.disk_bytes)}"
    return f"{what}, {needs}; {_size(plan.free_bytes)} are free"


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            count = round(seconds / length)
            return f"{count:,} {unit}s"
    return f"{max(round(seconds), 1)} seconds" if seconds >= 1.5 else "a second"


def _size(count: int) -> str:
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return "under 1 MB"


def _say_result(name: str, result: "SyncResult") -> None:
    if not result.blocks:
        say(f"{name}: nothing new; the newest block is {result.head:,}")
        return
    say(
        f"{name}: {result.blocks:,} blocks ({result.first:,} to {result.last:,}), "
        f"{result.transfers:,} transfers, {result.legs:,} legs"
    )
    if result.reorganisations:
        times = "once" if result.reorganisations == 1 else f"{result.reorganisations} times"
        say(f"  reorganised {times}: {result.removed:,} transfers of abandoned branches were taken out")
    if result.rejected:
        say(f"  {result.rejected:,} set aside (`silkscreen status` says why)")


@contextmanager
def stopped_by_term() -> Iterator[None]:
    """Let SIGTERM, as a service manager sends it, end the work as Ctrl-C does."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
