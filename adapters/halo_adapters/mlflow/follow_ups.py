"""Items of review queues and records of evaluation datasets in MLflow.

A trace is in a queue once, and an input in a dataset once, however often it is added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult, Project
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.mlflow.client import TITLE, MLflowClient
from halo_adapters.mlflow.mapping import trace_id_of
from halo_adapters.mlflow.records import TraceRecords
from halo_adapters.otlp import member_object
from halo_engine.errors import NotFound
from halo_engine.fields import as_text

KEY_TAG, NAMES_TAG = "halo.key", "halo.findings"
COMPLETED = "A person has completed its review."
EDITED = "A person has added to it."


class MLflowFollowUps:
    """Creates and deletes follow-ups in one experiment."""

    def __init__(self, client: MLflowClient, project: Project, records: TraceRecords) -> None:
        self._client = client
        self._project = project
        self._records = records

    def fetch(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        """The existing follow-up with the key of each, or None."""
        places: dict[tuple[FollowUpKind, str], FollowUpPlace | None] = {}
        for one in wanted:
            if (one.kind, one.place) not in places:
                places[one.kind, one.place] = self._place(one)
        return [
            place.find(one) if (place := places[one.kind, one.place]) else None for one in wanted
        ]

    def create(self, wanted: FollowUp) -> FollowUpResult:
        """Create one, in a queue or a dataset that is made where there is none."""
        place = self._place(wanted) or self._new_place(wanted)
        description = self._records.descriptions([wanted.trace_id]).get(wanted.trace_id)
        if description is None:
            raise NotFound(f"{TITLE} has no trace {wanted.trace_id}.", platform=TITLE)
        place.add(wanted, description["trace_id"])
        return place.result(wanted)

    def delete(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete each, but for those that people worked on: they have an ``error``."""
        places = {str(one.holder): self._place_of(one) for one in made}
        errors = [places[str(one.holder)].remove(one.follow_up) for one in made]
        return [
            one.model_copy(update={"error": error}) for one, error in zip(made, errors, strict=True)
        ]

    def _place(self, wanted: FollowUp) -> FollowUpPlace | None:
        """The queue or dataset that a follow-up belongs to; None where there is none."""
        find: Callable[[Project, str], str | None] = self._client.dataset
        if wanted.kind is FollowUpKind.QUEUE_ITEM:
            find = self._client.queue
        place_id = find(self._project, wanted.place)
        return self._place_called(wanted.kind, place_id) if place_id else None

    def _new_place(self, wanted: FollowUp) -> FollowUpPlace:
        if wanted.kind is FollowUpKind.QUEUE_ITEM:
            schemas = (self._client.label_schema(self._project, name) for name in wanted.names)
            asked = [str(schema["schema_id"]) for schema in schemas if schema]
            place_id = self._client.create_queue(self._project, wanted.place, asked)
        else:
            place_id = self._client.create_dataset(self._project, wanted.place)
        return self._place_called(wanted.kind, place_id)

    def _place_of(self, made: FollowUpResult) -> FollowUpPlace:
        return self._place_called(made.follow_up.kind, str(made.holder))

    def _place_called(self, kind: FollowUpKind, place_id: str) -> FollowUpPlace:
        is_queue = kind is FollowUpKind.QUEUE_ITEM
        return (ReviewQueue if is_queue else EvaluationDataset)(self._client, place_id)


class FollowUpPlace(ABC):
    """A queue or a dataset; what is in it is read at first use."""

    def __init__(self, client: MLflowClient, place_id: str) -> None:
        self._client = client
        self._id = place_id
        self._known: dict[str, JsonObject] | None = None

    def find(self, wanted: FollowUp) -> FollowUpResult | None:
        """The item for ``wanted``, or None."""
        return self.result(wanted) if self._item(wanted) else None

    def result(self, wanted: FollowUp) -> FollowUpResult:
        """The result for an item that is there."""
        return FollowUpResult(follow_up=wanted, id=wanted.key, holder=self._id)

    @abstractmethod
    def add(self, wanted: FollowUp, mlflow_id: str) -> None:
        """Add an item for the trace with this id of MLflow's."""

    @abstractmethod
    def remove(self, wanted: FollowUp) -> str | None:
        """Remove the item; or why it has to stay. Nothing where there is none."""

    def _item(self, wanted: FollowUp) -> JsonObject | None:
        if self._known is None:
            self._known = dict(self._items())
        return next((self._known[i] for i in self._names_of(wanted) if i in self._known), None)

    @abstractmethod
    def _items(self) -> Iterator[tuple[str, JsonObject]]:
        """The items of the place, each under all its names."""

    @abstractmethod
    def _names_of(self, wanted: FollowUp) -> Sequence[str]:
        """The names under which an item for ``wanted`` can be."""


class ReviewQueue(FollowUpPlace):
    """A queue of traces for people to review."""

    def add(self, wanted: FollowUp, mlflow_id: str) -> None:
        """Add the trace."""
        self._client.add_to_queue(self._id, mlflow_id)

    def remove(self, wanted: FollowUp) -> str | None:
        """Remove the trace, unless its review is complete."""
        item = self._item(wanted)
        if item is not None and item.get("status") != "PENDING":
            return COMPLETED
        if item is not None:
            self._client.remove_from_queue(self._id, str(item["item_id"]))
        return None

    def _items(self) -> Iterator[tuple[str, JsonObject]]:
        items = self._client.queue_items(self._id)
        return ((trace_id_of(str(item.get("item_id"))), item) for item in items)

    def _names_of(self, wanted: FollowUp) -> Sequence[str]:
        return [wanted.trace_id]


class EvaluationDataset(FollowUpPlace):
    """A dataset of inputs. One with the input already is left as it is, whoever added that."""

    def add(self, wanted: FollowUp, mlflow_id: str) -> None:
        """Add the input of the trace."""
        record = {
            "inputs": inputs_of(wanted),
            "tags": {KEY_TAG: wanted.key, NAMES_TAG: ", ".join(wanted.names)},
            "source": {"source_type": "TRACE", "source_data": {"trace_id": mlflow_id}},
        }
        self._client.add_to_dataset(self._id, record)

    def remove(self, wanted: FollowUp) -> str | None:
        """Remove the input, unless it is not ours, or a person added what is expected of it."""
        record = self._item(wanted)
        if record is None or member_object(record, "tags").get(KEY_TAG) != wanted.key:
            return None
        if record.get("expectations") or record.get("outputs"):
            return EDITED
        self._client.remove_from_dataset(self._id, str(record["dataset_record_id"]))
        return None

    def _items(self) -> Iterator[tuple[str, JsonObject]]:
        for record in self._client.dataset_records(self._id):
            yield as_text(record.get("inputs")) or "", record
            if key := member_object(record, "tags").get(KEY_TAG):
                yield str(key), record

    def _names_of(self, wanted: FollowUp) -> Sequence[str]:
        return [wanted.key, as_text(inputs_of(wanted)) or ""]


def inputs_of(wanted: FollowUp) -> JsonObject:
    """The inputs of a dataset record, which are an object."""
    parsed = parse_json(wanted.content)
    if isinstance(parsed, dict):
        return parsed
    return {"input": wanted.content if parsed is None else parsed}
