"""The steps of a run over its folder: pull, analyze, annotate, undo. They print nothing.

Each step leaves on disk what it did before it goes on, so that it can be cut off at any point and
called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import takewhile

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from halo_adapters.base import (
    Annotation,
    Annotator,
    Collaborator,
    FollowUp,
    Made,
    Source,
    Written,
)
from halo_engine.analyze import analyze as analyze_store
from halo_engine.chunks import chunks
from halo_engine.detectors import DETECTORS, Detector
from halo_engine.errors import ConfigError
from halo_engine.findings import Finding, Report
from halo_engine.models import Budget, Calls, Ledger, Limits
from halo_engine.models.base import TokenUsage
from halo_engine.models.calls import OnBusy
from halo_engine.references import References
from halo_engine.report.html import to_html
from halo_engine.report.markdown import to_markdown
from halo_engine.rlm.events import Event
from halo_engine.rlm.investigation import EXPLORE, Investigation
from halo_engine.rlm.mapping import PAGE_TRACES
from halo_engine.rlm.purse import Purse, reading_sizes
from halo_engine.schema import Failure, Model
from halo_engine.store import TraceStore
from halo_integrations.analyst import Analyst, Estimate, as_json, sandbox
from halo_integrations.runs import Receipt, ReceiptState, Run, Runs, Stage
from halo_integrations.writeback import (
    FollowUpWish,
    annotations_of,
    configs_of,
    follow_ups_of,
)

WRITE_BATCH = 100
# A platform may show what it accepted only after a while (Langfuse Cloud: up to 30 s).
READ_BACK_SECONDS = 60
READ_BACK_PAUSE = wait_exponential(0.25, max=5)

NOT_SHOWN = (
    "Accepted, but not shown as it was sent within {:g} s. A rule of the platform may have refused "
    "it later (in Langfuse: a score config of that name); undo takes back what still appears."
)
NOT_GONE = "Still there {:g} s after it was taken back: undo the run again."

Link = Callable[[str, str | None], str | None]
# An annotation's identity, and what should stand there (None: nothing).
Wanted = tuple[Annotation, Annotation | None]
Key = tuple[str, str, str, str]
Receipts = Mapping[Key, Receipt]


class Progress(Model):
    """How far a step is: ``done`` of ``total`` (None: not known yet), counted in ``unit``."""

    step: str
    done: int
    total: int | None
    unit: str


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Tell nobody."""


class Annotated(Model):
    """What writing came to: ``confirmed`` of ``total`` were read back as they were sent."""

    total: int
    confirmed: int
    failures: tuple[Failure, ...] = ()


class Undone(Model):
    """What taking back came to.

    ``superseded`` annotations were replaced by a later run, and ``gone`` ones deleted by somebody:
    both were left alone. ``left`` are follow-ups that the platform cannot delete.
    """

    removed: int = 0
    restored: int = 0
    superseded: int = 0
    gone: int = 0
    left: tuple[Failure, ...] = ()
    failures: tuple[Failure, ...] = ()


class FollowedUp(Model):
    """What following up came to: ``made`` anew, and ``there`` before."""

    made: int
    there: int
    failures: tuple[Failure, ...] = ()


# -- pull ----------------------------------------------------------------------------------------


def pull(source: Source, run: Run, on_progress: OnProgress = silent) -> None:
    """Read what ``run`` asks for into its store; goes on where an earlier call was cut off.

    While one page is written to disk the next is read, and no further: what was read is on disk
    when the page after the next is asked for, and when an error comes.
    """
    with TraceStore(run.store_path) as store, ThreadPoolExecutor(1) as writer:
        held = store.trace_ids()
        query = run.record.query.model_copy(update={"held": held})
        done = len(held)
        writing: Future[int] | None = None
        for page in source.pull(query):
            if writing:
                writing.result()
            writing = writer.submit(store.ingest, page.traces)
            run.add_failures(page.failures)
            done += len(page.traces)
            on_progress(pull_progress(page.read, page.size, done, page.total))
        if writing:
            writing.result()
        overview = store.overview()
    run.update(
        stage=Stage.PULLED,
        traces=overview.traces,
        spans=overview.spans,
        pull_failures=len(run.failures()),
    )


