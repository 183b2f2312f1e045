"""Addresses of both simulated chains, thousands at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.simulate.clock import Ints

PREFIX: Final = "sim"
_ALPHABET: Final = np.frombuffer(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l", dtype=np.uint8)
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PROGRAM: Final = 20


def draw_programs(rng: np.random.Generator, rows: int) -> NDArray[np.uint8]:
    """Draw 20 bytes a row: a key hash, or the account of an EVM chain."""
    return np.frombuffer(rng.bytes(rows * _PROGRAM), dtype=np.uint8).reshape(rows, _PROGRAM)


def encode_witness(programs: NDArray[np.uint8]) -> list[str]:
    """Encode version-0 witness programs of 20 bytes as Bech32 (BIP-173), column by column."""
    rows = len(programs)
    bits = np.unpackbits(programs, axis=1).reshape(rows, _PROGRAM * 8 // 5, 5)
    groups = bits @ np.array([16, 8, 4, 2, 1])
    data = np.concatenate([np.zeros((rows, 1), dtype=np.int64), groups], axis=1)
    prefix = [ord(c) >> 5 for c in PREFIX] + [0] + [ord(c) & 31 for c in PREFIX]
    check = np.ones(rows, dtype=np.int64)
    for value in prefix:
        check = _step(check, np.full(rows, value))
    for column in range(data.shape[1]):
        check = _step(check, data[:, column])
    for _ in range(6):
        check = _step(check, np.zeros(rows, dtype=np.int64))
    check ^= 1
    tail = np.stack([(check >> 5 * (5 - i)) & 31 for i in range(6)], axis=1)
    text = _ALPHABET[np.concatenate([data, tail], axis=1)]
    width = text.shape[1]
    whole = text.tobytes().decode("ascii")
    return [f"{PREFIX}1{whole[i * width : (i + 1) * width]}" for i in range(rows)]


def encode_accounts(programs: NDArray[np.uint8]) -> list[str]:
    """Write accounts of an EVM chain as lower-case hex."""
    return ["0x" + text for text in cut_hex(programs)]


def cut_hex(data: NDArray[np.uint8]) -> list[str]:
    """Write the bytes of each row as hex."""
    width = data.shape[1] * 2
    whole = data.tobytes().hex()
    return [whole[i * width : (i + 1) * width] for i in range(len(data))]


def _step(check: Ints, value: Ints) -> Ints:
    top = check >> 25
    check = ((check & 0x1FFFFFF) << 5) ^ value
    for bit, generator in enumerate(_GENERATORS):
        check = check ^ np.where((top >> bit) & 1 == 1, generator, 0)
    return check
