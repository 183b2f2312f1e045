"""A real service on a free port of this machine, for one test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from api.access import utc_now
from api.app import create_app
from api.server import bind_socket
from api.settings import Settings
from datasets.records.keys import create_key
from datasets.records.store import open_records


def make_key(settings: Settings, name: str = "bank") -> tuple[str, str]:
    """Return a new key and its id."""
    with open_records(settings.records) as records:
        key, caller = create_key(records, name, now=utc_now())
    return key, caller.id


@contextmanager
def serving(settings: Settings, app: FastAPI | None = None) -> Iterator[httpx.Client]:
    """Give a client with a key of the running service."""
    key, _ = make_key(settings)
    app = app or create_app(settings)
    with bind_socket("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
