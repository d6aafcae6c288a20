"""Compare: two releases, time windows or runs, by the same checks on both."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.sides import Comparison, compare_sides
from halo_engine.sides.compare import BASE, HEAD
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.issue_judging import issue_judge, judge_setup
from halo_integrations.model_setup import ModelSetup
from halo_integrations.options.callbacks import OnProgress, Progress
from halo_integrations.options.declaration import flag_of
from halo_integrations.options.keywords import sides_verb
from halo_integrations.options.model import ModelSettings, code_folder
from halo_integrations.options.run import CommonOptions, CompareOptions
from halo_integrations.protection import are_texts_withheld, privacy_of, redactor_of
from halo_integrations.sides import HOW, Side, side_of
from halo_integrations.state.issues import Issues
from halo_integrations.state.run import require_pulled
from halo_integrations.tracking import project_of
from halo_integrations.verbs.analyze import located

INGESTED = 200


class BothSides(NamedTuple):
    """A store with the traces of both sides, the ids of each, and how many were on both."""

    store: TraceStore
    members: dict[str, frozenset[str]]
    in_both: int


@sides_verb(CompareOptions)
def compare(base: str, head: str, options: CompareOptions) -> Comparison:
    """Compare the traces of ``head`` with those of ``base``: what is new, worse, better or gone.

    Each is a run (its id, or ``last``), or traces of one: ``"release=1.4"``, ``"since=1d"``,
    ``"RUN:environment=prod"``. Detectors and the rules of known issues are applied to both; with
    ``judge`` a model is asked the questions of the others about a random sample of each side, within
    its budget. Raises ``ConfigError`` for a side that there is not, or that has no traces.
    """
    context = Context(options)
    code, setup = code_folder(options), judge_of(context, options)
    sides = side_of(base, context.runs), side_of(head, context.runs)
    known = Issues(context.runs.home).all(project_of(context, sides[1].run))
    privacies = [privacy_of(side.run) for side in sides]

    def show(done: int, total: int) -> None:
        context.on_progress(Progress(step="Comparing", done=done, total=total, unit="traces"))

    redactor = redactor_of(sides[1].run)
    with ExitStack() as stack:
        both = stack.enter_context(both_sides(sides, context.runs.home, context.on_progress))
        judging = issue_judge(context, setup, known, both.members, redactor) if setup else None
        compared = compare_sides(
            both.store,
            (base, head),
            both.members,
            context.detectors(),
            known,
            reads_texts=not (
                any(privacy.metadata_only for privacy in privacies)
                or are_texts_withheld(both.store)
            ),
            judge=stack.enter_context(judging) if judging else None,
            progress=show,
            executor=context.executor,
        )
    found = compared.model_copy(update={"in_both": both.in_both})
    return redactor.model(with_places(found, code))


def judge_of(context: Context, options: CompareOptions) -> ModelSetup | None:
    """The model to ask; None where none is to be. ``ConfigError`` for its options without it."""
    if options.judge:
        return judge_setup(context)
    for name in sorted(ModelSettings.model_fields.keys() & options.model_fields_set):
        if getattr(options, name) is not None:
            flag = flag_of(CompareOptions, name)
            raise ConfigError(f"{flag} is about --judge, without which no model is asked.")
    return None


@sides_verb(CommonOptions)
def comparison_info(base: str, head: str, options: CommonOptions) -> ComparisonInfo:
    """The pages of the traces of two sides, for a renderer of their comparison."""
    runs = Context(options).runs
    base_run, head_run = (side_of(name, runs).run for name in (base, head))
    return ComparisonInfo(base_url=base_run.info.url, head_url=head_run.info.url)


def with_places(compared: Comparison, code: Path | None) -> Comparison:
    """``compared`` with the places in the folder ``code`` of what its issues name."""
    report = located(Report(findings=[each.finding for each in compared.issues]), code)
    issues = tuple(
        each.model_copy(update={"finding": finding})
        for each, finding in zip(compared.issues, report.findings, strict=True)
    )
    failures = (*compared.failures, *report.failures)
    return compared.model_copy(update={"issues": issues, "failures": failures})


@contextmanager
def both_sides(
    sides: tuple[Side, Side], home: Path, on_progress: OnProgress
) -> Iterator[BothSides]:
    """The traces of both sides in a store that is there within the block.

    It is in the home, or among the temporary files where that is read-only. Raises ``ConfigError``
    for a side without traces.
    """
    for side in sides:
        require_pulled(side.run)
    base, head = (frozenset(side.trace_ids()) for side in sides)
    members = {BASE: base - head, HEAD: head - base}
    for side, found, own in zip(sides, (base, head), members.values(), strict=True):
        require_traces(side, found, own)
    place = home if os.access(home, os.W_OK) else None
    with TemporaryDirectory(prefix="compare-", dir=place) as folder:
        path = Path(folder) / "traces"
        with TraceStore(path) as store:
            ingest_sides(store, list(zip(sides, members.values(), strict=True)), on_progress)
        with TraceStore(path, read_only=True) as store:
            yield BothSides(store, members, len(base & head))


def require_traces(side: Side, found: Collection[str], own: Collection[str]) -> None:
    """Raise ``ConfigError`` for a side without traces of its ``own`` among those ``found``."""
    if not found:
        raise ConfigError(
            f"{side.name!r} has no traces in run {side.run.id}{why_none(side)}. {HOW}"
        )
    if not own:
        raise ConfigError(
            f"Every trace of {side.name!r} ({len(found):,}) is on the other side, too: there is "
            f"nothing to compare. {HOW}"
        )


def why_none(side: Side) -> str:
    """What a run holds of which none is on a side."""
    if privacy_of(side.run).metadata_only and not side.is_by_time:
        return ", whose --metadata-only kept no release, environment, tag or metadata"
    with TraceStore(side.run.store_path, read_only=True) as store:
        found = store.overview()
    if not (found.first and found.last):
        return f", which holds {found.traces:,}"
    first, last = (f"{each:%Y-%m-%d %H:%M}" for each in (found.first, found.last))
    return f", whose {found.traces:,} traces are of {first} to {last} UTC"


def ingest_sides(
    store: TraceStore, sides: Sequence[tuple[Side, Collection[str]]], on_progress: OnProgress
) -> None:
    """Store the traces of each side that are its own."""
    total, done = sum(len(own) for _, own in sides), 0
    for side, own in sides:
        kept = (trace for trace in side.traces() if trace.trace_id in own)
        while batch := list(islice(kept, INGESTED)):
            store.ingest(batch)
            done += len(batch)
            on_progress(Progress(step="Reading both sides", done=done, total=total, unit="traces"))
