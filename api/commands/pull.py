"""Read the histories of single addresses through an indexer, or from a node's logs or wallet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import Dir, Json, clean, code_version, read_settings, say, say_json, show_steps
from api.commands.sync import known_profiles, read_profiles, stopped_by_term
from api.commands.writing import count_listed
from chains.errors import AddressError, InputError

if TYPE_CHECKING:
    from chains.history import HistorySource
    from chains.registry import Chain
    from datasets.pull import PulledAddress, PullResult


def pull_histories(  # noqa: PLR0917  (each parameter is an option of the command)
    addresses: Annotated[list[str], typer.Argument(help="Addresses of one chain.", metavar="ADDRESS...")],
    api: Annotated[
        str | None,
        typer.Option(
            "--api",
            metavar="URL",
            help="An Esplora server (Bitcoin), or an API as Etherscan's or Blockscout's (EVM).",
            show_default=False,
        ),
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option(
            "--rpc",
            metavar="URL",
            help="A node: a bitcoind whose wallet watches the addresses; the logs of an EVM chain or TRON.",
            show_default=False,
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(
            "--chain", help="Name or CAIP-2 id, where an address alone does not tell.", show_default=False
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar="SILKSCREEN_API_KEY",
            help="Key of the API; better in SILKSCREEN_API_KEY, where other users do not see it.",
            show_default=False,
            show_envvar=False,
        ),
    ] = None,
    hops: Annotated[
        int, typer.Option("--hops", metavar="N", help="Counterparties of counterparties too.", min=0, max=10)
    ] = 0,
    most_addresses: Annotated[
        int, typer.Option("--most-addresses", metavar="N", help="Read no more addresses than this.", min=1)
    ] = 200,
    most_transfers: Annotated[
        int,
        typer.Option(
            "--most-transfers",
            metavar="N",
            help="An address with more is a service: it is cut there and not followed.",
            min=1,
        ),
    ] = 10_000,
    confirmations: Annotated[
        int | None,
        typer.Option(
            "--confirmations",
            metavar="N",
            help="Blocks that make one final; by default 6 on Bitcoin, elsewhere what the chain calls final.",
            show_default=False,
            min=1,
        ),
    ] = None,
    first: Annotated[
        int, typer.Option("--from", metavar="HEIGHT", help="First block to look for logs in.", min=0)
    ] = 0,
    listed: Annotated[
        list[str] | None,
        typer.Option("--listed", metavar="TOKEN", help="Count this token too: erc20:0x… or its contract."),
    ] = None,
    profiles: Annotated[
        list[str] | None,
        typer.Option(
            "--profile", metavar="CONTRACT=NAME", help="This token has the events of tether or weth."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="N", help="At most N requests a second.", show_default=False, min=0.01
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read from the first block, whatever was read before.")
    ] = False,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Read histories of addresses through an indexer.

    Each address is read whole or not at all; run again, it goes on from the last final block. With --hops
    those who paid or were paid follow, breadth first. What a source cannot tell is said, and kept.
    """
    settings = read_settings(folder)
    from chains.rpc import RpcLimits
    from datasets.pull import PullOptions, pull_histories

    found, accounts = read_addresses(addresses, chain)
    given = read_profiles(profiles or [])
    options = PullOptions(
        hops=hops,
        most_addresses=most_addresses,
        most_transfers=most_transfers,
        again=again,
        wait_seconds=settings.wait_seconds,
        threads=settings.threads,
    )
    try:
        with (
            stopped_by_term(),
            open_source(
                found,
                api=api,
                rpc=rpc,
                key=api_key,
                confirmations=confirmations,
                first=first,
                listed=listed or [],
                profiles=given,
                remembered=known_profiles(settings, found),
                limits=RpcLimits(requests_per_second=rate),
                cache=settings.cache / "bitcoinlib",
            ) as source,
            show_steps() as steps,
        ):
            result = pull_histories(
                source,
                settings.ledger,
                accounts,
                options=options,
                tell=lambda address, done, total: steps(clean(address, 60), done, total),
                code_version=code_version(),
            )
    except KeyboardInterrupt:
        say("stopped before anything was read")
        raise typer.Exit(1) from None
    count_listed(settings, found, listed or [], quiet=as_json)
    if as_json:
        say_json({**vars(result), "addresses": [vars(one) for one in result.addresses]})
    else:
        _say_result(result)
    if result.stopped:
        raise typer.Exit(1)


