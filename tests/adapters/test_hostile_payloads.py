"""Whatever a trace holds, no reader raises: the content of a trace is not under our control.

Attributes and events in the dialects are in ``test_arbitrary_attributes``.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.files.asides import Asides
from halo_adapters.files.formats.recognition import spans_in_record
from halo_adapters.files.framing.cut_json import whole_items
from halo_adapters.files.mapping import SPAN_KEYS, Place
from halo_adapters.json_values import json_safe, time_fault, unix_nano
from halo_adapters.langfuse.mapping import (
    observation_origin,
    score_from_comment,
    score_from_row,
    trace_id_of_score,
)
from halo_adapters.messages.decode import (
    decode_messages,
    decode_tools,
    finish_reason_of,
)
from halo_adapters.messages.documents import decode_documents
from halo_adapters.messages.payloads import extract_messages, tool_declarations
from halo_adapters.observations import span_from_observation
from halo_engine.schema import Span
from json_strategies import json_values, message_payloads

ORIGIN = observation_origin("p")
HOSTILE = [
    {"lc": 1, "id": 5, "kwargs": {}},
    {"lc": 1, "id": {"a": 1}, "kwargs": {}},
    {"lc": 1, "id": [[]], "kwargs": {"content": "x"}},
    [{"type": ["x"]}],
    {"type": {"a": 1}},
    {"type": [], "role": {}, "content": []},
    {"role": ["user"], "content": "x"},
    [{"function": {"name": []}, "type": {}}],
    {"parts": [{"functionCall": {"type": []}}]},
]


def with_hostile_examples(test: Any) -> Any:
    """``test`` with each of ``HOSTILE`` as an example."""
    for payload in HOSTILE:
        test = example(payload)(test)
    return test


@with_hostile_examples
@given(message_payloads)
def test_any_payload_gives_messages_and_tools(payload: Any) -> None:
    safe = json_safe(payload)
    for role in ("user", "assistant"):
        extract_messages(safe, role)
    decode_tools(tool_declarations(safe) or [])


@with_hostile_examples
@given(message_payloads)
def test_any_list_gives_messages_tools_documents_and_a_finish_reason(payload: Any) -> None:
    items = [json_safe(payload)]
    decode_messages(items)
    decode_tools(items)
    decode_documents(items)
    finish_reason_of(items, None)


OBSERVATION_KEYS = (
    *("id", "traceId", "type", "name", "input", "output", "metadata", "usageDetails", "level"),
    *("costDetails", "totalCost", "startTime", "endTime", "parentObservationId", "sessionId"),
    *("model", "modelParameters", "statusMessage", "tags", "userId", "environment", "release"),
)
observation_rows = st.dictionaries(st.sampled_from(OBSERVATION_KEYS), message_payloads)


@with_hostile_examples
@given(message_payloads)
@pytest.mark.parametrize("kind", ["GENERATION", "TOOL", "RETRIEVER", "SPAN"])
def test_any_input_and_output_of_an_observation_give_a_span(kind: str, payload: Any) -> None:
    row = {"id": "o", "traceId": "t", "type": kind, "input": payload, "output": [payload]}
    span_from_observation(row, ORIGIN)


@given(observation_rows, observation_rows)
def test_any_observation_gives_a_span(row: Any, trace: Any) -> None:
    span_from_observation(row, ORIGIN, trace)


SCORE_KEYS = (
    *("name", "value", "stringValue", "dataType", "subject", "source", "comment", "metadata"),
    *("id", "traceId", "observationId", "createdAt", "objectId", "objectType", "content", "kind"),
    *("halo", "score", "identifier", "annotator_kind"),
)
score_rows = st.dictionaries(
    st.sampled_from(SCORE_KEYS), json_values(SCORE_KEYS, ["trace", "observation", "BOOLEAN"])
)


@given(score_rows)
def test_any_row_gives_a_score_and_a_score_of_a_comment(row: Any) -> None:
    score_from_row(row)
    score_from_comment(row)
    trace_id_of_score(row)


SPAN_ROW_KEYS = (
    *SPAN_KEYS,
    *("trace_id", "traceId", "span_id", "spanId", "parent_id", "context", "status", "status_code"),
    *("events", "resource", "attributes", "data", "resourceSpans", "scopeSpans", "spans", "key"),
    *("value", "stringValue", "intValue", "arrayValue", "kvlistValue", "values", "code", "message"),
)


def place() -> Place:
    return Place("file:1", Asides(), DialectErrors())


records = json_values(SPAN_ROW_KEYS, ["t", "s", "STATUS_CODE_ERROR"])


@with_hostile_examples
@given(records)
def test_any_record_of_a_file_gives_spans_or_problems(record: Any) -> None:
    list(spans_in_record(record, place()))


PARTS = ("attributes", "events", "resource", "status", "status_code", "parent_id", "start_time")


@given(st.dictionaries(st.sampled_from(PARTS), records))
def test_any_parts_of_a_span_of_a_file_give_a_span(parts: Any) -> None:
    row = {"trace_id": "t", "span_id": "s", "name": "n", **parts}
    assert isinstance(next(spans_in_record(row, place())), Span)


@given(json_values(["data"]))
def test_any_value_is_a_time_or_has_a_fault(value: Any) -> None:
    assert unix_nano(value) is None or time_fault(value) is None


@example("{{}")
@given(st.text() | st.text(alphabet='[]{}":, \n0', max_size=40))
def test_any_text_is_searched_for_whole_items(text: str) -> None:
    whole_items(text)
