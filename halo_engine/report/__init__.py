"""Reports for people, and text from traces made safe to show."""
