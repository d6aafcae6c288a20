"""Writing and deletion of annotations and annotation configs in Phoenix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from halo_adapters.base import (
    VERDICT,
    Annotation,
    AnnotationConfig,
    AnnotationKey,
    PersonsAnnotation,
    Project,
    WriteResult,
)
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.mapping import (
    annotation_from_row,
    annotation_row,
    config_row,
    persons_annotation,
    target_id,
    target_kind,
)
from halo_adapters.transport.deletion import delete_each
from halo_engine.chunks import chunks
from halo_engine.errors import NotFound, Rejected

IDS_PER_URL = 200
# The annotator kind of what people write.
PERSON = "HUMAN"

SHARED_IDENTIFIER = (
    "Phoenix deletes annotations by name and identifier, and {} has one with both the same. Delete "
    "this one in Phoenix."
)


class PhoenixWriter:
    """Writes to one project."""

    def __init__(self, client: PhoenixClient, project: Project) -> None:
        self._client = client
        self._project = project

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create and assign missing configs; returns the names that were not assigned before."""
        assigned = set(self._client.project_configs(self._project))
        new = [config for config in configs if config.name not in assigned]
        for config in new:
            if self._client.config(config.name) is None:
                self._client.create_config(config_row(config))
            self._client.assign_config(self._project, config.name)
        return [config.name for config in new]

    def retire_configs(self, names: Sequence[str]) -> None:
        """Unassign the configs; delete those that are assigned to no other project."""
        for name in set(names) & set(self._client.project_configs(self._project)):
            self._client.unassign_config(self._project, name)
        projects = self._client.projects()
        assigned = {name for project in projects for name in self._client.project_configs(project)}
        for name in set(names) - assigned:
            config = self._client.config(name)
            if config:
                self._client.delete_config(config["id"])

    def fetch(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each, or None."""
        found: dict[AnnotationKey, Annotation] = {}
        for kind, group in by_target_kind(annotations).items():
            traces = {target_id(a): a.trace_id for a in group}
            for ids in chunks(list(traces), IDS_PER_URL):
                for row in self._client.annotations(self._project, kind, ids=ids):
                    annotation = annotation_from_row(row, traces[row[f"{kind}_id"]])
                    found[annotation.key] = annotation
        return [found.get(annotation.key) for annotation in annotations]

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people put beside ``annotations``, under their names or that of a verdict.

        Phoenix's form for annotations makes one of ours that of a person as soon as it is touched,
        whatever they say: that is none of these.
        """
        own = {annotation.identifier for annotation in annotations}
        names = {VERDICT, *(annotation.name for annotation in annotations)}
        spans = {a.span_id: a.trace_id for a in annotations if a.span_id}
        traces = {a.trace_id: a.trace_id for a in annotations}
        return [
            persons_annotation(row, trace_of[row[f"{kind}_id"]])
            for kind, trace_of in (("span", spans), ("trace", traces))
            for ids in chunks(list(trace_of), IDS_PER_URL)
            for row in self._client.annotations(self._project, kind, ids=ids)
            if row["annotator_kind"] == PERSON and row["name"] in names
            if row["identifier"] not in own
        ]

    def write(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write all; one that is refused does not prevent the others."""
        written: dict[AnnotationKey, WriteResult] = {}
        for kind, group in by_target_kind(annotations).items():
            written.update({w.annotation.key: w for w in self._write(kind, group)})
        return [written[annotation.key] for annotation in annotations]

    def _write(self, kind: str, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Phoenix stores a batch whole or not at all: halve a refused one to find the invalid row."""
        try:
            self._client.write_annotations(kind, [annotation_row(a) for a in annotations])
        except (Rejected, NotFound) as error:
            if len(annotations) == 1:
                return [WriteResult(annotation=annotations[0], error=str(error))]
            half = len(annotations) // 2
            return self._write(kind, annotations[:half]) + self._write(kind, annotations[half:])
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def delete(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete all; one that cannot be deleted without another one stays, with an ``error``.

        Phoenix deletes what has a name and an identifier, on every span of the project.
        """
        shared = {
            key: SHARED_IDENTIFIER.format(other)
            for key, other in self._others_with_same_identifier(annotations).items()
        }
        deleted = delete_each(self._delete, [a for a in annotations if a.key not in shared])
        results = {result.annotation.key: result for result in deleted}
        return [
            results.get(a.key) or WriteResult(annotation=a, error=shared[a.key])
            for a in annotations
        ]

    def _delete(self, annotation: Annotation) -> None:
        kind = target_kind(annotation)
        self._client.delete_annotation(self._project, kind, annotation.name, annotation.identifier)

    def _others_with_same_identifier(
        self, annotations: Sequence[Annotation]
    ) -> dict[AnnotationKey, str]:
        """For each whose name and identifier are on a further span or trace too: the id of that."""
        found: dict[AnnotationKey, str] = {}
        for kind, group in by_target_kind(annotations).items():
            targets: dict[tuple[str, str], set[str]] = defaultdict(set)
            for ids in chunks(sorted({a.identifier for a in group}), IDS_PER_URL):
                for row in self._client.annotations(self._project, kind, identifiers=ids):
                    targets[row["name"], row["identifier"]].add(row[f"{kind}_id"])
            for annotation in group:
                targets[annotation.name, annotation.identifier].discard(target_id(annotation))
            others = [(a.key, targets[a.name, a.identifier]) for a in group]
            found.update({key: min(ids) for key, ids in others if ids})
        return found


def by_target_kind(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    """Those on spans and those on traces, which have separate endpoints."""
    kinds: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        kinds[target_kind(annotation)].append(annotation)
    return kinds
