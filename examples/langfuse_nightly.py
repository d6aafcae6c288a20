"""A nightly job: analyse the new traces of a Langfuse project, score them, and queue them for review.

    LANGFUSE_BASE_URL=https://langfuse.example.com LANGFUSE_PUBLIC_KEY=pk-lf-... \
    LANGFUSE_SECRET_KEY=sk-lf-... python langfuse_nightly.py "halo review"

Run it from cron or a CI pipeline. The affected traces go into the annotation queue that is named.
It exits with 1 when something at least ``high`` was found.
"""

from __future__ import annotations

import sys

import halo_integrations as halo


def main(queue: str) -> int:
    # "last": since the last pull of the same project; the first run reads the newest 1,000.
    result = halo.run("langfuse", since="last", annotate=True, queue=queue)
    for finding in result.report.findings:
        print(f"{finding.severity.value:8} {finding.title} - {finding.prevalence}")
    if result.annotated:
        print(f"{result.annotated.confirmed} of {result.annotated.total} scores written")
        print(f"to undo: halo-integrations undo {result.run_id}")
    bad = [f for f in result.report.findings if f.severity.at_least(halo.Severity.HIGH)]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
