"""Objects that hold spans, or what holds spans, in any other format.

Answers of APIs put them below ``data`` or ``result``, downloads below ``spans`` or ``trace``: what
stands around is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.json_values import JsonObject

HOLDERS = ("data", "spans", "traces", "trace", "result", "results", "runs", "items")


class Wrappers:
    """An object around a list of spans, as the ``px`` command, any-agent and APIs write it."""

    title = "these in a list, or below " + ", ".join(HOLDERS[:3])

    def recognises(self, value: JsonObject) -> bool:
        """Whether there is a list, or an object, under one of the names."""
        return any(isinstance(value.get(name), list | dict) for name in HOLDERS)

    def rows(self, value: JsonObject) -> Iterator[list[Any]]:
        """What is held."""
        held = (value.get(name) for name in HOLDERS)
        for inner in held:
            if isinstance(inner, list | dict):
                yield inner if isinstance(inner, list) else [inner]
