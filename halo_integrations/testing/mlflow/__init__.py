"""A real MLflow server for tests, in an environment of its own."""

from halo_integrations.testing.mlflow.server import EmbeddedMLflow

__all__ = ["EmbeddedMLflow"]
