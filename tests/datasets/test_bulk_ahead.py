"""Reading ahead: the same items, the same errors, and no thread left behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from datasets.ahead import read_ahead


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_items_arrive_in_order() -> None:
    assert list(read_ahead(range(1000))) == list(range(1000))
    assert list(read_ahead([])) == []
    assert not readers()


def test_what_the_source_raises_arrives_after_its_items() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken off")

    items = read_ahead(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="broken off"):
        next(items)
    assert not readers()


def test_the_source_is_read_at_most_so_far_ahead() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(read_ahead(source(), held=2)) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert len(made) == 4  # one taken, two held, one waiting for room
    assert len(made) == 4


def test_leaving_early_ends_the_source_in_its_own_thread() -> None:
    closed_by = []

    def source() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed_by.append(threading.current_thread().name)

    with closing(read_ahead(source())) as items:
        assert next(items) == 0
    assert closed_by == ["read-ahead"]
    assert not readers()
