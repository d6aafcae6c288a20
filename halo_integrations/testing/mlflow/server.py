"""A real MLflow server for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from halo_integrations.testing.embedded.environment import ServerPackage
from halo_integrations.testing.embedded.server import LOOPBACK, EmbeddedServer

MLFLOW = ServerPackage(
    title="MLflow",
    requirements=("mlflow>=3.17,<4", "openai>=2"),
    label="mlflow-3",
    variable="HALO_MLFLOW_ENV",
    megabytes=850,
)


class EmbeddedMLflow(EmbeddedServer):
    """An MLflow server that lives as long as the ``with`` block."""

    package = MLFLOW
    ready_path = "/health"
    hidden_settings = ("MLFLOW_", "_MLFLOW_", "OTEL_")

    def command(self, folder: Path) -> Sequence[str]:
        """The module to run, and its arguments."""
        address = ["--host", LOOPBACK, "--port", str(self.port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        return ["mlflow", "server", *address, *store, "--artifacts-destination", f"{folder}/files"]

    def settings(self, folder: Path) -> Mapping[str, str]:
        """The server's own environment variables."""
        return {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
