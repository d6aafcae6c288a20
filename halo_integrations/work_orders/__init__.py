"""Work orders: everything that a person or a coding agent needs to mend the issues of one cause."""

from halo_integrations.work_orders.brief import (
    Brief,
    CaseInput,
    Expected,
    OtherIssue,
    Proof,
    QuotedTrace,
    SameCause,
    StepFacts,
)

__all__ = [
    "Brief",
    "CaseInput",
    "Expected",
    "OtherIssue",
    "Proof",
    "QuotedTrace",
    "SameCause",
    "StepFacts",
]
