"""The columns of the stored tables with their DuckDB types."""

from __future__ import annotations

SPANS = {
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "parent_span_id": "VARCHAR",
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "start_time_unix_nano": "BIGINT",
    "end_time_unix_nano": "BIGINT",
    "status_code": "VARCHAR",
    "status_message": "VARCHAR",
    "input": "VARCHAR",
    "output": "VARCHAR",
    "input_messages": "VARCHAR",
    "output_messages": "VARCHAR",
    "tools": "VARCHAR",
    "documents": "VARCHAR",
    "tool_name": "VARCHAR",
    "tool_call_id": "VARCHAR",
    "tool_error": "BOOLEAN",
    "agent_name": "VARCHAR",
    "model_name": "VARCHAR",
    "finish_reason": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "total_tokens": "BIGINT",
    "cost": "DOUBLE",
    "session_id": "VARCHAR",
    "user_id": "VARCHAR",
    "events": "VARCHAR",
    "attributes": "VARCHAR",
    "resource": "VARCHAR",
    "platform": "VARCHAR",
    "project": "VARCHAR",
    "reference": "VARCHAR",
    "keeps_empty_texts": "BOOLEAN",
    "size": "BIGINT",
}

SCORES = {
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "name": "VARCHAR",
    "label": "VARCHAR",
    "value": "DOUBLE",
    "explanation": "VARCHAR",
    "source": "VARCHAR",
    "identifier": "VARCHAR",
    "created_at": "TIMESTAMP",
    "metadata": "VARCHAR",
}

# Rows are read and written in this order, whatever that of the table in the file is.
SPAN_COLUMNS, SCORE_COLUMNS = ", ".join(SPANS), ", ".join(SCORES)
