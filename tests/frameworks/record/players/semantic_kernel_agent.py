"""Semantic Kernel: a ChatCompletionAgent with a plugin."""

from opentelemetry.sdk.trace import TracerProvider
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

import shop


class Orders:
    """The tools of the shop as a plugin."""

    @kernel_function(description="Look up an order.")
    def get_order(self, order_id: str) -> dict[str, str]:
        return shop.get_order(order_id)

    @kernel_function(description="Cancel an order.")
    def cancel_order(self, order_id: str) -> dict[str, str]:
        return shop.cancel_order(order_id)

    @kernel_function(description="Refund an order.")
    def refund_order(self, order_id: str, amount: float) -> dict[str, str]:
        return shop.refund_order(order_id, amount)


def instrument(provider: TracerProvider) -> None:
    """Its spans are its own, switched on by an environment variable."""


async def run(prompt: str) -> object:
    agent = ChatCompletionAgent(
        service=OpenAIChatCompletion(ai_model_id=shop.MODEL),
        name="support",
        instructions=shop.INSTRUCTIONS,
        plugins=[Orders()],
        function_choice_behavior=FunctionChoiceBehavior.Auto(
            maximum_auto_invoke_attempts=shop.STEPS
        ),
    )
    return str(await agent.get_response(messages=prompt))
