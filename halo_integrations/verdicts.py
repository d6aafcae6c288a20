"""What people say on the platform of the marks that the runs of a home wrote.

A person's annotation says something of a mark if it is on the same span under the same name, or under
``VERDICT`` on the same span or on the trace as a whole; and a mark of ours says it whose label
somebody changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from halo_adapters.base import (
    VERDICT,
    VERDICTS_WITHIN,
    Annotation,
    AnnotationKey,
    PersonsAnnotation,
    Source,
    VerdictReader,
)
from halo_engine.errors import AdapterError
from halo_engine.findings import Severity
from halo_engine.issues import PersonVerdict
from halo_integrations.context import Context
from halo_integrations.options.callbacks import Notice
from halo_integrations.provenance import DIGEST, FINGERPRINT, digest_of
from halo_integrations.report_annotations import CONFIRMED, NOT_A_FAILURE
from halo_integrations.state.home import Runs, record_or_none
from halo_integrations.state.issues import Issues, JudgedMark
from halo_integrations.state.run import Run
from halo_integrations.state.values import MAY_BE_STORED, ReceiptState

REFUSING = frozenset({NOT_A_FAILURE, "wrong", "incorrect", "false_positive", "false", "no"})
CONFIRMING = frozenset({*Severity, CONFIRMED, "right", "correct", "true_positive", "true", "yes"})
# Of the newest marks so many are asked about.
MOST_MARKS = 2000
UNREAD = "What people say of earlier marks could not be read, and is at the next run: {error}"


def read_verdicts(context: Context, run: Run, source: Source) -> None:
    """Record in the home what people say of the marks of earlier runs over the same source."""
    if not isinstance(source, VerdictReader):
        return
    issues = Issues(run.home)
    marks = list(islice(marked_issues(context.runs, issues, run), MOST_MARKS))
    if not marks:
        return
    annotations = [annotation for annotation, _ in marks]
    try:
        said = source.verdicts(annotations)
        stored = source.fetch_annotations(annotations)
    except AdapterError as error:
        context.on_notice(Notice(text=UNREAD.format(error=error), is_warning=True))
        return
    changed = zip(annotations, stored, strict=True)
    said += [as_said(now) for mark, now in changed if now and is_changed(mark, now)]
    issues.put_verdicts(judged_marks(marks, said, datetime.now(UTC)))


def marked_issues(runs: Runs, issues: Issues, run: Run) -> Iterator[tuple[Annotation, str]]:
    """The marks of findings of the latest runs, newest first, each with the id of its issue."""
    project_of = issues.projects_of_runs()
    issue_of = {(i.project, i.finding.fingerprint): i.id for i in issues.all()}
    seen: set[AnnotationKey] = set()
    for other in runs_like(runs, run):
        marks = other.receipts({*MAY_BE_STORED, ReceiptState.KEPT})
        for key, receipt in marks.items():
            subject = (project_of.get(other.id), receipt.annotation.metadata.get(FINGERPRINT))
            if key not in seen and subject in issue_of:
                seen.add(key)
                yield receipt.annotation, issue_of[subject]


def runs_like(runs: Runs, run: Run) -> Iterator[Run]:
    """The other runs of late over the same source as ``run``, newest first."""
    own = run.record
    since = own.created_at - VERDICTS_WITHIN
    for other in runs.all():
        record = record_or_none(other)
        if record is None or other.id == run.id:
            continue
        if record.created_at < since:
            return
        same = record.request.get("location") == own.request.get("location")
        if same and record.source == own.source:
            yield other


def judged_marks(
    marks: Iterable[tuple[Annotation, str]], said: Sequence[PersonsAnnotation], now: datetime
) -> list[JudgedMark]:
    """What is said of each mark."""
    by_trace: dict[str, list[PersonsAnnotation]] = {}
    for word in said:
        by_trace.setdefault(word.trace_id, []).append(word)
    return [
        JudgedMark(
            issue_id,
            mark.trace_id,
            mark.span_id,
            {
                word.id: PersonVerdict(
                    trace_id=mark.trace_id,
                    span_id=mark.span_id,
                    confirms=confirms,
                    by=word.by,
                    at=word.at or now,
                )
                for word in by_trace.get(mark.trace_id, ())
                if is_about(word, mark) and (confirms := confirmation_in(word)) is not None
            },
        )
        for mark, issue_id in marks
    ]


def is_about(word: PersonsAnnotation, mark: Annotation) -> bool:
    """Whether what a person put on the trace of ``mark`` says something of it."""
    if word.name == VERDICT:
        return word.span_id in (None, mark.span_id)
    return word.name == mark.name and word.span_id == mark.span_id


def confirmation_in(word: PersonsAnnotation) -> bool | None:
    """Whether a person confirms a mark; None where the words say neither.

    Without a label 1 confirms and 0 refuses.
    """
    label = (word.label or "").strip().lower().replace(" ", "_").replace("-", "_")
    if label in REFUSING or (not label and word.score == 0):
        return False
    return True if label in CONFIRMING or (not label and word.score == 1) else None


def is_changed(mark: Annotation, stored: Annotation) -> bool:
    """Whether somebody gave another label or score to what a run wrote as ``mark``.

    Not so where another run did: it says so in a digest.
    """
    is_other = (stored.label, stored.score) != (mark.label, mark.score)
    return is_other and stored.metadata.get(DIGEST) != digest_of(stored)


def as_said(stored: Annotation) -> PersonsAnnotation:
    """A mark that somebody changed, as what they say: who and when is not known."""
    return PersonsAnnotation(
        id=f"changed {stored.identifier}",
        name=stored.name,
        trace_id=stored.trace_id,
        span_id=stored.span_id,
        label=stored.label,
        score=stored.score,
    )
