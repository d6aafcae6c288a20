"""Arize Phoenix: traces out, annotations in."""

from halo_adapters.phoenix.adapter import PhoenixAdapter

__all__ = ["PhoenixAdapter"]
