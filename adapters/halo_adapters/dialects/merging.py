"""The fields of a span as all of its dialects give them, each from the most trusted one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

from halo_adapters.dialects.base import FIELD_TYPES, Dialect, EventMessages, RawSpan
from halo_adapters.dialects.errors import DialectError, raised
from halo_adapters.dialects.plans import DialectMethod, FieldSource, ReadingPlan
from halo_engine.schema import SpanEvent

NO_FIELDS: Mapping[str, Any] = {}


class MergedFields:
    """The fields of one span as its dialects give them, one after the other, and their errors.

    What a dialect raises is one of its errors, and gives nothing.
    """

    def __init__(
        self, platform_fields: Mapping[str, Any] = NO_FIELDS, errors: Iterable[DialectError] = ()
    ) -> None:
        self.fields: dict[str, Any] = dict(platform_fields)
        self.errors = list(errors)

    def read(self, sources: Iterable[FieldSource], attributes: Mapping[str, Any]) -> None:
        """Set those fields that attributes give and that are not set yet."""
        fields = self.fields
        for source in sources:
            if source.field in fields:
                continue
            try:
                value = source.read(attributes[source.attribute])
            except Exception as error:  # noqa: BLE001 - third-party code can raise anything
                self.errors.append(raised(source.dialect, error))
                continue
            if type(value) is source.kind:
                fields[source.field] = value
            elif value is not None:
                self.replace(source.dialect, source.field, value)

    def ask(
        self,
        methods: Iterable[DialectMethod],
        span: RawSpan,
        put: Callable[[Dialect, str, Any], None],
    ) -> None:
        """``put`` what ``methods`` give, ``add`` or ``replace``; each sees what was put before it."""
        fields = self.fields
        for each in methods:
            if each.kinds and fields.get("kind") not in each.kinds:
                continue
            try:
                found = each.method(span, fields)
                if not found:
                    continue
                items = tuple(dict(found).items())
            except Exception as error:  # noqa: BLE001 - third-party code can raise anything
                self.errors.append(raised(each.dialect, error))
                continue
            for field, value in items:
                put(each.dialect, field, value)

    def add(self, dialect: Dialect, field: str, value: Any) -> None:
        """Set a field that is not set yet."""
        if value is not None and field not in self.fields:
            self.replace(dialect, field, value)

    def replace(self, dialect: Dialect, field: str, value: Any) -> None:
        """Set a field, or take it away where ``value`` is None."""
        if value is None:
            self.fields.pop(field, None)
        elif is_of_kind(value, FIELD_TYPES.get(field, NoneType)):
            self.fields[field] = value
        else:
            what = f"gave {type(value).__name__} for the field {field}"
            self.errors.append(DialectError(dialect, what))

    def add_event_messages(self, dialects: Iterable[Dialect], events: Sequence[SpanEvent]) -> None:
        """Add the messages in ``events``, from the first dialect that finds any."""
        for dialect in dialects:
            try:
                found = event_messages(dialect, events)
            except Exception as error:  # noqa: BLE001 - third-party code can raise anything
                self.errors.append(raised(dialect, error))
                continue
            if any(found):
                self.add(dialect, "input_messages", found.inputs)
                self.add(dialect, "output_messages", found.outputs)
                return


def is_of_kind(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether ``value`` is of the type ``kind``, or of one of them. True and False are no numbers."""
    found = type(value)
    return found is kind or (found is not bool and isinstance(value, kind))


def event_messages(dialect: Dialect, events: Sequence[SpanEvent]) -> EventMessages:
    """The messages in events as ``dialect`` reads them; raises what it raises, and for no lists."""
    inputs, outputs = dialect.event_messages(events)
    return EventMessages(list(inputs), list(outputs))


def merged_fields(
    span: RawSpan, plan: ReadingPlan, platform_fields: Mapping[str, Any] = NO_FIELDS
) -> MergedFields:
    """The fields of a span, each from the first dialect that has it.

    Field by field, in order of trust: first what the platform and what attributes give, then (only
    where no attribute gives messages) the messages in events, then what the dialects derive; at
    last they refine what was found.
    """
    merged = MergedFields(platform_fields, plan.errors)
    for sources, payloads in plan.readers:
        merged.read(sources, span.attributes)
        merged.ask(payloads, span, merged.add)
    if span.events and merged.fields.keys().isdisjoint(("input_messages", "output_messages")):
        merged.add_event_messages(plan.dialects, span.events)
    merged.ask(plan.deriving, span, merged.add)
    merged.ask(plan.refining, span, merged.replace)
    return merged
