"""What one run changed in the state of issues."""

from __future__ import annotations

from collections.abc import Iterable

from halo_engine.findings import IssueState
from halo_engine.issues.issue import Issue
from halo_engine.issues.states import status_of
from halo_engine.schema import FrozenModel


class IssueChanges(FrozenModel):
    """The issues that a run found first, found more often, found again, or no longer found.

    ``ongoing`` are those that it saw as before.
    """

    new: tuple[Issue, ...] = ()
    worse: tuple[Issue, ...] = ()
    regressed: tuple[Issue, ...] = ()
    resolved: tuple[Issue, ...] = ()
    ongoing: tuple[Issue, ...] = ()


def changes_by(run_id: str, issues: Iterable[Issue]) -> IssueChanges:
    """What the run changed, which is the last one that looked for ``issues``."""
    by_state: dict[IssueState, list[Issue]] = {state: [] for state in IssueState}
    for issue in issues:
        if state := state_made(run_id, issue):
            by_state[state].append(issue)
    return IssueChanges(**{state.value: tuple(found) for state, found in by_state.items()})


def state_made(run_id: str, issue: Issue) -> IssueState | None:
    """The state that the run gave to ``issue``; None where it saw nothing that changes anything."""
    seen = next((o for o in issue.observations if o.run_id == run_id), None)
    if seen is None:
        return None
    state = issue.status.state
    if seen.affected:
        return state
    before = status_of(o for o in issue.observations if o.run_id != run_id)
    return state if state is IssueState.RESOLVED and before.state is not state else None
