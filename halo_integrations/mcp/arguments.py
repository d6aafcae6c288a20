"""The types of the arguments of tools, with bounds and what an agent is told of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from halo_engine.rlm.host.arguments import Name, Pattern, Text
from halo_integrations.mcp.opened import MAX_CHARS, MAX_ROWS

ToolName = Annotated[Name, Field(description="The name of a tool of the agent.")]
SpanField = Annotated[Name, Field(description="A field, by the name that it is shown under.")]
AnyRun = Annotated[Name, Field(description="The id of a run, or `last`: the newest.")]
SideName = Annotated[
    Name,
    Field(
        description="`last`, the id of a run, or traces of the newest: `release=1.4`, `since=1d`, "
        "`environment=prod`, several with commas; after `RUN:` of another run."
    ),
]
Limit = Annotated[int, Field(ge=1, le=MAX_ROWS, description="The most rows.")]
Offset = Annotated[int, Field(ge=0, le=1_000_000, description="So many rows before are left out.")]
Start = Annotated[int, Field(ge=0, le=1_000_000_000, description="From this character on.")]
Chars = Annotated[int, Field(ge=1, le=MAX_CHARS, description="The most characters.")]
CellChars = Annotated[
    int, Field(ge=1, le=MAX_CHARS, description="The most characters of one value.")
]
Examples = Annotated[int, Field(ge=0, le=40, description="The number of examples of each kind.")]
TraceName = Annotated[Name, Field(description="A trace: T3, or its full id.")]
SpanName = Annotated[
    Name, Field(description="A span: T3.5, the fifth of trace T3, or its full id.")
]
Expression = Annotated[Pattern, Field(description="A regular expression of RE2.")]
FieldName = Annotated[
    Name,
    Field(description="input, output, status_message, input_messages, output_messages or events."),
]
Query = Annotated[Text, Field(description="One SELECT, in the dialect of DuckDB.")]
IssueName = Annotated[Name, Field(description="The id of a known issue, such as HALO-7.")]
FindingName = Annotated[Name, Field(description="The id of a finding.")]
