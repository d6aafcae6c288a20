"""Hypothesis strategies: JSON that is nearly what a reader expects, which is what breaks readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from halo_adapters.messages import decode, payloads

TEXTS = (
    "",
    "text",
    "{}",
    "[]",
    "null",
    '{"role": 5}',
    "[[1]]",
    "9" * 30,
    "\ud800",
    "<|im_start|>x",
)


def json_values(
    keys: Iterable[str], texts: Iterable[str] = (), leaves: int = 20
) -> st.SearchStrategy[Any]:
    """Any JSON, its objects often with some of ``keys`` and its texts often one of ``texts``."""
    names = st.sampled_from(sorted({*keys, "0", "1", ""})) | st.text(max_size=5)
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(sorted({*TEXTS, *texts}))
        | st.text(max_size=8)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=leaves,
    )


# The keys of messages, requests and responses of all providers, and the values that some expect.
MESSAGE_KEYS = (
    *payloads.MESSAGE_KEYS,
    *payloads.SYSTEM_KEYS,
    *payloads.CONTENT_KEYS,
    *payloads.UNTYPED_PARTS,
    *decode.MESSAGE_WRAPPERS,
    *(str(step) for path in (*payloads.TOOL_PATHS, *decode.FINISH_REASONS) for step in path),
    *("role", "type", "id", "lc", "name", "parts", "tool_call", "function", "arguments", "args"),
    *(
        "tool_call_id",
        "toolCallId",
        "call_id",
        "result",
        "response",
        "additional_kwargs",
        "document",
    ),
    *("message.content", "message.contents.0.message_content.text", "json_schema", "parameters"),
    *("function_call_name", "function_call_arguments_json", "invalid_tool_calls", "score"),
)
MESSAGE_WORDS = (
    *payloads.KNOWN_ROLES,
    *payloads.PART_TYPES,
    *payloads.SKIPPED_TYPES,
    *payloads.ROLES,
)
message_payloads = json_values(MESSAGE_KEYS, MESSAGE_WORDS)
