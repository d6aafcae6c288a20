"""The steps of a run over its folder: pull, analyze, annotate, follow up, undo. They print nothing.

Each step leaves on disk what it did before it goes on, so that it can be cut off at any point and
called again.
"""

from halo_integrations.pipeline.analyze import Link, analyze, estimate
from halo_integrations.pipeline.annotate import Annotated, annotate, planned
from halo_integrations.pipeline.follow_up import FollowedUp, follow_up, planned_follow_ups
from halo_integrations.pipeline.progress import OnProgress, Progress, silent
from halo_integrations.pipeline.pull import pull
from halo_integrations.pipeline.undo import Undone, undo

__all__ = [
    "Annotated",
    "FollowedUp",
    "Link",
    "OnProgress",
    "Progress",
    "Undone",
    "analyze",
    "annotate",
    "estimate",
    "follow_up",
    "planned",
    "planned_follow_ups",
    "pull",
    "silent",
    "undo",
]
