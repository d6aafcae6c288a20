"""Incremental pulls: what ``--since last`` reads, and when a run counts as dealt with.

The watermark of a selection is the start of the last run that was dealt with: whose last requested
step is done. What was read and then failed, was declined, or was a rehearsal is read again.

A trace can go on after it was read. One that had not settled then is read again by its id, with
every later pull, until it has settled or was waited for as long as an open trace can go on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from halo_adapters.base import Annotator, TraceQuery
from halo_adapters.registry import BY_PATH, adapter_class
from halo_engine.findings import Report
from halo_engine.store import TraceStore
from halo_engine.store.reading import STILL_OPEN
from halo_integrations.context import Context
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.selection import DEFAULT_LIMIT, LAST, TraceSelection
from halo_integrations.sources import adapter_for
from halo_integrations.state.run import Run
from halo_integrations.state.watermarks import Watermarks

NO_WATERMARK = "No earlier run with these filters is complete: `--since last` reads {what}."
BOUNDLESS = "everything that there is"
NEWEST = (
    f"the newest {DEFAULT_LIMIT:,} traces: --limit gives another number, --since a window, and "
    f"`--since all` everything"
)
UNSAID = f"Nothing says how much to read, so this reads {NEWEST}."
MARK_STAYS = (
    "A run with --limit, --sample or --until leaves traces out, so it does not count for the next "
    "`--since last`."
)
UNREAD_PART = (
    "A part of the window could not be read, so the next `--since last` reads this window again."
)


def next_query(
    context: Context, selection: TraceSelection, way: str
) -> tuple[TraceQuery, tuple[str, ...]]:
    """The query for ``selection`` now, and the ids of the traces to read again besides.

    ``way`` is where traces are read, and where they are written if that is no run (``way_of``).
    """
    watermarks = Watermarks(context.runs.home)
    key = selection.watermark_key(way)
    is_incremental = selection.since == LAST
    watermark = watermarks.get(key) if is_incremental else None
    query = selection.query(datetime.now(UTC), watermark)
    limited = query.model_copy(update={"limit": DEFAULT_LIMIT})
    is_bounded = not may_limit(selection) or not selection.is_boundless(query)
    if is_incremental and watermark is None and not selection.is_partial:
        what = BOUNDLESS if is_bounded else NEWEST
        context.on_notice(Notice(text=NO_WATERMARK.format(what=what)))
    elif not is_bounded:
        context.on_notice(Notice(text=UNSAID))
    reread = watermarks.open_traces(key) if is_incremental and not selection.is_partial else ()
    return (query if is_bounded else limited), tuple(reread)


def may_limit(selection: TraceSelection) -> bool:
    """Whether a limit can be set where none is given: a path is what was asked for."""
    adapter, _ = adapter_for(selection)
    return adapter not in BY_PATH and "limit" in adapter_class(adapter).filters


def way_of(location: str, lake: str | None) -> str:
    """What a watermark belongs to: what is read, and the lake that it is written to, if any."""
    return location if lake is None else f"{location} to {lake}"


def advance_watermark(context: Context, run: Run, report: Report) -> None:
    """Record that ``run`` is dealt with, unless its ``report`` leaves out some of what there was."""
    analysis = report.analysis
    is_whole = not (analysis and analysis.ending.is_failure)
    with TraceStore(run.store_path, read_only=True) as store:
        mark_dealt_with(context, run, store, is_whole=is_whole)


class TracesRead(Protocol):
    """The traces that a run has read, wherever they are."""

    def trace_ids(self) -> frozenset[str]:
        """The ids of all."""

    def unsettled(self, read_at: datetime) -> frozenset[str]:
        """The ids of those of which more may come, had they been read at ``read_at``."""


def mark_dealt_with(
    context: Context, run: Run, traces: TracesRead, *, is_whole: bool = True
) -> None:
    """As ``advance_watermark``, for what is dealt with in whatever way."""
    record = run.record
    selection = selection_of_request(record.request)
    location = record.request.get("location")  # runs of an earlier version have none
    if selection.is_partial and selection.since == LAST:
        context.on_notice(Notice(text=MARK_STAYS))
    if location is None or selection.is_partial or not is_whole:
        return
    failures = run.failures()
    if isinstance(context.source_of(run), Annotator) and not all(f.trace_id for f in failures):
        context.on_notice(Notice(text=UNREAD_PART, is_warning=True))
        return
    stored, unsettled = traces.trace_ids(), traces.unsettled(record.created_at)
    Watermarks(context.runs.home).advance(
        selection.watermark_key(way_of(location, record.lake)),
        record.created_at,
        opened=unsettled | {f.trace_id for f in failures if f.trace_id},
        settled=stored - unsettled,
        waited_since=record.created_at - STILL_OPEN,
    )


def selection_of_request(request: dict[str, Any]) -> TraceSelection:
    """The selection that a run's request holds beside other things."""
    fields = {name: v for name, v in request.items() if name in TraceSelection.model_fields}
    return TraceSelection.model_validate(fields)
