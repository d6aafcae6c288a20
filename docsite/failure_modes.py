"""The catalogue of failure modes, each with an example out of recorded traces.

The examples are what the product finds when the site is built, so that they cannot be out of date.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import halo_integrations as halo
from docsite.markdown import code, plain
from halo_engine.detectors import load_detectors
from halo_engine.failure_modes import CATALOGUE, FailureMode
from halo_integrations.demo.loop import record_release
from halo_integrations.demo.releases import FIRST
from halo_integrations.options.callbacks import no_progress

HERE = Path(__file__).parent
RECORDINGS = HERE.parent / "tests" / "frameworks" / "recordings"
EXAMPLES: dict[str, dict[str, str]] = tomllib.loads((HERE / "examples.toml").read_text("utf-8"))
DEMO = "demo"
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
    """The example of a failure mode, or a sentence that there is none."""
    example = EXAMPLES.get(slug)
    if example is None:
        return "No trace recorded for this project shows it."
    if "detector" in example:
        return example_found(example["recording"], example["detector"])
    return example_quoted(example["recording"], example["quote"], example["shows"])


def example_found(recording: str, detector: str) -> str:
    """The first finding of a detector in a recording, with what it quotes of one trace."""
    findings = [f for f in result_of(recording).report.findings if f.detector == detector]
    if not findings:
        raise LookupError(f"{detector} finds nothing in {recording}")
    finding = findings[0]
    affected = max(finding.affected, key=lambda each: len(each.evidence))
    quotes = [(evidence.field, evidence.quote) for evidence in affected.evidence[:QUOTES]]
    return shown(recording, f"**{plain(finding.title)}**: {plain(affected.reason)}.", quotes)


def example_quoted(recording: str, quote: str, shows: str) -> str:
    """A place in a recording that no detector finds; raises ``LookupError`` where it is not there."""
    with halo.TraceStore(result_of(recording).folder / "traces.duckdb", read_only=True) as store:
        hits = store.search(quote, limit=1)
    if not hits:
        raise LookupError(f"{recording} does not say {quote!r}")
    return shown(recording, plain(shows), [(hits[0].field, quote)])


def shown(recording: str, words: str, quotes: Sequence[tuple[str, str]]) -> str:
    """An example as a note, with its quotes as text."""
    origin = "The demo's agent" if recording == DEMO else f"A recording of {recording}"
    body = [words, ""]
    for field, quote in quotes:
        cut = quote if len(quote) <= LONGEST else f"{quote[:LONGEST]} ..."
        body += [f"{code(field)}:", "", "```text", *cut.splitlines(), "```", ""]
    return "\n".join([f'!!! example "{origin}"', "", *(f"    {line}".rstrip() for line in body)])


@cache
def result_of(recording: str) -> halo.Result:
    """A run over a recording."""
    folder = Path(workspace().name)
    path = RECORDINGS / f"{recording}.otlp.jsonl.gz"
    if recording == DEMO:
        path = folder / "demo.jsonl"
        record_release(FIRST, path, CONVERSATIONS, 0, no_progress)
    return halo.run(path, home=folder / recording, no_llm=True)


@cache
def workspace() -> TemporaryDirectory[str]:
    """A folder that is removed when the build ends."""
    return TemporaryDirectory(prefix="halo-docs-")
