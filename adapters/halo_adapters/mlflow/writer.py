"""Writing and deletion of assessments in MLflow.

MLflow takes the id of an assessment from the request, so that one can be made from the key of an
annotation: the same one in every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from halo_adapters.base import VERDICT, Annotation, PersonsAnnotation, WriteResult
from halo_adapters.json_values import JsonObject
from halo_adapters.mlflow.client import MLflowClient
from halo_adapters.mlflow.mapping import (
    assessment_id,
    assessment_row,
    has_other_source,
    persons_assessments,
    shown_annotations,
)
from halo_adapters.mlflow.records import (
    CONNECTIONS,
    TraceRecord,
    TraceRecords,
    assessments_of,
)
from halo_adapters.transport.deletion import delete_each
from halo_engine.errors import NotFound, Rejected


class MLflowWriter:
    """Writes to one experiment."""

    def __init__(self, client: MLflowClient, records: TraceRecords) -> None:
        self._client = client
        self._records = records

    def fetch(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The annotation with the key of each as MLflow shows it, or None."""
        found: dict[str, Annotation] = {}
        for description in self._descriptions(annotations).values():
            found |= shown_annotations(assessments_of(description))
        return [found.get(assessment_id(annotation)) for annotation in annotations]

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people put beside ``annotations``, under their names or that of a verdict."""
        names = {VERDICT, *(annotation.name for annotation in annotations)}
        return [
            word
            for description in self._descriptions(annotations).values()
            for word in persons_assessments(assessments_of(description))
            if word.name in names
        ]

    def write(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write all; one that is refused does not prevent the others.

        MLflow accepts assessments on spans that do not exist, so the traces are read first.
        """
        descriptions = self._descriptions(annotations)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            whole = pool.map(self._records.whole, descriptions.values())
            records = dict(zip(descriptions, whole, strict=True))
            return list(pool.map(partial(self._write, records), annotations))

    def delete(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete all; one that is refused does not prevent the others."""
        descriptions = self._descriptions(annotations)

        def delete(annotation: Annotation) -> None:
            if description := descriptions.get(annotation.trace_id):
                self._client.delete_assessment(description["trace_id"], assessment_id(annotation))

        return delete_each(delete, annotations)

    def _descriptions(self, annotations: Sequence[Annotation]) -> dict[str, JsonObject]:
        return self._records.descriptions(trace_ids_of(annotations))

    def _write(self, records: Mapping[str, TraceRecord], annotation: Annotation) -> WriteResult:
        record = records.get(annotation.trace_id)
        error = lacking_target(annotation, record)
        if record is not None and error is None:
            try:
                self._store(assessment_row(annotation, record.mlflow_id), record)
            except (NotFound, Rejected) as refusal:
                error = str(refusal)
        return WriteResult(annotation=annotation, error=error)

    def _store(self, row: JsonObject, record: TraceRecord) -> None:
        """Create an assessment, or change the stored one, whose source MLflow cannot change."""
        by_id = {one.get("assessment_id"): one for one in record.assessments}
        stored = by_id.get(row["assessment_id"])
        if stored is not None and has_other_source(stored, row):
            self._client.delete_assessment(row["trace_id"], row["assessment_id"])
            stored = None
        if stored is not None or not self._client.create_assessment(row):
            self._client.update_assessment(row)


def trace_ids_of(annotations: Sequence[Annotation]) -> list[str]:
    """The ids of the traces that these are on, each once."""
    return list(dict.fromkeys(annotation.trace_id for annotation in annotations))


def lacking_target(annotation: Annotation, record: TraceRecord | None) -> str | None:
    """Why there is nothing to write on; None where there is."""
    if record is None:
        return f"MLflow has no trace {annotation.trace_id} in this experiment."
    if annotation.span_id is not None and annotation.span_id not in record.span_ids:
        return f"MLflow has no span {annotation.span_id} in trace {annotation.trace_id}."
    return None
