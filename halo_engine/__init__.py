"""The analysis engine: trace store, detectors, RLM and reports; independent of any platform."""
