#!/bin/sh
# openinference-instrumentation 0.1.72: tracer.llm records a generator function as one would think:
# its span ends with the generator, and has its items and its error. tracer.chain, tracer.tool,
# tracer.agent and tracer.retriever end the span when the function is called, before any of its code
# has run:
#
#   status        OK, also where the generator raises while it is read
#   output.value  "<generator object answer at 0x7f...>", another text in every run
#   end time      before the first item
#   children      spans that the generator's code starts are roots of traces of their own
#
# Async generators behave alike; nothing warns.
#
# Who is hit: agents that stream their answer. Their failures count as successes, their latency is
# almost 0, and the model calls of one answer are spread over unrelated traces.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "openinference-instrumentation==0.1.72" || exit 2
cat > "$folder/generator_functions.py" <<'PYTHON'
import sys

from openinference.instrumentation import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
tracer = provider.get_tracer("finding")


def spans_of(decorator):
    """The spans, by name, of a decorated generator that yields once and then fails."""
    @decorator
    def answer(question):
        with tracer.start_as_current_span("child"):
            yield "It is "
        raise ConnectionError("the stream broke off")

    finished.clear()
    try:
        for _ in answer("where is my order?"):
            pass
    except ConnectionError:
        pass
    return {span.name: span for span in finished.get_finished_spans()}


def facts(spans):
    answer, child = spans["answer"], spans["child"]
    return {
        "status": answer.status.status_code.name,
        "output": str(answer.attributes.get("output.value")).split(" at 0x")[0],
        "ended before its code": answer.end_time <= child.start_time,
        "trace of its child": "same" if child.parent else "another",
    }


EARLY = {
    "status": "OK",
    "output": "<generator object spans_of.<locals>.answer",
    "ended before its code": True,
    "trace of its child": "another",
}
seen = {}
for kind in ("llm", "chain", "tool", "agent", "retriever"):
    seen[kind] = facts(spans_of(getattr(tracer, kind)))
    print(f"tracer.{kind}: {seen[kind]}")
llm = seen.pop("llm")
as_stated = (
    all(early == EARLY for early in seen.values())
    and llm["status"] == "ERROR"
    and not llm["ended before its code"]
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/generator_functions.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
