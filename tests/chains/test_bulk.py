"""Whole columns give the same answers as one address, hash or time at a time."""

import random
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from chains.address import canonical_address
from chains.bulk import canonical_addresses, decode_hashes, utc_times
from chains.encoding import (
    BASE58,
    BECH32,
    BECH32M_CHECK,
    encode_base58check,
    encode_bech32,
    encode_segwit,
)
from chains.errors import AddressError
from chains.registry import Chain, find_chain


def one_at_a_time(text: str, chain: Chain) -> str | None:
    try:
        return canonical_address(text.strip(), chain)
    except AddressError:
        return None


def addresses(numbers: random.Random) -> list[str]:
    found = []
    for _ in range(150):
        digest = numbers.randbytes(20)
        zeros = bytes(numbers.randrange(20)) + digest
        found += [
            encode_base58check(version + digest) for version in (b"\x00", b"\x05", b"\x30", b"\x41", b"\x6f")
        ]
        found += [encode_base58check(b"\x00" + zeros[:20]), encode_base58check(b"\x00" + digest + b"\x01")]
        found += [encode_segwit(hrp, 0, digest) for hrp in ("bc", "ltc", "sim")]
        found += [encode_segwit("bc", version, numbers.randbytes(32)) for version in (0, 1, 2, 16)]
        found += ["0x" + digest.hex(), "0x" + digest.hex().upper()]
    return found


@pytest.mark.parametrize(
    "name", ["bitcoin", "litecoin", "simulated-utxo", "tron", "ethereum", "payments:bank"]
)
def test_a_column_of_addresses_is_read_as_each_alone(name: str) -> None:
    chain, numbers = find_chain(name), random.Random(11)  # noqa: S311  (a fixed series, not a secret)
    texts = addresses(numbers)
    damaged = []
    for text in texts:
        place = numbers.randrange(len(text))
        damaged.append(text[:place] + numbers.choice(BASE58) + text[place + 1 :])
    longer = ["1" + text for text in texts] + [text[1:] for text in texts]
    column = [*texts, *damaged, *longer, " " + texts[0], texts[0].upper(), "", "é" * 34, "1" * 34]
    expected = [one_at_a_time(text, chain) for text in column]
    found, broken = canonical_addresses(pa.array([*column, None]), chain)
    assert found.to_pylist() == [*expected, None]
    assert broken.tolist() == [*(text is None for text in expected), False]
    assert any(expected)


def test_padding_bits_that_are_not_zero_break_an_address() -> None:
    text = encode_segwit("bc", 1, bytes(32))
    # Same data with one padding bit set, and the checksum made anew.
    values = [BECH32.index(c) for c in text[3:-6]]
    padded = encode_bech32("bc", [*values[:-1], values[-1] | 1], BECH32M_CHECK)
    _, broken = canonical_addresses(pa.array([text, padded]), find_chain("bitcoin"))
    assert broken.tolist() == [False, True]


@pytest.mark.parametrize("size", [20, 32])
def test_a_witness_version_above_16_breaks_an_address_whose_checksum_holds(size: int) -> None:
    bitcoin = find_chain("bitcoin")
    program = [BECH32.index(c) for c in encode_segwit("bc", 16, bytes(range(size)))[4:-6]]
    texts = [encode_bech32("bc", [version, *program], BECH32M_CHECK) for version in range(1, 32)]
    found, broken = canonical_addresses(pa.array(texts), bitcoin)
    assert broken.tolist() == [version > 16 for version in range(1, 32)]
    assert found.to_pylist() == [one_at_a_time(text, bitcoin) for text in texts]


def test_nothing_is_read_from_an_empty_column() -> None:
    found, broken = canonical_addresses(pa.array([], pa.string()), find_chain("bitcoin"))
    assert len(found) == len(broken) == 0
    found, broken = canonical_addresses(pa.array([None, None], pa.string()), find_chain("bitcoin"))
    assert found.null_count == 2
    assert not broken.any()


def test_hashes_are_64_hex_digits() -> None:
    texts = ["ab" * 32, "AB" * 32, "ab" * 31, "zz" * 32, None, "ab " * 21 + "a", "0x" + "ab" * 31]
    found, good = decode_hashes(pa.array(texts, pa.string()))
    assert good.tolist() == [True, True, False, False, False, False, False]
    assert found.to_pylist() == [b"\xab" * 32] * 2 + [None] * 5
    sliced, good = decode_hashes(pa.array(["00" * 32, "cd" * 32, "ab" * 32]).slice(1))
    assert sliced.to_pylist() == [b"\xcd" * 32, b"\xab" * 32]
    assert good.all()


def test_times_are_naive_utc_within_two_centuries() -> None:
    noon = datetime(2023, 5, 6, 12, tzinfo=UTC)
    plain = datetime(2023, 5, 6, 12)  # noqa: DTZ001  (times inside have no zone)
    columns = [
        pa.array([noon], pa.timestamp("us", tz="Asia/Almaty")),
        pa.array([plain], pa.timestamp("ms")),
        pa.array([1683374400]),
        pa.array([1683374400], pa.uint32()),
    ]
    for column in columns:
        times, good = utc_times(column)
        assert times.to_pylist() == [plain]
        assert good.all()
    times, good = utc_times(pa.array([-1, None, 2**62, 1683374400000]))
    assert times.null_count == 4
    assert not good.any()
    nanos = pa.array(np.array([1683374400123456789], "datetime64[ns]"))
    assert utc_times(nanos)[0][0].as_py() == plain.replace(microsecond=123456)
    assert utc_times(pa.array([date(2023, 5, 6)]))[0][0].as_py() == plain.replace(hour=0)
