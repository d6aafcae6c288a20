"""Reads traces from platforms and files, and writes findings back."""
