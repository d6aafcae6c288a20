"""Instrumentation dialects: how each family of instrumentations names the fields of a span.

``base`` has the protocol, ``registry`` the installed dialects, ``spans`` the mapping that uses
them; every other module is one dialect.
"""
