"""A receiver of OTLP over HTTP that appends what instrumentations send to a trace file.

``server`` speaks HTTP, ``requests`` reads bodies, ``exports`` reads messages, ``collector`` keeps and
counts them in a ``trace_file``. A request is answered once what it holds is on disk, by the rules of
https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""
