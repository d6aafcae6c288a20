"""The service assistant of a shop for hiking and camping gear."""
