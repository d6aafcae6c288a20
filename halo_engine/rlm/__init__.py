"""The Recursive Language Model: a model that explores the trace store by writing code."""
