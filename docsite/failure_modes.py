"""The catalogue of failure modes, each with an example out of recorded traces.

The examples are what the product finds when the site is built, so that they cannot be out of date.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import halo_integrations as halo
from docsite.markdown import code, plain
from halo_engine.detectors import load_detectors
from halo_engine.failure_modes import CATALOGUE, FailureMode
from halo_engine.quotes import quotable_texts
from halo_engine.schema import Trace
from halo_integrations.demo.loop import record_release
from halo_integrations.demo.releases import FIRST
from halo_integrations.demo.world import PACKAGE, play_agent
from halo_integrations.options.callbacks import no_progress

HERE = Path(__file__).parent
RECORDINGS = HERE.parent / "tests" / "frameworks" / "recordings"
EXAMPLES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "examples.toml").read_text("utf-8"))
DEMO_AGENT = HERE.parent / "examples" / "demo_agent"
# What an example comes from, where that is no recording of a framework.
ORIGINS = {
    "demo": "The demo's agent",
    "demo_agent": "The agent of examples/demo_agent",
    "constructed": "A constructed trace; no recording shows this",
}
CONVERSATIONS = 80
QUOTES = 3  # of one example
LONGEST = 300  # characters of a quote


def failure_modes_page() -> str:
    """The catalogue by group."""
    parts = []
    for group, modes in groupby(CATALOGUE, key=lambda mode: mode.group):
        parts += [f"## {group.value.capitalize()}", *map(section_of, modes)]
    return "\n\n".join(parts)


def section_of(mode: FailureMode) -> str:
    """One failure mode."""
    finders = [d.name for d in load_detectors() if d.failure_mode == mode.slug]
    links = ", ".join(f"[{name}](detectors.md#{name})" for name in finders)
    parts = [
        f"### {mode.slug} {{#{mode.slug}}}",
        f"**The agent {plain(mode.meaning)}.** {plain(mode.definition)}",
        f"- It is: {plain(mode.positive)}\n- It is not: {plain(mode.negative)}",
        f"After a fix: {plain(mode.mend)} {plain(mode.keep)}",
        example_of(mode.slug),
        f"Found by {links}, and by a model." if links else "Found by a model only.",
        published(mode),
    ]
    return "\n\n".join(part for part in parts if part)


def published(mode: FailureMode) -> str:
    """The categories of published taxonomies that it covers."""
    named = [("TRAIL", mode.trail), ("MAST", mode.mast)]
    told = [f"{taxonomy} {', '.join(map(plain, names))}" for taxonomy, names in named if names]
    return f"Elsewhere: {'; '.join(told)}." if told else ""


def example_of(slug: str) -> str:
    """The example of a failure mode; ``LookupError`` where its recording does not hold it."""
    example = EXAMPLES[slug]
    if "detector" in example:
        return example_found(example["recording"], example["detector"])
    return example_quoted(example["recording"], example["quotes"], example["shows"])


def example_found(recording: str, detector: str) -> str:
    """The first finding of a detector in a recording, with what it quotes of one trace."""
    findings = [f for f in result_of(recording).report.findings if f.detector == detector]
    if not findings:
        raise LookupError(f"{detector} finds nothing in {recording}")
    finding = findings[0]
    affected = max(finding.affected, key=lambda each: len(each.evidence))
    quotes = [(code(evidence.field), evidence.quote) for evidence in affected.evidence[:QUOTES]]
    return shown(recording, f"**{plain(finding.title)}**: {plain(affected.reason)}.", quotes)


def example_quoted(recording: str, quotes: Sequence[str], shows: str) -> str:
    """A trace in a recording in which no detector finds this; ``LookupError`` if there is none."""
    with halo.TraceStore(result_of(recording).folder / "traces", read_only=True) as store:
        for trace in store.traces():
            places = [place_of(quote, trace) for quote in quotes]
            if all(places):
                return shown(recording, plain(shows), list(zip(places, quotes, strict=True)))
    raise LookupError(f"no trace of {recording} says all of {quotes}")


def place_of(quote: str, trace: Trace) -> str:
    """Where a trace says ``quote``: of all places the one that says least else; empty if none."""
    texts = [
        (text, f"{code(field)} of {code(span.name)}")
        for span in trace.spans
        for field, text in quotable_texts(span)
        if quote in text
    ]
    return min(texts, key=lambda each: len(each[0]))[1] if texts else ""


def shown(recording: str, words: str, quotes: Sequence[tuple[str, str]]) -> str:
    """An example as a note, with its quotes as text, each after its place."""
    body = [words, ""]
    for place, quote in quotes:
        cut = quote if len(quote) <= LONGEST else f"{quote[:LONGEST]} ..."
        body += [f"{place}:", "", "```text", *cut.splitlines(), "```", ""]
    title = ORIGINS.get(recording, f"A recording of {recording}")
    return "\n".join([f'!!! example "{title}"', "", *(f"    {line}".rstrip() for line in body)])


@cache
def result_of(recording: str) -> halo.Result:
    """A run over a recording."""
    return halo.run(
        path_of(recording), home=Path(workspace().name) / f"home-{recording}", no_llm=True
    )


def path_of(recording: str) -> Path:
    """The file of a recording; those of the demo's agents are made anew."""
    made = Path(workspace().name) / f"{recording}.jsonl"
    match recording:
        case "constructed":
            return HERE / "constructed.jsonl"
        case "demo":
            record_release(FIRST, made, CONVERSATIONS, 0, no_progress)
            return made
        case "demo_agent":
            logging.getLogger(PACKAGE).addHandler(logging.NullHandler())  # its own, to the terminal
            play_agent(DEMO_AGENT, made, count=CONVERSATIONS, seed=0)
            return made
        case _:
            return RECORDINGS / f"{recording}.otlp.jsonl.gz"


@cache
def workspace() -> TemporaryDirectory[str]:
    """A folder that is removed when the build ends."""
    return TemporaryDirectory(prefix="halo-docs-")
