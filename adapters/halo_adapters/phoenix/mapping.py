"""Phoenix spans as ``Span``, and Phoenix annotations as ``Score`` and ``Annotation`` and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from halo_adapters.base import Annotation, AnnotationConfig, PersonsAnnotation, Project
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.spans import span_from_attributes
from halo_adapters.json_values import JsonObject, number_of, plausible_nano, unix_nano
from halo_adapters.phoenix_spans import as_recorded
from halo_engine.schema import Origin, Score, Span, datetime_of

PLATFORM = "phoenix"

# The columns of every span that are no attributes.
COLUMNS = (
    *("trace_id", "parent_id", "name", "span_kind", "start_time", "end_time"),
    *("status_code", "status_message"),
)
# A span in columns: its id, and the columns that were asked for.
ColumnRow = tuple[Any, ...]

# Where that id is in a row, and ``COLUMNS`` where they were asked for first.
SPAN_ID = 0
TRACE_ID, PARENT_ID, NAME, SPAN_KIND, START_TIME, END_TIME, STATUS_CODE, STATUS_MESSAGE = range(
    1, len(COLUMNS) + 1
)
# Where the attribute branches begin behind them.
BRANCHES = len(COLUMNS) + 1

NANOS_OF_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}

# Embedding vectors would be most of an answer; beside them is the name of the model.
EMBEDDING, EMBEDDING_MODEL = "embedding", "model_name"


def rows_of_table(content: bytes) -> list[ColumnRow]:
    """The rows of the JSON table that a span query is answered with.

    Raises ``orjson.JSONDecodeError`` or ``KeyError`` for something else.
    """
    return [tuple(row.values()) for row in orjson.loads(content)["data"]]


class RawTable(msgspec.Struct):
    """The JSON table that a span query is answered with, its values as they came."""

    data: list[dict[str, msgspec.Raw]]


RAW_TABLE = msgspec.json.Decoder(RawTable)
RAW_NULL = msgspec.Raw(b"null")


def attributes_found(content: bytes) -> dict[str, bool]:
    """For each span of a JSON table whether it has a value in any column beside its id.

    The values are not parsed. Raises ``msgspec.MsgspecError`` for something else.
    """
    rows = (list(row.values()) for row in RAW_TABLE.decode(content).data)
    return {
        msgspec.json.decode(span_id, type=str): any(value != RAW_NULL for value in values)
        for span_id, *values in rows
    }


def rows_of_arrow(content: bytes) -> list[ColumnRow]:
    """The rows of the Arrow table that a span query is answered with; times are in nanoseconds.

    Raises ``pyarrow.ArrowException`` for something else.
    """
    # Phoenix puts the span id behind the columns in Arrow, and in front of them in JSON
    columns = pa.ipc.open_stream(content).read_all().columns
    return list(zip(*map(values_of_arrow, (*columns[-1:], *columns[:-1])), strict=True))


def values_of_arrow(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    # not cast to nanoseconds: in 64 bits they end in 2262, and a wrong time can be beyond
    nanos = NANOS_OF_UNIT[column.type.unit]
    counts = column.cast(pa.int64()).to_pylist()
    return [None if count is None else count * nanos for count in counts]


def rows_of_answers(plain: Iterable[ColumnRow], attributes: Iterable[ColumnRow]) -> list[ColumnRow]:
    """The rows of two answers about the same spans as one row for each: the span id, ``COLUMNS``,
    and the attributes below each branch."""
    by_id = {span_id: values for span_id, *values in attributes}
    return [(*row, *by_id[row[SPAN_ID]]) for row in plain if row[SPAN_ID] in by_id]


def span_from_columns(
    row: ColumnRow, branches: Sequence[str], project: str, errors: DialectErrors
) -> Span:
    """A span from a row of ``rows_of_answers``."""
    attributes: JsonObject = {}
    for branch, value in zip(branches, row[BRANCHES:], strict=True):
        if value is not None:
            add_flat(attributes, column_name(branch), value)
    return span_from_attributes(
        trace_id=row[TRACE_ID],
        span_id=row[SPAN_ID],
        parent_span_id=row[PARENT_ID],
        name=row[NAME],
        start_time_unix_nano=plausible_nano(row[START_TIME]),
        end_time_unix_nano=plausible_nano(row[END_TIME]),
        status_code=row[STATUS_CODE],
        status_message=row[STATUS_MESSAGE] or None,
        **as_recorded(row[SPAN_KIND], attributes),
        origin=Origin(platform=PLATFORM, project=project),
        errors=errors,
    )


def column_name(branch: str) -> str:
    """The name of what the column of ``branch`` holds: of embeddings the model only."""
    return f"{EMBEDDING}.{EMBEDDING_MODEL}" if branch == EMBEDDING else branch


def add_flat(attributes: JsonObject, name: str, value: Any) -> None:
    """Add what is below ``name`` under the dotted names that it was recorded with.

    Phoenix nests attributes when it stores them; its REST API takes that back in the same way.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            add_flat(attributes, f"{name}.{key}", member)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            add_flat(attributes, f"{name}.{number}", item)
    elif value is not None:
        attributes[name] = value


