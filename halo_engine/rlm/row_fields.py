"""The fields of a row that a model is asked for: a small grammar, and the check of its answers.

A field is the name of a type, a list of choices, a description, or an object of these three::

    "boolean"                                  string, number, integer, boolean, array or object
    ["refund", "other"]                        one of these
    "the step that went wrong"                 a text, described
    {"type": "array", "description": "...", "items": "string"}

The model's code in the sandbox writes such fields. So the grammar is closed: JSON Schema, with its
patterns that can take exponential time and its references that are fetched, is not accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationError, create_model

from halo_engine.schema import FrozenModel
from halo_engine.text.unicode import valid_text

MAX_FIELDS = 20
MAX_CHOICES = 100
MAX_CHARS = 500
# Of arrays within arrays.
MAX_DEPTH = 3
MAX_NUMBER = 2**53
KEYS = ("type", "description", "enum", "items")
# Set on every row by the host, never asked for.
RESERVED = ("trace", "error", "unread", "shortened")
EXPECTED = (
    'give a dict from field to type, for example {"shows": "boolean", "quote": "string", "kind": '
    '["refund", "other"]}'
)

Choice = str | int | float | bool
FieldType = Literal["string", "number", "integer", "boolean", "array", "object"]
TYPES: dict[str, Any] = {
    "string": Annotated[str, Strict()],
    "number": Annotated[float, Strict()],
    "integer": Annotated[int, Strict()],
    "boolean": Annotated[bool, Strict()],
    "array": list[Any],
    "object": dict[str, Any],
}


class RowField(FrozenModel):
    """One field: a type, or ``choices``. An array may have ``items``, an object ``members``.

    ``is_nullable``: null is an answer, for a trace that does not say. Of a row, it ``may_be_missing``
    where that says as much as null.
    """

    type: FieldType = "string"
    description: str = ""
    choices: tuple[Choice, ...] = ()
    items: RowField | None = None
    members: dict[str, RowField] = {}
    is_nullable: bool = True
    may_be_missing: bool = False

    @property
    def text(self) -> str:
        """Type and description, as the prompt states them."""
        kind: str = self.type
        if self.choices:
            kind = f"one of {', '.join(map(repr, self.choices))}"
        elif self.items and not self.items.members:
            kind = f"array of {self.items.text}"
        null = (", null" if self.choices else " or null") if self.is_nullable else ""
        return f"{kind}{null}: {self.description}" if self.description else f"{kind}{null}"

    def annotation(self) -> Any:
        """The Python type that pydantic checks its values against."""
        checked = TYPES[self.type]
        if self.choices:
            checked = Literal[self.choices]
        elif self.items:
            checked = list[self.items.annotation()]  # type: ignore[misc]
        elif self.members:
            checked = object_model(self.members)
        return checked | None if self.is_nullable else checked


class RowChecker:
    """Checks rows that have ``trace`` and all of ``fields``."""

    def __init__(self, fields: Mapping[str, RowField]) -> None:
        self._model = object_model({"trace": RowField(is_nullable=False), **fields}, required=True)

    def checked(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """``row`` with nothing but its fields.

        Raises ``ValueError`` with what is wrong, without the values: a model wrote them.
        """
        try:
            found = self._model.model_validate(row)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error
        return found.model_dump(by_alias=True, exclude_unset=True)


def object_model(members: Mapping[str, RowField], *, required: bool = False) -> type[BaseModel]:
    """The model of an object with ``members``; one that may be null may be missing.

    That is not so with ``required``, but for what ``may_be_missing``. What is no member is ignored.
    """
    fields: dict[str, Any] = {}
    for number, (name, member) in enumerate(members.items()):
        is_needed = required and not member.may_be_missing
        default = ... if is_needed or not member.is_nullable else None
        # Any name is possible as an alias.
        fields[f"member_{number}"] = (member.annotation(), Field(default, alias=name))
    return create_model("Row", **fields)


def first_problem(error: ValidationError) -> str:
    """The first problem of ``error`` without the value that caused it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:MAX_CHARS]


