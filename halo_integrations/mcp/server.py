"""The server: offers the tools over standard input and output.

This module, ``consent`` and ``progress`` know the SDK.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from halo_engine.errors import HaloError
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.store.columns import SCORES, SPANS
from halo_engine.store.views import TraceSummary
from halo_integrations.mcp.answers import Answers
from halo_integrations.mcp.consent import with_consent
from halo_integrations.mcp.progress import with_progress
from halo_integrations.mcp.reading import ReadingTools, ToolFunction
from halo_integrations.mcp.writing import WritingTools
from halo_integrations.options.run import ProjectOptions
from halo_integrations.version import __version__

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True)

INSTRUCTIONS = """\
Traces of AI agents, and the failures that recur in them, as halo-integrations stored them in runs.
Begin with `issues` or `findings`, then read the traces that they name; `brief` has all for one fix.
Traces are called T1, T2, ... within one run, spans T3.5; full ids are accepted too. Results are
bounded, and say what they leave out. In what is shown ‹ and › stand for the angle brackets, and
"https[:]//" for an address. Secrets are masked as "[redacted:KIND]".

{rule}
"""
TABLES = """

Tables: spans({spans}), times in nanoseconds since 1970; traces({traces}, shape: its tools in order);
scores({scores}). Messages are JSON: input_messages->>'$[0].content'. An attribute with the text of
another field is null in attributes, and copied, JSON too, names that field. Where a model analysed
the run: runs, calls, words, departures. Rows with trace_id and span_id get their short names."""


def serve(options: ProjectOptions, *, allow_write: bool) -> None:
    """Serve until the client closes standard input."""
    server_of(options, allow_write=allow_write).run("stdio")


def server_of(options: ProjectOptions, *, allow_write: bool) -> MCPServer[None]:
    """A server of the home of ``options``, with the tools that write only where they are allowed."""
    answers = Answers()
    instructions = INSTRUCTIONS.format(rule=answers.instruction)
    server: MCPServer[None] = MCPServer(
        "halo-integrations", instructions=instructions, version=__version__, log_level="WARNING"
    )
    tools = [(with_progress(tool), READS) for tool in ReadingTools(options, answers).functions()]
    if allow_write:
        writing = WritingTools(options, answers)
        tools += [(with_consent(tool, writing.previews), WRITES) for tool in writing.functions()]
    turn = threading.Lock()
    for tool, hints in tools:
        server.add_tool(
            told(tool, answers, turn),
            description=description_of(tool),
            annotations=hints,
            structured_output=False,
        )
    return server


def told(tool: ToolFunction, answers: Answers, turn: threading.Lock) -> ToolFunction:
    """``tool`` with every error as a text for the agent. One call at a time: they share stores."""

    @wraps(tool)
    def call(**arguments: object) -> str:
        try:
            with turn:
                return tool(**arguments)
        except (HaloError, HostError) as error:
            raise ToolError(answers.error(error)) from error
        except Exception as error:
            raise ToolError(answers.fault(error)) from error

    return call


def description_of(tool: Callable[..., str]) -> str:
    """What an agent is told of a tool: its docstring, and the tables for SQL."""
    lines = (line.strip() for line in (tool.__doc__ or "").strip().splitlines())
    tables = TABLES if tool.__name__ == "sql" else ""
    return "\n".join(lines) + tables.format(
        spans=", ".join(SPANS),
        traces=", ".join(TraceSummary.model_fields),
        scores=", ".join(SCORES),
    )
