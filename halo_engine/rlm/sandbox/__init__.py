"""Sandboxes: where the code that a model writes runs."""
