"""Framing: the bytes of a file as records, whatever they are written as.

``content`` recognises a framing by the first bytes and hands over to its module: lines and
documents of JSON between other lines, objects as Node prints them, tables, protobuf messages.
"""
