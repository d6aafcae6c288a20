"""The grammar of the fields of a row, and the check of rows."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from halo_engine.rlm.row_fields import RowChecker, RowField, fields_text, row_fields


def test_a_field_is_a_type_a_choice_a_description_or_an_object_of_these() -> None:
    fields = {
        "shows": "boolean",
        "kind": ["refund", "other"],
        "span": "the step that went wrong",
        "names": {"type": "array", "items": "string", "description": "who was there"},
        "size": {"enum": [1, 2.5, None]},
        "left": {"type": ["number", "null"]},
    }
    assert fields_text(row_fields(fields)).splitlines() == [
        '- "shows": boolean or null',
        "- \"kind\": one of 'refund', 'other', null",
        '- "span": string or null: the step that went wrong',
        '- "names": array of string or null or null: who was there',
        '- "size": one of 1, 2.5, null',
        '- "left": number or null',
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("string", "text"),
        ("number", 1.5),
        ("integer", 2),
        ("boolean", False),
        ("array", [1, "a"]),
        ("object", {"a": [1]}),
        (["a", 2], 2),
        ({"items": {"items": "integer"}}, [[1], []]),
        ("boolean", None),
    ],
)
def test_a_value_of_the_right_kind_is_accepted(field: Any, value: Any) -> None:
    row = {"trace": "T1", "it": value}
    assert RowChecker(row_fields({"it": field})).checked(row) == row


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("string", 1, "it: Input should be a valid string"),
        ("number", "1", "it: Input should be a valid number"),
        ("integer", 1.5, "it: Input should be a valid integer"),
        ("boolean", "yes", "it: Input should be a valid boolean"),
        ("boolean", 1, "it: Input should be a valid boolean"),
        ("array", {}, "it: Input should be a valid list"),
        ("object", [], "it: Input should be a valid dictionary"),
        (["a", "b"], "c", "it: Input should be 'a' or 'b'"),
        ({"items": "integer"}, ["x"], "it.0: Input should be a valid integer"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_not_repeated(
    field: Any, value: Any, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        RowChecker(row_fields({"it": field})).checked({"trace": "T1", "it": value})
    assert str(caught.value) == problem


def test_a_field_is_required_although_it_may_be_null() -> None:
    with pytest.raises(ValueError, match="it: Field required"):
        RowChecker(row_fields({"it": "string"})).checked({"trace": "T1"})


def test_a_member_that_may_be_null_may_be_missing() -> None:
    members = {"span": RowField(is_nullable=False), "why": RowField()}
    checker = RowChecker({"it": RowField(type="object", members=members)})
    row = {"trace": "T1", "it": {"span": "T1.1"}}
    assert checker.checked(row) == row


def test_what_is_no_field_is_left_out_of_a_row() -> None:
    members = {"a": RowField(is_nullable=False)}
    checker = RowChecker({"it": RowField(type="object", members=members)})
    row = {"trace": "T1", "it": {"a": "x", "b": 1}, "error": "none", "shortened": True}
    assert checker.checked(row) == {"trace": "T1", "it": {"a": "x"}}


def test_any_name_that_can_be_printed_is_possible() -> None:
    row = {"trace": "T1", "_private": "a", "model_config": "b", "copy": "c", "Größe in m": "d"}
    names = [name for name in row if name != "trace"]
    assert RowChecker(row_fields(dict.fromkeys(names, "string"))).checked(row) == row


SCHEMAS: dict[str, Any] = {
    "nothing": {},
    "a text": "shows",
    "a list": [{"shows": "boolean"}],
    "a number as a field": {"it": 5},
    "an unknown type": {"it": {"type": "nonsense"}},
    "a type that is null": {"it": {"type": ["null", "null"]}},
    "a type that is a structure": {"it": {"type": [["string"], "null"]}},
    "a pattern": {"it": {"type": "string", "pattern": "^a+$"}},
    "a pattern in an item": {"it": {"items": {"type": "string", "pattern": "^a+$"}}},
    "patterns of names": {"it": {"type": "object", "patternProperties": {"^a": {}}}},
    "a format": {"it": {"type": "string", "format": "email"}},
    "a reference within": {"it": {"$ref": "#/definitions/Item"}},
    "a reference to itself": {"it": {"$ref": "#"}},
    "a dynamic reference": {"it": {"$dynamicRef": "#node"}},
    "another dialect": {"it": {"$schema": "http://json-schema.org/draft-04/schema#"}},
    "an id": {"it": {"$id": "http://127.0.0.1/"}},
    "alternatives": {"it": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
    "a negation": {"it": {"not": {}}},
    "a condition": {"it": {"if": {}, "then": {}}},
    "properties": {"it": {"type": "object", "properties": {"a": {}}}},
    "bounds": {"it": {"type": "string", "maxLength": 10**9}},
    "choices that are structures": {"it": [{"a": 1}]},
    "no choices": {"it": []},
    "null alone": {"it": [None]},
    "too many choices": {"it": list(range(101))},
    "a number with too many digits": {"it": [10**5000]},
    "no number": {"it": [float("nan")]},
    "too many fields": {f"f{n}": "string" for n in range(21)},
    "a description that is too long": {"it": "x" * 501},
    "a description that is none": {"it": {"description": ["x"]}},
    "a name that is too long": {"x" * 501: "string"},
    "a name that is none": {5: "string"},
    "a name that cannot be printed": {"a\nb": "string"},
    "the name of the trace": {"trace": "string"},
    "the name of the error": {"error": "string"},
    "arrays that are too deep": {"it": {"items": {"items": {"items": {"items": "string"}}}}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_the_grammar_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{1,300}$"):
        row_fields(SCHEMAS[name])


def test_a_reference_is_neither_fetched_nor_read(tmp_path: Path) -> None:
    secret = tmp_path / "schema.json"
    secret.write_text('{"type": "do-not-show-4711"}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        for address in (f"http://127.0.0.1:{server.getsockname()[1]}/s", secret.as_uri()):
            with pytest.raises(ValueError, match=r"no '\$ref' in a field") as caught:
                row_fields({"it": {"$ref": address}})
            assert "4711" not in str(caught.value)
        with pytest.raises(TimeoutError):
            server.accept()
