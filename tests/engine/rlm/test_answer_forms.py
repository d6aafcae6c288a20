"""The schema of rows: what every provider with structured output takes, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from halo_engine.llm import Budget, Ledger, ModelClient
from halo_engine.llm.openai_model import OpenAIModel
from halo_engine.rlm.answer_forms import rows_form
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.row_fields import RowChecker, row_fields
from loopback import serving
from model_endpoint import completion
from rlm_context import NONCE, RlmContext

FIELDS = {
    "shows": "boolean",
    "kind": ["refund", "other"],
    "grade": [1, 2.5],
    "steps": {"items": "integer"},
    "why": "the reason",
}


def objects_in(schema: Any) -> list[dict[str, Any]]:
    """Every schema of an object within ``schema``."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects_in(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "properties" in schema else []
    return own + [found for value in schema.values() for found in objects_in(value)]


@pytest.mark.parametrize(
    "row",
    [
        {"shows": True, "kind": "refund", "grade": 2.5, "steps": [1, 2], "why": "so"},
        {"shows": None, "kind": None, "grade": None, "steps": None, "why": None},
    ],
)
def test_a_row_that_the_schema_allows_is_a_row_that_is_taken(row: dict[str, Any]) -> None:
    fields = row_fields(FIELDS)
    form = rows_form(fields)
    assert form
    answer = {"rows": [{"trace": "T1", **row}]}
    Draft202012Validator(form.json_schema).validate(answer)
    assert RowChecker(fields).checked(answer["rows"][0]) == answer["rows"][0]


@pytest.mark.parametrize("wrong", [{"kind": "x"}, {"shows": 1}, {"steps": ["a"]}, {"more": 1}])
def test_the_schema_allows_nothing_else(wrong: dict[str, Any]) -> None:
    form = rows_form(row_fields(FIELDS))
    assert form
    row = {"trace": "T1", **dict.fromkeys(FIELDS), **wrong}
    assert not Draft202012Validator(form.json_schema).is_valid({"rows": [row]})


def test_every_object_of_the_schema_is_closed_and_all_of_its_members_are_required() -> None:
    form = rows_form(row_fields(FIELDS))
    assert form
    found = objects_in(form.json_schema)
    assert len(found) == 2
    for schema in found:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
        assert all("type" in member for member in schema["properties"].values())


@pytest.mark.parametrize("fields", [{"a": "object"}, {"a": "array"}, {"with space": "string"}])
def test_fields_that_no_schema_of_a_provider_can_hold_are_asked_for_in_words(
    fields: dict[str, Any],
) -> None:
    assert rows_form(row_fields(fields)) is None


def test_a_mapping_asks_for_its_rows_by_their_schema(context: RlmContext) -> None:
    answer = '{"rows": [{"trace": "T1", "ok": true}]}'
    with serving(lambda _: completion(answer)) as server:
        model = OpenAIModel("m", base_url=server.url)
        client = ModelClient(Budget(), Ledger(), retry_timeout=0)
        mapper = Mapper(client, model, context.short_ids, DataDelimiter(NONCE))
        first = [context.short_ids.trace_ids[0]]
        rows = mapper.rows(first, "{rule} {fields}", row_fields({"ok": "boolean"}), purpose="map")
        (request,) = server.requests
    assert rows == [{"trace": "T1", "ok": True}]
    sent = json.loads(request.body)["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["rows"]["items"]["required"] == ["trace", "ok"]
