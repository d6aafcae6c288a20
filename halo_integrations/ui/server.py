"""``ui``: serves the pages on this machine until Ctrl-C."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import web

from halo_engine.errors import ConfigError
from halo_integrations.cli.exits import OK
from halo_integrations.cli.terminal import Terminal
from halo_integrations.ui.guard import Guard
from halo_integrations.ui.views import Views, told_errors

HOST = "127.0.0.1"


def app_of(options: dict[str, Any], guard: Guard) -> web.Application:
    """The application over the home that ``options`` name."""
    app = web.Application(middlewares=[guard.middleware, told_errors])
    app.add_routes(Views(options, guard).routes())
    return app


def serve_pages(*, port: int, **options: Any) -> int:
    """Serve the home on loopback, and print the link to it; returns at Ctrl-C.

    Raises ``ConfigError`` where the port is taken.
    """
    with listening(port) as listener:
        guard = Guard(listener.getsockname()[1])
        address = f"http://{HOST}:{listener.getsockname()[1]}/?token={guard.token}"
        terminal = Terminal(as_json=False)
        terminal.out.print(address, soft_wrap=True, markup=False)
        terminal.info("Open this link; it is for you only. Ctrl-C ends the server.")
        web.run_app(app_of(options, guard), sock=listener, print=None)
    return OK


def listening(port: int) -> socket.socket:
    """A socket on loopback, on ``port`` (0: any that is free); ``ConfigError`` if it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Port {port} of this machine cannot be used ({error.strerror}): give another with "
            f"--port, or 0 for any that is free."
        ) from error
    return listener
