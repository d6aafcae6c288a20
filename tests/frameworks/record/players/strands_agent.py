"""Strands: an Agent that streams."""

from opentelemetry.sdk.trace import TracerProvider
from strands import Agent, tool
from strands.models.openai import OpenAIModel

import shop


def instrument(provider: TracerProvider) -> None:
    """Its spans are its own, and go to the global provider."""


def run(prompt: str) -> object:
    agent = Agent(
        name="support",
        model=OpenAIModel(model_id=shop.MODEL),
        system_prompt=shop.INSTRUCTIONS,
        tools=[tool(function) for function in shop.TOOLS],
        callback_handler=None,
        trace_attributes={"session.id": shop.SESSION, "user.id": shop.USER},
    )
    return str(agent(prompt, limits={"turns": shop.STEPS}))
