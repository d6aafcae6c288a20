"""The forms in which the engine requests answers from models that have more than text."""

from __future__ import annotations

from halo_engine.llm.chat import AnswerForm, AnswerFormKind

# The root model's code as a call. A fenced block of code is accepted from every model.
CODE_CALL = AnswerForm(
    kind=AnswerFormKind.CALL,
    name="python",
    description=(
        "Run Python code in the session that keeps its variables; the result is what it prints. A "
        "call takes the place of the block of code: one call in each turn."
    ),
    json_schema={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The code to run."}},
        "required": ["code"],
        "additionalProperties": False,
    },
)
