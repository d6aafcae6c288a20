"""A stand-in for Langfuse: an HTTP server on loopback with the public API and its state.

The sources of its behaviour:

- ``V4_DUAL`` and ``V4``: recordings of a Langfuse 4.16.0 in its modes ``dual`` and ``events_only``,
  replayed by a contract test. What becomes of a span that is sent over OTLP is held to recorded spans
  of 21 instrumentations, so what the real server drops is dropped here too. It counts no tokens and
  works out no costs.
- ``V3``: the legacy endpoints of that 4.16.0 in mode ``dual``; no v3 server was recorded.
- ``V4_59``: the documentation. The list form of ``POST /scores``, which 4.59 and Langfuse Cloud
  take, was not recorded; the other endpoints are those of 4.16.0.

Rate limits, delays, lost scores and other faults are made on demand (see ``LangfuseServer``).

with LangfuseServer(LangfuseVersion.V4) as server:
    server.send(rows)
    run("langfuse", settings={"base_url": server.url, ...})
    assert server.scores
"""

from halo_integrations.testing.langfuse.server import LangfuseServer
from halo_integrations.testing.langfuse.state import LangfuseVersion

__all__ = ["LangfuseServer", "LangfuseVersion"]
