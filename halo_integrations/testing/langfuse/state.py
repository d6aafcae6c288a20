"""The data of the stand-in: observations, scores, configs, comments, queues and datasets."""

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

from halo_integrations.testing.langfuse.javascript import parsed, text_of
from halo_integrations.testing.langfuse.observations import (
    Row,
    iso_time,
    v2_form,
    with_defaults,
)


class LangfuseVersion(StrEnum):
    """Versions and modes of the server; the docstring of the package lists the source of each."""

    V3 = "v3"
    V4 = "v4"
    V4_DUAL = "v4-dual"
    V4_59 = "v4.59"

    @property
    def number(self) -> str:
        """The version that the server reports in ``health``."""
        return {"v3": "3.120.0", "v4.59": "4.59.0"}.get(self, "4.16.0")

    @property
    def has_v2(self) -> bool:
        """Whether it has ``v2/observations`` and ``v3/scores``."""
        return self is not LangfuseVersion.V3

    @property
    def has_legacy(self) -> bool:
        """Whether it has the legacy endpoints."""
        return self in (LangfuseVersion.V3, LangfuseVersion.V4_DUAL)

    @property
    def accepts_score_lists(self) -> bool:
        """Whether ``POST /scores`` takes a list."""
        return self is LangfuseVersion.V4_59


class ApiError(Exception):
    """An error answer: ``status`` and ``body``."""

    def __init__(self, status: int, body: Row) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class LangfuseState:
    """All stored objects; ``lock`` guards them.

    ``delay`` is the number of seconds until a score or its deletion becomes visible. The worker
    stores a score in ``score_seconds`` and deletes one in ``deletion_seconds``, one after the other
    (a real one deletes one every two minutes, unless it is configured otherwise). A score for
    which ``lose_scores`` is true is accepted and never becomes visible; a page of more than
    ``too_large_above`` observations is refused (422).
    """

    def __init__(self, version: LangfuseVersion, project_id: str, project_name: str) -> None:
        self.version = version
        self.project_id = project_id
        self.project_name = project_name
        self.lock = threading.RLock()
        self.delay = 0.0
        self.score_seconds = 0.0
        self.deletion_seconds = 0.0
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
        self._free: dict[str, float] = defaultdict(float)
        self._pending: list[tuple[float, Callable[[], None]]] = []
        self._event_times: dict[str, str] = {}

    # -- observations -----------------------------------------------------------------------------

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store observations; one with the same trace and id replaces the previous one."""
        with self.lock:
            for given in rows:
                row = with_defaults(given, self.project_id)
                previous = self._traces[row["traceId"]].get(row["id"])
                if previous:
                    self._order.remove(sort_key(previous))
                self._traces[row["traceId"]][row["id"]] = row
                self._order.append(sort_key(row))
            self._order.sort()
            self._texts.clear()

    def trace(self, trace_id: str) -> list[Row]:
        """The observations of a trace; empty if there is none."""
        return list(self._traces[trace_id].values()) if trace_id in self._traces else []

    def traces(self) -> Iterable[list[Row]]:
        """The observations of each trace, trace by trace."""
        return [list(rows.values()) for rows in self._traces.values()]

    def newest_first(self, since: str | None, until: str | None) -> Sequence[Row]:
        """The observations that start in ``[since, until)``, newest first."""
        low = bisect_left(self._order, (since,)) if since else 0
        high = bisect_left(self._order, (until,)) if until else len(self._order)
        return NewestFirst(self._traces, self._order, low, max(low, high))

    def text_of(self, row: Row, groups: frozenset[str], expanded: frozenset[str]) -> bytes:
        """An observation as JSON in its v2 form, cached."""
        key = (row["traceId"], row["id"], groups, expanded)
        if key not in self._texts:
            self._texts[key] = orjson.dumps(v2_form(row, groups, expanded))
        return self._texts[key]

    # -- delayed changes --------------------------------------------------------------------------

    def schedule(self, queue: str, seconds: float, change: Callable[[], None]) -> None:
        """Apply a change after ``delay``, ``seconds`` after the one before it in ``queue``."""
        with self.lock:
            at = max(time.monotonic() + self.delay, self._free[queue]) + seconds
            self._free[queue] = at
            self._pending.append((at, change))
        self.apply_due_changes()

    def catch_up(self) -> None:
        """Do everything that is queued, whenever it would be due."""
        with self.lock:
            self._free.clear()
            self._pending = [(0.0, change) for _, change in self._pending]
        self.apply_due_changes()

    def apply_due_changes(self) -> None:
        """Apply the changes whose delay is over."""
        with self.lock:
            now = time.monotonic()
            due = [change for at, change in self._pending if at <= now]
            self._pending = [(at, change) for at, change in self._pending if at > now]
            for change in due:
                change()

    # -- scores -----------------------------------------------------------------------------------

    def accept_score(self, body: Row, timestamp: str, event_time: str | None = None) -> None:
        """Accept a score; it is checked when it is stored."""
        self.schedule(
            "scores", self.score_seconds, lambda: self._store_score(body, timestamp, event_time)
        )

    def _store_score(self, body: Row, timestamp: str, event_time: str | None) -> None:
        score = self._configured(body)
        if score is None or self.lose_scores(score):
            return
        last = self._event_times.get(body["id"])
        if event_time is not None and last is not None and event_time <= last:
            return
        key = self._key_of(body["id"], timestamp)
        previous = self.stored_scores.get(key)
        self._event_times[body["id"]] = event_time or timestamp
        kept: Row = {
            "timestamp": timestamp,
            "createdAt": current_time(),
            "metadata": {},
            "comment": None,
        }
        given = {name: value for name, value in score.items() if value is not None}
        if previous:
            kept |= previous
            given = {k: v for k, v in given.items() if k not in ("timestamp", "traceId")}
        self.stored_scores[key] = {**kept, **given, "updatedAt": current_time()}

    def _key_of(self, score_id: str, timestamp: str) -> str:
        """The key of a score. Since 4.59 another timestamp makes another score of the same id."""
        previous = self.stored_scores.get(score_id)
        if (
            not self.version.accepts_score_lists
            or previous is None
            or previous["timestamp"] == timestamp
        ):
            return score_id
        return f"{score_id} at {timestamp}"

    def _configured(self, body: Row) -> Row | None:
        """The score with name and type of its config; None if the config does not allow it."""
        config_id = body.get("configId")
        metadata = body.get("metadata") or {}
        kept = {k: text_of(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
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
        """Queue the deletion of a score."""

        def drop() -> None:
            self.stored_scores.pop(score_id, None)
            self._event_times.pop(score_id, None)

        self.schedule("deletions", self.deletion_seconds, drop)


class NewestFirst(Sequence[Row]):
    """A view of the observations ``low`` to ``high`` in order of time, newest first."""

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


def sort_key(row: Row) -> tuple[str, str, str]:
    """The key by which observations are sorted in time."""
    return row["startTime"], row["traceId"], row["id"]


def current_time() -> str:
    """The current time in ISO 8601."""
    return iso_time(datetime.now(UTC))


def returned_metadata(score: Row) -> Row:
    """The metadata of a score as it is returned: values that are valid JSON are decoded."""
    return {key: parsed(text) for key, text in score["metadata"].items()}
