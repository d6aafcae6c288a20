"""Sessions of the SDK's own client with ``halo-integrations mcp``, each a process of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.session import ElicitationFnT
from mcp.client.stdio import stdio_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import ElicitRequestParams, ElicitResult, Tool

from halo_cli import QUIET

TOKEN = re.compile(r"token='([^']+)'")
FRAME = re.compile(r"<(data-\w+)>\n(.*)\n</\1>", re.DOTALL)


@dataclass(frozen=True)
class Told:
    """What a tool gave back."""

    text: str
    is_error: bool

    @property
    def said(self) -> str:
        """What stands outside of the delimiters."""
        return FRAME.sub("", self.text)

    @property
    def data(self) -> str:
        """What stands between them."""
        found = FRAME.search(self.text)
        assert found, self.text
        return found[2]

    @property
    def token(self) -> str:
        """The token of a preview."""
        found = TOKEN.search(self.said)
        assert found, self.text
        return found[1]


class McpSession:
    """A client that is connected to a server."""

    def __init__(self, client: Client, portal: BlockingPortal) -> None:
        self._client, self._portal = client, portal

    @property
    def instructions(self) -> str:
        """What the server tells its clients."""
        return self._client.instructions or ""

    def tools(self) -> dict[str, Tool]:
        """The tools that are listed, by name."""
        listed = self._portal.call(self._client.list_tools)
        return {tool.name: tool for tool in listed.tools}

    def __call__(self, name: str, *, progress: ProgressFnT | None = None, **arguments: Any) -> Told:
        """Call a tool, and ask to be told how far it is where there is a ``progress``."""
        result = self._portal.call(self._client.call_tool, name, arguments, None, progress)
        (content,) = result.content
        return Told(content.text, result.is_error)


@dataclass
class Person:
    """A person whom the client asks, and who says yes or no."""

    says_yes: bool
    questions: list[str] = field(default_factory=list)


def asking(person: Person) -> ElicitationFnT:
    """What a client calls to ask ``person``."""

    async def ask(_context: Any, params: ElicitRequestParams) -> ElicitResult:
        person.questions.append(params.message)
        return ElicitResult(action="accept", content={"confirmed": person.says_yes})

    return ask


@contextmanager
def mcp_session(
    home: Path,
    *arguments: str,
    within: Sequence[str] = (),
    mode: str = "auto",
    person: Person | None = None,
    **env: str,
) -> Iterator[McpSession]:
    """A session with a server of ``home``, which the command ``within`` starts.

    ``mode`` is that of the SDK: ``legacy`` begins with the handshake of earlier protocols. Where
    there is a ``person`` the client can ask one.
    """
    own = (sys.executable, "-m", "halo_integrations", "mcp", "--home", str(home))
    command, *rest = (*within, *own, *arguments)
    server = StdioServerParameters(
        command=command, args=rest, env={**QUIET, **env}, cwd=home.parent
    )
    asked = None if person is None else asking(person)
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(
            Client(stdio_client(server), mode=mode, elicitation_callback=asked)
        ) as client:
            yield McpSession(client, portal)
