"""Declared JSON Schemas, checked in bounded time."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.detectors.json_schema import MAX_STEPS, schema_check


def errors_of(schema: Any, value: Any) -> list[str] | None:
    """The keywords that ``value`` breaks; None if the schema judges nothing."""
    check = schema_check(json.dumps(schema).encode())
    errors = check.errors(value) if check else None
    return None if errors is None else [str(error.validator) for error in errors]


def doubling(levels: int) -> dict[str, Any]:
    """A schema in which each level asks twice for the next one."""
    levels_by_name = {
        f"level{n}": {"allOf": [{"$ref": f"#/$defs/level{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/level0", "$defs": {**levels_by_name, f"level{levels}": {}}}


def test_references_within_the_schema_are_followed() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}
    assert errors_of(schema, 1) == ["type"]
    assert errors_of(doubling(3), 1) == []


def test_a_schema_that_asks_for_too_many_steps_judges_nothing() -> None:
    levels = MAX_STEPS.bit_length()
    assert errors_of(doubling(levels), 1) is None


def test_the_steps_of_every_value_are_counted_anew() -> None:
    check = schema_check(json.dumps(doubling(14)).encode())
    assert check
    assert [check.errors(1) for _ in range(5)] == [[]] * 5  # more steps than one may take


def test_a_schema_that_refers_to_itself_for_ever_judges_nothing() -> None:
    assert errors_of({"$ref": "#"}, 1) is None


def test_patterns_are_not_checked() -> None:
    assert errors_of({"type": "string", "pattern": "^b$"}, "a") == []
    assert errors_of({"patternProperties": {"^b$": {"type": "string"}}}, {"b": 1}) is None


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400])
def test_a_number_that_cannot_be_divided_judges_nothing(number: float) -> None:
    assert errors_of({"multipleOf": 0.1}, number) is None


@pytest.mark.parametrize(
    ("items", "broken"),
    [([1, 2, 1], True), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], True), ([1, 2, "1", {}, []], False)],
)
def test_items_that_are_not_unique_are_found(items: list[Any], broken: bool) -> None:
    assert errors_of({"uniqueItems": True}, items) == (["uniqueItems"] if broken else [])


def test_a_reference_to_elsewhere_is_neither_fetched_nor_read(tmp_path: Path) -> None:
    other = tmp_path / "schema.json"
    other.write_text('{"type": "string"}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        for address in (f"http://127.0.0.1:{server.getsockname()[1]}/s", other.as_uri()):
            for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
                assert errors_of({keyword: address}, 1) in (None, [])
        with pytest.raises(TimeoutError):
            server.accept()


NUMBERS = st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text("a#/$", max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text("ab", max_size=1), each),
    max_leaves=6,
)
KEYWORDS = (
    *("type", "properties", "items", "$ref", "$defs", "allOf", "anyOf", "oneOf", "not", "if"),
    *("then", "required", "enum", "const", "minimum", "multipleOf", "maxItems", "prefixItems"),
    *("additionalProperties", "propertyNames", "dependentRequired", "contains", "minContains"),
    *("$schema", "$id", "$anchor", "$dynamicRef", "format", "uniqueItems", "minLength"),
)
DIALECTS = st.sampled_from(
    [f"http://json-schema.org/draft-0{n}/schema#" for n in (3, 4, 6, 7)]
    + [
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ]
)
SCHEMAS = st.recursive(
    st.dictionaries(st.sampled_from(KEYWORDS), VALUES | DIALECTS, max_size=3),
    lambda each: st.dictionaries(
        st.sampled_from(KEYWORDS),
        each | st.lists(each, max_size=2) | st.dictionaries(st.text("ab", max_size=1), each),
        max_size=4,
    ),
    max_leaves=8,
)


@given(SCHEMAS, VALUES)
def test_no_schema_raises_an_error(schema: dict[str, Any], value: Any) -> None:
    errors_of(schema, value)
