"""Host functions: what the model's code in the sandbox can call.

All of them only read the store, whose texts were redacted when they were read, and source code, which
they redact themselves. Their results contain no invisible characters and are bounded in size; a
refused call raises ``HostError`` with the way to call it.
"""

from halo_engine.rlm.host.host import Host
from halo_engine.rlm.host.results import Notebook

__all__ = ["Host", "Notebook"]
