"""Full-text and regular expression search over the texts of all spans, by RE2 in DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from halo_engine.errors import EngineError
from halo_engine.store.connection import StoreConnection
from halo_engine.store.queries import condition_of
from halo_engine.store.rows import SqlRow
from halo_engine.store.views import SNIPPET_CHARS, Hit, TraceFilter

SEARCHABLE_FIELDS = (
    "input",
    "output",
    "status_message",
    "input_messages",
    "output_messages",
    "events",
)


# Put in the place of a match, it tells the position of that: the matched words can stand earlier in
# the text, where they do not match. No text can hold it, since it is another in every process.
MARK = uuid4().hex


# How much of one match is returned.
MAX_MATCH = 1000


class TraceSearch(StoreConnection):
    """Searches by RE2 regular expressions: linear time, no look-around and no back-references."""

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
        body = pattern if regex else re2_quote(pattern)
        expression = f"(?is){body}" if ignore_case else f"(?s){body}"
        query, values = self._matching(expression, fields, where)
        ordered = f"{query} ORDER BY trace_id, span_id, field LIMIT ?"
        rows = self._matched_rows(ordered, [*values, limit])
        return [Hit(**hit_of(row)) for row in rows]

    def first_matches(self, pattern: str, *, fields: Sequence[str] | None = None) -> list[Hit]:
        """The first match of the regular expression ``pattern`` in each trace that has one.

        ``pattern`` is used as it is, without flags, so it is case-sensitive. Raises ``EngineError``
        as ``search`` does.
        """
        query, values = self._matching(pattern, fields or SEARCHABLE_FIELDS, None)
        first = "row_number() OVER (PARTITION BY trace_id ORDER BY start, span_id, field) = 1"
        ordered = f"SELECT * FROM ({query}) QUALIFY {first} ORDER BY trace_id"
        return [Hit(**hit_of(row)) for row in self._matched_rows(ordered, values)]

    def _matched_rows(self, query: str, values: Sequence[object]) -> list[SqlRow]:
        """The rows of a search."""
        return self._rows(query, values)

    def _matching(
        self, expression: str, fields: Sequence[str], where: TraceFilter | None
    ) -> tuple[str, list[object]]:
        """A query for the matches of ``expression``, and the values of its parameters."""
        if unknown := set(fields) - set(SEARCHABLE_FIELDS):
            known = ", ".join(SEARCHABLE_FIELDS)
            raise EngineError(f"No field {sorted(unknown)[0]!r} to search: {known}.")
        condition, values = condition_of(where)
        matches = " UNION ALL ".join(map(self._search_field, fields))
        query = (
            f"SELECT * FROM ({matches}) "
            f"WHERE trace_id IN (SELECT trace_id FROM trace_facts WHERE {condition})"
        )
        return query if values else matches, [expression] * (3 * len(fields)) + values

    @staticmethod
    def _search_field(field: str) -> str:
        """A query for the first match in one column of every span."""
        start, length = f"greatest(1, position - {SNIPPET_CHARS // 2})", "length(match)"
        around = f"{start}, {SNIPPET_CHARS} + least({length}, {MAX_MATCH})"
        return (
            f"(SELECT trace_id, span_id, '{field}' AS field, position - 1, "
            f"left(match, {MAX_MATCH}), substr(text, {around}), start FROM "
            f"(SELECT trace_id, span_id, start_time_unix_nano AS start, {field} AS text, "
            f"regexp_extract({field}, ?) AS match, "
            f"strpos(regexp_replace({field}, ?, '{MARK}'), '{MARK}') AS position "
            f"FROM spans WHERE regexp_matches({field}, ?)))"
        )


def hit_of(row: SqlRow) -> dict[str, Any]:
    """The fields of a ``Hit`` from a row of a search; the start time, a sort key, is left out."""
    names = ("trace_id", "span_id", "field", "offset", "match", "snippet")
    return dict(zip(names, row, strict=False))


def re2_quote(text: str) -> str:
    """An RE2 expression that matches ``text`` literally."""
    return "".join(c if c.isalnum() or ord(c) > 127 else f"\\x{{{ord(c):x}}}" for c in text)
