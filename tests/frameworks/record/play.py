"""Play one run in the environment of its framework: play.py AGENT PROMPT.

Exits with 3 where the framework lets the run die of an exception. Beside the framework it needs
OpenTelemetry's SDK and OTLP exporter only; both are configured by environment variables.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import shop

DIED = 3


def main(name: str, prompt: str) -> int:
    """Instrument the framework, build its agent, let it answer; the exit code."""
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    agent = import_module(f"players.{name}")
    agent.instrument(provider)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        with session():
            answer = agent.run(prompt)
            print(asyncio.run(answer) if inspect.iscoroutine(answer) else answer)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        return DIED
    finally:
        provider.shutdown()
    return 0


def session() -> AbstractContextManager[object]:
    """Whose run it is, for instrumentations of OpenInference; others are told in their agents."""
    try:
        from openinference.instrumentation import using_attributes
    except ImportError:
        return nullcontext()
    return using_attributes(session_id=shop.SESSION, user_id=shop.USER)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
