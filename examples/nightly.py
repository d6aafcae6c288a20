"""A nightly job: analyse the new traces of a Phoenix project, and annotate what is found.

    PHOENIX_BASE_URL=https://phoenix.example.com PHOENIX_API_KEY=... python nightly.py shop

Run it from cron or a CI pipeline. It exits with 1 when something at least ``high`` was found.
"""

from __future__ import annotations

import sys

import halo_integrations as halo


def main(project: str) -> int:
    # "last": since the last pull of the same project; the first run reads the newest 1,000.
    result = halo.run("phoenix", project=project, since="last", annotate=True)
    for finding in result.report.findings:
        print(f"{finding.severity.value:8} {finding.title} - {finding.prevalence}")
    if result.annotated:
        print(f"{result.annotated.confirmed} of {result.annotated.total} annotations written")
        print(f"to undo: halo-integrations undo {result.run_id}")
    bad = [f for f in result.report.findings if f.severity.at_least(halo.Severity.HIGH)]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
