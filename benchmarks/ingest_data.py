"""Bitcoin transactions made up for benchmarks: valid addresses and hashes, as bitcoin-etl writes them."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from chains.encoding import BASE58, BECH32, BECH32_CHECK

_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PER_BLOCK = 2_500
_GROUP_ROWS = 50_000


def witness_addresses(programs: NDArray[np.uint8], hrp: str = "bc") -> pa.Array:
    """P2WPKH addresses of programs of 20 bytes, one a row."""
    count = len(programs)
    bits = np.unpackbits(programs, axis=1).reshape(count, 32, 5)
    values = np.zeros((count, 39), np.int64)  # witness version 0, program, checksum
    values[:, 1:33] = bits @ (1 << np.arange(4, -1, -1))
    check = np.full(count, 1, np.int64)
    prefix = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    for column in [*(np.int64(v) for v in prefix), *values[:, :33].T, *[np.int64(0)] * 6]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ column
        for bit, generator in enumerate(_GENERATORS):
            check ^= np.where(top >> bit & 1, generator, 0)
    check ^= BECH32_CHECK
    for place in range(6):
        values[:, 33 + place] = check >> 5 * (5 - place) & 31
    head = np.tile(np.frombuffer((hrp + "1").encode(), np.uint8), (count, 1))
    letters = np.frombuffer(BECH32.encode(), np.uint8)[values]
    return _texts(np.hstack([head, letters]))


def key_addresses(digests: NDArray[np.uint8]) -> pa.Array:
    """P2PKH addresses of hashes of 20 bytes that begin with a high byte: all of 34 characters."""
    payload = np.hstack(
        [np.zeros((len(digests), 1), np.uint8), digests | np.uint8(0x80) * (np.arange(20) == 0)]
    )
    checks = b"".join(sha256(sha256(row.tobytes()).digest()).digest()[:4] for row in payload)
    whole = np.hstack([payload[:, 1:], np.frombuffer(checks, np.uint8).reshape(-1, 4)])
    limbs = whole.view(">u4").astype(np.uint64)
    digits = np.zeros((len(whole), 33), np.uint8)
    for place in range(32, -1, -1):
        rest = np.zeros(len(whole), np.uint64)
        for limb in range(6):
            number = (rest << np.uint64(32)) + limbs[:, limb]
            limbs[:, limb], rest = number // np.uint64(58), number % np.uint64(58)
        digits[:, place] = rest
    letters = np.frombuffer(BASE58.encode(), np.uint8)[digits]
    return _texts(np.hstack([np.full((len(whole), 1), ord("1"), np.uint8), letters]))


def write_transactions(
    path: Path, count: int, *, seed: int = 1, owners: int = 1, first_height: int = 800_000
) -> int:
    """Write `count` transactions in the layout of bitcoin-etl; return how many legs they have.

    Files with the same `count` and `owners` pay the same addresses; `seed` makes the transactions.
    """
    chance = np.random.default_rng(seed)
    pool = _pool(np.random.default_rng(owners), max(1_000, count))
    writer: pq.ParquetWriter | None = None
    legs = 0
    for first in range(0, count, _GROUP_ROWS):
        table, added = _transactions(chance, pool, first, min(_GROUP_ROWS, count - first), first_height)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        legs += added
    if writer is not None:
        writer.close()
    return legs


def _pool(chance: np.random.Generator, count: int) -> pa.Array:
    programs = chance.integers(0, 256, (count, 20), np.uint8)
    third = count // 3
    return pa.concat_arrays([key_addresses(programs[:third]), witness_addresses(programs[third:])])


def _transactions(
    chance: np.random.Generator, pool: pa.Array, first: int, count: int, first_height: int
) -> tuple[pa.Table, int]:
    number = first + np.arange(count)
    inputs = np.minimum(chance.geometric(0.45, count), 60)
    outputs = np.minimum(1 + chance.geometric(0.7, count), 200)
    coinbase = number % _PER_BLOCK == 0
    inputs[coinbase] = 0
    paid = chance.integers(1_000, 10**8, int(outputs.sum()))
    total = np.add.reduceat(paid, np.r_[0, np.cumsum(outputs)[:-1]])
    spent = np.repeat((total // np.maximum(inputs, 1)) + 1_000, inputs)
    spends = {
        "spent_transaction_hash": _hashes(chance, len(spent)),
        "spent_output_index": pa.array(chance.integers(0, 4, len(spent))),
        **_party(chance, pool, spent, inputs),
    }
    pays = {"script_hex": _scripts(chance, len(paid)), **_party(chance, pool, paid, outputs)}
    return pa.table(
        {
            "hash": _hashes(chance, count),
            "block_hash": _block_hashes(number // _PER_BLOCK),
            "block_number": first_height + number // _PER_BLOCK,
            "block_timestamp": 1_700_000_000 + 600 * (number // _PER_BLOCK),
            "index": number % _PER_BLOCK,
            "is_coinbase": coinbase,
            "inputs": _lists(inputs, spends),
            "outputs": _lists(outputs, pays),
        }
    ), len(spent) + len(paid)


def _party(
    chance: np.random.Generator, pool: pa.Array, values: NDArray[np.int64], sizes: NDArray[np.int64]
) -> dict[str, pa.Array]:
    count = len(values)
    often = (len(pool) * chance.random(count) ** 3).astype(np.int64)  # few addresses have many legs
    owners = pool.take(pa.array(often))
    starts = np.cumsum(sizes) - sizes
    return {
        "index": pa.array(np.arange(count) - np.repeat(starts, sizes)),
        "addresses": pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), owners),
        "value": pa.array(values),
    }


def _lists(sizes: NDArray[np.int64], fields: dict[str, pa.Array]) -> pa.Array:
    offsets = pa.array(np.r_[0, np.cumsum(sizes)], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(fields.values()), list(fields)))


def _hashes(chance: np.random.Generator, count: int) -> pa.Array:
    return _hex(chance.integers(0, 256, (count, 32), np.uint8))


def _scripts(chance: np.random.Generator, count: int) -> pa.Array:
    return _hex(chance.integers(0, 256, (count, 25), np.uint8))


def _block_hashes(blocks: NDArray[np.int64]) -> pa.Array:
    return pa.array([sha256(str(block).encode()).hexdigest() for block in blocks])


def _hex(data: NDArray[np.uint8]) -> pa.Array:
    digits = np.empty((len(data), data.shape[1] * 2), np.uint8)
    table = np.frombuffer(b"0123456789abcdef", np.uint8)
    digits[:, 0::2], digits[:, 1::2] = table[data >> 4], table[data & 15]
    return _texts(digits)


def _texts(characters: NDArray[np.uint8]) -> pa.Array:
    count, length = characters.shape
    offsets = pa.py_buffer((np.arange(count + 1, dtype=np.int32) * length).tobytes())
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(characters.tobytes())])
