"""The adapter of Langfuse: Cloud, self-hosted v4 and self-hosted v3."""

from halo_adapters.langfuse.adapter import LangfuseAdapter

__all__ = ["LangfuseAdapter"]
