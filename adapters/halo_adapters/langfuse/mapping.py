"""Langfuse scores and comments as ``Score``, annotations as scores.

Reading of scores and comments raises nothing, whatever a row holds. Observations are read by
``halo_adapters.observations``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from halo_adapters.base import Annotation, PersonsAnnotation
from halo_adapters.json_values import (
    JsonObject,
    json_safe,
    json_safe_map,
    name_of,
    number_of,
    unix_nano,
)
from halo_adapters.otlp import object_or_empty
from halo_engine.fields import as_text
from halo_engine.schema import Origin, Score, datetime_of

# In every comment and every description of a score config that this package writes.
SIGNATURE = "halo-integrations"

# The key below which a score's metadata holds ours. Langfuse stores metadata values as text and
# returns as a number what looks like one; a JSON object comes back as it was sent.
OWN_METADATA = "halo"
# Prefixes of the environments in which Langfuse's evaluators and this package trace themselves.
EXCLUDED_ENVIRONMENTS = ("langfuse", "halo-integrations")

Row = Mapping[str, Any]
# The environment of an observation that was sent without one.
DEFAULT_ENVIRONMENT = "default"
# Source of a score -> annotator kind.
ANNOTATOR_KINDS = {"ANNOTATION": "HUMAN", "EVAL": "LLM"}
TEXT_TYPES = ("TEXT", "CORRECTION")


def observation_origin(project: Any) -> Origin:
    """Where an observation of the project with this id was read. Langfuse keeps no empty texts."""
    return Origin(platform="langfuse", project=name_of(project), keeps_empty_texts=False)


def score_from_row(row: Row) -> Score:
    """A score of ``v3/scores`` or ``v2/scores``."""
    value = row.get("stringValue") or row.get("value")
    text = as_text(json_safe(value)) if not isinstance(value, (int, float)) else None
    is_text = row.get("dataType") in TEXT_TYPES
    metadata = row.get("metadata")
    safe_metadata = json_safe_map(metadata) if isinstance(metadata, Mapping) else {}
    created = unix_nano(row.get("createdAt"))
    return Score(
        name=as_text(json_safe(row.get("name"))) or "",
        span_id=span_id_of_score(row),
        label=score_label(row, value, None if is_text else text),
        value=number_of(float(value)) if isinstance(value, (bool, int, float)) else None,
        explanation=name_of(text if is_text else json_safe(row.get("comment"))),
        source=annotator_kind_of(row, safe_metadata),
        identifier=name_of(json_safe(row.get("id"))),
        created_at=datetime_of(created),
        metadata=safe_metadata,
    )


def score_label(row: Row, value: Any, text: str | None) -> str | None:
    """The category; "true" or "false" for a boolean; None for a number."""
    if row.get("dataType") == "BOOLEAN" and isinstance(value, (bool, int, float)):
        return "true" if value else "false"
    return text or None


def trace_id_of_score(row: Row) -> str:
    """The id of the trace that a score is on, in either form; "" for one on a session."""
    subject = object_or_empty(row.get("subject"))
    on_trace = subject.get("id") if subject.get("kind") == "trace" else None
    return str(subject.get("traceId") or on_trace or row.get("traceId") or "")


def span_id_of_score(row: Row) -> str | None:
    """The id of the observation that a score is on; None for one on the whole trace."""
    subject = row.get("subject")
    if isinstance(subject, Mapping):
        return (
            name_of(json_safe(subject.get("id"))) if subject.get("kind") == "observation" else None
        )
    return name_of(json_safe(row.get("observationId")))


def annotator_kind_of(row: Row, metadata: Mapping[str, Any]) -> str | None:
    """HUMAN, LLM or CODE: from the source; for scores of the API from our metadata, else CODE."""
    source = row.get("source")
    if found := ANNOTATOR_KINDS.get(str(source)):
        return found
    own = metadata.get(OWN_METADATA)
    kind = own.get("annotator_kind") if isinstance(own, Mapping) else None
    return name_of(kind) or ("CODE" if source == "API" else name_of(json_safe(source)))


def score_from_comment(row: Row) -> Score:
    """A comment on a trace or an observation as a score named "comment"."""
    on_span = row.get("objectType") == "OBSERVATION"
    return Score(
        name="comment",
        span_id=name_of(json_safe(row.get("objectId"))) if on_span else None,
        explanation=as_text(json_safe(row.get("content"))),
        source="HUMAN" if row.get("authorUserId") else "CODE",
        identifier=name_of(json_safe(row.get("id"))),
        created_at=datetime_of(unix_nano(row.get("createdAt"))),
    )


def persons_score(row: Row) -> PersonsAnnotation:
    """A score that a person gave."""
    score = score_from_row(row)
    changed = datetime_of(unix_nano(row.get("updatedAt"))) or score.created_at
    return PersonsAnnotation(
        id=str(row["id"]),
        name=score.name,
        trace_id=trace_id_of_score(row),
        span_id=span_id_of_score(row),
        label=score.label,
        score=score.value,
        by=name_of(json_safe(row.get("authorUserId"))) or "",
        at=changed,
    )


def score_id(annotation: Annotation) -> str:
    """The id of an annotation's score: a hash of its key, so the same in every run.

    The name is part of it: where the name of a stored id changes, Langfuse shows the old row too.
    """
    digest = hashlib.sha256("\x1f".join(annotation.key).encode()).hexdigest()
    return f"{OWN_METADATA}-{digest[:32]}"


class ScoreTarget(NamedTuple):
    """A trace that scores are written onto, with the ids of its observations.

    ``timestamp`` is its start. ``environment`` is the one that the platform's pages filter by.
    """

    timestamp: str
    environment: str
    observation_ids: frozenset[str]


def is_excluded(environment: Any) -> bool:
    """Whether evaluators or this package trace themselves in this environment."""
    return isinstance(environment, str) and environment.startswith(EXCLUDED_ENVIRONMENTS)


def score_target(rows: Sequence[Row]) -> ScoreTarget:
    """The target that the observations of one trace (at least one) make."""
    first = min(rows, key=lambda row: (row["startTime"], row.get("parentObservationId") or ""))
    return ScoreTarget(
        timestamp=first["startTime"],
        environment=first.get("environment") or DEFAULT_ENVIRONMENT,
        observation_ids=frozenset(row["id"] for row in rows),
    )


def score_request(annotation: Annotation, target: ScoreTarget) -> JsonObject:
    """``annotation`` as a score: its label as category, a score without a label as number.

    Its timestamp is the start of the trace: an update needs the same one as the stored score.
    """
    own = {
        "annotator_kind": annotation.annotator_kind,
        "identifier": annotation.identifier,
        "score": annotation.score,
        **annotation.metadata,
    }
    subject = {"traceId": annotation.trace_id, "observationId": annotation.span_id}
    return {
        "id": score_id(annotation),
        "name": annotation.name,
        **{name: value for name, value in subject.items() if value is not None},
        "environment": target.environment,
        **value_and_type(annotation),
        "comment": annotation.explanation,
        "metadata": {OWN_METADATA: own},
        "timestamp": target.timestamp,
    }


def value_and_type(annotation: Annotation) -> JsonObject:
    """Value and data type of an annotation's score."""
    if annotation.label is None and annotation.score is not None:
        return {"value": annotation.score, "dataType": "NUMERIC"}
    return {"value": annotation.label or "", "dataType": "CATEGORICAL"}


def annotation_from_score_row(row: JsonObject) -> Annotation:
    """A stored score, of ``v3/scores`` or ``v2/scores``, as an annotation."""
    metadata = dict(row.get("metadata") or {})
    own = metadata.get(OWN_METADATA)
    if isinstance(own, dict):
        metadata = dict(own)
    value = row.get("stringValue") or row.get("value")
    subject = row.get("subject") or {}
    on_span = subject.get("id") if subject.get("kind") == "observation" else None
    return Annotation(
        name=row["name"],
        trace_id=trace_id_of_score(row),
        span_id=on_span or row.get("observationId"),
        label=value if isinstance(value, str) and value else None,
        score=metadata.pop("score", None if isinstance(value, str) else value),
        explanation=row.get("comment"),
        annotator_kind=str(metadata.pop("annotator_kind", row.get("source"))),
        identifier=str(metadata.pop("identifier", "")),
        metadata=metadata,
    )
