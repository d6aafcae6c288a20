"""Runs a server as a module, and ends it with its parent process.

This file is run by the Python of the server's own environment, so it imports nothing of this package.
Standard input is a pipe held open by the parent: it ends when the parent does, also by a signal.
The arguments are the server's folder, which is removed then, the module, and its arguments.
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
    _, folder, module, *arguments = sys.argv
    threading.Thread(target=stop_with_parent, args=(folder,), daemon=True).start()
    if module in PREPARATIONS:
        PREPARATIONS[module]()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


def stop_with_parent(folder: str) -> None:
    """Wait for the end of standard input, then remove ``folder`` and stop the server.

    It and the processes that it started get SIGTERM; it ends without further cleaning up after
    ``DRAIN_SECONDS``.
    """
    while os.read(sys.stdin.fileno(), 1024):
        pass
    hard_exit = threading.Timer(DRAIN_SECONDS, os._exit, (1,))
    hard_exit.daemon = True
    hard_exit.start()
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGTERM)


def keep_grpc_on_loopback() -> None:
    """Make every gRPC server bind to 127.0.0.1: Phoenix asks for all interfaces."""
    grpc_aio: Any = importlib.import_module("grpc.aio")
    make_server = grpc_aio.server

    def loopback_server(*args: Any, **kwargs: Any) -> Any:
        server = make_server(*args, **kwargs)
        bind = server.add_insecure_port
        server.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
        return server

    grpc_aio.server = loopback_server


# What some modules need before they run.
PREPARATIONS = {"phoenix.server.main": keep_grpc_on_loopback}


if __name__ == "__main__":
    main()
