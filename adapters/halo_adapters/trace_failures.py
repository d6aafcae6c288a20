"""Failures of a pull that every platform can have: what could not be read of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import structs

from halo_adapters.base import Scanned
from halo_engine.schema import Failure, Trace

T = TypeVar("T")


def missing_trace(platform: str, trace_id: str, place: str = "") -> Failure:
    """The failure for a trace that was asked for and has no spans."""
    return trace_failure(trace_id, f"{platform} has no spans of this trace{place}.")


def trace_failure(trace_id: str, what: str) -> Failure:
    """The failure of one trace, which a later pull can read again by its id."""
    return Failure(stage="pull", where=trace_id, what=what, trace_id=trace_id)


def time_failures(platform: str, traces: Iterable[Trace]) -> tuple[Failure, ...]:
    """One failure for each trace with spans whose start cannot be right.

    A platform stores a start for every span, so one without was given a wrong one.
    """
    wrong = (
        (trace, [s for s in trace.spans if s.start_time_unix_nano is None]) for trace in traces
    )
    return tuple(
        trace_failure(
            trace.trace_id,
            f"{platform} has a start that is not from 2001 to 2099 for {len(spans)} of the "
            f"{len(trace.spans)} spans (the first is {spans[0].span_id}): they have no start here.",
        )
        for trace, spans in wrong
        if spans
    )


def told_once(scanned: Iterable[Scanned[T]]) -> Iterator[Scanned[T]]:
    """``scanned`` with one failure for each place."""
    told: set[str] = set()
    for each in scanned:
        new = {f.where: f for f in each.page.failures if f.where not in told}
        told.update(new)
        page = structs.replace(each.page, failures=tuple(new.values()))
        yield structs.replace(each, page=page)
