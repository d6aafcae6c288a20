"""The known issues of a home, with what runs saw of them and what people decided."""

from __future__ import annotations

import difflib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypeVar

from halo_engine.errors import ConfigError
from halo_engine.findings import Finding
from halo_engine.issues import Decision, Issue, Observation, PersonVerdict
from halo_engine.schema import FrozenModel
from halo_integrations.state.home import HomeFile
from halo_integrations.state.watermarks import text_of

T = TypeVar("T", bound=FrozenModel)

PREFIX = "HALO-"
# Of what a finding affects, an issue keeps the first; the rest is in the report of its run.
KEPT_AFFECTED = 20
NAMED_ISSUES = 3
# The traces of a run stay known when its folder is gone, in as little room as tells them apart.
DIGEST_BYTES = 8
# Issues by project and number, and what belongs to them.
ISSUES = """
SELECT number, project, created_at, run_id, finding FROM issues
WHERE coalesce(project = :project, TRUE) AND coalesce(number = :number, TRUE) ORDER BY number
"""
OBSERVATIONS = """
SELECT issue, observation FROM observations JOIN issues ON number = issue
WHERE coalesce(project = :project, TRUE) AND coalesce(number = :number, TRUE)
ORDER BY observations.at, observations.run_id
"""
DECISIONS = """
SELECT issue, decision FROM decisions JOIN issues ON number = issue
WHERE coalesce(project = :project, TRUE) AND coalesce(number = :number, TRUE) ORDER BY decisions.id
"""
VERDICTS = """
SELECT issue, verdict FROM verdicts JOIN issues ON number = issue
WHERE coalesce(project = :project, TRUE) AND coalesce(number = :number, TRUE)
ORDER BY verdicts.at, verdicts.id
"""
# It keeps its row, and so its place among the runs.
PUT_TRACKED_RUN = """
INSERT INTO tracked_runs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET
    project = excluded.project, at = excluded.at, first = excluded.first, last = excluded.last,
    traces = excluded.traces
"""

# The starts of the earliest and of the latest span; None where there are no traces.
Window = tuple[datetime, datetime] | None


class TrackedRun(NamedTuple):
    """A run, begun ``at``, and the ids of its ``traces``, which are of the time ``window``."""

    project: str
    run_id: str
    at: datetime
    window: Window
    traces: Set[str] = frozenset()


class SeenIssue(NamedTuple):
    """What a run saw of an issue: of a known one by its ``id``, or of a new one.

    ``finding`` is None where it was not found, ``observation`` where nothing new was judged.
    """

    id: str | None
    finding: Finding | None
    observation: Observation | None


class JudgedMark(NamedTuple):
    """A mark of an issue, and the verdicts of people on it by their ids on the platform."""

    issue_id: str
    trace_id: str
    span_id: str | None
    verdicts: Mapping[str, PersonVerdict]


class Issues:
    """The issues of all projects below ``home``."""

    def __init__(self, home: Path) -> None:
        self._file = HomeFile(home)

    def all(self, project: str | None = None) -> list[Issue]:
        """The issues of ``project`` (None: of all), the oldest first."""
        with self._file.reading() as db:
            return issues_in(db, project)

    def get(self, issue_id: str) -> Issue:
        """The issue called ``issue_id``; ``ConfigError`` where there is none."""
        wanted = issue_id.upper()
        with self._file.reading() as db:
            known = [f"{PREFIX}{n}" for (n,) in db.execute("SELECT number FROM issues")]
            for name in {wanted, f"{PREFIX}{wanted}"}.intersection(known):
                return issues_in(db, number=issue_number(name))[0]
        close = difflib.get_close_matches(wanted, known, n=NAMED_ISSUES) or known
        names = ", ".join(close[:NAMED_ISSUES]) or "none yet: `run` finds them"
        raise ConfigError(f"There is no issue {issue_id!r}. Known issues: {names}.")

    def project_of_run(self, run_id: str) -> str | None:
        """The project that a run was tracked for; None where it was not."""
        query = "SELECT project FROM tracked_runs WHERE run_id = ?"
        with self._file.reading() as db:
            row = db.execute(query, [run_id]).fetchone()
        return str(row[0]) if row else None

    def runs_with(
        self, project: str, traces: Set[str], window: Window
    ) -> dict[str, frozenset[str]]:
        """The tracked runs of ``project``, as they were analysed, and which of ``traces`` each had.

        Those with traces of the time ``window``. Of traces without times it is not known that they
        are of another time.
        """
        query = (
            "SELECT run_id, traces FROM tracked_runs WHERE project = :project AND "
            "coalesce(first <= :last AND last >= :first, TRUE) ORDER BY rowid"
        )
        first, last = map(text_of, window) if window else (None, None)
        values = {"project": project, "first": first, "last": last}
        by_digest = {trace_digest(trace_id): trace_id for trace_id in traces}
        with self._file.reading() as db:
            return {
                run_id: frozenset(by_digest[d] for d in digests_in(packed) if d in by_digest)
                for run_id, packed in db.execute(query, values)
            }

    def record(self, tracked: TrackedRun, seen: Sequence[SeenIssue]) -> list[Issue]:
        """Record what a run saw, in the place of what an earlier analysis of it did.

        Runs keep the place that they have by their first analysis: it tells whose traces were new.

        Returns the issue of each of ``seen``, in their order.
        """
        project, run_id, at = tracked.project, tracked.run_id, tracked.at
        numbers: list[int] = []
        with self._file.writing() as db:
            forget_run(db, run_id)
            for each in seen:
                number = issue_number(each.id) if each.id else None
                if each.finding or number is None:
                    assert each.finding is not None
                    number = put_finding(db, project, run_id, at, each.finding, number)
                if each.observation:
                    row = [number, run_id, text_of(at), each.observation.model_dump_json()]
                    db.execute("INSERT INTO observations VALUES (?, ?, ?, ?)", row)
                numbers.append(number)
            db.execute(
                "DELETE FROM issues WHERE run_id = ? AND number NOT IN "
                "(SELECT issue FROM observations UNION SELECT issue FROM decisions)",
                [run_id],
            )
            window = map(text_of, tracked.window) if tracked.window else (None, None)
            packed = b"".join(map(trace_digest, tracked.traces))
            row = [run_id, project, text_of(at), *window, packed]
            db.execute(PUT_TRACKED_RUN, row)
            found = {issue.id: issue for issue in issues_in(db, project)}
        return [found[f"{PREFIX}{number}"] for number in numbers]

    def projects_of_runs(self) -> dict[str, str]:
        """The project whose issues each run is of, by its id."""
        with self._file.reading() as db:
            return dict(db.execute("SELECT run_id, project FROM tracked_runs").fetchall())

    def put_verdicts(self, judged: Sequence[JudgedMark]) -> None:
        """Record what people say of marks, in the place of what they said there before.

        What is said as before keeps its time.
        """
        with self._file.writing() as db:
            known = dict(db.execute("SELECT issue || ' ' || id, verdict FROM verdicts").fetchall())
            for mark in judged:
                number = issue_number(mark.issue_id)
                db.execute(
                    "DELETE FROM verdicts WHERE issue = ? AND trace_id = ? AND span_id = ?",
                    [number, mark.trace_id, mark.span_id or ""],
                )
            db.executemany(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)",
                [row for mark in judged for row in verdict_rows(mark, known)],
            )

    def decide(self, issue_id: str, decision: Decision) -> Issue:
        """Record a decision about an issue; ``ConfigError`` where there is none of this name."""
        issue = self.get(issue_id)
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO decisions (issue, decision) VALUES (?, ?)",
                [issue.number, decision.model_dump_json()],
            )
        return self.get(issue.id)


