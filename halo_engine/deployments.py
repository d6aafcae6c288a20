"""Under which names instrumentations record what ran: its release, and where."""

from __future__ import annotations

# Attributes of a resource or of a span, the most specific first.
RELEASE_NAMES = (
    *("service.version", "langfuse.trace.release", "langfuse.release", "release", "app.version"),
)
ENVIRONMENT_NAMES = (
    *("deployment.environment.name", "deployment.environment", "langfuse.trace.environment"),
    *("langfuse.environment", "environment"),
)
