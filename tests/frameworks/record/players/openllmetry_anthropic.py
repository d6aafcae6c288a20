"""Anthropic's client in a loop, instrumented by OpenLLMetry, which marks workflow and tools too."""

import anthropic
from opentelemetry.sdk.trace import TracerProvider
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import tool, workflow

import shop
from players.client_loop import TOOLS, with_messages


def instrument(provider: TracerProvider) -> None:
    """Its spans go to the address that ``TRACELOOP_BASE_URL`` names."""
    Traceloop.init(app_name="shop", disable_batch=True)
    Traceloop.set_association_properties({"session_id": shop.SESSION, "user_id": shop.USER})


def run(prompt: str) -> object:
    tools = {name: tool(name=name)(function) for name, function in TOOLS.items()}
    create = anthropic.Anthropic(max_retries=1).messages.create

    @workflow(name="shop_agent")
    def answer(question: str) -> str | None:
        return with_messages(create, tools, question)

    return answer(prompt)
