"""What the runs of this home wrote, to tell it from what people made of it since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from typing import NamedTuple

from halo_adapters.base import VERDICT, Annotation, AnnotationKey
from halo_integrations.provenance import (
    DIGEST,
    FOUND_BY,
    RULE,
    SUMMARY,
    digest_of,
    subject_of,
    writer_of,
)
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import (
    AWAITING_DELETION,
    MAY_BE_STORED,
    FollowUpState,
    Receipt,
    Step,
)

Receipts = Mapping[AnnotationKey, Receipt]


class Judged(NamedTuple):
    """What a run has judged, so that what it does not find there does not hold: ``by``, in which."""

    by: Set[str] = frozenset()
    trace_ids: Set[str] = frozenset()

    def contradicts(self, mark: Annotation, found_in: Set[str]) -> bool:
        """Whether ``mark`` should have been found again; something was in the traces ``found_in``.

        A summary that a model had a part in does not depend on the detectors alone.
        """
        if mark.trace_id not in self.trace_ids:
            return False
        if mark.name == SUMMARY:
            return mark.annotator_kind == RULE and mark.trace_id not in found_in
        return mark.metadata.get(FOUND_BY) in self.by


class WriteHistory:
    """The receipts of ``run`` and of the other runs of its home, each read at first use."""

    def __init__(self, run: Run) -> None:
        self.run = run
        runs = Runs(run.home)
        readable = [other for other, _ in runs.readable()]
        self._others = {other.id: other for other in readable if other.id != run.id}
        self._receipts: dict[str, Receipts] = {}
        self._digests: dict[str, Mapping[AnnotationKey, Set[str]]] = {}
        # Runs whose file is damaged, or of a newer version.
        self.unreadable = sorted({other.id for other in runs.all()} - {o.id for o in readable})

    # -- authors ---------------------------------------------------------------------------------

    def is_as_written(self, key: AnnotationKey, stored: Annotation) -> bool:
        """Whether the annotation stored under ``key`` is what one of our runs wrote there.

        A person who corrects it changes its label, score or explanation; what a platform keeps
        beside them can stay. It is compared with the receipts of the run that it names, or, where
        that run is not in this home, with the digest that the run put into it.
        """
        writer = writer_of(stored)
        if writer is None:
            return False
        written = self._written_by(writer).get(key)
        if written is None:
            digest = stored.metadata.get(DIGEST)
            written = {digest} if digest else {digest_of(stored)}
        return digest_of(stored) in written

    def _written_by(self, run_id: str) -> Mapping[AnnotationKey, Set[str]]:
        """The digests of all that the run wrote or planned to write, by identity."""
        if run_id not in self._digests:
            found: dict[AnnotationKey, set[str]] = defaultdict(set)
            run = self._run_called(run_id)
            for annotation in run.written() if run else ():
                found[annotation.key].add(digest_of(annotation))
            self._digests[run_id] = found
        return self._digests[run_id]

    def _run_called(self, run_id: str) -> Run | None:
        return self.run if run_id == self.run.id else self._others.get(run_id)

    # -- earlier values --------------------------------------------------------------------------

    def previous_value(self, receipt: Receipt) -> Annotation | None:
        """The value to restore: the previous one, unless the run that wrote it has undone it too.

        That is asked for each annotation, whatever else those runs did since.
        """
        previous, seen = receipt.previous, {self.run.id}
        while (writer := writer_of(previous)) in self._others and writer not in seen:
            earlier = self._receipts_of(writer).get(receipt.annotation.key)
            if earlier is None or not earlier.state.is_settled:
                return previous
            previous = earlier.previous
            seen.add(writer)
        return None if writer in seen else previous

    def earlier_marks(self, judged: Judged, annotations: Iterable[Annotation]) -> list[Annotation]:
        """What other runs wrote that no longer holds: ``annotations`` is all that ``judged`` found.

        That is a mark on the same subject at another place, such as the root cause of a trace that
        is found at another span now; a mark of a detector that has judged its trace again; and the
        summary of a trace in which nothing is found any more.
        """
        planned = list(annotations)
        found_in = {a.trace_id for a in planned}
        subjects, keys = {subject_of(a) for a in planned}, {a.key for a in planned}
        found: dict[AnnotationKey, Annotation] = {}
        for other in self._others.values():
            marks = other.receipts(MAY_BE_STORED, judged.trace_ids | found_in)
            for key, receipt in marks.items():
                mark = receipt.annotation
                is_contradicted = judged.contradicts(mark, found_in) or subject_of(mark) in subjects
                if is_contradicted and key not in keys:
                    found[key] = mark
        return list(found.values())

    def is_being_deleted(self, stored: Annotation) -> bool:
        """Whether one of these runs has the platform delete what is stored there.

        Until that is done, a value that is written over it would be deleted in its place.
        """
        writer = writer_of(stored)
        if writer != self.run.id and writer not in self._others:
            return False
        written = self._receipts_of(writer).get(stored.key)
        return any(
            writer_of(receipt.annotation) == writer
            and (written is None or written.at <= receipt.at)
            for receipt in self._awaited.get(stored.key, ())
        )

    @cached_property
    def _awaited(self) -> Mapping[AnnotationKey, Sequence[Receipt]]:
        """The deletions that the platform may not have done yet, by identity."""
        found: dict[AnnotationKey, list[Receipt]] = defaultdict(list)
        for run in (self.run, *self._others.values()):
            for key, receipt in run.receipts(AWAITING_DELETION).items():
                found[key].append(receipt)
        return found

    def _receipts_of(self, run_id: str) -> Receipts:
        if run_id not in self._receipts:
            run = self.run if run_id == self.run.id else self._others[run_id]
            self._receipts[run_id] = run.receipts()
        return self._receipts[run_id]

    def follow_ups_of_others(self) -> set[str]:
        """The keys of the follow-ups that other runs created and have not deleted."""
        return {
            receipt.follow_up.key
            for other in self._others.values()
            for receipt in other.follow_ups()
            if receipt.state is FollowUpState.MADE
        }

    # -- annotation names ------------------------------------------------------------------------

    def names_in_use(self) -> set[str]:
        """The annotation names under which something of these runs is, or may be, on the platform."""
        runs = (self.run, *self._others.values())
        names = {name for run in runs for name in run.names_in_use()}
        return {*names, VERDICT} if names else names  # people say of all that it is right, or not

    def undone(self) -> list[Run]:
        """The other runs of which everything is undone."""
        others = self._others.values()
        return [other for other in others if other.completed(Step.UNDO) and other.is_undone]
