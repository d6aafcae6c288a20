"""The spans of Microsoft's Agent Framework that OpenTelemetry GenAI has no operation for.

Its agents, model calls and tools are written by the conventions; its workflows are steps.
"""

from __future__ import annotations

from typing import Any

from halo_adapters.dialects.base import Dialect, SpanField
from halo_engine.schema import SpanKind

# Each is on one kind of step: the workflow, its building, a node, an edge, a message.
STEPS = (
    "workflow.id",
    "workflow_builder.name",
    "executor.id",
    "edge_group.type",
    "message.source_id",
)


def read_step(value: Any) -> SpanKind:
    """The kind of any step of a workflow."""
    return SpanKind.CHAIN


class AgentFramework(Dialect):
    """Workflows of the Agent Framework."""

    name = "agent_framework"
    rank = 210
    fields = (SpanField("kind", read_step, STEPS),)
