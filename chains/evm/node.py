"""A node of an EVM chain: native value, internal calls, token events, fees, rewards and withdrawals as legs.

Web3 opens the connection and knows the ABI; blocks, receipts and traces come in raw batches and are decoded
by hand, which takes a twentieth of its time. Final is what the node calls `finalized`; a node without that
tag is taken to be final 64 blocks below its head.
"""

from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from chains.assets import evm_coin, token_reference
from chains.deep_json import decode_json
from chains.errors import InputError, WrongChain
from chains.evm.blocks import BlockAnswers, BlockHead, ChainRules, decode_block, read_head
from chains.evm.events import Questions
from chains.evm.hex import Fields, Misread, NotPlain, OtherBranch, as_address, as_list, as_record
from chains.evm.legs import LegColumns
from chains.evm.plain import add_plain_block, gather_plain
from chains.evm.read import (
    BLOCK,
    RECEIPTS,
    TRACE_METHODS,
    ask_blocks,
    ask_receipts,
    ask_traces,
    checked_head,
    fields_of,
    find_receipts,
    find_tracing,
    newest_blocks,
    older_block,
    read_header,
    reading,
)
from chains.evm.records import as_plain, decode_blocks, decode_receipts, decode_traces
from chains.evm.rewards import ethereum_rewards
from chains.evm.state import TokenNames, ask_balance, ask_owner, has_code
from chains.evm.tokens import find_profiles
from chains.evm.traces import Movement, read_frames
from chains.held import HeldOpen
from chains.ledger import LegBatch
from chains.nodes import Head, NodeFacts
from chains.registry import Chain
from chains.rpc import Call, RpcClient, RpcLimits

INTERNAL = ("auto", "trace_block", "callTracer", "none")
_FINAL_DEPTH = 64
_ETHEREUM = "eip155:1"
_UNREAD_OF = {
    "eip155:1": "the move of the DAO's ether in block 1,920,000",
    "eip155:42161": "retryable tickets: their escrow and refunds",
    "eip155:137": "state syncs: deposits of the coin from Ethereum",
    "eip155:43114": "imports from the other chains of Avalanche, and exports to them",
    "eip155:42220": "fees paid in tokens",
}
# On Gnosis validators withdraw GNO, a token; on Celo the fees of the OP Stack go elsewhere.
_RULES = {"eip155:100": ChainRules(withdrawals=False), "eip155:42220": ChainRules(vaults=False)}


