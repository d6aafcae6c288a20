"""The types of the arguments of host functions, and the one place where they are checked.

The model's code can pass anything that Python can express. Each argument has a type with bounds on
its length, size and depth; what does not fit is refused before the function is called. Regular
expressions and SQL are run by DuckDB, which bounds their time, never by Python's ``re``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from types import FunctionType, MethodType
from typing import Annotated, Any, NamedTuple, cast

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, validate_call

from halo_engine.errors import EngineError
from halo_engine.fields import as_text
from halo_engine.rlm.events import one_line_error
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.store import TraceFilter
from halo_engine.text.redaction import redact_visible

MAX_ITEMS = 100_000
DATA_CHARS = 100_000
ERROR_CHARS = 2000


def data_text(value: Any) -> str:
    """``value`` as text; raises ``ValueError`` if it has none, such as one nested too deeply."""
    text = as_text("" if value is None else value)
    if text is None:
        raise ValueError("it cannot be turned into text")
    return text


# A constraint on the length also refuses lone surrogates, which no other program accepts.
Name = Annotated[str, StringConstraints(max_length=500)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Pattern = Annotated[str, StringConstraints(max_length=2000)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
# Anything, as text.
Data = Annotated[str, StringConstraints(max_length=DATA_CHARS), BeforeValidator(data_text)]
Items = Annotated[list[Data], Field(max_length=MAX_ITEMS)]
Names = Annotated[list[Name], Field(max_length=MAX_ITEMS)]
FilterValue = bool | Count | Name | datetime | None

OnError = Callable[[str, Exception], None]


def checked(function: HostFunction, on_error: OnError) -> HostFunction:
    """``function``, a method, with checked arguments, which raises no exception but ``HostError``.

    ``on_error`` gets the name of the function and an exception that it should not have raised.
    """
    name = function.__name__
    bind, signature = parameters_of(cast(MethodType, function).__func__)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            args, kwargs = bind(*args, **kwargs)
        except ValidationError as error:
            raise HostError(f"{name}{signature}: {problem_of(error, signature)}") from error
        try:
            return function(*args, **kwargs)
        except (HostError, EngineError) as error:
            raise HostError(redact_visible(str(error))[:ERROR_CHARS]) from error
        except Exception as error:
            on_error(name, error)
            raise HostError(f"{name}() failed, do without it: {one_line_error(error)}") from error

    return call


class Parameters(NamedTuple):
    """The parameters of a host function: what validates its arguments, and how they are shown.

    ``bind`` has these parameters and returns its arguments, validated.
    """

    bind: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]
    signature: inspect.Signature


@functools.cache  # every investigation has a host, and a validator takes a millisecond to make
def parameters_of(function: FunctionType) -> Parameters:
    """The parameters of the method that is defined by ``function``."""

    @functools.wraps(function)
    def given(_: object, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    method = MethodType(given, object())
    return Parameters(validate_call(method), untyped(inspect.signature(method)))


def untyped(signature: inspect.Signature) -> inspect.Signature:
    """``signature`` without annotations."""
    empty = inspect.Parameter.empty
    parameters = [p.replace(annotation=empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=empty)


def problem_of(error: ValidationError, signature: inspect.Signature) -> str:
    """The first problem of ``error`` with the name of its argument, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = list(first["loc"])
    if where and isinstance(where[0], int) and where[0] < len(signature.parameters):
        where[0] = list(signature.parameters)[where[0]]
    named = ".".join(map(str, where))
    return redact_visible(f"{named}: {first['msg']}")[:ERROR_CHARS]


def trace_filter(where: Mapping[str, Any]) -> TraceFilter:
    """The filter with the fields ``where``; raises ``HostError`` for an unknown or invalid one."""
    known = [name for name in TraceFilter.model_fields if name != "ids"]
    unknown = set(where) - set(known)
    if unknown:
        raise HostError(f"No filter {sorted(unknown)[0][:50]!r}: {', '.join(known)}.")
    try:
        return TraceFilter(**where)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise HostError(f"{first['loc'][0]}={first['input']!r}: {first['msg']}.") from error