def span_from_json(row: JsonObject, project: str, errors: DialectErrors) -> Span:
    """A span as the REST API gives it, with its status message and events."""
    return span_from_attributes(
        trace_id=row["context"]["trace_id"],
        span_id=row["context"]["span_id"],
        parent_span_id=row["parent_id"],
        name=row["name"],
        start_time_unix_nano=unix_nano(row["start_time"]),
        end_time_unix_nano=unix_nano(row["end_time"]),
        status_code=row["status_code"],
        status_message=row["status_message"] or None,
        **as_recorded(row["span_kind"], without_vectors(row["attributes"])),
        events=row["events"],
        origin=Origin(platform=PLATFORM, project=project, reference=row.get("id")),
        errors=errors,
    )


def without_vectors(attributes: JsonObject) -> JsonObject:
    """``attributes`` without embedding vectors, which are not analysed."""
    if not any(name.startswith(f"{EMBEDDING}.") for name in attributes):
        return attributes
    return {name: v for name, v in attributes.items() if not name.endswith(".embedding.vector")}


def project_from_row(row: JsonObject) -> Project:
    """A project of the REST API."""
    return Project(id=row["id"], name=row["name"])


def score_from_annotation_row(row: JsonObject) -> Score:
    """An annotation of the REST API as a score."""
    result = row.get("result") or {}
    return Score(
        name=row["name"],
        span_id=row.get("span_id"),
        label=result.get("label"),
        value=number_of(result.get("score")),
        explanation=result.get("explanation"),
        source=row.get("annotator_kind"),
        identifier=row.get("identifier") or None,
        created_at=datetime_of(unix_nano(row.get("created_at"))),
        metadata=row.get("metadata") or {},
    )


def annotation_from_row(row: JsonObject, trace_id: str) -> Annotation:
    """An annotation of the REST API, on the trace ``trace_id`` or a span in it."""
    result = row.get("result") or {}
    return Annotation(
        name=row["name"],
        trace_id=trace_id,
        span_id=row.get("span_id"),
        label=result.get("label"),
        score=result.get("score"),
        explanation=result.get("explanation"),
        metadata=row.get("metadata") or {},
        identifier=row.get("identifier") or "",
        annotator_kind=row["annotator_kind"],
    )


def persons_annotation(row: JsonObject, trace_id: str) -> PersonsAnnotation:
    """What a person put on the trace ``trace_id`` or a span in it."""
    result = row.get("result") or {}
    return PersonsAnnotation(
        id=row["id"],
        name=row["name"],
        trace_id=trace_id,
        span_id=row.get("span_id"),
        label=result.get("label"),
        score=result.get("score"),
        by=row.get("user_id") or "",
        at=row.get("updated_at") or row.get("created_at"),
    )


def annotation_row(annotation: Annotation) -> JsonObject:
    """``annotation`` for the REST API: complete, since an upsert replaces the whole row."""
    return {
        f"{target_kind(annotation)}_id": target_id(annotation),
        "name": annotation.name,
        "annotator_kind": annotation.annotator_kind,
        "identifier": annotation.identifier,
        "metadata": annotation.metadata,
        "result": {
            "label": annotation.label,
            "score": annotation.score,
            "explanation": annotation.explanation,
        },
    }


def target_kind(annotation: Annotation) -> str:
    """``span`` or ``trace``: what the annotation is on."""
    return "span" if annotation.span_id else "trace"


def target_id(annotation: Annotation) -> str:
    """The id of the span or trace that the annotation is on."""
    return annotation.span_id or annotation.trace_id


def config_row(config: AnnotationConfig) -> JsonObject:
    """``config`` for the REST API.

    The labels have no scores: Phoenix would show the score instead of the label, and store it with
    a label that a person corrects. The worst label comes first, which Phoenix shows in red.
    """
    return {
        "type": "CATEGORICAL",
        "name": config.name,
        "description": config.description,
        "optimization_direction": "MAXIMIZE",
        "values": [{"label": label} for label in config.labels],
    }