def pull_progress(read: int | None, size: int | None, done: int, total: int | None) -> Progress:
    """Bytes where the source counts in bytes, else traces."""
    if size is not None:
        return Progress(step="Reading traces", done=read or 0, total=size, unit="bytes")
    return Progress(step="Reading traces", done=done, total=total, unit="traces")


# -- analyze -------------------------------------------------------------------------------------


def analyze(
    run: Run,
    detectors: Sequence[Detector] = DETECTORS,
    link: Link | None = None,
    on_progress: OnProgress = silent,
    *,
    analyst: Analyst | None = None,
    earlier: Sequence[Finding] = (),
    on_busy: OnBusy | None = None,
) -> Report:
    """Analyse the traces of ``run`` and write its report; ``link`` gives addresses in a UI.

    With an ``analyst`` its model looks for what no rule can see. An analysis of ``run`` by the same
    model that was cut off goes on, and nothing is paid for twice. Its findings take the names that
    the same ones have in ``earlier`` runs.
    """
    if run.record.stage is Stage.PULLING:
        raise ConfigError(
            f"Run {run.id} was cut off while reading. Give the same `run` or `pull` command again "
            f"to go on with it."
        )

    def tell(done: int, total: int) -> None:
        on_progress(Progress(step="Analysing", done=done, total=total, unit="traces"))

    with TraceStore(run.store_path, read_only=True) as store:
        found = analyze_store(store, detectors, progress=tell)
        if analyst:
            found = investigate(run, store, found, analyst, earlier, on_progress, on_busy)
    report = found.model_copy(update={"failures": (*run.failures(), *found.failures)})
    run.save_report(report, to_markdown(report, run.id, link), to_html(report, run.id, link))
    run.update(stage=Stage.ANALYZED, findings=len(report.findings))
    return report


def investigate(
    run: Run,
    store: TraceStore,
    signals: Report,
    analyst: Analyst,
    earlier: Sequence[Finding],
    on_progress: OnProgress,
    on_busy: OnBusy | None,
) -> Report:
    """Have a model look; every call, step and event is on disk before the next."""
    from halo_integrations.tracing import traced  # OpenTelemetry takes its time to import

    limits = analyst.settings.limits
    budget = Budget(limits)

    def told(event: Event) -> None:
        run.add_event(event)
        analyst.on_event(event)
        if trace:
            trace.on_event(event)
        on_progress(turn_progress(event, limits, budget))

    with (
        Ledger(run.ledger_path) as ledger,
        closing(sandbox(analyst.settings.sandbox)) as box,
        traced(analyst.exporter, run.id, analyst.brief.question) as trace,
    ):
        ledger.begin_analysis(as_json(analyst.asked()), limits.model_dump_json())
        calls = Calls(
            budget,
            ledger,
            concurrency=analyst.settings.parallel,
            patience=analyst.settings.patience,
            on_busy=on_busy,
            on_call=trace.on_call if trace else None,
        )
        models = analyst.model, analyst.sub_model
        return Investigation(
            store, signals, calls, *models, box, analyst.brief, told, earlier
        ).run()


# A turn adds about this many tokens to the conversation, which is sent again with every turn; an
# analysis takes about so many of them.
TURN_TOKENS = 2500
LIKELY_TURNS = 15


def estimate(run: Run, analyst: Analyst) -> Estimate:
    """About what an analysis takes: a number of usual turns, and every trace read once."""
    limits, budget = analyst.settings.limits, Budget(analyst.settings.limits)
    turns = min(limits.turns, LIKELY_TURNS)
    explore = TokenUsage(
        prompt=TURN_TOKENS * turns * (turns + 1) // 2, completion=TURN_TOKENS * turns // 4
    )
    with TraceStore(run.store_path, read_only=True) as store:
        sizes = reading_sizes(store, References(store))
    price = analyst.sub_model.price
    purse = Purse(budget, price, sizes, findings=5)
    reached = list(takewhile(lambda trace_id: purse.take(trace_id, keep=EXPLORE), sizes))
    reading = purse.usage(sizes)
    usd = None
    if price and analyst.model.price:
        usd = analyst.model.price.of(explore) + price.of(reading)
    return Estimate(
        traces=len(sizes),
        reached=len(reached),
        calls=turns + len(sizes) // PAGE_TRACES + 1,
        tokens=explore.total + reading.total,
        usd=usd,
        explore_tokens=explore.total,
        limits=limits,
    )


