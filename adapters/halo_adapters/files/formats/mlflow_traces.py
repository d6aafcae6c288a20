"""MLflow's traces: a file for each, and the rows of a search.

The spans have the names of OpenTelemetry, their attributes those of MLflow. Session and user stand
in the metadata of the trace, which is around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.formats.base import SpanRow
from halo_adapters.json_values import JsonObject, held_json
from halo_adapters.otlp import elements_of, member_object, object_or_empty

METADATA = ("trace_metadata", "request_metadata")
SESSION_NAMES = {"mlflow.trace.session": "session.id", "mlflow.trace.user": "user.id"}


class MLflowTraces:
    """A trace with its description beside its spans."""

    title = "MLflow's traces"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it has the parts of a trace, or is a row of a search."""
        if isinstance(value.get("info"), dict) and isinstance(value.get("data"), dict | str):
            return True
        return "trace_metadata" in value and isinstance(value.get("spans"), list | str)

    def rows(self, value: JsonObject) -> Iterator[SpanRow]:
        """Its spans, each with the session and the user of the trace."""
        holder = object_or_empty(held_json(value["data"])) if "info" in value else value
        shared = session_attributes(member_object(value, "info") if "info" in value else value)
        spans = held_json(holder.get("spans"))
        for span in elements_of({"spans": spans}, ("spans",)):
            yield SpanRow(with_shared_attributes(span, shared))


def session_attributes(info: JsonObject) -> JsonObject:
    """Session and user of a trace, under the names that OpenTelemetry has for them."""
    held = (object_or_empty(held_json(info.get(name))) for name in METADATA)
    metadata = next(filter(None, held), {})
    return {name: metadata[key] for key, name in SESSION_NAMES.items() if key in metadata}


def with_shared_attributes(span: Any, shared: JsonObject) -> Any:
    """``span`` with the attributes that the whole trace has."""
    attributes = object_or_empty(span).get("attributes")
    return {**span, "attributes": shared | attributes} if isinstance(attributes, dict) else span
