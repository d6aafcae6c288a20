"""The command line: parse, call a verb, show, exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

from halo_integrations.cli.exits import INTERRUPTED
from halo_integrations.cli.interrupts import handle_interrupts

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    handle_interrupts()
    try:
        from halo_integrations.cli import commands
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    commands.main(arguments)
