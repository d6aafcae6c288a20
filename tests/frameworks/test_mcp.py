"""Requests of the Model Context Protocol, as FastMCP and the SDK below it trace them."""

from __future__ import annotations

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span, SpanKind
from recordings import kinds, recorded


def request(name: str, method: str) -> Span:
    """A request as the SDK's client records it."""
    return span_from_attributes(
        trace_id="t", span_id="s", name=name, attributes={"mcp.method.name": method}
    )


def test_client_request_and_server_are_runs_of_the_tool() -> None:
    trace = recorded("oi-mcp", "ok")
    runs = [span for span in trace.spans if span.kind is SpanKind.TOOL]
    assert [span.name for span in runs] == [
        "tools/call get_order",
        "MCP send tools/call get_order",
        "tools/call get_order",
    ]
    assert {span.tool_name for span in runs} == {"get_order"}
    assert kinds(trace)[0] == ("shop_agent", "AGENT")


def test_other_requests_are_no_runs_of_tools() -> None:
    for method in ("tools/list", "initialize", "prompts/get"):
        assert request(f"MCP send {method} x", method).kind is None


def test_a_tool_may_have_any_name() -> None:
    span = request("MCP send tools/call look up/orders", "tools/call")
    assert (span.kind, span.tool_name) == (SpanKind.TOOL, "look up/orders")
