"""The search of the help centre."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from .settings import PASSAGES, SEARCH_TIMEOUT

log = logging.getLogger(__name__)


class Index(Protocol):
    """A vector index of passages."""

    def query(self, text: str, limit: int, timeout: float) -> Sequence[dict[str, Any]]: ...


class HelpCentre:
    """Finds passages of the help centre."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def search(self, query: str) -> list[dict[str, Any]]:
        """The passages that are nearest to ``query``, without their scores."""
        try:
            found = self.index.query(query.strip(), PASSAGES, SEARCH_TIMEOUT)
        except TimeoutError:
            log.warning("The index did not answer in time: %s", query)
            return []
        return [{"id": passage["id"], "text": passage["text"]} for passage in found]
