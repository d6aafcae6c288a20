"""A home in the browser, on this machine only: projects, runs, issues, comparisons, decisions."""