def turn_progress(event: Event, limits: Limits, budget: Budget) -> Progress:
    """How far the model is: its turns, and what was spent."""
    spent = budget.spent
    money = f"{spent.tokens:,} tokens" if spent.usd is None else f"{spent.usd:.2f} USD"
    unit = f"turns, {money}"
    return Progress(step="Investigating", done=event.turn, total=limits.turns, unit=unit)


# -- annotate ------------------------------------------------------------------------------------


def planned(run: Run) -> list[Annotation]:
    """What ``annotate`` would write; only ever on traces that this run has read."""
    with TraceStore(run.store_path, read_only=True) as store:
        return annotations_of(run.report, run.id, store.roots())


def annotate(
    run: Run,
    adapter: Annotator,
    annotations: Sequence[Annotation],
    on_progress: OnProgress = silent,
    *,
    batch: int = WRITE_BATCH,
    patience: float = READ_BACK_SECONDS,
) -> Annotated:
    """Write ``annotations``, ``batch`` at a time, read them back, and keep a receipt of each.

    ``patience`` is how many seconds the platform may take to show what it accepted.
    """
    for config in configs_of(annotations):
        run.add_configs(adapter.declare([config]))
    known = run.receipts()
    outcome: list[Written] = []
    for part in chunks(annotations, batch):
        outcome += write(run, adapter, part, known)
        on_progress(annotations_progress("Annotating", len(outcome), len(annotations)))
    run.update(stage=Stage.ANNOTATED)
    accepted = [w.annotation for w in outcome if not w.error]
    missing = unsettled(adapter, [(a, a) for a in accepted], patience)
    refused = [w for w in outcome if w.error]
    lost = [Written(annotation=a, error=NOT_SHOWN.format(patience)) for a in missing]
    return Annotated(
        total=len(annotations),
        confirmed=len(accepted) - len(missing),
        failures=tuple(failure_of(w, "annotate") for w in (*refused, *lost)),
    )


def annotations_progress(step: str, done: int, total: int) -> Progress:
    """Progress counted in annotations."""
    return Progress(step=step, done=done, total=total, unit="annotations")


def write(
    run: Run, adapter: Annotator, batch: Sequence[Annotation], known: Receipts
) -> list[Written]:
    """Write one batch: note what stands there, write, note what came of it.

    ``known`` are the receipts of an earlier call. Where its writing still stands, undo gives back
    what stood there before that; anywhere else, what stands there now.
    """
    previous = {
        annotation.key: known[annotation.key].previous
        if run_of(stored) == run.id and annotation.key in known
        else stored
        for annotation, stored in zip(batch, adapter.stored(batch), strict=True)
    }
    run.add_receipts(receipt(a, ReceiptState.PLANNED, previous[a.key]) for a in batch)
    written = adapter.annotate(batch)
    run.add_receipts(
        receipt(
            w.annotation,
            ReceiptState.FAILED if w.error else ReceiptState.WRITTEN,
            previous[w.annotation.key],
            w.error,
        )
        for w in written
    )
    return written


def unsettled(adapter: Annotator, wanted: Sequence[Wanted], patience: float) -> list[Annotation]:
    """Those whose identity does not hold what is wanted there.

    A platform may take a moment to show a change: ask again for what is missing until nothing is,
    or ``patience`` is at an end.
    """
    left = list(wanted)

    def look() -> list[Annotation]:
        found = adapter.stored([annotation for annotation, _ in left])
        left[:] = [w for w, stands in zip(left, found, strict=True) if stands != w[1]]
        return [annotation for annotation, _ in left]

    return Retrying(
        retry=retry_if_result(bool),
        wait=READ_BACK_PAUSE,
        stop=stop_after_delay(patience),
        retry_error_callback=last_result,
    )(look)


