"""Formats: a record of a file as spans, whatever wrote it.

``recognition`` knows the formats and hands a record over to the one that recognises it; every other
module is one format. Each brings what it reads to the names of ``span_objects``, which maps it.
"""
