"""Traces of EVM chains from files: internal calls in the order of their tree, rewards, the first allocation.

Writers put traces in any order, so they are first put in order on disk. The calls of a transaction are then
read as those of a node are (chains/evm/traces.py): its root is the native transfer, which the transactions
tell.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.bulk import Mask
from chains.evm.hex import Misread
from chains.evm.traces import CALL, CREATE, DESTROY, OTHER, Frame, Movement, find_movements
from chains.files.beside import Scratch
from chains.files.evm_columns import read_fields
from chains.files.evm_rows import Columns, EvmFile, read_party, read_places, read_values, reject_values
from chains.files.evm_values import Integers, is_text, plain
from chains.files.moves import Moves, Rows, join_moves
from chains.files.outcomes import FAILED, read_status
from chains.ledger import AMOUNT, LEG_SCHEMA, REJECT_SCHEMA, TRANSFER_SCHEMA, Kind, LegBatch
from chains.rejections import Rejections

_FRAMES = {"call": CALL, "create": CREATE, "create2": CREATE, "suicide": DESTROY, "selfdestruct": DESTROY}
_CALLS = ("call", "", "none")
_OTHER_CALLS = ("callcode", "delegatecall", "staticcall")
_BLOCK_TYPES = {"reward": Kind.REWARD, "genesis": Kind.GENESIS, "daofork": Kind.GENESIS}
_PATH = r"^([0-9]{1,9}(,[0-9]{1,9})*)?$"
_DEEPEST = 1024  # calls inside calls
_FIRST_EIP_6780 = np.datetime64(1_710_338_135, "s")  # Cancun on Ethereum; other chains took it near then
_CHUNK = 100_000


def read_traces(source: EvmFile, fields: Mapping[str, str]) -> Iterator[LegBatch]:
    """Inner calls that moved value, block rewards, and what the first block allocated."""
    with Scratch() as scratch:
        first = 0
        for count, columns in read_fields(source.path, fields, rows_per_batch=source.rows_per_batch):
            rejected = Rejections(count)
            scratch.insert("frame", _frames(source, columns, rejected, first))
            first += count
            yield LegBatch(
                TRANSFER_SCHEMA.empty_table(),
                LEG_SCHEMA.empty_table(),
                rejected.table(first - count),
                (),
                rows_read=first,
            )
        if first:
            yield from _read_calls(source, scratch, first)
            yield from _read_block_rows(source, scratch, first)


def _frames(source: EvmFile, columns: Columns, rejected: Rejections, first: int) -> pa.Table:
    """Rows of a batch as the scratch database holds them, without those that cannot be placed in a tree."""
    count = len(columns["height"])
    kinds = pc.utf8_lower(pc.fill_null(plain(columns["type"]), ""))
    calls = pc.replace_substring(pc.utf8_lower(pc.fill_null(plain(columns["call"]), "")), "_", "")
    of_block = np.asarray(pc.is_in(kinds, pa.array(list(_BLOCK_TYPES))))
    placed = Rejections(count)
    named = dict(columns)
    hashes = columns.get("hash")
    if hashes is not None and of_block.any():  # rewards belong to no transaction
        stand_in = pa.scalar("0" * 64) if is_text(plain(hashes).type) else pa.scalar(bytes(32))
        named["hash"] = pc.if_else(pa.array(of_block), stand_in, plain(hashes))
    rows, _ = read_places(source, named, placed, first)
    path, broken = _paths(columns["path"])
    reject_values(placed, broken & ~of_block, "bad_trace", columns["path"])
    known = pc.is_in(kinds, pa.array([*_FRAMES, *_BLOCK_TYPES]))
    moving = pc.or_(pc.not_equal(kinds, "call"), pc.is_in(calls, pa.array(_CALLS)))
    still = pc.and_(pc.equal(kinds, "call"), pc.is_in(calls, pa.array(_OTHER_CALLS)))
    unknown = ~np.asarray(known) | ~np.asarray(pc.or_(moving, still))
    reject_values(placed, unknown, "bad_trace", kinds)
    failed = _failures(columns, count)
    # A row that stands in its place but says something impossible keeps its place in the tree.
    faults = Rejections(count)
    payee = read_party(source, columns, "payee", faults)
    if "created" in columns:
        made = pc.equal(kinds, "create")
        payee = pc.if_else(made, read_party(source, columns, "created", faults), payee)
    payer = read_party(source, columns, "payer", faults)
    payee = pc.if_else(pc.and_(pc.equal(kinds, "reward"), payee.is_null()), payer, payee)
    value = read_values(columns["value"], faults)
    paid = np.asarray(pc.not_equal(value.value, pa.scalar(0, AMOUNT)))
    silent = failed | np.asarray(still)
    needs_payer = ~np.asarray(pc.is_in(kinds, pa.array(["reward", "genesis"])))
    for word, accounts, needed in (("payer", payer, needs_payer), ("payee", payee, np.True_)):
        for row in np.flatnonzero(paid & ~silent & np.asarray(accounts.is_null()) & needed):
            faults.add(int(row), "bad_address", f"{word}: there is none")
    kept, right = placed.kept(), faults.kept()
    for table, clean in ((placed, kept), (faults, right)):
        for row in np.flatnonzero(~clean):
            rejected.add(int(row), *table.reason(int(row)))
    frame = pa.table(
        {
            "n": rows.number,
            "height": rows.height,
            "position": rows.position,
            "hash": pc.if_else(pa.array(of_block), pa.scalar(None, pa.binary()), rows.hash),
            "time": rows.time,
            "block_hash": rows.block_hash,
            "path": path,
            "kind": _words(kinds, still, right | of_block),
            "payer": payer,
            "payee": payee,
            "value": value.value,
            "lossy": value.lossy,
            "failed": failed,
            "wrong": ~right,
        }
    )
    return frame.filter(pa.array(kept & ~(of_block & ~right)))


def _words(kinds: pa.Array, still: pa.Array, right: Mask) -> pa.Array:
    """Kinds as chains/evm/traces.py calls them, the block's own as they are."""
    words = {**_FRAMES, **{name: name for name in _BLOCK_TYPES}}
    coded = kinds.dictionary_encode()
    named = pa.array([words.get(kind, OTHER) for kind in coded.dictionary.to_pylist()], pa.string())
    found = pc.if_else(still, OTHER, named.take(coded.indices))
    return pc.if_else(pa.array(right), found, OTHER)


