"""Text hygiene: secrets, invisible characters, active markup, and templates of messages.

Reports, prompts and write-back all use it; it imports nothing of them.
"""
