"""LiteLLM in a loop, recorded by its own callback for OpenTelemetry."""

import time

import litellm
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer

from players.client_loop import TOOLS, with_chat


def instrument(provider: TracerProvider) -> None:
    litellm.callbacks = ["otel"]


def run(prompt: str) -> object:
    with get_tracer("shop").start_as_current_span("shop_agent"):
        answer = with_chat(litellm.completion, TOOLS, prompt)
        # The callback writes from a thread of its own, after the call.
        time.sleep(2)
        return answer