def read_addresses(texts: list[str], chain: str | None) -> tuple["Chain", list[str]]:
    """Return the chain of addresses, which must be one, and their canonical texts."""
    from chains.address import find_chain, parse_account

    named = find_chain(chain) if chain is not None else None
    accounts = [parse_account(text, named) for text in texts]
    chains = {account.chain.caip2: account.chain for account in accounts}
    if len(chains) > 1:
        names = ", ".join(sorted(one.name for one in chains.values()))
        raise InputError(f"these addresses are of several chains ({names}): pull those of one at a time")
    for account in accounts:
        if account.address.startswith(("script-", "output-")):
            why = "it stands for a script without an address, which no indexer can be asked for"
            raise AddressError(account.address, chain=account.chain.name, why=why)
    return accounts[0].chain, [account.address for account in accounts]


def open_source(
    chain: "Chain",
    *,
    api: str | None,
    rpc: str | None,
    key: str | None,
    confirmations: int | None,
    first: int,
    listed: list[str],
    profiles: dict[str, str],
    remembered: dict[str, str],
    limits: Any,
    cache: Path,
) -> "HistorySource":
    """Return the open source of a chain's histories; raises InputError where it has none of that kind."""
    if api is None and rpc is None:
        raise InputError("name where to read from: --api URL (an indexer) or --rpc URL (a node)")
    if chain.family == "bitcoin" and not chain.simulated:
        from chains.bitcoin.service import CONFIRMATIONS, BitcoinService

        if api is not None and rpc is not None:
            raise InputError("a history of Bitcoin's comes from one place: give --api or --rpc")
        if first or listed or profiles:
            raise InputError(f"{chain.name} has no logs and no tokens: leave out --from, --listed, --profile")
        return BitcoinService(
            api or rpc or "",
            chain,
            provider="esplora" if api is not None else "bitcoind",
            folder=cache,
            confirmations=confirmations or CONFIRMATIONS,
            limits=limits,
        )
    if chain.family == "evm" and not chain.simulated and api is not None:
        from chains.evm.indexer import EvmIndexer

        if first or profiles:
            raise InputError("an API gives whole histories: --from and --profile are for logs (--rpc alone)")
        return EvmIndexer(
            api,
            chain,
            key=key,
            node_url=rpc,
            confirmations=confirmations,
            listed=listed,
            limits=limits,
        )
    if chain.family in ("evm", "tron") and not chain.simulated and rpc is not None:
        from chains.evm.history import LogHistory

        if api is not None:
            raise InputError(f"{chain.name} is read from a node's logs alone: leave out --api")
        return LogHistory(
            rpc,
            chain,
            first_height=first,
            confirmations=confirmations,
            listed=listed,
            profiles=remembered | profiles,
            limits=limits,
        )
    raise InputError(
        f"histories of {chain.name} cannot be read "
        + ("without a node: give --rpc URL" if chain.family == "tron" else "through an indexer")
    )


def _say_result(result: "PullResult") -> None:
    for one in result.addresses:
        _say_address(one)
    unread = sorted({words for one in result.addresses for words in one.unread})
    if unread:
        say("this source cannot tell:")
        for words in unread:
            say(f"  {words}")
    if result.left_out:
        say(f"{result.left_out:,} counterparties were left out: --most-addresses says how many are read")
    if result.stopped:
        say("stopped; each address is in whole or not at all, the same command goes on")


def _say_address(one: "PulledAddress") -> None:
    indent = "  " * one.hop
    if one.coverage is None:
        say(f"{indent}{one.address}: not read: {clean(one.note, 300)}")
        return
    counts = f"{one.added:,} new transfers" + (f", {one.known:,} known" if one.known else "")
    span = f"blocks {one.coverage.first_height:,} to {one.coverage.last_height:,}"
    if one.coverage.last_height < one.coverage.first_height:
        span = "no block that is sure"
    say(f"{indent}{one.address}: {counts}; {span}{'' if one.coverage.complete else ', not complete'}")
    notes = {
        "set aside (`silkscreen status` says why)": one.quarantined,
        "not final yet, left out": one.pending,
    }
    for words, count in notes.items():
        if count:
            say(f"{indent}  {count:,} {words}")
    if one.note:
        say(f"{indent}  {clean(one.note, 300)}")
