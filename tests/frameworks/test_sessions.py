"""Session and user of a span, in the names that each dialect has for them."""

from __future__ import annotations

from typing import Any

import pytest

from halo_adapters.dialects.registry import installed_dialects
from halo_adapters.dialects.spans import span_from_attributes
from recordings import recorded

Attributes = dict[str, Any]

OPENINFERENCE = {"openinference.span.kind": "CHAIN"}
GEN_AI = {"gen_ai.operation.name": "chat"}
VERCEL = {"ai.operationId": "ai.generateText"}
ASSOCIATED = "traceloop.association.properties."
LOGFIRE = {"logfire.msg_template": "OpenAI Agents trace: {name}"}

# Dialect -> attributes of a span -> the session and the user that they name.
ROWS: list[tuple[str, Attributes, str | None, str | None]] = [
    ("openinference", {**OPENINFERENCE, "session.id": "s-1", "user.id": "u-1"}, "s-1", "u-1"),
    ("otel_genai", {**GEN_AI, "gen_ai.conversation.id": "s-1"}, "s-1", None),
    ("otel_genai", {**GEN_AI, "gen_ai.thread.id": "s-1", "enduser.id": "u-1"}, "s-1", "u-1"),
    ("otel_genai", {**GEN_AI, "enduser.pseudo.id": "u-1"}, None, "u-1"),
    ("otel_genai", {**GEN_AI, "session.id": "s-1", "user.id": "u-1"}, "s-1", "u-1"),
    (
        "openllmetry",
        {ASSOCIATED + "session_id": "s-1", ASSOCIATED + "user_id": "u-1"},
        "s-1",
        "u-1",
    ),
    ("openllmetry", {ASSOCIATED + "chat_id": "s-1"}, "s-1", None),
    ("openllmetry", {ASSOCIATED + "chatId": "s-1", ASSOCIATED + "userId": "u-1"}, "s-1", "u-1"),
    ("openllmetry", {ASSOCIATED + "thread_id": "s-1"}, "s-1", None),
    ("langfuse", {"langfuse.session.id": "s-1", "langfuse.user.id": "u-1"}, "s-1", "u-1"),
    (
        "langfuse",
        {"langfuse.observation.type": "span", "session.id": "s-1", "user.id": "u-1"},
        "s-1",
        "u-1",
    ),
    (
        "langsmith",
        {
            "langsmith.span.kind": "llm",
            "langsmith.metadata.session_id": "s-1",
            "langsmith.metadata.user_id": "u-1",
        },
        "s-1",
        "u-1",
    ),
    (
        "langsmith",
        {"langsmith.span.kind": "llm", "langsmith.metadata.thread_id": "s-1"},
        "s-1",
        None,
    ),
    (
        "langchain",
        {**OPENINFERENCE, "metadata": '{"thread_id": "s-1", "user_id": "u-1"}'},
        "s-1",
        "u-1",
    ),
    ("langchain", {**OPENINFERENCE, "metadata": {"conversation_id": "s-1"}}, "s-1", None),
    (
        "langchain",
        {**OPENINFERENCE, "session.id": "s-1", "metadata": '{"thread_id": "other"}'},
        "s-1",
        None,
    ),
    (
        "vercel_ai",
        {
            **VERCEL,
            "ai.telemetry.metadata.sessionId": "s-1",
            "ai.telemetry.metadata.userId": "u-1",
        },
        "s-1",
        "u-1",
    ),
    (
        "vercel_ai",
        {"ai.settings.context.sessionId": "s-1", "ai.settings.context.userId": "u-1"},
        "s-1",
        "u-1",
    ),
    ("vercel_ai", {**VERCEL, "metadata.sessionId": "s-1"}, "s-1", None),
    (
        "mastra",
        {
            "mastra.span.type": "agent_run",
            "mastra.metadata.threadId": "s-1",
            "mastra.metadata.userId": "u-1",
        },
        "s-1",
        "u-1",
    ),
    (
        "mastra",
        {
            "mastra.span.type": "agent_run",
            "mastra.metadata.sessionId": "s-1",
            "mastra.metadata.resourceId": "u-1",
        },
        "s-1",
        "u-1",
    ),
    (
        "mlflow",
        {
            "mlflow.spanType": '"AGENT"',
            "mlflow.trace.session": '"s-1"',
            "mlflow.trace.user": "u-1",
        },
        "s-1",
        "u-1",
    ),
    ("logfire", {**LOGFIRE, "group_id": "s-1", "user_id": "u-1"}, "s-1", "u-1"),
    ("logfire", {**LOGFIRE, "group_id": "null"}, None, None),
    (
        "google_adk",
        {"gcp.vertex.agent.session_id": "s-1", "gcp.vertex.agent.llm_request": "{}"},
        "s-1",
        None,
    ),
    (
        "pydantic_ai",
        {
            "pydantic_ai.all_messages": "[]",
            "gen_ai.conversation.id": "s-1",
            "metadata": '{"user": "u-1"}',
        },
        "s-1",
        "u-1",
    ),
    ("litellm", {"litellm.call_id": "c", "llm.user": "u-1"}, None, "u-1"),
    ("halo_export", {"inference.session_id": "s-1", "inference.user_id": "u-1"}, "s-1", "u-1"),
    ("openai_agents_traces", {"session.id": "s-1"}, "s-1", None),
]
# Those that write the attributes of another dialect, with a recording that has them.
OF_ANOTHER = {
    "agno": "agno",
    "autogen": "autogen",
    "crewai": "crewai",
    "dspy": "dspy",
    "haystack_openinference": "haystack_openinference",
    "llama_index": "llama-index",
    "mcp": "oi-mcp",
    "openai_agents": "openai-agents",
    "openlit": "openlit",
    "smolagents": "smolagents",
    "strands": "strands",
}
# Those whose framework tells neither: what is around a run has to.
WITHOUT = {"agent_framework", "beeai", "haystack", "instructor", "semantic_kernel"}


@pytest.mark.parametrize(
    ("dialect", "attributes", "session", "user"),
    ROWS,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(ROWS)],
)
def test_session_and_user_are_read_where_a_dialect_has_them(
    dialect: str, attributes: Attributes, session: str | None, user: str | None
) -> None:
    span = span_from_attributes(trace_id="t", span_id="s", attributes=attributes)
    assert (span.session_id, span.user_id) == (session, user)


def test_an_id_that_is_a_number_is_text() -> None:
    attributes = {"session.id": 84, "user.id": 7}
    span = span_from_attributes(trace_id="t", span_id="s", attributes=attributes)
    assert (span.session_id, span.user_id) == ("84", "7")


@pytest.mark.parametrize("dialect", OF_ANOTHER)
def test_a_framework_that_writes_the_attributes_of_another_dialect_is_read_too(
    dialect: str,
) -> None:
    assert recorded(OF_ANOTHER[dialect], "ok").session_id == "s-1"


def test_every_dialect_is_in_one_of_the_tables() -> None:
    tables = {row[0] for row in ROWS}, OF_ANOTHER.keys(), WITHOUT
    assert {dialect.name for dialect in installed_dialects()} == set().union(*tables)
    assert sum(map(len, tables)) == len(set().union(*tables))
