"""Blocks of an EVM chain, with their receipts and traces, as legs.

A transaction makes at most one native transfer, one fee, and any number of internal and token transfers; a
failed one only its fee. Everything that a node says of a block must agree: hashes, places, gas and logs.
Sources: Ethereum's JSON-RPC specification, EIP-1559, EIP-4844, EIP-4895, EIP-658, and the OP Stack's
specification (deposits, fees).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chains.evm.events import LogPlaces, Questions, add_logs
from chains.evm.hex import (
    Fields,
    Misread,
    OtherBranch,
    as_address,
    as_list,
    as_record,
    is_hash,
    read_address,
    read_hash,
    read_height,
    read_optional,
    read_quantity,
    read_seconds,
)
from chains.evm.legs import LegColumns
from chains.evm.traces import Frame, Movement, find_movements
from chains.ledger import Kind
from chains.rejections import shown

BLOB_TYPE = "0x3"
DEPOSIT_TYPE = "0x7e"  # OP Stack: made by the chain itself, without signature and fee
_FIRST_EIP_6780 = 1_710_288_000  # 13 March 2024, when the first chains took EIP-6780
ARBITRUM_DEPOSIT_TYPE = "0x64"  # made by the chain too
_FEE_VAULT, _L1_VAULT, _OPERATOR_VAULT = (f"0x{0x42 << 152 | n:040x}" for n in (0x19, 0x1A, 0x1B))
_JOVIAN = 17  # bytes of extra data, from the OP Stack's upgrade of this name on


@dataclass(frozen=True)
class BlockAnswers:
    """What a node answered about one block.

    `frames` are those of each transaction, None where the node does not tell internal calls. `rewards` are
    recipients and wei of what the block itself paid, where the chain pays for blocks.
    """

    block: Mapping[str, Any]
    receipts: Sequence[Any]
    frames: Sequence[Sequence[Frame]] | None = None
    rewards: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class BlockHead:
    """What a block says of itself."""

    height: int
    hash: bytes
    parent: bytes
    seconds: int


@dataclass(frozen=True)
class ChainRules:
    """Where a chain departs from the rules of Ethereum and of the OP Stack.

    `withdrawals` are in the chain's coin, `vaults` get the fees of a chain on the OP Stack.
    """

    withdrawals: bool = True
    vaults: bool = True


@dataclass
class Reading:
    """One block under way: its `gas` and logs so far, and the movements that are `doubts`."""

    head: BlockHead
    block: Fields
    columns: LegColumns
    profiles: Mapping[str, str]
    questions: Questions
    verdicts: Mapping[tuple[int, int], bool | None]
    base_fee: int
    miner: str
    vaults: bool
    next_log: int = 0
    gas: int = 0
    doubts: list[tuple[int, Movement]] = field(default_factory=list)


def read_head(block: Fields) -> BlockHead:
    """Return what a block says of itself; raises `Misread`."""
    return BlockHead(
        read_height(block, "number"),
        read_hash(block, "hash"),
        read_hash(block, "parentHash"),
        read_seconds(block, "timestamp"),
    )


def decode_block(
    answers: BlockAnswers,
    columns: LegColumns,
    *,
    profiles: Mapping[str, str],
    questions: Questions,
    rules: ChainRules = ChainRules(),
    verdicts: Mapping[tuple[int, int], bool | None] = MappingProxyType({}),
) -> list[tuple[int, Movement]]:
    """Add the legs of one block to `columns`, in the order of their natural key.

    Returns the doubtful movements, left out, each with its transaction's position; `verdicts` says of those
    that it names (position, part) whether they happened, or None where that cannot be known. Raises
    `Misread` where the answers contradict each other or have not the form they must have, `OtherBranch`
    where parts of them are of another block.
    """
    block = answers.block
    head = read_head(block)
    transactions = as_list(block.get("transactions"), "transactions")
    for what, found in (("receipts", answers.receipts), ("traces", answers.frames)):
        if found is not None and len(found) != len(transactions):
            raise Misread(what, f"of {len(found)} transactions", f"of all {len(transactions)}")
    first = transactions[0] if transactions else None
    reading = Reading(
        head, block, columns, profiles, questions, verdicts,
        base_fee=read_optional(block, "baseFeePerGas"),
        miner=read_address(block, "miner"),
        vaults=rules.vaults
        and isinstance(first, dict)
        and _kind(first) == DEPOSIT_TYPE
        and "baseFeePerGas" in block,
    )  # fmt: skip
    columns.open_block(head.height, head.hash, head.parent, head.seconds)
    for position, transaction in enumerate(transactions):
        try:
            frames = answers.frames[position] if answers.frames is not None else None
            _decode_transaction(
                reading, position, as_record(transaction, ""), answers.receipts[position], frames
            )
        except Misread as error:
            raise error.inside(f"transaction {position}") from None
    if reading.gas != read_quantity(block, "gasUsed"):
        raise Misread("gasUsed", block["gasUsed"], f"{hex(reading.gas)}, the sum of its receipts")
    _add_block_income(reading, answers.rewards, len(transactions), rules)
    return reading.doubts


def _decode_transaction(
    reading: Reading,
    position: int,
    transaction: Mapping[str, Any],
    answer: object,
    frames: Sequence[Frame] | None,
) -> None:
    receipt = as_record(answer, "receipt")
    txid = _check_places(reading, position, transaction, receipt)
    columns = reading.columns
    columns.open_transaction(position, txid)
    sender = read_address(transaction, "from")
    value = read_quantity(transaction, "value")
    if frames:
        _check_root(frames[0], sender, value)
    minted = _minted(transaction)
    if minted:
        columns.add(Kind.REWARD, 0, None, sender, minted)
    succeeded = _succeeded(reading, transaction, receipt, frames)
    logs = as_list(receipt.get("logs"), "receipt.logs")
    if succeeded is None:
        columns.reject("unknown_outcome", f"whether transaction {position} succeeded cannot be known")
    elif succeeded:
        if value:
            columns.add(Kind.NATIVE, 0, sender, _payee(transaction, receipt), value)
        if frames:
            add_internal(reading, position, frames)
        if logs:
            head, block = reading.head, reading.block
            places = LogPlaces(head.height, block["hash"], transaction["hash"], reading.next_log)
            reading.next_log = add_logs(columns, logs, places, reading.profiles, reading.questions)
    if not succeeded and logs:
        raise Misread("receipt.logs", f"{len(logs)} logs", "empty: the transaction failed")
    _add_fee(reading, transaction, receipt, sender)


def _check_places(
    reading: Reading, position: int, transaction: Mapping[str, Any], receipt: Mapping[str, Any]
) -> bytes:
    """Return the transaction's hash, after holding the places that both records give against the block."""
    txid, text = read_hash(transaction, "hash"), transaction["hash"]
    if not is_hash(receipt.get("transactionHash"), text):
        raise Misread("receipt.transactionHash", receipt["transactionHash"], text)
    block, index = reading.block, hex(position)
    for name, record in (("", transaction), ("receipt.", receipt)):
        if not is_hash(record.get("blockHash"), block["hash"]):
            raise OtherBranch(reading.head.height)
        if read_quantity(record, "blockNumber") != reading.head.height:
            raise Misread(f"{name}blockNumber", record["blockNumber"], block["number"])
        if read_quantity(record, "transactionIndex") != position:
            raise Misread(f"{name}transactionIndex", record["transactionIndex"], index)
    reading.gas += read_quantity(receipt, "gasUsed")
    if read_quantity(receipt, "cumulativeGasUsed") != reading.gas:
        raise Misread("receipt.cumulativeGasUsed", receipt["cumulativeGasUsed"], hex(reading.gas))
    return txid


