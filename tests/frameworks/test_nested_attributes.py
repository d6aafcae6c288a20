"""A platform may keep attributes nested by the parts of their names, as Phoenix does."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span
from recordings import RECORDINGS, traces_of

NAMES = sorted(path.name.partition(".otlp")[0] for path in RECORDINGS.glob("*.otlp.jsonl.gz"))


def nested(attributes: dict[str, Any]) -> dict[str, Any]:
    """``attributes`` by the parts of their names; a name that is a prefix of others stays whole."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        *steps, last = name.split(".")
        node: Any = found
        for step in steps:
            node = node.setdefault(step, {}) if isinstance(node, dict) else node
        if isinstance(node, dict) and last not in node:
            node[last] = value
        else:
            found[name] = value
    return found


def read_again(span: Span, attributes: dict[str, Any]) -> Span:
    """``span`` with these attributes, but for the attributes themselves."""
    again = span_from_attributes(
        trace_id=span.trace_id,
        span_id=span.span_id,
        name=span.name,
        status_code=span.status.code and span.status.code.value,
        status_message=span.status.message,
        attributes=attributes,
        events=[to_builtins(event) for event in span.events],
    )
    return replace(again, attributes={})


@pytest.mark.parametrize("name", NAMES)
def test_nested_attributes_give_the_same_span(name: str) -> None:
    spans = [span for trace in traces_of(name).values() for span in trace.spans]
    assert spans
    for span in spans:
        flat = read_again(span, span.attributes)
        assert read_again(span, nested(span.attributes)) == flat, span.name
