"""The exit codes, what each means, and which one a command with several reasons gives."""

from __future__ import annotations

from collections.abc import Iterable

OK, FOUND, USAGE, PARTIAL, SPENT = 0, 1, 2, 3, 4
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FOUND: "a failure of the agent at or above --fail-on was found",
    USAGE: "usage or configuration; nothing was done",
    PARTIAL: "something failed or was not written (it is listed)",
    SPENT: "the budget was spent before the end of the analysis, or passed by a bill",
    INTERRUPTED: "stopped by Ctrl-C or SIGTERM",
}

# A job that tests for 1 must not pass a severe finding because one record was unreadable.
PRECEDENCE = (FOUND, SPENT, PARTIAL, OK)


def most_important(codes: Iterable[int]) -> int:
    """The exit code of a command that has these reasons to end with one; OK where it has none."""
    given = set(codes)
    return next((code for code in PRECEDENCE if code in given), OK)
