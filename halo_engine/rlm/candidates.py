"""Findings that the root model submits: quoted in some traces, not yet counted in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from halo_engine.failure_modes import CATALOGUE, OTHER
from halo_engine.findings import CodeLine, Evidence, Finding, FindingCheck, Severity
from halo_engine.rlm.checks import CheckRules, check_of
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.submitted_texts import MAX_ID, text_in, verified_quote
from halo_engine.schema import FrozenModel
from halo_engine.source import SourceFiles
from halo_engine.source.changes import change_in
from halo_engine.source.places import code_lines
from halo_engine.text.injection import addresses_analysts
from halo_engine.text.sanitize import safe_line

MODES = (*(mode.slug for mode in CATALOGUE), OTHER)
MAX_CANDIDATES = 120
MAX_EVIDENCE = 20
TEXT_CHARS = {"title": 160, "summary": 1500, "cause": 1000, "recommendation": 1000}
# What need not be written: which cases count, and what other runs show that a claim rests on.
OPTIONAL_CHARS = {"boundaries": 1500, "facts": 1500}
ALL_CHARS = {**TEXT_CHARS, **OPTIONAL_CHARS}
MAX_ADOPTED = 20


class Impact(StrEnum):
    """The consequence of a failure, worst first; it determines the severity."""

    HARM = "harm"
    WRONG_OUTCOME = "wrong_outcome"
    DEGRADED = "degraded"
    COSMETIC = "cosmetic"

    @property
    def severity(self) -> Severity:
        """The severity of the same rank."""
        return list(Severity)[list(Impact).index(self)]


IMPACTS = {
    Impact.HARM: "money, data or safety is lost in a way that cannot be taken back",
    Impact.WRONG_OUTCOME: "the user ends up with a wrong or no result, or is told an untruth",
    Impact.DEGRADED: "the result is right in the end, at the cost of time, money or detours",
    Impact.COSMETIC: "only how it looks",
}


class Candidate(FrozenModel):
    """A submitted finding. ``evidence`` was verified, the rule of ``check`` was executed.

    ``boundaries`` say what counts and what does not, ``facts`` what other runs show that the claim
    rests on; ``adopts`` are the ids of findings of detectors that it takes the place of.
    ``code_causes`` and ``proposed_fix`` were verified in the source code. One that ``is_draft`` was
    made of the notes of a survey (``halo_engine.rlm.drafts``), and nobody has amended it.
    """

    id: str
    title: str
    failure_mode: str
    summary: str
    cause: str
    recommendation: str
    impact: Impact
    evidence: tuple[Evidence, ...]
    check: FindingCheck
    boundaries: str | None = None
    facts: str | None = None
    adopts: tuple[str, ...] = ()
    code_causes: tuple[CodeLine, ...] = ()
    proposed_fix: str | None = None
    is_draft: bool = False

    @property
    def includes_corrected(self) -> bool:
        """Whether a trace shows it even if the agent corrected the failure later.

        That is so for an impact on cost or appearance, which a correct result does not refute.
        """
        return self.impact in (Impact.DEGRADED, Impact.COSMETIC)

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """The ids of the traces that it cites, without duplicates."""
        return tuple(dict.fromkeys(e.trace_id for e in self.evidence))


class Submission(NamedTuple):
    """The outcome of a submission: a candidate, or the problems for which it was refused.

    ``quotes_not_found`` counts the items of its evidence that were not verified,
    ``matching_traces`` the traces in which the rule of the check matches (None: it has no rule).
    ``notes`` say what of an accepted submission was not kept, or will be missing.
    """

    candidate: Candidate | None
    problems: list[str]
    quotes_not_found: int
    matching_traces: int | None
    notes: tuple[str, ...] = ()


def submission_of(
    id: str,
    fields: Mapping[str, Any],
    short_ids: ShortIds,
    rules: CheckRules,
    signals: Sequence[Finding] = (),
    code: SourceFiles | None = None,
) -> Submission:
    """Verify the evidence in ``fields``, execute its rule, and make a candidate of them.

    ``signals`` are the findings of detectors that it can adopt; causes are looked up in ``code``.
    """
    problems = [*missing_texts(fields), *instructing_texts(fields), *invalid_choices(fields)]
    evidence, unverified = evidence_of(fields.get("evidence"), short_ids)
    problems += unverified
    if not evidence:
        problems.append("evidence: not one quote was found, so there is no finding.")
    check, invalid = check_of(fields.get("check"), short_ids)
    adopted, unknown = adopted_signals(fields.get("adopts"), signals)
    matching, missed = rule_problems(check, evidence, short_ids, rules) if check else (None, [])
    causes, misplaced = code_lines(fields.get("cause_at"), code)
    fix, unfit = change_in(fields.get("fix"), code)
    problems += [*invalid, *unknown, *missed]
    if problems or check is None:
        return Submission(None, problems, len(unverified), matching)
    texts = {name: shown_text(fields, name) for name in ALL_CHARS}
    candidate = Candidate(
        id=id,
        failure_mode=text_in(fields, "failure_mode") or OTHER,
        impact=Impact(text_in(fields, "impact") or ""),
        evidence=tuple(evidence),
        check=check,
        adopts=tuple(adopted),
        code_causes=tuple(causes),
        proposed_fix=fix,
        **texts,
    )
    not_kept = (f"not kept: {problem}" for problem in (*misplaced, *unfit))
    notes = (*cuts(fields), *missing_words(check, rules), *not_kept)
    return Submission(candidate, [], 0, matching, notes)


def shown_text(fields: Mapping[str, Any], name: str) -> str:
    """The text called ``name`` as it can be stored and shown anywhere, as one line.

    A model wrote it that has read untrusted text.
    """
    return safe_line(text_in(fields, name) or "", ALL_CHARS[name])


def cuts(fields: Mapping[str, Any]) -> Iterator[str]:
    """A note on each part of a submission that is longer than what is kept of it."""
    if len(fields["evidence"]) > MAX_EVIDENCE:
        yield f"evidence: the first {MAX_EVIDENCE} of {len(fields['evidence'])} quotes are kept."
    for name, chars in ALL_CHARS.items():
        if len(text_in(fields, name) or "") > chars:
            yield f"{name}: the first {chars:,} characters are kept."


def missing_words(check: FindingCheck, rules: CheckRules) -> Iterator[str]:
    """A note on a query alone that does not return the words that make its rows match."""
    if not check.sql or check.pattern or check.question:
        return
    matches = rules.matches(check).values()
    if wordless := sum(not match.quote for match in matches):
        yield (
            f"check: the sql returns no quote for {wordless} of {len(matches)} traces, so that they "
            f"have no proof but what you cite. If words of a field decide, return them as quote, and "
            f"the name of the field as field."
        )


def missing_texts(fields: Mapping[str, Any]) -> list[str]:
    """A problem for each required text that is missing."""
    missing = [name for name in TEXT_CHARS if text_in(fields, name) is None]
    return [f"{name}: write a text." for name in missing]


def instructing_texts(fields: Mapping[str, Any]) -> list[str]:
    """A problem for each text that is worded for its readers: models read it as a claim."""
    check = fields.get("check")
    question = text_in(check, "question") if isinstance(check, Mapping) else None
    texts = {name: text_in(fields, name) for name in ALL_CHARS} | {"check.question": question}
    return [
        f"{name}: say what the agent does, and nothing to whoever reads it."
        for name, text in texts.items()
        if text and addresses_analysts(text)
    ]


def invalid_choices(fields: Mapping[str, Any]) -> list[str]:
    """A problem for an unknown failure mode and for an unknown impact."""
    problems = []
    if text_in(fields, "failure_mode") not in MODES:
        problems.append(f"failure_mode: choose one of {', '.join(MODES)}.")
    if text_in(fields, "impact") not in list(Impact):
        problems.append(f"impact: choose one of {', '.join(Impact)}.")
    return problems


def adopted_signals(names: Any, signals: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """The ids of the findings of detectors that ``names`` mean, and a problem for each other name."""
    if names is not None and not isinstance(names, (list, tuple)):
        return [], ["adopts: give a list of detectors or of ids of their findings, see signals()."]
    given = [name if isinstance(name, str) else "" for name in (names or ())[:MAX_ADOPTED]]
    wanted = [name[:MAX_ID] for name in given]
    found = [signal.id for signal in signals if {signal.id, signal.detector} & set(wanted)]
    known = {name for signal in signals for name in (signal.id, signal.detector)}
    unknown = [f"adopts: there is no signal {name[:80]!r}." for name in wanted if name not in known]
    return found, unknown


def evidence_of(items: Any, short_ids: ShortIds) -> tuple[list[Evidence], list[str]]:
    """The verified evidence in ``items``, and a problem for each of the other items."""
    if not isinstance(items, Sequence) or isinstance(items, str):
        return [], ['evidence: give a list of {"span": "T3.5", "quote": "..."}.']
    verified: list[Evidence] = []
    problems: list[str] = []
    for number, item in enumerate(items[:MAX_EVIDENCE], start=1):
        try:
            verified.append(verified_quote(item, short_ids))
        except HostError as error:
            problems.append(f"evidence {number}: {error}")
    return list(dict.fromkeys(verified)), problems


def rule_problems(
    check: FindingCheck, evidence: Sequence[Evidence], short_ids: ShortIds, rules: CheckRules
) -> tuple[int | None, list[str]]:
    """In how many traces the rule matches (None: there is no rule), and what is wrong with it.

    A rule that does not match the traces cited as evidence would count wrongly.
    """
    if not check.has_rule:
        return None, []
    try:
        matches = rules.matches(check)
    except HostError as error:
        return None, [f"check: {error}"]
    cited = dict.fromkeys(e.trace_id for e in evidence)
    missed = ", ".join(short_ids.name(t) for t in cited if t not in matches)
    if not missed:
        return len(matches), []
    return len(matches), [
        f"check: its rule holds in {len(matches)} traces, but not in {missed}, which you cite. "
        f"Widen the rule, cite other traces, or give a question alone."
    ]
