"""Pydantic AI: the same agent, its spans read by the processor of OpenInference."""

from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent

from players.pydantic_ai_agent import run

__all__ = ["instrument", "run"]


def instrument(provider: TracerProvider) -> None:
    provider.add_span_processor(OpenInferenceSpanProcessor())
    Agent.instrument_all()
