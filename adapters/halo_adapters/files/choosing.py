"""The traces that match a query, chosen in two passes over the same batches.

In the first one any process tells what a batch has of each trace: the facts that say whether that
matches, and in which records it is. Only these are read in the second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from halo_adapters.files.batches import BatchFacts, Choice, FactsBatch, FileBatch, FilePage
from halo_adapters.trace_filter import QueryFilter, TraceFacts, united_facts


def asked_for_facts(
    batches: Iterable[FileBatch], query_filter: QueryFilter
) -> Iterator[FactsBatch | FilePage]:
    """First pass: ``batches`` to be asked for their facts; one with a large record is asked here."""
    for batch in batches:
        asked = FactsBatch(batch, query_filter)
        yield asked.decoded() if batch.is_large else asked


def facts_of_traces(found: Iterable[BatchFacts]) -> dict[str, TraceFacts]:
    """The facts of each trace, of which several batches may have some."""
    return united_facts((i, part.facts) for each in found for i, part in each.parts.items())


def span_count(found: Iterable[BatchFacts], chosen: frozenset[str]) -> int:
    """How many spans the ``chosen`` traces have in all."""
    return sum(each.parts[i].spans for each in found for i in chosen & each.parts.keys())


def with_chosen(
    batches: Iterable[FileBatch], found: Sequence[BatchFacts], chosen: frozenset[str]
) -> Iterator[FileBatch]:
    """Second pass: what ``batches`` have of the ``chosen`` traces; in the end how far was read.

    ``found`` is what was found in each in the first pass.
    """
    end = FileBatch((), 0)
    for number, batch in enumerate(batches):
        only = choice_in(batch, found[number] if number < len(found) else None, chosen)
        if only.trace_ids:
            yield batch._replace(only=only)
        end = batch._replace(pieces=())
    yield end


def choice_in(batch: FileBatch, found: BatchFacts | None, chosen: frozenset[str]) -> Choice:
    """What is wanted of a batch; all records where it is another one: a file may grow meanwhile."""
    if found is None or found.size != batch.record_bytes:
        return Choice(chosen, None)
    parts = {trace_id: found.parts[trace_id] for trace_id in chosen & found.parts.keys()}
    records = (range(part.first, part.last + 1) for part in parts.values())
    return Choice(frozenset(parts), frozenset(chain.from_iterable(records)))
