"""Langfuse's observations as it exports them: a trace or a table of its UI, to blob storage, its API.

Names are in camel case, in blob storage with underscores; in CSV and Parquet objects are JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from halo_adapters.files.asides import Aside
from halo_adapters.files.formats.base import SpanRow
from halo_adapters.files.mapping import PLATFORM, Place
from halo_adapters.files.records import Problem
from halo_adapters.json_values import JsonObject, held_json, json_safe, name_of, time_faults
from halo_adapters.messages.langfuse_observations import OBSERVATION_KINDS
from halo_adapters.observations import span_from_observation
from halo_adapters.otlp import elements_of, member_object, object_or_empty
from halo_engine.schema import Origin, Span

TYPES = frozenset({*OBSERVATION_KINDS, "SPAN", "EVENT"})
UNDERSCORE = re.compile(r"_([a-z])")
# Names of an export -> that of the API, which takes their place where it is missing.
OTHER_NAMES = {"providedModelName": "model", "traceTags": "tags"}
# Fields that hold objects, or lists, which tables have as text.
OBJECTS = ("metadata", "modelParameters", "usageDetails", "costDetails", "tags")
TOKENS = {"promptTokens": "input", "completionTokens": "output", "totalTokens": "total"}
# What a row of the table of traces has, and one of what only such a row has.
TRACE_KEYS = frozenset({"id", "timestamp", "tags"})
TRACE_FLAGS = frozenset({"bookmarked", "public", "is_bookmarked"})
NO_CONTENT = Problem(
    "holds observations of Langfuse without any input or output: its UI leaves them out of the "
    "download of a trace with many observations, and an export without the field group of inputs "
    "and outputs has none. Read them from the server (`run langfuse`), or export the table of "
    "observations.",
    is_general=True,
)


class LangfuseExports:
    """Observations one by one, or below ``observations``."""

    title = "Langfuse's exports of observations"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is an observation, holds some, or is a row of the table of traces."""
        return (
            isinstance(value.get("observations"), list) or is_observation(value) or is_trace(value)
        )

    def rows(self, value: JsonObject) -> Iterator[SpanRow | Aside | Problem]:
        """The observations, each with the trace that is described beside them."""
        if is_observation(value):
            yield SpanRow(value, {}, read_observation)
            return
        if is_trace(value):
            yield Aside(str(value["id"]), "", in_camel_case(value))
            return
        trace = member_object(value, "trace") or value
        rows = elements_of(value, ("observations",))
        yield from (SpanRow(row, trace, read_observation) for row in rows)
        if rows and not any(map(has_content, rows)):
            yield NO_CONTENT


def is_observation(value: JsonObject) -> bool:
    """Whether ``value`` is an observation: one of its types, with the id of a trace."""
    has_ids = "id" in value and ("traceId" in value or "trace_id" in value)
    return has_ids and isinstance(value.get("type"), str) and value["type"] in TYPES


def is_trace(value: JsonObject) -> bool:
    """Whether ``value`` is a row of the table of traces, which has observations in another one."""
    return value.keys() >= TRACE_KEYS and not value.keys().isdisjoint(TRACE_FLAGS)


def has_content(row: Any) -> bool:
    """Whether an observation has an input or an output, or is none at all."""
    return not isinstance(row, dict) or bool(row.get("input") or row.get("output"))


def read_observation(row: Any, trace: JsonObject | None, place: Place) -> Iterator[Span | Problem]:
    """An observation as a span, then a ``Problem`` for times in it that are none.

    ``trace`` is the trace that is described beside it.
    """
    found = observation_of(object_or_empty(row))
    trace_id = found.get("traceId") or object_or_empty(trace).get("id")
    if not found.get("id") or not trace_id:
        missing = "the id of its trace" if found.get("id") else "an id"
        yield Problem(f"is an observation of Langfuse without {missing}.", place.reference)
        return
    described = [aside.attributes for aside in place.asides.on(str(trace_id), "")]
    origin = Origin(
        platform=PLATFORM,
        project=name_of(json_safe(found.get("projectId"))),
        reference=place.reference,
        keeps_empty_texts=False,
    )
    found["traceId"] = trace_id
    yield span_from_observation(found, origin, next(iter(described), trace), place.errors)
    times = {name: found.get(name) for name in ("startTime", "endTime")}
    if faults := time_faults(times):
        yield Problem(f"holds a span with times that cannot be right: {faults}.", place.reference)


def observation_of(row: JsonObject) -> JsonObject:
    """``row`` under the names of Langfuse's API."""
    found = in_camel_case(row)
    for name, api_name in OTHER_NAMES.items():
        if found.get(name) and not found.get(api_name):
            found[api_name] = found[name]
    found |= {name: held_json(found[name]) for name in OBJECTS if name in found}
    if not found.get("usageDetails"):
        found["usageDetails"] = {side: found[n] for n, side in TOKENS.items() if found.get(n)}
    return found


def in_camel_case(row: JsonObject) -> JsonObject:
    """``row`` with its names as those of Langfuse's API."""
    return {UNDERSCORE.sub(lambda match: match[1].upper(), key): v for key, v in row.items()}