def last_result(state: RetryCallState) -> list[Annotation]:
    """What the last try gave; an error of the platform is raised."""
    if state.outcome is None:
        return []
    result: list[Annotation] = state.outcome.result()
    return result


def receipt(
    annotation: Annotation,
    state: ReceiptState,
    previous: Annotation | None,
    error: str | None = None,
) -> Receipt:
    """A receipt of now."""
    return Receipt(
        at=datetime.now(UTC), state=state, annotation=annotation, previous=previous, error=error
    )


def failure_of(written: Written, stage: str) -> Failure:
    """A refused annotation as an entry of the list that the user sees."""
    annotation = written.annotation
    where = f"{annotation.name} on {annotation.span_id or annotation.trace_id}"
    return Failure(stage=stage, where=where, what=written.error or "")


# -- follow up -----------------------------------------------------------------------------------


def planned_follow_ups(run: Run, wish: FollowUpWish) -> list[FollowUp]:
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
    adapter: Collaborator,
    wanted: Sequence[FollowUp],
    on_progress: OnProgress = silent,
) -> FollowedUp:
    """Make follow-ups, each on disk before the next."""
    made: list[Made] = []
    for one in adapter.follow_up(wanted):
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


def not_made(made: Made, stage: str) -> Failure:
    """A follow-up that failed as an entry of the list that the user sees."""
    where = f"{made.follow_up.kind} for {made.follow_up.trace_id}"
    return Failure(stage=stage, where=where, what=made.error or "")


def withdraw(run: Run, adapter: Annotator) -> tuple[Failure, ...]:
    """Take back the follow-ups of ``run``; those that cannot be."""
    made = run.follow_ups()
    if not made or not isinstance(adapter, Collaborator):
        return ()
    kept: list[Made] = []
    for one in adapter.withdraw(made):
        if one.error:
            kept.append(one)
        else:
            run.add_follow_up(one.model_copy(update={"id": None}))
    return tuple(not_made(one, "undo") for one in kept)


# -- undo ----------------------------------------------------------------------------------------

SETTLED = frozenset({ReceiptState.REMOVED, ReceiptState.RESTORED, ReceiptState.SUPERSEDED})


def undo(
    run: Run,
    adapter: Annotator,
    runs: Runs,
    on_progress: OnProgress = silent,
    *,
    patience: float = READ_BACK_SECONDS,
) -> Undone:
    """Take back what ``run`` wrote, and give back what an earlier run had written there.

    An annotation that a later run replaced belongs to that run and stays. ``patience`` is how many
    seconds the platform may take to show that a thing is gone.
    """
    others = [other for other in runs.all() if other.id != run.id]
    undone = {o.id: o.receipts() for o in others if o.record.stage is Stage.UNDONE}
    pending = [r for r in run.receipts().values() if r.state not in SETTLED]
    result, wanted, done = Undone(), list[Wanted](), 0
    for batch in chunks(pending, WRITE_BATCH):
        part, changes = undo_batch(run, adapter, batch, undone)
        result, wanted = added(result, part), wanted + changes
        done += len(batch)
        on_progress(annotations_progress("Undoing", done, len(pending)))
    result = added(result, reopened(run, unsettled(adapter, wanted, patience), patience))
    left = withdraw(run, adapter)
    if not result.failures:
        adapter.retire(sorted(declared_by(run, others) - names_in_use(others)))
        run.update(stage=Stage.UNDONE)
    return result.model_copy(update={"left": left})


