"""Tools that Pydantic AI puts off, for a person to approve them or to be run elsewhere.

The run ends then with the calls that wait. Hand-written spans, with the attributes of its format 5.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from exports.otlp_json import group, key_values, otlp_spans
from exports.run import START, Row
from halo_engine.detectors.registry import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.schema import SpanKind
from halo_engine.store import TraceStore
from trace_files import pages, spans, written

ARGUMENTS = '{"order_id":"A-17"}'
ASKED = {"role": "user", "parts": [{"type": "text", "content": "Refund order A-17."}]}
CALLED = {
    "role": "assistant",
    "parts": [{"type": "tool_call", "id": "c1", "name": "refund_order", "arguments": ARGUMENTS}],
    "finish_reason": "tool_call",
}
WAITING = {"tool_name": "refund_order", "args": ARGUMENTS, "tool_call_id": "c1"}
MODEL_CALL: Row = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.input.messages": json.dumps([ASKED]),
    "gen_ai.output.messages": json.dumps([CALLED]),
    "gen_ai.response.finish_reasons": '["tool_call"]',
}
PUT_OFF: Row = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "refund_order",
    "gen_ai.tool.call.id": "c1",
    "gen_ai.tool.call.arguments": ARGUMENTS,
    "pydantic_ai.tool.deferral.name": "ApprovalRequired",
    "logfire.msg": "running tool: refund_order",
}


def run_of(result: Row) -> Row:
    """The attributes of the agent whose run ended with ``result``."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "agent_name": "support",
        "final_result": json.dumps(result),
        "pydantic_ai.all_messages": json.dumps([ASKED, CALLED]),
    }


APPROVAL = [run_of({"calls": [], "approvals": [WAITING]}), MODEL_CALL, PUT_OFF]
ELSEWHERE = [run_of({"calls": [WAITING], "approvals": []}), MODEL_CALL]
# Another run, in which a tool ran: only then a call can be said to have no answer.
ANSWERED: list[Row] = [
    {**run_of({}), "final_result": "Refunded."},
    MODEL_CALL,
    {**PUT_OFF, "gen_ai.tool.call.result": "done", "pydantic_ai.tool.deferral.name": ""},
    {**MODEL_CALL, "gen_ai.output.messages": '[{"role":"assistant","parts":[]}]'},
]


def spans_of(trace: str, recorded: list[Row]) -> list[Row]:
    """Spans of one trace with these attributes, the first above the others."""
    return [
        {**span, "traceId": trace, "status": {}, "attributes": key_values(attributes)}
        for span, attributes in zip(otlp_spans(), recorded, strict=False)
    ]


UNTOLD = [{k: v for k, v in run_of({}).items() if k != "final_result"}, MODEL_CALL, PUT_OFF]


@pytest.mark.parametrize(
    "waiting", [APPROVAL, ELSEWHERE, UNTOLD], ids=["for approval", "elsewhere", "without a result"]
)
def test_a_run_whose_tool_is_put_off_has_not_failed(waiting: list[Row], tmp_path: Path) -> None:
    rows = [*spans_of("a" * 32, waiting), *spans_of("b" * 32, ANSWERED)]
    path = written(tmp_path, [{"resourceSpans": [group(rows)]}])
    assert [s.kind for s in spans(pages(path)) if s.parent_span_id is None] == [SpanKind.AGENT] * 2
    with TraceStore(tmp_path / "traces") as store:
        for page in pages(path):
            store.ingest(page.traces)
        report = run_detectors(store, load_detectors(), read_at=START + timedelta(days=1))
    affected = {a.trace_id for finding in report.findings for a in finding.affected}
    assert "a" * 32 not in affected
