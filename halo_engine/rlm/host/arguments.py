"""Checks of the arguments that the model's code passes to host functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.store import TraceFilter


def with_checked_arguments(function: HostFunction) -> HostFunction:
    """``function``, raising ``HostError`` with its signature if its arguments are wrong."""
    signature = untyped_signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise HostError(f"{function.__name__}{signature}: {error}") from error
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError, KeyError, ValidationError) as error:
            raise HostError(f"{function.__name__}{signature}: {summary_line(error)}") from error

    return call


def untyped_signature(function: HostFunction) -> inspect.Signature:
    """The signature of ``function`` without annotations."""
    signature = inspect.signature(function)
    empty = inspect.Parameter.empty
    parameters = [p.replace(annotation=empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=empty)


def summary_line(error: Exception) -> str:
    """The class name and the first line of the message of ``error``."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def trace_filter(where: Mapping[str, Any]) -> TraceFilter:
    """The filter with the fields ``where``; raises ``HostError`` for an unknown or invalid one."""
    known = [name for name in TraceFilter.model_fields if name != "ids"]
    unknown = set(where) - set(known)
    if unknown:
        raise HostError(f"No filter {sorted(unknown)[0]!r}: {', '.join(known)}.")
    try:
        return TraceFilter(**where)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise HostError(f"{first['loc'][0]}={first['input']!r}: {first['msg']}.") from error
