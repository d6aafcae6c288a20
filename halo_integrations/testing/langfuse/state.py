"""What a stand-in Langfuse holds: observations, scores, and what people work with."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, overload

import orjson

from halo_integrations.testing.langfuse.observations import (
    Row,
    as_text,
    completed,
    guessed,
    moment,
    v2_form,
)


class LangfuseVersion(StrEnum):
    """Servers that differ in what they answer."""

    V3 = "v3"
    V4 = "v4"
    V4_DUAL = "v4-dual"
    V4_59 = "v4.59"

    @property
    def number(self) -> str:
        """The version that the server tells."""
        return {"v3": "3.120.0", "v4.59": "4.59.0"}.get(self, "4.16.0")

    @property
    def has_v2(self) -> bool:
        """Whether it has v2/observations and v3/scores."""
        return self is not LangfuseVersion.V3

    @property
    def has_legacy(self) -> bool:
        """Whether it has the legacy endpoints."""
        return self in (LangfuseVersion.V3, LangfuseVersion.V4_DUAL)

    @property
    def takes_lists(self) -> bool:
        """Whether POST /scores takes a list."""
        return self is LangfuseVersion.V4_59


class Refused(Exception):
    """A request that is answered with ``status`` and ``body``."""

    def __init__(self, status: int, body: Row) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class State:
    """Everything stored; ``lock`` guards it.

    ``delay`` is how many seconds a score, or its deletion, takes to show; ``lose_scores`` says
    which are taken and never show; ``too_large_above`` how many observations are too many to
    answer with (422).
    """

    def __init__(self, version: LangfuseVersion, project_id: str, project_name: str) -> None:
        self.version = version
        self.project_id = project_id
        self.project_name = project_name
        self.lock = threading.RLock()
        self.delay = 0.0
        self.lose_scores: Callable[[Row], bool] = lambda _: False
        self.too_large_above: int | None = None
        self.stored_scores: dict[str, Row] = {}
        self.score_configs: list[Row] = []
        self.comments: list[Row] = []
        self.queues: list[Row] = []
        self.queue_items: list[Row] = []
        self.datasets: list[Row] = []
        self.dataset_items: list[Row] = []
        self._traces: dict[str, dict[str, Row]] = defaultdict(dict)
        self._order: list[tuple[str, str, str]] = []
        self._texts: dict[tuple[Any, ...], bytes] = {}
        self._pending: list[tuple[float, Callable[[], None]]] = []
        self._event_times: dict[str, str] = {}

    # -- observations ----------------------------------------------------------------------------

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store observations; one that comes again replaces the former."""
        with self.lock:
            for given in rows:
                row = completed(given, self.project_id)
                former = self._traces[row["traceId"]].get(row["id"])
                if former:
                    self._order.remove(place_of(former))
                self._traces[row["traceId"]][row["id"]] = row
                self._order.append(place_of(row))
            self._order.sort()
            self._texts.clear()

    def trace(self, trace_id: str) -> list[Row]:
        """The observations of a trace."""
        return list(self._traces[trace_id].values()) if trace_id in self._traces else []

    def traces(self) -> Iterable[list[Row]]:
        """The observations of each trace."""
        return [list(rows.values()) for rows in self._traces.values()]

    def newest_first(self, since: str | None, until: str | None) -> Sequence[Row]:
        """The observations that begin in the window."""
        low = bisect_left(self._order, (since,)) if since else 0
        high = bisect_left(self._order, (until,)) if until else len(self._order)
        return NewestFirst(self._traces, self._order, low, max(low, high))

    def text_of(self, row: Row, groups: frozenset[str], expanded: frozenset[str]) -> bytes:
        """An observation as JSON, made once."""
        key = (row["traceId"], row["id"], groups, expanded)
        if key not in self._texts:
            self._texts[key] = orjson.dumps(v2_form(row, groups, expanded))
        return self._texts[key]

    # -- what shows later ------------------------------------------------------------------------

    def later(self, change: Callable[[], None]) -> None:
        """Make a change after the delay."""
        self._pending.append((time.monotonic() + self.delay, change))
        self.settle()

    def settle(self) -> None:
        """Make the changes that are due."""
        with self.lock:
            now = time.monotonic()
            due = [change for at, change in self._pending if at <= now]
            self._pending = [(at, change) for at, change in self._pending if at > now]
            for change in due:
                change()

    # -- scores ----------------------------------------------------------------------------------

    def accept_score(self, body: Row, timestamp: str, event_time: str | None = None) -> None:
        """Take a score; whether it is stored is decided when it is due."""
        self.later(lambda: self._store_score(body, timestamp, event_time))

    def _store_score(self, body: Row, timestamp: str, event_time: str | None) -> None:
        score = self._configured(body)
        if score is None or self.lose_scores(score):
            return
        last = self._event_times.get(body["id"])
        if event_time is not None and last is not None and event_time <= last:
            return
        key = self._key_of(body["id"], timestamp)
        former = self.stored_scores.get(key)
        self._event_times[body["id"]] = event_time or timestamp
        kept: Row = {"timestamp": timestamp, "createdAt": now(), "metadata": {}, "comment": None}
        given = {name: value for name, value in score.items() if value is not None}
        if former:
            kept |= former
            given = {k: v for k, v in given.items() if k not in ("timestamp", "traceId")}
        self.stored_scores[key] = {**kept, **given, "updatedAt": now()}

    def _key_of(self, score_id: str, timestamp: str) -> str:
        """Where a score is stored. Since 4.59 another timestamp makes another score of that id."""
        former = self.stored_scores.get(score_id)
        if not self.version.takes_lists or former is None or former["timestamp"] == timestamp:
            return score_id
        return f"{score_id} at {timestamp}"

    def _configured(self, body: Row) -> Row | None:
        """The score as its config makes it; None where that does not allow it."""
        config_id = body.get("configId")
        metadata = body.get("metadata") or {}
        kept = {k: as_text(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
        score = {**body, "metadata": kept}
        if config_id is None:
            return score
        config = next((c for c in self.score_configs if c["id"] == config_id), None)
        if config is None or config["isArchived"]:
            return None
        labels = [category["label"] for category in config["categories"] or ()]
        if labels and body.get("value") not in labels:
            return None
        return {**score, "name": config["name"], "dataType": config["dataType"]}

    def delete_score(self, score_id: str) -> None:
        """Have a score deleted."""

        def drop() -> None:
            self.stored_scores.pop(score_id, None)
            self._event_times.pop(score_id, None)

        self.later(drop)


class NewestFirst(Sequence[Row]):
    """Observations from ``low`` to ``high`` of the order of time, backwards; looked up when asked."""

    def __init__(
        self,
        traces: Mapping[str, Mapping[str, Row]],
        order: Sequence[tuple[str, str, str]],
        low: int,
        high: int,
    ) -> None:
        self._traces, self._order = traces, order
        self._low, self._high = low, high

    def __len__(self) -> int:
        return self._high - self._low

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        _, trace_id, observation_id = self._order[self._high - 1 - at]
        return self._traces[trace_id][observation_id]


def place_of(row: Row) -> tuple[str, str, str]:
    """Where an observation stands in the order of time."""
    return row["startTime"], row["traceId"], row["id"]


def now() -> str:
    """This moment."""
    return moment(datetime.now(UTC))


def metadata_shown(score: Row) -> Row:
    """A score's metadata as it is read: what looks like JSON is no longer text."""
    return {key: guessed(text) for key, text in score["metadata"].items()}
