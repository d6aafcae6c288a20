"""Anthropic's client in a loop, instrumented by OpenInference, which marks agent and tools too."""

import anthropic
from openinference.instrumentation import OITracer, TraceConfig
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer

from players.client_loop import TOOLS, with_messages


def instrument(provider: TracerProvider) -> None:
    AnthropicInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    tracer = OITracer(get_tracer("shop"), TraceConfig())
    tools = {name: tracer.tool(function) for name, function in TOOLS.items()}
    create = anthropic.Anthropic(max_retries=1).messages.create

    @tracer.agent(name="shop_agent")
    def answer(question: str) -> str | None:
        return with_messages(create, tools, question)

    return answer(prompt)
