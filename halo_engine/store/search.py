"""Full-text and regular expression search over the texts of all spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from halo_engine.errors import EngineError
from halo_engine.store.queries import condition_of
from halo_engine.store.reading import TraceReader
from halo_engine.store.views import Hit, TraceFilter
from halo_engine.text.given_patterns import given_pattern

if TYPE_CHECKING:
    from halo_engine.store.matching import Kept

SEARCHABLE_FIELDS = (
    "input",
    "output",
    "status_message",
    "input_messages",
    "output_messages",
    "events",
)

SEARCH_SECONDS = 30.0


class TraceSearch(TraceReader):
    """Searches by RE2 regular expressions: linear time, no look-around and no back-references.

    A pattern is not trusted: a search that takes longer than ``SEARCH_SECONDS`` is an error.
    """

    def search(
        self,
        pattern: str,
        *,
        regex: bool = False,
        ignore_case: bool = True,
        fields: Sequence[str] = SEARCHABLE_FIELDS,
        where: TraceFilter | None = None,
        limit: int = 50,
    ) -> list[Hit]:
        """The first match of ``pattern`` in each span and field, at most ``limit`` of them.

        ``pattern`` is literal text, or with ``regex`` a regular expression of RE2. Raises
        ``EngineError`` for an expression that RE2 does not accept, or an unknown field.
        """
        # Imported where it is used: it takes as long as the rest.
        from halo_engine.store.matching import FirstSpans

        body = pattern if regex else re2_quote(pattern)
        expression = f"(?is){body}" if ignore_case else f"(?s){body}"
        kept = FirstSpans(max(0, limit))
        self._search(expression, fields, where, kept)
        return kept.hits

    def first_matches(self, pattern: str, *, fields: Sequence[str] | None = None) -> list[Hit]:
        """The first match of the regular expression ``pattern`` in each trace that has one.

        ``pattern`` is used as it is, without flags, so it is case-sensitive. Raises ``EngineError``
        as ``search`` does.
        """
        from halo_engine.store.matching import FirstOfEachTrace

        kept = FirstOfEachTrace()
        self._search(pattern, fields or SEARCHABLE_FIELDS, None, kept)
        return kept.hits

    def _search(
        self, expression: str, fields: Sequence[str], where: TraceFilter | None, kept: Kept
    ) -> None:
        """Add the matches of ``expression`` to ``kept``."""
        from halo_engine.store.matching import Question, require_expression, search_parts

        if unknown := set(fields) - set(SEARCHABLE_FIELDS):
            known = ", ".join(SEARCHABLE_FIELDS)
            raise EngineError(f"No field {sorted(unknown)[0]!r} to search: {known}.")
        try:
            require_expression(expression)
            compiled = given_pattern(expression)
        except ValueError as error:
            raise EngineError(f"The trace store refused a query: {error}") from error
        question = Question(compiled, tuple(dict.fromkeys(fields)), SEARCH_SECONDS)
        search_parts(self.path, self._searched(where), question, kept)

    def _searched(self, where: TraceFilter | None) -> Mapping[str, list[str] | None]:
        """The parts to search, each with the traces that match ``where`` (None: all that it has)."""
        condition, values = condition_of(where)
        if not values and not self._manifest.superseded:
            return dict.fromkeys(self._manifest.parts)
        parts: dict[str, list[str]] = {}
        for (trace_id,) in self._rows(
            f"SELECT trace_id FROM trace_facts WHERE {condition}", values
        ):
            parts.setdefault(self._positions[trace_id].part, []).append(trace_id)
        return parts


def re2_quote(text: str) -> str:
    """An RE2 expression that matches ``text`` literally."""
    return "".join(c if c.isalnum() or ord(c) > 127 else f"\\x{{{ord(c):x}}}" for c in text)
