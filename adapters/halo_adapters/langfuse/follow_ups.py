"""Comments, annotation queues and datasets in Langfuse.

Langfuse would store the same comment and the same queue item twice, so existing ones are read
before new ones are created.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult
from halo_adapters.json_values import parse_json
from halo_adapters.langfuse.client import LangfuseClient
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_engine.errors import NotFound, Rejected, Unavailable

COMMENT_CHARS = 5000


class FollowUps:
    """Creates and deletes follow-ups in one project."""

    def __init__(self, client: LangfuseClient, configs: ScoreConfigs) -> None:
        self._client = client
        self._configs = configs
        self._queues: dict[str, str] = {}
        self._queued: dict[str, dict[str, str]] = {}
        self._datasets: set[str] = set()

    def create(self, wanted: Sequence[FollowUp]) -> Iterator[FollowUpResult]:
        """Create one after another; one that is refused does not prevent the others."""
        creators: dict[FollowUpKind, Callable[[FollowUp], FollowUpResult]] = {
            FollowUpKind.COMMENT: self._comment,
            FollowUpKind.QUEUE_ITEM: self._queue_item,
            FollowUpKind.DATASET_ITEM: self._dataset_item,
        }
        for follow_up in wanted:
            try:
                yield creators[follow_up.kind](follow_up)
            except (Rejected, NotFound, Unavailable) as error:
                yield FollowUpResult(follow_up=follow_up, error=str(error))

    def delete(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete queue items and dataset items; comments are returned with an ``error``."""
        return [self._delete(one) for one in made]

    def _delete(self, made: FollowUpResult) -> FollowUpResult:
        kind, item_id = made.follow_up.kind, str(made.id)
        if kind is FollowUpKind.COMMENT:
            return made.model_copy(update={"error": "Langfuse has no way to delete a comment."})
        try:
            if kind is FollowUpKind.QUEUE_ITEM:
                self._client.delete_queue_item(str(made.holder), item_id)
            else:
                self._client.delete_dataset_item(item_id)
        except NotFound:
            return made  # was deleted before
        return made

    # -- comments --------------------------------------------------------------------------------

    def _comment(self, wanted: FollowUp) -> FollowUpResult:
        for comment_id, content in self._comments[wanted.trace_id]:
            if wanted.key in content:
                return FollowUpResult(follow_up=wanted, id=comment_id, is_new=False)
        tail = f"\n\n{wanted.key}"
        content = wanted.content[: COMMENT_CHARS - len(tail)] + tail
        comment_id = self._client.create_comment(wanted.trace_id, content)
        self._comments[wanted.trace_id].append((comment_id, content))
        return FollowUpResult(follow_up=wanted, id=comment_id)

    @cached_property
    def _comments(self) -> dict[str, list[tuple[str, str]]]:
        """Id and content of all comments, by the id of the trace or observation they are on."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in self._client.comments():
            found[row["objectId"]].append((row["id"], row["content"]))
        return found

    # -- annotation queues -----------------------------------------------------------------------

    def _queue_item(self, wanted: FollowUp) -> FollowUpResult:
        queue_id = self._queue_id(wanted.place, wanted.names)
        if queue_id not in self._queued:
            self._queued[queue_id] = self._client.queue_items(queue_id)
        queued = self._queued[queue_id]
        is_new = wanted.trace_id not in queued
        if is_new:
            queued[wanted.trace_id] = self._client.create_queue_item(queue_id, wanted.trace_id)
        item_id = queued[wanted.trace_id]
        return FollowUpResult(follow_up=wanted, id=item_id, holder=queue_id, is_new=is_new)

    def _queue_id(self, name: str, config_names: Sequence[str]) -> str:
        """The id of the queue ``name``; created with these score configs where there is none."""
        if name not in self._queues:
            self._queues.update(self._client.queues())
        if name not in self._queues:
            config_ids = self._configs.ids_of(config_names)
            self._queues[name] = self._client.create_queue(name, config_ids)
        return self._queues[name]

    # -- datasets --------------------------------------------------------------------------------

    def _dataset_item(self, wanted: FollowUp) -> FollowUpResult:
        if wanted.place not in self._datasets:
            self._client.create_dataset(wanted.place)
            self._datasets.add(wanted.place)
        is_new = not self._client.has_dataset_item(wanted.key)
        parsed = parse_json(wanted.content)
        input_value = wanted.content if parsed is None else parsed
        item_id = self._client.write_dataset_item(wanted, input_value)
        return FollowUpResult(follow_up=wanted, id=item_id, is_new=is_new)
