"""Google ADK: the same agent, instrumented by OpenInference."""

from openinference.instrumentation.google_adk import GoogleADKInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from players.google_adk_agent import run

__all__ = ["instrument", "run"]


def instrument(provider: TracerProvider) -> None:
    GoogleADKInstrumentor().instrument(tracer_provider=provider)
