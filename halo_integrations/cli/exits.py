"""The exit codes."""

OK, FOUND, USAGE, PARTIAL = 0, 1, 2, 3
INTERRUPTED = 130