def undo_batch(
    run: Run, adapter: Annotator, batch: Sequence[Receipt], undone: Mapping[str, Receipts]
) -> tuple[Undone, list[Wanted]]:
    """Take back one batch; also what should stand where the platform accepted a change."""
    stored = adapter.stored([r.annotation for r in batch])
    writers = {r.annotation.key: run_of(s) for r, s in zip(batch, stored, strict=True) if s}
    gone = [r for r in batch if r.annotation.key not in writers]
    ours = [r for r in batch if writers.get(r.annotation.key) == run.id]
    later = [r for r in batch if r not in gone and r not in ours]
    before = [(r, standing_before(r, undone)) for r in ours]
    restore = [(r, previous) for r, previous in before if previous is not None]
    remove = [r for r, previous in before if previous is None]
    restored = adapter.annotate([previous for _, previous in restore])
    removed = adapter.undo([r.annotation for r in remove])
    run.add_receipts(state_of(r, ReceiptState.REMOVED) for r in gone)
    run.add_receipts(state_of(r, ReceiptState.SUPERSEDED) for r in later)
    run.add_receipts(outcomes([r for r, _ in restore], restored, ReceiptState.RESTORED))
    run.add_receipts(outcomes(remove, removed, ReceiptState.REMOVED))
    result = Undone(
        removed=sum(not w.error for w in removed),
        restored=sum(not w.error for w in restored),
        superseded=len(later),
        gone=sum(r.state is ReceiptState.WRITTEN for r in gone),
        failures=tuple(failure_of(w, "undo") for w in (*restored, *removed) if w.error),
    )
    given_back = [(w.annotation, w.annotation) for w in restored if not w.error]
    return result, [*given_back, *((w.annotation, None) for w in removed if not w.error)]


def reopened(run: Run, annotations: Sequence[Annotation], patience: float) -> Undone:
    """Note that taking these back did not take effect, so that it is tried again."""
    keys = {annotation.key for annotation in annotations}
    receipts = [r for key, r in run.receipts().items() if key in keys]
    run.add_receipts(state_of(r, ReceiptState.WRITTEN) for r in receipts)
    restored = sum(r.state is ReceiptState.RESTORED for r in receipts)
    lost = [Written(annotation=a, error=NOT_GONE.format(patience)) for a in annotations]
    return Undone(
        removed=restored - len(receipts),
        restored=-restored,
        failures=tuple(failure_of(w, "undo") for w in lost),
    )


def outcomes(
    receipts: Sequence[Receipt], written: Sequence[Written], state: ReceiptState
) -> Iterable[Receipt]:
    """New receipts for those that went well; the others stay open, to be tried again."""
    pairs = zip(receipts, written, strict=True)
    return [state_of(r, state) for r, w in pairs if not w.error]


def state_of(old: Receipt, state: ReceiptState) -> Receipt:
    """``old`` one step further."""
    return receipt(old.annotation, state, old.previous)


def standing_before(old: Receipt, undone: Mapping[str, Receipts]) -> Annotation | None:
    """What to put back: what stood there before, unless that was of a run which is undone too."""
    previous = old.previous
    while previous is not None and (receipts := undone.get(run_of(previous) or "")) is not None:
        earlier = receipts.get(previous.key)
        previous = earlier.previous if earlier else None
    return previous


def run_of(annotation: Annotation | None) -> str | None:
    """The run that wrote an annotation."""
    return annotation.metadata.get("run_id") if annotation else None


def declared_by(run: Run, others: Sequence[Run]) -> set[str]:
    """The names that ``run`` made known, or an undone run whose names it went on using."""
    undone = [other for other in others if other.record.stage is Stage.UNDONE]
    return {name for each in (run, *undone) for name in each.configs()}


def names_in_use(runs: Sequence[Run]) -> set[str]:
    """The annotation names that ``runs`` wrote under and did not take back."""
    standing = [run for run in runs if run.record.stage is not Stage.UNDONE]
    return {receipt.annotation.name for run in standing for receipt in run.receipts().values()}


def added(a: Undone, b: Undone) -> Undone:
    """Two results as one."""
    return Undone(
        removed=a.removed + b.removed,
        restored=a.restored + b.restored,
        superseded=a.superseded + b.superseded,
        gone=a.gone + b.gone,
        failures=(*a.failures, *b.failures),
    )
