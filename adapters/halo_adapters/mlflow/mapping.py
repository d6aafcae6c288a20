"""MLflow's traces and spans as ``Span``, its assessments as ``Score`` and ``Annotation`` and back.

The id of a trace is that of OpenTelemetry, which all spans of it have; MLflow's own has ``tr-``
before it. Traces of MLflow 2 have ids of another kind, which stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from halo_adapters import otlp
from halo_adapters.base import Annotation, PersonsAnnotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.spans import span_from_attributes
from halo_adapters.json_values import (
    JsonObject,
    held_object,
    json_safe,
    name_of,
    number_of,
    parse_json,
    unix_nano,
)
from halo_engine.fields import as_text
from halo_engine.schema import Origin, Score, Span, datetime_of

PLATFORM = "mlflow"

OPENTELEMETRY_ID = re.compile(r"[0-9a-f]{32}")
PREFIX = "tr-"

SESSION, USER = "mlflow.trace.session", "mlflow.trace.user"
SHARED_NAMES = {SESSION: "session.id", USER: "user.id"}
NAME_TAG = "mlflow.traceName"
REQUEST_ID = "mlflow.traceRequestId"
# Metadata that repeats, in short, what the first span holds.
PREVIEWS = ("mlflow.traceInputs", "mlflow.traceOutputs")

# The key below which the metadata of an assessment holds ours, as JSON: its values are texts.
OWN_METADATA = "halo"
SOURCE_ID = "halo-integrations"
# Source type of an assessment -> annotator kind; the others have the same name.
ANNOTATOR_KINDS = {"LLM_JUDGE": "LLM"}
PERSON = "HUMAN"
SOURCE_TYPES = {kind: source for source, kind in ANNOTATOR_KINDS.items()}


# -- ids -------------------------------------------------------------------------------------------


def trace_id_of(mlflow_id: str) -> str:
    """The id of a trace, given MLflow's."""
    plain = mlflow_id.removeprefix(PREFIX)
    return plain if OPENTELEMETRY_ID.fullmatch(plain) else mlflow_id


def mlflow_ids(trace_id: str) -> list[str]:
    """What MLflow's id of a trace can be: the one of MLflow 3, and the one of MLflow 2."""
    own = trace_id_of(trace_id)
    return [f"{PREFIX}{own}", own] if OPENTELEMETRY_ID.fullmatch(own) else [own]


# -- spans -----------------------------------------------------------------------------------------


def span_from_stored(
    row: Any, description: JsonObject, project: str, errors: DialectErrors
) -> Span | None:
    """A span of a trace with this description; None for what has no id, and so is none."""
    span, span_id = otlp.object_or_empty(row), span_id_of(row)
    if span_id is None:
        return None
    status = otlp.object_or_empty(span.get("status"))
    attributes = attributes_of(span.get("attributes"))
    return span_from_attributes(
        trace_id=trace_id_of(str(description["trace_id"])),
        span_id=span_id,
        parent_span_id=otlp.id_of(span.get("parent_span_id") or span.get("parent_id")),
        name=span.get("name"),
        start_time_unix_nano=unix_nano(span.get("start_time_unix_nano", span.get("start_time"))),
        end_time_unix_nano=unix_nano(span.get("end_time_unix_nano", span.get("end_time"))),
        status_code=status.get("code", span.get("status_code", "UNSET")),
        status_message=status.get("message", span.get("status_message")) or None,
        attributes=shared_attributes(description) | attributes,
        unread=attributes_by_mlflow(attributes),
        events=otlp.elements_of(span, ("events",)),
        resource=resource_of(description),
        origin=Origin(platform=PLATFORM, project=project, reference=str(description["trace_id"])),
        errors=errors,
    )


def span_id_of(row: Any) -> str | None:
    """The id of a span, which MLflow 2 has in its context; None where there is none."""
    holder = otlp.member_object(row, "context") or otlp.object_or_empty(row)
    return otlp.id_of(holder.get("span_id"))


def attributes_of(value: Any) -> JsonObject:
    """The attributes of a span, each of which MLflow keeps as JSON."""
    return {name: decoded(held) for name, held in otlp.object_or_empty(value).items()}


