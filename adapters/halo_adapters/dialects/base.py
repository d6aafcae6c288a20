"""``Dialect``: the protocol between one family of instrumentations and the span mapping.

A dialect is mostly a table: which attributes give which field of a span, and how their values are
read. Whatever a table cannot state goes into one of the methods. To add a dialect, subclass
``Dialect`` and name the class in the entry point group ``halo_integrations.dialects``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from halo_engine.schema import SpanEvent, SpanKind, Status

M = TypeVar("M", bound=Callable[..., Any])

NO_STATUS = Status()

# The names that ``SpanField.name`` may have, with the type of their values; see there.
FIELD_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": SpanKind,
    **dict.fromkeys(("input", "output", "tool_name", "tool_call_id", "model_name"), str),
    **dict.fromkeys(("agent_name", "finish_reason", "session_id", "user_id"), str),
    "tool_error": bool,
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), int),
    "cost": (int, float),
    **dict.fromkeys(("input_messages", "output_messages", "system_instructions"), list),
    **dict.fromkeys(("tools", "documents"), list),
}
KINDS = {kind.value: kind for kind in SpanKind}


class RawSpan(NamedTuple):
    """A span before its fields are read.

    ``attributes`` are JSON-safe and under dotted names, lists as lists (see
    ``halo_adapters.attributes``), and include those of ``Dialect.attribute_events``.
    """

    attributes: Mapping[str, Any]
    events: tuple[SpanEvent, ...] = ()
    name: str | None = None
    status: Status = NO_STATUS


class SpanField(NamedTuple):
    """The attributes that hold one field of a span, the most trusted first.

    ``name`` is one of

    - ``kind``, ``input``, ``output``, ``tool_name``, ``tool_call_id``, ``tool_error``,
      ``agent_name``, ``model_name``, ``finish_reason``, ``session_id``, ``user_id`` (see
      ``halo_engine.schema.Span``);
    - ``prompt_tokens``, ``completion_tokens``, ``total_tokens``, ``cost`` (see ``Usage``);
    - ``input_messages``, ``output_messages``, ``system_instructions``, ``tools``, ``documents``:
      lists of JSON objects, which ``halo_adapters.messages.decode`` decodes.

    ``read`` gives the field's value for an attribute's value, and None where it cannot be read.
    Where it raises, or gives another type, the field is left out and the pull has a failure.
    """

    name: str
    read: Callable[[Any], Any]
    attributes: tuple[str, ...]


class EventMessages(NamedTuple):
    """Message objects that were recorded as events: those sent to the model, those it returned."""

    inputs: list[Any]
    outputs: list[Any]


class Conditions(NamedTuple):
    """For which spans a method of a dialect is called: see ``only_for``."""

    kinds: tuple[SpanKind, ...] = ()
    attributes: frozenset[str] = frozenset()

    def are_met_by(self, names: frozenset[str]) -> bool:
        """Whether spans with attributes of these ``names`` may be some of them."""
        return not self.attributes or not self.attributes.isdisjoint(names)


NO_CONDITIONS = Conditions()


def only_for(*kinds: SpanKind, attributes: Iterable[str] = ()) -> Callable[[M], M]:
    """Mark a method that gives fields (``payload_fields`` and those after it) as one for few spans.

    It is called only for those whose kind, as found so far, is one of ``kinds``, and that have one
    of ``attributes``; where none are named, for any. Most spans are of other kinds, and to leave
    out a call costs less than to make it.
    """
    conditions = Conditions(kinds, frozenset(attributes))

    def marked(method: M) -> M:
        vars(method)["conditions"] = conditions
        return method

    return marked


def call_conditions(method: Callable[..., Any]) -> Conditions:
    """The conditions that ``only_for`` gave ``method``."""
    found: Conditions = getattr(method, "conditions", NO_CONDITIONS)
    return found


class Dialect(Protocol):
    """One family of instrumentations: its attributes and events as fields of a span.

    A field that several dialects give is taken from the one with the lowest ``rank`` (ties: by
    ``name``). Instances are hashable. What a method raises is a failure of the pull that names the
    dialect, which then gives nothing for this span.
    """

    name: str
    rank: int
    fields: Sequence[SpanField] = ()
    # The names of events whose attributes count as attributes of their span, and of those that
    # ``event_messages`` reads.
    attribute_events: frozenset[str] = frozenset()
    message_events: frozenset[str] = frozenset()

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether a span with attributes and events of these names is written in this dialect.

        The result is cached by the names. By default: whether any of them is in the tables above.
        """
        if not events.isdisjoint(self.attribute_events | self.message_events):
            return True
        return any(not attributes.isdisjoint(field.attributes) for field in self.fields)

    def event_messages(self, events: Sequence[SpanEvent]) -> EventMessages:
        """The messages in ``events``; used where no attribute gives any."""
        return EventMessages([], [])

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields that attributes hold together, as a recorded request does, which is parsed once.

        They count as those of the table: before whatever less trusted dialects give. ``fields`` are
        those that more trusted dialects and the table gave. An empty list says that the span has
        none, also where a less trusted dialect would misread an attribute.
        """
        return {}

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields that no single attribute gives.

        ``fields`` are those that the attributes gave, in all dialects; only fields that are not
        among them are used.
        """
        return {}

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields in a better form than attributes give them: they take the place of ``fields``.

        For a framework that wraps what the attribute is named after, as one whose ``output.value``
        is the state of the whole run. ``fields`` are all that attributes, events and
        ``derived_fields`` gave, and what more trusted dialects made of them; one that becomes None
        is left out. ``only_for`` says for which spans, and what tells cheaply that there is nothing
        to refine comes first.
        """
        return {}


def read_span_kind(value: Any) -> SpanKind | None:
    """The OpenInference span kind that ``value`` names, in upper or lower case; else None."""
    return KINDS.get(value.upper()) if isinstance(value, str) else None
