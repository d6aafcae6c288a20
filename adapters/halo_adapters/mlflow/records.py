"""Traces as MLflow holds them: what it says of a trace, and its spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from halo_adapters.base import Project
from halo_adapters.json_values import JsonObject
from halo_adapters.mlflow.client import MLflowClient
from halo_adapters.mlflow.conditions import has_one_of
from halo_adapters.mlflow.mapping import mlflow_ids, span_id_of, trace_id_of
from halo_engine.chunks import chunks
from halo_engine.errors import NotFound, Rejected, Unauthorized

# Traces that are asked for at once: less than half a page, since an id can be spelled in two ways.
BATCH = 50
# How many traces are read, or written to, at once.
CONNECTIONS = 4


class TraceRecord(NamedTuple):
    """One trace of MLflow's; ``problem`` is why its spans cannot be read."""

    description: JsonObject
    spans: Sequence[Any] = ()
    problem: str | None = None

    @property
    def mlflow_id(self) -> str:
        """MLflow's id of the trace."""
        return str(self.description["trace_id"])

    @property
    def span_ids(self) -> set[str | None]:
        """The ids of its spans."""
        return {span_id_of(row) for row in self.spans}

    @property
    def assessments(self) -> list[JsonObject]:
        """The assessments on the trace and its spans."""
        return assessments_of(self.description)


class TraceRecords:
    """Reads traces of one experiment by their ids."""

    def __init__(self, client: MLflowClient, project: Project) -> None:
        self._client = client
        self._project = project

    def descriptions(self, trace_ids: Iterable[str]) -> dict[str, JsonObject]:
        """What MLflow says of those of these traces that the experiment has, by trace id."""
        found: dict[str, JsonObject] = {}
        for ids in chunks(list(trace_ids), BATCH):
            spelled = [spelling for trace_id in ids for spelling in mlflow_ids(trace_id)]
            rows, _ = self._client.traces_page(self._project, has_one_of(spelled), None)
            for row in rows:
                found.setdefault(trace_id_of(row["trace_id"]), row)
        return found

    def whole(self, description: JsonObject) -> TraceRecord:
        """The trace that ``description`` is of, with its spans, as far as they are stored."""
        try:
            return TraceRecord(description, self._client.spans(description["trace_id"]))
        except NotFound as error:
            if is_missing(error):
                return TraceRecord(description)
            raise
        except (Rejected, Unauthorized) as error:  # the latter also for one deleted meanwhile
            return TraceRecord(description, problem=str(error))


def is_missing(error: NotFound) -> bool:
    """Whether MLflow itself says that something does not exist, and not that the address is wrong."""
    return "error_code" in str(error)


def assessments_of(description: JsonObject) -> list[JsonObject]:
    """The assessments in the description of a trace."""
    found = description.get("assessments")
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
