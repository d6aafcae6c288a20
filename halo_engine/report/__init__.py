"""Report renderers: Markdown, HTML and JSON, and others by entry point."""
