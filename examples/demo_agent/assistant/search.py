"""The search of the help centre."""

from __future__ import annotations

from .settings import MIN_SIMILARITY, PASSAGES
from .shop import Shop
from .tracing import Tracing


class HelpCentre:
    """Finds passages of the help centre."""

    def __init__(self, shop: Shop, tracing: Tracing) -> None:
        self.shop = shop
        self.tracing = tracing

    def search(self, query: str) -> list[dict[str, str]]:
        """The passages that are most similar to ``query``, without their scores."""
        with self.tracing.retriever("help_centre_index", query) as span:
            found = [p for p in self.shop.passages(query) if p["score"] >= MIN_SIMILARITY]
            self.tracing.retrieved(span, found[:PASSAGES])
        return [{"id": p["id"], "text": p["text"]} for p in found[:PASSAGES]]
