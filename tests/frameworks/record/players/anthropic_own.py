"""Anthropic's client in a loop, with the spans of the client itself: one span around the run."""

import anthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer

from players.client_loop import TOOLS, with_messages


def instrument(provider: TracerProvider) -> None:
    """The client's spans are its own, their content switched on by an environment variable."""


def run(prompt: str) -> object:
    with get_tracer("shop").start_as_current_span("shop_agent"):
        return with_messages(anthropic.Anthropic(max_retries=1).messages.create, TOOLS, prompt)