def decoded(value: Any) -> Any:
    """What ``value`` encodes as JSON: a text, a number, a list of these.

    An object and an empty list stay as they are: recorded as such, or as their JSON, which is kept to
    the letter.
    """
    held = parse_json(value) if isinstance(value, str) else None
    stays = isinstance(held, dict) or (
        isinstance(held, list) and (not held or dict in map(type, held))
    )
    return value if held is None or stays else held


def attributes_by_mlflow(attributes: JsonObject) -> list[str]:
    """The names of the attributes that MLflow made of those of an OpenTelemetry span.

    They come after the id that it gives to each span; its own library gives that one first.
    """
    names = list(attributes)
    at = names.index(REQUEST_ID) if REQUEST_ID in attributes else 0
    return [name for name in names[at:] if name.startswith("mlflow.")] if at else []


def described(description: JsonObject, name: str) -> JsonObject:
    """The metadata (``trace_metadata``) or the ``tags`` of a trace."""
    return otlp.member_object(description, name)


def shared_attributes(description: JsonObject) -> JsonObject:
    """Session and user of a trace, under the names that OpenTelemetry has for them."""
    metadata = described(description, "trace_metadata")
    return {name: metadata[key] for key, name in SHARED_NAMES.items() if metadata.get(key)}


def resource_of(description: JsonObject) -> JsonObject:
    """Metadata and tags of the trace, as attributes of the resource."""
    metadata = described(description, "trace_metadata")
    kept = {key: value for key, value in metadata.items() if key not in PREVIEWS}
    return kept | described(description, "tags")


# -- assessments -----------------------------------------------------------------------------------


def score_from_assessment(row: JsonObject) -> Score:
    """An assessment of another author: feedback, what was expected, or an issue of MLflow's."""
    value, error = assessed_value(row)
    source = otlp.member_object(row, "source")
    kind = name_of(json_safe(source.get("source_type")))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Score(
        name=as_text(json_safe(row.get("assessment_name"))) or "",
        span_id=name_of(json_safe(row.get("span_id"))),
        label=None if is_number else as_text(json_safe(value)),
        value=number_of(float(value)) if isinstance(value, int | float) else None,
        explanation=name_of(json_safe(row.get("rationale"))) or error,
        source=ANNOTATOR_KINDS.get(kind or "", kind),
        identifier=name_of(json_safe(row.get("assessment_id"))),
        created_at=datetime_of(unix_nano(row.get("create_time"))),
        metadata=otlp.member_object(row, "metadata"),
    )


def assessed_value(row: JsonObject) -> tuple[Any, str | None]:
    """The value of an assessment, and why it has none."""
    feedback, expectation = (otlp.member_object(row, kind) for kind in ("feedback", "expectation"))
    if expectation:
        held = otlp.member_object(expectation, "serialized_value").get("value")
        return expectation.get("value", held), None
    if not feedback:
        return otlp.member_object(row, "issue").get("issue_name"), None
    error = otlp.member_object(feedback, "error")
    return feedback.get("value"), name_of(json_safe(error.get("error_message")))


def assessment_id(annotation: Annotation) -> str:
    """The id of an annotation's assessment: a hash of its key, so the same in every run."""
    digest = hashlib.sha256("\x1f".join(annotation.key).encode()).hexdigest()
    return f"{OWN_METADATA}-{digest[:32]}"


def assessment_row(annotation: Annotation, mlflow_id: str) -> JsonObject:
    """``annotation`` as feedback on the trace with MLflow's id ``mlflow_id``."""
    own = {
        "identifier": annotation.identifier,
        "annotator_kind": annotation.annotator_kind,
        "score": annotation.score,
        **annotation.metadata,
    }
    kind = annotation.annotator_kind
    on_span = {"span_id": annotation.span_id} if annotation.span_id else {}
    return {
        "assessment_id": assessment_id(annotation),
        "assessment_name": annotation.name,
        "trace_id": mlflow_id,
        **on_span,
        "source": {"source_type": SOURCE_TYPES.get(kind, kind), "source_id": SOURCE_ID},
        "feedback": {"value": annotation.score if annotation.label is None else annotation.label},
        "rationale": annotation.explanation or "",
        "metadata": {OWN_METADATA: as_text(own)},
    }


