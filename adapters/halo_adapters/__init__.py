"""Adapters: traces are read from Langfuse, Phoenix and files, and annotations written back."""
