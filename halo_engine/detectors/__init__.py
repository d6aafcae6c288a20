"""Deterministic detectors: what the shape of a trace shows without a model."""
