"""Haystack: an Agent in a Pipeline, with its tools."""

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from openinference.instrumentation.haystack import HaystackInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    HaystackInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    agent = Agent(
        chat_generator=OpenAIChatGenerator(model=shop.MODEL),
        tools=[create_tool_from_function(function) for function in shop.TOOLS],
        system_prompt=shop.INSTRUCTIONS,
        max_agent_steps=shop.STEPS,
    )
    pipeline = Pipeline()
    pipeline.add_component("agent", agent)
    done = pipeline.run({"agent": {"messages": [ChatMessage.from_user(prompt)]}})
    return done["agent"]["last_message"].text
