"""Pull: traces from a source into a run folder."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from halo_adapters.base import Annotator, BatchSource, Scan, Scanned, Source, TraceQuery
from halo_adapters.lake.layout import location_of_lake
from halo_adapters.registry import LAKE
from halo_adapters.transport.encryption import is_plain_remote
from halo_engine.detectors import Detector
from halo_engine.detectors.runner import KeptVerdicts, add_timings
from halo_engine.detectors.verdicts import DetectionPlan
from halo_engine.errors import HaloError
from halo_engine.schema import Failure, FrozenModel, Trace
from halo_engine.store import TraceStore
from halo_engine.timings import Timings
from halo_integrations.context import Context
from halo_integrations.incremental import mark_dealt_with, next_query, way_of
from halo_integrations.options.callbacks import Notice, OnProgress, Progress
from halo_integrations.options.keywords import source_verb
from halo_integrations.options.resolve import without_secrets
from halo_integrations.options.run import PullOptions, ReadOptions
from halo_integrations.options.selection import TraceFilters, TraceSelection
from halo_integrations.protection import (
    REQUESTED,
    privacy_notice,
    privacy_of,
    protection_while_reading,
    redactor_of,
)
from halo_integrations.scanning import Packed, Scanner, scan_by
from halo_integrations.sources import adapter_for, require_filters
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import Step
from halo_integrations.verdicts import read_verdicts

PULL = "pull"

P = TypeVar("P")
R = TypeVar("R")


class Pulled(FrozenModel):
    """What a pull has read: ``folder`` holds it, or the ``lake``; ``failures`` are what failed."""

    run_id: str
    folder: Path
    lake: str | None = None
    traces: int
    spans: int
    failures: tuple[Failure, ...] = ()


@source_verb(PullOptions)
def pull(source: str, options: PullOptions) -> Pulled:
    """Read traces into a run folder, or with ``to`` into a lake.

    ``source`` is the name of a platform, a path, a lake, or ``-`` for standard input. A pull with
    the same options that was interrupted within the last hour is resumed, unless ``fresh``.

    Raises ``ConfigError`` for options that are not valid, and ``AdapterError`` where the platform
    refuses or fails; what was read until then stays for the next call.
    """
    lake = None if options.to is None else location_of_lake(str(options.to))
    run, _ = read_source(source, options, lake=lake)
    return pulled_by(run)


def read_source(
    source: str,
    options: ReadOptions,
    *,
    lake: str | None = None,
    detectors: Sequence[Detector] = (),
) -> tuple[Run, KeptVerdicts | None]:
    """The run into which traces were read as ``pull`` does, and what ``read_run`` returns."""
    context = Context(options)
    selection = selection_of(source, options)
    with owned_run(context, selection, fresh=options.fresh, lake=lake) as run:
        kept = read_run(context, run, detectors)
    context.tell_timings()
    return run, kept


def pulled_by(run: Run) -> Pulled:
    """What the pull of ``run`` has read."""
    record = run.record
    return Pulled(
        run_id=run.id,
        folder=run.folder,
        lake=record.lake,
        traces=record.traces,
        spans=record.spans,
        failures=tuple(run.failures()),
    )


def selection_of(source: str, options: ReadOptions) -> TraceSelection:
    """The source with the filters of ``options``."""
    filters = {name: getattr(options, name) for name in TraceFilters.model_fields}
    return TraceSelection(source=source, project=options.project, **filters)


@contextmanager
def owned_run(
    context: Context,
    selection: TraceSelection,
    *,
    fresh: bool = False,
    last: Step = Step.PULL,
    lake: str | None = None,
) -> Iterator[Run]:
    """The run for ``selection``: an interrupted one with the same request, or a new one.

    It belongs to this process within the block. ``last`` is the step that ends it, ``lake`` where
    traces are written, if that is not the run.
    """
    adapter, given = adapter_for(selection)
    require_filters(adapter, selection)
    context.require_used(adapter)
    context.detectors()  # a mistake in their settings is told before anything is read
    settings = without_secrets(context.adapter_settings(adapter, given).settings)
    warn_of_plain_http(context, settings)
    location = context.source_for(selection).location()
    if "project" in settings:
        selection = selection.model_copy(update={"project": None})
    request = {
        **selection.model_dump(mode="json"),
        "location": location,
        REQUESTED: context.privacy_settings.settings.model_dump(mode="json"),
        "profile": context.profile,
        "settings": settings,
        **({} if last is Step.PULL else {"last_step": last}),
        **({} if lake is None else {"lake": lake}),
    }
    interrupted = () if fresh else context.runs.interrupted(request, last)
    with ExitStack() as stack:
        run = next((r for r in interrupted if is_taken_over(context, r, last, stack)), None)
        if run is None:
            query, reread = next_query(context, selection, way_of(location, lake))
            run = context.runs.reserve()
            stack.enter_context(run_ownership(run, PULL))
            run.begin(adapter, request, query, reread)
        else:
            run.update(request=request)
        yield run


def warn_of_plain_http(context: Context, settings: Mapping[str, Any]) -> None:
    """Warn where the key would go to another machine unencrypted, before it does."""
    base_url = settings.get("base_url")
    if base_url and is_plain_remote(base_url):
        text = f"{base_url} is not encrypted: the key and the traces can be read in transit."
        context.on_notice(Notice(text=text, is_warning=True))


def is_taken_over(context: Context, run: Run, last: Step, stack: ExitStack) -> bool:
    """Whether this process can resume ``run``, which ends with the step ``last``.

    It then owns the run until ``stack`` is closed.
    """
    ownership = run_ownership(run, PULL)
    if not ownership.acquire():
        text = f"Run {run.id}, with the same options, belongs to {ownership.owner()}"
        context.on_notice(Notice(text=f"{text}: this is a run of its own."))
        return False
    if run.completed(last):
        ownership.release()
        return False
    stack.callback(ownership.release)
    if run.stored_traces():
        way_out = " (--fresh: do not)" if last is Step.PULL else ""
        context.on_notice(Notice(text=f"Resuming run {run.id}, which was interrupted{way_out}."))
    return True


@contextmanager
def noting_partial_pull(run: Run) -> Iterator[None]:
    """Add to an error what stays on disk; a run that read nothing is removed."""
    try:
        yield
    except HaloError as error:
        if traces := run.stored_traces():
            error.add_note(f"{traces} traces were read: the same command resumes run {run.id}.")
            error.is_partial = True
        else:
            run.discard()
        raise


# -- the step ------------------------------------------------------------------------------------


def read_run(context: Context, run: Run, detectors: Sequence[Detector] = ()) -> KeptVerdicts | None:
    """Read what ``run`` requests, after what is stored already.

    With ``detectors``, traces are judged by them while they are in hand: the verdicts are returned,
    for the analysis by the same detectors.
    """
    adapter = context.source_of(run)
    if warning := privacy_notice(privacy_of(run)):
        context.on_notice(Notice(text=warning, is_warning=True))
    plan = DetectionPlan(
        tuple(detectors),
        read_at=run.record.created_at,
        reads_texts=not privacy_of(run).metadata_only,
        is_timed=context.timings is not None,
    )
    kept = KeptVerdicts(plan) if detectors else None
    with noting_partial_pull(run):
        if isinstance(adapter, Annotator):
            run.update(links=adapter.links())
        if run.record.lake is None:
            read_into_run(context, run, adapter, kept)
        else:
            read_into_lake(context, run, adapter)
    read_verdicts(context, run, adapter)
    return kept


def read_into_run(
    context: Context, run: Run, source: Source, kept: KeptVerdicts | None = None
) -> None:
    """Read the traces that ``run`` requests into its store, after those that are stored already."""
    with TraceStore(run.store_path) as store:
        read_into(store, source, run, context, kept)
        traces, spans = len(store.trace_ids()), store.span_count()
    complete_pull(run, traces, spans)


def read_into_lake(context: Context, run: Run, source: Source) -> None:
    """Read the traces that ``run`` requests into its lake, after those that it has written there.

    That is all that is asked of them, so that the next ``--since last`` goes on from there.
    """
    from halo_adapters.lake.writer import LakeWriter

    record = run.record
    settings = context.adapter_settings(LAKE, {"path": record.lake}).settings
    lake = LakeWriter(
        settings, run.id, record.created_at, on_written=lambda traces: run.update(traces=traces)
    )
    read_into(lake, source, run, context)
    spans = lake.spans()
    lake.unite()
    complete_pull(run, len(lake.trace_ids()), spans)
    mark_dealt_with(context, run, lake)


class Destination(Protocol[P]):
    """What traces are read into."""

    def trace_ids(self) -> frozenset[str]:
        """The ids of the traces that this run has stored."""

    @staticmethod
    def pack(traces: Sequence[Trace]) -> P:
        """``traces``, as ``united_traces`` gives them, as ``add`` takes them: by any process."""

    def add(self, packed: P) -> frozenset[str]:
        """Store traces; they are on the disk, or in the bucket, when this returns.

        Gives the ids of those of which something was stored before.
        """


def read_into(
    store: Destination[P],
    source: Source,
    run: Run,
    context: Context,
    kept: KeptVerdicts | None = None,
) -> None:
    """Read the traces that ``run`` requests into ``store``; each passes its protection before."""
    record, redactor, timings = run.record, redactor_of(run), context.timings or Timings()

    def keep(scanned: Scanned[Packed[P]]) -> None:
        packed = scanned.result
        timings.add_all(packed.timings)
        with timings.of("storing"):
            again = store.add(packed.content)
        if kept and packed.verdicts:
            kept.add(packed.verdicts, again)
            add_timings(timings, kept.plan, packed.verdicts.seconds)
        run.add_failures(redactor.value(scanned.page.failures))

    with protection_while_reading(run) as protection:
        scanner = Scanner(protection, store.pack, kept.plan if kept else None)
        scan = scan_by(context.executor, scanner)

        def read(query: TraceQuery) -> None:
            stored = store.trace_ids()
            query = query.model_copy(update={"already_stored": stored})
            # An error of ``keep`` ends at once what works on the next ones.
            with closing(scanned_by(source, query, scan)) as found:
                pages = timings.of_each("reading", found)
                keep_all(pages, len(stored), keep, context.on_progress)

        read(record.query)
        again = tuple(t for t in record.reread if t not in store.trace_ids())
        if again:
            read(TraceQuery(project=record.query.project, trace_ids=again))


def scanned_by(source: Source, query: TraceQuery, scan: Scan[R]) -> Generator[Scanned[R]]:
    """What ``scan`` makes of all that matches ``query``; when it is closed, so is all behind it."""
    if isinstance(source, BatchSource):
        yield from source.scanned(query, scan)
    else:
        yield from scan(source.pull(query))


def keep_all(
    pages: Iterable[Scanned[Packed[P]]],
    done: int,
    keep: Callable[[Scanned[Packed[P]]], None],
    on_progress: OnProgress,
) -> None:
    """``keep`` each of ``pages``, which come after ``done`` traces that are stored."""
    for scanned in pages:
        keep(scanned)
        page = scanned.page
        done += scanned.result.traces
        on_progress(reading_progress(page.read, page.size, done, page.total))


def complete_pull(run: Run, traces: int, spans: int) -> None:
    """Record that everything that ``run`` requests was read."""
    run.complete(Step.PULL, traces=traces, spans=spans, pull_failures=len(run.failures()))


def reading_progress(read: int | None, size: int | None, done: int, total: int | None) -> Progress:
    """Progress in bytes where the source counts in bytes, else in traces."""
    if size is not None:
        return Progress(step="Reading traces", done=read or 0, total=size, unit="bytes")
    return Progress(step="Reading traces", done=done, total=total, unit="traces")
