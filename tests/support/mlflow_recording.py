"""Records traces with MLflow's own library, and judges them as people and judges do.

This file is run by the Python of the server's environment, so it imports nothing of this package.
The address of a scripted model is the only argument; server and experiment are in the environment.
The process dies within its last trace.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

mlflow: Any = importlib.import_module("mlflow")
openai: Any = importlib.import_module("openai")
entities: Any = importlib.import_module("mlflow.entities")
SpanType = entities.SpanType

CLIENT = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "string"}}}
GET_ORDER = {"name": "get_order", "description": "Looks up an order.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": GET_ORDER}]


@mlflow.trace(span_type=SpanType.RETRIEVER)
def find_terms(question: str) -> list[Any]:
    terms = "Returns within 30 days."
    return [entities.Document(page_content=terms, metadata={"doc_uri": "terms.md"}, id="d1")]


@mlflow.trace(span_type=SpanType.TOOL)
def get_order(order_id: str) -> dict[str, str]:
    if order_id == "B-2":
        raise TimeoutError("no answer in 30 s")
    return {"status": "shipped"}


def complete(messages: list[Any], stream: bool) -> Any:
    """What the model answers, as a message."""
    answer = CLIENT.chat.completions.create(
        model="gpt-4o-mini", messages=messages, tools=TOOLS, stream=stream
    )
    if not stream:
        return answer.choices[0].message.model_dump(exclude_none=True)
    return {"role": "assistant", "content": "".join(c.choices[0].delta.content for c in answer)}


@mlflow.trace(span_type=SpanType.AGENT)
def support(question: str, stream: bool = False) -> str:
    mlflow.update_current_trace(tags={"team": "shop"}, session_id="session-1", user="user-1")
    mlflow.get_current_active_span().set_attributes({"ratio": float("nan"), "release": "1.2"})
    find_terms(question)
    messages = [{"role": "user", "content": question}]
    while True:
        message = complete(messages, stream)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            result = get_order(**json.loads(call["function"]["arguments"]))
            messages.append(
                {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}
            )


@mlflow.trace(span_type=SpanType.AGENT)
def interrupted() -> None:
    find_terms("x")
    mlflow.flush_trace_async_logging()
    os._exit(0)


def judge(trace_id: str) -> None:
    """A person's verdict on the first span, which the person changes; a judge's; an expectation."""
    person = entities.AssessmentSource("HUMAN", "ann")
    span_id = mlflow.get_trace(trace_id).data.spans[0].span_id
    first = mlflow.log_feedback(
        trace_id=trace_id, name="helpful", value=True, source=person, span_id=span_id
    )
    mlflow.override_feedback(
        trace_id=trace_id,
        assessment_id=first.assessment_id,
        value=False,
        rationale="Too short.",
        source=person,
    )
    judge_model = entities.AssessmentSource("LLM_JUDGE", "gpt-4o-mini")
    mlflow.log_feedback(trace_id=trace_id, name="tone", value=0.5, source=judge_model)
    mlflow.log_expectation(trace_id=trace_id, name="answer", value={"order": "A-1"}, source=person)


def main() -> None:
    mlflow.openai.autolog()
    support("Where is A-1?")
    asked = mlflow.get_last_active_trace_id()
    support("Say it in pieces.", stream=True)
    for question in ("Where is B-2?", "too long"):
        try:
            support(question)
        except (TimeoutError, openai.BadRequestError) as error:
            print(type(error).__name__, flush=True)
    mlflow.flush_trace_async_logging()
    judge(asked)
    time.sleep(0.1)
    interrupted()


main()
