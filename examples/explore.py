"""A notebook: pull traces, query the store, analyse, and read the evidence.

Run it cell by cell in an editor that supports ``# %%``, or run it: python explore.py traces.jsonl
"""

# %%
from __future__ import annotations

import sys

import halo_integrations as halo

SOURCE = sys.argv[1] if len(sys.argv) > 1 else "phoenix"

# %% Read once; everything below works on the local copy.
pulled = halo.pull(SOURCE)
print(f"{pulled.traces} traces, {pulled.spans} spans in {pulled.folder}")

# %% Query the store: an overview, the longest traces, and where a word occurs.
with halo.TraceStore(pulled.folder / "traces", read_only=True) as store:
    print(store.overview())
    for summary in store.find(order="spans", limit=3):
        print(summary.trace_id, summary.spans, "spans", summary.errors, "errors")
    for hit in store.search("error", limit=3):
        print(hit.trace_id, hit.field, hit.snippet)
    print(store.sql("SELECT tool_name, count(*) AS calls FROM spans GROUP BY ALL ORDER BY ALL"))

# %% Analyse: every finding has evidence.
report = halo.analyze(pulled.run_id)
for finding in report.findings:
    print(finding.severity.value, finding.title, "-", finding.prevalence)
    for evidence in finding.evidence[:2]:
        print("   ", evidence.trace_id, evidence.field, repr(evidence.quote))

# %% Traces that a detector could not judge, and why: they do not count as free of failures.
for note in report.not_judged:
    print(f"{note.detector} could not judge {note.traces} traces: {note.reason}")