def _paths(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Places in the tree as numbers with commas between; and which are none."""
    column = plain(column)
    if pa.types.is_nested(column.type):
        texts = [
            None if steps is None else ",".join(str(step) for step in steps) for steps in column.to_pylist()
        ]
        column = pa.array(texts, pa.string())
    elif not is_text(column.type):
        column = column.cast(pa.string())
    text = pc.replace_substring(pc.fill_null(column, ""), "_", ",")
    text = pc.replace_substring_regex(text, r"[\[\]\s]", "")
    fits = pc.and_(pc.match_substring_regex(text, _PATH), pc.less(pc.count_substring(text, ","), _DEEPEST))
    return text, ~np.asarray(fits)


def _failures(columns: Columns, count: int) -> Mask:
    """Which frames failed by themselves or with one above them."""
    failed = np.zeros(count, np.bool_)
    if "error" in columns:
        error = plain(columns["error"])
        failed |= np.asarray(pc.fill_null(pc.greater(pc.binary_length(error), 0), fill_value=False))
    if "status" in columns:
        failed |= np.asarray(read_status(columns["status"])) == FAILED
    return failed


_ORDERED = """
    SELECT * EXCLUDE (path), CASE WHEN path = '' THEN [] ELSE string_split(path, ',')::INTEGER[] END AS path
    FROM frame WHERE kind IN ('call', 'create', 'destroy', 'other')
    ORDER BY height, position, hash, path, n
"""

_OF_BLOCKS = """
    WITH last AS (
        SELECT height, max(position) AS position FROM frame WHERE hash IS NOT NULL GROUP BY height
    )
    SELECT frame.* EXCLUDE (position),
        CASE WHEN kind = 'reward' THEN coalesce(last.position + 1, 0)
             ELSE row_number() OVER (PARTITION BY height, kind ORDER BY payee, payer, n) - 1 END AS position,
        CASE WHEN kind = 'reward'
             THEN row_number() OVER (PARTITION BY height, kind ORDER BY n) - 1 ELSE 0 END AS part
    FROM frame LEFT JOIN last USING (height)
    WHERE kind IN ('reward', 'genesis', 'daofork')
    ORDER BY n
"""


def _read_calls(source: EvmFile, scratch: Scratch, count: int) -> Iterator[LegBatch]:
    """Movements of whole transactions, a chunk of them at a time."""
    held: pa.Table | None = None
    for chunk in scratch.connection.sql(_ORDERED).to_arrow_reader(_CHUNK):
        table = pa.Table.from_batches([chunk])
        table = table if held is None else pa.concat_tables([held, table])
        starts = _starts(table)
        if len(starts) < 2:
            held = table
            continue
        held = table.slice(int(starts[-1]))
        yield _call_batch(source, table.slice(0, int(starts[-1])), starts[:-1], count)
    if held is not None and held.num_rows:
        yield _call_batch(source, held, _starts(held), count)


def _starts(table: pa.Table) -> Integers:
    """First row of each transaction."""
    heights = table["height"].to_numpy()
    hashes = table["hash"].combine_chunks()
    other = np.ones(table.num_rows, np.bool_)
    other[1:] = heights[1:] != heights[:-1]
    other[1:] |= np.asarray(pc.not_equal(hashes[1:], hashes[:-1]))
    return np.flatnonzero(other)


def _call_batch(source: EvmFile, table: pa.Table, starts: Integers, count: int) -> LegBatch:
    table = table.combine_chunks()
    rows = _rows_of(table)
    value = table["value"].combine_chunks()
    paid = np.asarray(pc.not_equal(value, pa.scalar(0, AMOUNT)))
    depth = np.asarray(pc.list_value_length(table["path"].combine_chunks()))
    kind = table["kind"].combine_chunks()
    failed, wrong = (np.asarray(table[name].combine_chunks()) for name in ("failed", "wrong"))
    carries = paid & (depth > 0) & ~failed & np.asarray(pc.not_equal(kind, OTHER))
    of = np.searchsorted(starts, np.arange(table.num_rows), side="right") - 1
    chosen = np.flatnonzero(np.isin(of, of[carries]))  # transactions without such a call move nothing inside
    rejected = Rejections(table.num_rows)
    found: list[tuple[int, int, str, str | None, int]] = []
    calls = _read_rows(table, chosen)
    cuts = np.flatnonzero(np.diff(of[chosen])) + 1
    for start, end in zip([0, *cuts], [*cuts, len(chosen)], strict=True) if len(chosen) else ():
        found += _movements(calls[start:end], rejected)
    moved = np.array([row for row, *_ in found], np.int64)
    amounts = pa.array([amount for *_, amount in found], AMOUNT)
    group = Moves(
        kind=Kind.INTERNAL,
        row=moved,
        part=np.array([part for _, part, *_ in found], np.int64),
        asset=pa.array([source.native.reference] * len(found), pa.string()),
        payer=pa.array([payer for _, _, payer, *_ in found], pa.string()),
        payee=pa.array([payee for *_, payee, _ in found], pa.string()),
        paid=amounts,
        got=amounts,
        lossy=np.asarray(table["lossy"].combine_chunks())[moved],
    )
    transfers, legs = join_moves(rows, [group])
    idle = rejected.kept() & ~wrong
    idle[moved] = False
    root = idle & (depth == 0)
    unmoved = {
        "root_call": int(root.sum()),
        "failed": int((idle & ~root & failed).sum()),
        "no_value": int((idle & ~root & ~failed).sum()),
    }
    assets = (source.native,) if transfers.num_rows else ()
    return LegBatch(transfers, legs, rejected.table(0, rows.number), assets, unmoved=unmoved, rows_read=count)


class _Call(NamedTuple):
    """One row of a transaction's calls, and its place in the batch."""

    row: int
    path: list[int]
    kind: str
    payer: str | None
    payee: str | None
    value: int
    failed: bool
    wrong: bool
    late: bool  # after EIP-6780

    @property
    def frame(self) -> Frame:
        """The same as chains/evm/traces.py has it."""
        account = self.payer if self.kind in (DESTROY, OTHER) else self.payee
        return Frame(len(self.path), self.kind, self.payer, self.payee, account, self.value, self.failed)


def _read_rows(table: pa.Table, chosen: Integers) -> list[_Call]:
    some = table.take(pa.array(chosen))
    late = some["time"].combine_chunks().to_numpy() >= _FIRST_EIP_6780
    values = some["value"].cast(pa.string()).to_pylist()
    names = ("path", "kind", "payer", "payee")
    return list(
        map(
            _Call,
            chosen.tolist(),
            *(some[name].to_pylist() for name in names),
            [int(value) for value in values],
            *(some[name].to_pylist() for name in ("failed", "wrong")),
            late.tolist(),
        )
    )


def _movements(rows: list[_Call], rejected: Rejections) -> Iterator[tuple[int, int, str, str | None, int]]:
    """Row, part, payer, payee and wei of each movement inside one transaction."""
    calls = [call for i, call in enumerate(rows) if i == 0 or call.path != rows[i - 1].path]
    if len(calls) < len(rows):
        first = {call.row for call in calls}
        for call in rows:
            if call.row not in first and not call.wrong:
                rejected.add(call.row, "repeated_trace", "another row has its place in the same transaction")
    why = "its transaction's calls are not all there"
    if _is_whole(calls):
        late = calls[0].late
        try:
            movements = find_movements([call.frame for call in calls], survives=lambda _: late)
        except Misread as error:
            why = str(error)
        else:
            yield from _placed(movements, calls, rejected)
            return
    for call in calls:
        if call.value and call.path and call.kind != OTHER and not call.failed:
            rejected.add(call.row, "broken_trace", why)


def _placed(
    movements: Iterable[Movement], calls: list[_Call], rejected: Rejections
) -> Iterator[tuple[int, int, str, str | None, int]]:
    """Movements by the row that they come from."""
    for part, payer, payee, amount, doubtful in movements:
        if part < len(calls):
            row = calls[part].row
        else:  # what an account lost when the transaction ended: of the call that deleted it
            row = max(call.row for call in calls if call.kind == DESTROY and call.payer == payer)
        if doubtful:
            rejected.add(row, "unclear_trace", "it may be a repetition of the call before it")
        else:
            yield row, part, payer, payee, amount


def _is_whole(calls: list[_Call]) -> bool:
    """Whether there is a root and every call has the one above it; calls are in order."""
    if calls[0].path:
        return False
    if len(calls) == 1 or all(len(call.path) == 1 for call in calls[1:]):
        return True
    present = {tuple(call.path) for call in calls}
    return all(tuple(call.path[:-1]) in present for call in calls[1:])


def _read_block_rows(source: EvmFile, scratch: Scratch, count: int) -> Iterator[LegBatch]:
    """What blocks paid, and what stands in the state without a transaction."""
    for chunk in scratch.connection.sql(_OF_BLOCKS).to_arrow_reader(_CHUNK):
        table = pa.Table.from_batches([chunk]).combine_chunks()
        rows = _rows_of(table)
        value = table["value"].combine_chunks()
        paid = np.flatnonzero(np.asarray(pc.not_equal(value, pa.scalar(0, AMOUNT))))
        kinds = np.array(table["kind"].to_pylist(), np.object_)
        groups = []
        for name, kind in _BLOCK_TYPES.items():
            chosen = paid[kinds[paid] == name]
            take = pa.array(chosen)
            amount = value.take(take)
            payer = table["payer"].combine_chunks().take(take)
            groups.append(
                Moves(
                    kind=kind,
                    row=chosen,
                    part=np.asarray(table["part"].combine_chunks())[chosen],
                    asset=pa.array([source.native.reference] * len(chosen), pa.string()),
                    payer=payer if name == "daofork" else pa.nulls(len(chosen), pa.string()),
                    payee=table["payee"].combine_chunks().take(take),
                    paid=amount,
                    got=amount,
                    lossy=np.asarray(table["lossy"].combine_chunks())[chosen],
                )
            )
        transfers, legs = join_moves(rows, groups)
        assets = (source.native,) if transfers.num_rows else ()
        nothing = REJECT_SCHEMA.empty_table()
        idle = {"no_value": table.num_rows - len(paid)}
        yield LegBatch(transfers, legs, nothing, assets, unmoved=idle, rows_read=count)


def _rows_of(table: pa.Table) -> Rows:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return table[name].combine_chunks().cast(kind)

    return Rows(
        np.asarray(table["n"].combine_chunks()),
        column("height", pa.int64()),
        column("position", pa.int32()),
        column("time", pa.timestamp("us")),
        column("hash", pa.binary()),
        column("block_hash", pa.binary()),
    )