def has_other_source(stored: JsonObject, row: JsonObject) -> bool:
    """Whether two assessments are by different kinds of author."""
    first, second = (otlp.member_object(one, "source").get("source_type") for one in (stored, row))
    return first != second


def shown_annotations(rows: Sequence[JsonObject]) -> dict[str, Annotation]:
    """What MLflow shows for each assessment of ours, by its id.

    Who corrects one in the UI makes another one, which overrides it and takes over what it does not
    change. That one has none of our metadata here: no run wrote it, even where it says the same.
    """
    by_id = {str(row.get("assessment_id")): row for row in rows}
    overriding = overriding_ids(by_id)
    found: dict[str, Annotation] = {}
    for own_id in (i for i in by_id if i.startswith(f"{OWN_METADATA}-")):
        ours = found[own_id] = annotation_from_assessment(by_id[own_id])
        if shown := last_of_chain(own_id, overriding):
            theirs = annotation_from_assessment(by_id[shown])
            kept = {"name": ours.name, "span_id": ours.span_id, "identifier": ours.identifier}
            found[own_id] = theirs.model_copy(update={**kept, "metadata": {}})
    return found


def overriding_ids(by_id: Mapping[str, JsonObject]) -> dict[str, str]:
    """The id of the assessment that overrides another one, by the id of that."""
    return {str(row["overrides"]): i for i, row in by_id.items() if row.get("overrides")}


def persons_assessments(rows: Sequence[JsonObject]) -> list[PersonsAnnotation]:
    """What people say in the assessments of one trace, as they corrected it in the end.

    Who gives one of ours another value says none of it: ``shown_annotations`` has that. Who gives it
    the same one confirms it.
    """
    by_id = {str(row.get("assessment_id")): row for row in rows}
    overriding = overriding_ids(by_id)
    ours = [id for id in by_id if id.startswith(f"{OWN_METADATA}-")]
    corrected = {last_of_chain(id, overriding): by_id[id] for id in ours}
    return [
        persons_assessment(id, row)
        for id, row in by_id.items()
        if otlp.member_object(row, "source").get("source_type") == PERSON
        if id not in overriding
        if assessed_value(corrected.get(id, row)) == assessed_value(row)
    ]


def persons_assessment(id: str, row: JsonObject) -> PersonsAnnotation:
    """An assessment of a person; one that is true or false has a label, a number is a score."""
    value, _ = assessed_value(row)
    is_score = isinstance(value, int | float) and not isinstance(value, bool)
    return PersonsAnnotation(
        id=id,
        name=as_text(json_safe(row.get("assessment_name"))) or "",
        trace_id=trace_id_of(str(row.get("trace_id"))),
        span_id=name_of(json_safe(row.get("span_id"))),
        label=None if is_score else as_text(json_safe(value)),
        score=number_of(value) if is_score else None,
        by=name_of(json_safe(otlp.member_object(row, "source").get("source_id"))) or "",
        at=datetime_of(unix_nano(row.get("last_update_time") or row.get("create_time"))),
    )


def last_of_chain(first: str, following: Mapping[str, str]) -> str | None:
    """The last of those that follow one another from ``first`` on; None where none follows."""
    seen, at = {first}, first
    while (after := following.get(at)) and after not in seen:
        seen.add(after)
        at = after
    return None if at == first else at


def annotation_from_assessment(row: Mapping[str, Any]) -> Annotation:
    """A stored assessment as an annotation."""
    assessment = dict(row)
    metadata = dict(held_object(otlp.member_object(assessment, "metadata").get(OWN_METADATA)))
    value, _ = assessed_value(assessment)
    source = str(otlp.member_object(assessment, "source").get("source_type"))
    score = metadata.pop("score", None)
    kind = metadata.pop("annotator_kind", ANNOTATOR_KINDS.get(source, source))
    return Annotation(
        name=str(assessment.get("assessment_name")),
        trace_id=trace_id_of(str(assessment.get("trace_id"))),
        span_id=name_of(json_safe(assessment.get("span_id"))),
        label=value if isinstance(value, str) else None,
        score=score if isinstance(value, str) else number_of(value),
        explanation=name_of(json_safe(assessment.get("rationale"))),
        identifier=str(metadata.pop("identifier", "")),
        annotator_kind=str(kind),
        metadata=metadata,
    )
