"""What ``doctor`` says of trace files: how much of them is understood, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from halo_adapters.base import HealthCheck, HealthStatus, TracePage
from halo_adapters.dialects.coverage import Coverage, Missing, SourceCoverage, SpanSource
from halo_adapters.files.records import count_of
from halo_engine.errors import ConfigError
from halo_engine.findings import UnreadSpans
from halo_engine.instrumentations import Library, RecordedPart, switch_for
from halo_engine.report.unread import HOW_TO_READ, infrastructure_sentence, unknown_sentence
from halo_engine.schema import Failure

# How many spans are looked at: enough to see every library, and read in seconds.
MAX_SPANS = 50_000
# What each part is missing in.
HOLDERS = {
    RecordedPart.MESSAGES: ("messages", "model call"),
    RecordedPart.ARGUMENTS: ("arguments", "tool run"),
    RecordedPart.RESULTS: ("results", "tool run"),
    RecordedPart.FINISH_REASONS: ("finish reasons", "model call"),
    RecordedPart.TOKENS: ("tokens", "model call"),
    RecordedPart.SESSIONS: ("sessions", "trace"),
}


def content_checks(pages: Iterable[TracePage]) -> Iterator[HealthCheck]:
    """What of the spans of ``pages`` is understood, by source, and what could not be read."""
    coverage, failures, spans = Coverage(), list[Failure](), 0
    try:
        for page in pages:
            failures += page.failures
            for trace in page.traces:
                coverage.add(trace)
                spans += len(trace.spans)
            if spans >= MAX_SPANS:
                break
    except ConfigError as error:
        fix = "Give files in one of these formats, or look at the first line."
        yield HealthCheck(what="format", status=HealthStatus.FAILED, found=str(error), fix=fix)
        return
    part = ", the first of the file" if spans >= MAX_SPANS else ""
    found = f"{count_of(spans, 'span')} read{part}"
    yield HealthCheck(what="format", status=HealthStatus.OK, found=found)
    if failures:
        first = f"{failures[0].where}: {failures[0].what}"
        found = f"{count_of(len(failures), 'problem')}, the first of them at {first}"
        yield HealthCheck(what="records", status=HealthStatus.WARNING, found=found)
    for source, covered in coverage.sources.items():
        yield source_check(source, covered)
    if coverage.sessions.missing:
        yield sessions_check(coverage)
    yield from unread_checks(coverage.unread)


def source_check(source: SpanSource, covered: SourceCoverage) -> HealthCheck:
    """What of the spans of one source is understood, and what is missing in them."""
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in covered.kinds.most_common())
    spans = count_of(covered.kinds.total(), "span")
    recorder = f" of {source.scope}" if source.scope else ""
    missing = covered.missing()
    lacking = "; ".join(map(missing_text, missing))
    return HealthCheck(
        what=f"dialect {source.dialect}" if source.dialect else "no dialect, kinds of the file",
        status=HealthStatus.WARNING if missing else HealthStatus.OK,
        found=f"{spans}{recorder} ({kinds})" + (f". Missing: {lacking}" if lacking else ""),
        fix=switches_text(covered.libraries, missing),
    )


def sessions_check(coverage: Coverage) -> HealthCheck:
    """How many traces belong to no session, which is what makes conversations of them."""
    libraries = (library for source in coverage.sources.values() for library in source.libraries)
    return HealthCheck(
        what="sessions",
        status=HealthStatus.WARNING,
        found=f"Missing: {missing_text(coverage.sessions)}",
        fix=switches_text(libraries, [coverage.sessions]),
    )


def missing_text(missing: Missing) -> str:
    """What is missing, and in how many of how many."""
    what, holder = HOLDERS[missing.part]
    return f"{what} in {missing.missing:,} of {count_of(missing.of, holder)}"


def switches_text(libraries: Iterable[Library], missing: list[Missing]) -> str | None:
    """What ``libraries`` can be told to record of what is missing; None where nothing is known."""
    known, parts_of = list(libraries), dict[str, list[str]]()
    for one in missing:
        if switch := switch_for(known, one.part):
            parts_of.setdefault(switch, []).append(HOLDERS[one.part][0])
    said = [f"For {' and '.join(parts)}: {switch}." for switch, parts in parts_of.items()]
    return " ".join(said) or None


def unread_checks(unread: tuple[UnreadSpans, ...]) -> Iterator[HealthCheck]:
    """The spans of which nothing was understood; those of infrastructure are no problem."""
    if sentence := unknown_sentence(unread):
        status = HealthStatus.WARNING
        yield HealthCheck(what="not understood", status=status, found=sentence, fix=HOW_TO_READ)
    if sentence := infrastructure_sentence(unread):
        yield HealthCheck(what="infrastructure", status=HealthStatus.OK, found=sentence)
