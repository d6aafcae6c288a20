"""One run in every form in which people have traces in files.

``run`` is the run itself. ``span_objects``, ``otlp_json``, ``tracers``, ``platforms``, ``langfuse``
and ``data_frames`` write it as the tools do that they are named after, ``answers`` makes bytes of
that, and ``forms`` has all of them as files.
"""
