"""JSON Schemas that traces declare for the arguments of tools: untrusted, so checked in bounded time.

Nothing is fetched: a reference to another document stays unresolved. Regular expressions are not
checked, since one can take exponential time on a long text. A few hundred characters of references
to references can ask for more steps than any computer makes, so that steps are counted. What cannot
be decided within these bounds is not judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_SCHEMA_BYTES = 200_000
MAX_STEPS = 100_000
# Keywords whose outcome needs regular expressions, or looks ahead through references.
UNSUPPORTED = ("patternProperties", "unevaluatedProperties", "unevaluatedItems")

Keyword = Callable[[Validator, Any, Any, dict[str, Any]], Iterator[ValidationError] | None]


class TooManySteps(Exception):
    """A check was given up."""


class SchemaCheck:
    """Checks values against the JSON Schema ``declared``."""

    def __init__(self, declared: dict[str, Any]) -> None:
        kind = validator_for(declared, default=Draft202012Validator)
        kind.check_schema(declared)
        keywords = {name: self._counted(keyword) for name, keyword in kind.VALIDATORS.items()}
        own = {"pattern": ignored_keyword, "uniqueItems": unique_items}
        bounded: Any = extend(kind, {**keywords, **own})  # type: ignore[no-untyped-call]
        self._validator: Validator = bounded(declared, registry=Registry())
        self._steps_left = 0

    def errors(self, value: Any) -> list[ValidationError] | None:
        """The errors of ``value`` by path; None if it cannot be judged."""
        self._steps_left = MAX_STEPS
        try:
            errors = list(self._validator.iter_errors(value))
        except (Unresolvable, RecursionError, TooManySteps, ValueError, ArithmeticError):
            return None
        return sorted(errors, key=lambda error: [*map(str, error.path)])

    def _counted(self, keyword: Keyword) -> Keyword:
        """``keyword``, which takes steps: one, and one for each of the values it compares with."""

        def checked(
            validator: Validator, value: Any, instance: Any, schema: dict[str, Any]
        ) -> Iterator[ValidationError]:
            self._steps_left -= 1 + (len(value) if isinstance(value, (list, dict)) else 0)
            if self._steps_left < 0:
                raise TooManySteps
            yield from keyword(validator, value, instance, schema) or ()

        return checked


@lru_cache(maxsize=512)
def schema_check(schema: bytes) -> SchemaCheck | None:
    """The check of a schema's JSON text; None if it is no schema or not one that can be judged."""
    if len(schema) > MAX_SCHEMA_BYTES or any(
        f'"{name}"'.encode() in schema for name in UNSUPPORTED
    ):
        return None
    declared = orjson.loads(schema)
    if not isinstance(declared.get("$schema", ""), str):
        return None
    try:
        return SchemaCheck(declared)
    except (SchemaError, RecursionError):
        return None


def ignored_keyword(*_: Any) -> Sequence[ValidationError]:
    """The implementation of a schema keyword that is not checked."""
    return ()


def unique_items(
    _: Validator, is_wanted: Any, items: Any, __: dict[str, Any]
) -> Iterator[ValidationError]:
    """Whether the items of an array differ, in a time that grows with their number alone."""
    if is_wanted is True and isinstance(items, list):
        texts = {json.dumps(item, sort_keys=True) for item in items}
        if len(texts) < len(items):
            yield ValidationError("the items are not unique")
