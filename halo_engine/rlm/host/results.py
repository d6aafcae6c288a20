"""Host functions that record results: notes, submitted findings, the end of the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halo_engine.findings import RejectedFinding
from halo_engine.rlm.candidates import (
    MAX_CANDIDATES,
    Candidate,
    Submission,
    shown_text,
    submission_of,
)
from halo_engine.rlm.host.arguments import Text
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.trials import Trials
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.schema import Failure, FrozenModel
from halo_engine.source import SourceFiles
from halo_engine.text.sanitize import safe_text

MAX_NOTES = 30
# Of each kind, shown with a submission.
EXAMPLES = 3
MAX_FAILURES = 50
NOTE_CHARS = 500
SUMMARY_CHARS = 4000
NO_ROOM = "drop_finding() and unite_findings() make room."


class Notebook(FrozenModel):
    """The results of the analysis so far, stored with every checkpoint.

    ``refused`` counts refused submissions, ``quotes_not_found`` the quotes in them that are not in
    the traces. ``failures`` are errors of host functions that nobody expected. ``investigations``
    were given out; ``dropped`` are findings that were withdrawn, there or here. ``last_number`` is
    that of the last id, F1, F2, ..., that was given.
    """

    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    quotes_not_found: int = 0
    refused: int = 0
    summary: str | None = None
    failures: tuple[Failure, ...] = ()
    investigations: int = 0
    dropped: tuple[RejectedFinding, ...] = ()
    last_number: int = 0

    @property
    def next_id(self) -> str:
        """An id that no finding has, nor had before it was dropped."""
        return f"F{max([self.last_number, *map(number_in_id, self.candidates)]) + 1}"

    def with_finding(self, candidate: Candidate) -> Notebook:
        """With one more finding, whose id is then given."""
        number = max(self.last_number, number_in_id(candidate))
        return self.model_copy(
            update={"candidates": (*self.candidates, candidate), "last_number": number}
        )

    @property
    def results(self) -> tuple[object, ...]:
        """What changes in a turn that is not idle."""
        return self.candidates, self.notes, self.summary, self.investigations

    @property
    def is_finished(self) -> bool:
        """Whether ``finish`` was called."""
        return self.summary is not None


def number_in_id(candidate: Candidate) -> int:
    """The number in the id of a finding."""
    return int(candidate.id.removeprefix("F"))


def twin_of(candidate: Candidate, others: Sequence[Candidate]) -> Candidate | None:
    """The one of ``others`` with the same evidence, if there is one: it is the same finding."""
    return next((c for c in others if set(c.evidence) == set(candidate.evidence)), None)


def without_twin(
    submission: Submission, candidate: Candidate, others: Sequence[Candidate]
) -> Submission:
    """``submission``, refused if one of ``others`` has the same evidence."""
    twin = twin_of(candidate, others)
    if twin is None:
        return submission
    problem = (
        f"evidence: {twin.id} has the same. To replace that, submit with its title; for another "
        f"failure quote what shows it."
    )
    return submission._replace(candidate=None, problems=[problem])


class Results:
    """The host functions that record results in ``notebook``; causes are looked up in ``code``.

    The ``drafts`` are findings from the beginning.

    In the last step ``finish`` is accepted despite refused submissions, since no step follows in
    which they could be corrected.
    """

    def __init__(
        self,
        context: HostContext,
        trials: Trials,
        code: SourceFiles | None = None,
        drafts: Sequence[Candidate] = (),
    ) -> None:
        self._context = context
        self._code = code
        self._trials = trials
        self._refused_in_step = 0
        self._is_last_step = False
        self.notebook = Notebook()
        for draft in drafts:
            self.notebook = self.notebook.with_finding(draft)

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.note, self.submit_finding, self.findings, self.finish

    def begin_step(self, *, is_last: bool) -> None:
        """Prepare for the code of one step."""
        self._refused_in_step = 0
        self._is_last_step = is_last

    def add_failure(self, failure: Failure) -> None:
        """Keep an error of a host function, once."""
        failures = dict.fromkeys((*self.notebook.failures, failure))
        self._update(failures=tuple(failures)[:MAX_FAILURES])

    def note(self, text: Text) -> None:
        """Keep a note that stays in the conversation when old turns are compacted."""
        notes = (*self.notebook.notes, text[:NOTE_CHARS])[-MAX_NOTES:]
        self._update(notes=notes)

    def submit_finding(self, **fields: Any) -> dict[str, Any]:
        """Check a finding and keep it if it is proven; the same title again replaces it."""
        candidates = self.notebook.candidates
        title = shown_text(fields, "title").lower()
        same = next((c for c in candidates if c.title.lower() == title), None)
        if len(candidates) >= MAX_CANDIDATES and not same:
            raise HostError(f"{MAX_CANDIDATES} findings are enough: {NO_ROOM}")
        id = same.id if same else self.notebook.next_id
        context = self._context
        submission = submission_of(
            id, fields, context.short_ids, context.rules, context.signals.findings, self._code
        )
        others = [c for c in candidates if c.id != id]
        if submission.candidate is not None:
            submission = without_twin(submission, submission.candidate, others)
        if submission.candidate is None:
            self._refused_in_step += 1
            self._update(
                refused=self.notebook.refused + 1,
                quotes_not_found=self.notebook.quotes_not_found + submission.quotes_not_found,
            )
            return {"accepted": False, "problems": submission.problems}
        self._update(candidates=tuple(others))
        self.notebook = self.notebook.with_finding(submission.candidate)
        return {
            "accepted": True,
            "id": id,
            **self._coverage(submission.candidate),
            **({"notes": list(submission.notes)} if submission.notes else {}),
        }

    def _coverage(self, candidate: Candidate) -> dict[str, Any]:
        """What an accepted check covers beyond what it cites, and what judging by it takes."""
        check, found = candidate.check, {}
        if check.has_rule:
            found = self._trials.examples(check, candidate.trace_ids, EXAMPLES)
        if check.question:
            found["judging"] = self._trials.judging_cost(check)
        return found

    def findings(self) -> list[dict[str, Any]]:
        """The findings that were accepted."""
        return [self.described(candidate) for candidate in self.notebook.candidates]

    def described(self, candidate: Candidate) -> dict[str, Any]:
        """A finding in short, with the number of traces that its rule holds in."""
        check = candidate.check
        holds_in = len(self._context.rules.matches(check)) if check.has_rule else None
        return {
            "id": candidate.id,
            "title": candidate.title,
            "failure_mode": candidate.failure_mode,
            "check": str(check),
            "holds_in": holds_in,
            "cites": [self._context.short_ids.name(trace_id) for trace_id in candidate.trace_ids],
            **({"draft": True} if candidate.is_draft else {}),
        }

    def adopt(
        self, found: Notebook, drafts: Sequence[Candidate] = ()
    ) -> tuple[list[Candidate], list[str]]:
        """Take what another investigation ``found``: it was given ``drafts``, and brings them back.

        They keep their ids, by which notes name them; other findings are added under new ones.
        Returns the findings as they are then, and why others were left out.
        """
        given = {draft.id for draft in drafts}
        kept = {c.id: c for c in found.candidates if c.id in given}
        adopted = list(kept.values())
        left_out: list[str] = []
        self._update(
            candidates=tuple(
                kept.get(c.id, c)
                for c in self.notebook.candidates
                if c.id in kept or c.id not in given
            ),
            dropped=(*self.notebook.dropped, *found.dropped),
            refused=self.notebook.refused + found.refused,
            quotes_not_found=self.notebook.quotes_not_found + found.quotes_not_found,
        )
        for candidate in found.candidates:
            if candidate.id in given:
                continue
            if problem := self._problem_of_adopting(candidate):
                left_out.append(f"{candidate.title}: {problem}")
                continue
            adopted.append(candidate.model_copy(update={"id": self.notebook.next_id}))
            self.notebook = self.notebook.with_finding(adopted[-1])
        for failure in found.failures:
            self.add_failure(failure)
        return adopted, left_out

    def _problem_of_adopting(self, candidate: Candidate) -> str | None:
        """Why a finding of another investigation cannot be added, if it cannot."""
        candidates = self.notebook.candidates
        twin = twin_of(candidate, candidates)
        if twin:
            return f"{twin.id} has the same evidence"
        if len(candidates) >= MAX_CANDIDATES:
            return f"{MAX_CANDIDATES} findings are the most there can be: {NO_ROOM}"
        return None

    def drop(self, id: str, reason: str) -> None:
        """Withdraw the finding called ``id``; raises ``HostError`` if there is none."""
        found = self.finding_of(id)
        rejected = RejectedFinding(title=found.title, reason=safe_text(reason, NOTE_CHARS))
        self._update(
            candidates=tuple(c for c in self.notebook.candidates if c is not found),
            dropped=(*self.notebook.dropped, rejected),
        )

    def count_investigations(self, number: int) -> None:
        """Count investigations that were given out."""
        self._update(investigations=self.notebook.investigations + number)

    def replace(self, candidate: Candidate) -> None:
        """Put ``candidate`` in the place of the one with its id."""
        same = (candidate if c.id == candidate.id else c for c in self.notebook.candidates)
        self._update(candidates=tuple(same))

    def finding_of(self, id: str) -> Candidate:
        """The finding called ``id``; raises ``HostError`` if there is none."""
        found = next((c for c in self.notebook.candidates if c.id == id), None)
        if found is None:
            raise HostError(f"There is no finding {id!r}: findings() lists them.")
        return found

    def finish(self, summary: Text = "") -> None:
        """End the analysis; raises ``HostError`` if a submission of this step was refused."""
        if self._refused_in_step and not self._is_last_step:
            raise HostError(
                f"{self._refused_in_step} of the findings submitted in this step were refused, so "
                f"this is not the end: mend or drop them, and call finish() in another step."
            )
        self._update(summary=safe_text(summary, SUMMARY_CHARS))

    def _update(self, **changes: Any) -> None:
        self.notebook = self.notebook.model_copy(update=changes)
