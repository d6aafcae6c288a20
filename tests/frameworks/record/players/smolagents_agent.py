"""smolagents: a ToolCallingAgent."""

from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from smolagents import OpenAIModel, ToolCallingAgent, tool

import shop


def instrument(provider: TracerProvider) -> None:
    SmolagentsInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    # Its retries of a rate limit wait a minute each, inside the span of the call.
    model = OpenAIModel(model_id=shop.MODEL, retry=False)
    agent = ToolCallingAgent(
        tools=[tool(function) for function in shop.TOOLS],
        model=model,
        instructions=shop.INSTRUCTIONS,
        max_steps=shop.STEPS,
    )
    return agent.run(prompt)
