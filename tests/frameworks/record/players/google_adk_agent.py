"""Google ADK: an Agent behind LiteLLM."""

from google.adk.agents import Agent
from google.adk.agents.run_config import RunConfig
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    """Its spans are its own, and go to the global provider."""


async def run(prompt: str) -> object:
    agent = Agent(
        name="support",
        model=LiteLlm(model=f"openai/{shop.MODEL}"),
        instruction=shop.INSTRUCTIONS,
        tools=list(shop.TOOLS),
    )
    runner = InMemoryRunner(agent=agent, app_name="shop")
    await runner.session_service.create_session(
        app_name="shop", user_id=shop.USER, session_id=shop.SESSION
    )
    events = runner.run_async(
        user_id=shop.USER,
        session_id=shop.SESSION,
        new_message=types.Content(role="user", parts=[types.Part(text=prompt)]),
        run_config=RunConfig(max_llm_calls=shop.STEPS),
    )
    return [event.content async for event in events][-1]
