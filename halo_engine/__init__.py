"""Finds and proves failure modes in traces; knows no platform and no command line."""
