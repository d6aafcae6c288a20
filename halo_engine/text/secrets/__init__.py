"""Secrets in texts: the rules, and the search for them."""
