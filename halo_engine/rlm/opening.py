"""The first messages to a model that investigates: its instructions, and metadata of its scope.

The metadata are counts and names, never a trace: the segments of the corpus, what the survey noted,
where runs depart from their peers, what the detectors found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from halo_engine.comparison.corpus import VALUE_CHARS, ComparedCorpus, most_frequent
from halo_engine.comparison.run_facts import RunFacts
from halo_engine.comparison.tables import segment_name
from halo_engine.failure_modes import MEANINGS
from halo_engine.rlm.candidates import IMPACTS, MODES
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.drafts import Drafts, key_of
from halo_engine.rlm.host import Host
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.survey import Survey

METADATA_CHARS = 24_000
SHOWN_UNLIKE = 10
SHOWN_SEGMENTS, SHOWN_NOTES, SHOWN_DEPARTURES, SHOWN_SIGNALS = 30, 30, 25, 30


@dataclass(frozen=True)
class Scope:
    """What one loop investigates: ``question`` about ``segment`` (empty: about the whole corpus).

    ``background`` are the user's words about the agent.
    """

    corpus: ComparedCorpus
    survey: Survey
    drafts: Drafts
    question: str | None = None
    background: str | None = None
    segment: str = ""

    def has(self, trace_id: str) -> bool:
        """Whether a run is in the scope."""
        segments = self.corpus.segments
        return self.segment in ("", segment_name(segments[trace_id]))


def opening_conversation(
    host: Host, delimiter: DataDelimiter, scope: Scope, *, max_turns: int
) -> Conversation:
    """The conversation before the first turn. It contains counts and signals, but no trace."""
    metadata = scope_metadata(host, scope)
    parts = [
        f"The question: {scope.question}" if scope.question else "",
        f"You investigate segment {scope.segment}; others investigate the rest. Runs of other "
        f"segments are for comparison." * bool(scope.segment),
        f"About the agent, from its owner:\n{scope.background}" if scope.background else "",
        f"What is in the store:\n{delimiter(compact_json(metadata), METADATA_CHARS)}",
    ]
    instructions = [
        filled(prompt("analyst"), rule=delimiter.instruction, turns=str(max_turns)),
        manual(),
        prompt("delegate") if host.can_delegate else "",
        prompt("code") if host.has_code else "",
    ]
    return Conversation(
        system="\n\n".join(part for part in instructions if part),
        opening="\n\n".join(part for part in parts if part),
    )


def scope_metadata(host: Host, scope: Scope) -> dict[str, Any]:
    """Counts of what is in a scope, the most frequent first."""
    functions = host.functions
    overview = functions["overview"]()
    keys = ("traces", "spans", "sessions", "errors", "first", "last", "models")
    signals = [
        {"detector": s["detector"], "title": s["title"], "traces": s["traces"]}
        for s in functions["signals"]()
    ]
    return {
        "overview": {key: overview[key] for key in keys},
        "segments": segment_rows(scope)[:SHOWN_SEGMENTS],
        "survey": {
            "read": scope.survey.plan,
            "judged": len(scope.survey.judged),
            "notes_of_no_draft": remaining_notes(scope)[:SHOWN_NOTES],
        },
        "drafts": draft_rows(host),
        "departures": departure_counts(scope)[:SHOWN_DEPARTURES],
        "unlike": unlike_counts(scope)[:SHOWN_UNLIKE],
        "signals": signals[:SHOWN_SIGNALS],
        "scores": most_frequent(
            [score for run in scope.corpus.runs.values() for score in run.scores]
        ),
        "budget": functions["budget"](),
    }


def segment_rows(scope: Scope) -> list[dict[str, Any]]:
    """A row for each segment of a scope: what its runs have in common, and how they ended."""
    corpus = scope.corpus
    return [
        segment_row(corpus, number, ids)
        for number, ids in sorted(corpus.segment_members.items())
        if scope.segment in ("", segment_name(number))
    ]


def segment_row(corpus: ComparedCorpus, number: int, trace_ids: Sequence[str]) -> dict[str, Any]:
    """One segment with its sizes, endings, and what its runs change."""
    runs = [corpus.runs[trace_id] for trace_id in trace_ids]
    return {
        "segment": segment_name(number),
        "agent": most_frequent([run.agent for run in runs], 3),
        "runs": len(runs),
        "groups": len({corpus.groups[trace_id] for trace_id in trace_ids}),
        "with_peers": sum(trace_id in corpus.has_peers for trace_id in trace_ids),
        "endings": most_frequent([run.ending for run in runs]),
        "models": most_frequent([model for run in runs for model in run.models]),
        "releases": most_frequent([run.release for run in runs if run.release]),
        "changes": most_frequent([tool for run in runs for tool in changed_by(run)], 12),
        "with_signals": sum(trace_id in corpus.signals for trace_id in trace_ids),
    }


def changed_by(run: RunFacts) -> Iterable[str]:
    """The tools with which a run changed something, each once."""
    return dict.fromkeys(call.tool for call in run.changes)


def draft_rows(host: Host) -> list[tuple[str, str, int, int]]:
    """Id and title of the drafts that are there, with their runs, and those of them with a quote."""
    return [
        (draft.id, draft.title, len(traces), sum(item.evidence is not None for item in traces))
        for draft in host.notebook.candidates
        if draft.is_draft
        for traces in [draft.check.traces]
    ]


def remaining_notes(scope: Scope) -> list[tuple[str, str, int]]:
    """Segment and kind of the notes in a scope that are a part of no draft, with their number."""
    keys = (key_of(note, scope.corpus) for note in scope.survey.notes if scope.has(note.trace_id))
    counts = Counter((segment_name(k.segment), k.kind.value) for k in keys if k not in scope.drafts)
    return [(segment, kind, number) for (segment, kind), number in counts.most_common()]


def departure_counts(scope: Scope) -> list[tuple[str, str, int]]:
    """Kind and tool of the departures in a scope, with the number of runs."""
    found = Counter(
        (departure.kind.value, departure.tool[:VALUE_CHARS], departure.trace_id)
        for departure in scope.corpus.departures
        if scope.has(departure.trace_id)
    )
    runs = Counter((kind, tool) for kind, tool, _ in found)
    return [(kind, tool, number) for (kind, tool), number in runs.most_common()]


def unlike_counts(scope: Scope) -> list[tuple[str, str, int]]:
    """Tool and argument that results hold with another value in a scope, with the number of runs."""
    found = Counter(
        (call.tool[:VALUE_CHARS], name[:VALUE_CHARS])
        for trace_id, run in scope.corpus.runs.items()
        if scope.has(trace_id)
        for call in {call.tool: call for call in run.calls if call.unlike}.values()
        for name in orjson.loads(call.unlike)
    )
    return [(tool, name, number) for (tool, name), number in found.most_common()]


def manual() -> str:
    """The description of the host functions, with the failure modes and impacts to choose from."""
    modes = "\n".join(f"{slug}: {MEANINGS[slug]}" for slug in MODES)
    impacts = "; ".join(f'"{impact}" ({meaning})' for impact, meaning in IMPACTS.items())
    return filled(prompt("manual"), modes=modes, impacts=impacts)


def compact_json(value: object) -> str:
    """``value`` as JSON without white space."""
    return orjson.dumps(value, default=str).decode()
