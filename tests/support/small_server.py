"""A server that starts at once, run as those of platforms are."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from halo_integrations.testing.embedded.environment import ServerPackage
from halo_integrations.testing.embedded.server import LOOPBACK, EmbeddedServer


class SmallServer(EmbeddedServer):
    """The server of files in the standard library; it serves its own folder."""

    package = ServerPackage("Small", (), label="small", variable="HALO_SMALL_ENV", megabytes=0)
    ready_path = "/"
    hidden_settings = ("SMALL_",)

    def __init__(self) -> None:
        super().__init__(Path(sys.executable))

    def command(self, folder: Path) -> Sequence[str]:
        """The module to run, and its arguments."""
        return ["http.server", str(self.port), "--bind", LOOPBACK, "--directory", str(folder)]

    def settings(self, folder: Path) -> Mapping[str, str]:
        """Nothing: it has no settings."""
        return {}


def serve_until_a_signal() -> None:
    """Start a server, print its port, and wait."""
    with SmallServer() as server:
        print(server.port, flush=True)
        signal.pause()
