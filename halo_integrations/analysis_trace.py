"""The analysis by a model as an OpenInference trace of its own.

One AGENT span for the analysis, below it an LLM span for each call that was made (answers from the
ledger are no calls) and a TOOL span for each block of code that ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from openinference.instrumentation import (
    OITracer,
    TraceConfig,
    TracerProvider,
    get_input_attributes,
    get_llm_input_message_attributes,
    get_llm_model_name_attributes,
    get_llm_output_message_attributes,
    get_llm_token_count_attributes,
    get_output_attributes,
    get_span_kind_attributes,
)
from openinference.semconv.resource import ResourceAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from halo_engine.llm import Completion
from halo_engine.llm.client import ModelCallRecord
from halo_engine.rlm.events import AnalysisEvent, AnalysisEventKind

PROJECT = "halo-integrations"
QUEUE_SPANS = 100_000


class AnalysisTrace:
    """Records the spans of one analysis below ``root``."""

    def __init__(self, tracer: OITracer, root: Span) -> None:
        self._tracer = tracer
        self._context: Context = set_span_in_context(root)
        self._root = root
        self._began_at = datetime.now(UTC)
        self._answered_at: dict[str, datetime] = {}

    def on_call(self, call: ModelCallRecord) -> None:
        """Record a model call as an LLM span."""
        messages = [{"role": m.role, "content": m.content} for m in call.messages]
        span = self._tracer.start_span(
            call.purpose,
            self._context,
            start_time=call.start_time_unix_nano,
            attributes={
                **get_span_kind_attributes("llm"),
                **get_llm_model_name_attributes(call.model),
                **get_llm_input_message_attributes(messages),  # type: ignore[arg-type]
            },
        )
        if call.answer:
            output = [answer_message(call.answer)]
            span.set_attributes(get_llm_output_message_attributes(output))  # type: ignore[arg-type]
            usage = call.answer.usage
            if usage:
                span.set_attributes(
                    get_llm_token_count_attributes(
                        {
                            "prompt": usage.prompt,
                            "completion": usage.completion,
                            "total": usage.total,
                        }
                    )
                )
        if call.error:
            span.set_status(Status(StatusCode.ERROR, call.error))
        span.end(call.end_time_unix_nano)

    def on_event(self, event: AnalysisEvent) -> None:
        """Record an event of a loop; several can run at the same time."""
        if event.kind is AnalysisEventKind.ANSWERED:
            self._answered_at[event.part] = event.at
        elif event.kind is AnalysisEventKind.RAN:
            self._ran(event)
        elif event.kind is AnalysisEventKind.ENDED and not event.part:
            self._root.set_attributes(get_output_attributes(str(event.data["why"])))

    def _ran(self, event: AnalysisEvent) -> None:
        output, error = event.data["output"], event.data["error"]
        attributes = {
            **get_span_kind_attributes("tool"),
            **get_input_attributes(event.data["code"]),
            **get_output_attributes(output),
            "tool.name": "python",
        }
        start = unix_nanoseconds(self._answered_at.get(event.part, self._began_at))
        name = f"{event.part} turn {event.turn}".lstrip()
        span = self._tracer.start_span(name, self._context, start_time=start, attributes=attributes)
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(unix_nanoseconds(event.at))


def answer_message(answer: Completion) -> dict[str, Any]:
    """An answer as a message of OpenInference."""
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
        for call in answer.calls
    ]
    return {"role": "assistant", "content": answer.text, "tool_calls": calls}


def unix_nanoseconds(moment: datetime) -> int:
    """``moment`` in nanoseconds since 1970."""
    return int(moment.timestamp() * 1_000_000) * 1000


@contextmanager
def traced(
    exporter: SpanExporter | None, run_id: str, question: str | None
) -> Iterator[AnalysisTrace | None]:
    """The trace of the analysis of a run, exported when the block ends; None without ``exporter``."""
    if exporter is None:
        yield None
        return
    resource = {ResourceAttributes.PROJECT_NAME: PROJECT, "service.name": PROJECT}
    provider = TracerProvider(
        resource=Resource(resource),
        config=TraceConfig(hide_inputs=False, hide_outputs=False),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS))
    tracer = provider.get_tracer(__name__)
    attributes = {
        **get_span_kind_attributes("agent"),
        **get_input_attributes(question or "What goes wrong again and again?"),
        "session.id": run_id,
    }
    root = tracer.start_span("halo analysis", attributes=attributes)
    try:
        yield AnalysisTrace(tracer, root)
    finally:
        root.end()
        provider.shutdown()
