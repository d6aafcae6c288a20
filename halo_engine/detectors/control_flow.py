"""Control flow that is recorded as an error: a pause, a hand-over, a cancellation, an ending.

Frameworks steer a run by exceptions, and instrumentations give their spans the status ERROR. None
of them is a failure. ``control_flow.toml`` lists them, for every rule that reads errors or endings.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from importlib.resources import files

from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
)

from halo_engine.detectors.span_text import TRACEBACK, error_text, raised_line
from halo_engine.schema import Span, SpanEvent

# The type at the beginning of a status message: "CancelledError: ", "a.b.GraphInterrupt((...".
LEADING_TYPE = re.compile(r"\s{0,9}([A-Za-z_][\w.]{0,120})\s?(?:[(:\n]|\Z)")
# On the span of a tool that Pydantic AI puts off, for a person to approve it or to be run elsewhere;
# its status says nothing.
DEFERRED = "pydantic_ai.tool.deferral.name"
# The type of any error in JavaScript: it says nothing, what follows may.
UNTOLD = "Error"


class ControlFlow(StrEnum):
    """What an exception of control flow does to the run; ``control_flow.toml`` explains each."""

    PAUSED = "paused"
    HANDED_OVER = "handed_over"
    CANCELLED = "cancelled"
    FINISHED = "finished"


def read_control_flow(key: str) -> dict[str, ControlFlow]:
    """What each entry under ``key`` of ``control_flow.toml`` does to the run."""
    text = files("halo_engine.detectors").joinpath("control_flow.toml").read_text("utf-8")
    sections = tomllib.loads(text).items()
    return {entry: ControlFlow(name) for name, rows in sections for entry in rows.get(key, ())}


BY_NAME = read_control_flow("names")
BY_BEGINNING = read_control_flow("beginnings")
BY_MESSAGE = {text.lower(): kind for text, kind in read_control_flow("messages").items()}


def control_flow_of(span: Span) -> ControlFlow | None:
    """The control flow that a span records by itself; None for any other failure, and for none.

    A span with several exceptions has failed if any of them is a failure.
    """
    if is_deferred(span):
        return ControlFlow.PAUSED
    if not span.is_error:
        return None
    kinds = [kind_of_exception(event) for event in span.exceptions]
    if kinds:
        return kinds[0] if all(kinds) else None
    return kind_of_text(span.status.message or "")


def is_deferred(span: Span) -> bool:
    """Whether the span is that of a tool that was put off."""
    return bool(span.attributes.get(DEFERRED))


def control_flows(spans: Iterable[Span]) -> dict[str, ControlFlow]:
    """Span id -> its control flow, for each of ``spans`` (parents first) that is not a failure.

    An error without any text above control flow is that control flow on its way up.
    """
    found: dict[str, ControlFlow] = {}
    below: dict[str, list[ControlFlow | None]] = {}
    for span in reversed([span for span in spans if span.is_error or is_deferred(span)]):
        kind = control_flow_of(span)
        children = below.get(span.span_id, [])
        if kind is None and children and all(children) and not error_text(span):
            kind = children[0]
        if kind:
            found[span.span_id] = kind
        below.setdefault(span.parent_span_id or "", []).append(kind)
    return found


def kind_of_exception(event: SpanEvent) -> ControlFlow | None:
    """The control flow that an exception event records, by its type if it has one."""
    name = event.attributes.get(EXCEPTION_TYPE)
    if isinstance(name, str) and name.strip() not in ("", UNTOLD):
        return kind_of_type(name.strip())
    texts = (event.attributes.get(key) for key in (EXCEPTION_STACKTRACE, EXCEPTION_MESSAGE))
    kinds = (kind_of_text(text) for text in texts if isinstance(text, str))
    return next((kind for kind in kinds if kind), None)


def kind_of_text(text: str) -> ControlFlow | None:
    """The control flow that an error's text, or its traceback, names."""
    text = text.strip()
    told = raised_line(text) if text.startswith(TRACEBACK) else text
    told = told.removeprefix(f"{UNTOLD}: ")
    leading = LEADING_TYPE.match(told)
    named = kind_of_type(leading.group(1)) if leading else None
    begun = (kind for beginning, kind in BY_BEGINNING.items() if told.startswith(beginning))
    return named or next(begun, None) or BY_MESSAGE.get(told.rstrip(".").lower())


def kind_of_type(name: str) -> ControlFlow | None:
    """The control flow of an exception type, with or without its module."""
    return next((BY_NAME[end] for end in suffixes_of(name) if end in BY_NAME), None)


def suffixes_of(name: str) -> Iterator[str]:
    """``a.b.C``, ``b.C`` and ``C``."""
    parts = name.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))
