"""Amending findings: other texts, traces added to or removed from a list, several made one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_engine.findings import Finding
from halo_engine.rlm.candidates import (
    ALL_CHARS,
    MAX_EVIDENCE,
    Candidate,
    Impact,
    adopted_signals,
    evidence_of,
    instructing_texts,
    invalid_choices,
    shown_text,
)
from halo_engine.rlm.checks import FindingCheck, ListedTrace, listed_traces
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.source import SourceFiles
from halo_engine.source.changes import change_in
from halo_engine.source.places import code_lines

CHOICES = ("failure_mode", "impact")
LISTS = ("add", "remove", "evidence", "adopts")
IN_CODE = ("cause_at", "fix")
NO_LIST = (
    "its check is no list of traces: submit it again, with its title, to change where it holds."
)
NO_EVIDENCE = (
    "nothing that it quotes is left: give evidence of a trace that stays, or drop_finding()."
)


def amended(
    candidate: Candidate,
    changes: Mapping[str, Any],
    short_ids: ShortIds,
    signals: Sequence[Finding] = (),
    code: SourceFiles | None = None,
) -> tuple[Candidate, list[str]]:
    """``candidate`` with ``changes``, and what is wrong with them: then it is as it was.

    ``signals`` are the findings of detectors that it can adopt; causes are looked up in ``code``.
    """
    choices = {**{name: getattr(candidate, name) for name in CHOICES}, **changes}
    quoted, unproven = evidence_of(changes.get("evidence") or [], short_ids)
    added, unlisted = listed_traces(changes.get("add") or (), short_ids)
    gone, unnamed = listed_traces(changes.get("remove") or (), short_ids)
    removed = {item.trace_id for item in gone}
    adopted, unadopted = adopted_signals(changes.get("adopts"), signals)
    causes, misplaced = code_lines(changes.get("cause_at"), code)
    fix, unfit = change_in(changes.get("fix"), code)
    listed = traces_with(candidate, added)
    proofs = [*quoted, *candidate.evidence, *(item.evidence for item in added if item.evidence)]
    evidence = [proof for proof in dict.fromkeys(proofs) if proof.trace_id not in removed]
    problems = [
        *(*unknown_names(changes), *instructing_texts(changes), *invalid_choices(choices)),
        *(*unproven, *unlisted, *unnamed, *unadopted, *misplaced, *unfit),
        *([NO_LIST] if (added or removed) and not candidate.check.traces else []),
        *([] if evidence else [NO_EVIDENCE]),
    ]
    if problems:
        return candidate, problems
    texts = {name: shown_text(changes, name) for name in ALL_CHARS if name in changes}
    kept = tuple(item for item in listed if item.trace_id not in removed)
    update = {
        **{name: text for name, text in texts.items() if text},
        "failure_mode": choices["failure_mode"],
        "impact": Impact(choices["impact"]),
        "evidence": tuple(evidence[:MAX_EVIDENCE]),
        "check": candidate.check.model_copy(update={"traces": kept}),
        "adopts": tuple(adopted) or candidate.adopts,
        "code_causes": tuple(causes) or candidate.code_causes,
        "proposed_fix": fix or candidate.proposed_fix,
        "is_draft": False,
    }
    return candidate.model_copy(update=update), []


def unknown_names(changes: Mapping[str, Any]) -> list[str]:
    """A problem for each change of something that a finding does not have."""
    known = (*ALL_CHARS, *CHOICES, *LISTS, *IN_CODE)
    names = ", ".join(known)
    return [f"there is no {name[:80]!r}: {names}." for name in changes if name not in known]


def traces_with(candidate: Candidate, added: Sequence[ListedTrace]) -> list[ListedTrace]:
    """The list of ``candidate`` with the traces ``added``; one with a quote replaces one without."""
    listed = {item.trace_id: item for item in candidate.check.traces}
    for item in added:
        if item.trace_id not in listed or item.evidence:
            listed[item.trace_id] = item
    return list(listed.values())


def united(parts: Sequence[Candidate]) -> Candidate:
    """One finding of ``parts``, the first, with the traces and quotes of all.

    Raises ``HostError`` for one whose check is not a list of traces alone.
    """
    for part in parts:
        if part.check != FindingCheck(traces=part.check.traces):
            raise HostError(f"{part.id}: {NO_LIST}")
    # Of a trace that several parts have, the last in this order stays: one with a quote.
    listed = sorted(
        (t for part in parts for t in part.check.traces), key=lambda t: bool(t.evidence)
    )
    traces = {item.trace_id: item for item in listed}
    evidence = dict.fromkeys(e for part in parts for e in part.evidence)
    return parts[0].model_copy(
        update={
            "check": FindingCheck(traces=tuple(traces.values())),
            "evidence": tuple(evidence)[:MAX_EVIDENCE],
        }
    )
