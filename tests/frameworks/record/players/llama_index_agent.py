"""LlamaIndex: a FunctionAgent that does not stream."""

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    LlamaIndexInstrumentor().instrument(tracer_provider=provider)


async def run(prompt: str) -> object:
    agent = FunctionAgent(
        name="support",
        description="Helps customers with their orders.",
        llm=OpenAI(model=shop.MODEL),
        system_prompt=shop.INSTRUCTIONS,
        tools=list(shop.TOOLS),
        streaming=False,
    )
    return str(await agent.run(prompt, max_iterations=shop.STEPS))
