"""The check of a known issue in the forms of other tools."""
