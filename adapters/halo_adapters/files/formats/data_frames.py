"""Data frames of spans: the tables that Phoenix's client gives, written as JSON, CSV or Parquet.

A column is ``context.trace_id``, ``attributes.llm.model_name`` and so on. JSON has one in every
orientation of pandas: a list of rows, columns, rows by their label, or rows without names beside
the names. CSV has lists and objects in Python's own notation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.formats.base import SpanRow
from halo_adapters.files.framing.tables import ID_COLUMNS
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.messages.python_reprs import python_literal
from halo_adapters.otlp import object_or_empty

CONTEXT, ATTRIBUTES = "context.", "attributes."
SPAN_ID = "context.span_id"
# Columns whose cells are texts, whatever they look like.
TEXTS = ("name", "status_message", "attributes.input.value", "attributes.output.value")


class DataFrames:
    """Tables in any orientation, and single rows of them."""

    title = "data frames of Phoenix's client"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is a row or a table with a column of ids."""
        return is_row(value) or is_split(value) or has_columns(value) or has_labelled_rows(value)

    def rows(self, value: JsonObject) -> Iterator[SpanRow | list[Any]]:
        """The row as a span, or the rows of the table, which may be in other formats."""
        if is_row(value):
            yield SpanRow(span_of_cells(value))
        elif is_split(value):
            names = [str(name) for name in value["columns"]]
            rows = (cells for cells in value["data"] if isinstance(cells, list))
            yield [dict(zip(names, cells, strict=False)) for cells in rows]
        elif has_columns(value):
            yield rows_of_columns(value)
        else:
            yield [{SPAN_ID: label, **object_or_empty(row)} for label, row in value.items()]


def is_row(value: JsonObject) -> bool:
    """Whether ``value`` is one row."""
    return isinstance(value.get("context.trace_id"), str | int)


def is_split(value: JsonObject) -> bool:
    """Whether it has the names of the columns beside its rows."""
    names, rows = value.get("columns"), value.get("data")
    return isinstance(names, list) and isinstance(rows, list) and isinstance(rows[:1], list)


def has_columns(value: JsonObject) -> bool:
    """Whether it has the cells of each column by the labels of the rows."""
    return any(isinstance(value.get(name), dict) for name in ID_COLUMNS)


def has_labelled_rows(value: JsonObject) -> bool:
    """Whether it has rows by their labels."""
    first = next(iter(value.values()), None)
    return isinstance(first, dict) and is_row(first)


def rows_of_columns(columns: JsonObject) -> list[Any]:
    """The rows of a table in columns; a row without an id of its own has its label as one."""
    rows: dict[str, JsonObject] = {}
    for name, cells in columns.items():
        for label, cell in cells.items() if isinstance(cells, dict) else ():
            rows.setdefault(label, {SPAN_ID: label} if is_prefixed(columns) else {})[name] = cell
    return list(rows.values())


def is_prefixed(columns: JsonObject) -> bool:
    """Whether the columns have the names of Phoenix, which labels the rows with the span ids."""
    return "context.trace_id" in columns


def span_of_cells(row: JsonObject) -> JsonObject:
    """A row as a span: what is below one name is one object."""
    span: JsonObject = {"context": {}, "attributes": {}}
    for name, cell in row.items():
        if name.startswith(CONTEXT):
            span["context"][name.removeprefix(CONTEXT)] = cell
        elif name.startswith(ATTRIBUTES) and cell is not None:
            span["attributes"][name.removeprefix(ATTRIBUTES)] = value_of_cell(name, cell)
        else:
            span[name] = value_of_cell(name, cell)
    return span


def value_of_cell(name: str, cell: Any) -> Any:
    """What a cell holds: a list or an object may be text in Python's notation."""
    if not isinstance(cell, str) or cell[:1] not in ("[", "{") or name in TEXTS:
        return cell
    value = None if parse_json(cell) is not None else python_literal(cell)
    return cell if value is None else value
