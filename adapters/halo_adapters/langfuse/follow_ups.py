"""Comments, annotation queues and datasets: findings for people to go on with.

Langfuse itself would take the same comment and the same queue item twice, so what is there is
looked at first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult
from halo_adapters.json_values import parse_json
from halo_adapters.langfuse.client import LangfuseClient
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_engine.errors import NotFound, Rejected, Unavailable

QUEUE_PAGE = 100
COMMENT_CHARS = 5000


class FollowUps:
    """Makes follow-ups in one project, and takes them back."""

    def __init__(self, api: LangfuseClient, configs: ScoreConfigs) -> None:
        self._api = api
        self._configs = configs
        self._queues: dict[str, str] = {}
        self._queued: dict[str, dict[str, str]] = {}
        self._datasets: set[str] = set()

    def make(self, wanted: Sequence[FollowUp]) -> Iterator[FollowUpResult]:
        """One after another; one that is refused does not keep the others out."""
        ways: dict[FollowUpKind, Callable[[FollowUp], FollowUpResult]] = {
            FollowUpKind.COMMENT: self._comment,
            FollowUpKind.QUEUE_ITEM: self._queue_item,
            FollowUpKind.DATASET_ITEM: self._dataset_item,
        }
        for follow_up in wanted:
            try:
                yield ways[follow_up.kind](follow_up)
            except (Rejected, NotFound, Unavailable) as error:
                yield FollowUpResult(follow_up=follow_up, error=str(error))

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Take back what can be; a comment cannot, and comes back with the reason."""
        return [self._withdrawn(one) for one in made]

    def _withdrawn(self, made: FollowUpResult) -> FollowUpResult:
        kind, item_id = made.follow_up.kind, str(made.id)
        if kind is FollowUpKind.COMMENT:
            return made.model_copy(update={"error": "Langfuse has no way to delete a comment."})
        try:
            if kind is FollowUpKind.QUEUE_ITEM:
                self._api.sdk.annotation_queues.delete_queue_item(str(made.holder), item_id)
            else:
                self._api.sdk.dataset_items.delete(item_id)
        except NotFound:
            return made  # somebody was quicker
        return made

    # -- comments --------------------------------------------------------------------------------

    def _comment(self, wanted: FollowUp) -> FollowUpResult:
        for comment_id, content in self._comments[wanted.trace_id]:
            if wanted.key in content:
                return FollowUpResult(follow_up=wanted, id=comment_id, is_new=False)
        tail = f"\n\n{wanted.key}"
        content = wanted.content[: COMMENT_CHARS - len(tail)] + tail
        made = self._api.sdk.comments.create(
            project_id=self._api.project.id,
            object_type="TRACE",
            object_id=wanted.trace_id,
            content=content,
        )
        self._comments[wanted.trace_id].append((made.id, content))
        return FollowUpResult(follow_up=wanted, id=made.id)

    @cached_property
    def _comments(self) -> dict[str, list[tuple[str, str]]]:
        """Id and text of every comment there is, by what it is on."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in self._api.comments():
            found[row["objectId"]].append((row["id"], row["content"]))
        return found

    # -- annotation queues -----------------------------------------------------------------------

    def _queue_item(self, wanted: FollowUp) -> FollowUpResult:
        from langfuse.api.annotation_queues.types import AnnotationQueueObjectType

        queue_id = self._queue(wanted.place, wanted.names)
        queued = self._queued.setdefault(queue_id, dict(self._items(queue_id)))
        if wanted.trace_id in queued:
            former = queued[wanted.trace_id]
            return FollowUpResult(follow_up=wanted, id=former, holder=queue_id, is_new=False)
        made = self._api.sdk.annotation_queues.create_queue_item(
            queue_id, object_id=wanted.trace_id, object_type=AnnotationQueueObjectType.TRACE
        )
        queued[wanted.trace_id] = made.id
        return FollowUpResult(follow_up=wanted, id=made.id, holder=queue_id)

    def _queue(self, name: str, names: Sequence[str]) -> str:
        """The id of the queue of this name, made with the score configs of ``names`` if need be."""
        if name not in self._queues:
            self._queues.update(self._all_queues())
        if name not in self._queues:
            configs = self._configs.ids_of(names)
            made = self._api.sdk.annotation_queues.create_queue(name=name, score_config_ids=configs)
            self._queues[name] = made.id
        return self._queues[name]

    def _all_queues(self) -> Iterator[tuple[str, str]]:
        for queue in every(self._api.sdk.annotation_queues.list_queues):
            yield queue.name, queue.id

    def _items(self, queue_id: str) -> Iterator[tuple[str, str]]:
        for item in every(self._api.sdk.annotation_queues.list_queue_items, queue_id):
            yield item.object_id, item.id

    # -- datasets --------------------------------------------------------------------------------

    def _dataset_item(self, wanted: FollowUp) -> FollowUpResult:
        if wanted.place not in self._datasets:
            self._api.sdk.datasets.create(name=wanted.place)
            self._datasets.add(wanted.place)
        is_new = not self._has_item(wanted.key)
        held = parse_json(wanted.content)
        made = self._api.sdk.dataset_items.create(
            dataset_name=wanted.place,
            id=wanted.key,
            input=wanted.content if held is None else held,
            metadata={"findings": list(wanted.names)},
            source_trace_id=wanted.trace_id,
            source_observation_id=wanted.span_id,
        )
        return FollowUpResult(follow_up=wanted, id=made.id, is_new=is_new)

    def _has_item(self, item_id: str) -> bool:
        try:
            self._api.sdk.dataset_items.get(item_id)
        except NotFound:
            return False
        return True


def every(listing: Callable[..., Any], *where: str) -> Iterator[Any]:
    """Everything in a list with numbered pages."""
    number, pages = 1, 1
    while number <= pages:
        page = listing(*where, page=number, limit=QUEUE_PAGE)
        yield from page.data
        number, pages = number + 1, page.meta.total_pages
