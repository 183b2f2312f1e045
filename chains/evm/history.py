"""The token history of one address of an EVM chain or TRON, from a node's logs by topic.

A node keeps no list of an address's transactions. What it can be asked for are events with the address as a
party: Transfer from it, Transfer to it, and what the event profiles add. Native value, calls and fees leave
no event, and are told as unread; an indexer, or reading whole blocks, gives those.
Sources: Ethereum's JSON-RPC specification (eth_getLogs), TRON's JSON-RPC documentation, EIP-20.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from chains.address import tron_hex
from chains.assets import token_reference
from chains.errors import InputError, RpcError, WrongChain
from chains.evm.hex import (
    Misread,
    as_record,
    read_address,
    read_hash,
    read_height,
    read_quantity,
    read_seconds,
)
from chains.evm.logs import LONGEST_STEP, read_logs
from chains.evm.state import TokenNames
from chains.evm.tokens import OWNER, TRANSFER, TokenEvent, decode_log, find_profiles, profile_topics
from chains.forms import canonical_address
from chains.held import HeldOpen
from chains.history import Findings, FoundFreeze, FoundLeg, FoundReject, FoundTransfer, History
from chains.ledger import Kind, Side
from chains.registry import Chain
from chains.rpc import RpcClient, RpcLimits

UNREAD = (
    "native value, calls inside transactions and fees (they leave no event)",
    "tokens whose Transfer does not index its parties",
    "what an issuer mints to itself or burns without a Transfer",
)
"""What logs by topic cannot tell."""

DEPTH = 64
"""Blocks above a final one where a chain does not say itself what is final: two epochs of Ethereum's."""

LARGEST = 10**38 - 1
MOST_ORDINAL = 2**31 - 1
_TRON_STEP = 5_000
_HEADERS_AT_ONCE = 100


