"""A real Phoenix server for tests and the demo, in an environment of its own."""

from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

__all__ = ["EmbeddedPhoenix"]
