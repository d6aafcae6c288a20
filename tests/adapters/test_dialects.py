"""The registry of dialects, and what each may do with a span."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest

from acme_dialect_example import ACME, ACME_MODEL_CALL
from halo_adapters import dialects
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.dialects.registry import (
    DIALECT_GROUP,
    installed_dialects,
    load_dialect,
    load_dialects,
)
from halo_engine.errors import ConfigError
from halo_engine.schema import Message, SpanKind, ToolCall
from span_mapping import span_of


class Recorder(Dialect):
    """A dialect that reads some attributes as the span's model and user, and keeps a log."""

    def __init__(self, name: str, rank: int, log: list[str], *attributes: str) -> None:
        self.name, self.rank, self.log = name, rank, log
        self.fields = (
            SpanField("model_name", self.reader("model"), attributes),
            SpanField("user_id", self.reader("user"), attributes),
        )

    def reader(self, field: str) -> Callable[[Any], str | None]:
        def read(value: Any) -> str | None:
            self.log.append(f"{self.name} reads the {field}")
            return f"{self.name}: {value}" if f"no {field}" not in value else None

        return read

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        self.log.append(f"{self.name} is checked")
        return super().applies_to(attributes, events)


def classes_in(module_name: str) -> list[type[Dialect]]:
    module = import_module(module_name)
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return [value for value in found if Dialect in value.__mro__[1:]]


def test_every_built_in_dialect_is_registered_as_an_entry_point() -> None:
    names = [
        f"{dialects.__name__}.{found.name}" for found in pkgutil.iter_modules(dialects.__path__)
    ]
    written = {found.__name__: found for name in names for found in classes_in(name)}
    points = [p for p in entry_points(group=DIALECT_GROUP) if p.value.startswith("halo_adapters.")]
    assert {point.load() for point in points} == set(written.values())
    assert {point.name for point in points} == {found.name for found in written.values()}


def test_the_built_in_dialects_come_in_the_order_of_their_ranks() -> None:
    points = [p for p in entry_points(group=DIALECT_GROUP) if p.value.startswith("halo_adapters.")]
    in_order = [(d.rank, d.name) for d in load_dialects(points)]
    assert in_order == sorted(in_order)
    assert [(d.rank, d.name) for d in load_dialects(points[::-1])] == in_order
    conventions = {"openinference": 100, "otel_genai": 200, "openllmetry": 300, "halo_export": 400}
    assert {name: rank for rank, name in in_order}.items() >= conventions.items()
    assert {d.name for d in installed_dialects()} >= {name for _, name in in_order}


def test_a_span_in_two_dialects_is_read_once_in_each_by_rank() -> None:
    log: list[str] = []
    two = (Recorder("second", 2, log, "b"), Recorder("first", 1, log, "a"))
    span = span_of({"b": "y", "a": "x, no user"}, dialects=two)
    assert (span.model_name, span.user_id) == ("first: x, no user", "second: y")
    assert log == [
        "first is checked",
        "second is checked",
        "first reads the model",
        "first reads the user",
        "second reads the user",
    ]


def test_whether_a_dialect_applies_is_checked_once_for_spans_of_the_same_names() -> None:
    log: list[str] = []
    only = (Recorder("only", 1, log, "a"),)
    for value in ("x", "y"):
        assert span_of({"a": value, "b": 1}, dialects=only).model_name == f"only: {value}"
    assert log.count("only is checked") == 1


def test_a_span_that_a_dialect_does_not_apply_to_is_not_read_in_it() -> None:
    log: list[str] = []
    assert span_of({"b": "y"}, dialects=(Recorder("only", 1, log, "a"),)).model_name is None
    assert log == ["only is checked"]


def test_of_two_dialects_of_one_rank_the_first_by_name_takes_precedence() -> None:
    log: list[str] = []
    two = (Recorder("b", 1, log, "x"), Recorder("a", 1, log, "x"))
    assert span_of({"x": "1"}, dialects=two).model_name == "a: 1"
    assert span_of({"x": "1"}, dialects=two[::-1]).model_name == "a: 1"


def test_a_field_comes_from_its_first_attribute_that_can_be_read() -> None:
    log: list[str] = []
    only = (Recorder("only", 1, log, "first", "then"),)
    span = span_of({"then": "y", "first": "no model"}, dialects=only)
    assert (span.model_name, span.user_id) == ("only: y", "only: no model")


def test_derived_fields_only_fill_gaps() -> None:
    class Deriving(Recorder):
        def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"model_name": "derived", "tool_name": span.name, "user_id": None}

    span = span_of({"a": "no user"}, name="f", dialects=(Deriving("only", 1, [], "a"),))
    assert (span.model_name, span.tool_name, span.user_id) == ("only: no user", "f", None)


def test_a_method_is_called_only_for_the_kinds_of_spans_that_it_is_marked_for() -> None:
    class ForTools(Recorder):
        @only_for(SpanKind.TOOL)
        def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"tool_name": "derived"}

        @only_for(SpanKind.TOOL, SpanKind.LLM)
        def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"kind": SpanKind.CHAIN, "finish_reason": "refined"}

    dialects = (ForTools("only", 1, [], "a"),)
    spans = [span_of({"a": "x"}, kind=kind, dialects=dialects) for kind in ("TOOL", "LLM", "AGENT")]
    assert [(s.kind, s.tool_name, s.finish_reason) for s in spans] == [
        (SpanKind.CHAIN, "derived", "refined"),
        (SpanKind.CHAIN, None, "refined"),
        (SpanKind.AGENT, None, None),
    ]


