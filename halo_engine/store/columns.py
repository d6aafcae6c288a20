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
    # Attribute -> the field that holds its text, as JSON: there it is null in ``attributes``.
    "copied": "VARCHAR",
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

# What SQL reads of a trace.
TRACES = {
    "trace_id": "VARCHAR",
    "name": "VARCHAR",
    "session_id": "VARCHAR",
    "start_time_unix_nano": "BIGINT",
    "end_time_unix_nano": "BIGINT",
    "spans": "BIGINT",
    "errors": "BIGINT",
    "tokens": "BIGINT",
    "cost": "DOUBLE",
    "size": "BIGINT",
    "shape": "VARCHAR",
}

# All that is stored of a trace beside its spans, so that no statistic reads these. What begins with
# ``agent_`` leaves out evaluators and all below them, which are not part of an agent's run.
FACTS = {
    **TRACES,
    "session_ids": "VARCHAR[]",
    "root_span_id": "VARCHAR",
    "root_has_ended": "BOOLEAN",
    "last_start_unix_nano": "BIGINT",
    "last_activity_unix_nano": "BIGINT",
    "agent": "VARCHAR",
    "models": "VARCHAR[]",
    "release": "VARCHAR",
    "environment": "VARCHAR",
    "tool_names": "VARCHAR[]",
    "agent_tools": "VARCHAR[]",
    "agent_spans": "BIGINT",
    "agent_model_calls": "BIGINT",
    "agent_tool_calls": "BIGINT",
    "agent_failed": "BIGINT",
    "agent_not_failed": "BIGINT",
    "scores": "BIGINT",
    # Where its spans begin among those of its part.
    "first_row": "BIGINT",
}

# How many spans have a value, for the most frequent kinds, names, tools and models. A part in which a
# trace is stored anew takes off what the part before counted, so that all parts together are right.
COUNTS = {"field": "VARCHAR", "value": "VARCHAR", "spans": "BIGINT"}
COUNTED = ("kind", "name", "tool_name", "model_name")

# Rows are read and written in this order.
SCORE_COLUMNS = ", ".join(SCORES)
