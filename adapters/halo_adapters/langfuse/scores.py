"""What was judged of traces before: scores, and the comments that people left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import islice

from halo_adapters.base import ANNOTATION_PREFIX
from halo_adapters.langfuse.client import Json, LangfuseClient
from halo_adapters.langfuse.mapping import comment_of, score_of
from halo_engine.chunks import chunks
from halo_engine.schema import Score, Span

IDS_PER_URL = 120
MOST_COMMENTS = 10_000

# In every comment that we write, so that it is not taken for somebody's opinion.
SIGNATURE = "halo-integrations"

Judged = Mapping[str, Sequence[Score]]
Families = Mapping[str, Sequence[Span]]


class ScoreReader:
    """Scores by ``v3/scores``, comments by the client of the ``langfuse`` package."""

    def __init__(self, api: LangfuseClient) -> None:
        self._api = api

    def of(self, families: Families) -> Judged:
        """What others than us judged of these traces and their spans."""
        found: dict[str, list[Score]] = defaultdict(list)
        for row in self._scores(list(families)):
            if is_foreign(row):
                found[trace_of_score(row)].append(score_of(row))
        for trace_id, spans in families.items():
            for target in (trace_id, *(span.span_id for span in spans)):
                found[trace_id] += self._comments.get(target, ())
        return found

    def by_id(self, score_ids: Sequence[str]) -> Iterator[Json]:
        """The scores with these ids, as far as there are any."""
        for ids in chunks(score_ids, IDS_PER_URL):
            yield from self._api.scores({"id": ",".join(ids)})

    def _scores(self, trace_ids: Sequence[str]) -> Iterator[Json]:
        for ids in chunks(trace_ids, IDS_PER_URL):
            yield from self._api.scores({"traceId": ",".join(ids)})

    @cached_property
    def _comments(self) -> Judged:
        """All comments, by what they are on: Langfuse cannot be asked for those of some traces."""
        found: dict[str, list[Score]] = defaultdict(list)
        for row in islice(self._api.comments(), MOST_COMMENTS):
            if SIGNATURE not in row["content"]:
                found[row["objectId"]].append(comment_of(row))
        return found


class LegacyScoreReader(ScoreReader):
    """The same where there is only ``v2/scores``, which can be asked by time alone.

    So all scores since ``since`` are read once: one on a trace of the window cannot be older.
    """

    def __init__(self, api: LangfuseClient, since: datetime | None = None) -> None:
        super().__init__(api)
        self._since = since

    def by_id(self, score_ids: Sequence[str]) -> Iterator[Json]:
        """The scores with these ids, as far as there are any."""
        for ids in chunks(score_ids, IDS_PER_URL):
            for page in self._api.numbered("v2/scores", {"scoreIds": ",".join(ids)}):
                yield from page

    def _scores(self, trace_ids: Sequence[str]) -> Iterator[Json]:
        for trace_id in trace_ids:
            yield from self._by_trace.get(trace_id, ())

    @cached_property
    def _by_trace(self) -> Mapping[str, Sequence[Json]]:
        params = {"fromTimestamp": self._since.isoformat()} if self._since else {}
        found: dict[str, list[Json]] = defaultdict(list)
        for page in self._api.numbered("v2/scores", params):
            for row in page:
                found[trace_of_score(row)].append(row)
        return found


def is_foreign(row: Json) -> bool:
    """Whether somebody else than us wrote this score."""
    return not str(row.get("name")).startswith(ANNOTATION_PREFIX)


def trace_of_score(row: Json) -> str:
    """The trace that a score is about, in either form; "" where it is about a session."""
    subject = row.get("subject") or {}
    on_trace = subject.get("id") if subject.get("kind") == "trace" else None
    return str(subject.get("traceId") or on_trace or row.get("traceId") or "")
