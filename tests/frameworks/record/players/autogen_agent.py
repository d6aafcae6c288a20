"""AutoGen: an AssistantAgent."""

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    AutogenAgentChatInstrumentor().instrument(tracer_provider=provider)


async def run(prompt: str) -> object:
    agent = AssistantAgent(
        "support",
        model_client=OpenAIChatCompletionClient(model=shop.MODEL),
        tools=list(shop.TOOLS),
        system_message=shop.INSTRUCTIONS,
        max_tool_iterations=shop.STEPS,
        reflect_on_tool_use=True,
    )
    return (await agent.run(task=prompt)).messages[-1].to_text()