def verdict_rows(mark: JudgedMark, known: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    """The rows of the verdicts on ``mark``; ``known`` are those before, by issue and id."""
    number = issue_number(mark.issue_id)
    for id, said in mark.verdicts.items():
        before = known.get(f"{number} {id}")
        old = PersonVerdict.model_validate_json(before) if before else said
        kept = old if old.confirms is said.confirms else said
        place = mark.trace_id, mark.span_id or ""
        yield id, number, *place, text_of(kept.at), kept.model_dump_json()


def trace_digest(trace_id: str) -> bytes:
    """What stands for a trace: of a billion of them, hardly two have the same."""
    return blake2b(trace_id.encode(), digest_size=DIGEST_BYTES).digest()


def digests_in(packed: bytes) -> Iterator[bytes]:
    """The digests of the traces of a run."""
    return (packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES))


def issue_number(issue_id: str) -> int:
    """The number in the id of an issue."""
    return int(issue_id.removeprefix(PREFIX))


def forget_run(db: sqlite3.Connection, run_id: str) -> None:
    """Remove what an earlier analysis of a run saw, also of the issues of another project."""
    db.execute("DELETE FROM observations WHERE run_id = ?", [run_id])


def put_finding(
    db: sqlite3.Connection,
    project: str,
    run_id: str,
    at: datetime,
    finding: Finding,
    number: int | None,
) -> int:
    """Store what was found of the issue with this number (None: of a new one); returns it."""
    changes = {"affected": finding.affected[:KEPT_AFFECTED], "issue": None, "people": None}
    kept = finding.model_copy(update=changes).model_dump_json()
    if number is None:
        row = [project, text_of(at), run_id, kept]
        query = "INSERT INTO issues (project, created_at, run_id, finding) VALUES (?, ?, ?, ?)"
        return int(db.execute(query, row).lastrowid or 0)
    # A later run may have found it, too, and this be another analysis of an earlier one.
    query = (
        "UPDATE issues SET run_id = ?, finding = ? WHERE number = ? AND NOT EXISTS "
        "(SELECT 1 FROM tracked_runs t WHERE t.run_id = issues.run_id AND t.at > ?)"
    )
    db.execute(query, [run_id, kept, number, text_of(at)])
    return number


def issues_in(
    db: sqlite3.Connection, project: str | None = None, number: int | None = None
) -> list[Issue]:
    """The issues of ``project`` with this ``number`` (None: of any), the oldest first."""
    chosen = {"project": project, "number": number}
    observations = rows_by_issue(db.execute(OBSERVATIONS, chosen), Observation)
    decisions = rows_by_issue(db.execute(DECISIONS, chosen), Decision)
    verdicts = rows_by_issue(db.execute(VERDICTS, chosen), PersonVerdict)
    return [
        Issue(
            id=f"{PREFIX}{number}",
            project=of_project,
            created_at=datetime.fromisoformat(created_at),
            run_id=run_id,
            finding=Finding.model_validate_json(finding),
            observations=observations.get(number, ()),
            decisions=decisions.get(number, ()),
            verdicts=verdicts.get(number, ()),
        )
        for number, of_project, created_at, run_id, finding in db.execute(ISSUES, chosen)
    ]


def rows_by_issue(rows: Iterable[tuple[int, str]], model: type[T]) -> Mapping[int, Sequence[T]]:
    """The rows as values, by the number of their issue, in their order."""
    found: dict[int, list[T]] = defaultdict(list)
    for number, text in rows:
        found[number].append(model.model_validate_json(text))
    return found
