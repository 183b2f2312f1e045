"""Run the service on a socket."""

import socket
from typing import TYPE_CHECKING

from chains.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port` (0: a free one). Raises InputError where that cannot be."""
    try:
        # With its protocol named, asyncio answers without waiting for the acknowledgement of the last packet.
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)  # from here on callers wait in line instead of being turned away
    except OSError as error:
        listener.close()
        why = f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with --port"
        raise InputError(why) from error
    return listener


def run_server(app: "FastAPI", listener: socket.socket) -> None:
    """Answer requests on `listener` until the process is told to stop."""
    import uvicorn

    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
