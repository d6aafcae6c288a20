"""The public helpers for tests, and that the product does not import them."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from halo_engine.llm import ChatModel
from halo_engine.schema import SpanKind
from halo_integrations.testing import (
    ScriptedModel,
    agent,
    at,
    call,
    llm,
    retriever,
    span,
    tool,
    trace,
)
from halo_integrations.testing.conformance import sample_rows


def test_the_first_span_is_the_parent_of_the_others_and_encloses_them():
    run = trace(agent("shop"), llm("hi"), tool("search"))
    root, *others = run.spans
    assert run.root is root
    assert {s.parent_span_id for s in others} == {root.span_id}
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (at(0), at(3))


def test_spans_follow_each_other_second_by_second():
    _, first, second = trace(agent(), llm("hi"), tool("search")).spans
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (at(1), at(2))
    assert (second.start_time_unix_nano, second.end_time_unix_nano) == (at(2), at(3))


def test_given_fields_are_kept_even_if_they_are_none():
    given = llm("hi", span_id="e" * 16, parent_span_id=None, end_time_unix_nano=None)
    kept = trace(agent(end_time_unix_nano=None), given).by_id["e" * 16]
    assert (kept.parent_span_id, kept.end_time_unix_nano) == (None, None)


def test_the_same_spans_make_the_same_trace_and_a_number_distinguishes_two():
    assert trace(agent(), llm("hi")) == trace(agent(), llm("hi"))
    one, two = trace(agent(), number=1), trace(agent(), number=2)
    assert one.trace_id != two.trace_id
    assert one.spans[0].span_id != two.spans[0].span_id


def test_ids_are_valid_in_opentelemetry():
    run = trace(agent(), llm("hi"), number=12)
    assert len(bytes.fromhex(run.trace_id)) == 16
    assert all(len(bytes.fromhex(s.span_id)) == 8 and s.trace_id == run.trace_id for s in run.spans)


def test_builders_write_objects_as_json_and_set_the_kind():
    step = tool("search", {"q": "x"}, {"found": 0})
    assert (step.kind, step.tool_name) == (SpanKind.TOOL, "search")
    assert (step.input, step.output) == ('{"q": "x"}', '{"found": 0}')
    model = llm(calls=[call("search", {"q": "x"}, id="c1")])
    assert model.output_messages[0].tool_calls[0].arguments == '{"q": "x"}'
    documents = retriever("a", "b", scores=[0.5]).documents
    assert [(d.content, d.score) for d in documents or ()] == [("a", 0.5), ("b", None)]
    assert span(name="any").kind is None


def test_a_trace_of_no_spans_is_empty():
    assert trace().spans == ()


def test_a_scripted_model_is_a_chat_model() -> None:
    model: ChatModel = ScriptedModel(["one"])
    assert model.complete([], max_tokens=5).text == "one"
    assert model.complete([], max_tokens=5).text == ""


@pytest.mark.parametrize(
    "code",
    [
        "import halo_integrations as halo; halo.run, halo.pull, halo.undo",
        "import halo_integrations.cli.commands as c; c.exit_code_of(['run', '--help'])",
        "import halo_integrations.cli.commands as c; c.exit_code_of(['run', 'traces.jsonl'])",
    ],
)
def test_neither_the_package_nor_its_command_imports_the_helpers_for_tests(code, tmp_path):
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    shown = "print([m for m in sys.modules if '.testing' in m and 'halo' in m], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; {shown}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
