"""The source code of the agent: its files and git history, places in it, proposed changes.

Read-only and confined to one folder; files that git ignores are left out, and nothing is written.
"""

from halo_engine.source.files import SourceFiles

__all__ = ["SourceFiles"]
