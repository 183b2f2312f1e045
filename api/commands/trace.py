"""Trace: where one address's money came from and where it went, with the transfers that show it."""

from typing import Annotated, Any

import typer

from api.commands.common import Dir, Json, clean, counted, read_settings, say, say_json, say_table
from chains.errors import InputError

LINKS = 3
"""Refused links shown; --json has all."""


def trace_money(  # noqa: PLR0917  (each parameter is an option of the command)
    address: Annotated[str, typer.Argument(help="CAIP-10 id, or a bare address.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="CATEGORY|ADDRESS",
            help="Paths to this category, group (drug, crime, service) or address alone.",
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="haircut, fifo, lifo, poison, or all side by side.")
    ] = "all",
    direction: Annotated[
        str, typer.Option("--direction", help="source (came from), destination (went to), or both.")
    ] = "both",
    paths: Annotated[int, typer.Option("--paths", help="Paths shown a direction.", min=0, max=16)] = 3,
    chain: Annotated[
        str | None, typer.Option("--chain", help="Name or CAIP-2 id, for a bare address.", show_default=False)
    ] = None,
    folder: Dir = None,
    as_json: Json = False,
) -> None:
    """Follow an address's money, transfer by transfer.

    Answers from the current snapshot, under four rules side by side: what a balance of several origins gives
    away is a matter of rule, and courts differ. Only what the ledger holds can be followed.
    """
    settings = read_settings(folder)
    from api.traced import SIDES, trace_address
    from datasets.snapshot import current_snapshot
    from features.trace import RULES

    if rule not in (*RULES, "all"):
        raise InputError(f"{clean(rule, 40)!r} is no rule: it is one of {', '.join(RULES)}, or all")
    if direction not in (*SIDES, "both"):
        raise InputError(f"{clean(direction, 40)!r} is no direction: source, destination or both")
    answer = trace_address(
        address,
        current_snapshot(settings.dir, verify=settings.verify_snapshot),
        chain=chain,
        to=to,
        rules=RULES if rule == "all" else (rule,),
        sides=SIDES if direction == "both" else (direction,),
        paths=paths,
    )
    if as_json:
        say_json(answer)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    say(f"{answer['account_id']}")
    others = answer["entity_size"] - 1
    if others:
        say(f"one entity with {counted(others, 'other address').replace('addresss', 'addresses')}")
    say(f"as of {answer['as_of']}, snapshot {answer['snapshot']}")
    for label in answer["labels"][:LINKS]:
        who = clean(label["entity"] or label["name"], 60)
        say(f"labelled {label['category']}: {who}, said by {clean(label['source'], 60)}")
    for link in answer["refused_links"][:LINKS]:
        one, other = (clean(owner, 60) for owner in link["owners"])
        say(f"not joined with {_bare(link['accounts'][1])}: labels name {one} and {other}")
        say(f"    though they paid together on {link['time']}: {clean(link['hash'], 100)}")
    for side, words, paid in (("source", "CAME FROM", "received"), ("destination", "WENT TO", "sent")):
        if side in answer:
            say()
            _show_side(answer[side], words, paid, answer)
    say()
    say("A share is what a rule says, no fact about coins: docs/tracing.md says what each rule does.")


def _show_side(side: dict[str, Any], words: str, paid: str, answer: dict[str, Any]) -> None:
    rules, to = answer["rules"], answer["to"]
    totals = ", ".join(f"{_amount(t['value'])} {clean(t['symbol'], 20)}" for t in side["totals"])
    bear = counted(side["transfers_considered"], "transfer")
    say(f"{words} ({paid} {totals or 'nothing'}; {bear} looked at)")
    lines = [*side["categories"], *side["unattributed"]]
    shown = [line for line in lines if _counts(line, [rule for rule in rules if rule != "poison"] or rules)]
    poisoned = [line for line in lines if line not in shown and _counts(line, rules)]
    if shown:
        several = len(rules) > 1
        rows = [
            [
                line["name"],
                line["symbol"],
                *(_share(line["shares"][rule]) for rule in rules),
                *([f"{_amount(line['least'])} to {_amount(line['most'])}"] if several else []),
            ]
            for line in shown
        ]
        say_table(["what", "asset", *rules, *(["least to most"] if several else [])], rows, numbers=rules)
    if poisoned:
        names = ", ".join(dict.fromkeys(line["name"] for line in poisoned))
        say(f"by poison alone, which counts whatever was ever mixed: {names}")
    if len(lines) > len(shown) + len(poisoned):
        say(f"{counted(len(lines) - len(shown) - len(poisoned), 'line')} below 0.01%: --json has them")
    if not side["totals"]:
        say("nothing that counts as a payment: change, fees and exchanges of one's own assets do not")
    elif not lines:
        say("none of it has reached a labelled party: it is held by others, or went in fees")
    if to is not None and answer["asked_paths"] and not side["paths"]:
        say(f"no path to or from {clean(to, 90)}")
    for number, path in enumerate(side["paths"], start=1):
        say()
        _show_path(number, path)


def _counts(line: dict[str, Any], rules: list[str]) -> bool:
    """Return whether a line is worth a person's time under any of the rules."""
    from api.traced import FLOOR

    return max(line["shares"][rule] or 0.0 for rule in rules) >= FLOOR


def _show_path(number: int, path: dict[str, Any]) -> None:
    symbol = clean(path["symbol"], 20)
    say(
        f"Path {number}, {path['name']}: {_amount(path['value'])} {symbol}, "
        f"{_share(path['survived'])} of what set out, in {counted(len(path['steps']), 'transfer')}"
    )
    for label in path["labels"][:1]:
        who = label["entity"] or label["name"]
        said = f"said by {clean(label['source'], 60)}, confidence {label['confidence']:g}"
        at = _bare(label["account_id"])
        say(f"  label: {clean(who, 60)}, {said}, on {at}")
    for step in path["steps"]:
        unit = clean(step["symbol"], 20)
        swapped = f" (for {clean(step['swap_from'], 20)})" if step["swap_from"] else ""
        change = ", change" if step["from"] == step["to"] and not step["swap_from"] else ""
        part = f"of it {_amount(step['carried'])} by this path"
        say(f"  {step['time']}  {_amount(step['value'])} {unit}{swapped}{change}, {part}")
        say(f"    {_bare(step['from'])} -> {_bare(step['to'])}")
        say(f"    {clean(step['hash'], 100) or 'no hash'}")
        if step["coinjoin"]:
            say(f"    a CoinJoin ({step['coinjoin']}): nobody can say whose coin is whose")
    for link in path["links"]:
        one, other = (_bare(account) for account in link["accounts"])
        say(f"  one owner: {one} and {other} paid together on {link['time']}")
        say(f"    {clean(link['hash'], 100)}")


def _bare(account: str) -> str:
    """Return an account without its chain, which is the same in all of a trace."""
    return clean(account.rsplit(":", 1)[-1], 90)


def _amount(value: float) -> str:
    return f"{value:,.8f}".rstrip("0").rstrip(".") if value < 1_000_000 else f"{value:,.2f}"


def _share(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{share:.2%}" if share >= 0.0001 or share == 0 else f"{share:.1e}"
