"""What you need to test your own detectors, adapters and scripts.

``agent``, ``llm``, ``tool`` and their kin make traces by hand (see ``builders``);
``ScriptedModel`` answers chats as you say, ``ScriptedSandbox`` runs nothing;
``ScriptedPlatform`` is a platform in memory with faults on demand; ``conformance`` holds the tests
that every adapter must pass.
"""

from halo_integrations.testing.builders import (
    agent,
    at,
    call,
    declared,
    exception,
    failed,
    llm,
    message,
    passed,
    retriever,
    span,
    tool,
    trace,
)
from halo_integrations.testing.models import ScriptedModel, ScriptedSandbox
from halo_integrations.testing.scripted import ScriptedPlatform

__all__ = [
    "ScriptedModel",
    "ScriptedPlatform",
    "ScriptedSandbox",
    "agent",
    "at",
    "call",
    "declared",
    "exception",
    "failed",
    "llm",
    "message",
    "passed",
    "retriever",
    "span",
    "tool",
    "trace",
]
