"""HTTP requests and responses of the stand-in, and the errors that its endpoints share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from halo_integrations.testing.langfuse.state import ApiError

Row = dict[str, Any]
Query = dict[str, list[str]]


@dataclass
class ApiRequest:
    """A request; ``query`` has a list of values for each parameter."""

    method: str
    path: str
    query: Query
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        """The first value of a query parameter; None if it is not given."""
        values = self.query.get(name)
        return values[0] if values else None

    def values(self, name: str) -> list[str]:
        """All values of a query parameter, also those of a comma-separated list."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def integer(self, name: str, default: int, maximum: int) -> int:
        """A query parameter as an integer; raises ``ApiError`` (400) above ``maximum``."""
        value = int(self.first(name) or default)
        if value > maximum:
            raise too_big(name, maximum)
        return value

    def json(self) -> Any:
        """The body, decoded."""
        return orjson.loads(self.body)


@dataclass
class ApiResponse:
    """A response; ``body`` is encoded as JSON unless it is bytes."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def invalid_request(*errors: Row) -> ApiError:
    """400: the request does not validate, for these reasons."""
    return ApiError(400, {"message": "Invalid request data", "error": list(errors)})


def too_big(name: str, maximum: int) -> ApiError:
    """400: an integer parameter is above its maximum."""
    return invalid_request(
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
    """The validation error for a value of the wrong type at ``path``."""
    return {
        "expected": expected,
        "code": "invalid_type",
        "path": list(path),
        "message": f"Invalid input: expected {expected}, received {received}",
    }


def bad_request(message: str) -> ApiError:
    """400: the request validates, but cannot be carried out."""
    return ApiError(400, {"message": message, "error": "InvalidRequestError"})


def not_found(message: str) -> ApiError:
    """404: the object does not exist."""
    return ApiError(404, {"message": message, "error": "LangfuseNotFoundError"})
