"""Text hygiene: secrets, invisible characters, defanging, and message templates.

Used by reports, prompts and write-back; imports nothing else of the engine.
"""
