"""A real Phoenix server for the demo and the tests."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from halo_integrations.testing.embedded.environment import Progress, ServerPackage, no_progress
from halo_integrations.testing.embedded.server import (
    LOOPBACK,
    START_SECONDS,
    EmbeddedServer,
    free_ports,
)

PHOENIX = ServerPackage(
    title="Phoenix",
    requirements=("arize-phoenix>=20,<21",),
    label="phoenix-20",
    variable="HALO_PHOENIX_ENV",
    megabytes=850,
)


class EmbeddedPhoenix(EmbeddedServer):
    """A Phoenix server that lives as long as the ``with`` block.

    With ``auth`` it refuses requests without ``api_key``.
    """

    package = PHOENIX
    ready_path = "/readyz"  # which includes its database
    hidden_settings = ("PHOENIX_", "OTEL_")

    def __init__(
        self,
        python: Path | None = None,
        *,
        auth: bool = False,
        start_seconds: float = START_SECONDS,
        progress: Progress = no_progress,
    ) -> None:
        """``python`` is an interpreter that has Phoenix; None: made when it is needed."""
        super().__init__(python, start_seconds=start_seconds, progress=progress)
        self.api_key = f"a1{secrets.token_hex(32)}" if auth else None
        self.grpc_port = 0

    def choose_ports(self) -> None:
        """Choose the ports for HTTP and gRPC."""
        self.port, self.grpc_port = free_ports(2)

    def command(self, folder: Path) -> Sequence[str]:
        """The module to run, and its arguments."""
        return ["phoenix.server.main", "serve"]

    def settings(self, folder: Path) -> Mapping[str, str]:
        """The server's own environment variables."""
        return {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": LOOPBACK,
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self.grpc_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            **self.auth_settings(),
        }

    def auth_settings(self) -> dict[str, str]:
        """The variables that switch authentication on, with the admin secret as the API key."""
        if self.api_key is None:
            return {}
        return {
            "PHOENIX_ENABLE_AUTH": "true",
            "PHOENIX_SECRET": f"s1{secrets.token_hex(32)}",
            "PHOENIX_ADMIN_SECRET": self.api_key,
        }
