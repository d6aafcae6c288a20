"""Whatever attributes hold, mapping never raises and loses nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from acme_dialect_example import ACME, ACME_MODEL_CALL
from halo_adapters.dialects.registry import (
    installed_dialects,
)
from halo_adapters.json_values import unix_nano
from halo_engine.schema import Span
from span_mapping import Colour, Shade, Unprintable, span_of

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.datetimes(),
    st.dates(),
    st.decimals(),
    st.uuids(),
    st.fractions(),
    st.complex_numbers(),
    st.sampled_from([Colour.RED, Shade.DARK, Unprintable(), object, ...]),
)
VOCABULARY = (
    "llm input output message messages input_messages output_messages prompt completion 0 1 "
    "00 ² -1 99999999999 role content contents parts type text tool_call tool_calls function "
    "name arguments tools tool json_schema parameters input_schema properties function_call "
    "id retrieval documents document score gen_ai system_instructions finish_reason value "
)
STEPS = st.sampled_from(VOCABULARY.split())
ATTRIBUTES_READ = sorted(
    attribute
    for dialect in installed_dialects()
    for field in dialect.fields
    for attribute in field.attributes
)
NAMES = st.one_of(
    STEPS,
    st.lists(STEPS, min_size=1, max_size=8).map(".".join),
    st.sampled_from(ATTRIBUTES_READ),
)
KEYS = st.one_of(NAMES, st.text(), st.integers(), st.none())
KEYWORDS = st.sampled_from(
    ["LLM", "chat", "text", "tool_use", "tool_result", "function_call", "[]", "{}", "user", "NaN"]
)
VALUES = st.recursive(
    SCALARS | KEYWORDS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)
JSON_TEXTS = VALUES.map(lambda value: json.dumps(value, default=repr, skipkeys=True))
ANYTHING = VALUES | JSON_TEXTS
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(
                [
                    "exception",
                    "gen_ai.choice",
                    "gen_ai.user.message",
                    "gen_ai.client.inference.operation.details",
                ]
            )
            | SCALARS,
            "attributes": st.dictionaries(NAMES, ANYTHING) | SCALARS,
            "timestamp": SCALARS,
        }
    )
    | SCALARS,
    max_size=3,
)


@given(st.dictionaries(KEYS, ANYTHING, max_size=8), EVENTS, SCALARS, SCALARS)
def test_mapping_never_raises_and_its_result_is_valid_json(
    attributes: dict[Any, Any], events: list[Any], status: Any, time: Any
) -> None:
    span = span_of(
        attributes,
        events=events,
        name=status,
        kind=time,
        status_code=status,
        status_message=time,
        start_time_unix_nano=unix_nano(time),
        resource=attributes,
    )
    assert msgspec.json.decode(msgspec.json.encode(span), type=Span) == span
    orjson.dumps(span.attributes)
    orjson.dumps(span.resource)


@given(st.dictionaries(st.sampled_from(sorted(ACME_MODEL_CALL)), ANYTHING), SCALARS)
def test_the_dialect_of_the_example_never_raises(attributes: dict[str, Any], name: Any) -> None:
    only = (ACME["Acme"](),)
    span_of({"acme.step": "tool", **attributes}, name=name, dialects=only)


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.text()
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
    )
)
def test_attributes_that_json_can_hold_are_kept_unchanged(attributes: dict[str, Any]) -> None:
    assert span_of(attributes).attributes == attributes
