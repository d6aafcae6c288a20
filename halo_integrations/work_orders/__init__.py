"""Work orders: everything that a person or a coding agent needs to mend one known issue."""

from halo_integrations.work_orders.brief import Brief, CaseInput, OtherIssue, Proof, QuotedTrace

__all__ = ["Brief", "CaseInput", "OtherIssue", "Proof", "QuotedTrace"]
