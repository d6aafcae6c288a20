"""The command line: parse, call a verb, show, exit code."""

from halo_integrations.cli.commands import main

__all__ = ["main"]
