#!/bin/sh
# openinference-instrumentation-langchain 0.1.80 with langchain-core 1.8.3: whatever has "agent" in its
# name is recorded as an agent, also as a part of a word, and whatever it is:
#
#   tool "list_travel_agents"          AGENT, not TOOL
#   retriever "AgentHandbook"          AGENT, not RETRIEVER
#   model named "reagent-classifier"   AGENT, not LLM
#   step "check user agent"            AGENT, not CHAIN
#
# Who is hit: everything that goes by the kind of a span. Model calls are missing in counts of tokens
# and costs, retrievals are not evaluated, and one run seems to have agents that nobody built.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langchain-core==1.8.3" "openinference-instrumentation-langchain==0.1.80" || exit 2
cat > "$folder/kinds.py" <<'PYTHON'
import sys

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
LangChainInstrumentor().instrument(tracer_provider=provider)


class Handbook(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content="Orders are shipped on Mondays.")]


@tool
def list_offices(city: str) -> str:
    """List the offices in a city."""
    return "none"


@tool
def list_travel_agents(city: str) -> str:
    """List the travel agents in a city."""
    return "none"


model = FakeListChatModel(responses=["yes"])
step = RunnableLambda(lambda text: text)
RUNS = {
    "list_offices": lambda: list_offices.invoke({"city": "Bonn"}),
    "list_travel_agents": lambda: list_travel_agents.invoke({"city": "Bonn"}),
    "Handbook": lambda: Handbook().invoke("when?"),
    "AgentHandbook": lambda: Handbook().invoke("when?", {"run_name": "AgentHandbook"}),
    "classifier": lambda: model.invoke("acid?", {"run_name": "classifier"}),
    "reagent-classifier": lambda: model.invoke("acid?", {"run_name": "reagent-classifier"}),
    "check browser": lambda: step.invoke("Firefox", {"run_name": "check browser"}),
    "check user agent": lambda: step.invoke("Firefox", {"run_name": "check user agent"}),
}
kinds = {}
for name, run in RUNS.items():
    run()
    span = finished.get_finished_spans()[-1]
    kinds[span.name] = span.attributes["openinference.span.kind"]
    print(f"{span.name}: {kinds[span.name]}")
as_stated = list(kinds) == list(RUNS) and list(kinds.values()) == [
    "TOOL", "AGENT", "RETRIEVER", "AGENT", "LLM", "AGENT", "CHAIN", "AGENT"
]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/kinds.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
