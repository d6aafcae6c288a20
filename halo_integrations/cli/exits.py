"""The exit codes."""

OK, FOUND, USAGE, PARTIAL, SPENT = 0, 1, 2, 3, 4
INTERRUPTED = 130
