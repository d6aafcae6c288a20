"""Comments, annotation queues and datasets in Langfuse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.langfuse.client import LangfuseClient
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_engine.errors import AdapterError, NotFound

COMMENT_CHARS = 5000
NO_DELETION = "Langfuse has no way to delete a comment."
EDITED = "A person has edited it."
COMPLETED = "A person has completed its review."


class FollowUps:
    """Creates and deletes follow-ups in one project."""

    def __init__(self, client: LangfuseClient, configs: ScoreConfigs) -> None:
        self._client = client
        self._configs = configs
        self._queues: dict[str, str] = {}
        self._datasets: set[str] = set()

    def fetch(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        """The existing follow-up with the key of each, or None."""
        existing = ExistingFollowUps(self._client)
        return [existing.find(one) for one in wanted]

    def create(self, wanted: FollowUp) -> FollowUpResult:
        """Create one; Langfuse would store the same comment and the same queue item twice."""
        creators: dict[FollowUpKind, Callable[[FollowUp], FollowUpResult]] = {
            FollowUpKind.COMMENT: self._comment,
            FollowUpKind.QUEUE_ITEM: self._queue_item,
            FollowUpKind.DATASET_ITEM: self._dataset_item,
        }
        return creators[wanted.kind](wanted)

    def delete(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete queue items and dataset items; what has to stay is returned with an ``error``."""
        return [self._delete(one) for one in made]

    def _delete(self, made: FollowUpResult) -> FollowUpResult:
        reason = self._reason_to_stay(made)
        if reason:
            return made.model_copy(update={"error": reason})
        with suppress(NotFound):  # was deleted before
            if made.follow_up.kind is FollowUpKind.QUEUE_ITEM:
                self._client.delete_queue_item(str(made.holder), str(made.id))
            else:
                self._client.delete_dataset_item(str(made.id))
        return made

    def _reason_to_stay(self, made: FollowUpResult) -> str | None:
        """Why it cannot be deleted, or is no longer ours alone; None where it can go."""
        kind = made.follow_up.kind
        if kind is FollowUpKind.COMMENT:
            return NO_DELETION
        if kind is FollowUpKind.DATASET_ITEM:
            return EDITED if self._is_edited(made.follow_up) else None
        is_reviewed = self._client.is_reviewed(str(made.holder), str(made.id))
        return COMPLETED if is_reviewed else None

    def _comment(self, wanted: FollowUp) -> FollowUpResult:
        tail = f"\n\n{wanted.key}"
        content = wanted.content[: COMMENT_CHARS - len(tail)] + tail
        comment_id = self._client.create_comment(wanted.trace_id, content)
        return FollowUpResult(follow_up=wanted, id=comment_id)

    def _queue_item(self, wanted: FollowUp) -> FollowUpResult:
        with before_sending():
            queue_id = self._queue_id(wanted.place, wanted.names)
        item_id = self._client.create_queue_item(queue_id, wanted.trace_id)
        return FollowUpResult(follow_up=wanted, id=item_id, holder=queue_id)

    def _queue_id(self, name: str, config_names: Sequence[str]) -> str:
        """The id of the queue ``name``; created with these score configs where there is none."""
        if name not in self._queues:
            self._queues.update(self._client.queues())
        if name not in self._queues:
            config_ids = self._configs.ids_of(config_names)
            self._queues[name] = self._client.create_queue(name, config_ids)
        return self._queues[name]

    def _dataset_item(self, wanted: FollowUp) -> FollowUpResult:
        if wanted.place not in self._datasets:
            with before_sending():
                self._client.create_dataset(wanted.place)
            self._datasets.add(wanted.place)
        item_id = self._client.write_dataset_item(wanted.place, wanted.key, item_fields(wanted))
        return FollowUpResult(follow_up=wanted, id=item_id)

    def _is_edited(self, made: FollowUp) -> bool:
        """Whether a person changed a dataset item, or added the output that is expected of it."""
        item = self._client.dataset_item(made.key)
        if item is None:
            return False
        sent = item_fields(made)
        stored = {"input": item.input, "metadata": item.metadata}
        return item.expected_output is not None or any(stored[k] != sent[k] for k in stored)


class ExistingFollowUps:
    """The follow-ups in the project, read at first use and then remembered."""

    def __init__(self, client: LangfuseClient) -> None:
        self._client = client
        self._queue_items: dict[str, Mapping[str, str]] = {}

    def find(self, wanted: FollowUp) -> FollowUpResult | None:
        """The one with the key of ``wanted``, or None."""
        finders: dict[FollowUpKind, Callable[[FollowUp], FollowUpResult | None]] = {
            FollowUpKind.COMMENT: self._comment,
            FollowUpKind.QUEUE_ITEM: self._queue_item,
            FollowUpKind.DATASET_ITEM: self._dataset_item,
        }
        return finders[wanted.kind](wanted)

    def _comment(self, wanted: FollowUp) -> FollowUpResult | None:
        same = [i for i, content in self._comments[wanted.trace_id] if wanted.key in content]
        return FollowUpResult(follow_up=wanted, id=same[0]) if same else None

    def _queue_item(self, wanted: FollowUp) -> FollowUpResult | None:
        queue_id = self._queues.get(wanted.place)
        if queue_id is None:
            return None
        if queue_id not in self._queue_items:
            self._queue_items[queue_id] = self._client.queue_items(queue_id)
        item_id = self._queue_items[queue_id].get(wanted.trace_id)
        return FollowUpResult(follow_up=wanted, id=item_id, holder=queue_id) if item_id else None

    def _dataset_item(self, wanted: FollowUp) -> FollowUpResult | None:
        has_item = self._client.dataset_item(wanted.key) is not None
        return FollowUpResult(follow_up=wanted, id=wanted.key) if has_item else None

    @cached_property
    def _comments(self) -> Mapping[str, list[tuple[str, str]]]:
        """Id and content of all comments, by the id of the trace or observation they are on."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in self._client.comments():
            found[row["objectId"]].append((row["id"], row["content"]))
        return found

    @cached_property
    def _queues(self) -> Mapping[str, str]:
        return self._client.queues()


@contextmanager
def before_sending() -> Iterator[None]:
    """What fails in the block, such as the search for a queue: the item itself is not sent."""
    try:
        yield
    except AdapterError as error:
        error.maybe_done = False
        raise


def item_fields(wanted: FollowUp) -> JsonObject:
    """The fields of a dataset item."""
    parsed = parse_json(wanted.content)
    return {
        "input": wanted.content if parsed is None else parsed,
        "metadata": {"findings": list(wanted.names)},
        "source_trace_id": wanted.trace_id,
        "source_observation_id": wanted.span_id,
    }