class EvmNode(HeldOpen):
    """A node of an EVM chain, held open; a `chains.nodes.BlockSource`.

    `listed` names contracts of tokens to take as listed, `profiles` event profiles by contract (see
    `chains.evm.tokens`), `internal` where internal calls come from: auto, trace_block, callTracer or none.
    Raises WrongChain for another chain's node, RpcError where `internal` names what it does not have.
    """

    def __init__(
        self,
        url: str,
        chain: Chain,
        *,
        limits: RpcLimits | None = None,
        listed: Collection[str] = (),
        profiles: Mapping[str, str] = MappingProxyType({}),
        internal: str = "auto",
    ) -> None:
        if chain.family != "evm":
            raise InputError(f"{chain.name} is no EVM chain: an EVM node cannot serve it")
        if internal not in INTERNAL:
            raise InputError(f"internal calls come from one of {', '.join(INTERNAL)}, not {internal!r}")
        self.chain = chain
        self._native = evm_coin(chain)
        self._profiles = find_profiles(chain, profiles)
        self._client = RpcClient(url, limits=limits, decode=decode_json)
        self._names = TokenNames(self._client, chain, listed)
        self._questions = Questions(partial(ask_owner, self._client), partial(has_code, self._client))
        self._rules = _RULES.get(chain.caip2, ChainRules())
        try:
            self.facts = self._open(internal)
        except BaseException:
            self._client.close()
            raise

    def head(self) -> Head:
        """Return the newest block and the newest final one."""
        return newest_blocks(self._client, final_depth=_FINAL_DEPTH)

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the block at a height; None above the head."""
        head = read_header(self._client, hex(height))
        return None if head is None else head.hash

    def read_blocks(self, first: int, last: int) -> LegBatch:
        """Return all blocks from `first` to `last`, both included, as one batch in order."""
        client, internal = self._client, self.facts.internal
        answers = ask_blocks(client, first, last, full=True, decode=decode_blocks)
        blocks = [fields_of(answer) for answer in answers]
        heads = [read_head(block) for block in blocks]
        receipts = ask_receipts(client, blocks, heads, self._receipts_by, decode=decode_receipts)
        decode = decode_traces if internal == "trace_block" else None
        traces = ask_traces(client, blocks, heads, internal, decode=decode)
        columns = LegColumns(self._native.reference, token=self._token)
        for head, answer, found, traced in zip(heads, answers, receipts, traces, strict=True):
            if not self._read_plain(head, (answer, found, traced), columns):
                self._read_carefully(head, (answer, found, traced), columns)
        return columns.finish(self._names.find(columns.references))

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        self._client.close()

    def _open(self, internal: str) -> NodeFacts:
        from chains.evm.abi import ask_chain

        number, software = ask_chain(self._client)
        if f"eip155:{number}" != self.chain.caip2:
            raise WrongChain(self._client.shown_url, expected=self.chain.caip2, found=f"eip155:{number}")
        newest = checked_head(self._client, self._client.call(BLOCK, "latest", False), "latest")
        tried = older_block(newest)
        self._receipts_by = find_receipts(self._client, tried)
        found = find_tracing(self._client, tried, internal)
        unread = []
        if found == "none":
            unread.append("internal calls")
        if found != "trace_block" and self.chain.caip2 != _ETHEREUM:
            unread.append("block rewards, where the chain pays any")
        if self.chain.caip2 in _UNREAD_OF:
            unread.append(_UNREAD_OF[self.chain.caip2])
        return NodeFacts(self._client.shown_url, software, found, tuple(unread))

    def _token(self, contract: str) -> str:
        return token_reference(self.chain, contract)

    def _read_plain(self, head: BlockHead, answers: tuple[Any, Any, Any], columns: LegColumns) -> bool:
        """Add a block's legs if it is plain; else leave the columns as they are, and tell so."""
        mark = columns.mark()
        try:
            plain = gather_plain(answers, head, self.facts.internal)
            if not plain.rewards and self._is_paid(plain.block, head):
                return False
            add_plain_block(
                plain, head, columns,
                profiles=self._profiles, questions=self._questions, rules=self._rules,
            )  # fmt: skip
        except (NotPlain, Misread, OtherBranch):
            columns.undo(mark)
            return False
        return True

    def _read_carefully(self, head: BlockHead, answers: tuple[Any, Any, Any], columns: LegColumns) -> None:
        """Add the legs of any block; raises NodeError with what is wrong where it is."""
        client, internal = self._client, self.facts.internal
        with reading(client, head.height, head, TRACE_METHODS.get(internal, BLOCK)):
            block, receipts, traced = (as_plain(answer) for answer in answers)
            frames, rewards = read_frames(block, traced, internal)
            rewards = rewards or self._ask_rewards(block, head)
        with reading(client, head.height, head, f"{BLOCK} and {RECEIPTS}"):
            self._decode(BlockAnswers(block, receipts, frames, rewards), head, columns)

    def _is_paid(self, block: Fields, head: BlockHead) -> bool:
        """Whether Ethereum paid for a block: it was mined."""
        mined = block.get("difficulty") not in (None, "0x0") and head.height > 0
        return mined and self.chain.caip2 == _ETHEREUM

    def _ask_rewards(self, block: Mapping[str, Any], head: BlockHead) -> list[tuple[str, int]]:
        """Return what Ethereum paid for a mined block whose node does not say it."""
        if not self._is_paid(block, head):
            return []
        count = len(as_list(block.get("uncles"), "uncles"))
        calls: list[Call] = [
            ("eth_getUncleByBlockHashAndIndex", (block["hash"], hex(index))) for index in range(count)
        ]
        uncles = [as_record(uncle, "uncle") for uncle in self._client.call_many(calls)]
        return ethereum_rewards(head.height, as_address(block.get("miner"), "miner"), uncles)

    def _decode(self, answers: BlockAnswers, head: BlockHead, columns: LegColumns) -> None:
        read = partial(
            decode_block, answers, columns,
            profiles=self._profiles, questions=self._questions, rules=self._rules,
        )  # fmt: skip
        mark = columns.mark()
        doubts = read()
        if doubts:
            verdicts = self._settle(doubts, head.height, columns)
            columns.undo(mark)
            read(verdicts=verdicts)

    def _settle(
        self, doubts: list[tuple[int, Movement]], height: int, columns: LegColumns
    ) -> dict[tuple[int, int], bool | None]:
        """Whether doubtful movements happened: by their payers' balances before and after the block."""
        verdicts: dict[tuple[int, int], bool | None] = {}
        for payer in sorted({movement.payer for _, movement in doubts}):
            mine = {(position, m.part): m.amount for position, m in doubts if m.payer == payer}
            before, after = (ask_balance(self._client, payer, at) for at in (height - 1, height))
            verdict: bool | None = None
            if before is not None and after is not None:
                missing = before + columns.net(payer) - after
                verdict = {0: False, sum(mine.values()): True}.get(missing)
            verdicts |= dict.fromkeys(mine, verdict)
        return verdicts
