"""Starts a Phoenix server that only this machine sees and that never outlives its parent.

This file is run by the Python of Phoenix's own environment, so it imports nothing of this package.
Standard input is a pipe held open by the parent: it ends when the parent is gone, however it went.
The only argument is the server's folder, removed in that case.
"""

from __future__ import annotations

import importlib
import os
import runpy
import shutil
import signal
import sys
import threading
from typing import Any

DRAIN_SECONDS = 15.0


def main() -> None:
    """Serve until SIGTERM, or until standard input ends."""
    threading.Thread(target=stop_with_parent, args=(sys.argv[1],), daemon=True).start()
    keep_grpc_on_loopback()
    sys.argv = ["phoenix", "serve"]
    runpy.run_module("phoenix.server.main", run_name="__main__")


def stop_with_parent(folder: str) -> None:
    """Wait for the end of standard input, then leave nothing: neither ``folder`` nor the server.

    The server is asked to stop, and made to after a while.
    """
    while os.read(sys.stdin.fileno(), 1024):
        pass
    last_resort = threading.Timer(DRAIN_SECONDS, os._exit, (1,))
    last_resort.daemon = True
    last_resort.start()
    shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)


def keep_grpc_on_loopback() -> None:
    """Have every gRPC server bind to 127.0.0.1: Phoenix always asks for every interface."""
    grpc_aio: Any = importlib.import_module("grpc.aio")
    make_server = grpc_aio.server

    def loopback_server(*args: Any, **kwargs: Any) -> Any:
        server = make_server(*args, **kwargs)
        bind = server.add_insecure_port
        server.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
        return server

    grpc_aio.server = loopback_server


if __name__ == "__main__":
    main()
