"""The adapter of Arize Phoenix."""

from halo_adapters.phoenix.adapter import PhoenixAdapter

__all__ = ["PhoenixAdapter"]
