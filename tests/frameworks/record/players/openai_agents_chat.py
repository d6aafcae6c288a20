"""OpenAI Agents SDK: an Agent over chat completions."""

from agents import Agent, Runner, function_tool, set_default_openai_api
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


async def run(prompt: str) -> object:
    set_default_openai_api("chat_completions")
    agent = Agent(
        name="shop",
        model=shop.MODEL,
        instructions=shop.INSTRUCTIONS,
        tools=[function_tool(function) for function in shop.TOOLS],
    )
    return (await Runner.run(agent, prompt, max_turns=shop.STEPS)).final_output
