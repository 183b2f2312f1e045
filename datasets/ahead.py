"""Reading ahead: the next batches of a source are decoded while the last one is written."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_WAIT_SECONDS = 0.1  # between looks at whether the other side has gone


class _End:
    """The end of the source, or what it raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(source: Iterable[T], *, held: int = 1) -> Generator[T, None, None]:
    """Pass the items of a source on, read by a thread of its own, at most `held` of them waiting.

    What the source raises is raised here, after the items before it. When this iterator is closed, whatever
    the reason, the source is left after its present item and its thread has ended.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(maxsize=held)
    gone = threading.Event()

    def put(item: T | _End) -> bool:
        while not gone.is_set():
            try:
                waiting.put(item, timeout=_WAIT_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        items = iter(source)
        end = _End(None)
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001  (raised again on the other side)
            end = _End(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()  # in this thread, so that what the source holds is let go of where it was opened
        put(end)

    reader = threading.Thread(target=run, name="read-ahead", daemon=True)
    reader.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        gone.set()
        reader.join()
