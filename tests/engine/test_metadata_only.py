"""What of a trace is kept without its texts."""

from __future__ import annotations

from msgspec.structs import replace

from halo_engine.metadata_only import TextWithholder, is_without_texts
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


def test_a_trace_that_another_run_has_taken_the_texts_out_of_stays_as_it_is() -> None:
    without = TextWithholder(b"one").trace(trace(tool("look_up", SENTENCE, SENTENCE)))
    assert TextWithholder(b"two").trace(without) == without
    assert is_without_texts(without)


def test_a_trace_with_its_texts_or_with_none_is_not_without_them() -> None:
    assert not is_without_texts(trace(tool("look_up", SENTENCE, SENTENCE)))
    assert not is_without_texts(trace(tool("look_up", "{}", "")))


def test_a_text_that_looks_like_a_withheld_one_hides_no_other_of_its_trace() -> None:
    assert not is_without_texts(trace(tool("look_up", "[withheld:abcdefgh]", SENTENCE)))
