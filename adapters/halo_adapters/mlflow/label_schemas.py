"""Label schemas: the labels that MLflow's UI offers for an annotation name.

A server older than they are has no such schemas, and no annotation needs one.
"""

from __future__ import annotations

from collections.abc import Sequence

from halo_adapters.base import AnnotationConfig, Project
from halo_adapters.json_values import JsonObject
from halo_adapters.mlflow.client import MLflowClient


class LabelSchemas:
    """The label schemas of one experiment."""

    def __init__(self, client: MLflowClient, project: Project) -> None:
        self._client = client
        self._project = project

    def ensure(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create the schemas that are missing; returns their names."""
        new = [c for c in configs if self._client.label_schema(self._project, c.name) is None]
        made = [self._client.create_label_schema(schema_row(c, self._project)) for c in new]
        return [config.name for config, is_made in zip(new, made, strict=True) if is_made]

    def delete(self, names: Sequence[str]) -> None:
        """Delete the schemas with these names; assessments of these names remain."""
        for name in names:
            if schema := self._client.label_schema(self._project, name):
                self._client.delete_label_schema(str(schema["schema_id"]))


def schema_row(config: AnnotationConfig, project: Project) -> JsonObject:
    """``config`` as a label schema."""
    return {
        "experiment_id": project.id,
        "name": config.name,
        "type": "FEEDBACK",
        "instruction": config.description,
        "enable_comment": True,
        "input": {"categorical": {"options": list(config.labels)}},
    }
