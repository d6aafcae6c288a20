"""Reading of the scores and comments on traces and observations."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from halo_adapters.base import is_own_annotation
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.client import SMALL_PAGE, LangfuseClient
from halo_adapters.langfuse.mapping import (
    SIGNATURE,
    score_from_comment,
    score_from_row,
    trace_id_of_score,
)
from halo_adapters.transport.divide import Divider
from halo_adapters.transport.parts import Window
from halo_engine.chunks import chunks
from halo_engine.schema import Score

# As many as an answer holds.
IDS_PER_URL = SMALL_PAGE
# The source of what people score.
PERSON = "ANNOTATION"

ScoresByTrace = Mapping[str, Sequence[Score]]
# The ids of the observations of each trace.
IdsByTrace = Mapping[str, Sequence[str]]


class ScoreReader:
    """Reads scores through ``v3/scores``; thread-safe."""

    def __init__(self, client: LangfuseClient) -> None:
        self._client = client
        # What is read of the whole project is read once, whichever thread needs it first.
        self._reading_all = threading.Lock()

    def by_trace(
        self, observations: IdsByTrace, rows: Iterable[JsonObject] | None = None
    ) -> ScoresByTrace:
        """The scores and comments on these traces and their observations, without our own.

        ``rows`` are their scores, where they were read before.
        """
        found: dict[str, list[Score]] = defaultdict(list)
        for row in self.of_traces(list(observations)) if rows is None else rows:
            if not is_own_annotation(str(row.get("name"))):
                found[trace_id_of_score(row)].append(score_from_row(row))
        with self._reading_all:
            comments = self._comments
        for trace_id, ids in observations.items():
            for target_id in (trace_id, *ids):
                found[trace_id] += comments.get(target_id, ())
        return found

    def by_id(self, score_ids: Sequence[str]) -> Iterator[JsonObject]:
        """The stored scores with these ids."""
        for ids in chunks(score_ids, IDS_PER_URL):
            yield from self._client.scores({"id": ",".join(ids)})

    def of_people(self, names: Set[str], trace_ids: Sequence[str]) -> Iterator[JsonObject]:
        """The scores with one of ``names`` that people gave on these traces and their spans."""
        for row in self.of_traces(trace_ids):
            if row.get("source") == PERSON and row.get("name") in names:
                yield row

    def of_traces(self, trace_ids: Sequence[str]) -> Iterator[JsonObject]:
        """The stored scores on these traces and their spans."""
        for ids in chunks(trace_ids, IDS_PER_URL):
            yield from self._client.scores({"traceId": ",".join(ids)})

    def few_since(self, since: datetime | None) -> list[JsonObject] | None:
        """All scores of traces that began at ``since`` or later; None for more than one page.

        A score cannot be older than its trace. Where there are few, this is one request, and not one
        for every hundred traces.
        """
        window = {} if since is None else {"fromTimestamp": since.isoformat()}
        rows, cursor = self._client.scores_page(window)
        return None if cursor else rows

    @cached_property
    def _comments(self) -> ScoresByTrace:
        """The comments by trace or observation id, without those of this package.

        All comments of the project are read: the endpoint filters by one trace or observation at a
        time, and has no order that would tell which are new.
        """
        found: dict[str, list[Score]] = defaultdict(list)
        for row in self._client.comments():
            if SIGNATURE not in row["content"]:
                found[row["objectId"]].append(score_from_comment(row))
        return found


class LegacyScoreReader(ScoreReader):
    """Reads scores through ``v2/scores``, which can be filtered by time but not by trace.

    All scores since ``since`` are read once: one on a trace of the window cannot be older.
    """

    def __init__(
        self,
        client: LangfuseClient,
        since: datetime | None = None,
        divider: Divider | None = None,
    ) -> None:
        super().__init__(client)
        self._since = since
        self._divider = divider or client.divider()

    def by_id(self, score_ids: Sequence[str]) -> Iterator[JsonObject]:
        """The stored scores with these ids."""
        for ids in chunks(score_ids, IDS_PER_URL):
            for page in self._client.legacy_pages("v2/scores", {"scoreIds": ",".join(ids)}):
                yield from page

    def of_traces(self, trace_ids: Sequence[str]) -> Iterator[JsonObject]:
        """The stored scores on these traces and their spans."""
        with self._reading_all:
            by_trace = self._by_trace
        for trace_id in trace_ids:
            yield from by_trace.get(trace_id, ())

    @cached_property
    def _by_trace(self) -> Mapping[str, Sequence[JsonObject]]:
        found: dict[str, dict[str, JsonObject]] = defaultdict(dict)
        window = Window(self._since, None, "the scores")
        for rows in self._divider.answers(window, self._page):
            for row in rows:
                found[trace_id_of_score(row)][row["id"]] = row
        return {trace_id: list(rows.values()) for trace_id, rows in found.items()}

    def _page(self, window: Window) -> tuple[list[JsonObject], Window | None]:
        """A page of the scores of ``window``, newest first, and what is left of it."""
        bounds = {"fromTimestamp": window.since, "toTimestamp": window.until}
        params = {name: at.isoformat() for name, at in bounds.items() if at}
        number = int(window.cursor or 1)
        page = self._client.legacy_page("v2/scores", params, number)
        if number >= page["meta"]["totalPages"]:
            return page["data"], None
        return page["data"], replace(window, cursor=number + 1)
