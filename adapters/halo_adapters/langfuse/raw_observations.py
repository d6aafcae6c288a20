"""Observations as a server writes them, parsed no further than sorting them needs.

Most of one is texts. They are parsed in the process that makes spans of them.
"""

from __future__ import annotations

import json

import msgspec
import orjson

from halo_adapters.json_values import JsonObject


class RawObservation(msgspec.Struct, rename="camel"):
    """An observation as the server wrote it, ``json``, and what of it says where it belongs."""

    id: str
    trace_id: str
    start_time: str
    parent_observation_id: str | None = None
    environment: str | None = None
    json: bytes = b""

    def row(self) -> JsonObject:
        """All of it."""
        try:
            found: JsonObject = orjson.loads(self.json)
        except orjson.JSONDecodeError:  # such as for a byte that is no UTF-8
            found = json.loads(self.json.decode(errors="replace"))
        return found


class Meta(msgspec.Struct):
    """What a page says besides its observations."""

    cursor: str | None = None


class ObservationPage(msgspec.Struct):
    """A page of observations."""

    data: list[msgspec.Raw]
    meta: Meta


PAGE_DECODER = msgspec.json.Decoder(ObservationPage)
DECODER = msgspec.json.Decoder(RawObservation)


def observation_in(raw: msgspec.Raw) -> RawObservation:
    """The observation that is written there."""
    found = DECODER.decode(raw)
    found.json = bytes(raw)
    return found


def raw_observation(row: JsonObject) -> RawObservation:
    """An observation that was parsed already."""
    start = str(row.get("startTime") or "")
    return RawObservation(str(row["id"]), str(row["traceId"]), start, json=orjson.dumps(row))


def observations_in(content: bytes) -> tuple[list[RawObservation], str | None]:
    """The observations in an answer, and the cursor of the next page.

    Raises ``msgspec.DecodeError`` where it is not JSON, and ``msgspec.ValidationError`` for a form
    that is not that of such a page.
    """
    page = PAGE_DECODER.decode(content)
    return list(map(observation_in, page.data)), page.meta.cursor
