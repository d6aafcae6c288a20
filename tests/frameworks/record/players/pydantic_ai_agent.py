"""Pydantic AI: an Agent, its spans in format 6."""

from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.usage import UsageLimits

import shop


def instrument(provider: TracerProvider) -> None:
    Agent.instrument_all(InstrumentationSettings(version=6, tracer_provider=provider))


def run(prompt: str) -> object:
    agent = Agent(
        f"openai-chat:{shop.MODEL}",
        name="support",
        instructions=shop.INSTRUCTIONS,
        tools=list(shop.TOOLS),
    )
    limits = UsageLimits(request_limit=shop.STEPS)
    return agent.run_sync(prompt, usage_limits=limits, conversation_id=shop.SESSION).output
