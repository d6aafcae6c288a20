"""HTTP to a platform: retries, prefetching and health checks that every platform shares."""
