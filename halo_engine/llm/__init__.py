"""Chat models, the client that calls them, its budget, and the ledger of its calls."""

from halo_engine.llm.budget import Budget, Limits, Remaining, Spend
from halo_engine.llm.chat import (
    ChatMessage,
    ChatModel,
    Completion,
    Price,
    TokenUsage,
    assistant,
    system,
    user,
)
from halo_engine.llm.client import ModelClient
from halo_engine.llm.ledger import Ledger

__all__ = [
    "Budget",
    "ChatMessage",
    "ChatModel",
    "Completion",
    "Ledger",
    "Limits",
    "ModelClient",
    "Price",
    "Remaining",
    "Spend",
    "TokenUsage",
    "assistant",
    "system",
    "user",
]
