"""The Recursive Language Model: a model that writes code over the trace store, turn by turn."""
