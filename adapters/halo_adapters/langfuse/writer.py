"""Writing and deletion of scores in Langfuse.

An answer of success does not mean that a score is stored: Langfuse validates it later. Only reading
it again, which the pipeline does, shows whether it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol
from uuid import uuid4

from halo_adapters.base import Annotation, WriteResult
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.client import LangfuseClient
from halo_adapters.langfuse.mapping import (
    ScoreTarget,
    annotation_from_score_row,
    score_id,
    score_request,
)
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_adapters.langfuse.scores import ScoreReader
from halo_adapters.transport.deletion import delete_each
from halo_engine.errors import Rejected

BAD_REQUEST = 400
TOO_LARGE = 413

# By trace id.
Targets = Mapping[str, ScoreTarget]

# Score id -> why it was refused.
Errors = dict[str, str]


class TargetReader(Protocol):
    """Reads which traces and observations exist."""

    def targets(self, trace_ids: Sequence[str]) -> Targets:
        """Those of these traces that exist."""


class LangfuseWriter:
    """Writes to one project."""

    def __init__(
        self,
        client: LangfuseClient,
        targets: TargetReader,
        scores: ScoreReader,
        configs: ScoreConfigs,
    ) -> None:
        self._client = client
        self._targets = targets
        self._scores = scores
        self._configs = configs

    def fetch(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each, or None."""
        ids = [score_id(annotation) for annotation in annotations]
        found = {row["id"]: annotation_from_score_row(row) for row in self._scores.by_id(ids)}
        return [found.get(i) for i in ids]

    def write(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write all; one that is refused does not prevent the others.

        Langfuse accepts scores on traces and observations that do not exist, so those are read
        first.
        """
        if not annotations:
            return []
        targets = self._targets.targets([a.trace_id for a in annotations])
        missing = {score_id(a): missing_target(a, targets) for a in annotations}
        scores = [self._score_row(a, targets) for a in annotations if not missing[score_id(a)]]
        errors = self._send(scores)
        return [
            WriteResult(annotation=a, error=missing[score_id(a)] or errors.get(score_id(a)))
            for a in annotations
        ]

    def delete(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Have the scores deleted, which Langfuse does some seconds later."""
        return delete_each(lambda a: self._client.delete_score(score_id(a)), annotations)

    def _score_row(self, annotation: Annotation, targets: Targets) -> JsonObject:
        score = score_request(annotation, targets[annotation.trace_id])
        config = self._configs.accepting(annotation.name, annotation.label)
        return {**score, "configId": config} if config else score

    @cached_property
    def _sender(self) -> Callable[[Sequence[JsonObject]], Errors]:
        return self._send_list if self._client.takes_score_lists else self._send_events

    def _send(self, scores: Sequence[JsonObject]) -> Errors:
        """Send scores, in halves where they are too large; returns the refused ones."""
        if not scores:
            return {}
        try:
            return self._sender(scores)
        except Rejected as error:
            if len(scores) == 1:
                return {scores[0]["id"]: str(error)}
            if error.status not in (TOO_LARGE, BAD_REQUEST):
                raise
        half = len(scores) // 2
        return self._send(scores[:half]) | self._send(scores[half:])

    def _send_list(self, scores: Sequence[JsonObject]) -> Errors:
        """Since 4.59: ``POST /scores``, where the same id and timestamp again is an update.

        A partial success counts the refused ones without naming them, so halves are sent again
        until each refused one is alone; repeating the accepted ones changes nothing.
        """
        answer = self._client.post_scores(scores)
        if not answer.get("rejected"):
            return {}
        reasons = "; ".join(error["message"] for error in answer["errors"])
        if answer["rejected"] == len(scores):
            return {score["id"]: reasons for score in scores}
        half = len(scores) // 2
        return self._send_list(scores[:half]) | self._send_list(scores[half:])

    def _send_events(self, scores: Sequence[JsonObject]) -> Errors:
        """Before 4.59: ingestion events, where a later one for the same score is an update."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        events = {uuid4().hex: score for score in scores}
        common = {"type": "score-create", "timestamp": now}
        answer = self._client.ingest(
            [{**common, "id": i, "body": without_timestamp(score)} for i, score in events.items()]
        )
        return {events[e["id"]]["id"]: refusal_reason(e) for e in answer["errors"]}


def missing_target(annotation: Annotation, targets: Targets) -> str | None:
    """Why the trace or observation to annotate does not exist; None where it does."""
    target = targets.get(annotation.trace_id)
    if target is None:
        return f"Langfuse has no trace {annotation.trace_id}."
    if annotation.span_id is not None and annotation.span_id not in target.observation_ids:
        return f"Langfuse has no observation {annotation.span_id} in this trace."
    return None


def without_timestamp(score: JsonObject) -> JsonObject:
    """A score as the body of an event, which has its own timestamp."""
    return {name: value for name, value in score.items() if name != "timestamp"}


def refusal_reason(error: JsonObject) -> str:
    """Why an ingestion event was refused."""
    details = [str(error[key]) for key in ("message", "error") if error.get(key)]
    return f"Langfuse refused it ({error.get('status')}): {' '.join(details)}"