def fields_text(fields: Mapping[str, RowField]) -> str:
    """The fields of a row as a list in a prompt."""
    return "\n".join(f'- "{name}": {field.text}' for name, field in fields.items())


# -- the grammar ---------------------------------------------------------------------------------


def row_fields(value: Any) -> dict[str, RowField]:
    """The fields that ``value`` describes; raises ``ValueError`` with the grammar for others."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError(EXPECTED)
    if len(value) > MAX_FIELDS:
        raise ValueError(f"{len(value)} fields are too many: at most {MAX_FIELDS}")
    return {field_name(name): row_field(spec) for name, spec in value.items()}


RowFields = Annotated[dict[str, RowField], BeforeValidator(row_fields)]


def field_name(name: Any) -> str:
    """``name``, if it can be asked for."""
    if name in RESERVED or not (isinstance(name, str) and name.isprintable() and name.strip()):
        raise ValueError(f"{bounded(name)!r} cannot be the name of a field")
    return bounded(name)


def row_field(spec: Any, depth: int = 1) -> RowField:
    """The field that ``spec`` describes, within ``depth`` - 1 arrays."""
    if isinstance(spec, str):
        known = next((name for name in get_args(FieldType) if name == spec), None)
        return RowField(type=known) if known else RowField(description=bounded(spec))
    if isinstance(spec, (list, tuple)):
        return RowField(choices=choices_of(spec))
    if not isinstance(spec, Mapping):
        raise ValueError(EXPECTED)
    unknown = [key for key in spec if key not in KEYS]
    if unknown:
        known = ", ".join(KEYS)
        raise ValueError(f"there is no {bounded(unknown[0])!r} in a field, only {known}")
    return RowField(
        type=type_of(spec),
        description=bounded(spec.get("description", "")),
        choices=choices_of(spec["enum"]) if "enum" in spec else (),
        items=array_items(spec, depth),
    )


def type_of(spec: Mapping[str, Any]) -> FieldType:
    """The type in ``spec``; that null is possible need not be said."""
    name = spec.get("type", "array" if "items" in spec else "string")
    if isinstance(name, (list, tuple)) and "null" in name and len(name) == 2:
        name = next((other for other in name if other != "null"), None)
    if name not in get_args(FieldType):
        raise ValueError(f"{bounded(name)!r} is no type: {', '.join(TYPES)}")
    checked: FieldType = name
    return checked


def array_items(spec: Mapping[str, Any], depth: int) -> RowField | None:
    """What the items of an array are."""
    if "items" not in spec:
        return None
    if depth >= MAX_DEPTH:
        raise ValueError(f"arrays within arrays go {MAX_DEPTH} deep at most")
    return row_field(spec["items"], depth + 1)


def choices_of(values: Any) -> tuple[Choice, ...]:
    """The choices in ``values``; null is always one."""
    if not isinstance(values, (list, tuple)) or not 0 < len(values) <= MAX_CHOICES:
        raise ValueError(f"choices are a list of 1 to {MAX_CHOICES} texts or numbers")
    kept = tuple(choice(value) for value in values if value is not None)
    if not kept:
        raise ValueError("choices are texts or numbers, not null alone")
    return kept


def choice(value: Any) -> Choice:
    """``value`` as one of several choices."""
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, (int, float)) and abs(value) < MAX_NUMBER:
        return value
    raise ValueError(f"choices are texts or numbers, not {type(value).__name__}")


def bounded(value: Any) -> str:
    """The text ``value``; raises ``ValueError`` if it is something else or too long."""
    if not isinstance(value, str):
        raise ValueError(f"a text is needed, not {type(value).__name__}")
    if len(value) > MAX_CHARS:
        raise ValueError(f"{len(value)} characters are too many: at most {MAX_CHARS}")
    if value != valid_text(value):
        raise ValueError("a text holds half an emoji")
    return value
