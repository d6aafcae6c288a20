"""Annotations into Phoenix, and out again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from halo_adapters.base import Annotation, AnnotationConfig, WriteResult
from halo_adapters.phoenix.client import Json, PhoenixClient, Project
from halo_engine.chunks import chunks
from halo_engine.errors import NotFound, Rejected

IDS_PER_URL = 200
DELETERS = 4


class PhoenixWriter:
    """Writes into one project."""

    def __init__(self, api: PhoenixClient, project: Project) -> None:
        self._api = api
        self._project = project

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create and assign what is missing; the names of those that the project did not show."""
        shown = set(self._api.project_configs(self._project))
        new = [config for config in configs if config.name not in shown]
        for config in new:
            if self._api.config(config.name) is None:
                self._api.create_config(config_row(config))
            self._api.assign_config(self._project, config.name)
        return [config.name for config in new]

    def retire_configs(self, names: Sequence[str]) -> None:
        """Take the configs out of the project, and off the server where no project shows them."""
        for name in set(names) & set(self._api.project_configs(self._project)):
            self._api.unassign_config(self._project, name)
        shown = {
            name for project in self._api.projects() for name in self._api.project_configs(project)
        }
        for name in set(names) - shown:
            config = self._api.config(name)
            if config:
                self._api.delete_config(config["id"])

    def fetch(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under each identity."""
        found: dict[tuple[str, str, str, str], Annotation] = {}
        for kind, those in by_kind(annotations).items():
            traces = {target_of(a): a.trace_id for a in those}
            for ids in chunks(list(traces), IDS_PER_URL):
                for row in self._api.annotations(self._project, kind, ids):
                    annotation = annotation_of(row, traces[row[f"{kind}_id"]])
                    found[annotation.key] = annotation
        return [found.get(annotation.key) for annotation in annotations]

    def write(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write all; one that is refused does not keep the others out."""
        written: dict[tuple[str, str, str, str], WriteResult] = {}
        for kind, those in by_kind(annotations).items():
            written.update({w.annotation.key: w for w in self._write(kind, those)})
        return [written[annotation.key] for annotation in annotations]

    def _write(self, kind: str, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Phoenix takes a batch whole or not at all: halve a refused one to find the culprit."""
        try:
            self._api.write_annotations(kind, [row_of(a, kind) for a in annotations])
        except (Rejected, NotFound) as error:
            if len(annotations) == 1:
                return [WriteResult(annotation=annotations[0], error=str(error))]
            half = len(annotations) // 2
            return self._write(kind, annotations[:half]) + self._write(kind, annotations[half:])
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def delete(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete each by its name and identifier, which no other target shares."""
        with ThreadPoolExecutor(DELETERS) as pool:
            return list(pool.map(self._delete, annotations))

    def _delete(self, annotation: Annotation) -> WriteResult:
        kind = kind_of(annotation)
        self._api.delete_annotation(self._project, kind, annotation.name, annotation.identifier)
        return WriteResult(annotation=annotation)


def kind_of(annotation: Annotation) -> str:
    """``span`` or ``trace``: what the annotation is on."""
    return "span" if annotation.span_id else "trace"


def target_of(annotation: Annotation) -> str:
    """The id of what the annotation is on."""
    return annotation.span_id or annotation.trace_id


def by_kind(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    """Those on spans and those on traces, which Phoenix keeps apart."""
    kinds: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        kinds[kind_of(annotation)].append(annotation)
    return kinds


def row_of(annotation: Annotation, kind: str) -> Json:
    """``annotation`` as Phoenix takes it: complete, since an upsert replaces the whole row."""
    return {
        f"{kind}_id": target_of(annotation),
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


def annotation_of(row: Json, trace_id: str) -> Annotation:
    """A stored row as an annotation."""
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


def config_row(config: AnnotationConfig) -> Json:
    """``config`` as Phoenix takes it.

    Without scores: a person who corrects a label in the UI would write the score along, and a chip
    shows the score instead of the label. The worst label stands first, which Phoenix shows in red.
    """
    return {
        "type": "CATEGORICAL",
        "name": config.name,
        "description": config.description,
        "optimization_direction": "MAXIMIZE",
        "values": [{"label": label} for label in config.labels],
    }
