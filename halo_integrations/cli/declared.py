"""Commands whose options are declared elsewhere: read when one is parsed or its help is shown."""

from __future__ import annotations

from typing import Any

import click


class DeclaredCommand(click.Command):
    """A command whose options, besides its arguments, come from ``cli.options`` by its name.

    ``{platforms}`` in its help is replaced by the names of the installed platforms.
    """

    def __init__(self, *args: Any, declared_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.declared_name = declared_name

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Arguments first, then the declared options, then ``--help``."""
        from halo_integrations.cli.options import options_of_command

        if not any(isinstance(param, click.Option) for param in self.params):
            self.params += options_of_command(self.declared_name or str(self.name))
        return super().get_params(ctx)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Fill in the platforms."""
        from halo_adapters.registry import platform_names

        platforms = ", ".join(platform_names())
        self.help = (self.help or "").replace("{platforms}", platforms)
        super().format_help_text(ctx, formatter)
