"""Grouping of a detector's signals into findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import structs

from halo_engine.detectors.base import Detector, Signal
from halo_engine.findings import (
    Affected,
    Citation,
    Evidence,
    Finding,
    fingerprint_of,
    share_of,
)
from halo_engine.schema import FrozenStruct
from halo_engine.text.template_mining import MinedTemplate, mine_templates
from halo_engine.text.templates import message_template

SEVERAL_TOOLS = "one of several tools"
# There are many of them, all with all of their fields: to share the set of the names of these, and
# not to validate what has been, takes a fifth of the memory.
EVIDENCE_FIELDS, AFFECTED_FIELDS = set(Evidence.model_fields), set(Affected.model_fields)
NO_ERROR = MinedTemplate(key="", text="")


class VerifiedSignal(FrozenStruct):
    """A signal of whose quotes each was found in the trace, at the character of ``offsets``.

    There are many of them, and each is kept until all traces were judged.
    """

    signal: Signal
    offsets: tuple[int, ...]

    @property
    def proofs(self) -> Iterator[tuple[Citation, int]]:
        """Each quote with its offset."""
        return zip(self.signal.citations, self.offsets, strict=True)

    @property
    def evidence(self) -> Iterator[Evidence]:
        """The quotes as evidence."""
        for cited, offset in self.proofs:
            yield Evidence.model_construct(
                EVIDENCE_FIELDS,
                trace_id=self.signal.trace_id,
                span_id=cited.span_id,
                field=cited.field,
                quote=cited.quote,
                offset=offset,
            )

    @property
    def position(self) -> tuple[int, str, str]:
        """Sort key by time, then by ids: the same in whatever order the traces were read."""
        signal = self.signal
        return signal.time_unix_nano or 0, signal.trace_id, signal.span_id or ""


def with_proofs(signal: Signal, proofs: Iterable[tuple[Citation, int]]) -> VerifiedSignal:
    """``signal`` with these of its quotes, each with its offset, and no others."""
    found = tuple(proofs)
    citations = tuple(cited for cited, _ in found)
    offsets = tuple(offset for _, offset in found)
    return VerifiedSignal(signal=structs.replace(signal, citations=citations), offsets=offsets)


@dataclass(frozen=True)
class Kind:
    """What the signals of one finding have in common, besides the detector and the error."""

    failure_mode: str
    tool: str | None
    message: str


class JudgedTraces(NamedTuple):
    """How many of ``total`` traces a detector could judge.

    ``not_whole`` are others, in which it found something but could not judge the rest.
    """

    judged: int
    total: int
    not_whole: Set[str] = frozenset()


def group_into_findings(
    detector: Detector, signals: Iterable[VerifiedSignal], traces: JudgedTraces
) -> list[Finding]:
    """One finding for all ``signals`` with the same failure mode, tool, message and error template.

    The result does not depend on the order of ``signals``.
    """
    of_kind: dict[Kind, list[VerifiedSignal]] = defaultdict(list)
    for verified in sorted(signals, key=lambda v: v.position):
        of_kind[kind_of(verified.signal)].append(verified)
    return [
        make_finding(detector, kind, template, group, traces)
        for kind, alike in of_kind.items()
        for template, group in by_error_template(alike)
    ]


def kind_of(signal: Signal) -> Kind:
    """The kind of a signal."""
    return Kind(signal.failure_mode, signal.tool, message_template(signal.message or ""))


def by_error_template(
    signals: Sequence[VerifiedSignal],
) -> Iterator[tuple[MinedTemplate, list[VerifiedSignal]]]:
    """The signals of a kind by the template of their error; those without one come as one group."""
    errors = {(v.signal.trace_id, v.signal.error) for v in signals if v.signal.error is not None}
    counts = Counter(error for _, error in errors if error is not None)
    templates = mine_templates(counts)
    groups: dict[MinedTemplate, list[VerifiedSignal]] = defaultdict(list)
    for verified in signals:
        groups[templates.get(verified.signal.error or "", NO_ERROR)].append(verified)
    yield from groups.items()


def make_finding(
    detector: Detector,
    kind: Kind,
    template: MinedTemplate,
    group: Sequence[VerifiedSignal],
    traces: JudgedTraces,
) -> Finding:
    """The finding of a group of signals: its severity is the worst among them."""
    identity = ": ".join(filter(None, (kind.message, template.key)))
    message = ": ".join(filter(None, (kind.message, template.text)))
    fingerprint = fingerprint_of([detector.name, kind.failure_mode, kind.tool, identity])
    affected = affected_of(group, traces.not_whole)
    return Finding(
        id=f"{kind.failure_mode}-{fingerprint[:8]}",
        fingerprint=fingerprint,
        failure_mode=kind.failure_mode,
        title=detector.title_for(kind.tool or "a step", message),
        group_title=detector.title_for(SEVERAL_TOOLS, message) if kind.tool else None,
        severity=min((v.signal.severity for v in group), key=lambda s: s.rank),
        summary=group[0].signal.reason,
        recommendation=group[0].signal.recommendation or detector.recommendation,
        detector=detector.name,
        tool=kind.tool,
        message=message or None,
        template=identity or None,
        prevalence=share_of(affected, traces.judged, traces.total),
        affected=affected,
    )


def affected_of(group: Sequence[VerifiedSignal], not_whole: Set[str]) -> tuple[Affected, ...]:
    """The affected spans of a group, each once, with the evidence of all its signals.

    Those in traces that are ``not_whole`` are in no count.
    """
    by_span: dict[tuple[str, str | None], list[VerifiedSignal]] = defaultdict(list)
    for verified in group:
        by_span[verified.signal.trace_id, verified.signal.span_id].append(verified)
    return tuple(
        Affected.model_construct(
            AFFECTED_FIELDS,
            trace_id=trace_id,
            span_id=span_id,
            reason=signals[0].signal.reason,
            evidence=tuple(dict.fromkeys(e for v in signals for e in v.evidence)),
            is_counted=trace_id not in not_whole,
        )
        for (trace_id, span_id), signals in by_span.items()
    )
