"""What a request asks for, and the refusals that every endpoint shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from halo_integrations.testing.langfuse.state import Refused

Row = dict[str, Any]
Query = dict[str, list[str]]


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    query: Query
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def one(self, name: str) -> str | None:
        """The first value of a parameter."""
        values = self.query.get(name)
        return values[0] if values else None

    def many(self, name: str) -> list[str]:
        """All values of a parameter, also of a comma list."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def number(self, name: str, default: int, maximum: int) -> int:
        """A whole number; refuses one that is too big as the real server does."""
        value = int(self.one(name) or default)
        if value > maximum:
            raise too_big(name, maximum)
        return value

    def json(self) -> Any:
        """The body."""
        return orjson.loads(self.body)


@dataclass
class Answer:
    """A response; ``body`` is bytes where it is JSON already."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def invalid(*errors: Row) -> Refused:
    """What the checks of a request's form say."""
    return Refused(400, {"message": "Invalid request data", "error": list(errors)})


def too_big(name: str, maximum: int) -> Refused:
    """A number above its maximum."""
    return invalid(
        {
            "origin": "number",
            "code": "too_big",
            "maximum": maximum,
            "inclusive": True,
            "path": [name],
            "message": f"Too big: expected number to be <={maximum}",
        }
    )


def wrong_type(expected: str, received: str, *path: str) -> Row:
    """A value of another type than expected."""
    return {
        "expected": expected,
        "code": "invalid_type",
        "path": list(path),
        "message": f"Invalid input: expected {expected}, received {received}",
    }


def bad_request(message: str) -> Refused:
    """A request that cannot be."""
    return Refused(400, {"message": message, "error": "InvalidRequestError"})


def not_found(message: str) -> Refused:
    """Something that is not there."""
    return Refused(404, {"message": message, "error": "LangfuseNotFoundError"})
