"""What an object in a file is, where it is no span: as a sentence, with the way to spans."""

from __future__ import annotations

from typing import NamedTuple

from halo_adapters.json_values import JsonObject
from halo_engine.text.unicode import valid_text

# How many keys of an object a message lists.
KEYS_SHOWN = 8


class Stranger(NamedTuple):
    """Something else than a span: the keys that all such objects have, and what to say of it."""

    keys: frozenset[str]
    what: str


def stranger(keys: str, what: str) -> Stranger:
    """The stranger with these ``keys``, written with spaces between them."""
    return Stranger(frozenset(keys.split()), what)


NO_TRACES = "holds OpenTelemetry metrics, not traces."
STRANGERS = (
    *(stranger(name, NO_TRACES) for name in ("resourceMetrics", "resource_metrics")),
    stranger(
        "traceID rootTraceName",
        "is a result of a search in Tempo, which has no spans: download each trace "
        "(GET /api/traces/ID).",
    ),
    stranger(
        "traceID rootServiceName",
        "is a result of a search in Tempo, which has no spans: download each trace "
        "(GET /api/traces/ID).",
    ),
    stranger(
        "op_name started_at trace_id",
        "is a call of W&B Weave: send its traces over OTLP to a file or a platform instead.",
    ),
    stranger(
        "root_span_id span_attributes",
        "is a span of Braintrust: send its traces over OTLP to a file or a platform instead.",
    ),
    stranger(
        "traceEvents", "is a profile for Chrome's viewer: export the spans over OTLP instead."
    ),
    stranger(
        "messages",
        "is a conversation, not a trace: its spans are what instrumentation records, as "
        "OpenInference or OpenTelemetry do.",
    ),
)


def what_it_is(value: JsonObject) -> str:
    """What ``value`` is, which is no span, as a sentence without its subject."""
    for keys, what in STRANGERS:
        if value.keys() >= keys:
            return what
    shown = ", ".join(repr(valid_text(key)) for key in list(value)[:KEYS_SHOWN])
    return f"is JSON but not a span: its keys are {shown or 'none'}."
