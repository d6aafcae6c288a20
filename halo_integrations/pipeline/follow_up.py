"""Queue items, dataset items and comments for the traces of a report."""

from __future__ import annotations

from collections.abc import Sequence

from halo_adapters.base import Annotator, FollowUp, FollowUpResult, FollowUpWriter
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.annotations import FollowUpOptions, follow_ups_of
from halo_integrations.pipeline.progress import OnProgress, Progress, silent
from halo_integrations.runs import Run


class FollowedUp(FrozenModel):
    """What following up came to: ``made`` anew, and ``there`` before."""

    made: int
    there: int
    failures: tuple[Failure, ...] = ()


def planned_follow_ups(run: Run, wish: FollowUpOptions) -> list[FollowUp]:
    """What ``follow_up`` would make; only ever for traces that this run has read."""
    report = run.report
    affected = {a.trace_id for finding in report.findings for a in finding.affected}
    with TraceStore(run.store_path, read_only=True) as store:
        roots = {t: s for t, s in store.roots().items() if t in affected}
        spans = {trace_id: store.span(trace_id, span_id) for trace_id, span_id in roots.items()}
    inputs = {t: (s.span_id, s.input or "") for t, s in spans.items() if s}
    return follow_ups_of(report, run.id, inputs, wish)


def follow_up(
    run: Run,
    adapter: FollowUpWriter,
    wanted: Sequence[FollowUp],
    on_progress: OnProgress = silent,
) -> FollowedUp:
    """Make follow-ups, each on disk before the next."""
    made: list[FollowUpResult] = []
    for one in adapter.create_follow_ups(wanted):
        if not one.error:
            run.add_follow_up(one)
        made.append(one)
        progress = Progress(step="Following up", done=len(made), total=len(wanted), unit="items")
        on_progress(progress)
    refused = [one for one in made if one.error]
    return FollowedUp(
        made=sum(one.is_new for one in made) - len(refused),
        there=sum(not one.is_new for one in made),
        failures=tuple(not_made(one, "follow up") for one in refused),
    )


def not_made(made: FollowUpResult, stage: str) -> Failure:
    """A follow-up that failed as an entry of the list that the user sees."""
    where = f"{made.follow_up.kind} for {made.follow_up.trace_id}"
    return Failure(stage=stage, where=where, what=made.error or "")


def delete_follow_ups(run: Run, adapter: Annotator) -> tuple[Failure, ...]:
    """Take back the follow-ups of ``run``; those that cannot be."""
    made = run.follow_ups()
    if not made or not isinstance(adapter, FollowUpWriter):
        return ()
    kept: list[FollowUpResult] = []
    for one in adapter.delete_follow_ups(made):
        if one.error:
            kept.append(one)
        else:
            run.add_follow_up(one.model_copy(update={"id": None}))
    return tuple(not_made(one, "undo") for one in kept)
