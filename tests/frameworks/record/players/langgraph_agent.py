"""LangChain: an agent on LangGraph whose model streams."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    LangChainInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    agent = create_agent(
        ChatOpenAI(model=shop.MODEL, streaming=True),
        tools=list(shop.TOOLS),
        system_prompt=shop.INSTRUCTIONS,
    )
    state = agent.invoke(
        {"messages": [{"role": "user", "content": prompt}]},
        # It counts the model's and the tools' steps apart.
        {"recursion_limit": 2 * shop.STEPS, "configurable": {"thread_id": shop.SESSION}},
    )
    return state["messages"][-1].content
