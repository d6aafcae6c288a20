"""Agno: an Agent with a limit of tool calls, as it has none of steps."""

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from openinference.instrumentation.agno import AgnoInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    AgnoInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    agent = Agent(
        name="support",
        model=OpenAIChat(id=shop.MODEL),
        instructions=shop.INSTRUCTIONS,
        tools=list(shop.TOOLS),
        tool_call_limit=shop.STEPS,
    )
    return agent.run(prompt, session_id=shop.SESSION, user_id=shop.USER).content
