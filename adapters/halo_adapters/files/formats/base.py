"""``Format``: the protocol between one way of writing spans and the reading of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from halo_adapters.files.asides import Aside
from halo_adapters.files.mapping import Place, read_span_object
from halo_adapters.files.records import Problem
from halo_adapters.json_values import JsonObject, integer_of, number_of
from halo_engine.schema import Span

# Reads a row, given its resource and the place where it stands.
ReadRow = Callable[[Any, JsonObject | None, Place], Iterable[Span | Problem]]


class SpanRow(NamedTuple):
    """What one span is read from, and the function that does it.

    ``resource`` are the attributes of its resource where a format keeps them apart from the span,
    else None.
    """

    row: Any
    resource: JsonObject | None = None
    read: ReadRow = read_span_object


class Format(Protocol):
    """One way of writing spans as JSON objects. ``title`` is its name in a list of formats."""

    title: str

    def recognises(self, value: JsonObject) -> bool:
        """Whether ``value`` is a span in this format, or holds some. Cheap: it looks at keys."""

    def rows(self, value: JsonObject) -> Iterable[SpanRow | Aside | Problem | list[Any]]:
        """The spans in ``value``, which this format recognises; a list is of values in any format.

        Nothing in ``value`` makes it raise.
        """


def ended_after(start: Any, duration: Any) -> Any:
    """The end of what starts at ``start`` and takes ``duration`` in the same unit; None for none."""
    begun, taken = integer_of(start), number_of(duration)
    return None if begun is None or taken is None else begun + round(taken)
