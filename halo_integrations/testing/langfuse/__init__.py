"""A stand-in Langfuse: a real HTTP server on loopback that answers as recorded servers do.

with LangfuseServer(LangfuseVersion.V4) as server:
    server.send(rows)
    run("langfuse", settings={"base_url": server.url, ...})
    assert server.scores
"""

from halo_integrations.testing.langfuse.server import LangfuseServer
from halo_integrations.testing.langfuse.state import LangfuseVersion

__all__ = ["LangfuseServer", "LangfuseVersion"]
