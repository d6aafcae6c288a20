"""A server of the Model Context Protocol (MCP): a home and its traces for coding agents, over stdio.

A tool is a method of ``reading`` or ``writing``; ``server`` offers them. What comes out of a trace is
framed as data and bounded in ``answers``.
"""