class LogHistory(HeldOpen):
    """A node that is held open and asked for the token history of addresses.

    `first_height` is where reading begins at the earliest; `confirmations` replaces the node's own word on
    what is final. Raises InputError for another kind of chain, WrongChain, and what `chains/rpc.py` raises.
    """

    layout = "pull:logs"

    def __init__(
        self,
        url: str,
        chain: Chain,
        *,
        first_height: int = 0,
        confirmations: int | None = None,
        listed: Collection[str] = (),
        profiles: Mapping[str, str] | None = None,
        limits: RpcLimits | None = None,
    ) -> None:
        if chain.family not in ("evm", "tron") or chain.simulated:
            raise InputError(f"{chain.name} has no logs: token histories are read for EVM chains and TRON")
        self.chain, self._first, self._confirmations = chain, first_height, confirmations
        self._profiles = find_profiles(chain, profiles)
        self._client = RpcClient(url, limits=limits)
        try:
            self._names = TokenNames(self._client, chain, listed)
            check_chain(self._client, chain)
        except BaseException:
            self.close()
            raise

    @property
    def shown_url(self) -> str:
        """Where it is, without credentials."""
        return self._client.shown_url

    def read_history(self, address: str, *, first: int, most: int) -> History:
        """Return the token transfers of an address from block `first` on, and what issuers froze of it.

        Where there are more than about `most` they are cut at the end of a range of blocks, and the next
        reading goes on there. Raises BadAnswer for logs that cannot be right, and what `chains/rpc.py`
        raises.
        """
        try:
            return self._history(address, first, most)
        except Misread as error:
            raise self._client.bad_answer("eth_getLogs", str(error)) from None

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        self._client.close()

    def _history(self, address: str, first: int, most: int) -> History:
        head, final = read_heights(self._client, self._confirmations)
        start, last = max(first, self._first), final
        found = Findings()
        logs: dict[tuple[int, int], dict[str, Any]] = {}
        cut = False
        filters = self._filters(address)
        for wanted in filters:
            for _, end, some in self._read(wanted, start, last):
                logs |= {_place(log): log for log in some if self._concerns(log, address)}
                if len(logs) > most and end < last:
                    last, cut = end, True
                    break
        kept = [log for place, log in sorted(logs.items()) if place[0] <= last]
        self._add_all(found, kept)
        pending = {
            _place(log)
            for wanted in filters
            for _, _, some in self._read(wanted, max(start, final + 1), head)
            for log in some
            if self._concerns(log, address)
        }
        note = (
            f"it has more than {most:,} transfers: the same command goes on after block {last:,}"
            if cut
            else ""
        )
        return History(found.batch(), start, last, cut=cut, pending=len(pending), unread=UNREAD, note=note)

    def _read(self, wanted: Mapping[str, Any], first: int, last: int) -> Any:
        longest = _TRON_STEP if self.chain.family == "tron" else LONGEST_STEP
        return read_logs(self._client, wanted, first, last, longest_step=longest)

    def _filters(self, address: str) -> list[dict[str, Any]]:
        """The filters that together find the address: as a topic, or among events that are few.

        What moves an account's balance often names the account in a topic; what an issuer freezes or
        destroys is seldom, and not always indexed, so it is read of all accounts.
        """
        word = "0x" + "0" * 24 + self._hex(address)
        filters: list[dict[str, Any]] = [{"topics": [TRANSFER, word]}, {"topics": [TRANSFER, None, word]}]
        indexed: dict[str, set[str]] = {}
        seldom: dict[str, set[str]] = {}
        for contract, profile in sorted(self._profiles.items()):
            for topic, rule in profile_topics(profile).items():
                if rule.holder == "owner":
                    continue
                often = rule.signature.startswith(("Deposit(", "Withdrawal("))
                (indexed if often else seldom).setdefault("0x" + self._hex(contract), set()).add(topic)
        if indexed:
            topics = sorted(set().union(*indexed.values()))
            filters.append({"address": sorted(indexed), "topics": [topics, word]})
        if seldom:
            filters.append({"address": sorted(seldom), "topics": [sorted(set().union(*seldom.values()))]})
        return filters

    def _hex(self, address: str) -> str:
        if self.chain.family == "tron":
            return tron_hex(address)[2:]
        return address[2:]

    def _event(self, log: Mapping[str, Any]) -> tuple[str, TokenEvent] | None:
        """Contract and effect of a log, in canonical accounts; None where it moves and freezes nothing."""
        contract = canonical_address(read_address(log, "address"), self.chain)
        event = decode_log(log, self._profiles.get(contract))
        if event is None or OWNER in (event.payer, event.payee):
            return None
        payer, payee = (None if one is None else canonical_address(one, self.chain) for one in event[1:3])
        return contract, TokenEvent(event.effect, payer, payee, event.amount)

    def _concerns(self, log: Mapping[str, Any], address: str) -> bool:
        found = self._event(log)
        return found is not None and address in (found[1].payer, found[1].payee)

    def _add_all(self, found: Findings, logs: Sequence[Mapping[str, Any]]) -> None:
        times = self._times(logs)
        tokens = {event[0] for log in logs if (event := self._event(log))}
        assets = self._names.find({token_reference(self.chain, contract) for contract in tokens})
        found.assets |= {asset.reference: asset for asset in assets}
        for log in logs:
            self._add(found, log, times[read_height(log, "blockNumber")])

    def _add(self, found: Findings, log: Mapping[str, Any], time: datetime) -> None:
        event = self._event(log)
        if event is None:
            return
        contract, (effect, payer, payee, amount) = event
        if log.get("removed") is True:
            raise Misread("removed", "true", "false in a final block")
        reference = token_reference(self.chain, contract)
        height, index = _place(log)
        position, digest = _ordinal(log, "transactionIndex"), read_hash(log, "transactionHash")
        if effect != "move":
            frozen = effect == "freeze"
            found.freezes.append(
                FoundFreeze(height, position, index, time, digest, reference, str(payer), frozen)
            )
            return
        if amount > LARGEST:
            detail = f"log {index} moves {amount} of {reference}, which has more than 38 digits"
            found.rejects.append(FoundReject(height, digest, "too_large", detail))
            return
        sides = ((Side.PAYER, payer), (Side.PAYEE, payee))
        found.transfers.append(
            FoundTransfer(
                height=height,
                position=position,
                kind=Kind.TOKEN,
                part=index,
                time=time,
                hash=digest,
                asset=reference,
                block_hash=read_hash(log, "blockHash"),
                legs=tuple(FoundLeg(side, 0, account, amount) for side, account in sides if account),
            )
        )

    def _times(self, logs: Sequence[Mapping[str, Any]]) -> dict[int, datetime]:
        """Times of the logs' blocks; where the logs do not say it, from headers of the same hash."""
        hashes: dict[int, bytes] = {}
        times: dict[int, datetime] = {}
        for log in logs:
            height = read_height(log, "blockNumber")
            if hashes.setdefault(height, read_hash(log, "blockHash")) != read_hash(log, "blockHash"):
                raise Misread("blockHash", log.get("blockHash"), f"the same for all logs of block {height}")
            if log.get("blockTimestamp") is not None:
                times[height] = _moment(read_seconds(log, "blockTimestamp"))
        lacking = sorted(height for height in hashes if height not in times)
        for start in range(0, len(lacking), _HEADERS_AT_ONCE):
            some = lacking[start : start + _HEADERS_AT_ONCE]
            calls = [("eth_getBlockByNumber", (hex(height), False)) for height in some]
            for height, answer in zip(some, self._client.call_many(calls), strict=True):
                block = as_record(answer, f"block {height}")
                if read_hash(block, "hash") != hashes[height]:
                    raise Misread("hash", block.get("hash"), f"that of the logs of block {height}")
                times[height] = _moment(read_seconds(block, "timestamp"))
        return times


def check_chain(client: RpcClient, chain: Chain) -> None:
    """Raise WrongChain unless the node serves the chain (eth_chainId)."""
    from chains.evm.abi import ask_chain

    number, _ = ask_chain(client)
    if str(number) != chain.caip2.partition(":")[2]:
        raise WrongChain(client.shown_url, expected=chain.name, found=f"chain {number}")


def read_heights(client: RpcClient, confirmations: int | None) -> tuple[int, int]:
    """Return the heights of the newest block and of the newest final one.

    Final is what the node calls so; where its chain has no word for it, or `confirmations` is given, what has
    that many blocks (by default 64) from itself on.
    """
    try:
        head = read_height({"height": client.call("eth_blockNumber")}, "height")
        if confirmations is None:
            try:
                block = client.call("eth_getBlockByNumber", "finalized", False)
            except RpcError:
                block = None
            if block is not None:
                return head, min(head, read_height(as_record(block, "block"), "number"))
    except Misread as error:
        raise client.bad_answer("eth_blockNumber", str(error)) from None
    return head, head - (confirmations or DEPTH + 1) + 1


def _place(log: Mapping[str, Any]) -> tuple[int, int]:
    return read_height(log, "blockNumber"), _ordinal(log, "logIndex")


def _ordinal(log: Mapping[str, Any], field: str) -> int:
    number = read_quantity(log, field)
    if number > MOST_ORDINAL:
        raise Misread(field, log.get(field), "a place in a block")
    return number


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
