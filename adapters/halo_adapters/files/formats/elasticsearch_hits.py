"""Spans in Elasticsearch and OpenSearch: hits of a search, and lines of a dump.

Each holds a document below ``_source``. Of OpenTelemetry in Elastic's own mapping it has spans with
a duration, of OpenSearch's Data Prepper attributes with @ for each dot, of Elastic APM transactions
and spans with labels; any other document may be in any format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.formats.base import SpanRow, ended_after
from halo_adapters.files.records import Problem
from halo_adapters.json_values import JsonObject, integer_of, unix_nano
from halo_adapters.otlp import elements_of, member_object, object_or_empty

SOURCE = "_source"
PREPPER = "span.attributes."
RESOURCE_PREPPER = "resource.attributes."
# Each of what is recognised has one of these.
RECOGNISED_BY = frozenset({SOURCE, "hits", "trace", "@timestamp"})
LABELS = ("labels", "numeric_labels")
LABELS_RENAMED = Problem(
    "holds spans of Elastic APM, which renames attributes (dots become underscores), so that few of "
    "them are understood: store them as OpenTelemetry has them (EDOT Collector, mapping mode otel), "
    "or send a copy over OTLP to a file.",
    is_general=True,
)


class ElasticsearchHits:
    """An answer of a search, a hit, and the documents in them that other formats do not know."""

    title = "hits of Elasticsearch and OpenSearch"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is an answer or a hit, or a document with times in a form of its own."""
        if RECOGNISED_BY.isdisjoint(value):
            return False
        if isinstance(value.get(SOURCE), dict) or isinstance(value.get("hits"), dict):
            return True
        return is_transaction(value) or is_timed(value)

    def rows(self, value: JsonObject) -> Iterator[SpanRow | Problem | list[Any]]:
        """The documents, or the span that a document is."""
        if isinstance(value.get("hits"), dict):
            yield elements_of(value["hits"], ("hits",))
        elif isinstance(value.get(SOURCE), dict):
            yield [without_prefixes(value[SOURCE])]
        elif is_transaction(value):
            yield SpanRow(apm_span(value))
            yield LABELS_RENAMED
        else:
            yield SpanRow(timed_span(value))


def is_timed(value: JsonObject) -> bool:
    """Whether it is a span of OpenTelemetry that has its start as the time of the document."""
    return "trace_id" in value and "span_id" in value and "@timestamp" in value


def is_transaction(value: JsonObject) -> bool:
    """Whether it is a transaction or span of Elastic APM."""
    return "id" in member_object(value, "trace") and bool(apm_part(value))


def apm_part(value: JsonObject) -> JsonObject:
    """What a document of APM says of its span or transaction."""
    parts = (member_object(value, name) for name in ("span", "transaction"))
    return next((part for part in parts if "id" in part), {})


def timed_span(value: JsonObject) -> JsonObject:
    """A span in Elastic's mapping of OpenTelemetry, whose duration is in nanoseconds."""
    start = unix_nano(value["@timestamp"])
    return {
        **value,
        "start_time": value["@timestamp"],
        "end_time": ended_after(start, value.get("duration")),
    }


def apm_span(value: JsonObject) -> JsonObject:
    """A transaction or span of Elastic APM under the names of OpenTelemetry."""
    part = apm_part(value)
    start = member_object(value, "timestamp").get("us") or value.get("@timestamp")
    duration = integer_of(member_object(part, "duration").get("us")) or 0
    end = ended_after(unix_nano(start), duration * 1000)
    outcome = member_object(value, "event").get("outcome")
    service = member_object(value, "service").get("name")
    return {
        "trace_id": value["trace"]["id"],
        "span_id": part["id"],
        "parent_span_id": member_object(value, "parent").get("id"),
        "name": part.get("name"),
        "start_time": start,
        "end_time": end,
        "status": {"code": "ERROR" if outcome == "failure" else "UNSET"},
        "attributes": {k: v for name in LABELS for k, v in member_object(value, name).items()},
        "resource": {"attributes": {"service.name": service} if service else {}},
    }


def without_prefixes(source: JsonObject) -> JsonObject:
    """A document whose attributes Data Prepper has put beside its fields, with them below theirs."""
    attributes, resource = (
        {
            k.removeprefix(prefix).replace("@", "."): v
            for k, v in source.items()
            if k.startswith(prefix)
        }
        for prefix in (PREPPER, RESOURCE_PREPPER)
    )
    if not attributes and not resource:
        return source
    rest = {k: v for k, v in source.items() if not k.startswith((PREPPER, RESOURCE_PREPPER))}
    own = object_or_empty(rest.get("attributes"))
    return {**rest, "attributes": attributes | own, "resource": {"attributes": resource}}


def below(source: JsonObject, prefix: str) -> JsonObject:
    """What ``source`` has under names with this ``prefix``, dots as dots."""
    named = ((key.removeprefix(prefix), v) for key, v in source.items() if key.startswith(prefix))
    return {name.replace("@", "."): value for name, value in named}
