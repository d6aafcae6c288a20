"""The spans that the Model Context Protocol's SDK and FastMCP write of its requests.

The run of a tool is up to three spans, one in the other: FastMCP's client, the SDK's request
("MCP send tools/call NAME"), and the server. Each is read as a run of the tool, since any of them may
be the only one recorded; where one is in the other they are one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.dialects.base import Dialect, RawSpan
from halo_adapters.json_values import name_of
from halo_engine.schema import SpanKind

METHOD = "mcp.method.name"
CALL_METHOD = "tools/call"


class MCP(Dialect):
    """Attributes named ``mcp.*``."""

    name = "mcp"
    rank = 250

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether a method of the protocol is named."""
        return METHOD in attributes

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tool that a request calls, by the name of the span."""
        _, is_call, tool = (span.name or "").partition(f"{CALL_METHOD} ")
        if not is_call or span.attributes[METHOD] != CALL_METHOD:
            return {}
        return {"kind": SpanKind.TOOL, "tool_name": name_of(tool)}
