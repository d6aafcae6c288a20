"""The forms in which the engine requests answers from models that have more than text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from halo_engine.llm.chat import AnswerForm, AnswerFormKind
from halo_engine.rlm.row_fields import RowField

JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
# The names that all providers take in a schema (those of Anthropic are the narrowest).
MEMBER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# The root model's code as a call. A fenced block of code is accepted from every model.
CODE_CALL = AnswerForm(
    kind=AnswerFormKind.CALL,
    name="python",
    description=(
        "Run Python code in the session that keeps its variables; the result is what it prints. A "
        "call takes the place of the block of code: one call in each turn."
    ),
    json_schema={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The code to run."}},
        "required": ["code"],
        "additionalProperties": False,
    },
)


def rows_form(fields: Mapping[str, RowField]) -> AnswerForm | None:
    """The form of an answer with a row for each trace; None where providers could not keep to it.

    They take a schema whose objects have no members but those that it names, all of them required.
    """
    row = object_schema({"trace": RowField(is_nullable=False), **fields})
    if row is None:
        return None
    rows = {"type": "array", "items": row}
    return AnswerForm(
        kind=AnswerFormKind.STRUCTURED,
        name="rows",
        json_schema={
            "type": "object",
            "properties": {"rows": rows},
            "required": ["rows"],
            "additionalProperties": False,
        },
    )


def object_schema(members: Mapping[str, RowField]) -> dict[str, Any] | None:
    """The schema of an object with ``members``; None where one of them can be anything."""
    schemas = {name: field_schema(member) for name, member in members.items()}
    if None in schemas.values() or not all(map(MEMBER_NAME.fullmatch, schemas)):
        return None
    return {
        "type": "object",
        "properties": schemas,
        "required": list(schemas),
        "additionalProperties": False,
    }


def field_schema(field: RowField) -> dict[str, Any] | None:
    """The schema of one field; None for an array or an object that can hold anything."""
    if field.choices:
        values = [*field.choices, *((None,) if field.is_nullable else ())]
        return {"type": sorted({JSON_TYPES[type(value)] for value in values}), "enum": values}
    schema: dict[str, Any] | None = {"type": field.type}
    if field.type == "array":
        items = field_schema(field.items) if field.items else None
        schema = {"type": "array", "items": items} if items else None
    elif field.type == "object":
        schema = object_schema(field.members) if field.members else None
    if schema is None or not field.is_nullable:
        return schema
    return {**schema, "type": [field.type, "null"]}
