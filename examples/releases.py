"""Two exports of traces, before and after a release: what got worse, and what is known of it.

Run it: python releases.py before.jsonl after.jsonl
"""

from __future__ import annotations

import sys

import halo_integrations as halo

PROJECT = "shop"


def main(before: str, after: str) -> int:
    # Each run says of its findings which known issue they are; a name joins the two files.
    base = halo.run(before, issue_project=PROJECT, no_llm=True)
    head = halo.run(after, issue_project=PROJECT, no_llm=True)

    compared = halo.compare(base.run_id, head.run_id)
    for each in compared.issues:
        change = each.difference
        print(
            f"{each.verdict}: {each.finding.title}, {each.base.share:.1%} -> {each.head.share:.1%} "
            f"(95 %: {change.low:+.1%} to {change.high:+.1%})"
        )
        if change.needed:
            print(f"    to tell it apart takes about {change.needed:,} traces a side")

    for issue in halo.issues(issue_project=PROJECT):
        print(issue.id, issue.status.state, issue.finding.title)
    return 1 if compared.regressions() else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
