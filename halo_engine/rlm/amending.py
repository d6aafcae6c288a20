"""Amending findings: other texts, traces added to or removed from a list, several made one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_engine.findings import Finding, FindingCheck, ListedTrace
from halo_engine.rlm.candidates import (
    ALL_CHARS,
    MAX_EVIDENCE,
    OPTIONAL_CHARS,
    Candidate,
    Impact,
    adopted_signals,
    evidence_of,
    instructing_texts,
    invalid_choices,
    rule_problems,
    shown_text,
)
from halo_engine.rlm.checks import CheckRules, listed_traces
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.submitted_texts import text_in
from halo_engine.source import SourceFiles
from halo_engine.source.changes import change_in
from halo_engine.source.places import code_lines
from halo_engine.text.sanitize import shorten

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
    given: Mapping[str, Any],
    short_ids: ShortIds,
    rules: CheckRules,
    signals: Sequence[Finding] = (),
    code: SourceFiles | None = None,
) -> tuple[Candidate, list[str]]:
    """``candidate`` with the changes that are ``given``, and what is wrong with them.

    Then it is as it was. What is None stays as it is; an optional text that is empty is removed.
    ``signals`` are the findings of detectors that it can adopt; causes are looked up in ``code``.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    choices = {name: changes.get(name, getattr(candidate, name)) for name in CHOICES}
    quoted, unproven = evidence_of(changes.get("evidence") or [], short_ids)
    added, unlisted = listed_traces(changes.get("add") or (), short_ids)
    gone, unnamed = listed_traces(changes.get("remove") or (), short_ids)
    removed = {item.trace_id for item in gone}
    adopted, unadopted = adopted_signals(changes.get("adopts"), signals)
    causes, misplaced = code_lines(changes.get("cause_at"), code)
    fix, unfit = change_in(changes.get("fix"), code)
    listed = [t for t in traces_with(candidate, added) if t.trace_id not in removed]
    proofs = [*quoted, *candidate.evidence, *(item.evidence for item in added if item.evidence)]
    evidence = [proof for proof in dict.fromkeys(proofs) if proof.trace_id not in removed]
    check = candidate.check.model_copy(update={"traces": tuple(listed)})
    is_left = evidence and (listed or not candidate.check.traces)
    problems = [
        *(*unknown_names(changes), *emptied_texts(changes), *instructing_texts(changes)),
        *invalid_choices(choices),
        *(*unproven, *unlisted, *unnamed, *unadopted, *misplaced, *unfit),
        *([NO_LIST] if (added or removed) and not candidate.check.traces else []),
        *(rule_problems(check, evidence, short_ids, rules)[1] if is_left else [NO_EVIDENCE]),
    ]
    if problems:
        return candidate, problems
    update = {
        **{name: shown_text(changes, name) or None for name in ALL_CHARS if name in changes},
        "failure_mode": text_in(choices, "failure_mode"),
        "impact": Impact(text_in(choices, "impact") or ""),
        "evidence": tuple(evidence[:MAX_EVIDENCE]),
        "check": check,
        "adopts": tuple(adopted) or candidate.adopts,
        "code_causes": tuple(causes) or candidate.code_causes,
        "proposed_fix": fix or candidate.proposed_fix,
        "is_draft": False,
    }
    return candidate.model_copy(update=update), []


def emptied_texts(changes: Mapping[str, Any]) -> list[str]:
    """A problem for each text that is none; an optional one may be empty."""
    return [
        f"{name}: write a text."
        for name in ALL_CHARS
        if name in changes
        and text_in(changes, name) is None
        and not (name in OPTIONAL_CHARS and changes[name] == "")
    ]


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
    """One finding of ``parts``, the first, with what all of them hold in, quote, adopt and count.

    Raises ``HostError`` for one whose check is not a list of traces alone.
    """
    for part in parts:
        if not part.check.is_list:
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
            "adopts": tuple(dict.fromkeys(id for part in parts for id in part.adopts)),
            "code_causes": tuple(dict.fromkeys(c for part in parts for c in part.code_causes)),
            "proposed_fix": next((p.proposed_fix for p in parts if p.proposed_fix), None),
            **{name: united_text(parts, name) for name in OPTIONAL_CHARS},
        }
    )


def united_text(parts: Sequence[Candidate], name: str) -> str | None:
    """The texts called ``name`` of ``parts``, each once."""
    texts = dict.fromkeys(text for part in parts if (text := getattr(part, name)))
    return shorten(" ".join(texts), OPTIONAL_CHARS[name]) or None