def test_a_method_sees_the_kind_that_a_more_trusted_dialect_found() -> None:
    class MakesSteps(Recorder):
        def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"kind": SpanKind.CHAIN}

    class ForTools(Recorder):
        @only_for(SpanKind.TOOL)
        def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"output": "of a tool"}

    both = (MakesSteps("first", 1, [], "a"), ForTools("then", 2, [], "a"))
    assert span_of({"a": "x"}, kind="TOOL", dialects=both).output is None
    assert span_of({"a": "x"}, kind="TOOL", dialects=both[1:]).output == "of a tool"


def test_a_method_is_called_only_for_spans_with_an_attribute_that_it_is_marked_for() -> None:
    class ForMetadata(Recorder):
        @only_for(attributes=["metadata", "tags"])
        def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"user_id": "derived"}

    only = (ForMetadata("only", 1, [], "a"),)
    found = [span_of({"a": "no user", more: 1}, dialects=only).user_id for more in ("tags", "b")]
    assert found == ["derived", None]


def test_payload_fields_come_before_those_of_less_trusted_dialects() -> None:
    class WithPayload(Recorder):
        def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"user_id": f"of {fields['model_name']}", "output_messages": []}

    span = span_of(
        {
            "a": "no user",
            "enduser.id": "other",
            "gen_ai.output.messages": '[{"role": "assistant"}]',
        },
        dialects=(WithPayload("first", 1, [], "a"), *installed_dialects()),
    )
    assert (span.model_name, span.user_id, span.output_messages) == (
        "first: no user",
        "of first: no user",
        (),
    )


def test_refined_fields_take_the_place_of_what_any_dialect_gave() -> None:
    class Refines(Recorder):
        def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"output": f"{fields['output']}, {span.status.message}", "user_id": None}

    span = span_of(
        {"a": "x", "output.value": "done", "user.id": "u"},
        status_code="ERROR",
        status_message="late",
        dialects=(Refines("first", 1, [], "a"), *installed_dialects()),
    )
    assert (span.output, span.user_id) == ("done, late", None)


def test_a_dialect_refines_what_a_platform_gives_beside_the_attributes() -> None:
    class Refines(Recorder):
        def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"kind": SpanKind.CHAIN} if fields["kind"] is SpanKind.LLM else {}

    dialects = (Refines("first", 1, [], "a"), *installed_dialects())
    assert span_of({"a": "x"}, kind="LLM", dialects=dialects).kind is SpanKind.CHAIN


def test_a_third_party_dialect_is_used_beside_the_built_in_ones() -> None:
    both = (*installed_dialects(), ACME["Acme"]())
    span = span_of({**ACME_MODEL_CALL, "llm.model_name": "m", "llm.cost.total": 1}, dialects=both)
    assert (span.kind, span.model_name, span.session_id) == (SpanKind.LLM, "acme-large", "s")
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (12, 3)
    assert span.usage.cost == 1
    assert span.input == ACME_MODEL_CALL["acme.request"]
    assert span.input_messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Where is A-17?"),
    )
    call = ToolCall(id="c1", name="get_order", arguments='{"id":"A-17"}')
    assert span.output_messages == (Message(role="assistant", tool_calls=(call,)),)
    assert span_of(ACME_MODEL_CALL).kind is None
    no_step = {name: value for name, value in ACME_MODEL_CALL.items() if name != "acme.step"}
    assert span_of(no_step, dialects=both).model_name is None


def test_a_third_party_dialect_may_take_a_field_from_the_name_of_the_span() -> None:
    acme = (*installed_dialects(), ACME["Acme"]())
    assert span_of({"acme.step": "tool"}, name="get_order", dialects=acme).tool_name == "get_order"
    named = {"acme.step": "tool", "gen_ai.tool.name": "f"}
    assert span_of(named, name="get_order", dialects=acme).tool_name == "f"
    assert span_of({"acme.step": "run"}, name="get_order", dialects=acme).tool_name is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:Acme", "cannot be imported"),
        ("halo_adapters.dialects.base:Nothing", "cannot be imported"),
        ("json:loads", "cannot be created"),
    ],
)
def test_a_dialect_that_cannot_be_loaded_is_named(value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"'acme' .*{re.escape(value)}. {reason}"):
        load_dialect(EntryPoint(name="acme", value=value, group=DIALECT_GROUP))


class Misspelt(Dialect):
    name = "misspelt"
    rank = 1
    fields = (SpanField("model", str, ("a",)), SpanField("kind", str, ("b",)))


def test_a_dialect_with_a_field_that_no_span_has_is_refused() -> None:
    point = EntryPoint(name="misspelt", value=f"{__name__}:Misspelt", group=DIALECT_GROUP)
    with pytest.raises(ConfigError, match="'misspelt' .* has fields that no span has: model"):
        load_dialect(point)


def test_no_dialect_at_all_is_an_error_and_not_spans_without_fields() -> None:
    with pytest.raises(ConfigError, match="No span dialects are installed"):
        load_dialects([])
