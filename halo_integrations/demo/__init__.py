"""A day at the service desk of a make-believe shop, with faults planted in it.

``run_conversations`` lets a scripted agent, traced with the real OpenInference libraries, send its
traces to a Phoenix server; ``compare`` says what of the planted faults an analysis found.
"""

from __future__ import annotations

from halo_integrations.demo.sending import DEFAULT_COUNT, run_conversations
from halo_integrations.demo.truth import Match, Planted, PlantedFault, compare

__all__ = [
    "DEFAULT_COUNT",
    "Match",
    "Planted",
    "PlantedFault",
    "compare",
    "run_conversations",
]
