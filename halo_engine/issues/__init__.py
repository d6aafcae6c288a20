"""Known issues: failures that live over many runs, with what was seen of them and decided."""

from halo_engine.issues.changes import IssueChanges, changes_by
from halo_engine.issues.issue import Decision, Issue
from halo_engine.issues.states import IssueStatus, Observation, status_of
from halo_engine.issues.verdicts import PersonVerdict

__all__ = [
    "Decision",
    "Issue",
    "IssueChanges",
    "IssueStatus",
    "Observation",
    "PersonVerdict",
    "changes_by",
    "status_of",
]
