"""What a user can ask for: declared once, for the command line, Python, files and environment."""
