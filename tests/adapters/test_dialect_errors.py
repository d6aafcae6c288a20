"""A third-party dialect that raises, or gives what no span can hold, does not end the reading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from halo_adapters.dialects.base import Dialect, EventMessages, RawSpan, SpanField
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.registry import installed_dialects
from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import SpanEvent

ATTRIBUTES = {"llm.model_name": "m", "acme.model": "other", "acme.text": "hello"}


class Acme(Dialect):
    """Reads ``acme.text`` as the input; a subclass breaks it."""

    name = "acme"
    rank = 1
    fields: Sequence[SpanField] = (SpanField("input", str, ("acme.text",)),)


def fail(*_: Any) -> Any:
    raise LookupError("no such turn")


class RaisesInRead(Acme):
    fields = (SpanField("model_name", fail, ("acme.model",)), *Acme.fields)


class GivesAnotherType(Acme):
    fields = (SpanField("model_name", len, ("acme.model",)), *Acme.fields)


class RaisesWhenAsked(Acme):
    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        return bool(fail())


class RaisesInEvents(Acme):
    def event_messages(self, events: Sequence[SpanEvent]) -> EventMessages:
        return fail()  # type: ignore[no-any-return]


class GivesNoLists(Acme):
    def event_messages(self, events: Sequence[SpanEvent]) -> EventMessages:
        return 5  # type: ignore[return-value]


class RaisesInDerived(Acme):
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return fail()  # type: ignore[no-any-return]


class RaisesInPayload(Acme):
    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return fail()  # type: ignore[no-any-return]


class RaisesInRefined(Acme):
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return fail()  # type: ignore[no-any-return]


class DerivesWhatNoSpanHas(Acme):
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"colour": "red"}


class GivesNoNumber(Acme):
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"total_tokens": True}


BROKEN = {
    RaisesInRead: "raised LookupError: no such turn",
    GivesAnotherType: "gave int for the field model_name",
    RaisesWhenAsked: "raised LookupError: no such turn",
    RaisesInEvents: "raised LookupError: no such turn",
    GivesNoLists: "raised TypeError: cannot unpack non-iterable int object",
    RaisesInDerived: "raised LookupError: no such turn",
    RaisesInPayload: "raised LookupError: no such turn",
    RaisesInRefined: "raised LookupError: no such turn",
    GivesNoNumber: "gave bool for the field total_tokens",
    DerivesWhatNoSpanHas: "gave str for the field colour",
}


def read(broken: type[Acme], errors: DialectErrors | None) -> Any:
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes=ATTRIBUTES,
        events=[{"name": "other"}],
        dialects=(*installed_dialects(), broken()),
        errors=errors,
    )


@pytest.mark.parametrize("broken", BROKEN)
def test_an_error_of_a_dialect_is_one_failure_that_names_it(broken: type[Acme]) -> None:
    errors = DialectErrors()
    spans = [read(broken, errors) for _ in range(3)]
    assert {span.model_name for span in spans} == {"m"}
    (failure,) = errors.take()
    assert (failure.stage, failure.where) == ("pull", "dialect acme")
    assert f"The dialect 'acme' ({__name__}:{broken.__name__}) {BROKEN[broken]}." in failure.what
    assert errors.take() == ()


@pytest.mark.parametrize("broken", [b for b in BROKEN if b is not RaisesWhenAsked])
def test_what_a_dialect_read_besides_is_kept(broken: type[Acme]) -> None:
    assert read(broken, DialectErrors()).input == "hello"


@pytest.mark.parametrize("broken", BROKEN)
def test_the_author_of_a_dialect_gets_the_error(broken: type[Acme]) -> None:
    with pytest.raises(TypeError, match=f"the dialect 'acme' {re.escape(BROKEN[broken])}"):
        read(broken, None)
