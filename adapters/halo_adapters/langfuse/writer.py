"""Scores into Langfuse, and out again.

An answer of success does not mean that a score is stored: Langfuse looks at it later. What came of
it shows only when it is read again, which the pipeline does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol
from uuid import uuid4

from halo_adapters.base import Annotation, WriteResult
from halo_adapters.langfuse.client import Json, LangfuseClient
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_adapters.langfuse.scores import ScoreReader, trace_of_score
from halo_engine.errors import Rejected

DELETERS = 4
TOO_LARGE = 413

# The key of our own part of a score's metadata. Langfuse keeps metadata as text and reads back as
# a number what looks like one: as one JSON object it comes back as it was sent.
OURS = "halo"

Targets = Mapping[str, Mapping[str, str]]
Errors = dict[str, str]


class Observed(Protocol):
    """What tells which observations there are."""

    def targets(self, trace_ids: Sequence[str]) -> Targets:
        """For each trace that there is, its observations with the start of each."""


class LangfuseWriter:
    """Writes into one project."""

    def __init__(
        self,
        api: LangfuseClient,
        observed: Observed,
        judgements: ScoreReader,
        configs: ScoreConfigs,
    ) -> None:
        self._api = api
        self._observed = observed
        self._judgements = judgements
        self._configs = configs

    def fetch(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under each identity."""
        ids = [score_id(annotation) for annotation in annotations]
        found = {row["id"]: annotation_of(row) for row in self._judgements.by_id(ids)}
        return [found.get(i) for i in ids]

    def write(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write all; one that is refused does not keep the others out.

        Langfuse takes scores on what does not exist, so that is looked at first.
        """
        if not annotations:
            return []
        targets = self._observed.targets([a.trace_id for a in annotations])
        lost = {score_id(a): missing_target(a, targets) for a in annotations}
        scores = [self._score(a, targets) for a in annotations if not lost[score_id(a)]]
        errors = self._send(scores)
        return [
            WriteResult(annotation=a, error=lost[score_id(a)] or errors.get(score_id(a)))
            for a in annotations
        ]

    def delete(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Have the scores deleted; Langfuse does it some seconds later."""
        with ThreadPoolExecutor(DELETERS) as pool:
            list(pool.map(self._api.delete_score, map(score_id, annotations)))
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def _score(self, annotation: Annotation, targets: Targets) -> Json:
        score = score_of(annotation, min(targets[annotation.trace_id].values()))
        config = self._configs.accepting(annotation.name, annotation.label)
        return {**score, "configId": config} if config else score

    @cached_property
    def _sender(self) -> Callable[[Sequence[Json]], Errors]:
        return self._send_list if self._api.takes_score_lists else self._send_events

    def _send(self, scores: Sequence[Json]) -> Errors:
        """Why which scores were refused; half as many at a time where they are too large."""
        if not scores:
            return {}
        try:
            return self._sender(scores)
        except Rejected as error:
            if len(scores) == 1:
                return {scores[0]["id"]: str(error)}
            if error.status not in (TOO_LARGE, 400):
                raise
        half = len(scores) // 2
        return self._send(scores[:half]) | self._send(scores[half:])

    def _send_list(self, scores: Sequence[Json]) -> Errors:
        """Since 4.59: the same id and timestamp again is an update.

        A partial success counts the refused ones without naming them. Those that were taken may be
        sent again, since that changes nothing: halves are sent until each stands alone.
        """
        answer = self._api.post_scores(scores)
        if not answer.get("rejected"):
            return {}
        said = "; ".join(error["message"] for error in answer["errors"])
        if answer["rejected"] == len(scores):
            return {score["id"]: said for score in scores}
        half = len(scores) // 2
        return self._send_list(scores[:half]) | self._send_list(scores[half:])

    def _send_events(self, scores: Sequence[Json]) -> Errors:
        """Before 4.59: an event later than the last one of the same score is an update."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        events = {uuid4().hex: score for score in scores}
        answer = self._api.ingest(
            [
                {"id": event_id, "type": "score-create", "timestamp": now, "body": without_time(s)}
                for event_id, s in events.items()
            ]
        )
        return {events[e["id"]]["id"]: reason_of(e) for e in answer["errors"]}


def score_id(annotation: Annotation) -> str:
    """The id of an annotation's score: the same in every run, of no other target and name.

    The name is in it, since Langfuse shows the old row too where a name changes under one id.
    """
    digest = hashlib.sha256("\x1f".join(annotation.key).encode()).hexdigest()
    return f"{OURS}-{digest[:32]}"


def missing_target(annotation: Annotation, targets: Targets) -> str | None:
    """Why there is nothing to write on, or None."""
    observations = targets.get(annotation.trace_id)
    if not observations:
        return f"Langfuse has no trace {annotation.trace_id}."
    if annotation.span_id is not None and annotation.span_id not in observations:
        return f"Langfuse has no observation {annotation.span_id} in this trace."
    return None


def score_of(annotation: Annotation, timestamp: str) -> Json:
    """``annotation`` as a score: its label as category, a bare number as number.

    ``timestamp`` is the start of the trace: the same in every run, as an update needs it to be.
    """
    kept = {
        "annotator_kind": annotation.annotator_kind,
        "identifier": annotation.identifier,
        "score": annotation.score,
        **annotation.metadata,
    }
    target = {"traceId": annotation.trace_id, "observationId": annotation.span_id}
    return {
        "id": score_id(annotation),
        "name": annotation.name,
        **{name: value for name, value in target.items() if value is not None},
        **value_of(annotation),
        "comment": annotation.explanation,
        "metadata": {OURS: kept},
        "timestamp": timestamp,
    }


def value_of(annotation: Annotation) -> Json:
    """Value and type of the score."""
    if annotation.label is None and annotation.score is not None:
        return {"value": annotation.score, "dataType": "NUMERIC"}
    return {"value": annotation.label or "", "dataType": "CATEGORICAL"}


def annotation_of(row: Json) -> Annotation:
    """A stored score as an annotation, in either form."""
    metadata = dict(row.get("metadata") or {})
    ours = metadata.get(OURS)
    kept = dict(ours) if isinstance(ours, dict) else metadata
    value = row.get("stringValue") or row.get("value")
    subject = row.get("subject") or {}
    on_span = subject.get("id") if subject.get("kind") == "observation" else None
    return Annotation(
        name=row["name"],
        trace_id=trace_of_score(row),
        span_id=on_span or row.get("observationId"),
        label=value if isinstance(value, str) and value else None,
        score=kept.pop("score", None if isinstance(value, str) else value),
        explanation=row.get("comment"),
        annotator_kind=str(kept.pop("annotator_kind", row.get("source"))),
        identifier=str(kept.pop("identifier", "")),
        metadata=kept,
    )


def without_time(score: Json) -> Json:
    """A score as the body of an event, which has a time of its own."""
    return {name: value for name, value in score.items() if name != "timestamp"}


def reason_of(error: Json) -> str:
    """Why an event was refused."""
    details = [str(error[key]) for key in ("message", "error") if error.get(key)]
    return f"Langfuse refused it ({error.get('status')}): {' '.join(details)}"
