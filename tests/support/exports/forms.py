"""The run in each form, by the name of a file in it."""

from __future__ import annotations

import gzip
from pathlib import Path

from exports.data_frames import columns, frame, frame_csv, frame_parquet, milliseconds, split
from exports.framing import (
    archive,
    delimited,
    document,
    lines,
    parquet,
    quoted_csv,
    with_texts,
    zstd,
)
from exports.langfuse import blob_rows, observations, trace_document
from exports.otlp_json import group, message, otlp_spans, with_base64_ids
from exports.platforms import (
    langsmith_runs,
    mlflow_spans,
    mlflow_trace,
    nested_runs,
    openai_agents_spans,
)
from exports.run import SPANS, TRACE, nano
from exports.span_objects import (
    any_agent,
    between_log_lines,
    phoenix_spans,
    python_console,
    spans,
)
from exports.tracers import (
    data_prepper_documents,
    elastic_documents,
    hits,
    jaeger,
    jaeger_documents,
    zipkin_spans,
)

NODE_CONSOLE = Path(__file__).parents[2] / "data" / "files" / "node_console.txt"
HALVES = (otlp_spans()[:4], otlp_spans()[4:])

FORMS: dict[str, bytes] = {
    "halo.jsonl": lines(spans()),
    "seconds.jsonl": lines(spans(lambda moment: nano(moment) // 10**9)),
    "seconds-as-text.jsonl": lines(spans(lambda moment: f"{nano(moment) / 10**9:.3f}")),
    "milliseconds.jsonl": lines(spans(milliseconds)),
    "microseconds.jsonl": lines(spans(lambda moment: nano(moment) // 10**3)),
    "nanoseconds.jsonl": lines(spans(nano)),
    "array-of-a-span-a-line.json": b"[\n" + b",\n".join(map(document, spans())) + b"\n]\n",
    "objects-without-line-feeds.json": b"".join(document(span, None) for span in spans()),
    "unindented.json": b"\n".join(document(span, 0) for span in spans()),
    "behind-words-of-a-log.log": b"".join(
        b"2026-01-01T00:00:00Z stdout F " + document(span, None) + b"\n" for span in spans()
    ),
    "numbers-as-ids.jsonl": lines(
        {
            **span,
            "trace_id": int(TRACE, 16),
            "span_id": int(span["span_id"], 16),
            "parent_span_id": int(span["parent_span_id"] or "0", 16),
        }
        for span in spans()
    ),
    "px-trace.json": document({"traceId": TRACE, "spans": phoenix_spans(), "duration": 9000}),
    "px-raw.json": document([{"traceId": TRACE, "spans": phoenix_spans()}], None),
    "phoenix-api.json": document({"data": phoenix_spans(), "next_cursor": None}, None),
    "frame-records.json": document(frame(), None),
    "frame-records-of-milliseconds.json": document(frame(milliseconds), None),
    "frame-columns.json": document(columns(frame(milliseconds), SPANS), None),
    "frame-columns-by-number.json": document(columns(frame(milliseconds), range(8)), None),
    "frame-index.json": document(dict(zip(SPANS, frame(), strict=True)), None),
    "frame-split.json": document(split(frame(milliseconds)), None),
    "frame-table.json": document({"schema": {"fields": []}, "data": frame()}, None),
    "frame.csv": frame_csv(),
    "frame.parquet": frame_parquet(),
    "python-console.json": python_console().encode(),
    "python-console.txt": between_log_lines(python_console()).encode(),
    "node-console.txt": NODE_CONSOLE.read_bytes(),
    "any-agent.json": document(any_agent()),
    "otlp.json": document({"resourceSpans": [group(otlp_spans())]}),
    "otlp.jsonl": lines({"resourceSpans": [group(half)]} for half in HALVES),
    "otlp.pb": message(group(otlp_spans())),
    "collector-proto": delimited(message(group(half)) for half in HALVES),
    "collector-proto-zstd": delimited(zstd(message(group(half))) for half in HALVES),
    "collector-json-zstd": delimited(
        zstd(document({"resourceSpans": [group(half)]}, None)) for half in HALVES
    ),
    "tempo-batches.json": document({"batches": [group(map(with_base64_ids, otlp_spans()))]}),
    "tempo-v2.json": document({"trace": {"resourceSpans": [group(otlp_spans())]}, "metrics": {}}),
    "java-lines.jsonl": lines(group(half) for half in HALVES),
    "java-console.log": b"".join(
        b"Jan 01, 2026 12:00:00 AM OtlpJsonLoggingSpanExporter export\nINFO: "
        + document(group(half), None)
        + b"\n"
        for half in HALVES
    ),
    "jaeger.json": document(jaeger()),
    "jaeger-otlp.json": lines({"result": {"resourceSpans": [group(half)]}} for half in HALVES),
    "jaeger-elasticsearch.json": document(hits(jaeger_documents())),
    "zipkin.json": document(zipkin_spans(), None),
    "zipkin-api.json": document([zipkin_spans()], None),
    "elasticsearch.json": document(hits(elastic_documents())),
    "elasticsearch-dump.jsonl": lines(hits(elastic_documents())["hits"]["hits"]),
    "opensearch.json": document(hits(data_prepper_documents())),
    "mlflow.json": document(mlflow_trace()),
    "mlflow-rows.jsonl": lines([{"trace_id": f"tr-{TRACE}", "spans": mlflow_spans()}]),
    "mlflow-traces-artifact.json": document({"spans": mlflow_spans()}),
    "langsmith.jsonl": lines(langsmith_runs()),
    "langsmith-nested.json": document(nested_runs()),
    "langsmith-api.json": document({"runs": langsmith_runs(), "cursors": {}}),
    "langsmith-bulk.parquet": parquet(with_texts(langsmith_runs())),
    "openai-agents.jsonl": lines(openai_agents_spans()),
    "langfuse-api-page.json": document({"data": observations(), "meta": {"page": 1}}),
    "langfuse-api-trace.json": document(trace_document("")),
    "langfuse-ui-trace.json": document(trace_document("trace")),
    "langfuse-table.json": document(observations()),
    "langfuse-table.jsonl": lines(observations()),
    "langfuse-table.csv": quoted_csv(observations()),
    "langfuse-blob.jsonl": lines(blob_rows()),
    "langfuse-blob.json": document(blob_rows(), None),
    "langfuse-blob.csv": quoted_csv(blob_rows()),
    "langfuse-blob.parquet": parquet(with_texts(blob_rows())),
    "utf-16.jsonl": lines(spans()).decode().encode("utf-16"),
    "utf-16-big-endian.json": b"\xfe\xff" + document(spans()).decode().encode("utf-16-be"),
    "utf-16-without-mark.jsonl": lines(spans()).decode().encode("utf-16-le"),
    "utf-32.jsonl": lines(spans()).decode().encode("utf-32"),
    "utf-8-mark.jsonl": b"\xef\xbb\xbf" + lines(spans()),
    "utf-16.csv": frame_csv().decode().encode("utf-16"),
    "halo.jsonl.gz": gzip.compress(lines(spans())),
    "halo.jsonl.zst": zstd(lines(spans())),
    "frame.csv.gz": gzip.compress(frame_csv()),
    "frame.parquet.gz": gzip.compress(frame_parquet()),
    "otlp.pb.gz": gzip.compress(message(group(otlp_spans()))),
    "archive.zip": archive({"notes.md": b"# notes\n", "traces/spans.jsonl": lines(spans())}),
    "one-member.zip": archive({"spans": frame_parquet()}),
}
