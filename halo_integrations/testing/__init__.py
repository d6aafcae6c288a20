"""Builders, fakes and conformance tests for your own detectors, adapters and scripts.

``agent``, ``llm``, ``tool`` and the other builders make traces (see ``builders``);
``ScriptedModel`` gives scripted answers, ``ScriptedSandbox`` runs no code; ``ScriptedPlatform`` is a
platform in memory with faults on demand; ``conformance`` holds the tests that every adapter must
pass.
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
