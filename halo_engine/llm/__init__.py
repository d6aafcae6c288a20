"""Models that answer chat messages, and what a call of one costs and leaves behind."""

from halo_engine.llm.budget import Budget, Limits, Spent
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
    "Spent",
    "TokenUsage",
    "assistant",
    "system",
    "user",
]
