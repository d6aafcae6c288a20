"""Traces of a scripted service agent with planted faults, as ground truth for an analysis.

``run_conversations`` runs the agent, traced with the real OpenInference libraries, and sends its
traces to a Phoenix server; ``compare_with_truth`` says which planted faults an analysis found.
"""

from __future__ import annotations

from halo_integrations.demo.sending import DEFAULT_COUNT, run_conversations
from halo_integrations.demo.truth import Match, Planted, PlantedFault, compare_with_truth

__all__ = [
    "DEFAULT_COUNT",
    "Match",
    "Planted",
    "PlantedFault",
    "compare_with_truth",
    "run_conversations",
]
