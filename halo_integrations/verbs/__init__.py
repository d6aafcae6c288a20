"""The verbs: pull, analyze, annotate, follow up, undo, and all of them as run. They print nothing.

Each has a module of its own: the function for Python callers and the command line, and below it the
step over a run folder. A step writes its results to disk before it continues, so that it can be
interrupted at any point and called again.
"""
