"""Models that answer chat messages, and what a call of one costs and leaves behind."""

from halo_engine.models.base import (
    ChatMessage,
    ChatModel,
    Completion,
    Price,
    TokenUsage,
    assistant,
    system,
    user,
)
from halo_engine.models.budget import Budget, Limits, Spent
from halo_engine.models.calls import Calls
from halo_engine.models.ledger import Ledger

__all__ = [
    "Budget",
    "Calls",
    "ChatMessage",
    "ChatModel",
    "Completion",
    "Ledger",
    "Limits",
    "Price",
    "Spent",
    "TokenUsage",
    "assistant",
    "system",
    "user",
]
