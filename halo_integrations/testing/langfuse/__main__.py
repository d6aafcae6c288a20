"""Run the stand-in by itself: ``python -m halo_integrations.testing.langfuse --version v4``."""

from __future__ import annotations

from threading import Event

import click

from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion


@click.command()
@click.option(
    "--version",
    type=click.Choice([version.value for version in LangfuseVersion]),
    default=LangfuseVersion.V4.value,
    show_default=True,
)
@click.option("--port", default=0, show_default=True, help="0: any that is free.")
def serve(version: str, port: int) -> None:
    """Serve an empty Langfuse until Ctrl-C."""
    with LangfuseServer(LangfuseVersion(version), port=port) as server:
        click.echo(f"export LANGFUSE_BASE_URL={server.url}")
        click.echo(f"export LANGFUSE_PUBLIC_KEY={server.public_key}")
        click.echo(f"export LANGFUSE_SECRET_KEY={server.secret_key}")
        Event().wait()


if __name__ == "__main__":
    serve()
