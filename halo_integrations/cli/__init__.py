"""The command line: parse, call a verb, show, exit code."""

from halo_integrations.cli.main import main

__all__ = ["main"]