def _check_root(root: Frame, sender: str, value: int) -> None:
    if as_address(root.source, "trace.from") != sender:
        raise Misread("trace.from", root.source, sender)
    if root.value != value:
        raise Misread("trace.value", hex(root.value), hex(value))


def _kind(transaction: Mapping[str, Any]) -> str:
    kind = transaction.get("type")
    return kind.lower() if isinstance(kind, str) else ""


def _minted(transaction: Mapping[str, Any]) -> int:
    """Wei that a deposit creates for its sender, whether it then succeeds or not.

    The OP Stack says how much; Arbitrum creates the value that the deposit then pays on.
    """
    kind = _kind(transaction)
    if kind == DEPOSIT_TYPE:
        return read_optional(transaction, "mint")
    return read_quantity(transaction, "value") if kind == ARBITRUM_DEPOSIT_TYPE else 0


def _succeeded(
    reading: Reading,
    transaction: Mapping[str, Any],
    receipt: Mapping[str, Any],
    frames: Sequence[Frame] | None,
) -> bool | None:
    """Whether the transaction succeeded; None where nothing that the node gives can tell.

    Receipts say so since Byzantium (EIP-658). Before, traces do. Without them: a failure then used up all
    gas and left no logs, so gas left over or a log proves success. All gas used proves nothing, since a
    plain payment does so too; a payment to an account without code cannot fail.
    """
    status = receipt.get("status")
    if status is not None:
        if status not in ("0x0", "0x1"):
            raise Misread("receipt.status", status, "0x0 or 0x1")
        succeeded = bool(status == "0x1")
        if frames and frames[0].failed is succeeded:
            raise Misread("receipt.status", status, "that of the trace")
        return succeeded
    if frames:
        return not frames[0].failed
    if read_quantity(receipt, "gasUsed") < read_quantity(transaction, "gas") or receipt.get("logs"):
        return True
    if transaction.get("to") is None:
        return None
    code = reading.questions.has_code(read_address(transaction, "to"), reading.head.height)
    return None if code is None or code else True


