"""Statistics with their sources: intervals and seeded sampling."""
