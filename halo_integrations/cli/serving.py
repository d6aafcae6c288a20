"""The command `mcp`: serve a home to the client that started this process."""

from __future__ import annotations

import sys
from typing import Any

import click

from halo_engine.errors import ConfigError
from halo_integrations.cli.exits import OK
from halo_integrations.context import Context
from halo_integrations.options.run import ProjectOptions

BY_HAND = (
    "This speaks MCP on standard input and output: a client starts it, as in\n"
    "    claude mcp add halo -- halo-integrations mcp\n"
    "Ctrl-D ends it."
)


def serve_home(*, allow_write: bool, **given: Any) -> int:
    """Serve until the client closes standard input.

    Raises ``ConfigError`` without the SDK, and for settings that are not valid.
    """
    options = ProjectOptions(**{name: value for name, value in given.items() if value is not None})
    Context(options).run_settings  # noqa: B018 - what is wrong there is said now, not at every call
    try:
        from halo_integrations.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise ConfigError(
            "The MCP server needs the package mcp, version 2: pip install 'halo-integrations[mcp]'"
        ) from error
    if sys.stdin.isatty():
        click.echo(BY_HAND, err=True)
    serve(options, allow_write=allow_write)
    return OK
