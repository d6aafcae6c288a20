"""Real servers of platforms, for the demo and the tests: each in an environment of its own."""
