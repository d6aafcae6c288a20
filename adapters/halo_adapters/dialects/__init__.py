"""Attributes of one instrumentation family to span fields, one module a family."""
