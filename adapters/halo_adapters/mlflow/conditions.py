"""A ``TraceQuery`` in MLflow's filter language.

It has AND, but no OR and no escapes, and compares the start of a trace in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from halo_adapters.base import TraceQuery
from halo_adapters.json_values import JsonObject
from halo_adapters.mlflow.mapping import NAME_TAG, SESSION, USER, described
from halo_engine.errors import ConfigError
from halo_engine.schema import unix_nano_of

NANOS_PER_MILLISECOND = 1_000_000


def filter_of(query: TraceQuery, since: datetime | None, until: datetime | None) -> str:
    """What MLflow can filter by, for traces that started in this window."""
    return " AND ".join(clauses_of(query, since, until))


def clauses_of(query: TraceQuery, since: datetime | None, until: datetime | None) -> Iterator[str]:
    """The conditions, which all have to be met."""
    for comparison, moment in ((">=", since), ("<", until)):
        if (nano := unix_nano_of(moment)) is not None:
            yield f"timestamp_ms {comparison} {nano // NANOS_PER_MILLISECOND}"
    if query.errors_only:
        yield "span.status = 'ERROR'"
    if query.session_id is not None:
        yield f"metadata.`{SESSION}` = {literal_text(query.session_id)}"
    if query.user_id is not None:
        yield f"metadata.`{USER}` = {literal_text(query.user_id)}"
    if len(query.names) == 1:
        yield f"trace.name = {literal_text(query.names[0])}"
    for tag in query.tags:
        key, has_value, value = tag.partition("=")
        yield (
            f"tag.{literal_name(key)} = {literal_text(value)}"
            if has_value
            else f"tag.{literal_name(key)} IS NOT NULL"
        )


def has_one_of(mlflow_ids: Sequence[str]) -> str:
    """The condition for traces with one of these ids of MLflow's."""
    return f"request_id IN ({', '.join(map(literal_text, mlflow_ids))})"


def has_a_name(description: JsonObject, query: TraceQuery) -> bool:
    """Whether a trace has one of the names that are asked for; MLflow can compare with one only."""
    return not query.names or described(description, "tags").get(NAME_TAG) in query.names


def literal_text(text: str) -> str:
    """A text in MLflow's filter language; ``ConfigError`` where it has none for it."""
    mark = '"' if "'" in text else "'"
    if mark in text:
        raise ConfigError(
            f"MLflow cannot compare with {text!r}: a text in its filters holds either ' or \", not "
            f"both."
        )
    return f"{mark}{text}{mark}"


def literal_name(key: str) -> str:
    """The name of a tag in MLflow's filter language; ``ConfigError`` where it has none for it."""
    if "`" in key:
        raise ConfigError(f"MLflow cannot filter by the tag {key!r}: its name holds a backtick.")
    return f"`{key}`"
