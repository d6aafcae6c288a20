"""How to read a span: what depends on nothing but the names of its attributes and events.

The spans of one instrumentation have the same names, so a plan is made once and followed for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

from halo_adapters.dialects.base import FIELD_TYPES, Dialect, RawSpan, SpanField, call_conditions
from halo_adapters.dialects.errors import DialectError, raised
from halo_adapters.dialects.registry import by_rank, installed_dialects
from halo_engine.schema import SpanEvent, SpanKind

FieldsMethod = Callable[[RawSpan, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DialectMethod:
    """A method of a dialect that gives fields of a span, of any kind where ``kinds`` is empty."""

    dialect: Dialect
    method: FieldsMethod
    kinds: tuple[SpanKind, ...]


@dataclass(frozen=True, slots=True)
class FieldSource:
    """An attribute of a span that gives a field, and the function of a dialect that reads it.

    ``kind`` is the type of most values of the field.
    """

    dialect: Dialect
    field: str
    kind: type
    read: Callable[[Any], Any]
    attribute: str


class AttributeReader(NamedTuple):
    """What is read of the attributes of a span: one by one, then by ``payload_fields``."""

    sources: tuple[FieldSource, ...]
    payloads: tuple[DialectMethod, ...]


class ReadingPlan(NamedTuple):
    """How to read a span: its dialects, and what they read of it, by order of trust.

    ``deriving`` and ``refining`` are the methods ``derived_fields`` and ``refined_fields`` of those
    dialects that have something to give. ``errors`` are those of dialects that cannot say whether
    they apply. ``written_in`` names the dialect of the span: the one that gives its kind, since
    others refine what that one gives. Where none has an attribute for the kind, it is the first that
    reads any attribute, or any payload; None where no dialect applies.
    """

    dialects: tuple[Dialect, ...]
    readers: tuple[AttributeReader, ...]
    deriving: tuple[DialectMethod, ...]
    refining: tuple[DialectMethod, ...]
    errors: tuple[DialectError, ...]
    written_in: str | None


class ReadingPlans:
    """The plans for spans that are read in certain dialects.

    ``attribute_events`` are the names of the events whose attributes count as those of their span.
    """

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._dialects = by_rank(dialects)
        self.attribute_events = frozenset(n for d in self._dialects for n in d.attribute_events)
        self.plan = lru_cache(maxsize=256)(self._make)

    def _make(self, attributes: tuple[str, ...], events: frozenset[str]) -> ReadingPlan:
        """The plan for a span whose attributes and events have these names."""
        present = frozenset(attributes)
        errors: list[DialectError] = []
        dialects = tuple(d for d in self._dialects if does_apply(d, present, events, errors))
        readers = tuple(attribute_readers(dialects, present))
        return ReadingPlan(
            dialects=dialects,
            readers=readers,
            deriving=own_methods(dialects, "derived_fields", present),
            refining=own_methods(dialects, "refined_fields", present),
            errors=tuple(errors),
            written_in=next((d.name for d in (*dialects_that_read(readers), *dialects)), None),
        )


@lru_cache(maxsize=8)
def reading_plans(dialects: tuple[Dialect, ...] | None = None) -> ReadingPlans:
    """The plans for spans that are read in ``dialects``, the installed ones by default."""
    return ReadingPlans(installed_dialects() if dialects is None else dialects)


def does_apply(
    dialect: Dialect,
    attributes: frozenset[str],
    events: frozenset[str],
    errors: list[DialectError],
) -> bool:
    """Whether ``dialect`` applies to spans of these names; where it raises, that is an error more."""
    try:
        return bool(dialect.applies_to(attributes, events))
    except Exception as error:  # noqa: BLE001 - third-party code can raise anything
        errors.append(raised(dialect, error))
        return False


def attribute_readers(
    dialects: Iterable[Dialect], present: frozenset[str]
) -> Iterator[AttributeReader]:
    """What ``dialects`` read of a span that has the attributes ``present``."""
    sources: list[FieldSource] = []
    for dialect in dialects:
        sources += [
            FieldSource(dialect, field.name, value_type(field), field.read, attribute)
            for field in dialect.fields
            for attribute in field.attributes
            if attribute in present
        ]
        if payloads := own_methods([dialect], "payload_fields", present):
            yield AttributeReader(tuple(sources), payloads)
            sources = []
    yield AttributeReader(tuple(sources), ())


def value_type(field: SpanField) -> type:
    """The type of most values of ``field``: the last one where it may have several."""
    kind = FIELD_TYPES.get(field.name, NoneType)
    return kind[-1] if isinstance(kind, tuple) else kind


def dialects_that_read(readers: tuple[AttributeReader, ...]) -> Iterator[Dialect]:
    """The dialects of ``readers``, before the others those that read the kind."""
    yield from (s.dialect for reader in readers for s in reader.sources if s.field == "kind")
    yield from (each.dialect for reader in readers for part in reader for each in part)


def own_methods(
    dialects: Iterable[Dialect], name: str, present: frozenset[str]
) -> tuple[DialectMethod, ...]:
    """The methods called ``name`` that can give anything of a span with the attributes ``present``.

    Those that a dialect inherits from ``Dialect`` give nothing.
    """
    found: list[DialectMethod] = []
    for dialect in dialects:
        method = getattr(dialect, name)
        conditions = call_conditions(method)
        is_own = getattr(type(dialect), name) is not getattr(Dialect, name)
        if is_own and conditions.are_met_by(present):
            found.append(DialectMethod(dialect, method, conditions.kinds))
    return tuple(found)


def event_names(events: tuple[SpanEvent, ...]) -> frozenset[str]:
    """The names of ``events``."""
    return frozenset([event.name for event in events if event.name])