def _payee(transaction: Mapping[str, Any], receipt: Mapping[str, Any]) -> str:
    if transaction.get("to") is not None:
        return read_address(transaction, "to")
    return as_address(receipt.get("contractAddress"), "receipt.contractAddress")


def add_internal(reading: Reading, position: int, frames: Sequence[Frame]) -> None:
    """Add what a transaction's calls moved inside it; what may not have happened goes to the doubts."""

    def survives(account: str) -> bool:
        if reading.block.get("parentBeaconBlockRoot") is not None:
            return True
        # Chains without this field took EIP-6780 at times of their own: whether the code is still there
        # tells. A node without the state of that time cannot: then the older rule stands.
        late = reading.head.seconds >= _FIRST_EIP_6780
        return late and bool(reading.questions.has_code(account, reading.head.height))

    for movement in find_movements(frames, survives=survives):
        part, payer, payee, amount, doubtful = movement
        if doubtful and (position, part) not in reading.verdicts:
            reading.doubts.append((position, movement))
            continue
        happened = reading.verdicts[position, part] if doubtful else True
        if happened:
            reading.columns.add(Kind.INTERNAL, part, payer, payee, amount)
        elif happened is None:
            detail = f"call {part} of transaction {position} may be a repetition in the node's trace"
            reading.columns.reject("unclear_trace", detail)


def _add_fee(
    reading: Reading, transaction: Mapping[str, Any], receipt: Mapping[str, Any], sender: str
) -> None:
    """Add what the sender paid for the transaction: the tip goes to the block's fee recipient.

    On the OP Stack the rest goes to its vaults, elsewhere it is burned or shared out by rules of the chain.
    """
    price = receipt.get("effectiveGasPrice")
    if _kind(transaction) == DEPOSIT_TYPE:
        return
    if transaction.get("feeCurrency") is not None:
        reading.columns.reject("fee_in_token", f"paid in the token {shown(transaction['feeCurrency'])}")
        return
    record, key = (transaction, "gasPrice") if price is None else (receipt, "effectiveGasPrice")
    effective = read_quantity(record, key)
    gas = read_quantity(receipt, "gasUsed")
    tip, base = split_fee(effective, reading.base_fee, gas)
    if _kind(transaction) == BLOB_TYPE:
        base += read_optional(receipt, "blobGasUsed") * read_optional(receipt, "blobGasPrice")
    paid = read_optional(receipt, "l1Fee")
    payees = [(reading.miner, tip)]
    operator = _operator_fee(reading, receipt, gas) if reading.vaults else 0
    if reading.vaults:
        payees += [(_FEE_VAULT, base), (_L1_VAULT, paid), (_OPERATOR_VAULT, operator)]
    reading.columns.add_fee(sender, tip + base + paid + operator, payees)


def split_fee(effective: int, base_fee: int, gas: int) -> tuple[int, int]:
    """Return the wei that gas costs at a price: the tip above the block's base fee, and the rest."""
    tip = max(0, effective - base_fee) * gas
    return tip, effective * gas - tip


def _operator_fee(reading: Reading, receipt: Mapping[str, Any], gas: int) -> int:
    """Operator fee of the OP Stack: since Isthmus, and by another formula since Jovian."""
    scalar, constant = (
        read_optional(receipt, "operatorFeeScalar"), read_optional(receipt, "operatorFeeConstant")
    )  # fmt: skip
    extra = reading.block.get("extraData")
    jovian = isinstance(extra, str) and len(extra) == 2 + 2 * _JOVIAN
    return (gas * scalar * 100 if jovian else gas * scalar // 10**6) + constant


def add_rewards(columns: LegColumns, rewards: Sequence[tuple[str, int]]) -> None:
    """Add what a block paid to miners; recipients and wei."""
    for part, (account, amount) in enumerate(rewards):
        if amount:
            columns.add(Kind.REWARD, part, None, as_address(account, "reward"), amount)


def _add_block_income(
    reading: Reading, rewards: Sequence[tuple[str, int]], count: int, rules: ChainRules
) -> None:
    """Add what the block paid by itself: rewards to miners, withdrawals of validators (in Gwei)."""
    columns = reading.columns
    columns.open_transaction(count, None)
    add_rewards(columns, rewards)
    withdrawals = reading.block.get("withdrawals") if rules.withdrawals else None
    for part, entry in enumerate(as_list(withdrawals, "withdrawals") if withdrawals is not None else ()):
        try:
            withdrawal = as_record(entry, "")
            amount = read_quantity(withdrawal, "amount") * 10**9
            account = read_address(withdrawal, "address")
        except Misread as error:
            raise error.inside(f"withdrawal {part}") from None
        if amount:
            columns.add(Kind.WITHDRAWAL, part, None, account, amount)
