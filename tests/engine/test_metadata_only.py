"""What of a trace is kept without its texts."""

from __future__ import annotations

from msgspec.structs import replace

from halo_engine.metadata_only import TextWithholder
from halo_engine.schema import Span, SpanEvent
from halo_integrations.testing import tool, trace

SENTENCE = "the caribou walks at dawn"


def kept_of(**fields: object) -> Span:
    """The last span of a trace with these fields, without its texts."""
    step = replace(tool("look_up", "a", "b"), **fields)
    return TextWithholder(b"any").trace(trace(step)).spans[-1]


def test_of_an_event_only_that_it_is_an_exception_is_kept() -> None:
    told = {"exception.type": "ValueError", "exception.message": SENTENCE, "note": SENTENCE}
    names = ("exception", SENTENCE, SENTENCE, None)
    events = [SpanEvent(name=n, time_unix_nano=7, attributes=told) for n in names]
    exception, first, second, unnamed = kept_of(events=tuple(events)).events
    assert exception.name == "exception"
    assert exception.attributes == {"exception.type": "ValueError"}
    assert first.name == second.name
    assert str(first.name).startswith("[withheld:")
    assert unnamed.name is None
    assert exception.time_unix_nano == 7


def test_of_a_resource_the_names_of_service_and_project_are_kept() -> None:
    names = {"service.name": "shop", "openinference.project.name": "agents"}
    assert kept_of(resource={**names, "host.name": "ann", "note": SENTENCE}).resource == names
