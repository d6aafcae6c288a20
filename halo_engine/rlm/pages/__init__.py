"""Pages: traces as text for a model.

``passages`` are the texts of a trace, each once and in order; ``page`` writes the passages of several
traces as lines, with references for what they share; ``batches`` divides traces into pages.
"""
