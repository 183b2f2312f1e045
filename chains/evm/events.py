"""Token events of a transaction's logs as transfers and freezes: the same for EVM chains and TRON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chains.evm.hex import Misread, OtherBranch, as_address, as_quantity, as_record, is_hash
from chains.evm.legs import LegColumns
from chains.evm.tokens import OWNER, TokenEvent, decode_log
from chains.ledger import Kind


@dataclass(frozen=True)
class Questions:
    """What only the node's state can tell; asked seldom.

    `owner` gives the owner of a contract at a height, `has_code` whether an account has code at a height.
    Each is None where the node cannot tell.
    """

    owner: Callable[[str, int], str | None]
    has_code: Callable[[str, int], bool | None]


class LogPlaces(NamedTuple):
    """Where the logs of one transaction must say that they are; hashes as the node wrote them elsewhere."""

    height: int
    block_hash: str
    txid: str
    first_index: int  # of the transaction's first log, in its block
    by_transaction: bool = False  # indexes may count from 0 in each transaction


def add_logs(
    columns: LegColumns,
    logs: Sequence[object],
    places: LogPlaces,
    profiles: Mapping[str, str],
    questions: Questions,
) -> int:
    """Add what a transaction's logs do to token balances; returns the index of the block's next log.

    `profiles` are the event profiles by canonical contract. Raises `Misread` for a log out of its place, and
    `OtherBranch` for one of another block.
    """
    for order, entry in enumerate(logs):
        log, index = as_record(entry, "log"), places.first_index + order
        stated = as_quantity(log.get("logIndex"), "log.logIndex")
        if stated != index and not (places.by_transaction and stated == order):
            raise Misread("log.logIndex", log["logIndex"], f"{hex(index)}, the next of the block")
        if log.get("removed"):
            raise OtherBranch(places.height)
        if not is_hash(log.get("transactionHash"), places.txid):
            raise Misread("log.transactionHash", log["transactionHash"], places.txid)
        if not is_hash(log.get("blockHash"), places.block_hash):
            raise OtherBranch(places.height)
        contract = as_address(log.get("address"), "log.address")
        try:
            event = decode_log(log, profiles.get(columns.account(contract)))
        except Misread as error:
            raise error.inside("log") from None
        if event is not None:
            add_event(columns, event, contract, index, questions)
    return places.first_index + len(logs)


def add_event(
    columns: LegColumns, event: TokenEvent, contract: str, index: int, questions: Questions
) -> None:
    """Add what one log does; raises `Misread` for an account that is none."""
    reference = columns.token(contract)
    if event.effect != "move":
        columns.freeze(index, reference, as_address(event.payer, "log.data"), frozen=event.effect == "freeze")
        return
    payer, payee = event.payer, event.payee
    if OWNER in (payer, payee):
        owner = questions.owner(contract, columns.height)
        if owner is None:
            detail = f"log {index} moves {event.amount} of {reference} of an owner that the node cannot tell"
            columns.reject("unknown_owner", detail)
            return
        payer, payee = (owner if account == OWNER else account for account in (payer, payee))
    columns.add(Kind.TOKEN, index, payer, payee, event.amount, reference)
